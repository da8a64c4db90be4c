//! `open_stays(closed, system, account, stays)`: those of each row's stays whose stage is not among the closed ones, as a list
//! of when they began and ended. A stay is a struct of its stage and these two; a closed stage is one of its system, account
//! and id, and null is an account like any other.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::filter;
use arrow::datatypes::{ArrowNativeType, DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::looked_up::{held, is_text, of_accounts, texts};
use super::person_spans::instant;

fn fields() -> Fields {
    ["entered_at", "left_at"].map(|name| Field::new(name, instant(), true)).into_iter().collect()
}

/// An open stay.
fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(fields()), true))
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct OpenStays {
    signature: Signature,
}

impl Default for OpenStays {
    fn default() -> Self {
        Self { signature: Signature::any(4, Volatility::Immutable) }
    }
}

fn are_stages(row: &DataType) -> bool {
    let DataType::Struct(keys) = row else { return false };
    keys.len() == 3 && keys.iter().all(|key| is_text(key.data_type()))
}

fn are_stays(stay: &DataType) -> bool {
    let DataType::Struct(fields) = stay else { return false };
    let [stage, ends @ ..] = fields.as_ref() else { return false };
    is_text(stage.data_type())
        && ends.len() == 2
        && ends.iter().all(|end| *end.data_type() == instant())
}

impl ScalarUDFImpl for OpenStays {
    fn name(&self) -> &str {
        "open_stays"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [DataType::List(stage), system, account, DataType::List(stay)]
                if are_stages(stage.data_type())
                    && are_stays(stay.data_type())
                    && [system, account].into_iter().all(is_text) =>
            {
                Ok(DataType::List(item()))
            }
            _ => plan_err!(
                "open_stays takes a list of stages, which are structs of three texts, a system, an account and a list of stays, which are structs of a stage and two instants in UTC"
            ),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // It is one for all rows.
        let [ColumnarValue::Scalar(ScalarValue::List(closed)), asked @ ..] = args.args.as_slice()
        else {
            return exec_err!("stays are open by one list of stages");
        };
        let asked: Vec<ArrayRef> =
            asked.iter().map(|asked| asked.to_array(args.number_rows)).collect::<Result<_>>()?;
        let [systems, accounts, stays] = asked.as_slice() else {
            return exec_err!("open_stays takes a system, an account and stays");
        };
        let closed = closed.value(0);
        let open = open_stays(closed.as_struct(), systems, accounts, stays.as_list())?;
        Ok(ColumnarValue::Array(Arc::new(open)))
    }
}

fn open_stays(
    closed: &StructArray,
    systems: &ArrayRef,
    accounts: &ArrayRef,
    stays: &ListArray,
) -> Result<ListArray> {
    let closed: Vec<_> = closed.columns().iter().map(texts).collect::<Result<_>>()?;
    let (closed, systems, accounts) = (held(&closed)?, texts(systems)?, texts(accounts)?);
    let [stages, ends @ ..] = stays.values().as_struct().columns() else {
        return exec_err!("a stay has a stage");
    };
    let stages = texts(stages)?;
    let mut are_open = vec![false; stages.len()];
    let mut lengths = Vec::with_capacity(stays.len());
    let bounds = stays.value_offsets().array_windows();
    for ((closed, bounds), row) in
        of_accounts(&closed, &systems, &accounts).into_iter().zip(bounds).zip(0..)
    {
        let [from, until] = bounds.map(|at| at.as_usize());
        let own = if stays.is_valid(row) { from..until } else { 0..0 };
        let mut open = 0;
        for (at, is_open) in are_open.iter_mut().enumerate().take(own.end).skip(own.start) {
            let stage = stages.is_valid(at).then(|| stages.value(at));
            *is_open = stage.is_none_or(|stage| closed.is_none_or(|ids| !ids.contains_key(stage)));
            open += usize::from(*is_open);
        }
        lengths.push(open);
    }
    let are_open = BooleanArray::from(are_open);
    let ends = ends.iter().map(|end| filter(end, &are_open)).collect::<Result<_, _>>()?;
    let open = StructArray::try_new(fields(), ends, None)?;
    Ok(ListArray::try_new(item(), OffsetBuffer::from_lengths(lengths), Arc::new(open), None)?)
}

#[cfg(test)]
mod tests {
    use super::super::asked::asked;

    const CLOSED: &str = "(SELECT array_agg(named_struct('system', system, 'account', account, 'id', id))
        FROM (VALUES ('crm', 'a', '2'), ('crm', 'b', '1'), ('other', 'a', '1')) AS stages(system, account, id)
        WHERE system <> ";

    #[tokio::test]
    async fn stays_in_stages_that_are_not_closed() {
        let stays = |stages: &str, hidden: &str| {
            let stages = stages.split(' ').zip(1..).map(|(stage, at)| {
                let ends = [at, at + 1]
                    .map(|at| format!("arrow_cast({at}, 'Timestamp(Microsecond, Some(\"UTC\"))')"));
                format!(
                    "named_struct('stage', '{stage}', 'entered', {}, 'left', {})",
                    ends[0], ends[1]
                )
            });
            let list = Vec::from_iter(stages).join(", ");
            format!(
                "SELECT account, arrow_cast(unnest(open_stays({CLOSED} '{hidden}'), 'crm', account, stays))['entered_at'], 'Int64') AS at
                FROM (SELECT unnest(['a', 'b', NULL]) AS account, make_array({list}) AS stays) ORDER BY account, at"
            )
        };
        let lines = async |stages: &str, hidden: &str| {
            let told = asked(&stays(stages, hidden)).await.unwrap();
            told.replace(' ', "")
                .lines()
                .filter(|line| !line.starts_with('+'))
                .skip(1)
                .collect::<String>()
        };
        assert_eq!(
            lines("1 2 3 9 1", "").await,
            "|a|1||a|3||a|4||a|5||b|2||b|3||b|4|||1|||2|||3|||4|||5|"
        );
        assert_eq!(lines("2 2", "").await, "|b|1||b|2|||1|||2|");
        assert_eq!(lines("2 1", "crm").await, "|a|1||a|2||b|1||b|2|||1|||2|");
    }

    #[tokio::test]
    async fn other_types_are_refused() {
        for wrong in ["7", "[7]", "[named_struct('system', 'crm')]"] {
            let sql =
                format!("SELECT open_stays({wrong}, 'crm', 'a', [named_struct('stage', '1')])");
            let refused = asked(&sql).await.unwrap_err();
            assert!(refused.contains("open_stays takes a list"), "{wrong}: {refused}");
        }
    }
}
