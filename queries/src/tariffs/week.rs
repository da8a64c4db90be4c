//! Prices of times of the week: each minute of it knows the band that it lies in.
//!
//! Minutes, because that is how tariffs are written (`08:00`), and one look-up a call then does.

use chrono::{DateTime, Datelike, Timelike};
use chrono_tz::Tz;

use super::{Micros, Price};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
pub const DAY_MINUTES: usize = 24 * 60;
const WEEK_MINUTES: usize = 7 * DAY_MINUTES;

/// One band as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Band {
    /// 0 is Monday.
    pub days: Vec<usize>,
    /// Minutes of the day; where `until` is not after `from`, the band ends on the next day.
    pub from: usize,
    pub until: usize,
    pub price: Price,
}

/// The bands of one week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Week {
    prices: Vec<Price>,
    /// The band of each minute since Monday 0:00.
    bands: Vec<Option<u16>>,
}

/// Why bands make no week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clash {
    /// Two bands, counted from 1, in one minute.
    Twice(usize, usize, String),
    /// From a moment to another no band holds.
    Hole(String, String),
}

impl Week {
    /// Lays the bands over the week. Where `has_rest`, a price of their own is for all other times.
    pub fn lay(bands: &[Band], has_rest: bool) -> Result<Self, Clash> {
        let mut minutes: Vec<Option<u16>> = vec![None; WEEK_MINUTES];
        for (number, band) in bands.iter().enumerate() {
            let number = u16::try_from(number).unwrap_or(u16::MAX);
            for minute in band.minutes() {
                let Some(held) = minutes.get_mut(minute) else { continue };
                if let Some(other) = held {
                    let (one, two) = (usize::from(*other) + 1, usize::from(number) + 1);
                    return Err(Clash::Twice(one, two, moment(minute)));
                }
                *held = Some(number);
            }
        }
        if !has_rest && let Some(from) = minutes.iter().position(Option::is_none) {
            let after = minutes.iter().skip(from).position(Option::is_some);
            let until = after.map_or(WEEK_MINUTES, |after| from + after);
            return Err(Clash::Hole(moment(from), moment(until % WEEK_MINUTES)));
        }
        Ok(Self { prices: bands.iter().map(|band| band.price).collect(), bands: minutes })
    }

    pub fn price_at(&self, at: Micros, zone: Tz) -> Option<&Price> {
        let local = DateTime::from_timestamp_micros(at)?.with_timezone(&zone);
        let day = local.weekday().num_days_from_monday() as usize;
        let minute = day * DAY_MINUTES + (local.hour() * 60 + local.minute()) as usize;
        let band = self.bands.get(minute).copied().flatten()?;
        self.prices.get(usize::from(band))
    }
}

impl Band {
    fn minutes(&self) -> impl Iterator<Item = usize> + '_ {
        let length = match self.until.checked_sub(self.from) {
            Some(length) if length > 0 => length,
            _ => self.until + DAY_MINUTES - self.from,
        };
        self.days.iter().flat_map(move |day| {
            let from = day * DAY_MINUTES + self.from;
            (from..from + length).map(|minute| minute % WEEK_MINUTES)
        })
    }
}

/// `sat 08:00`.
fn moment(minute: usize) -> String {
    let day = DAYS.get(minute / DAY_MINUTES).copied().unwrap_or("mon");
    let minute = minute % DAY_MINUTES;
    format!("{day} {:02}:{:02}", minute / 60, minute % 60)
}

/// Days of the week as they are written: `mon-fri`, `sat,sun`, `fri-mon`; 0 is Monday.
pub fn days(text: &str) -> Result<Vec<usize>, String> {
    let day = |name: &str| {
        let name = name.trim().to_ascii_lowercase();
        DAYS.iter().position(|day| *day == name).ok_or_else(|| {
            format!("{name:?} is no day; write mon, tue, wed, thu, fri, sat, sun, or mon-fri")
        })
    };
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(part)?, day(part)?),
        };
        let length = (last + DAYS.len() - first) % DAYS.len();
        days.extend((first..=first + length).map(|day| day % DAYS.len()));
    }
    Ok(days)
}

/// Minutes since midnight; `24:00` is the day's end.
pub fn minute_of(text: &str) -> Option<usize> {
    let (hour, minute) = text.trim().split_once(':')?;
    let (hour, minute): (usize, usize) = (hour.parse().ok()?, minute.parse().ok()?);
    let of_day = hour * 60 + minute;
    (minute < 60 && of_day <= DAY_MINUTES).then_some(of_day)
}
