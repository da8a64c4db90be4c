//! `met(groups, spans)`: what calls come to in each row's spans of a [`calendar`](super::calendar). The `groups` of calls
//! are one list for all rows, of structs that have the calls' `slot_sums` as `sums`; the answer is a list of those that any
//! call in the spans is of, with `calls`, `talked_seconds` and `cost` in place of the sums.
//!
//! A span of a deal has dozens of slots. Joined, each pair of the two is a row to be made, hashed and summed up; here a
//! span is a difference, however many slots it has. The spans of a row must not overlap, or calls in both count
//! twice; those of `person_spans` do not.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, StructArray, UInt64Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::take;
use arrow::datatypes::{ArrowNativeType, DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::calendar::spans_in_slots;
use super::sums::{Before, Running, Scales, Sum, amount, amounts, scales_of};

/// What is told of a group of calls, beside anything else.
const SUMS: &str = "sums";

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Met {
    signature: Signature,
}

impl Default for Met {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Met {
    fn name(&self) -> &str {
        "met"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let item = match arguments {
            [DataType::List(group), DataType::List(spans)] if *spans == spans_in_slots() => {
                item(group.data_type())
            }
            _ => None,
        };
        let item = item.ok_or_else(|| {
            exec_datafusion_err!("met takes a list of groups of calls, and spans of a calendar")
        })?;
        Ok(DataType::List(item))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // It is one for all rows.
        let (DataType::List(item), [ColumnarValue::Scalar(ScalarValue::List(groups)), spans]) =
            (args.return_type(), args.args.as_slice())
        else {
            return exec_err!("spans meet one list of groups");
        };
        let groups = groups.value(0);
        let groups = groups.as_struct();
        let sums = groups.column_by_name(SUMS).map(AsArray::as_struct);
        let (DataType::Struct(fields), Some(sums)) = (item.data_type(), sums) else {
            return exec_err!("what calls come to are structs");
        };
        let Some(scales) = scales_of(sums.data_type()) else {
            return exec_err!("groups of calls have sums by slot");
        };
        let spans = spans.to_array(args.number_rows)?;
        let found = met(&Running::of(sums)?, spans.as_list())?;
        let of = UInt64Array::from(found.groups);
        let beside = beside(groups).map(|(_, column)| take(column, &of, None));
        let mut columns: Vec<ArrayRef> = beside.collect::<Result<_, _>>()?;
        columns.extend(measured(&found.sums, scales));
        let told = StructArray::try_new(fields.clone(), columns, None)?;
        let offsets = OffsetBuffer::from_lengths(found.lengths);
        let told = ListArray::try_new(Arc::clone(item), offsets, Arc::new(told), None)?;
        Ok(ColumnarValue::Array(Arc::new(told)))
    }
}

/// What is told of groups beside the sums.
fn beside(groups: &StructArray) -> impl Iterator<Item = (&FieldRef, &ArrayRef)> {
    let columns = groups.fields().iter().zip(groups.columns());
    columns.filter(|(field, _)| field.name() != SUMS)
}

fn item(group: &DataType) -> Option<FieldRef> {
    let DataType::Struct(fields) = group else { return None };
    let [talked, cost] = scales_of(fields.find(SUMS)?.1.data_type())?;
    let measures = [
        Field::new("calls", DataType::Int64, true),
        Field::new("talked_seconds", amount(talked), true),
        Field::new("cost", amount(cost), true),
    ];
    let beside = fields.iter().filter(|field| field.name() != SUMS).cloned();
    let fields = beside.chain(measures.map(Arc::new)).collect();
    Some(Arc::new(Field::new_list_field(DataType::Struct(fields), true)))
}

fn measured(sums: &[Sum], [talked, cost]: Scales) -> [ArrayRef; 3] {
    let calls = Int64Array::from_iter_values(sums.iter().map(|sum| sum.calls));
    let seconds = amounts(sums.iter().map(|sum| Some(sum.talked_seconds)), talked);
    let costs = sums.iter().map(|sum| (sum.costs > 0).then_some(sum.cost));
    [Arc::new(calls), seconds, amounts(costs, cost)]
}

/// What the rows come to, one list after the other.
#[derive(Default)]
struct Found {
    /// The places of the groups.
    groups: Vec<u64>,
    sums: Vec<Sum>,
    /// How many are in each list.
    lengths: Vec<usize>,
}

/// So many rows are asked for at a time.
const SOME: usize = 256;

fn met(sums: &[Running<'_>], spans: &ListArray) -> Result<Found> {
    let mut found = Found::default();
    for first in (0..spans.len()).step_by(SOME) {
        found.meet(sums, &spans.slice(first, SOME.min(spans.len() - first)))?;
    }
    Ok(found)
}

impl Found {
    /// What the spans of some rows ask for lies anywhere, and is fetched for all of them before any is summed up, so that
    /// it is waited for together.
    fn meet(&mut self, sums: &[Running<'_>], spans: &ListArray) -> Result<()> {
        let offsets = spans.value_offsets();
        let [base, end] =
            [offsets.first(), offsets.last()].map(|at| at.map_or(0, |at| at.as_usize()));
        let all = spans.values().as_struct().slice(base, end - base);
        let [first, after] = [1, 2].map(|at| all.column(at).as_primitive::<Int64Type>().values());
        let told = sums.iter().map(|sums| (sums, sums.before(first), sums.before(after)));
        let told: Vec<(&Running<'_>, Vec<Before>, Vec<Before>)> = told.collect();
        for bounds in offsets.array_windows() {
            let [from, until] = bounds.map(|at| at.as_usize() - base);
            let before = self.sums.len();
            for (group, (sums, firsts, afters)) in (0..).zip(&told) {
                let own = firsts.get(from..until).unwrap_or_default().iter();
                let own = own.zip(afters.get(from..until).unwrap_or_default());
                let mut own = own.map(|(first, after)| sums.between(first, after));
                let sum = own.try_fold(Sum::default(), Sum::and)?;
                if sum.rows > 0 {
                    self.groups.push(group);
                    self.sums.push(sum);
                }
            }
            self.lengths.push(self.sums.len() - before);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::asked::asked;

    /// Spans of three owners with two persons, that end where others begin or are apart; calls in them, between and
    /// beside them, of a third person as well; calls that cost nothing or do not count.
    const TOLD: &str = "WITH told AS (
            SELECT
                owner, person,
                arrow_cast(began, 'Timestamp(Microsecond, Some(\"UTC\"))') AS began,
                arrow_cast(ended, 'Timestamp(Microsecond, Some(\"UTC\"))') AS ended
            FROM (VALUES
                ('a', 7, -9, 4), ('b', 7, 4, 6), ('a', 7, 6, 9), ('c', 7, -9, 9), ('b', 9, 0, 5), ('b', 9, 8, 12), (NULL, 9, 1, 3)
            ) AS told(owner, person, began, ended)
        ),
        owners AS (SELECT owner, person_spans([person], [named_struct('began', began, 'ended', ended)]) AS spans FROM told GROUP BY owner),
        calendar AS (
            SELECT calendar(array_agg(named_struct('owner', owner, 'spans', spans))) AS calendar FROM owners
        ),
        calls AS (
            SELECT
                person, arrow_cast(at, 'Timestamp(Microsecond, Some(\"UTC\"))') AS at,
                CASE WHEN at % 2 = 0 THEN 'EUR' ELSE 'USD' END AS currency,
                at % 5 <> 0 AS counts,
                CAST(at + 20 AS DECIMAL(18, 6)) AS talk,
                CASE WHEN at % 3 = 0 THEN CAST(at AS DECIMAL(18, 9)) / 10 END AS cost
            FROM generate_series(-12, 14) AS times(at)
            CROSS JOIN (VALUES (7), (8), (9)) AS persons(person)
        )";

    #[tokio::test]
    async fn calls_meet_those_whose_spans_go_on() {
        let by_slot = format!(
            "{TOLD},
            summed AS (
                SELECT currency, slot_sums(slot_at((SELECT calendar FROM calendar), person, at), counts, talk, cost) AS sums
                FROM calls GROUP BY currency
            ),
            groups AS (
                SELECT array_agg(named_struct('currency', currency, 'sums', sums)) AS groups FROM summed
            ),
            held AS (SELECT unnest(get_field((SELECT calendar FROM calendar), 'groups')) AS held),
            lines AS (SELECT held['owner'] AS owner, unnest(met((SELECT groups FROM groups), held['spans'])) AS met FROM held)
            SELECT
                owner, met['currency'] AS currency, met['calls'] AS calls,
                met['talked_seconds'] AS talked, CAST(met['cost'] AS DECIMAL(38, 9)) AS cost
            FROM lines ORDER BY owner, currency"
        );
        let by_time = format!(
            "{TOLD}
            SELECT
                owner, currency, count(*) FILTER (WHERE counts) AS calls,
                CAST(coalesce(sum(talk) FILTER (WHERE counts), 0) AS DECIMAL(38, 6)) AS talked,
                CAST(sum(cost) AS DECIMAL(38, 9)) AS cost
            FROM calls
            INNER JOIN told ON told.person = calls.person AND at >= began AND at < ended
            GROUP BY owner, currency ORDER BY owner, currency"
        );
        let met = asked(&by_slot).await.unwrap();
        assert_eq!(met, asked(&by_time).await.unwrap());
        // Three owners and one without a name, in two currencies.
        assert_eq!(met.lines().count(), 4 + 8, "{met}");
    }

    #[tokio::test]
    async fn other_types_are_refused() {
        for (wrong, says) in [
            ("SELECT met(7, 7)", "met takes a list"),
            (
                "SELECT slot_sums(7, true, CAST(1.5 AS DECIMAL(18, 6)), CAST(1.5 AS DECIMAL(18, 6)))",
                "add GROUP BY",
            ),
            (
                "SELECT slot_sums(n, true, CAST(1.5 AS DECIMAL(18, 6)), CAST(1.5 AS DECIMAL(18, 6))) FILTER (WHERE n > 0) FROM (VALUES (1)) AS one(n) GROUP BY n",
                "not by FILTER",
            ),
            (
                "SELECT slot_sums(7, 7, 7, 7) FROM (VALUES (1)) AS one(n) GROUP BY n",
                "slot_sums takes a slot",
            ),
        ] {
            let refused = asked(wrong).await.unwrap_err();
            assert!(refused.contains(says), "{wrong}: {refused}");
        }
    }
}
