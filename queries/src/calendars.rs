//! Business hours: when a firm is there, for `business_seconds` and reports of the user's own.
//!
//! Hours are those of the calendar's own clocks, so a day on which they change is as long as it is. It must
//! never guess: a span too long to be meant has no business seconds.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Days, NaiveDate};
use chrono_tz::Tz;

use crate::error::QueryError;
use crate::report::period;
use crate::tariffs::week::{DAY_MINUTES, days, minute_of};

/// Longer spans are mistakes, and would take as long to count.
const MOST_DAYS: i64 = 100 * 366;

/// All calendars by name.
pub type Calendars = BTreeMap<String, Calendar>;

/// One calendar of business hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    zone: Tz,
    /// Of each day from Monday: minutes since midnight, from and until, in order and apart.
    week: [Vec<(u32, u32)>; 7],
    holidays: BTreeSet<NaiveDate>,
}

impl Calendar {
    /// From hours by days, as `mon-fri` and `09:00-12:30, 13:30-18:00`.
    ///
    /// # Errors
    /// The first thing that is wrong, in words.
    pub fn new(
        zone: Tz,
        hours: &BTreeMap<String, String>,
        holidays: impl IntoIterator<Item = NaiveDate>,
    ) -> Result<Self, String> {
        let mut week: [Vec<(u32, u32)>; 7] = Default::default();
        for (on, spans) in hours {
            let spans = spans.split(',').map(span).collect::<Result<Vec<_>, _>>()?;
            for day in days(on)? {
                if let Some(held) = week.get_mut(day) {
                    held.extend(&spans);
                    held.sort_unstable();
                    if held.windows(2).any(|two| matches!(two, [one, next] if next.0 < one.1)) {
                        return Err(format!("the hours of {on:?} overlap others of a day"));
                    }
                }
            }
        }
        if week.iter().all(Vec::is_empty) {
            return Err(
                "a calendar needs hours, as in hours = { mon-fri = \"09:00-17:00\" }".to_owned()
            );
        }
        Ok(Self { zone, week, holidays: holidays.into_iter().collect() })
    }

    /// Microseconds of business hours from one instant to another; 0 if the second is the earlier. None for
    /// spans of more than a hundred years.
    pub fn micros_between(&self, from: i64, until: i64) -> Option<i64> {
        if until <= from {
            return Some(0);
        }
        let mut day = self.day_of(from)?;
        let last = self.day_of(until)?;
        if (last - day).num_days() > MOST_DAYS {
            return None;
        }
        let mut sum = 0;
        while day <= last {
            if !self.holidays.contains(&day) {
                let spans = self.week.get(day.weekday().num_days_from_monday() as usize);
                for (open, close) in spans.into_iter().flatten() {
                    let (open, close) = (self.at(day, *open)?, self.at(day, *close)?);
                    sum += (close.min(until) - open.max(from)).max(0);
                }
            }
            day = day.checked_add_days(Days::new(1))?;
        }
        Some(sum)
    }

    fn day_of(&self, micros: i64) -> Option<NaiveDate> {
        Some(DateTime::from_timestamp_micros(micros)?.with_timezone(&self.zone).date_naive())
    }

    /// The instant at which the clocks show this minute of the day, or the first after it.
    fn at(&self, day: NaiveDate, minute: u32) -> Option<i64> {
        let local = match day.and_hms_opt(minute / 60, minute % 60, 0) {
            Some(local) => local,
            None => day.checked_add_days(Days::new(1))?.and_hms_opt(0, 0, 0)?,
        };
        Some(period::earliest(local, self.zone)?.timestamp_micros())
    }
}

fn span(text: &str) -> Result<(u32, u32), String> {
    let minute = |text: &str| minute_of(text).and_then(|minute| u32::try_from(minute).ok());
    text.split_once('-')
        .and_then(|(open, close)| Some((minute(open)?, minute(close)?)))
        .filter(|(open, close)| open < close && *close <= DAY_MINUTES as u32)
        .ok_or_else(|| format!("{:?} are no hours; write them like \"09:00-17:30\"", text.trim()))
}

/// The calendar of this name.
///
/// # Errors
/// If there is none, with the names there are.
pub fn by_name<'c>(calendars: &'c Calendars, name: &str) -> Result<&'c Calendar, QueryError> {
    calendars.get(name).ok_or_else(|| QueryError::Unknown {
        what: "calendar",
        name: name.to_owned(),
        known: calendars.keys().cloned().collect(),
        place: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> Calendar {
        let hours = [("mon-fri", "09:00-12:30, 13:30-18:00"), ("sun", "00:00-24:00")];
        let hours = hours.map(|(days, spans)| (days.to_owned(), spans.to_owned())).into();
        let holiday = NaiveDate::from_ymd_opt(2026, 4, 6).unwrap();
        Calendar::new(Tz::Europe__Berlin, &hours, [holiday]).unwrap()
    }

    fn seconds(from: &str, until: &str) -> i64 {
        let micros = |text: &str| text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp_micros();
        berlin().micros_between(micros(from), micros(until)).unwrap() / 1_000_000
    }

    /// Worked out by hand. In 2026 Berlin is an hour ahead of UTC until 29 March, 01:00 UTC, a Sunday.
    #[test]
    fn only_hours_in_which_somebody_is_there_count() {
        // Friday 27 March: 17:50 to 18:00.
        assert_eq!(seconds("2026-03-27T16:50:00Z", "2026-03-27T20:00:00Z"), 600);
        // 12:00 to 14:00, without the break from 12:30 to 13:30.
        assert_eq!(seconds("2026-03-27T11:00:00Z", "2026-03-27T13:00:00Z"), 3_600);
        // Over the weekend: Friday's last 10 minutes, the 23 hours of Sunday, Monday from 9:00 to 9:01,
        // which is 7:01 UTC by then.
        assert_eq!(seconds("2026-03-27T16:50:00Z", "2026-03-30T07:01:00Z"), 600 + 23 * 3_600 + 60);
        // The autumn Sunday has 25 hours.
        assert_eq!(seconds("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"), 25 * 3_600);
        // Easter Monday is a holiday; the Tuesday is not.
        assert_eq!(seconds("2026-04-06T00:00:00Z", "2026-04-07T07:00:30Z"), 30);
        assert_eq!(seconds("2026-03-27T12:00:00Z", "2026-03-27T11:00:00Z"), 0);
    }

    #[test]
    fn a_calendar_that_makes_no_sense_is_refused() {
        let refused = |days: &str, spans: &str| {
            let hours = [(days.to_owned(), spans.to_owned())].into();
            Calendar::new(Tz::UTC, &hours, []).unwrap_err()
        };
        assert!(refused("mon-fry", "09:00-17:00").contains("is no day"));
        assert_eq!(
            refused("mon", "9 to 5"),
            "\"9 to 5\" are no hours; write them like \"09:00-17:30\""
        );
        assert!(refused("mon", "17:00-09:00").contains("are no hours"));
        assert!(refused("mon", "09:00-12:00, 11:00-13:00").contains("overlap"));
        assert!(Calendar::new(Tz::UTC, &BTreeMap::new(), []).unwrap_err().contains("needs hours"));
        let long = berlin().micros_between(-62_000_000_000_000_000, 62_000_000_000_000_000);
        assert_eq!(long, None);
    }
}
