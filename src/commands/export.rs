//! `ringlake export`: the exports of the settings, by hand.

use std::io::Write;

use chrono::{DateTime, SubsecRound, Utc};
use ringlake_queries::exports::{self, ExportSource, ExportSpec};

use crate::app::App;
use crate::error::Error;
use crate::exports as scheduler;
use crate::names;

/// Run an export of the settings now, or list them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake export list
  ringlake export run daily-costs
  ringlake export run daily-costs --at 2026-03-30T06:15:00+02:00
The entries are [[exports]] in ringlake.toml; `ringlake serve` runs them when they are due.")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Write one export now
    Run {
        name: String,
        /// The time it counts as scheduled for, which decides its period [default: now]
        #[arg(long, value_name = "TIME")]
        at: Option<DateTime<Utc>>,
    },
    /// What there is, when it last ran and when it is due
    List,
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let specs = scheduler::specs(app.config())?;
    match args.action {
        Action::List => list(&specs, app),
        Action::Run { name, at } => {
            let spec = named(&specs, &name)?;
            let time = at.unwrap_or_else(Utc::now).trunc_subsecs(0);
            let manifest = scheduler::run(app.config(), spec, time).await?;
            app.console.note(format!("{} rows", manifest.rows));
            let mut out = app.console.data();
            writeln!(out, "{}", manifest.folder.display())
                .and_then(|()| out.flush())
                .map_err(Error::Output)
        }
    }
}

fn named<'a>(specs: &'a [ExportSpec], name: &str) -> Result<&'a ExportSpec, Error> {
    let known = || specs.iter().map(|spec| spec.name.as_str());
    specs.iter().find(|spec| spec.name == name).ok_or_else(|| {
        let hint = match names::nearest(name, known()) {
            Some(near) => format!("did you mean {near}?"),
            None if specs.is_empty() => "add an [[exports]] entry to ringlake.toml".to_owned(),
            None => format!("there are {}", known().collect::<Vec<_>>().join(", ")),
        };
        Error::failed(format!("unknown export {name:?}"), hint)
    })
}

fn list(specs: &[ExportSpec], app: &App) -> Result<(), Error> {
    if specs.is_empty() {
        app.console.note("hint: there is no [[exports]] entry in ringlake.toml");
    }
    let mut out = app.console.data();
    for spec in specs {
        let what = match &spec.source {
            ExportSource::Report(request) => format!("report {}", request.report),
            ExportSource::Sql(_) => "sql".to_owned(),
        };
        let time = |time: Option<DateTime<Utc>>| {
            time.map_or("never".to_owned(), |time| {
                time.with_timezone(&spec.zone).format("%Y-%m-%d %H:%M %Z").to_string()
            })
        };
        let last = time(exports::last_run(spec)?);
        let next = time(exports::next_run(spec, Utc::now())?);
        writeln!(
            out,
            "{}\n  {what}, period {}, cron {:?} in {}\n  last {last}, next {next}\n  {}",
            spec.name,
            spec.period.name(),
            spec.cron,
            spec.zone,
            spec.runs().display()
        )
        .map_err(Error::Output)?;
    }
    out.flush().map_err(Error::Output)
}
