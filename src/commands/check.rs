//! `ringlake check`: whether the settings are right, all mistakes at once.

use std::io::Write;

use crate::app::App;
use crate::error::Error;
use crate::wiring;

/// Check the settings, tariffs and own reports, and say what holds; every mistake is named with its line
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake check
  ringlake check --config /etc/ringlake.toml")]
pub struct Args {}

/// Settings with mistakes never get here: they are reported while they are loaded.
pub async fn run(_args: Args, app: &App) -> Result<(), Error> {
    let config = app.config();
    for name in &app.loaded.unknown_variables {
        app.console.note(format!("warning: {name} looks like a setting and is none"));
    }
    let file =
        app.loaded.file.as_ref().map_or("none".to_owned(), |path| path.display().to_string());
    let log = match config.log.kind {
        crate::config::LogKind::Embedded => "embedded".to_owned(),
        crate::config::LogKind::Kafka => format!("kafka at {}", config.log.kafka.brokers),
    };
    let tariffs = wiring::tariffs(config)?;
    let saved = wiring::saved_reports(config)?;
    if let Some(wrong) = saved.iter().find_map(|report| report.wrong()) {
        return Err(Error::Question(Box::new(wrong)));
    }
    let mut out = app.console.data();
    let mut lines = || -> std::io::Result<()> {
        writeln!(out, "settings file  {file}")?;
        writeln!(out, "data folder    {}", config.data.display())?;
        writeln!(out, "tables         {}", config.tables_root())?;
        writeln!(out, "listen         {}", config.listen)?;
        writeln!(out, "log            {log}")?;
        writeln!(out, "time zone      {}", config.time_zone)?;
        writeln!(out, "accounts       {}", config.accounts.len())?;
        writeln!(out, "tariffs        {}", tariffs.all().len())?;
        writeln!(out, "own reports    {}", saved.len())?;
        writeln!(out, "exports        {}", config.exports.len())?;
        writeln!(out, "ok")?;
        out.flush()
    };
    lines().map_err(Error::Output)
}
