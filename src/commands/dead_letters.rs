//! `ringlake dead-letters`: the events that could not be used.

use std::io::Write;

use arrow::array::{AsArray, RecordBatch};
use ringlake_transform::flatten::Trial;
use ringlake_transform::letters::Action;
use ringlake_transform::mend;

use crate::answers::{self, OutputArgs};
use crate::app::App;
use crate::config::Span;
use crate::error::Error;
use crate::letters::watch::is_known;
use crate::letters::{self, Choice, quoted};
use crate::wiring;

mod resolve;

/// See the events that could not be used, try them again, or drop them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake dead-letters list                            how many of each cause, newest first
  ringlake dead-letters list --each --cause not-json    one line a letter
  ringlake dead-letters show ringlake.freshcaller/0/17 > event.json
  ringlake dead-letters retry ringlake.freshcaller/0/17
  ringlake dead-letters retry --cause unknown-event     after an upgrade this happens by itself
  ringlake dead-letters drop --cause empty
An id is the event's place in the log. A letter that is tried again keeps its time of receipt; what can be
used goes to its tables once, however often it is asked for. `ringlake serve` may run meanwhile.")]
pub struct Args {
    #[command(subcommand)]
    action: Subcommand,
    /// host:port of the brokers, where the log is in Kafka
    #[arg(long, global = true, value_name = "BROKERS")]
    pub kafka: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// How many there are of each cause, newest first
    List {
        /// One line a letter
        #[arg(long)]
        each: bool,
        /// Those too that were written, found to be repeats, or dropped since
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        which: Which,
        /// How many lines
        #[arg(long, default_value_t = 50)]
        limit: u32,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// The bytes of one as they came; where it lies, why, and what would mend it on stderr
    Show {
        id: String,
        /// All of it as one record: table, csv, json, ndjson
        #[arg(long, short = 'F', value_name = "FORMAT")]
        format: Option<String>,
    },
    /// Try letters again: by id, by cause or system, or all
    Retry(Resolve),
    /// Close letters that are of no use: by id, by cause or system, or all
    #[command(
        long_about = "Close letters that are of no use: by id, by cause or system, or all\n\n\
        They are listed and tried no more. Their rows stay in the table dead_letters, marked."
    )]
    Drop(Resolve),
}

/// Which letters, besides their ids.
#[derive(Clone, Debug, Default, clap::Args)]
struct Which {
    /// Those of this cause, as `list` names it
    #[arg(long, value_name = "CAUSE")]
    cause: Option<String>,
    /// Those of this system
    #[arg(long, value_name = "NAME")]
    system: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Resolve {
    /// Ids, as `list --each` prints them
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    which: Which,
    /// All open letters
    #[arg(long, conflicts_with_all = ["ids", "cause", "system"])]
    all: bool,
    /// How long to wait for what comes of it; 0s does not wait
    #[arg(long, value_name = "TIME", default_value = "1m")]
    wait: Span,
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    match args.action {
        Subcommand::List { each, all, which, limit, output } => {
            list(which.choice(all)?, each, limit, &output, app).await
        }
        Subcommand::Show { id, format } => show(&id, format, app).await,
        Subcommand::Retry(resolve) => resolve::run(resolve, Action::Retry, app).await,
        Subcommand::Drop(resolve) => resolve::run(resolve, Action::Drop, app).await,
    }
}

impl Which {
    fn choice(self, closed: bool) -> Result<Choice, Error> {
        if let Some(name) = &self.system {
            ringlake_transform::systems::by_name(name)?;
        }
        let Self { cause, system } = self;
        Ok(Choice { cause, system, closed, ..Choice::default() })
    }
}

async fn list(
    choice: Choice,
    each: bool,
    limit: u32,
    output: &OutputArgs,
    app: &App,
) -> Result<(), Error> {
    let condition = choice.condition();
    let sql = if each {
        format!(
            "SELECT id, received_at, system, route, stage, cause, message, retried_at, outcome \
             FROM dead_letters_current WHERE {condition} ORDER BY received_at DESC, id LIMIT {limit}"
        )
    } else {
        format!(
            "SELECT cause, stage, system, count(*) AS letters, min(received_at) AS oldest, \
             max(received_at) AS newest, last_value(id ORDER BY received_at, id) AS newest_id, \
             last_value(message ORDER BY received_at, id) AS newest_message \
             FROM dead_letters_current WHERE {condition} GROUP BY cause, stage, system \
             ORDER BY newest DESC, letters DESC, cause, system LIMIT {limit}"
        )
    };
    let engine = wiring::engine(app.config()).await?;
    answers::write(engine.sql(&sql).await?, output, app.console).await
}

async fn show(id: &str, format: Option<String>, app: &App) -> Result<(), Error> {
    let engine = wiring::engine(app.config()).await?;
    let sql = |columns: &str| {
        format!("SELECT {columns} FROM dead_letters_current WHERE id = {}", quoted(id))
    };
    let found = engine.sql(&sql(RECORD)).await?.collect().await?;
    let Some(letter) = found.iter().find(|batch| batch.num_rows() > 0) else {
        return Err(Error::failed(
            format!("there is no dead letter {id:?}"),
            "`ringlake dead-letters list --each` shows their ids",
        ));
    };
    if format.is_some() {
        let output = OutputArgs { format, ..OutputArgs::default() };
        return answers::write(engine.sql(&sql(RECORD)).await?, &output, app.console).await;
    }
    let batches = engine.sql(&sql("body")).await?.collect().await?;
    let body = batches.first().and_then(|batch| batch.column_by_name("body"));
    let body = body.and_then(|column| column.as_binary_opt::<i32>()).map(|body| body.value(0));
    tell(letter, id, &engine, app).await?;
    let mut out = app.console.data();
    out.write_all(body.unwrap_or_default()).and_then(|()| out.flush()).map_err(Error::Output)
}

/// A letter as text; bytes that are none as base64.
const RECORD: &str = "id, system, route, CAST(received_at AS VARCHAR) AS received_at, stage, cause, \
    message, CAST(retried_at AS VARCHAR) AS retried_at, outcome, is_open, \
    TRY_CAST(body AS VARCHAR) AS body, \
    CASE WHEN TRY_CAST(body AS VARCHAR) IS NULL THEN encode(body, 'base64') END AS body_base64";

/// Says on stderr where a letter lies, why it is one, and what would mend it.
async fn tell(
    letter: &RecordBatch,
    id: &str,
    engine: &ringlake_queries::Engine,
    app: &App,
) -> Result<(), Error> {
    let text = |name: &str| {
        let column = letter.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        column.map(|column| column.value(0).to_owned()).filter(|text| !text.is_empty())
    };
    let is_open = letter.column_by_name("is_open").and_then(|column| column.as_boolean_opt());
    let is_open = is_open.is_some_and(|column| column.value(0));
    let (system, cause) = (text("system").unwrap_or_default(), text("cause").unwrap_or_default());
    let say = |what: &str, value: Option<String>| {
        if let Some(value) = value {
            app.console.note(format!("{what:<11} {value}"));
        }
    };
    say("letter", Some(id.to_owned()));
    say("system", Some(system.clone()));
    say("route", text("route"));
    say("received at", text("received_at"));
    say("cause", text("stage").map(|stage| format!("{cause} ({stage})")));
    say("why", text("message"));
    say("asked at", text("retried_at"));
    say("outcome", text("outcome"));
    if is_open {
        let choice = Choice { ids: vec![id.to_owned()], ..Choice::default() };
        let found = letters::find(engine, &choice).await?;
        let mut trial = Trial::default();
        let events = letters::events(engine, &found).await?;
        let mut events = events.iter();
        let usable = events.any(|(_, system, event)| is_known(&mut trial, system, event));
        let mend = if usable {
            format!("this version can use it: ringlake dead-letters retry {id}")
        } else {
            mend(&cause).unwrap_or("another version of ringlake may know it").to_owned()
        };
        say("to mend it", Some(mend));
    }
    Ok(())
}
