//! `ringlake report`: the questions with a name.

use std::io::Write;

use ringlake_queries::QueryError;
use ringlake_queries::report::{self, REPORTS, ReportRequest};

use crate::answers::{self, OutputArgs};
use crate::app::App;
use crate::error::Error;
use crate::wiring;

/// Answer a report: call-cost, bill-duration, deal-changes; `report list` tells what they hold
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake report call-cost --by agent,day --since 2026-03 --until 2026-04 --tz Europe/Berlin
  ringlake report bill-duration --by number --format csv
  ringlake report deal-changes --deal 1357538
  ringlake report list
--since is the first moment counted, --until the first one not; both are read in --tz.")]
pub struct Args {
    /// The report's name, or list
    name: String,
    /// What to group by, parted by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    by: Option<Vec<String>>,
    /// The first moment counted: 2026, 2026-03, 2026-03-29 or a time
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// The first moment not counted
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The zone of days and of times without an offset [default: time_zone of the settings]
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// Only this system
    #[arg(long, value_name = "NAME")]
    system: Option<String>,
    /// Only this account
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Only calls of this agent
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// Only changes of this deal
    #[arg(long, value_name = "ID")]
    deal: Option<String>,
    /// Bookkeeping changes as well
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    if args.name == "list" {
        return list(app);
    }
    if let Some(system) = &args.system {
        ringlake_transform::systems::by_name(system)?;
    }
    let request = ReportRequest {
        report: args.name,
        by: args.by,
        since: args.since,
        until: args.until,
        tz: Some(args.tz.unwrap_or_else(|| app.config().time_zone.to_string())),
        system: args.system,
        account: args.account,
        agent: args.agent,
        deal: args.deal,
        all: args.all,
    };
    report::render(&request).map_err(asked_wrong)?;
    let engine = wiring::engine(app.config()).await?;
    let answer = report::run(&engine, &request).await?;
    answers::write(answer, &args.output, app.console).await
}

/// What the flags say is checked before any table is opened.
fn asked_wrong(error: QueryError) -> Error {
    Error::Question(Box::new(error))
}

fn list(app: &App) -> Result<(), Error> {
    let mut out = app.console.data();
    let mut lines = || -> std::io::Result<()> {
        for report in REPORTS {
            let by: Vec<&str> = report.dimensions.iter().map(|by| by.name).collect();
            writeln!(out, "{}  {}", report.name, report.title)?;
            writeln!(out, "  --by {}", by.join(", "))?;
            for measure in report.measures {
                writeln!(out, "  {:20} {}", measure.name, measure.meaning)?;
            }
            writeln!(out)?;
        }
        out.flush()
    };
    lines().map_err(Error::Output)
}
