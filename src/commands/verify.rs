//! `ringlake verify`: that each event of the log is in the tables exactly once.

use std::io::Write;
use std::sync::Arc;

use ringlake_ingest::log::Membership;
use ringlake_ingest::{DataLock, Log, LogReader};
use ringlake_sinks::Audit;
use ringlake_transform::LogPartition;

use crate::app::App;
use crate::config::{Config, LogKind};
use crate::error::Error;
use crate::verify::{self, Findings, Line, Tables};
use crate::wiring;

/// Prove that each event of the log is in the tables exactly once
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake verify
  ringlake verify --data /var/lib/ringlake
  ringlake verify --kafka broker1:9092
  ringlake verify --tables-only          while `ringlake serve` is running
  ringlake verify --repair               after a power cut left a commit empty or torn
It reads the log and all tables, changes nothing, and ends with 1 if anything is wrong.
The embedded log is one process's: stop `ringlake serve` first, or look at the tables alone.")]
pub struct Args {
    /// host:port of the brokers, where the log is in Kafka
    #[arg(long, value_name = "BROKERS")]
    pub kafka: Option<String>,
    /// Check files, checksums, rows and sums of the tables, and leave the log alone
    #[arg(long)]
    tables_only: bool,
    /// First set aside commits that are empty or torn; their rows come back from the log
    #[arg(long, conflicts_with = "tables_only")]
    repair: bool,
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let config = app.config();
    if args.repair {
        repair(config, app).await?;
    }
    let log = match args.tables_only {
        true => None,
        false => Some(open(config).await?),
    };
    let mut findings = Findings::default();
    let mut audit = Audit::open(&config.tables_root(), &config.stores().as_map()).await?;
    let bar = app.console.byte_bar(0, "tables");
    let tables = verify::read_tables(&mut audit, &mut findings, &bar).await?;
    bar.finish_and_clear();
    let mut lines = Vec::new();
    if let Some((log, mut reader)) = log {
        let bar = app.console.bar(0, "log");
        let (log, reader) = (log.as_ref(), reader.as_mut());
        lines = verify::read_log(log, reader, &audit, &tables, &mut findings, &bar).await?;
        bar.finish_and_clear();
    }
    print(&tables, &lines, &findings, app).map_err(Error::Output)?;
    match findings.count() {
        0 => Ok(()),
        1 => Err(Error::failed("one thing is wrong", "see the line above")),
        count => Err(Error::failed(format!("{count} things are wrong"), "see the lines above")),
    }
}

/// The log, for reading alone.
async fn open(config: &Config) -> Result<(Arc<dyn Log>, Box<dyn LogReader>), Error> {
    match config.log.kind {
        LogKind::Embedded => {
            let log = wiring::embedded(config)?;
            let reader = Box::new(log.reader());
            Ok((Arc::new(log), reader))
        }
        LogKind::Kafka => {
            let log = wiring::kafka_log(config).await?;
            Ok((log, wiring::kafka_reader(config, Membership::Alone).await?))
        }
    }
}

async fn repair(config: &Config, app: &App) -> Result<(), Error> {
    // Nobody may write meanwhile; over Kafka that is for whoever calls this to see to.
    let _lock = match config.log.kind {
        LogKind::Embedded => Some(DataLock::acquire(&config.data)?),
        LogKind::Kafka => None,
    };
    let moved = ringlake_sinks::repair(&config.tables_root(), &config.stores().as_map()).await?;
    for one in &moved {
        app.console.note(format!("table {}: {} is now {}", one.table, one.from, one.to));
    }
    let end = match moved.len() {
        0 => "nothing had to be set aside".to_owned(),
        count => {
            format!("{count} commits set aside; the next `ringlake serve` writes their rows anew")
        }
    };
    app.console.note(end);
    Ok(())
}

fn print(
    tables: &Tables,
    lines: &[(LogPartition, Line)],
    findings: &Findings,
    app: &App,
) -> std::io::Result<()> {
    let mut out = app.console.data();
    if !lines.is_empty() {
        writeln!(
            out,
            "{:28} {:>10} {:>10} {:>10} {:>10} {:>8} {:>8} {:>8}",
            "partition", "first", "next", "complete", "rows", "letters", "repeats", "waiting"
        )?;
    }
    for (partition, line) in lines {
        let position = line.position.map_or("-".to_owned(), |position| position.to_string());
        let Line { first, next, rows, letters, repeats, waiting, .. } = line;
        let name = partition.to_string();
        writeln!(
            out,
            "{name:28} {first:>10} {next:>10} {position:>10} {rows:>10} {letters:>8} {repeats:>8} {waiting:>8}"
        )?;
    }
    let Tables { files, bytes, rows, .. } = tables;
    writeln!(out, "tables: {files} files, {bytes} bytes, {rows} rows")?;
    for line in &findings.lines {
        writeln!(out, "wrong: {line}")?;
    }
    for line in findings.unnamed() {
        writeln!(out, "wrong: {line}")?;
    }
    if findings.count() == 0 {
        let of =
            if lines.is_empty() { "the tables are whole" } else { "every event is there once" };
        writeln!(out, "{of}")?;
    }
    out.flush()
}
