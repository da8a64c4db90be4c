//! One round: a folder, its lives, and the count at the end.

use std::collections::HashMap;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arrow::record_batch::RecordBatch;
use ringlake_sinks::Audit;
use ringlake_transform::tables::PROGRESS;
use tokio_util::sync::CancellationToken;

use super::cluster::Cluster;
use super::crew::{Crew, Whom};
use super::disk::Trouble;
use super::load::{Load, lock};
use super::place::Place;
use super::plan::{self, End, Plan};
use super::server::{Binary, Life, Started};
use super::source::Source;
use super::{Outcome, Settings, dice, free_address};
use crate::error::Error;

/// A life that gets nothing acknowledged for this long is ended as it is.
const PATIENCE: Duration = Duration::from_secs(10);
/// Once nothing is in its way, nothing may stand still for this long; nor over Kafka, where a dead writer is
/// waited for, a partition that stands still is looked at every 10 s, and batches are as large as what has
/// gathered meanwhile.
const CALM: Duration = Duration::from_secs(60);
const CALM_OF_KAFKA: Duration = Duration::from_secs(180);
/// How long a fail point, or a call that a failing disk refuses, is waited for while events flow.
const OCCASION: Duration = Duration::from_secs(5);
/// A writer over Kafka may have a backlog before it.
const OCCASION_OF_KAFKA: Duration = Duration::from_secs(20);

pub struct Round<'a> {
    settings: &'a Settings,
    seed: u64,
    load: Arc<Load>,
    plans: Vec<Plan>,
    crew: Crew,
    // Goes last: everything lies in it.
    place: Place,
}

impl<'a> Round<'a> {
    pub async fn begin(settings: &'a Settings, seed: u64) -> Result<Self, Error> {
        let place = Place::new(&settings.folder, settings.power, dice(seed, 2))?;
        let mut binary = Binary::new(place.data(), place.messages(), free_address()?)?;
        binary.variables = place.variables();
        let cluster = match &settings.kafka {
            Some(kafka) => Some(Cluster::new(kafka, seed, &mut dice(seed, 4)).await?),
            None => None,
        };
        let crew = Crew::new(binary, cluster, place.tables());
        let plans = plan::round(settings.lives, &settings.ends, &mut dice(seed, 1));
        Ok(Self { settings, seed, load: Load::new(), plans, crew, place })
    }

    /// Lives all lives, then counts. What is wrong stands in `outcome` afterwards.
    pub async fn run(
        mut self,
        outcome: &mut Outcome,
        stop: &CancellationToken,
        tell: &(dyn Fn(&Outcome) + Sync),
    ) -> Result<(), Error> {
        let enough = CancellationToken::new();
        let senders = self.load.send(self.crew.binary.address, &enough, self.settings.senders);
        let mut source = Source::new(self.seed, dice(self.seed, 3));
        let (load, over_kafka) = (Arc::clone(&self.load), self.settings.kafka.is_some());
        let result = tokio::select! {
            lived = self.live_all(outcome, tell) => lived,
            flowed = source.flow(&load, over_kafka) => flowed.map(|never| match never {}),
            () = stop.cancelled() => Err(Error::Stopped),
        };
        self.crew.kill(Whom::All).await?;
        enough.cancel();
        senders.wait().await;
        outcome.sent += self.load.sent.load(Ordering::Acquire);
        outcome.acknowledged += self.load.acknowledged.load(Ordering::Acquire);
        outcome.repeated += self.load.repeated.load(Ordering::Acquire);
        outcome.rebalances += self.crew.rebalances;
        outcome.lose(self.place.losses());
        match result {
            Ok(()) => self.count(outcome).await?,
            Err(Error::Stopped) => {
                outcome.is_stopped = true;
                return self.leave().await;
            }
            Err(error) => {
                outcome.verdict.wrong += 1;
                outcome.faults.push(error.report());
                outcome.faults.push(self.crew.binary.last_words());
            }
        }
        outcome.rounds += 1;
        if !outcome.is_clean() {
            self.keep(outcome);
            return Ok(());
        }
        self.leave().await
    }

    /// Leaves nothing behind.
    async fn leave(self) -> Result<(), Error> {
        match self.crew.cluster {
            Some(cluster) => cluster.remove().await,
            None => Ok(()),
        }
    }

    async fn live_all(
        &mut self,
        outcome: &mut Outcome,
        tell: &(dyn Fn(&Outcome) + Sync),
    ) -> Result<(), Error> {
        let share = self.settings.events.div_ceil(self.plans.len().max(1)) as u64;
        for plan in std::mem::take(&mut self.plans) {
            self.load.rests.store(false, Ordering::Release);
            self.load.owed.fetch_add(share, Ordering::AcqRel);
            self.live(&plan, share, outcome).await?;
            tell(outcome);
        }
        self.finish().await
    }

    /// One life, from its start to its end.
    async fn live(&mut self, plan: &Plan, share: u64, outcome: &mut Outcome) -> Result<(), Error> {
        let (killed, stopped) = self.crew.gather(&plan.life, plan.writers).await?;
        outcome.kills += killed;
        outcome.stops += stopped;
        let before = self.load.acknowledged.load(Ordering::Acquire);
        if let Some(after) = plan.after {
            if let Started::Ended(status) = self.crew.wait_ready().await? {
                if plan.end == End::FailPoint && status.code().is_none() {
                    outcome.aborts += self.crew.bury()?;
                    return Ok(());
                }
                return Err(would_not_start(status));
            }
            let wanted = before + (share as f64 * after) as u64;
            self.wait_acknowledged(wanted).await?;
        }
        match plan.later {
            Some(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            None => self.wait_caught_up().await?,
        }
        self.end(plan, outcome).await
    }

    /// Waits until the tables have what the log has; not for a server that has ended.
    async fn wait_caught_up(&mut self) -> Result<(), Error> {
        self.load.rests.store(true, Ordering::Release);
        let began = Instant::now();
        while began.elapsed() < PATIENCE && self.crew.ended()?.is_none() {
            if self.load.open() == 0 && self.crew.backlog().await == Some(0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn end(&mut self, plan: &Plan, outcome: &mut Outcome) -> Result<(), Error> {
        match plan.end {
            // It dies by itself, or may.
            End::FailPoint | End::Trouble { .. } => {}
            _ => self.is_alive()?,
        }
        match &plan.end {
            End::Kill => outcome.kills += self.crew.kill(plan.whom).await?,
            End::FailPoint => match self.wait_death().await? {
                true => outcome.aborts += self.crew.bury()?,
                // Its step did not come: there was nothing to trim, no table was new. Whoever is armed must
                // not outlive its life.
                false => outcome.kills += self.crew.kill(Whom::All).await?,
            },
            End::PowerCut => {
                self.crew.kill(Whom::All).await?;
                self.place.cut_power()?;
                outcome.cuts += 1;
            }
            End::Trouble { trouble, millis, cut } => {
                self.suffer(*trouble, Duration::from_millis(*millis)).await?;
                outcome.troubles += 1;
                self.crew.kill(Whom::All).await?;
                if *cut {
                    self.place.cut_power()?;
                    outcome.cuts += 1;
                }
                self.place.trouble(Trouble::None)?;
            }
            End::Stop => outcome.stops += self.crew.stop(plan.whom).await?.len() as u64,
        }
        match self.load.refused() {
            Some(refused) => Err(Error::failed(refused, "every request was a good one")),
            None => Ok(()),
        }
    }

    /// Nothing but what we do to it may end a server.
    fn is_alive(&mut self) -> Result<(), Error> {
        match self.crew.ended()? {
            None => Ok(()),
            Some(status) => {
                let what = format!("the server ended by itself: {status}");
                Err(Error::failed(what, "its last messages are below"))
            }
        }
    }

    /// Waits, while events flow, until the server dies at its fail point.
    async fn wait_death(&mut self) -> Result<bool, Error> {
        self.load.rests.store(false, Ordering::Release);
        let began = Instant::now();
        let occasion = if self.crew.cluster.is_some() { OCCASION_OF_KAFKA } else { OCCASION };
        while began.elapsed() < occasion {
            match self.crew.ended()? {
                Some(status) if status.code().is_none() => return Ok(true),
                _ => self.is_alive()?,
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(false)
    }

    /// Lets the device fail while events flow, for so long beyond the first call that it refuses.
    async fn suffer(&mut self, trouble: Trouble, lasting: Duration) -> Result<(), Error> {
        self.load.rests.store(false, Ordering::Release);
        let refused = self.place.losses().1;
        self.place.trouble(trouble)?;
        let began = Instant::now();
        let mut struck = matches!(trouble, Trouble::Slow(_)).then(Instant::now);
        while began.elapsed() < OCCASION && self.crew.ended()?.is_none() {
            if struck.is_none() && self.place.losses().1 > refused {
                struck = Some(Instant::now());
            }
            if struck.is_some_and(|struck| struck.elapsed() >= lasting) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Waits until so many events of the round are acknowledged; not for a server that has ended or that
    /// takes none.
    async fn wait_acknowledged(&mut self, wanted: u64) -> Result<(), Error> {
        let mut last = (0, Instant::now());
        while self.crew.ended()?.is_none() && last.1.elapsed() < PATIENCE {
            let now = self.load.acknowledged.load(Ordering::Acquire);
            if now >= wanted {
                return Ok(());
            }
            if now != last.0 {
                last = (now, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// In peace now: everything is acknowledged, committed, and the server stops.
    async fn finish(&mut self) -> Result<(), Error> {
        let calm = Life {
            fail_point: None,
            settings: vec![
                ("RINGLAKE_FLUSH_INTERVAL", "100ms".to_owned()),
                ("RINGLAKE_LOG_KEEP", "3d".to_owned()),
            ],
        };
        self.load.rests.store(true, Ordering::Release);
        for _ in 0..5 {
            self.crew.gather(&calm, 2).await?;
            if let Started::Ended(status) = self.crew.wait_ready().await? {
                return Err(would_not_start(status));
            }
            self.wait_calm().await?;
            // What is not committed in the time that a stop may take is for the next start.
            if self.crew.stop(Whom::All).await?.iter().all(|status| status.success()) {
                return Ok(());
            }
        }
        Err(Error::failed("the server does not finish", "its last messages are below"))
    }

    /// Waits until everything is acknowledged and in the tables.
    async fn wait_calm(&mut self) -> Result<(), Error> {
        let calm = if self.crew.cluster.is_some() { CALM_OF_KAFKA } else { CALM };
        let mut last = ((u64::MAX, None), Instant::now());
        loop {
            let now = (self.load.open(), self.crew.backlog().await);
            if now == (0, Some(0)) {
                return Ok(());
            }
            self.is_alive()?;
            if now != last.0 {
                last = (now, Instant::now());
            }
            if last.1.elapsed() > calm {
                let (open, backlog) = now;
                let backlog = backlog.map_or("?".to_owned(), |events| events.to_string());
                let what =
                    format!("{open} events are not acknowledged, {backlog} never reach the tables");
                return Err(Error::failed(what, "its last messages are below"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Every row against the ledger, and `ringlake verify`.
    async fn count(&self, outcome: &mut Outcome) -> Result<(), Error> {
        let mut verify = self.crew.binary.command(&["verify"]);
        let verify = verify.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let verify = verify.map_err(Error::file("run", "ringlake verify"))?;
        self.count_rows(outcome).await?;
        let verify = verify.wait_with_output().await;
        let verify = verify.map_err(Error::file("run", "ringlake verify"))?;
        if !verify.status.success() {
            let said = String::from_utf8_lossy(&verify.stdout);
            let said = format!("{said}{}", String::from_utf8_lossy(&verify.stderr));
            outcome.verdict.wrong += 1;
            outcome.faults.push(format!("ringlake verify: {}", said.trim_end()));
        }
        Ok(())
    }

    async fn count_rows(&self, outcome: &mut Outcome) -> Result<(), Error> {
        let root = self.place.tables().display().to_string();
        let audit = Audit::open(&root, &HashMap::new()).await?;
        let mut strangers = 0;
        let ledger = &self.load.ledger;
        lock(ledger).recount();
        for file in audit.files().await? {
            if file.table.name == PROGRESS.name {
                continue;
            }
            let mut count = |batch: &RecordBatch| {
                strangers += lock(ledger).count(file.table, batch);
            };
            if let Err(error) = audit.read(&file, None, &mut count).await {
                outcome.verdict.wrong += 1;
                outcome.faults.push(Error::from(error).report());
            }
        }
        let mut verdict = lock(ledger).verdict();
        verdict.wrong += strangers;
        outcome.verdict.add(verdict);
        if !verdict.is_clean() {
            outcome
                .faults
                .push(format!("the ledger says {verdict:?}, {strangers} rows of no event"));
        }
        Ok(())
    }

    /// Leaves what is wrong behind, to be looked at.
    fn keep(&self, outcome: &mut Outcome) {
        let to = self.settings.folder.join(format!("ringlake-torture-seed-{}", self.seed));
        let _ = std::fs::remove_dir_all(&to);
        match self.place.keep(&to) {
            Ok(()) => outcome.faults.push(format!("what was found is in {}", to.display())),
            Err(error) => outcome.faults.push(format!("what was found is gone: {error}")),
        }
        if let Some(cluster) = &self.crew.cluster {
            let prefix = cluster.topic_prefix();
            outcome
                .faults
                .push(format!("the topics {prefix}… are left there too; remove them afterwards"));
        }
    }
}

fn would_not_start(status: ExitStatus) -> Error {
    Error::failed(format!("the server would not start: {status}"), "its last messages are below")
}
