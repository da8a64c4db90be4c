//! Slots: the times between the instants at which any span of a person begins or ends, its cuts. The same spans go on
//! in all of a slot.
//!
//! `calendar(spans)`: a list of `person`, `span` and more, with `first_slot` and `slot_after` of each, the first slot of
//! its span and that after its last; beside it the cuts of each person.
//! `slot_at(calendar, person, instant)`: the number of the slot of an instant, null before the person's first.
//!
//! Millions of calls are looked up so, where a join by time would lay each beside all spans of its person. What is
//! at a cut is behind it.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, ListBuilder, StructArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{ArrowNativeType, DataType, Field, FieldRef, Fields, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::time_spans::instant;

/// What a calendar is made of, beside its spans.
fn cuts_of_persons() -> [Field; 2] {
    let person = Field::new_list("persons", Field::new_list_field(DataType::Int64, true), true);
    let cuts = Field::new_list("all", Field::new_list_field(instant(), true), true);
    let cuts = Field::new_list_field(cuts.data_type().clone(), true);
    [person, Field::new_list("cuts", cuts, true)]
}

fn is_calendar(told: &DataType) -> bool {
    let [persons, cuts] = cuts_of_persons();
    matches!(told, DataType::Struct(fields) if fields.iter().skip(1).map(AsRef::as_ref).eq([&persons, &cuts]))
}

fn is_span(told: &DataType) -> bool {
    let ends = [instant(), instant()];
    matches!(told, DataType::Struct(fields) if fields.iter().map(|field| field.data_type()).eq(&ends))
}

fn is_span_of_person(told: &DataType) -> bool {
    let DataType::Struct(fields) = told else { return false };
    let has = |name, is: fn(&DataType) -> bool| {
        fields.find(name).is_some_and(|(_, field)| is(field.data_type()))
    };
    has("person", |told| *told == DataType::Int64) && has("span", is_span)
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
            [DataType::List(span)] if is_span_of_person(span.data_type()) => {
                let spans = Field::new_list("spans", with_slots(span), true);
                Ok(DataType::Struct(std::iter::once(spans).chain(cuts_of_persons()).collect()))
            }
            _ => exec_err!(
                "calendar takes a list of structs: a person, which is a BIGINT, and a span, which is a struct of two instants in UTC"
            ),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::Struct(fields) = args.return_type() else {
            return exec_err!("a calendar is a struct");
        };
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let [told] = columns.as_slice() else { return exec_err!("calendar takes spans") };
        let told = told.as_list::<i32>();
        let mut persons = ListBuilder::new(Int64Array::builder(0));
        let instants = TimestampMicrosecondArray::builder(0).with_data_type(instant());
        let mut cuts = ListBuilder::new(ListBuilder::new(instants));
        for spans in told.iter() {
            let all = spans.as_ref().map(|spans| all_cuts(spans.as_struct())).transpose()?;
            for of_person in placed(&all.unwrap_or_default()) {
                persons.values().append_option(of_person.first().map(|cut| cut.0));
                cuts.values().append_value(of_person.iter().map(|cut| Some(cut.1)));
            }
            persons.append(spans.is_some());
            cuts.append(spans.is_some());
        }
        let (persons, cuts) = (persons.finish(), cuts.finish());
        let spans = numbered(told, &persons, &cuts)?;
        let columns: Vec<ArrayRef> = vec![Arc::new(spans), Arc::new(persons), Arc::new(cuts)];
        let calendars = StructArray::try_new(fields.clone(), columns, None)?;
        Ok(ColumnarValue::Array(Arc::new(calendars)))
    }
}

/// A span of a calendar, with its slots behind what was told of it.
fn with_slots(span: &FieldRef) -> FieldRef {
    let DataType::Struct(told) = span.data_type() else { return Arc::clone(span) };
    let slots = ["first_slot", "slot_after"].map(|name| Field::new(name, DataType::Int64, true));
    let fields: Fields = told.iter().cloned().chain(slots.map(Arc::new)).collect();
    Arc::new(Field::new_list_field(DataType::Struct(fields), true))
}

/// Lists of spans, with the slots of each beside what was told of it.
fn numbered(told: &ListArray, persons: &ListArray, cuts: &ListArray) -> Result<ListArray> {
    let spans = told.values().as_struct();
    let (of, times) = persons_and_times(spans)?;
    let first = told.value_offsets().first().map_or(0, |first| first.as_usize());
    let mut slots = [vec![None; first], vec![None; first]];
    for (row, bounds) in told.value_offsets().windows(2).enumerate() {
        let [from, until] = bounds else { continue };
        let (from, spans) = (from.as_usize(), (until - from).as_usize());
        let calendar = Calendar::new(&persons.value(row), &cuts.value(row));
        for (slots, ends) in slots.iter_mut().zip(ends(times)) {
            slots.extend(&calendar.slots(&of.slice(from, spans), &ends.slice(from, spans)));
        }
    }
    let slots = slots.map(|mut slots| -> ArrayRef {
        slots.resize(spans.len(), None);
        Arc::new(Int64Array::from(slots))
    });
    let DataType::List(span) = told.data_type() else { return exec_err!("spans are a list") };
    let span = with_slots(span);
    let DataType::Struct(fields) = span.data_type() else { return exec_err!("spans are structs") };
    let columns = spans.columns().iter().cloned().chain(slots).collect();
    let spans = StructArray::try_new(fields.clone(), columns, spans.nulls().cloned())?;
    let offsets = told.offsets().clone();
    Ok(ListArray::try_new(span, offsets, Arc::new(spans), told.nulls().cloned())?)
}

fn persons_and_times(spans: &StructArray) -> Result<(&Int64Array, &StructArray)> {
    let column = |name| spans.column_by_name(name);
    let persons = column("person").and_then(|persons| persons.as_primitive_opt::<Int64Type>());
    persons
        .zip(column("span").and_then(|times| times.as_struct_opt()))
        .ok_or_else(|| exec_datafusion_err!("a calendar is of spans with a person and a span"))
}

/// Where spans of persons begin and end, sorted, each once.
fn all_cuts(spans: &StructArray) -> Result<Vec<(i64, i64)>> {
    let (persons, times) = persons_and_times(spans)?;
    let [began, ended] = ends(times).map(|instants| persons.iter().zip(instants));
    let mut cuts: Vec<(i64, i64)> =
        began.chain(ended).filter_map(|(person, instant)| person.zip(instant)).collect();
    cuts.sort_unstable();
    cuts.dedup();
    Ok(cuts)
}

/// Persons' cuts in the places where [`places_of`] looks for them. Half of these are free, so that none is far.
fn placed(all: &[(i64, i64)]) -> Vec<&[(i64, i64)]> {
    let persons = || all.chunk_by(|one, other| one.0 == other.0);
    let mut placed: Vec<&[(i64, i64)]> = vec![&[]; (2 * persons().count()).next_power_of_two()];
    for cuts in persons() {
        let person = cuts.first().map_or(0, |cut| cut.0);
        let is_free = |at: &usize| placed.get(*at).is_some_and(|held| held.is_empty());
        let free = places_of(person, placed.len()).find(is_free);
        if let Some(held) = free.and_then(|at| placed.get_mut(at)) {
            *held = cuts;
        }
    }
    placed
}

/// Where a person is among so many places, a power of two: at the first of these that no other has. Millions of calls
/// are looked up, and a search by halves among thousands of persons misses the cache many times for each.
fn places_of(person: i64, places: usize) -> impl Iterator<Item = usize> {
    // 2^64 by the golden ratio: numbers that differ in their last digits alone then differ in the first bits.
    let spread = person.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let first = spread.rotate_left(places.trailing_zeros()).as_usize();
    (0..places).map(move |next| first.wrapping_add(next) & (places - 1))
}

/// The cuts of each person.
struct Calendar {
    persons: Int64Array,
    cuts: ListArray,
    all: TimestampMicrosecondArray,
}

impl Calendar {
    fn of(calendar: &StructArray) -> Result<Self> {
        let list = |name| Some(calendar.column_by_name(name)?.as_list_opt::<i32>()?.value(0));
        let lists = list("persons").zip(list("cuts"));
        let lists = lists.ok_or_else(|| exec_datafusion_err!("a calendar has persons and cuts"));
        lists.map(|(persons, cuts)| Self::new(&persons, &cuts))
    }

    /// Of lists of the types of [`cuts_of_persons`].
    fn new(persons: &ArrayRef, cuts: &ArrayRef) -> Self {
        let cuts = cuts.as_list::<i32>().clone();
        let all = cuts.values().as_primitive().clone();
        Self { persons: persons.as_primitive().clone(), cuts, all }
    }

    fn slots(&self, persons: &Int64Array, instants: &TimestampMicrosecondArray) -> Int64Array {
        let slot = |(person, instant): (Option<i64>, Option<i64>)| self.slot(person?, instant?);
        persons.iter().zip(instants).map(slot).collect()
    }

    /// How many cuts are up to a person's instant; none before the person's first.
    fn slot(&self, person: i64, instant: i64) -> Option<i64> {
        let place = places_of(person, self.persons.len())
            .take_while(|at| self.persons.is_valid(*at))
            .find(|at| self.persons.values().get(*at) == Some(&person))?;
        let offsets = self.cuts.value_offsets();
        let (from, until) = (offsets.get(place)?.as_usize(), offsets.get(place + 1)?.as_usize());
        let own = self.all.values().get(from..until)?;
        let upto = own.partition_point(|cut| *cut <= instant);
        // A calendar may be one of several in an array: its own cuts count, whatever stands before them.
        let before = from - offsets.first()?.as_usize();
        i64::try_from(before + upto).ok().filter(|_| upto > 0)
    }
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
        let slots = calendar.slots(persons.as_primitive(), times.as_primitive());
        Ok(ColumnarValue::Array(Arc::new(slots)))
    }
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
            slots AS (SELECT unnest(get_field((SELECT calendar FROM calendar), 'spans')) AS held),
            calls AS (
                SELECT person, arrow_cast(at, 'Timestamp(Microsecond, Some(\"UTC\"))') AS at
                FROM generate_series(-12, 14) AS times(at)
                CROSS JOIN (VALUES (6), (7), (8), (9), (10)) AS persons(person)
            ),
            met AS (
                SELECT
                    calls.person, at, held['span']['began_at'] AS began_at, held['span']['ended_at'] AS ended_at
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
    async fn each_of_several_calendars_counts_its_own_slots() {
        let context = SessionContext::new();
        crate::functions::register(&context);
        let sql = "WITH told AS (
                SELECT person % 3 AS part, person, unnest(time_spans(
                    arrow_cast(person, 'Timestamp(Microsecond, Some(\"UTC\"))'),
                    arrow_cast(person + 5, 'Timestamp(Microsecond, Some(\"UTC\"))')
                )) AS span
                FROM generate_series(1, 900) AS persons(person)
                GROUP BY part, person
            ),
            calendars AS (
                SELECT calendar(array_agg(named_struct('person', person, 'span', span))) AS calendar FROM told GROUP BY part
            ),
            spans AS (SELECT unnest(get_field(calendar, 'spans')) AS held FROM calendars)
            SELECT
                count(*) AS n,
                count(DISTINCT held['first_slot']) AS slots,
                max(held['slot_after']) AS last,
                bool_and(held['slot_after'] = held['first_slot'] + 1) AS follow
            FROM spans";
        let counted = context.sql(sql).await.unwrap().collect().await.unwrap();
        let counted = pretty_format_batches(&counted).unwrap().to_string();
        assert!(counted.contains("| 900 | 300   | 600  | true   |"), "{counted}");
    }

    #[tokio::test]
    async fn other_types_are_refused() {
        let context = SessionContext::new();
        crate::functions::register(&context);
        for wrong in [
            "calendar(7)",
            "calendar([7])",
            "calendar([named_struct('person', 7, 'span', 9)])",
            "slot_at(7, 7, now())",
            "slot_at(named_struct('spans', 1, 'persons', 2, 'cuts', 3), 7, now())",
        ] {
            let refused = context.sql(&format!("SELECT {wrong}")).await.unwrap_err().to_string();
            assert!(refused.contains(" takes a "), "{wrong}: {refused}");
        }
    }
}
