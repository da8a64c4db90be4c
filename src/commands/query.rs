//! `ringlake query`: one SQL statement over the tables.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use crate::answers::{self, LimitArgs, OutputArgs};
use crate::app::App;
use crate::error::Error;
use crate::{repl, wiring};

/// Ask one question in SQL; the tables are only read
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake query 'SELECT agent_name, count(*) FROM calls_current GROUP BY 1 ORDER BY 2 DESC'
  ringlake query -f costs.sql -o costs.parquet
  echo 'SHOW TABLES' | ringlake query --format csv
  ringlake query                      a session: history, Tab completes, \\? helps, \\q ends it
Tables: `ringlake schema` lists them; …_current is the newest state of each.")]
pub struct Args {
    /// The statement; - reads it from stdin, nothing opens a session
    sql: Option<String>,
    /// Read the statement from a file
    #[arg(long, short, value_name = "FILE", conflicts_with = "sql")]
    file: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let is_asked = args.sql.is_some() || args.file.is_some();
    if !is_asked && std::io::stdin().is_terminal() && app.console.stdout_is_terminal() {
        return repl::run(args.output, app).await;
    }
    let sql = statement(&args)?;
    let engine = wiring::engine(app.config()).await?;
    let answer = engine.sql(&sql).await.map_err(Error::statement(&sql))?;
    answers::write(answer, &args.output, app.console).await
}

fn statement(args: &Args) -> Result<String, Error> {
    if let Some(path) = &args.file {
        return std::fs::read_to_string(path).map_err(Error::file("read", path));
    }
    if let Some(sql) = args.sql.as_deref().filter(|sql| *sql != "-") {
        return Ok(sql.to_owned());
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
