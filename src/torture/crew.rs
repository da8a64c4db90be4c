//! The processes under torture: one `serve`, or over Kafka an `ingest` and several `write`.
//!
//! It knows who lives, and whether the group of the writers has changed since partitions were last handed
//! out. A process that died stays in its place until it is buried, so that a death that nobody wanted is
//! never overlooked.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::cluster::Cluster;
use super::server::{Binary, Life, Server, Started, backlog};
use crate::error::Error;

/// What a writer says when the group has handed partitions to it.
const HANDED_OUT: &str = "the group handed out partitions";
/// What a process says that had no time to commit everything before it stopped: on a slow machine it may.
const OUT_OF_TIME: &str = "nothing is lost: the log has what the tables lack";
/// A dead member is waited for 6 s, and then the others have to be asked.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whom an end comes to. Without Kafka there is one process, and it is always that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    All,
    Door,
    Writers,
    /// The one that has been there longest.
    Writer,
}

pub struct Crew {
    pub binary: Binary,
    pub cluster: Option<Cluster>,
    tables: PathBuf,
    door: Option<Server>,
    writers: Vec<Server>,
    /// Writers came or went since partitions were handed out.
    is_unsettled: bool,
    handed_out: usize,
    /// Changes of the group after which partitions were handed out.
    pub rebalances: u64,
}

impl Crew {
    pub fn new(mut binary: Binary, cluster: Option<Cluster>, tables: PathBuf) -> Self {
        if let Some(cluster) = &cluster {
            binary.variables.extend(cluster.variables());
        }
        Self {
            binary,
            cluster,
            tables,
            door: None,
            writers: Vec::new(),
            is_unsettled: false,
            handed_out: 0,
            rebalances: 0,
        }
    }

    /// Has everybody there: those who are missing are started, those who are too many leave. Returns how
    /// many processes were killed or stopped for that.
    pub async fn gather(&mut self, life: &Life, writers: usize) -> Result<(u64, u64), Error> {
        let calm = Life { fail_point: None, ..life.clone() };
        let is_of_door = life.fail_point.as_ref().is_some_and(|at| at.starts_with("ingest:"));
        let address = self.binary.address.to_string();
        let (mut killed, mut stopped) = (0, 0);
        let Some(_) = &self.cluster else {
            if self.door.is_none() {
                self.door = Some(self.binary.start(&["serve", "--listen", &address], life)?);
            }
            return Ok((0, 0));
        };
        // A fail point needs a process that is started with it.
        if is_of_door {
            killed += self.kill(Whom::Door).await?;
        } else if life.fail_point.is_some() && self.writers.len() >= writers {
            killed += self.kill(Whom::Writer).await?;
        }
        if self.door.is_none() {
            let life = if is_of_door { life } else { &calm };
            self.door = Some(self.binary.start(&["ingest", "--listen", &address], life)?);
        }
        while self.writers.len() > writers {
            stopped += self.stop(Whom::Writer).await?.len() as u64;
        }
        let mut next = if is_of_door { &calm } else { life };
        while self.writers.len() < writers {
            self.handed_out = self.handed_out();
            self.writers.push(self.binary.start(&["write"], next)?);
            self.is_unsettled = true;
            next = &calm;
        }
        Ok((killed, stopped))
    }

    /// Waits until the door takes requests and partitions are handed out, or one has ended.
    pub async fn wait_ready(&mut self) -> Result<Started, Error> {
        if let Some(door) = &mut self.door
            && let Started::Ended(status) = door.wait_ready().await?
        {
            return Ok(Started::Ended(status));
        }
        let began = Instant::now();
        while self.is_unsettled {
            if let Some(status) = self.ended()? {
                return Ok(Started::Ended(status));
            }
            if self.handed_out() > self.handed_out {
                self.is_unsettled = false;
                self.rebalances += 1;
            } else if began.elapsed() > PATIENCE {
                let what = format!("no partitions were handed out in {} s", PATIENCE.as_secs());
                return Err(Error::failed(what, "its last messages are below"));
            } else {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(Started::Ready)
    }

    fn handed_out(&self) -> usize {
        self.binary.said().matches(HANDED_OUT).count()
    }

    /// How one has ended by itself, if any has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        for server in self.door.iter_mut().chain(&mut self.writers) {
            if let Some(status) = server.ended()? {
                return Ok(Some(status));
            }
        }
        Ok(None)
    }

    /// Takes them out of their places.
    fn take(&mut self, whom: Whom) -> Vec<Server> {
        let has_group = self.cluster.is_some();
        let mut taken = Vec::new();
        if matches!(whom, Whom::All | Whom::Door) || !has_group {
            taken.extend(self.door.take());
        }
        let writers = match whom {
            Whom::All | Whom::Writers => self.writers.len(),
            Whom::Writer => self.writers.len().min(1),
            Whom::Door => 0,
        };
        if writers > 0 {
            self.handed_out = self.handed_out();
            self.is_unsettled = true;
        }
        taken.extend(self.writers.drain(..writers));
        taken
    }

    /// SIGKILL, and waits: nothing of them may hold the disk. Returns how many there were.
    pub async fn kill(&mut self, whom: Whom) -> Result<u64, Error> {
        let taken = self.take(whom);
        let count = taken.len() as u64;
        for server in taken {
            server.kill().await?;
        }
        Ok(count)
    }

    /// SIGTERM: they finish and commit what they have. Returns how they ended.
    pub async fn stop(&mut self, whom: Whom) -> Result<Vec<ExitStatus>, Error> {
        let mut ends = Vec::new();
        for server in self.take(whom) {
            let status = server.stop().await?;
            if !status.success() && !self.binary.last_words().contains(OUT_OF_TIME) {
                let what = format!("an orderly stop ended with {status}");
                return Err(Error::failed(what, "its last messages are below"));
            }
            ends.push(status);
        }
        Ok(ends)
    }

    /// Takes away those who have died by a signal of their own. Returns how many there were.
    pub fn bury(&mut self) -> Result<u64, Error> {
        let (mut left, mut count) = (Vec::new(), 0);
        for mut server in std::mem::take(&mut self.writers) {
            match server.ended()? {
                Some(status) if status.code().is_none() => {
                    self.handed_out = self.handed_out();
                    self.is_unsettled = true;
                    count += 1;
                }
                _ => left.push(server),
            }
        }
        self.writers = left;
        if let Some(mut door) = self.door.take() {
            match door.ended()? {
                Some(status) if status.code().is_none() => count += 1,
                _ => self.door = Some(door),
            }
        }
        Ok(count)
    }

    /// How many events the log holds that the tables lack; none while it is not known.
    pub async fn backlog(&self) -> Option<u64> {
        match &self.cluster {
            Some(cluster) => cluster.backlog(&self.tables).await,
            None => backlog(self.binary.address).await,
        }
    }
}
