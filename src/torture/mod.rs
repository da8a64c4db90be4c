//! Torture: the real server under load, killed and robbed of its power again and again, and then counted.
//!
//! ```text
//! Source ─ events from the seed ─▶ Load ─ HTTP ─▶ ringlake serve ─ files ─▶ Place (FUSE, or modelled:
//!    │                               │ acknowledged    ▲ kill, abort,           a disk that loses its power)
//!    ▼                               ▼                 │ stop, cut, trouble             │
//! Ledger: what has to be there ◀─────┘               Plan: from the seed                ▼
//!    └───────────────── Verdict: lost, twice, wrong ◀──── all rows, and `ringlake verify`
//! ```
//!
//! Over Kafka it is an `ingest` and several `write` in place of the one `serve`; they die apart and together,
//! and come and go.
//!
//! A round has a folder of its own and a number of lives; a life takes its share of the events and comes to
//! an end. Then what is left is sent, the server stops, and every row is held against the ledger. A seed
//! gives the same events and the same plan; which of them meet is for the machine to say. It must not leave
//! a process or a mount behind, however it ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use ringlake_ingest::log::KafkaSettings;
use tokio_util::sync::CancellationToken;

use crate::error::Error;

mod cluster;
mod crew;
mod disk;
mod ledger;
mod load;
mod modelled;
#[cfg(target_os = "linux")]
mod mount;
mod place;
mod plan;
mod round;
mod server;
mod source;

pub use disk::Losses;
pub use ledger::Verdict;
pub use modelled::Recorder;
pub use place::Power;
pub use plan::{Ending, Ends};

use round::Round;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    /// After so many rounds it ends; or once the time is over, whichever comes first.
    pub rounds: u64,
    pub time: Duration,
    /// But not before so many have died.
    pub deaths: u64,
    /// Of a round.
    pub lives: usize,
    pub ends: Ends,
    pub power: Power,
    pub events: usize,
    pub senders: usize,
    /// Brokers, where the log is to be Kafka.
    pub kafka: Option<KafkaSettings>,
    /// Where the rounds have their folders.
    pub folder: PathBuf,
}

/// What was done, and what came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub rounds: u64,
    pub kills: u64,
    pub aborts: u64,
    pub cuts: u64,
    pub troubles: u64,
    pub stops: u64,
    /// Changes of the group of writers after which partitions were handed out anew.
    pub rebalances: u64,
    pub refusals: u64,
    pub pages: u64,
    pub torn: u64,
    pub names: u64,
    pub sent: u64,
    pub acknowledged: u64,
    pub repeated: u64,
    pub verdict: Verdict,
    /// What is wrong, in words.
    pub faults: Vec<String>,
    pub took: Duration,
    /// It was told to stop; the round it was in is not counted.
    pub is_stopped: bool,
}

impl Outcome {
    /// The one line that tells it all.
    pub fn line(&self, seed: u64, power: Power) -> String {
        let Self { kills, aborts, cuts, troubles, stops, refusals, .. } = self;
        let Self { pages, torn, names, sent, acknowledged, repeated, rounds, .. } = self;
        let Verdict { lost, twice, wrong } = self.verdict;
        let rebalances = match self.rebalances {
            0 => String::new(),
            count => format!(", {count} rebalances"),
        };
        format!(
            "torture: {kills} kills, {aborts} deaths at fail points, {cuts} power cuts ({}: {pages} pages and \
             {names} names dropped, {torn} pages torn), {troubles} storage troubles ({refusals} calls \
             refused), {stops} stops{rebalances}; {sent} events, {acknowledged} acknowledged, {repeated} repeated; \
             {lost} lost, {twice} twice, {wrong} wrong; seed {seed}, {rounds} rounds, {} s",
            power.as_str(),
            self.took.as_secs()
        )
    }

    pub fn is_clean(&self) -> bool {
        self.verdict.is_clean() && self.faults.is_empty()
    }

    /// Ends that nobody was prepared for.
    fn deaths(&self) -> u64 {
        self.kills + self.aborts + self.cuts + self.troubles
    }

    fn lose(&mut self, (losses, refusals): (Losses, u64)) {
        self.pages += losses.pages;
        self.torn += losses.torn;
        self.names += losses.names;
        self.refusals += refusals;
    }
}

/// Runs the rounds. Ends early when `stop` is cancelled, or when something is wrong; `tell` hears of each
/// life.
pub async fn run(
    settings: &Settings,
    stop: &CancellationToken,
    tell: &(dyn Fn(&Outcome) + Sync),
) -> Result<Outcome, Error> {
    let began = Instant::now();
    let mut outcome = Outcome::default();
    for number in 0..settings.rounds {
        let is_enough = began.elapsed() >= settings.time && outcome.deaths() >= settings.deaths;
        if outcome.is_stopped || (number > 0 && is_enough) {
            break;
        }
        let before = outcome.deaths();
        let seed = settings.seed.wrapping_add(number);
        Round::begin(settings, seed).await?.run(&mut outcome, stop, tell).await?;
        outcome.took = began.elapsed();
        if !outcome.is_clean() {
            outcome
                .faults
                .push(format!("`ringlake torture --seed {seed} --rounds 1` does this again"));
            break;
        }
        if settings.deaths > 0 && outcome.deaths() == before {
            outcome.faults.push("nothing has died in a whole round".to_owned());
            break;
        }
    }
    if !outcome.is_stopped && (outcome.deaths() < settings.deaths || outcome.acknowledged == 0) {
        let (deaths, events) = (outcome.deaths(), outcome.acknowledged);
        outcome.faults.push(format!("{deaths} deaths and {events} events show nothing"));
    }
    Ok(outcome)
}

/// Chance from the seed, apart for each use of it.
fn dice(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    dice.set_stream(stream);
    dice
}

/// An address on this machine that nobody listens on, below the ports that outgoing connections take.
fn free_address() -> Result<SocketAddr, Error> {
    let start = std::process::id();
    let taken = (0..5_000u32).find_map(|step| {
        let port =
            10_000 + u16::try_from(start.wrapping_mul(7).wrapping_add(step) % 20_000).ok()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        std::net::TcpListener::bind(address).ok().map(|_| address)
    });
    taken.ok_or_else(|| Error::failed("no port is free", "see what listens on this machine"))
}
