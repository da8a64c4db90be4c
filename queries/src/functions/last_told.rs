//! `last_told(x) OVER (… ORDER BY …)`: the newest value that is not null, up to each row.
//!
//! `last_value(x) IGNORE NULLS` says the same, but looks back through the whole partition for each row: one
//! in which nothing was ever told takes time by the square of its rows.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDFImpl};

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct LastTold {
    signature: Signature,
}

impl Default for LastTold {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl WindowUDFImpl for LastTold {
    fn name(&self) -> &str {
        "last_told"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        let of = args.get_input_field(0).map(|field| field.data_type().clone());
        Ok(Arc::new(Field::new(args.name(), of.unwrap_or(DataType::Null), true)))
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs<'_>,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        let Some(field) = args.input_fields().first() else {
            return internal_err!("last_told takes a value");
        };
        Ok(Box::new(Newest(ScalarValue::try_new_null(field.data_type())?)))
    }
}

/// The newest value so far. Rows come in order, each once.
#[derive(Debug)]
struct Newest(ScalarValue);

impl PartitionEvaluator for Newest {
    fn is_causal(&self) -> bool {
        true
    }

    fn supports_bounded_execution(&self) -> bool {
        true
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        let Some(values) = values.first() else {
            return internal_err!("last_told takes a value");
        };
        if values.is_valid(range.start) {
            self.0 = ScalarValue::try_from_array(values, range.start)?;
        }
        Ok(self.0.clone())
    }
}
