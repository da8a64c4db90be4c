//! `ringlake log`: the raw log, as it is.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringlake_ingest::log::Membership;
use ringlake_ingest::{Log, LogReader, LogStatus, PartitionStatus, Polled};
use ringlake_sinks::Progress;
use ringlake_transform::{Positions, RawBatch};

use crate::app::App;
use crate::config::{Config, LogKind, Span};
use crate::envelope::Envelope;
use crate::error::Error;
use crate::wiring;

const CHUNK: usize = 8 << 20;
/// A log that brings nothing for this long has nothing more.
const PATIENCE: Duration = Duration::from_secs(15);

/// Look into the raw log: dump it, see what it holds, or free its space
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake log status
  ringlake log dump > events.ndjson && ringlake --data other import --enveloped events.ndjson
  ringlake log trim --keep 0s
The embedded log is one process's: stop `ringlake serve` first.")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// host:port of the brokers, where the log is in Kafka
    #[arg(long, global = true, value_name = "BROKERS")]
    pub kafka: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Write every event as an envelope, one a line
    Dump {
        /// Only this system's
        #[arg(long, value_name = "NAME")]
        system: Option<String>,
    },
    /// What each partition holds, and how far the tables are
    Status,
    /// Remove what the tables have, and give the space back to the disk
    Trim {
        /// Keep what is younger than this [default: keep of the settings]
        #[arg(long, value_name = "TIME")]
        keep: Option<Span>,
    },
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let config = app.config();
    match args.action {
        Action::Dump { system } => {
            if let Some(name) = &system {
                ringlake_transform::systems::by_name(name)?;
            }
            dump(config, system.as_deref(), app).await
        }
        Action::Status => {
            let (log, _) = open(config).await?;
            let positions =
                Progress::load(&config.tables_root(), &config.stores().as_map()).await?.positions;
            print_status(&log.status().await?, &positions, app)
        }
        Action::Trim { keep } => {
            if config.log.kind == LogKind::Kafka {
                return Err(Error::failed(
                    "a log in Kafka is trimmed by Kafka",
                    "set retention.ms of the topics there",
                ));
            }
            let log = wiring::embedded(config)?;
            let positions = wiring::sink(config, None).await?.positions();
            let keep = keep.unwrap_or(config.log.keep).0;
            let removed = log.trim(&positions, keep).await?;
            app.console.note(format!("removed {removed} events that the tables have"));
            Ok(())
        }
    }
}

/// Reading beside any consumer group, and without moving anything.
async fn open(config: &Config) -> Result<(Arc<dyn Log>, Box<dyn LogReader>), Error> {
    match config.log.kind {
        LogKind::Embedded => {
            let log = wiring::embedded(config)?;
            let reader = Box::new(log.reader());
            Ok((Arc::new(log), reader))
        }
        LogKind::Kafka => {
            let log = wiring::kafka_log(config).await?;
            let reader = wiring::kafka_reader(config, Membership::Alone).await?;
            Ok((log, reader))
        }
    }
}

async fn dump(config: &Config, system: Option<&str>, app: &App) -> Result<(), Error> {
    let (log, mut reader) = open(config).await?;
    let status = log.status().await?;
    let mut left = Left::of(&status);
    let mut out = app.console.data();
    let (mut written, mut damaged) = (0_u64, 0_u64);
    let mut last_news = Instant::now();
    while !left.0.is_empty() && last_news.elapsed() < PATIENCE {
        match reader.next(CHUNK, Duration::from_millis(500)).await? {
            Polled::Assigned(_) => reader.start(&Positions::default()).await?,
            Polled::Events(batches) => {
                last_news = Instant::now();
                for batch in batches {
                    left.take(&batch);
                    if system.is_none_or(|only| only == batch.system.name()) {
                        written += write(&batch, &mut out)?;
                        damaged += batch.events.iter().filter(|event| event.damaged).count() as u64;
                    }
                }
            }
            Polled::Idle | Polled::Revoked(_) => {}
        }
    }
    out.flush().map_err(Error::Output)?;
    app.console.note(format!("{written} events"));
    match damaged {
        0 => Ok(()),
        _ => Err(Error::failed(
            format!("{damaged} records of the log are damaged, and left out"),
            "all others are there; `ringlake verify` names the damaged ones",
        )),
    }
}

/// The partitions that were not read up to where they ended when the dump began.
struct Left(Vec<(ringlake_transform::LogPartition, i64)>);

impl Left {
    fn of(status: &LogStatus) -> Self {
        let filled = status.partitions.iter().filter(|held| held.next > held.first);
        Self(filled.map(|held| (held.partition.clone(), held.next - 1)).collect())
    }

    fn take(&mut self, batch: &RawBatch) {
        self.0
            .retain(|(partition, last)| *partition != batch.partition || *last > batch.range.last);
    }
}

fn write(batch: &RawBatch, out: &mut impl Write) -> Result<u64, Error> {
    let sound = || batch.events.iter().filter(|event| !event.damaged);
    for event in sound() {
        let route = event.route.as_deref();
        let envelope = Envelope::new(batch.system.name(), route, event.received_at, &event.body)
            .with_resolution(event.resolution.as_deref());
        writeln!(out, "{}", envelope.line()).map_err(Error::Output)?;
    }
    Ok(sound().count() as u64)
}

fn print_status(status: &LogStatus, positions: &Positions, app: &App) -> Result<(), Error> {
    let mut out = app.console.data();
    let mut lines = || -> std::io::Result<()> {
        writeln!(
            out,
            "{:32} {:>12} {:>12} {:>14} {:>10}",
            "partition", "first", "next", "bytes", "lag"
        )?;
        let text = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
        for held in &status.partitions {
            // What the tables say counts, not what the log was last told.
            let position = positions.get(&held.partition).unwrap_or(held.first - 1);
            let held = PartitionStatus { released: Some(position), ..held.clone() };
            let (bytes, lag) = (text(held.bytes), text(held.lag()));
            let name = held.partition.to_string();
            writeln!(out, "{name:32} {:>12} {:>12} {bytes:>14} {lag:>10}", held.first, held.next)?;
        }
        out.flush()
    };
    lines().map_err(Error::Output)
}
