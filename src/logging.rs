//! Log lines on stderr. `--log` or `RUST_LOG` choose which, a bare level for our own crates; no event's content is ever logged.
//! A line that nobody can read is dropped: a service whose reader has gone goes on, and stops when told to.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::error::Error;

/// Others' lines are shown from this level on, unless the filter says more.
const OTHERS: &str = "warn,fuser=off";
/// The crates whose lines a bare level is about: the libraries below say far too much at `info`.
const OURS: &[&str] =
    &["ringlake", "ringlake_ingest", "ringlake_transform", "ringlake_sinks", "ringlake_queries"];

/// Starts logging. `service` is true of the commands that run until they are stopped.
pub fn start(filter: Option<&str>, service: bool) -> Result<(), Error> {
    let chosen = filter.map(str::to_owned).or_else(|| std::env::var("RUST_LOG").ok());
    let text = chosen.filter(|text| !text.trim().is_empty());
    // Commands that answer and go tell troubles only.
    let text = text.unwrap_or_else(|| if service { "info" } else { "error" }.to_owned());
    let filter = EnvFilter::try_new(directives(&text))
        .map_err(|error| Error::usage(format!("--log {text:?} is no filter: {error}")))?;
    let layer = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // It would be told on stderr, by a macro that panics in whichever task logged.
        .log_internal_errors(false)
        .with_target(false);
    // A second start (in tests) keeps the first.
    let _ = layer.try_init();
    Ok(())
}

/// A bare level becomes one for our own crates.
fn directives(text: &str) -> String {
    if text.contains(['=', ',']) || text.parse::<tracing_subscriber::filter::LevelFilter>().is_err()
    {
        return text.to_owned();
    }
    let ours: Vec<String> = OURS.iter().map(|name| format!("{name}={text}")).collect();
    format!("{OTHERS},{}", ours.join(","))
}
