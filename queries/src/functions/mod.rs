//! The few functions that SQL lacks for exact answers.

mod account;
mod arrival;
#[cfg(test)]
mod asked;
mod business;
mod calendar;
mod channel_state;
mod convert;
mod country;
mod days;
mod entries;
mod json_texts;
mod last_told;
mod local;
mod looked_up;
mod met;
mod nearest_rank;
mod numbers;
mod open_stays;
mod person_spans;
mod phone;
mod phone_book;
mod places;
mod ratio;
mod seconds;
mod slot_at;
mod slot_sums;
mod sums;
mod tally;
mod tariff;
mod walk;
mod words;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use datafusion::prelude::SessionContext;

pub use country::calling_code;
pub use numbers::exact_amount;

use crate::engine::EngineSettings;

/// A function that whoever asks in SQL may want.
#[derive(Debug)]
pub struct Function {
    pub name: &'static str,
    /// How it is called.
    pub call: &'static str,
    pub meaning: &'static str,
    /// A call, and what it comes to.
    pub example: &'static str,
}

/// Those worth knowing. The others are steps of the reports.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "phone_e164",
        call: "phone_e164(number, country)",
        meaning: "the number in E.164 form, so that two spellings of one number are equal; country is \
                  where numbers without a calling code are from, or null",
        example: "phone_e164('030 901820', 'DE') = '+4930901820'",
    },
    Function {
        name: "country_of",
        call: "country_of(number)",
        meaning: "the country of a number by its calling code, as two letters; null without a code",
        example: "country_of('+821045472367') = 'KR'",
    },
    Function {
        name: "local_time",
        call: "local_time(instant, zone)",
        meaning: "what the clocks of a zone (IANA name) showed at an instant",
        example: "local_time(started_at, 'Europe/Berlin')",
    },
    Function {
        name: "business_seconds",
        call: "business_seconds(from, until, calendar)",
        meaning: "the seconds from one instant to another in the business hours of [calendars.NAME] in \
                  ringlake.toml; 0 if the second is the earlier",
        example: "business_seconds(started_at, answered_at, 'office')",
    },
    Function {
        name: "seconds_between",
        call: "seconds_between(from, until)",
        meaning: "the seconds from one instant to another, exact; 0 if the second is the earlier",
        example: "seconds_between(started_at, ended_at)",
    },
    Function {
        name: "nearest_rank",
        call: "nearest_rank(value, percent)",
        meaning: "of a group's values the smallest that so many percent do not exceed, exact",
        example: "nearest_rank(talk_seconds, 90)",
    },
];

/// Makes those known to a session that go by the settings.
pub fn register_settled(context: &SessionContext, settings: &EngineSettings) {
    let EngineSettings { account_currencies, account_countries, tariffs, calendars, .. } = settings;
    let of_account = |name, told| ScalarUDF::from(account::OfAccount::new(name, told));
    context.register_udf(of_account("account_currency", account_currencies));
    context.register_udf(of_account("account_country", account_countries));
    context.register_udf(ScalarUDF::from(tariff::TariffRating::new(tariffs.clone())));
    context.register_udf(ScalarUDF::from(business::BusinessSeconds::new(calendars.clone())));
}

/// Makes all of them known to a session that need no settings.
pub fn register(context: &SessionContext) {
    context.register_udf(ScalarUDF::from(arrival::ArrivalOrder::default()));
    context.register_udf(ScalarUDF::from(country::CountryOf::default()));
    context.register_udf(ScalarUDF::from(numbers::ExactNumber::default()));
    context.register_udf(ScalarUDF::from(numbers::SameValue::default()));
    context.register_udf(ScalarUDF::from(local::LocalTime::default()));
    context.register_udf(ScalarUDF::from(looked_up::LookedUp::default()));
    context.register_udf(ScalarUDF::from(met::Met::default()));
    context.register_udf(ScalarUDF::from(json_texts::JsonTexts::default()));
    context.register_udf(ScalarUDF::from(phone::Phone::e164()));
    context.register_udf(ScalarUDF::from(phone::Phone::key()));
    context.register_udf(ScalarUDF::from(open_stays::OpenStays::default()));
    context.register_udf(ScalarUDF::from(phone_book::PhoneBook::default()));
    context.register_udf(ScalarUDF::from(phone_book::PhonesOf::default()));
    context.register_udf(ScalarUDF::from(ratio::Ratio::default()));
    context.register_udf(ScalarUDF::from(convert::Converted::default()));
    context.register_udf(ScalarUDF::from(days::DayParts::default()));
    context.register_udf(ScalarUDF::from(seconds::SecondsBetween::default()));
    context.register_udf(ScalarUDF::from(calendar::ToCalendar::default()));
    context.register_udf(ScalarUDF::from(slot_at::SlotAt::default()));
    context.register_udf(ScalarUDF::from(tally::RankOf::default()));
    context.register_udf(ScalarUDF::from(tally::Total::times()));
    context.register_udf(ScalarUDF::from(tally::Total::sum()));
    context.register_udaf(AggregateUDF::from(slot_sums::SlotSums::default()));
    context.register_udaf(AggregateUDF::from(tally::Tally::default()));
    context.register_udaf(AggregateUDF::from(nearest_rank::NearestRank::default()));
    context.register_udaf(AggregateUDF::from(person_spans::PersonSpans::default()));
    context.register_udwf(WindowUDF::from(channel_state::ChannelState::default()));
    context.register_udwf(WindowUDF::from(last_told::LastTold::default()));
}
