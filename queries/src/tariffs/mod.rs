//! Tariffs: what calls cost whose vendor tells no cost.
//!
//! Rated when a question is asked, so a corrected tariff re-rates history. Money and seconds are whole
//! numbers of their smallest units here ([`Amount`], [`Micros`]); nothing passes through a float. What
//! matches no tariff has no cost; it must never have a cost of zero instead.

mod coverage;
mod rate;
mod read;
pub(crate) mod week;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use rate::{Rating, Talk};
pub use read::TariffMistake;
use week::Week;

/// Money in billionths of its currency, as money columns keep it.
pub type Amount = i128;
/// Seconds in millionths, or an instant in millionths of a second since 1970.
pub type Micros = i64;

/// What one kind of call costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tariff {
    pub name: String,
    pub matches: Match,
    /// Upper-case ISO 4217.
    pub currency: String,
    pub price: Price,
    /// The zone in which `valid` and the bands of the week are read.
    pub zone: chrono_tz::Tz,
    /// First instant at which it holds, first at which it does not; none is without end.
    pub valid: (Option<Micros>, Option<Micros>),
    /// Prices of times of the week, which replace `price`; a call is priced by when it started.
    week: Option<Week>,
}

/// Which calls a tariff is for; what is none is any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Match {
    pub system: Option<String>,
    pub account: Option<String>,
    /// `incoming` or `outgoing`.
    pub direction: Option<String>,
    /// How the customer's number begins, as [`number_key`] writes it; empty is any, even no number.
    pub prefix: String,
}

/// What a call costs by its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    pub setup: Amount,
    pub per_minute: Amount,
    /// The least that is billed, in whole seconds.
    pub first_increment: u32,
    /// What is billed beyond that is a multiple of it, in whole seconds.
    pub next_increment: u32,
    /// The least that a call costs of which any second is billed.
    pub minimum: Amount,
    /// Talked seconds at the beginning that are not billed.
    pub free_seconds: u32,
}

/// All tariffs, ready to rate.
#[derive(Clone, Debug, Default)]
pub struct Tariffs {
    tariffs: Vec<Tariff>,
    /// Tariffs by prefix, the more particular first.
    by_prefix: HashMap<String, Vec<usize>>,
    longest_prefix: usize,
}

impl PartialEq for Tariffs {
    fn eq(&self, other: &Self) -> bool {
        self.tariffs == other.tariffs
    }
}

impl Eq for Tariffs {}

impl Tariffs {
    /// Reads `tariffs.toml`. All mistakes at once, each with its line: wrong values, two tariffs for one
    /// call, and times for which there is none.
    pub fn read(text: &str) -> Result<Self, Vec<TariffMistake>> {
        let entries = read::entries(text)?;
        let mistakes = coverage::check(&entries);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Self::of(entries.into_iter().map(|(_, tariff)| tariff).collect()))
    }

    fn of(tariffs: Vec<Tariff>) -> Self {
        let mut by_prefix: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, tariff) in tariffs.iter().enumerate() {
            by_prefix.entry(tariff.matches.prefix.clone()).or_default().push(at);
        }
        for held in by_prefix.values_mut() {
            held.sort_by_key(|at| std::cmp::Reverse(tariffs.get(*at).map(Tariff::rank)));
        }
        let longest_prefix = by_prefix.keys().map(String::len).max().unwrap_or_default();
        Self { tariffs, by_prefix, longest_prefix }
    }

    pub fn is_empty(&self) -> bool {
        self.tariffs.is_empty()
    }

    pub fn all(&self) -> &[Tariff] {
        &self.tariffs
    }
}

impl Tariff {
    /// The order in which tariffs of one prefix are tried: what names the account goes before what
    /// names the system, and that before what names the direction.
    fn rank(&self) -> (bool, bool, bool) {
        let Match { system, account, direction, .. } = &self.matches;
        (account.is_some(), system.is_some(), direction.is_some())
    }

    fn holds(&self, at: Micros) -> bool {
        let (from, until) = self.valid;
        from.is_none_or(|from| from <= at) && until.is_none_or(|until| at < until)
    }

    fn price_at(&self, at: Micros) -> &Price {
        self.week.as_ref().and_then(|week| week.price_at(at, self.zone)).unwrap_or(&self.price)
    }
}

/// A number as prefixes are compared with it: no blanks or punctuation, and `+` where it was written
/// with `00`. A short number that begins with `00` is an extension, and stays.
pub fn number_key(number: &str) -> String {
    const LEAST_INTERNATIONAL: usize = 9;
    let kept: String =
        number.trim().chars().filter(|c| !c.is_whitespace() && !"-()./".contains(*c)).collect();
    match kept.strip_prefix("00") {
        Some(rest) if kept.len() >= LEAST_INTERNATIONAL && is_digits(rest) => format!("+{rest}"),
        _ => kept,
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}
