//! When: time zones, and the moments that `--since` and `--until` mean.
//!
//! A period is half open. A moment written without an offset is read in the report's zone; where
//! clocks go back it is the earlier of the two, where they go forward the first that exists.

use chrono::{DateTime, Duration, LocalResult, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};

use crate::error::QueryError;

/// `from <= t < to`; none is unbounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

/// The zone of this IANA name, in any case.
pub fn zone(name: &str) -> Result<Tz, QueryError> {
    let named = |zone: &&Tz| zone.name().eq_ignore_ascii_case(name.trim());
    TZ_VARIANTS.iter().find(named).copied().ok_or_else(|| QueryError::Unknown {
        what: "time zone",
        name: name.to_owned(),
        known: TZ_VARIANTS.iter().map(|zone| zone.name().to_owned()).collect(),
        place: None,
    })
}

impl Period {
    pub fn read(since: Option<&str>, until: Option<&str>, zone: Tz) -> Result<Self, QueryError> {
        let read = |text: Option<&str>| text.map(|text| moment(text, zone)).transpose();
        let period = Self { since: read(since)?, until: read(until)? };
        match (period.since, period.until, since, until) {
            (Some(from), Some(to), Some(since), Some(until)) if from > to => {
                Err(QueryError::PeriodBackwards {
                    since: since.to_owned(),
                    until: until.to_owned(),
                })
            }
            _ => Ok(period),
        }
    }
}

/// One moment: `2026`, `2026-03`, `2026-03-29`, `2026-03-29 14:30`, `2026-03-29T14:30:00.5+02:00`.
pub fn moment(text: &str, zone: Tz) -> Result<DateTime<Utc>, QueryError> {
    let trimmed = text.trim();
    let offset = trimmed.replacen(' ', "T", 1);
    for format in ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z"] {
        if let Ok(moment) = DateTime::parse_from_str(&offset, format) {
            return Ok(moment.to_utc());
        }
    }
    local(&offset)
        .and_then(|local| earliest(local, zone))
        .ok_or_else(|| QueryError::BadTime { text: text.to_owned() })
}

fn local(text: &str) -> Option<NaiveDateTime> {
    let date = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let day = date(text)
        .or_else(|| date(&format!("{text}-01")))
        .or_else(|| (text.len() == 4).then(|| date(&format!("{text}-01-01")))?);
    if let Some(day) = day {
        return day.and_hms_opt(0, 0, 0);
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
}

/// The first moment at which a clock of the zone shows this, or the first one after it.
pub fn earliest(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    const STEP: Duration = Duration::minutes(15);
    // The widest gap on record is a whole day, when an island moved across the date line.
    (0..=100).find_map(|step| match zone.from_local_datetime(&(local + STEP * step)) {
        LocalResult::Single(moment) | LocalResult::Ambiguous(moment, _) => Some(moment.to_utc()),
        LocalResult::None => None,
    })
}

/// The first moment of a day in the zone.
pub fn day_begins(day: NaiveDate, zone: Tz) -> Option<DateTime<Utc>> {
    earliest(day.and_hms_opt(0, 0, 0)?, zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, zone: Tz) -> String {
        moment(text, zone).unwrap().to_rfc3339()
    }

    #[test]
    fn moments_are_read_in_the_zone_unless_they_carry_an_offset() {
        let berlin = zone("europe/berlin").unwrap();
        assert_eq!(at("2026-03-29", berlin), "2026-03-28T23:00:00+00:00");
        assert_eq!(at("2026-03-30", berlin), "2026-03-29T22:00:00+00:00");
        assert_eq!(at("2026-03", berlin), "2026-02-28T23:00:00+00:00");
        assert_eq!(at("2026", berlin), "2025-12-31T23:00:00+00:00");
        assert_eq!(at("2026-03-29 14:30", berlin), "2026-03-29T12:30:00+00:00");
        assert_eq!(at("2026-03-29T14:30:15.25", Tz::UTC), "2026-03-29T14:30:15.250+00:00");
        assert_eq!(at("2026-03-29T14:30Z", berlin), "2026-03-29T14:30:00+00:00");
        assert_eq!(at("2026-03-29T14:30:00+0500", berlin), "2026-03-29T09:30:00+00:00");
        assert_eq!(at("2026-03-29T14:30:00-03:00", berlin), "2026-03-29T17:30:00+00:00");
        // 02:30 does not exist that night, 02:30 exists twice in the other.
        assert_eq!(at("2026-03-29T02:30", berlin), "2026-03-29T01:00:00+00:00");
        assert_eq!(at("2026-10-25T02:30", berlin), "2026-10-25T00:30:00+00:00");
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in ["yesterday", "2026-13-01", "29.03.2026", "", "2026-03-29T25:00"] {
            assert!(moment(text, Tz::UTC).is_err(), "{text}");
        }
        assert!(Period::read(Some("2026-04-01"), Some("2026-03-01"), Tz::UTC).is_err());
        assert!(Period::read(Some("2026-03-01"), Some("2026-03-01"), Tz::UTC).is_ok());
    }
}
