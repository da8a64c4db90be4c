//! `ringlake tokens`: what to paste into each vendor's settings.

use std::fmt::Write as _;
use std::io::Write as _;

use ringlake_ingest::Tokens;
use ringlake_ingest::tokens::GRACE;
use ringlake_transform::{SYSTEMS, System, systems};

use crate::app::App;
use crate::config::Config;
use crate::console::Console;
use crate::error::Error;
use crate::wiring;

/// Show each system's token and the URL to paste into the vendor's settings
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake tokens
  ringlake tokens rotate vonage
A rotated token goes on being valid for 24 hours, so that nothing is lost while it is replaced.
Set public_url in ringlake.toml to print the address that vendors reach.")]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a new token for a system
    Rotate { system: String },
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let config = app.config();
    let tokens = wiring::tokens(config)?;
    let text = match args.action {
        None => listing(config, &tokens)?,
        Some(Action::Rotate { system }) => {
            let system = systems::by_name(&system)?;
            tokens.rotate(system.name(), GRACE)?;
            app.console.note("the old token stays valid for 24 hours");
            of_system(config, &tokens, system)?
        }
    };
    if let Some(note) = only_here(config) {
        app.console.note(note);
    }
    let mut out = app.console.data();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Error::Output)
}

/// On the first start of a door.
pub fn announce(config: &Config, tokens: &Tokens, console: Console) -> Result<(), Error> {
    console.note("Paste these into the vendors' settings (`ringlake tokens` shows them again):\n");
    console.note(listing(config, tokens)?);
    if let Some(note) = only_here(config) {
        console.note(note);
    }
    Ok(())
}

/// What to know before pasting, where no vendor can reach these addresses.
fn only_here(config: &Config) -> Option<&'static str> {
    let ip = config.listen.ip();
    let unknown = config.public_url.is_empty() && (ip.is_loopback() || ip.is_unspecified());
    unknown.then_some(
        "note: vendors cannot reach these addresses; put a TLS proxy in front of the door and set \
         public_url in ringlake.toml to its address",
    )
}

/// Every system with its URLs.
fn listing(config: &Config, tokens: &Tokens) -> Result<String, Error> {
    let systems: Result<Vec<String>, Error> =
        SYSTEMS.iter().map(|system| of_system(config, tokens, *system)).collect();
    Ok(systems?.join("\n"))
}

fn of_system(config: &Config, tokens: &Tokens, system: &dyn System) -> Result<String, Error> {
    let token = tokens.token(system.name())?.unwrap_or_default();
    let base = format!("{}/webhooks/{}", config.public_url(), system.name());
    let mut text = format!("{} ({})\n", system.title(), system.name());
    if system.routes().is_empty() {
        let _ = writeln!(text, "  {base}/{token}");
        let _ = writeln!(text, "  or {base} with the header  Authorization: Bearer {token}");
    }
    for route in system.routes() {
        let _ = writeln!(text, "  {route:9} {base}/{route}/{token}");
    }
    Ok(text)
}
