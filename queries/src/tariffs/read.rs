//! `tariffs.toml` as people write it, and everything that is wrong with one entry.
//!
//! An amount may be written bare (`0.09`): its digits are taken from the text, since as a float it
//! would be another number. What is missing has a plain default; what is misspelt is refused.

use chrono_tz::Tz;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::coverage::Entry;
use super::week::{Band, Clash, DAY_MINUTES, Week, days, minute_of};
use super::{Amount, Match, Micros, Price, Tariff, number_key};
use crate::currencies;
use crate::functions::exact_amount;
use crate::near::near;
use crate::report::period;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TariffMistake {
    /// Counted from 1.
    pub line: usize,
    pub message: String,
}

const DEFAULT_INCREMENT: u32 = 1;
const FIELDS: &str = "zone and [[tariffs]]";

/// All entries with the lines that they begin in, or all that is wrong with them.
pub fn entries(text: &str) -> Result<Vec<Entry>, Vec<TariffMistake>> {
    let (file, errors) = DeTable::parse_recoverable(text);
    let at = |position: usize| line_at(text, position);
    let mut mistakes: Vec<TariffMistake> = errors
        .iter()
        .map(|error| TariffMistake {
            line: at(error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        })
        .collect();
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let (mut zone, mut tariffs) = (Tz::UTC, Vec::new());
    for (key, value) in file.into_inner() {
        let line = at(key.span().start);
        let mut wrong = |message: String| mistakes.push(TariffMistake { line, message });
        match (key.get_ref().as_ref(), value.into_inner()) {
            ("zone", DeValue::String(name)) => match zone_of(&name) {
                Ok(named) => zone = named,
                Err(message) => wrong(message),
            },
            ("tariffs", DeValue::Array(entries)) => tariffs = entries.into_iter().collect(),
            (other, _) => wrong(format!("{other:?} is no setting of tariffs; there are {FIELDS}")),
        }
    }
    let mut read = Vec::new();
    for entry in tariffs {
        let line = at(entry.span().start);
        match one(entry, zone) {
            Ok(tariff) => read.push((line, tariff)),
            Err((position, message)) => {
                mistakes.push(TariffMistake { line: position.map_or(line, at), message });
            }
        }
    }
    if mistakes.is_empty() { Ok(read) } else { Err(mistakes) }
}

/// A mistake and the byte it stands at, where that is known.
type Wrong = (Option<usize>, String);

fn one(entry: Spanned<DeValue<'_>>, zone: Tz) -> Result<Tariff, Wrong> {
    let span = entry.span();
    let mut value = entry.into_inner();
    floats_to_text(&mut value);
    let deserializer = toml::de::ValueDeserializer::from(Spanned::new(span, value));
    let raw = RawTariff::deserialize(deserializer)
        .map_err(|error| (error.span().map(|span| span.start), error.message().to_owned()))?;
    raw.check(zone).map_err(|message| (None, message))
}

/// Floats become their own text, so that no digit is lost.
fn floats_to_text(value: &mut DeValue<'_>) {
    match value {
        DeValue::Float(float) => *value = DeValue::String(float.as_str().replace('_', "").into()),
        DeValue::Array(items) => items.iter_mut().for_each(|item| floats_to_text(item.get_mut())),
        DeValue::Table(table) => {
            table.iter_mut().for_each(|(_, item)| floats_to_text(item.get_mut()));
        }
        _ => {}
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTariff {
    name: String,
    system: Option<String>,
    account: Option<String>,
    direction: Option<String>,
    #[serde(default)]
    prefix: String,
    currency: String,
    zone: Option<String>,
    valid_from: Option<Moment>,
    valid_to: Option<Moment>,
    #[serde(flatten)]
    price: RawPrice,
    #[serde(default)]
    bands: Vec<RawBand>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct RawPrice {
    setup: Option<Money>,
    per_minute: Option<Money>,
    first_increment: Option<u32>,
    next_increment: Option<u32>,
    minimum: Option<Money>,
    free_seconds: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct RawBand {
    days: Option<String>,
    from: Option<String>,
    to: Option<String>,
    #[serde(flatten)]
    price: RawPrice,
}

/// An amount that is not negative.
#[derive(Clone, Copy, Debug)]
struct Money(Amount);

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Whole(i64),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Whole(whole) => whole.to_string(),
            Written::Text(text) => text,
        };
        let amount = exact_amount(text.trim()).filter(|amount| *amount >= 0);
        amount.map(Money).ok_or_else(|| {
            de::Error::custom(format!(
                "{text:?} is no amount: write digits such as 0.09, at most nine after the point"
            ))
        })
    }
}

/// A date or time, bare as TOML has them or as text.
#[derive(Debug)]
struct Moment(String);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Bare(toml::value::Datetime),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Bare(moment) => moment.to_string(),
        }))
    }
}

impl RawTariff {
    fn check(self, file_zone: Tz) -> Result<Tariff, String> {
        let wrong = |message: String| format!("tariff {:?}: {message}", self.name);
        let zone = self.zone.as_deref().map_or(Ok(file_zone), zone_of).map_err(wrong)?;
        let currency = currencies::code(&self.currency)
            .map_err(|error| wrong(format!("{error}; {}", error.hint().unwrap_or_default())))?;
        if let Some(system) = &self.system {
            system_of(system).map_err(wrong)?;
        }
        if let Some(other) =
            self.direction.as_deref().filter(|d| !["incoming", "outgoing"].contains(d))
        {
            return Err(wrong(format!("direction {other:?} is neither incoming nor outgoing")));
        }
        // A prefix is too short to tell an international number from an extension.
        if let Some(rest) = self.prefix.trim().strip_prefix("00")
            && rest.starts_with(|c: char| ('1'..='9').contains(&c))
        {
            return Err(wrong(format!("prefix {:?}: write +{rest}", self.prefix)));
        }
        let instant = |moment: &Option<Moment>| -> Result<Option<Micros>, String> {
            let read = |Moment(text): &Moment| period::moment(text, zone);
            let moment = moment.as_ref().map(read).transpose();
            Ok(moment.map_err(|error| wrong(error.to_string()))?.map(|at| at.timestamp_micros()))
        };
        let valid = (instant(&self.valid_from)?, instant(&self.valid_to)?);
        if let (Some(from), Some(until)) = valid
            && from >= until
        {
            return Err(wrong("valid_to is not after valid_from".to_owned()));
        }
        if self.price.per_minute.is_none() && self.bands.is_empty() {
            return Err(wrong(
                "it has no per_minute: name the price, 0 if there is none".to_owned(),
            ));
        }
        let price = self.price.over(Price::default(), &self.name)?;
        Ok(Tariff {
            week: week(&self.bands, price, self.price.per_minute.is_some(), &self.name)?,
            name: self.name,
            matches: Match {
                system: self.system,
                account: self.account,
                direction: self.direction,
                prefix: number_key(&self.prefix),
            },
            currency: currency.to_owned(),
            price,
            zone,
            valid,
        })
    }
}

fn week(
    bands: &[RawBand],
    price: Price,
    has_rest: bool,
    name: &str,
) -> Result<Option<Week>, String> {
    if bands.is_empty() {
        return Ok(None);
    }
    let read = |band: &RawBand| band.over(price, has_rest, name);
    let bands = bands.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Week::lay(&bands, has_rest).map(Some).map_err(|clash| match clash {
        Clash::Twice(one, two, when) => format!(
            "tariff {name:?}: bands {one} and {two} both hold on {when}; let them end where the next \
             one begins"
        ),
        Clash::Hole(from, until) => format!(
            "tariff {name:?}: no band holds from {from} to {until}; add one, or give the tariff a \
             per_minute for all other times"
        ),
    })
}

impl RawPrice {
    /// These prices where they are given, else those of `base`.
    fn over(self, base: Price, name: &str) -> Result<Price, String> {
        let amount =
            |given: Option<Money>, base: Amount| given.map_or(base, |Money(amount)| amount);
        let increment = |given: Option<u32>, base: u32| match given {
            Some(0) => Err(format!("tariff {name:?}: an increment is at least 1 second")),
            Some(seconds) => Ok(seconds),
            None => Ok(base.max(DEFAULT_INCREMENT)),
        };
        Ok(Price {
            setup: amount(self.setup, base.setup),
            per_minute: amount(self.per_minute, base.per_minute),
            first_increment: increment(self.first_increment, base.first_increment)?,
            next_increment: increment(self.next_increment, base.next_increment)?,
            minimum: amount(self.minimum, base.minimum),
            free_seconds: self.free_seconds.unwrap_or(base.free_seconds),
        })
    }
}

impl RawBand {
    fn over(&self, base: Price, has_rest: bool, name: &str) -> Result<Band, String> {
        if !has_rest && self.price.per_minute.is_none() {
            return Err(format!("tariff {name:?}: a band has no per_minute"));
        }
        let time = |text: &Option<String>, otherwise: usize| match text {
            None => Ok(otherwise),
            Some(text) => minute_of(text).ok_or_else(|| {
                format!("tariff {name:?}: {text:?} is no time of day; write it like 08:00")
            }),
        };
        Ok(Band {
            days: days(self.days.as_deref().unwrap_or("mon-sun"))
                .map_err(|message| format!("tariff {name:?}: {message}"))?,
            from: time(&self.from, 0)?,
            until: time(&self.to, DAY_MINUTES)?,
            price: self.price.over(base, name)?,
        })
    }
}

fn zone_of(name: &str) -> Result<Tz, String> {
    period::zone(name).map_err(|error| format!("{error}; {}", error.hint().unwrap_or_default()))
}

fn system_of(name: &str) -> Result<(), String> {
    let known: Vec<&str> = ringlake_transform::SYSTEMS.iter().map(|system| system.name()).collect();
    if known.contains(&name) {
        return Ok(());
    }
    let meant = near(name, known.iter().copied());
    let meant = meant.first().map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    Err(format!("unknown system {name:?}{meant} there are {}", known.join(", ")))
}

fn line_at(text: &str, position: usize) -> usize {
    text.bytes().take(position).filter(|byte| *byte == b'\n').count() + 1
}
