//! Slots: the times between the instants at which any span of a person begins or ends, its cuts. The same spans go on
//! in all of a slot.
//!
//! `calendar(spans)`: a list of `person`, `span` and more as it is, `spans`, beside the cuts of each person.
//! `slot_at(calendar, person, instant)`: the number of the slot of an instant, null before the person's first;
//! `slots_in(calendar, person, span)`: the first slot of a span of the calendar, and that after its last.
//!
//! Millions of calls are looked up so, where a join by time would lay each beside all spans of its person. What is
//! at a cut is behind it.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int64Array, ListArray, ListBuilder, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{ArrowNativeType, DataType, Field, Fields, Int64Type, TimeUnit};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// What a calendar is made of, beside its spans.
fn cuts_of_persons() -> [Field; 2] {
    let person = Field::new_list("persons", Field::new_list_field(DataType::Int64, true), true);
    let cuts = Field::new_list("all", Field::new_list_field(instant(), true), true);
    let cuts = Field::new_list_field(cuts.data_type().clone(), true);
    [person, Field::new_list("cuts", cuts, true)]
}

/// When spans begin and end.
fn ends(spans: &StructArray) -> [&TimestampMicrosecondArray; 2] {
    [spans.column(0), spans.column(1)].map(|column| column.as_primitive())
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ToCalendar {
    signature: Signature,
}

impl Default for ToCalendar {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ToCalendar {
    fn name(&self) -> &str {
        "calendar"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [spans @ DataType::List(_)] => {
                let spans = Field::new("spans", spans.clone(), true);
                Ok(DataType::Struct(std::iter::once(spans).chain(cuts_of_persons()).collect()))
            }
            _ => exec_err!("calendar takes a list of spans"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [spans] = columns.as_slice() else { return exec_err!("calendar takes spans") };
        let mut persons = ListBuilder::new(Int64Array::builder(0));
        let instants = TimestampMicrosecondArray::builder(0).with_data_type(instant());
        let mut cuts = ListBuilder::new(ListBuilder::new(instants));
        for told in spans.as_list::<i32>().iter() {
            let all = told.as_ref().map(|told| all_cuts(told.as_struct())).transpose()?;
            for of_person in all.unwrap_or_default().chunk_by(|one, other| one.0 == other.0) {
                persons.values().append_option(of_person.first().map(|cut| cut.0));
                cuts.values().append_value(of_person.iter().map(|cut| Some(cut.1)));
            }
            persons.append(told.is_some());
            cuts.append(told.is_some());
        }
        let DataType::Struct(fields) = args.return_type() else {
            return exec_err!("a calendar is a struct");
        };
        let columns: Vec<ArrayRef> =
            vec![Arc::clone(spans), Arc::new(persons.finish()), Arc::new(cuts.finish())];
        let calendars = StructArray::try_new(fields.clone(), columns, None)?;
        Ok(ColumnarValue::Array(Arc::new(calendars)))
    }
}

/// Where spans of persons begin and end, sorted, each once.
fn all_cuts(spans: &StructArray) -> Result<Vec<(i64, i64)>> {
    let (Some(persons), Some(times)) =
        (spans.column_by_name("person"), spans.column_by_name("span"))
    else {
        return exec_err!("a calendar is of spans with a person and a span");
    };
    let persons = persons.as_primitive::<Int64Type>();
    let [began, ended] = ends(times.as_struct()).map(|instants| persons.iter().zip(instants));
    let mut cuts: Vec<(i64, i64)> =
        began.chain(ended).filter_map(|(person, instant)| person.zip(instant)).collect();
    cuts.sort_unstable();
    cuts.dedup();
    Ok(cuts)
}

/// The cuts of each person.
struct Calendar {
    persons: Int64Array,
    cuts: ListArray,
    all: TimestampMicrosecondArray,
}

impl Calendar {
    fn of(calendar: &StructArray) -> Option<Self> {
        let list = |name| Some(calendar.column_by_name(name)?.as_list_opt::<i32>()?.value(0));
        let persons = list("persons")?.as_primitive_opt()?.clone();
        let cuts = list("cuts")?.as_list_opt::<i32>()?.clone();
        let all = cuts.values().as_primitive_opt()?.clone();
        Some(Self { persons, cuts, all })
    }

    fn slots(&self, persons: &Int64Array, instants: &TimestampMicrosecondArray) -> Int64Array {
        let slot = |(person, instant): (Option<i64>, Option<i64>)| self.slot(person?, instant?);
        persons.iter().zip(instants).map(slot).collect()
    }

    /// How many cuts are up to a person's instant; none before the person's first.
    fn slot(&self, person: i64, instant: i64) -> Option<i64> {
        let place = self.persons.values().binary_search(&person).ok()?;
        let offsets = self.cuts.value_offsets();
        let (from, until) = (offsets.get(place)?.as_usize(), offsets.get(place + 1)?.as_usize());
        let own = self.all.values().get(from..until)?;
        let until = own.partition_point(|cut| *cut <= instant);
        i64::try_from(from + until).ok().filter(|_| until > 0)
    }
}

/// A function of persons by a calendar, which is one for all rows.
fn by_calendar(
    args: &ScalarFunctionArgs,
    slots: impl Fn(Calendar, &Int64Array, &ArrayRef) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let [ColumnarValue::Scalar(ScalarValue::Struct(calendar)), person, time] = args.args.as_slice()
    else {
        return exec_err!("slots are told of one calendar, a person and a time");
    };
    let calendar = Calendar::of(calendar)
        .ok_or_else(|| exec_datafusion_err!("a calendar has persons and cuts"))?;
    let persons = person.to_array(args.number_rows)?;
    let times = time.to_array(args.number_rows)?;
    slots(calendar, persons.as_primitive(), &times).map(ColumnarValue::Array)
}

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

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        by_calendar(&args, |calendar, persons, instants| {
            Ok(Arc::new(calendar.slots(persons, instants.as_primitive())))
        })
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SlotsIn {
    signature: Signature,
}

impl Default for SlotsIn {
    fn default() -> Self {
        Self { signature: Signature::any(3, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for SlotsIn {
    fn name(&self) -> &str {
        "slots_in"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(first_and_after()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        by_calendar(&args, |calendar, persons, spans| {
            let slots = ends(spans.as_struct())
                .map(|instants| -> ArrayRef { Arc::new(calendar.slots(persons, instants)) });
            Ok(Arc::new(StructArray::try_new(first_and_after(), slots.into(), None)?))
        })
    }
}

fn first_and_after() -> Fields {
    ["first", "after"].map(|name| Field::new(name, DataType::Int64, true)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::prelude::SessionContext;

    #[tokio::test]
    async fn an_instant_is_in_the_slots_of_the_spans_that_go_on() {
        let context = SessionContext::new();
        crate::functions::register(&context);
        // Of both persons, before 1970 as well; spans that begin where others end, or at the same time.
        let sql = "WITH told AS (
                SELECT
                    person,
                    arrow_cast(began, 'Timestamp(Microsecond, Some(\"UTC\"))') AS began_at,
                    arrow_cast(ended, 'Timestamp(Microsecond, Some(\"UTC\"))') AS ended_at
                FROM (VALUES (7, -9, 4), (7, 4, 6), (7, 4, 9), (7, -9, 9), (9, 0, 5), (9, 8, 12)) AS told(person, began, ended)
            ),
            grouped AS (SELECT person, began_at, time_spans(began_at, ended_at) AS spans FROM told GROUP BY person, began_at, ended_at),
            spans AS (SELECT person, unnest(spans) AS span FROM grouped),
            calendar AS (SELECT calendar(array_agg(named_struct('person', person, 'span', span))) AS calendar FROM spans),
            slots AS (
                SELECT person, span, slots_in((SELECT calendar FROM calendar), person, span) AS slots FROM spans
            ),
            calls AS (
                SELECT person, arrow_cast(at, 'Timestamp(Microsecond, Some(\"UTC\"))') AS at
                FROM generate_series(-12, 14) AS times(at)
                CROSS JOIN (VALUES (6), (7), (8), (9), (10)) AS persons(person)
            ),
            met AS (
                SELECT calls.person, at, span['began_at'] AS began_at, span['ended_at'] AS ended_at
                FROM (SELECT *, slot_at((SELECT calendar FROM calendar), person, at) AS slot FROM calls) AS calls
                INNER JOIN slots ON slots.person = calls.person AND slot >= slots['first'] AND slot < slots['after']
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
}
