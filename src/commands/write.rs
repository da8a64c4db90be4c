//! `ringlake write`: the writing half, from Kafka into the tables.

use crate::app::App;
use crate::commands::ingest::needs_kafka;
use crate::error::Error;
use crate::exports;
use crate::letters;
use crate::server::Server;
use crate::stop::Stop;
use crate::upkeep;
use crate::wiring;
use ringlake_ingest::log::Membership;

/// Write what Kafka has into the tables
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake write --kafka broker:9092
  RINGLAKE_TABLES=s3://bucket/ringlake ringlake write --kafka broker:9092
Any number may run side by side: Kafka's consumer group shares the partitions out. Other programs may
write vendor payloads straight into the topics, one for each system.")]
pub struct Args {
    /// host:port of the brokers, several parted by commas
    #[arg(long, value_name = "BROKERS")]
    pub kafka: Option<String>,
}

pub async fn run(_args: Args, app: &App) -> Result<(), Error> {
    let config = app.config();
    needs_kafka(config, "write")?;
    let stop = Stop::on_signals()?;
    let mut server = Server::new(stop.clone())?;
    let sink = server.open_sink(config).await?;
    let reader = wiring::kafka_reader(config, Membership::Group).await?;
    server.start_pipeline(config, reader, sink);
    app.console.note(format!(
        "ringlake writes from kafka at {} to {}",
        config.log.kafka.brokers,
        config.tables_root()
    ));
    let log = wiring::kafka_log(config).await?;
    server.spawn(letters::watch::run(config.clone(), log, stop.soon.clone()));
    let counts = exports::Counts::new(config, server.registry())?;
    server.spawn(exports::schedule(config.clone(), counts, stop.soon.clone()));
    server.spawn(upkeep::run(config.clone(), stop.soon.clone()));
    server.run().await
}
