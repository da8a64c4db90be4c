//! `ringlake ingest`: the receiving half, into Kafka.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::app::App;
use crate::commands::tokens;
use crate::config::{Config, LogKind};
use crate::error::Error;
use crate::server::Server;
use crate::stop::Stop;
use crate::wiring;

/// Receive webhooks into Kafka; `ringlake write` takes them from there
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake ingest --kafka broker:9092 --listen 0.0.0.0:8640
Any number may run side by side, with the same tokens in their data folders or in
RINGLAKE_TOKEN_… variables.")]
pub struct Args {
    /// The address to receive on [default: 127.0.0.1:8640]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// host:port of the brokers, several parted by commas
    #[arg(long, value_name = "BROKERS")]
    pub kafka: Option<String>,
}

pub async fn run(_args: Args, app: &App) -> Result<(), Error> {
    let config = app.config();
    needs_kafka(config, "ingest")?;
    let stop = Stop::on_signals()?;
    let mut server = Server::new(stop.clone())?;
    let first_start = !wiring::has_tokens(config);
    let vendor_tokens = Arc::new(wiring::tokens(config)?);
    let log = wiring::kafka_log(config).await?;
    let address = server.open_door(config, log, vendor_tokens.clone()).await?;
    if first_start {
        tokens::announce(config, &vendor_tokens, app.console)?;
    }
    app.console.note(format!(
        "ringlake receives on {}://{address} into kafka at {}",
        config.scheme(),
        config.log.kafka.brokers
    ));
    server.run().await
}

/// The halves have nothing to share but Kafka.
pub fn needs_kafka(config: &Config, command: &str) -> Result<(), Error> {
    if config.log.kind == LogKind::Kafka {
        return Ok(());
    }
    Err(Error::Usage {
        message: format!("`ringlake {command}` works over Kafka, and no brokers are named"),
        hint: Some("give --kafka HOST:PORT, or run `ringlake serve`, which needs no Kafka".into()),
    })
}
