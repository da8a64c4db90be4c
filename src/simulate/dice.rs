//! Chance, from a seed: the only source of randomness of the simulation.

use chrono::{NaiveDate, TimeZone, Utc};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use ringlake_transform::Micros;

pub const SECOND: Micros = 1_000_000;

pub struct Dice {
    rng: ChaCha8Rng,
    customers: i64,
}

impl Dice {
    /// Vendors with different `stream`s draw independently from one seed, of so many customers.
    pub fn new(seed: u64, stream: u64, customers: i64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self { rng, customers }
    }

    /// One of the firm's customers.
    pub fn customer(&mut self) -> i64 {
        self.range(0, self.customers - 1)
    }

    pub fn chance(&mut self, share: f64) -> bool {
        self.rng.random::<f64>() < share
    }

    /// A whole number from `low` to `high`, both included.
    pub fn range(&mut self, low: i64, high: i64) -> i64 {
        self.rng.random_range(low..=high.max(low))
    }

    /// A time from `low` to `high` seconds, in µs.
    pub fn seconds(&mut self, low: i64, high: i64) -> Micros {
        self.range(low * SECOND, high * SECOND)
    }

    /// A length that is mostly short and sometimes long, in whole seconds of at least 1.
    pub fn length(&mut self, mean: f64, longest: i64) -> i64 {
        let share: f64 = self.rng.random_range(1e-9..1.0);
        ((-share.ln() * mean) as i64).clamp(1, longest)
    }

    pub fn index(&mut self, len: usize) -> usize {
        self.rng.random_range(0..len.max(1))
    }

    /// One of the items; the slice must not be empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.index(items.len()))
    }

    /// A moment of the office day, busiest before noon and in the middle of the afternoon (UTC).
    pub fn moment(&mut self, date: NaiveDate) -> Micros {
        let peak = if self.chance(0.55) { 9.5 } else { 14.0 };
        let spread: f64 = (0..4).map(|_| self.rng.random_range(-1.0..1.0)).sum();
        let hour = (peak + spread * 1.1_f64).clamp(6.0, 18.0);
        start_of(date) + (hour * 3600.0 * SECOND as f64) as Micros
    }

    /// A random GUID, `740109c1-12d5-430f-9543-131fe5c4edcb`.
    pub fn guid(&mut self) -> String {
        let bits = (self.rng.random::<u128>() & !(0xf << 76)) | (4 << 76);
        let hex = format!("{bits:032x}");
        let mut parts = Vec::with_capacity(5);
        let mut rest = hex.as_str();
        for len in [8, 4, 4, 4, 12] {
            let (part, tail) = rest.split_at(len);
            parts.push(part);
            rest = tail;
        }
        parts.join("-")
    }

    /// An id of 27 letters and digits that begin alike, as sortable ids do.
    pub fn sortable_id(&mut self) -> String {
        const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let rest = (0..24).filter_map(|_| self.pick(DIGITS)).map(|digit| char::from(*digit));
        "2xR".chars().chain(rest).collect()
    }
}

pub fn start_of(date: NaiveDate) -> Micros {
    Utc.from_utc_datetime(&date.and_time(chrono::NaiveTime::MIN)).timestamp_micros()
}

/// `2026-03-10T11:28:05.000Z` with this many digits of the second.
pub fn rfc3339(at: Micros, digits: chrono::SecondsFormat) -> String {
    chrono::DateTime::from_timestamp_micros(at).unwrap_or_default().to_rfc3339_opts(digits, true)
}

pub fn seconds(at: Micros) -> String {
    rfc3339(at, chrono::SecondsFormat::Secs)
}

pub fn millis(at: Micros) -> String {
    rfc3339(at, chrono::SecondsFormat::Millis)
}
