//! Log lines on stderr. `--log` or `RUST_LOG` choose which; no event's content is ever logged.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::error::Error;

/// What is shown when nobody says otherwise: our own progress, and others' troubles.
const QUIET: &str =
    "warn,ringlake=info,ringlake_ingest=info,ringlake_sinks=info,ringlake_queries=info";
/// For commands that answer and go: troubles only.
const SILENT: &str = "error";

/// Starts logging. `service` is true of the commands that run until they are stopped.
pub fn start(filter: Option<&str>, service: bool) -> Result<(), Error> {
    let filter = match filter {
        Some(text) => EnvFilter::try_new(text)
            .map_err(|error| Error::usage(format!("--log {text:?} is no filter: {error}")))?,
        None => EnvFilter::try_from_default_env()
            .unwrap_or_else(|_| EnvFilter::new(if service { QUIET } else { SILENT })),
    };
    let layer = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // A second start (in tests) keeps the first.
    let _ = layer.try_init();
    Ok(())
}
