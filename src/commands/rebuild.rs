//! `ringlake rebuild`: the folded states anew, from the tables alone.

use ringlake_queries::fold::{Advanced, When};

use crate::app::App;
use crate::error::Error;
use crate::upkeep;

/// Build anew what questions are answered from, out of the tables
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake rebuild                    all newest states anew, from all that the tables hold
  ringlake rebuild --missing          only what came since they were last folded
What the …_current views show is kept beside the tables, so that a question need not merge all states of
a call again. It follows from the tables: while it is missing or old, answers are the same, only slower.
A running server keeps it up by itself, and may go on while this runs.")]
pub struct Args {
    /// Only fold what came since
    #[arg(long)]
    missing: bool,
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let done = fold(app, if args.missing { When::Always } else { When::Anew }).await?;
    app.console.note(match done.folds.as_slice() {
        [] => "nothing to fold: the newest states are as the tables are".to_owned(),
        folds => format!("{} rows folded into {}", done.rows, folds.join(", ")),
    });
    Ok(())
}

/// Folds with a progress bar, in a process that does nothing else meanwhile.
pub async fn fold(app: &App, when: When) -> Result<Advanced, Error> {
    let bar = app.console.bar(0, "folding");
    let done = upkeep::fold(app.config(), when, upkeep::AT_ONCE_ALONE, &|fold, done, all| {
        bar.set_length(all);
        bar.set_position(done);
        bar.set_message(fold);
    })
    .await;
    bar.finish_and_clear();
    done
}
