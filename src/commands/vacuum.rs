//! `ringlake vacuum`: deletes files that nobody can ask for any more.

use std::time::Duration;

use crate::app::App;
use crate::config::Span;
use crate::error::Error;
use crate::upkeep::{self, KEEP};

/// A reader or a batch may be at what is younger.
const LEAST: Duration = Duration::from_secs(3600);

/// Delete files that no readable version of a table needs
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake vacuum --dry-run           how much would go
  ringlake vacuum
  ringlake vacuum --keep 1d           only the versions of the last day stay readable
What goes: files that compaction put others in the place of, and files that a kill left behind, once they
are older than --keep. A running server does it by itself.")]
pub struct Args {
    /// How far back the tables' versions stay readable, at least 1h [default: 7d]
    #[arg(long, value_name = "TIME")]
    keep: Option<Span>,
    /// Only say how much would go
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let keep = args.keep.map_or(KEEP, |keep| keep.0);
    if keep < LEAST {
        return Err(Error::usage(
            "--keep is at least 1h: a query or a batch may still need what is younger",
        ));
    }
    let done = upkeep::vacuum(app.config(), keep, args.dry_run).await?;
    let (verb, mib) =
        (if args.dry_run { "would go" } else { "deleted" }, done.bytes as f64 / f64::from(1 << 20));
    app.console.note(format!("{} files, {mib:.1} MiB {verb}", done.files));
    Ok(())
}
