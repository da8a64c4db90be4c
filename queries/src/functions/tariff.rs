//! `tariff_rating(system, account, direction, number, started_at, seconds)`: what the tariffs make of a
//! call, as a struct of `tariff`, `currency`, `cost` and `billed_seconds`; null where none is for it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Decimal128Builder, StringBuilder, StructArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal128Type, Field, Fields, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use ringlake_transform::Kind;

use crate::tariffs::{Talk, Tariffs};

/// Units of a seconds column in a second.
const MICROS: i128 = 1_000_000;

#[derive(Debug)]
pub struct TariffRating {
    signature: Signature,
    tariffs: Arc<Tariffs>,
}

impl TariffRating {
    pub fn new(tariffs: Arc<Tariffs>) -> Self {
        Self { signature: Signature::any(6, Volatility::Immutable), tariffs }
    }
}

impl PartialEq for TariffRating {
    fn eq(&self, other: &Self) -> bool {
        self.tariffs == other.tariffs
    }
}

impl Eq for TariffRating {}

impl Hash for TariffRating {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tariffs.all().len().hash(state);
    }
}

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("tariff", DataType::Utf8, true),
        Field::new("currency", DataType::Utf8, true),
        Field::new("cost", Kind::Decimal.data_type(), true),
        Field::new("billed_seconds", Kind::Seconds.data_type(), true),
    ])
}

impl ScalarUDFImpl for TariffRating {
    fn name(&self) -> &str {
        "tariff_rating"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(fields()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.tariffs.is_empty() {
            let none = ScalarValue::try_from(&DataType::Struct(fields()))?;
            return Ok(ColumnarValue::Scalar(none));
        }
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [system, account, direction, number, started, seconds] = columns.as_slice() else {
            return internal_err!("tariff_rating takes six values");
        };
        let text = |column: &ArrayRef| cast(column, &DataType::Utf8);
        let texts = [text(system)?, text(account)?, text(direction)?, text(number)?];
        let [system, account, direction, number] =
            texts.each_ref().map(|column| column.as_string::<i32>());
        let started = cast(started, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
        let started = started.as_primitive::<TimestampMicrosecondType>();
        let seconds = cast(seconds, &Kind::Seconds.data_type())?;
        let seconds: &Decimal128Array = seconds.as_primitive::<Decimal128Type>();
        let mut ratings = Ratings::default();
        for row in 0..started.len() {
            let at = |column: &arrow::array::StringArray| {
                column.is_valid(row).then(|| column.value(row).to_owned())
            };
            let (account, direction, number) = (at(account), at(direction), at(number));
            let known = system.is_valid(row) && started.is_valid(row) && seconds.is_valid(row);
            let talked = known.then(|| i64::try_from(seconds.value(row)).ok()).flatten();
            let rating = talked.and_then(|talked| {
                self.tariffs.rate(&Talk {
                    system: system.value(row),
                    account: account.as_deref(),
                    direction: direction.as_deref(),
                    number: number.as_deref(),
                    started_at: started.value(row),
                    talked,
                })
            });
            ratings.add(rating);
        }
        ratings.finish()
    }
}

#[derive(Default)]
struct Ratings {
    tariffs: StringBuilder,
    currencies: StringBuilder,
    costs: Decimal128Builder,
    billed: Decimal128Builder,
    is_rated: Vec<bool>,
}

impl Ratings {
    fn add(&mut self, rating: Option<crate::tariffs::Rating<'_>>) {
        self.is_rated.push(rating.is_some());
        self.tariffs.append_option(rating.map(|rating| rating.tariff.name.as_str()));
        self.currencies.append_option(rating.map(|rating| rating.tariff.currency.as_str()));
        self.costs.append_option(rating.map(|rating| rating.cost));
        self.billed.append_option(rating.map(|rating| i128::from(rating.billed_seconds) * MICROS));
    }

    fn finish(mut self) -> Result<ColumnarValue> {
        let fields = fields();
        let costs = cast_decimal(self.costs.finish(), &Kind::Decimal.data_type())?;
        let billed = cast_decimal(self.billed.finish(), &Kind::Seconds.data_type())?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.tariffs.finish()),
            Arc::new(self.currencies.finish()),
            Arc::new(costs),
            Arc::new(billed),
        ];
        let nulls = NullBuffer::from(self.is_rated);
        let ratings = StructArray::try_new(fields, columns, Some(nulls))?;
        Ok(ColumnarValue::Array(Arc::new(ratings)))
    }
}

/// The digits as they are, under their type.
fn cast_decimal(values: Decimal128Array, data_type: &DataType) -> Result<Decimal128Array> {
    match data_type {
        DataType::Decimal128(precision, scale) => {
            Ok(values.with_precision_and_scale(*precision, *scale)?)
        }
        other => internal_err!("{other} is no decimal"),
    }
}
