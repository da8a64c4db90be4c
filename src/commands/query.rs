//! `ringlake query`: one SQL statement over the tables.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use crate::answers::{self, OutputArgs};
use crate::app::App;
use crate::error::Error;
use crate::wiring;

/// Ask one question in SQL; the tables are only read
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake query 'SELECT agent_name, count(*) FROM calls_current GROUP BY 1 ORDER BY 2 DESC'
  ringlake query -f costs.sql -o costs.parquet
  echo 'SHOW TABLES' | ringlake query --format csv
Tables: calls, deals, field_changes and so on (SHOW TABLES); …_current is the newest state of each.")]
pub struct Args {
    /// The statement; - or nothing reads it from stdin
    sql: Option<String>,
    /// Read the statement from a file
    #[arg(long, short, value_name = "FILE", conflicts_with = "sql")]
    file: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let sql = statement(&args, app)?;
    let engine = wiring::engine(app.config()).await?;
    let answer = engine.sql(&sql).await?;
    answers::write(answer, &args.output, app.console).await
}

fn statement(args: &Args, app: &App) -> Result<String, Error> {
    if let Some(path) = &args.file {
        return std::fs::read_to_string(path).map_err(Error::file("read", path));
    }
    if let Some(sql) = args.sql.as_deref().filter(|sql| *sql != "-") {
        return Ok(sql.to_owned());
    }
    if std::io::stdin().is_terminal() {
        app.console.note("type one SQL statement and end it with Ctrl-D (--help has examples)");
    }
    let mut sql = String::new();
    std::io::stdin().read_to_string(&mut sql).map_err(Error::file("read", "stdin"))?;
    if sql.trim().is_empty() {
        return Err(Error::usage(
            "there is no SQL statement: give one, or -f FILE, or write it to stdin",
        ));
    }
    Ok(sql)
}
