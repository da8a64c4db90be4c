//! `[calendars.NAME]`: when the firm is there, for `business_seconds` in SQL.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use ringlake_queries::calendars::{Calendar, Calendars};
use serde::{Deserialize, Deserializer};

use super::Config;

/// One calendar, checked as it is read.
#[derive(Clone, Debug)]
pub struct Hours(Calendar);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    time_zone: Option<String>,
    hours: BTreeMap<String, String>,
    #[serde(default)]
    holidays: Vec<String>,
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let read = || -> Result<Calendar, String> {
            let zone = match &written.time_zone {
                Some(name) => name.parse().map_err(|_| format!("{name:?} is no time zone"))?,
                None => chrono_tz::Tz::UTC,
            };
            let day = |text: &String| {
                let read = NaiveDate::parse_from_str(text, "%Y-%m-%d");
                read.map_err(|_| format!("{text:?} is no day; write it like \"2026-12-25\""))
            };
            let holidays = written.holidays.iter().map(day).collect::<Result<Vec<_>, _>>()?;
            Calendar::new(zone, &written.hours, holidays)
        };
        read().map(Self).map_err(serde::de::Error::custom)
    }
}

impl Config {
    /// The calendars by name.
    pub fn calendars(&self) -> Calendars {
        self.calendars.iter().map(|(name, hours)| (name.clone(), hours.0.clone())).collect()
    }
}
