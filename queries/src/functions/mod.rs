//! The few functions that SQL lacks for exact answers.

mod arrival;
mod country;
mod numbers;
mod ratio;
mod seconds;

use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;

/// Makes all of them known to a session.
pub fn register(context: &SessionContext) {
    context.register_udf(ScalarUDF::from(arrival::ArrivalOrder::default()));
    context.register_udf(ScalarUDF::from(country::CountryOf::default()));
    context.register_udf(ScalarUDF::from(numbers::ExactNumber::default()));
    context.register_udf(ScalarUDF::from(numbers::SameValue::default()));
    context.register_udf(ScalarUDF::from(ratio::Ratio::default()));
    context.register_udf(ScalarUDF::from(seconds::SecondsBetween::default()));
}
