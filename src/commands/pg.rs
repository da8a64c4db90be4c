//! `ringlake pg`: the tables by PostgreSQL's protocol.
//!
//! A process of its own, also when `ringlake serve --pg` starts it: whatever somebody asks, it is not the
//! process that receives which runs out of memory.

use std::net::SocketAddr;

use tokio::io::AsyncReadExt;

use crate::app::App;
use crate::error::Error;
use crate::stop::Stop;
use crate::wiring;

/// Answer psql, JDBC and BI tools over PostgreSQL's protocol; the tables are only read
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake pg
  ringlake pg --listen 0.0.0.0:5433
  psql 'host=127.0.0.1 port=5433 user=ringlake dbname=ringlake'
`ringlake serve --pg ADDR` starts this beside the rest. The password is [pg] password of the settings, or
RINGLAKE_PG_PASSWORD, or in the file pg-password of the data folder, which the first start makes.")]
pub struct Args {
    /// The address to answer at [default: [pg] listen of the settings, or 127.0.0.1:5433]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// End when stdin does: whoever started it has gone
    #[arg(long, hide = true)]
    with_stdin: bool,
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let config = app.config();
    let stop = Stop::on_signals()?;
    if args.with_stdin {
        let soon = stop.soon.clone();
        tokio::spawn(async move {
            let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
            soon.cancel();
        });
    }
    let server = wiring::pg(config).await?;
    let address = server.address().map_err(Error::Output)?;
    app.console
        .note(format!("ringlake answers SQL at postgres://{}@{address}/ringlake", config.pg.user));
    server.serve(stop.soon.cancelled_owned()).await;
    Ok(())
}
