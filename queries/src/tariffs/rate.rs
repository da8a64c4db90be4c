//! What one call costs: the tariff that matches it most closely, and its arithmetic.
//!
//! Seconds beyond the free ones are billed: the first increment at least, then whole increments. A
//! call costs the set-up fee and its billed minutes, and the minimum if that is more and any second
//! was billed; the sum is rounded to millionths, halves up. A call that was not talked costs nothing,
//! which is a cost.

use super::{Amount, Micros, Price, Tariff, Tariffs, number_key};

/// A call as a tariff sees it.
#[derive(Clone, Copy, Debug)]
pub struct Talk<'a> {
    pub system: &'a str,
    pub account: Option<&'a str>,
    pub direction: Option<&'a str>,
    /// The customer's number.
    pub number: Option<&'a str>,
    pub started_at: Micros,
    /// Talked seconds, in millionths.
    pub talked: Micros,
}

/// What a tariff makes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rating<'a> {
    pub tariff: &'a Tariff,
    pub cost: Amount,
    /// Whole seconds.
    pub billed_seconds: i64,
}

const MICROS_A_SECOND: i64 = 1_000_000;
const SECONDS_A_MINUTE: i128 = 60;
/// Costs keep six digits after the point; an amount is in billionths.
const MICRO: i128 = 1_000;

impl Tariffs {
    /// The rating of a call; none where no tariff is for it, or it costs more than a decimal holds.
    pub fn rate(&self, talk: &Talk<'_>) -> Option<Rating<'_>> {
        let tariff = self.tariff_for(talk)?;
        let (billed_seconds, cost) = tariff.price_at(talk.started_at).of(talk.talked)?;
        Some(Rating { tariff, cost, billed_seconds })
    }

    /// The tariff with the longest prefix of the number; among these, the most particular.
    fn tariff_for(&self, talk: &Talk<'_>) -> Option<&Tariff> {
        let number = talk.number.map(number_key).unwrap_or_default();
        let longest = number.len().min(self.longest_prefix);
        (0..=longest).rev().find_map(|length| {
            let held = self.by_prefix.get(number.get(..length)?)?;
            held.iter().filter_map(|at| self.tariffs.get(*at)).find(|tariff| tariff.is_for(talk))
        })
    }
}

impl Tariff {
    fn is_for(&self, talk: &Talk<'_>) -> bool {
        let is = |wanted: &Option<String>, told: Option<&str>| {
            wanted
                .as_deref()
                .is_none_or(|wanted| told.is_some_and(|told| told.eq_ignore_ascii_case(wanted)))
        };
        is(&self.matches.system, Some(talk.system))
            && is(&self.matches.account, talk.account)
            && is(&self.matches.direction, talk.direction)
            && self.holds(talk.started_at)
    }
}

impl Price {
    /// Billed seconds and cost of so many talked millionths of a second.
    fn of(&self, talked: Micros) -> Option<(i64, Amount)> {
        if talked <= 0 {
            return Some((0, 0));
        }
        let billed = self.billed_seconds(talked)?;
        // In sixtieths of a billionth, so that nothing is lost before the one rounding.
        let minutes = self.per_minute.checked_mul(i128::from(billed))?;
        let mut total = self.setup.checked_mul(SECONDS_A_MINUTE)?.checked_add(minutes)?;
        if billed > 0 {
            total = total.max(self.minimum.checked_mul(SECONDS_A_MINUTE)?);
        }
        let unit = SECONDS_A_MINUTE * MICRO;
        let cost = total.checked_add(unit / 2)?.div_euclid(unit).checked_mul(MICRO)?;
        Some((billed, cost))
    }

    fn billed_seconds(&self, talked: Micros) -> Option<i64> {
        let charged = talked.checked_sub(i64::from(self.free_seconds) * MICROS_A_SECOND)?;
        if charged <= 0 {
            return Some(0);
        }
        let (first, next) = (i64::from(self.first_increment), i64::from(self.next_increment));
        let beyond = charged - first * MICROS_A_SECOND;
        if beyond <= 0 {
            return Some(first);
        }
        let step = next * MICROS_A_SECOND;
        // Rounded up: a begun increment is billed.
        let steps = beyond.checked_add(step - 1)?.checked_div(step)?;
        first.checked_add(steps.checked_mul(next)?)
    }
}
