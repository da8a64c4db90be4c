//! `ringlake dead-letters`: the events that could not be used.

use std::io::Write;

use arrow::array::AsArray;

use crate::answers::{self, OutputArgs};
use crate::app::App;
use crate::error::Error;
use crate::wiring;

/// List the events that could not be used, or show one as it came
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake dead-letters list
  ringlake dead-letters show ringlake.freshcaller/0/17 > event.json")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// The newest of them, with the cause
    List {
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: u32,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// The bytes of one, as they came
    Show { id: String },
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let engine = wiring::engine(app.config()).await?;
    match args.action {
        Action::List { limit, output } => {
            let sql = format!(
                "SELECT id, received_at, system, route, stage, cause, message \
                 FROM dead_letters ORDER BY received_at DESC, id LIMIT {limit}"
            );
            answers::write(engine.sql(&sql).await?, &output, app.console).await
        }
        Action::Show { id } => {
            let quoted = id.replace('\'', "''");
            let sql = format!(
                "SELECT CAST(body AS BYTEA) AS body FROM dead_letters WHERE id = '{quoted}'"
            );
            let batches = engine.sql(&sql).await?.collect().await?;
            let found = batches.iter().find(|batch| batch.num_rows() > 0);
            let body = found.map(|batch| batch.column(0));
            let body = body.and_then(|column| column.as_binary_opt::<i32>());
            let Some(body) = body else {
                return Err(Error::failed(
                    format!("there is no dead letter {id:?}"),
                    "`ringlake dead-letters list` shows their ids",
                ));
            };
            let mut out = app.console.data();
            out.write_all(body.value(0)).and_then(|()| out.flush()).map_err(Error::Output)
        }
    }
}
