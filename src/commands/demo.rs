//! `ringlake demo`: the whole way once, with a simulated day, on a folder of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringlake_ingest::Tokens;
use ringlake_queries::report::{self, ReportRequest};
use ringlake_transform::SYSTEMS;
use tokio::sync::watch;

use crate::answers::{self, OutputArgs};
use crate::app::App;
use crate::config::{ByteSize, Config, LogKind, Span};
use crate::error::Error;
use crate::pipeline::Committed;
use crate::sender::{self, Pace, Target};
use crate::server::Server;
use crate::simulate::{Event, Settings, Simulation, last_working_day};
use crate::stop::Stop;
use crate::wiring;

/// Without news for this long, something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// Receive a simulated working day on a fresh folder, and print the three reports
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ringlake demo
  ringlake demo --data ./demo --calls 2000
Everything is real but the events: the HTTP door on a free port of this machine, the durable log, the
Delta tables. The folder stays, to be looked at.")]
pub struct Args {
    /// Calls of the day, over all systems
    #[arg(long, default_value_t = 600)]
    calls: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub async fn run(args: Args, app: &App) -> Result<(), Error> {
    let (config, folder) = settings(app)?;
    app.console.note(format!("A simulated working day, into {}", folder.display()));
    let began = Instant::now();
    let sent = receive(&args, &config, app).await?;
    app.console.note(format!("{sent}; all committed after {:.1} s", began.elapsed().as_secs_f64()));
    print_reports(&config, app).await?;
    app.console.note(what_next(&folder));
    Ok(())
}

/// The user's settings do not matter here: a demo must show the same everywhere.
fn settings(app: &App) -> Result<(Config, PathBuf), Error> {
    let mut config = app.config().clone();
    let folder = if app.data_was_given {
        config.data.clone()
    } else {
        let folder = tempfile::Builder::new().prefix("ringlake-demo-").tempdir();
        folder.map_err(Error::file("make", std::env::temp_dir()))?.keep()
    };
    if folder.join("tables").exists() {
        return Err(Error::failed(
            format!("{} has tables already", folder.display()),
            "give --data a new folder, or none for one under the system's temporary folder",
        ));
    }
    config.data.clone_from(&folder);
    config.tables.clear();
    config.log.kind = LogKind::Embedded;
    config.listen = ([127, 0, 0, 1], 0).into();
    config.flush.interval = Span(Duration::from_secs(2));
    config.flush.max_bytes = ByteSize(32 << 20);
    Ok((config, folder))
}

/// Serves, sends the day through the door, and waits until the tables have it all.
async fn receive(args: &Args, config: &Config, app: &App) -> Result<String, Error> {
    let stop = Stop::on_signals()?;
    let mut server = Server::new(stop.clone())?;
    let both = wiring::log(config).await?;
    let tokens = Arc::new(wiring::tokens(config)?);
    let sink = server.open_sink(config).await?;
    server.start_pipeline(config, both.reader, sink);
    let address = server.open_door(config, both.log, tokens.clone()).await?;
    let committed = server.counts.committed();
    let running = tokio::spawn(server.run());

    let target = Target::new(&format!("http://{address}"), all_tokens(&tokens)?)?;
    let events = day(args);
    let bar = app.console.bar(2 * events.len() as u64, "receiving and writing");
    let total = events.len() as u64;
    let pace = Pace { connections: 48, rate: None };
    let step = || bar.inc(1);
    let sent = sender::send(&target, events.into_iter(), pace, &step);
    let sent = tokio::select! {
        sent = sent => sent?,
        () = stop.soon.cancelled() => return Err(Error::Stopped),
    };
    wait_for(total, committed, &|done| bar.set_position(total + done), &stop).await?;
    bar.finish_and_clear();
    stop.soon.cancel();
    running.await??;
    Ok(sent.summary())
}

fn day(args: &Args) -> Vec<Event> {
    let settings = Settings {
        seed: args.seed,
        first_day: last_working_day(chrono::Utc::now().date_naive()),
        days: 1,
        calls: args.calls.max(20),
        system: None,
        repeats: 1.0,
        disorder: 1.0,
    };
    Simulation::new(settings).flatten().collect()
}

fn all_tokens(tokens: &Tokens) -> Result<BTreeMap<String, String>, Error> {
    let mut all = BTreeMap::new();
    for system in SYSTEMS {
        if let Some(token) = tokens.token(system.name())? {
            all.insert(system.name().to_owned(), token);
        }
    }
    Ok(all)
}

async fn wait_for(
    total: u64,
    mut committed: watch::Receiver<Committed>,
    progress: &dyn Fn(u64),
    stop: &Stop,
) -> Result<(), Error> {
    loop {
        let done = committed.borrow_and_update().events;
        progress(done);
        if done >= total {
            return Ok(());
        }
        let stuck = || {
            Error::failed(
                format!("only {done} of {total} events were committed"),
                "run it again with --log debug, and report what it says",
            )
        };
        tokio::select! {
            changed = tokio::time::timeout(PATIENCE, committed.changed()) => {
                changed.map_err(|_| stuck())?.map_err(|_| stuck())?;
            }
            () = stop.soon.cancelled() => return Err(stuck()),
        }
    }
}

async fn print_reports(config: &Config, app: &App) -> Result<(), Error> {
    let engine = wiring::engine(config).await?;
    let output = OutputArgs { format: Some("table".to_owned()), output: None };
    for (name, by) in
        [("call-cost", "number"), ("bill-duration", "team"), ("deal-changes", "to_stage")]
    {
        app.console.note(format!("\nringlake report {name} --by {by}"));
        let request = ReportRequest { by: Some(vec![by.to_owned()]), ..ReportRequest::new(name) };
        let answer = report::run(&engine, &request).await?;
        answers::write(answer, &output, app.console).await?;
    }
    Ok(())
}

fn what_next(folder: &Path) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "ringlake".to_owned());
    let data = folder.display();
    format!(
        "
What to try next (ringlake is {program}):
  ringlake --data {data} report call-cost --by agent,hour --tz Europe/Berlin
  ringlake --data {data} report deal-changes --by owner,field
  ringlake --data {data} query 'SELECT * FROM calls_current ORDER BY cost DESC LIMIT 5'
  ringlake --data {data} serve
  ringlake --data {data} tokens
The folder stays until you remove it: {data}"
    )
}
