//! `ringlake export`: the exports of the settings, by hand.

use std::io::Write as _;

use chrono::{DateTime, SubsecRound, Utc};
use ringlake_queries::exports::{self, Again, ExportSource, ExportSpec, RunName, Write};

use crate::app::App;
use crate::error::Error;
use crate::exports::{self as scheduler, Failures};
use crate::names;

/// Corrections that the list shows of an export, the newest ones.
const SHOWN: usize = 5;

/// Run an export of the settings now, see whether a past one still holds, or list them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake export list
  ringlake export run daily-costs
  ringlake export run daily-costs --at 2026-03-30T06:15:00+02:00
  ringlake export check daily-costs           # would the newest past runs be the same today?
  ringlake export run daily-costs --correct   # writes a numbered correction of each that would not
The entries are [[exports]] in ringlake.toml; `ringlake serve` runs them when they are due, and tries again
what failed.")]
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
        /// Ask the newest past periods (or the one of --at) again, and write those that come out otherwise
        /// beside what is there
        #[arg(long)]
        correct: bool,
    },
    /// Ask the newest past periods again and say what has changed, without writing anything
    Check {
        name: String,
        /// The time of one run, instead of the newest ones
        #[arg(long, value_name = "TIME")]
        at: Option<DateTime<Utc>>,
    },
    /// What there is, when it last ran and when it is due, corrections, and what failed
    List,
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let specs = scheduler::specs(app.config())?;
    match args.action {
        Action::List => list(&specs, app).await,
        Action::Run { name, at, correct: true } => {
            again(named(&specs, &name)?, at, Write::Yes, app).await
        }
        Action::Check { name, at } => again(named(&specs, &name)?, at, Write::No, app).await,
        Action::Run { name, at, correct: false } => {
            let spec = named(&specs, &name)?;
            let time = at.unwrap_or_else(Utc::now).trunc_subsecs(0);
            let manifest = scheduler::run(app.config(), spec, time).await?;
            app.console.note(format!("{} rows", manifest.rows));
            let mut out = app.console.data();
            writeln!(out, "{}", manifest.folder).and_then(|()| out.flush()).map_err(Error::Output)
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

/// Asks past periods again. What was corrected, or would be, goes to stdout.
async fn again(
    spec: &ExportSpec,
    at: Option<DateTime<Utc>>,
    write: Write,
    app: &App,
) -> Result<(), Error> {
    let times = match at {
        Some(time) => vec![time.trunc_subsecs(0)],
        None => exports::closed(spec, &spec.finished().await?),
    };
    if times.is_empty() {
        app.console.note("no run of a closed period to ask again");
    }
    let mut out = app.console.data();
    for time in times {
        let run = RunName::first(time);
        match scheduler::again(app.config(), spec, time, write).await? {
            Again::Never => {
                return Err(Error::failed(
                    format!("{} has no run {run}", spec.name),
                    "`ringlake export list` shows the newest; write one with `ringlake export run --at`",
                ));
            }
            Again::Untouched | Again::Same => app.console.note(format!("{run} still holds")),
            Again::AnotherQuestion => app
                .console
                .note(format!("{run} cannot be compared: the export asks another question by now")),
            Again::Differs(reason) => {
                writeln!(out, "{run} differs: {}", reason.text).map_err(Error::Output)?;
            }
            Again::Corrected(correction) => {
                app.console.note(format!("{run}: {}", correction.reason.unwrap_or_default().text));
                writeln!(out, "{}", correction.folder).map_err(Error::Output)?;
            }
        }
    }
    out.flush().map_err(Error::Output)
}

async fn list(specs: &[ExportSpec], app: &App) -> Result<(), Error> {
    if specs.is_empty() {
        app.console.note("hint: there is no [[exports]] entry in ringlake.toml");
    }
    let mut text = String::new();
    for spec in specs {
        text.push_str(&entry(spec, app).await?);
    }
    let mut out = app.console.data();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Output)
}

/// What the list says of one export.
async fn entry(spec: &ExportSpec, app: &App) -> Result<String, Error> {
    let what = match &spec.source {
        ExportSource::Report(request) => format!("report {}", request.report),
        ExportSource::Sql(_) => "sql".to_owned(),
    };
    let time = |time: Option<DateTime<Utc>>| {
        time.map_or("never".to_owned(), |time| {
            time.with_timezone(&spec.zone).format("%Y-%m-%d %H:%M %Z").to_string()
        })
    };
    let next = time(exports::next_run(spec, Utc::now())?);
    let mut lines = vec![
        spec.name.clone(),
        format!(
            "  {what}, period {}, cron {:?} in {}, {}",
            spec.period.name(),
            spec.cron,
            spec.zone,
            spec.format.name()
        ),
    ];
    match spec.finished().await {
        Ok(finished) => {
            let last = time(finished.last().map(|run| run.scheduled_for));
            lines.push(format!("  last {last}, next {next}"));
            for run in corrections(&finished) {
                let manifest = spec.manifest(run).await?;
                let reason = manifest.and_then(|manifest| manifest.reason).unwrap_or_default();
                lines.push(format!("  corrected {run}: {}", reason.text));
            }
        }
        Err(error) => {
            let why = Error::from(error).line();
            lines.push(format!("  runs cannot be listed, next {next}; {why}"));
        }
    }
    if let Some(failure) = Failures::of(app.config()).get(&spec.name) {
        lines.push(format!(
            "  failing since {}, attempts: {}, next at {}: {}",
            time(Some(failure.since)),
            failure.attempts,
            time(Some(failure.next_at)),
            failure.error
        ));
    }
    lines.push(format!("  {}\n", spec.runs()));
    Ok(lines.join("\n"))
}

/// The newest corrections, oldest first.
fn corrections(finished: &[RunName]) -> impl Iterator<Item = RunName> {
    let all: Vec<RunName> = finished.iter().filter(|run| run.number > 0).copied().collect();
    let older = all.len().saturating_sub(SHOWN);
    all.into_iter().skip(older)
}
