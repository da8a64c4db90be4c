//! `ringlake explain`: what is behind one line of a report.

use ringlake_queries::QueryError;
use ringlake_queries::report::{self, Which};

use super::report::{QuestionArgs, asked_wrong};
use crate::answers::{self, LimitArgs, OutputArgs};
use crate::app::App;
use crate::error::Error;
use crate::wiring;

/// Show the calls or changes behind a line of a report, or the events that told of them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake explain call-cost --since 2026-03 --row 3
  ringlake explain call-cost --by agent,day --group agent=694,currency=USD
  ringlake explain call-cost --group agent= --events      an empty value is the line without one
  ringlake explain deal-changes --deal 1357538 --row 1 --events
Give the same options as to `ringlake report`: the rows shown add up to the line.")]
pub struct Args {
    /// The report's name
    name: String,
    #[command(flatten)]
    question: QuestionArgs,
    /// The line by its number, counted from 1 as it is printed
    #[arg(long, value_name = "N", required_unless_present = "group", conflicts_with = "group")]
    row: Option<usize>,
    /// The line by values of its group; those not named are all
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    group: Vec<String>,
    /// The events that told of it, with their place in the log and the time of their receipt
    #[arg(long)]
    events: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let which = match args.row {
        Some(row) => Which::Row(row),
        None => Which::group(&args.group).map_err(asked_wrong)?,
    };
    let request = args.question.request(args.name, false, app)?;
    let engine = wiring::engine(app.config()).await?;
    let answer = report::explain(&engine, &request, &which, args.events).await.map_err(wrong)?;
    answers::write(answer, &args.output, app.console).await
}

/// A line that is not there was asked for wrongly; all else went wrong while it was answered.
fn wrong(error: QueryError) -> Error {
    match error {
        QueryError::NoSuchRow { .. } | QueryError::Unknown { .. } | QueryError::ListHasNoGroups => {
            asked_wrong(error)
        }
        other => other.into(),
    }
}
