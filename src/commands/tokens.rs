//! `ringlake tokens`: what to paste into each vendor's settings.

use std::fmt::Write as _;
use std::io::Write as _;

use chrono::DateTime;
use ringlake_ingest::Tokens;
use ringlake_transform::{SYSTEMS, System, systems};

use crate::app::App;
use crate::config::{Config, Span};
use crate::console::Console;
use crate::error::Error;
use crate::wiring;

/// Show each system's token and the URL to paste into the vendor's settings
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake tokens
  ringlake tokens rotate vonage
  ringlake tokens rotate vonage --grace 0s        it has leaked: the old one ends now
A rotated token goes on being valid for a while, so that nothing is lost while it is replaced at the
vendor. A door that is running takes the new one within a second.
Set public_url in ringlake.toml to print the address that vendors reach.")]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a new token for a system; the old one stays valid for a while
    Rotate {
        system: String,
        /// How long the old token stays valid
        #[arg(long, value_name = "TIME", default_value = "24h")]
        grace: Span,
    },
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let config = app.config();
    let tokens = wiring::tokens(config)?;
    let text = match args.action {
        None => listing(config, &tokens)?,
        Some(Action::Rotate { system, grace }) => {
            let system = systems::by_name(&system)?;
            tokens.rotate(system.name(), grace.0)?;
            of_system(config, &tokens, system)?
        }
    };
    if let Some(note) = only_here(config) {
        app.console.note(note);
    }
    let mut out = app.console.data();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Error::Output)
}

/// On the first start of a door. Only people are shown the tokens: what a service says is kept in logs.
pub fn announce(config: &Config, tokens: &Tokens, console: Console) -> Result<(), Error> {
    if !console.stderr_is_terminal() {
        console.note("`ringlake tokens` shows the URLs to paste into the vendors' settings");
        return Ok(());
    }
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
    for end in tokens.still_valid(system.name())? {
        let _ = match end.and_then(DateTime::from_timestamp_micros) {
            Some(end) => writeln!(
                text,
                "  an older token is valid until {}",
                end.format("%Y-%m-%d %H:%M UTC")
            ),
            None => writeln!(text, "  an older token is valid as long as the environment has it"),
        };
    }
    Ok(text)
}
