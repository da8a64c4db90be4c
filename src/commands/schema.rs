//! `ringlake schema`: which tables and columns there are, and what they mean.

use crate::answers::{self, OutputArgs};
use crate::app::App;
use crate::error::Error;
use crate::wiring;

/// List the tables and views, or the columns of one with what they mean and what the product calls them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake schema
  ringlake schema calls_current
  ringlake schema deals --format csv
  ringlake schema --columns --format json
  ringlake schema --functions")]
pub struct Args {
    /// A table or view; without it all are listed
    table: Option<String>,
    /// The columns of all of them
    #[arg(long, conflicts_with = "table")]
    columns: bool,
    /// The functions that SQL has here beside the usual ones
    #[arg(long, conflicts_with_all = ["table", "columns"])]
    functions: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let engine = wiring::engine(app.config()).await?;
    let answer = match (&args.table, args.columns, args.functions) {
        (None, false, false) => engine.tables_answer(),
        (_, _, true) => engine.functions_answer(),
        (table, _, _) => engine
            .columns_answer(table.as_deref())
            .await
            .map_err(|error| Error::Question(Box::new(error)))?,
    };
    answers::write(answer, &args.output, app.console).await
}
