//! `ringlake dead-letters retry` and `drop`.
//!
//! | the log is | and | then |
//! | --- | --- | --- |
//! | Kafka's | | what is asked goes into it from here, and the writers do it |
//! | embedded | another process serves the folder | it is left for that one to take up |
//! | embedded | nobody does | this process takes the folder, and runs the loop until it is done |

use std::collections::HashSet;
use std::time::{Duration, Instant};

use ringlake_ingest::{Log, LogError};
use ringlake_transform::Micros;
use ringlake_transform::letters::Action;

use super::Resolve;
use crate::app::App;
use crate::config::{Config, LogKind};
use crate::console::Console;
use crate::error::Error;
use crate::letters::{self, Choice, Letter, Outcomes, spool, watch};
use crate::pipeline::now;
use crate::server::Server;
use crate::stop::Stop;
use crate::wiring;

/// Between two looks at the tables; longer the longer it takes.
const LOOK: Duration = Duration::from_millis(300);
const LONGEST_LOOK: Duration = Duration::from_secs(3);

pub async fn run(args: Resolve, action: Action, app: &App) -> Result<(), Error> {
    let (ids, wait) = (args.ids, args.wait.0);
    if ids.is_empty() && !args.all && args.which.cause.is_none() && args.which.system.is_none() {
        return Err(Error::Usage {
            message: "which letters?".into(),
            hint: Some(
                "name ids, --cause, --system, or --all; `ringlake dead-letters list` shows them"
                    .into(),
            ),
        });
    }
    let choice = Choice { ids, ..args.which.choice(false)? };
    let config = app.config();
    let engine = wiring::engine(config).await?;
    let found = letters::find(&engine, &choice).await?;
    missing(&engine, &choice, &found, app.console).await?;
    if found.is_empty() {
        app.console.note("no open dead letter is meant: nothing to do");
        return Ok(());
    }
    let asking = Asking { action, asked_at: now(), wait, console: app.console };
    match config.log.kind {
        LogKind::Kafka => {
            let log = wiring::kafka_log(config).await?;
            let asked = asking.append(config, log.as_ref(), &found).await?;
            asking.wait_for(config, asked).await
        }
        LogKind::Embedded => match wiring::log(config).await {
            Ok(both) => asking.alone(config, both, &found).await,
            Err(Error::Log(LogError::InUse { .. })) => {
                let ids: Vec<String> = found.into_iter().map(|letter| letter.id).collect();
                let waiting = ids.iter().cloned().collect();
                let (action, asked_at) = (asking.action, asking.asked_at);
                spool::leave(&config.data, &spool::Request { action, asked_at, letters: ids })?;
                asking.wait_for(config, waiting).await
            }
            Err(error) => Err(error),
        },
    }
}

/// Names the ids that are no letters, which is an error, and those that are closed, which is none.
async fn missing(
    engine: &ringlake_queries::Engine,
    choice: &Choice,
    found: &[Letter],
    console: Console,
) -> Result<(), Error> {
    let open: HashSet<&String> = found.iter().map(|letter| &letter.id).collect();
    let rest: Vec<String> = choice.ids.iter().filter(|id| !open.contains(id)).cloned().collect();
    if rest.is_empty() {
        return Ok(());
    }
    let closed = Choice { ids: rest.clone(), closed: true, ..Choice::default() };
    let closed = letters::find(engine, &closed).await?;
    let closed: HashSet<String> = closed.into_iter().map(|letter| letter.id).collect();
    match rest.iter().find(|id| !closed.contains(*id)) {
        Some(id) => Err(Error::failed(
            format!("there is no dead letter {id:?}"),
            "`ringlake dead-letters list --each` shows their ids",
        )),
        None => {
            for id in rest {
                console.note(format!("{id} needs nothing more; `show` says what came of it"));
            }
            Ok(())
        }
    }
}

/// One asking.
struct Asking {
    action: Action,
    asked_at: Micros,
    wait: Duration,
    console: Console,
}

impl Asking {
    /// Hands it to the log, and returns what to wait for.
    async fn append(
        &self,
        config: &Config,
        log: &dyn Log,
        found: &[Letter],
    ) -> Result<HashSet<String>, Error> {
        let engine = wiring::engine(config).await?;
        let (action, asked_at) = (self.action, self.asked_at);
        let asked = letters::append(&engine, log, found, action, asked_at, |_, _| true).await?;
        if asked.impossible > 0 {
            self.console.note(format!(
                "{} letters are larger than the log takes, or of a system that this version has not",
                asked.impossible
            ));
        }
        Ok(asked.letters)
    }

    /// Runs the loop in this process until it is done.
    async fn alone(
        self,
        config: &Config,
        both: wiring::BothSides,
        found: &[Letter],
    ) -> Result<(), Error> {
        let stop = Stop::on_signals()?;
        // What was left for a process that died before it took it up.
        watch::take_up(config, both.log.as_ref()).await?;
        let asked = self.append(config, both.log.as_ref(), found).await?;
        let mut server = Server::new(stop.clone())?;
        let sink = server.open_sink(config).await?;
        server.start_pipeline(config, both.reader, sink);
        let (config, soon) = (config.clone(), stop.soon.clone());
        server.spawn(async move {
            let done = soon.run_until_cancelled(self.wait_for(&config, asked)).await;
            soon.cancel();
            done.unwrap_or(Ok(()))
        });
        let done = server.run().await;
        // The loop reads the log to its end; only then is it closed.
        drop(both.log);
        done
    }

    /// Waits until the tables say what came of it, and says so.
    async fn wait_for(&self, config: &Config, mut waiting: HashSet<String>) -> Result<(), Error> {
        let all = waiting.len();
        let bar = self.console.bar(all as u64, "resolving");
        let mut outcomes = Outcomes::default();
        let (begun, mut pause) = (Instant::now(), LOOK);
        loop {
            let engine = wiring::engine(config).await?;
            letters::outcomes(&engine, &mut waiting, self.asked_at, &mut outcomes).await?;
            bar.set_position((all - waiting.len()) as u64);
            if waiting.is_empty() || begun.elapsed() >= self.wait {
                break;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_LOOK);
        }
        bar.finish_and_clear();
        self.say(outcomes, waiting.len());
        if waiting.is_empty() || self.wait.is_zero() {
            return Ok(());
        }
        Err(Error::failed(
            format!("{} of {all} letters are not done yet", waiting.len()),
            "they are durable in the log, and done as soon as `ringlake serve` or `ringlake write` runs",
        ))
    }

    fn say(&self, outcomes: Outcomes, left: usize) {
        let counts = [
            (outcomes.written, "written"),
            (outcomes.repeated, "in the tables already"),
            (outcomes.refused, "still cannot be used"),
            (outcomes.dropped, "dropped"),
            (left as u64, "handed to the writer"),
        ];
        let told: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        self.console.note(told.join(", "));
        if outcomes.refused > 0 {
            self.console.note("hint: `ringlake dead-letters show ID` says what would mend one");
        }
    }
}
