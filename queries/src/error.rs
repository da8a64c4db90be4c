//! What can go wrong between a question and its answer, and what to do about it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use datafusion::common::DataFusionError;
use deltalake_core::DeltaTableError;
use thiserror::Error;

use crate::near::near;

/// Where in an SQL text, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: u64,
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// ` at line 1, column 8`, or nothing where the place is not known.
struct At<'a>(&'a Option<Place>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |place| write!(f, " at {place}"))
    }
}

/// Why there is no answer. [`QueryError::hint`] says what to do about it.
#[derive(Debug, Error)]
pub enum QueryError {
    #[error("unknown {what} {name:?}{}", At(place))]
    Unknown {
        what: &'static str,
        name: String,
        /// All names there are; a column's are those in reach of the query.
        known: Vec<String>,
        place: Option<Place>,
    },
    #[error("the SQL cannot be read{}: {message}", At(place))]
    Syntax { message: String, place: Option<Place> },
    #[error("the SQL makes no sense{}: {message}", At(place))]
    Meaning { message: String, place: Option<Place> },
    #[error("one SQL statement at a time, got {0}")]
    NotOneStatement(usize),
    #[error("queries only read: {0} is not allowed")]
    NotReadOnly(String),
    #[error("report {report} has no {option}")]
    OptionOfOtherReport { report: &'static str, option: &'static str },
    #[error("{text:?} is no date or time")]
    BadTime { text: String },
    #[error("the period ends before it begins: {since} is after {until}")]
    PeriodBackwards { since: String, until: String },
    #[error("the rates cannot be read, line {line}: {problem}")]
    RatesFile { line: usize, problem: String },
    #[error("rates are of no use without --currency")]
    RatesWithoutCurrency,
    #[error("there is no rate for {day} from {from} to {to}")]
    NoRate { day: String, from: String, to: String },
    #[error(
        "a call of account {account:?} has a cost without a currency, which cannot be converted"
    )]
    NoCurrency { account: String },
    #[error("{0:?} names no group: write NAME=VALUE")]
    NoGroup(String),
    #[error("the report has no row {row}{}", rows.map(|rows| format!(": it has {rows}")).unwrap_or_default())]
    NoSuchRow { row: usize, rows: Option<usize> },
    #[error("without --by the report is a list, which has no groups")]
    ListHasNoGroups,
    #[error("a histogram is not explained")]
    NotExplained,
    #[error("the saved report {name} cannot be used: {problem}")]
    SavedReport { name: String, problem: String },
    #[error("report {report} needs --param {param}={kind}")]
    MissingParameter { report: String, param: String, kind: &'static str },
    #[error("{value:?} is no {kind}, which {param} of the saved report is")]
    BadParameter { param: String, kind: &'static str, value: String },
    #[error("the query took longer than {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("the query needs more than its {} MiB of memory", limit >> 20)]
    Memory { limit: usize, source: DataFusionError },
    #[error("cannot open table {table}")]
    Table { table: String, source: Box<DeltaTableError> },
    #[error("table {table} has no version {version}, which `progress` names")]
    VersionGone { table: String, version: u64, source: Box<DeltaTableError> },
    #[error("there is no state of the tables as of {asked}")]
    AsOf { asked: String, source: Option<Box<QueryError>> },
    #[error("`progress` cannot be read: {0}")]
    Progress(String),
    #[error("the folded states cannot be written")]
    Fold { source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the query failed")]
    Failed(#[source] DataFusionError),
    #[error("cannot listen at {at}")]
    Listen { at: String, source: std::io::Error },
    #[error("cannot write the answer")]
    Output(#[from] std::io::Error),
    #[error("cannot write the answer as {format}")]
    Encode { format: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("export {name}: {problem}")]
    ExportSpec { name: String, problem: String },
    #[error("export {name}: cron pattern {pattern:?} cannot be read")]
    ExportCron { name: String, pattern: String, source: croner::errors::CronError },
    #[error("cannot write {}", path.display())]
    ExportFile { path: PathBuf, source: std::io::Error },
    #[error("exports cannot go to {url}")]
    ExportPlace { url: String, source: Option<Box<object_store::Error>> },
    #[error("cannot reach {url}")]
    ExportStore { url: String, source: Box<object_store::Error> },
    #[error("{path} cannot be read as a manifest")]
    Manifest { path: String, source: serde_json::Error },
}

impl QueryError {
    /// Where in the SQL it is, where that is known.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Unknown { place, .. }
            | Self::Syntax { place, .. }
            | Self::Meaning { place, .. } => *place,
            _ => None,
        }
    }

    /// What to do about it, where that is more than the message says.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { name, known, what, .. } => Some(names_hint(what, name, known)),
            Self::NotReadOnly(_) => {
                Some("start with SELECT, WITH, EXPLAIN, SHOW or DESCRIBE".to_owned())
            }
            Self::NotOneStatement(_) => Some("ask them one after the other".to_owned()),
            Self::BadTime { .. } => Some(
                "write a date (2026-03-29), a month (2026-03), a year, or a time (2026-03-29T14:30, with Z or +02:00 for a zone of its own)"
                    .to_owned(),
            ),
            Self::PeriodBackwards { .. } => {
                Some("--since is the first moment counted, --until the first one not".to_owned())
            }
            Self::RatesWithoutCurrency => Some("name the currency to convert to".to_owned()),
            Self::NoRate { day, from, to } => {
                Some(format!("add the line {day},{from},{to},RATE to the file of --rates"))
            }
            Self::NoCurrency { account } => Some(format!(
                "say [accounts.\"{account}\"] currency in the settings, as in currency = \"USD\""
            )),
            Self::NoSuchRow { .. } => Some("rows are counted from 1, as they are printed".to_owned()),
            Self::ListHasNoGroups => Some("use --row, or give --by to the report".to_owned()),
            Self::NotExplained => Some("ask without --histogram".to_owned()),
            Self::Timeout(_) => {
                Some("narrow the question with --since and --until, or raise the limit".to_owned())
            }
            Self::Memory { .. } => {
                Some("narrow the question, or raise the setting memory_limit".to_owned())
            }
            Self::Listen { .. } => Some("name another address with --pg".to_owned()),
            Self::VersionGone { .. } => {
                Some("old versions were vacuumed while a reader still held them; ask again".to_owned())
            }
            Self::AsOf { .. } => Some(
                "the last seven days can be asked, by a time or by a version of the table progress"
                    .to_owned(),
            ),
            Self::ExportCron { .. } => {
                Some("five fields: minute hour day month weekday, as in \"15 6 * * MON\"".to_owned())
            }
            Self::ExportPlace { .. } => Some(
                "give a folder, or s3://BUCKET/PATH; gs:// and az:// need a build with their feature"
                    .to_owned(),
            ),
            Self::ExportFile { .. } => {
                Some("check that the folder can be written to and that the disk has space".to_owned())
            }
            Self::ExportStore { source, .. } => Some(store_hint(source).to_owned()),
            _ => None,
        }
    }
}

fn store_hint(error: &object_store::Error) -> &'static str {
    use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
    /// Where a cloud's machines ask for credentials.
    const OF_MACHINES: &str = "169.254.";
    let told = chain(error);
    match error {
        NotFound { .. } => "make the bucket, or name one that is there",
        _ if told.contains("NoSuchBucket") => "make the bucket, or name one that is there",
        PermissionDenied { .. } | Unauthenticated { .. } => {
            "the store refuses these credentials: see to AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
             or [object_store] in the settings, and to what they may do with the bucket"
        }
        _ if told.contains(OF_MACHINES) => {
            "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
             [object_store] in the settings"
        }
        _ => {
            "see to the network and to the endpoint: AWS_ENDPOINT, or aws_endpoint in [object_store]"
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn names_hint(what: &str, name: &str, known: &[String]) -> String {
    const MOST_NAMES: usize = 20;
    let close = near(name, known.iter().map(String::as_str));
    let mut hint = match close.split_last() {
        None => String::new(),
        Some((last, [])) => format!("did you mean {last}?"),
        Some((last, rest)) => format!("did you mean {} or {last}?", rest.join(", ")),
    };
    if known.len() <= MOST_NAMES {
        let all = known.join(", ");
        hint.push_str(if hint.is_empty() { "there are " } else { " there are " });
        hint.push_str(if all.is_empty() { "none" } else { &all });
    } else if hint.is_empty() {
        hint.push_str(match what {
            "time zone" => "write it as Area/City, as in Europe/Berlin",
            "table" => "SHOW TABLES lists them",
            "currency" => "write its code by ISO 4217, as in EUR",
            _ => "SHOW COLUMNS FROM a table lists them",
        });
    }
    hint
}
