//! `ringlake compact`: few files out of many.

use crate::app::App;
use crate::error::Error;
use crate::upkeep;

/// Put the tables' small files together
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake compact
  ringlake compact --files 50         only months that have at least 50 small files
Each batch leaves a file a table and month; together they are read faster. No row changes, older versions
stay readable until a vacuum, and writers may go on meanwhile. A running server does it by itself.")]
pub struct Args {
    /// Only months with at least this many small files
    #[arg(long, value_name = "N", default_value_t = 2)]
    files: usize,
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let bar = app.console.bar(0, "compacting");
    let done = upkeep::compact(app.config(), args.files, &|table| bar.set_message(table)).await;
    bar.finish_and_clear();
    let done = done?;
    app.console.note(match done.files {
        0 => "no small files to put together".to_owned(),
        files => format!("{files} files became {}, {} rows", done.became, done.rows),
    });
    Ok(())
}
