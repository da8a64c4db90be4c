//! `slot_at(calendar, person, instant)`: the number of the slot of an instant in a [`calendar`](super::calendar), null
//! before the person's first and of a person who is not in it.
//!
//! Millions of calls are looked up so, where a join by time would lay each beside all spans of its person. What is
//! at a cut is behind it.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::calendar::is_calendar;
use super::person_spans::instant;
use super::walk::Calendar;

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SlotAt {
    signature: Signature,
}

impl Default for SlotAt {
    fn default() -> Self {
        Self { signature: Signature::any(3, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for SlotAt {
    fn name(&self) -> &str {
        "slot_at"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [calendar, DataType::Int64, time] if is_calendar(calendar) && *time == instant() => {
                Ok(DataType::Int64)
            }
            _ => exec_err!("slot_at takes a calendar, a person (BIGINT) and an instant in UTC"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        // It is one for all rows.
        let [ColumnarValue::Scalar(ScalarValue::Struct(calendar)), person, time] =
            args.args.as_slice()
        else {
            return exec_err!("slots are told of one calendar, a person and a time");
        };
        let calendar = Calendar::of(calendar)?;
        let persons = person.to_array(args.number_rows)?;
        let times = time.to_array(args.number_rows)?;
        let slots = calendar.slots(persons.as_primitive(), times.as_primitive())?;
        Ok(ColumnarValue::Array(Arc::new(slots)))
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::super::asked::asked;

    #[tokio::test]
    async fn an_instant_is_in_the_slots_of_the_spans_that_go_on() {
        // As a session of ours has it: otherwise a field of a struct behind a join is not found.
        let leaves = "datafusion.optimizer.enable_leaf_expression_pushdown";
        let context = SessionContext::new_with_config(SessionConfig::new().set_bool(leaves, false));
        crate::functions::register(&context);
        // Of both persons, before 1970 as well; spans that begin where others end, or at the same time.
        let sql = "WITH told AS (
                SELECT
                    person,
                    arrow_cast(began, 'Timestamp(Microsecond, Some(\"UTC\"))') AS began_at,
                    arrow_cast(ended, 'Timestamp(Microsecond, Some(\"UTC\"))') AS ended_at
                FROM (VALUES (7, -9, 4), (7, 4, 6), (7, 4, 9), (7, -9, 9), (9, 0, 5), (9, 8, 12)) AS told(person, began, ended)
            ),
            groups AS (
                SELECT began_at, ended_at, person_spans([person], [named_struct('began', began_at, 'ended', ended_at)]) AS spans FROM told GROUP BY began_at, ended_at
            ),
            calendar AS (
                SELECT calendar(array_agg(named_struct('began_at', began_at, 'ended_at', ended_at, 'spans', spans))) AS calendar
                FROM groups
            ),
            held AS (SELECT unnest(get_field((SELECT calendar FROM calendar), 'groups')) AS held),
            slots AS (SELECT held['began_at'] AS began_at, held['ended_at'] AS ended_at, unnest(held['spans']) AS held FROM held),
            calls AS (
                SELECT person, arrow_cast(at, 'Timestamp(Microsecond, Some(\"UTC\"))') AS at
                FROM generate_series(-12, 14) AS times(at)
                CROSS JOIN (VALUES (6), (7), (8), (9), (10)) AS persons(person)
            ),
            met AS (
                SELECT calls.person, at, began_at, ended_at
                FROM (SELECT *, slot_at((SELECT calendar FROM calendar), person, at) AS slot FROM calls) AS calls
                INNER JOIN slots ON held['person'] = calls.person AND slot >= held['first_slot'] AND slot < held['slot_after']
            ),
            expected AS (
                SELECT calls.person, at, began_at, ended_at
                FROM calls
                INNER JOIN told ON told.person = calls.person AND at >= began_at AND at < ended_at
            )";
        let count = async |sql: String| {
            let counted = context.sql(&sql).await.unwrap().collect().await.unwrap();
            pretty_format_batches(&counted).unwrap().to_string()
        };
        let rows = |from: &str| format!("{sql} SELECT count(*) AS n FROM {from}");
        let all = count(rows("expected")).await;
        assert!(all.contains("| 47 |"), "{all}");
        assert_eq!(count(rows("met")).await, all);
        let same = "(SELECT * FROM met INTERSECT SELECT * FROM expected) AS same";
        assert_eq!(count(rows(same)).await, all);
    }

    #[tokio::test]
    async fn other_types_are_refused() {
        for wrong in [
            "calendar(7)",
            "calendar([7])",
            "calendar([named_struct('spans', [9])])",
            "person_spans(7, 7)",
            "slot_at(7, 7, now())",
            "slot_at(named_struct('groups', 1, 'known', 2, 'persons', 3, 'cuts', 4, 'whose', 5, 'come_to', 6), 7, now())",
        ] {
            let refused = asked(&format!("SELECT {wrong}")).await.unwrap_err();
            assert!(refused.contains(" takes a "), "{wrong}: {refused}");
        }
    }
}
