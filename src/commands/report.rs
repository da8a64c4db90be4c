//! `ringlake report`: the questions with a name.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::CommandFactory;
use ringlake_queries::report::{self, CostSource, REPORTS, Rates, Report, ReportRequest};
use ringlake_queries::{QueryError, chart, saved};

use crate::answers::{self, LimitArgs, OutputArgs};
use crate::app::App;
use crate::error::Error;
use crate::wiring;

/// Answer a report: call-cost, bill-duration, deal-changes and others; `report list` tells what they hold
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
#[command(after_help = "\
Examples:
  ringlake report list
  ringlake report call-cost --help
  ringlake report call-cost --by agent,day --since 2026-03 --until 2026-04 --tz Europe/Berlin
  ringlake report call-cost --currency EUR --rates rates.csv
  ringlake report bill-duration --by number --format csv
  ringlake report bill-duration --histogram
  ringlake report call-cost --by week --chart
  ringlake report call-cost --by month --chart costs.svg
  ringlake report deal-changes --deal 1357538
  ringlake report call-cost --by month --sql     # for psql or a BI tool: see `ringlake pg`
  ringlake report my-own --param team=7
--since is the first moment counted, --until the first one not; both are read in --tz.")]
pub struct Args {
    /// The report's name, or list
    name: Option<String>,
    #[command(flatten)]
    question: QuestionArgs,
    /// How the rows lie instead of their sums (bill-duration); drawn, unless --format or -o is given
    #[arg(long)]
    histogram: bool,
    /// Draw it: on the terminal, or into a file that ends in .svg or .png
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = TERMINAL)]
    chart: Option<PathBuf>,
    /// What the chart draws [default: the report's main measure]
    #[arg(long, value_name = "NAME", requires = "chart")]
    measure: Option<String>,
    /// Print the SQL that it asks, to be asked over PostgreSQL's protocol or changed to taste
    #[arg(long, conflicts_with_all = ["chart", "format", "output"])]
    sql: bool,
    /// A value for a saved report
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// What each column of the report means, or this help
    #[arg(long, short)]
    help: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// The flags that say what is asked of a report, for all commands that ask one.
#[derive(Debug, clap::Args)]
pub struct QuestionArgs {
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
    /// Only costs that the vendor told, or that a tariff makes: vendor, tariff
    #[arg(long, value_name = "SOURCE")]
    cost_source: Option<String>,
    /// Convert all costs to this currency
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// What it takes for that: CSV with date,from,to,rate
    #[arg(long, value_name = "FILE", requires = "currency")]
    rates: Option<PathBuf>,
    /// Bookkeeping changes as well
    #[arg(long)]
    all: bool,
}

impl QuestionArgs {
    /// The request, checked before any table is opened.
    pub fn request(self, name: String, histogram: bool, app: &App) -> Result<ReportRequest, Error> {
        if let Some(system) = &self.system {
            ringlake_transform::systems::by_name(system)?;
        }
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
            Rates::read(&text).map(Arc::new).map_err(asked_wrong)
        };
        let request = ReportRequest {
            report: name,
            by: self.by,
            since: self.since,
            until: self.until,
            tz: Some(self.tz.unwrap_or_else(|| app.config().time_zone.to_string())),
            system: self.system,
            account: self.account,
            agent: self.agent,
            deal: self.deal,
            cost_source: self
                .cost_source
                .map(|name| name.parse::<CostSource>())
                .transpose()
                .map_err(asked_wrong)?,
            currency: self.currency,
            rates: self.rates.as_ref().map(read).transpose()?,
            all: self.all,
            histogram,
        };
        report::render(&request).map_err(asked_wrong)?;
        Ok(request)
    }

    /// The first of these flags that was given, of those that a saved report does not take.
    fn not_for_saved(&self) -> Option<&'static str> {
        let given = [
            ("--by", self.by.is_some()),
            ("--system", self.system.is_some()),
            ("--account", self.account.is_some()),
            ("--agent", self.agent.is_some()),
            ("--deal", self.deal.is_some()),
            ("--cost-source", self.cost_source.is_some()),
            ("--currency", self.currency.is_some()),
            ("--all", self.all),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }
}

/// Where a chart is drawn that is for no file.
const TERMINAL: &str = "-";

impl Args {
    /// The file that the chart is drawn into, if it is.
    fn picture(&self) -> Option<&PathBuf> {
        self.chart.as_ref().filter(|file| file.as_os_str() != TERMINAL)
    }

    /// In `report --chart NAME` what follows the flag is no file.
    fn named(mut self) -> Self {
        let name =
            self.picture().filter(|file| self.name.is_none() && chart::Picture::of(file).is_err());
        if let Some(name) = name.map(|name| name.display().to_string()) {
            self.name = Some(name);
            self.chart = Some(TERMINAL.into());
        }
        self
    }
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let args = args.named();
    let saved = wiring::saved_reports(app.config())?;
    match args.name.as_deref() {
        None if !args.help => Err(Error::Usage {
            message: "which report?".to_owned(),
            hint: Some("`ringlake report list` tells what there is".to_owned()),
        }),
        None => print(app, help()),
        Some("list") => print(app, list(&saved)),
        Some(name) => match saved.iter().find(|report| report.name() == name) {
            Some(report) if args.help => print(app, report.help()),
            Some(_) => run_saved(args, &saved, app).await,
            None if args.help => {
                print(app, help_of(report::by_name(name).map_err(|e| unknown(e, &saved))?))
            }
            None => run_built_in(args, &saved, app).await,
        },
    }
}

async fn run_built_in(args: Args, saved: &[saved::Saved], app: &App) -> Result<(), Error> {
    let picture = args.picture().cloned();
    let name = args.name.unwrap_or_default();
    let report = report::by_name(&name).map_err(|error| unknown(error, saved))?;
    if let Some(param) = args.params.first() {
        return Err(Error::usage(format!("report {name} takes no --param {param}")));
    }
    let request = args.question.request(name, args.histogram, app)?;
    let rendered = report::render(&request).map_err(asked_wrong)?;
    let plot = chart::Plot {
        title: format!("{}: {}", report.name, report.title),
        measure: match &args.measure {
            Some(measure) => measure.clone(),
            None if args.histogram => "calls".to_owned(),
            None => report.main_measure.to_owned(),
        },
        is_over_time: rendered.is_over_time && !args.histogram,
    };
    if let Some(path) = &picture {
        chart::Picture::of(path).map_err(asked_wrong)?;
    }
    if args.chart.is_some() {
        chart::check(&rendered, &plot.measure).map_err(asked_wrong)?;
    }
    if args.sql {
        return print(app, format!("{};\n", rendered.sql.trim_end()));
    }
    let engine = wiring::engine(app.config()).await?;
    let answer = report::run(&engine, &request).await?;
    let draws = args.histogram && args.output.format.is_none() && args.output.output.is_none();
    match picture {
        Some(path) => answers::draw_to_file(answer, &plot, &path, app.console).await,
        None if draws || args.chart.is_some() => answers::draw(answer, &plot, app.console).await,
        None => answers::write(answer, &args.output, app.console).await,
    }
}

async fn run_saved(args: Args, saved: &[saved::Saved], app: &App) -> Result<(), Error> {
    let name = args.name.unwrap_or_default();
    if let Some(flag) = args.question.not_for_saved() {
        return Err(Error::usage(format!("{name} is a saved report and takes no {flag}")));
    }
    if args.chart.is_some() || args.histogram {
        return Err(Error::usage(format!("{name} is a saved report, which is not drawn")));
    }
    if args.sql {
        return Err(Error::usage(format!("{name} is a saved report: its SQL is its file")));
    }
    let Some(report) = saved.iter().find(|report| report.name() == name) else { return Ok(()) };
    let zone = args.question.tz.unwrap_or_else(|| app.config().time_zone.to_string());
    let given = saved::Given {
        params: &args.params,
        since: args.question.since.as_deref(),
        until: args.question.until.as_deref(),
        zone: &zone,
    };
    let (sql, values) = report.ask(&given).map_err(asked_wrong)?;
    let engine = wiring::engine(app.config()).await?;
    let answer = engine.sql_with(sql, Some(values)).await?;
    answers::write(answer, &args.output, app.console).await
}

/// What the flags say is checked before any table is opened.
pub fn asked_wrong(error: QueryError) -> Error {
    Error::Question(Box::new(error))
}

/// The names of saved reports are names of reports as well.
fn unknown(error: QueryError, saved: &[saved::Saved]) -> Error {
    asked_wrong(match error {
        QueryError::Unknown { what, name, mut known, place } => {
            known.extend(saved.iter().map(|report| report.name().to_owned()));
            QueryError::Unknown { what, name, known, place }
        }
        other => other,
    })
}

fn print(app: &App, text: String) -> Result<(), Error> {
    let mut out = app.console.data();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::Output)
}

fn help() -> String {
    let mut command = crate::cli::Cli::command();
    command.build();
    let report = command.find_subcommand_mut("report");
    report.map(|report| report.render_long_help().to_string()).unwrap_or_default()
}

fn list(saved: &[saved::Saved]) -> String {
    let mut text = String::new();
    for report in REPORTS {
        text.push_str(&format!("{:15} {}\n", report.name, report.title));
    }
    for report in saved {
        text.push_str(&format!("{:15} {}\n", report.name(), report.title()));
    }
    text.push_str("\n`ringlake report NAME --help` tells what each column means.\n");
    text
}

fn help_of(report: &Report) -> String {
    let mut text = format!("{}: {}\n\n", report.name, report.title);
    let mut section = |title: &str, lines: Vec<(&str, &str)>| {
        text.push_str(&format!("{title}\n"));
        for (name, meaning) in lines {
            text.push_str(&format!("  {name:18} {meaning}\n"));
        }
        text.push('\n');
    };
    let by = if report.default_by.is_empty() {
        "--by, parted by commas; without it each change is a line".to_owned()
    } else {
        format!("--by, parted by commas [default: {}]", report.default_by.join(","))
    };
    section(&by, report.dimensions.iter().map(|by| (by.name, by.meaning)).collect());
    let columns = report.always_by.iter().chain(report.measures);
    section("Columns", columns.map(|column| (column.name, column.meaning)).collect());
    if let Some(list) = report.list() {
        let columns = list.columns.iter().map(|column| (column.name, column.meaning));
        section("Columns without --by", columns.collect());
    }
    text.push_str(
        "Options\n  --since --until --tz --system --account --format -o --chart --measure",
    );
    for option in report.own_options() {
        text.push(' ');
        text.push_str(option);
    }
    text.push_str("\n\ndocs/reports.md defines every number; `ringlake explain` shows what is behind a line.\n");
    text
}
