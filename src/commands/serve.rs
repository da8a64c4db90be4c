//! `ringlake serve`: door, log, tables and exports in one process.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::app::App;
use crate::commands::tokens;
use crate::error::Error;
use crate::exports;
use crate::letters;
use crate::pg;
use crate::server::Server;
use crate::stop::Stop;
use crate::upkeep;
use crate::wiring;

/// Receive webhooks and keep the tables up to date, all in one process
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake serve
  ringlake serve --data /var/lib/ringlake --listen 0.0.0.0:8640
  ringlake serve --kafka broker1:9092,broker2:9092
  ringlake serve --pg 127.0.0.1:5433
On the first start it makes a token for each system and prints the URLs to paste into the vendors'
settings; `ringlake tokens` prints them again. Ctrl-C commits what was received, then stops.")]
pub struct Args {
    /// The address to receive on [default: 127.0.0.1:8640]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Keep the log in Kafka, instead of the data folder
    #[arg(long, value_name = "BROKERS")]
    pub kafka: Option<String>,
    /// Answer psql, JDBC and BI tools at this address too; `ringlake pg --help` tells how they get in
    #[arg(long, value_name = "ADDR")]
    pub pg: Option<SocketAddr>,
}

pub async fn run(_args: Args, app: &App) -> Result<(), Error> {
    let config = app.config();
    let stop = Stop::on_signals()?;
    let mut server = Server::new(stop.clone())?;
    let both = wiring::log(config).await?;
    let first_start = !wiring::has_tokens(config);
    let vendor_tokens = Arc::new(wiring::tokens(config)?);
    let sink = server.open_sink(config).await?;
    server.start_pipeline(config, both.reader, sink);
    server.spawn(letters::watch::run(config.clone(), both.log.clone(), stop.soon.clone()));
    let address = server.open_door(config, both.log, vendor_tokens.clone()).await?;
    if first_start {
        tokens::announce(config, &vendor_tokens, app.console)?;
    }
    app.console.note(format!(
        "ringlake receives on {}://{address} (data in {})",
        config.scheme(),
        config.data.display()
    ));
    let counts = exports::Counts::new(config, server.registry())?;
    server.spawn(exports::schedule(config.clone(), counts, stop.soon.clone()));
    if !config.pg.listen.is_empty() {
        server.spawn(pg::run(app.loaded.clone(), stop.soon.clone()));
    }
    server.spawn(upkeep::run(config.clone(), stop.soon.clone()));
    server.run().await
}
