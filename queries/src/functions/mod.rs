//! The few functions that SQL lacks for exact answers.

mod arrival;
mod convert;
mod country;
mod days;
mod json_texts;
mod numbers;
mod phone;
mod ratio;
mod seconds;
mod tariff;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;

pub use country::calling_code;
pub use numbers::exact_amount;

use crate::tariffs::Tariffs;

/// Makes the one that rates by these tariffs known to a session.
pub fn register_rating(context: &SessionContext, tariffs: &Arc<Tariffs>) {
    context.register_udf(ScalarUDF::from(tariff::TariffRating::new(tariffs.clone())));
}

/// Makes all of them known to a session that need no settings.
pub fn register(context: &SessionContext) {
    context.register_udf(ScalarUDF::from(arrival::ArrivalOrder::default()));
    context.register_udf(ScalarUDF::from(country::CountryOf::default()));
    context.register_udf(ScalarUDF::from(numbers::ExactNumber::default()));
    context.register_udf(ScalarUDF::from(numbers::SameValue::default()));
    context.register_udf(ScalarUDF::from(json_texts::JsonTexts::default()));
    context.register_udf(ScalarUDF::from(phone::PhoneE164::default()));
    context.register_udf(ScalarUDF::from(ratio::Ratio::default()));
    context.register_udf(ScalarUDF::from(convert::Converted::default()));
    context.register_udf(ScalarUDF::from(days::DayParts::default()));
    context.register_udf(ScalarUDF::from(seconds::SecondsBetween::default()));
}
