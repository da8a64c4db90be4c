//! One state out of many: each column's newest value that is not null, and which states still matter.
//!
//! States are ordered by event time, then by arrival, so a late old state only fills what newer ones
//! left empty. [`merge`] also says which rows it took anything from. Merging those rows with states
//! that come later gives what merging all of them would: a row that is not kept is beaten in each of
//! its columns by one that is, and being newer does not change when others join. So whoever keeps
//! these rows may forget the rest. It must never look at anything but the order columns to decide
//! which of two states is newer.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};

/// By these states are older or newer, the first column deciding first.
pub const ORDER: &[&str] = &["event_time", "received_at", "topic", "partition", "offset"];
const EVENT_TIME: &str = "event_time";

/// How the states of one kind of entity become one.
#[derive(Debug)]
pub struct Merging {
    /// Rows with equal values here, null among them, are states of one entity.
    pub key: &'static [&'static str],
    /// Columns of which the newest value that is not null counts.
    pub newest: &'static [&'static str],
    pub phases: Option<Phases>,
}

/// What the phases of an entity tell beside its columns.
#[derive(Debug)]
pub struct Phases {
    pub column: &'static str,
    /// A column of `newest` whose value in this phase goes before its value in any other.
    pub decisive: (&'static str, &'static str),
    /// Each the time of the first row that is in one of the phases.
    pub first_times: &'static [(&'static str, &'static [&'static str])],
}

/// What [`merge`] made of some states.
pub struct Merged {
    /// A row per entity: key, the columns of `newest`, the phases' times, `first_event_time` and
    /// `last_event_time`.
    pub entities: RecordBatch,
    /// Which of the states anything was taken from.
    pub kept: BooleanArray,
}

/// Merges the states of each entity. Other columns than those named are passed over.
///
/// # Errors
/// If a named column is missing or the phase is no text.
pub fn merge(states: &RecordBatch, how: &Merging) -> Result<Merged, ArrowError> {
    let keys = row_values(states, how.key)?;
    let order = row_values(states, ORDER)?;
    let mut sorted: Vec<u32> = (0u32..).take(states.num_rows()).collect();
    sorted.sort_unstable_by(|a, b| {
        let (a, b) = (*a as usize, *b as usize);
        keys.row(a).cmp(&keys.row(b)).then_with(|| order.row(a).cmp(&order.row(b)))
    });
    let entities: Vec<&[u32]> =
        sorted.chunk_by(|a, b| keys.row(*a as usize) == keys.row(*b as usize)).collect();

    let mut merging = Work::new(states, &entities);
    let newest = |states: &[u32]| states.last().copied();
    for name in how.key {
        merging.take(name, name, newest)?;
    }
    let phases = how.phases.as_ref().map(|phases| Phase::of(states, phases)).transpose()?;
    for name in how.newest {
        let column = column(states, name)?.clone();
        let told = |row: &u32| column.is_valid(*row as usize);
        let decisive = phases.as_ref().filter(|phases| phases.spec.decisive.0 == *name);
        merging.take(name, name, |rows| {
            let of_phase = decisive.and_then(|phases| {
                let decides = [phases.spec.decisive.1];
                rows.iter().rev().find(|row| told(row) && phases.is_in(**row, &decides))
            });
            of_phase.or_else(|| rows.iter().rev().find(|row| told(row))).copied()
        })?;
    }
    if let Some(phases) = &phases {
        for (name, of) in phases.spec.first_times {
            merging.take(EVENT_TIME, name, |rows| {
                rows.iter().find(|row| phases.is_in(**row, of)).copied()
            })?;
        }
    }
    merging.take(EVENT_TIME, "first_event_time", |states| states.first().copied())?;
    merging.take(EVENT_TIME, "last_event_time", newest)?;
    merging.finish()
}

struct Phase<'a> {
    spec: &'a Phases,
    names: &'a arrow::array::StringArray,
}

impl<'a> Phase<'a> {
    fn of(states: &'a RecordBatch, spec: &'a Phases) -> Result<Self, ArrowError> {
        let names = column(states, spec.column)?.as_string_opt::<i32>();
        let no_text = || ArrowError::SchemaError(format!("{} is no text", spec.column));
        Ok(Self { spec, names: names.ok_or_else(no_text)? })
    }

    fn is_in(&self, row: u32, phases: &[&str]) -> bool {
        let row = row as usize;
        self.names.is_valid(row) && phases.contains(&self.names.value(row))
    }
}

/// The columns of the entities so far, and the states they came from.
struct Work<'a> {
    states: &'a RecordBatch,
    /// The states of each entity, oldest first.
    entities: &'a [&'a [u32]],
    fields: Vec<Field>,
    columns: Vec<ArrayRef>,
    kept: BooleanBufferBuilder,
}

impl<'a> Work<'a> {
    fn new(states: &'a RecordBatch, entities: &'a [&'a [u32]]) -> Self {
        let mut kept = BooleanBufferBuilder::new(states.num_rows());
        kept.append_n(states.num_rows(), false);
        Self { states, entities, fields: Vec::new(), columns: Vec::new(), kept }
    }

    /// Adds the column `name`: of each entity the value that `source` has in the state picked.
    fn take(
        &mut self,
        source: &str,
        name: &str,
        pick: impl Fn(&[u32]) -> Option<u32>,
    ) -> Result<(), ArrowError> {
        let picked: UInt32Array = self.entities.iter().map(|states| pick(states)).collect();
        for row in picked.iter().flatten() {
            self.kept.set_bit(row as usize, true);
        }
        let column = take(column(self.states, source)?, &picked, None)?;
        self.fields.push(Field::new(name, column.data_type().clone(), true));
        self.columns.push(column);
        Ok(())
    }

    fn finish(mut self) -> Result<Merged, ArrowError> {
        let entities = RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.columns)?;
        Ok(Merged { entities, kept: BooleanArray::new(self.kept.finish(), None) })
    }
}

/// Values of several columns as one that sorts as they do together.
fn row_values(states: &RecordBatch, names: &[&str]) -> Result<Rows, ArrowError> {
    let columns: Vec<ArrayRef> =
        names.iter().map(|name| column(states, name).cloned()).collect::<Result<_, _>>()?;
    let fields = columns.iter().map(|c| SortField::new(c.data_type().clone())).collect();
    RowConverter::new(fields)?.convert_columns(&columns)
}

fn column<'a>(states: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    let missing = || ArrowError::SchemaError(format!("the states have no column {name}"));
    states.column_by_name(name).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use arrow::compute::{concat_batches, filter_record_batch};
    use arrow::json::{ReaderBuilder, WriterBuilder, writer::LineDelimited};
    use arrow::util::pretty::pretty_format_batches;
    use proptest::prelude::*;

    use super::*;
    use crate::tables;

    const HOW: Merging = Merging {
        key: &["account_id", "call_id"],
        newest: &["agent_id", "notes", "status"],
        phases: Some(Phases {
            column: "phase",
            decisive: ("status", "hangup"),
            first_times: &[("dial_time", &["dial-in", "dial-out"]), ("hangup_time", &["hangup"])],
        }),
    };

    fn states(lines: &[String]) -> RecordBatch {
        let schema = tables::CALLS.schema();
        let reader = ReaderBuilder::new(schema.clone())
            .build(std::io::Cursor::new(lines.join("\n")))
            .unwrap();
        concat_batches(&schema, &reader.map(Result::unwrap).collect::<Vec<_>>()).unwrap()
    }

    fn state(offset: i64, second: u8, call: u8, rest: &str) -> String {
        format!(
            r#"{{"account_id":null,"call_id":"{call}","event_time":"2026-03-01T10:00:{second:02}Z","received_at":"2026-03-01T10:00:00Z","topic":"t","partition":0,"offset":{offset}{rest}}}"#
        )
    }

    fn shown(batch: &RecordBatch) -> String {
        pretty_format_batches(std::slice::from_ref(batch)).unwrap().to_string()
    }

    #[test]
    fn each_column_holds_its_newest_value() {
        let merged = merge(
            &states(&[
                state(0, 5, 1, r#","agent_id":"new","status":"ANSWER","phase":"hangup""#),
                state(1, 3, 1, r#","agent_id":"old","notes":"late","phase":"dial-in""#),
                state(2, 9, 1, r#","status":"RINGING","phase":"dial-out""#),
                state(3, 4, 1, r#","notes":"newer""#),
                state(4, 4, 1, r#","notes":"arrived last""#),
                state(5, 4, 1, r#","phase":"hangup","agent_id":"between""#),
            ]),
            &HOW,
        )
        .unwrap();
        let mut out = WriterBuilder::new().build::<_, LineDelimited>(Vec::new());
        out.write(&merged.entities).unwrap();
        assert_eq!(
            String::from_utf8(out.into_inner()).unwrap().trim(),
            r#"{"call_id":"1","agent_id":"new","notes":"arrived last","status":"ANSWER","dial_time":"2026-03-01T10:00:03Z","hangup_time":"2026-03-01T10:00:04Z","first_event_time":"2026-03-01T10:00:03Z","last_event_time":"2026-03-01T10:00:09Z"}"#
        );
        let kept: Vec<_> = merged.kept.iter().flatten().collect();
        assert_eq!(kept, [true, true, true, false, true, true]);
    }

    prop_compose! {
        fn any_state()(
            second in 0u8..6, call in 0u8..3, offset in 0i64..40,
            agent in proptest::option::of(0u8..3), note in proptest::option::of(0u8..3),
            status in proptest::option::of(0u8..3),
            phase in proptest::sample::select(vec!["dial-in", "dial-out", "hangup", "answer", ""]),
        ) -> String {
            let mut rest = String::new();
            let mut add = |name: &str, value: Option<u8>| {
                if let Some(value) = value {
                    rest.push_str(&format!(r#","{name}":"{value}""#));
                }
            };
            add("agent_id", agent);
            add("notes", note);
            add("status", status);
            if !phase.is_empty() {
                rest.push_str(&format!(r#","phase":"{phase}""#));
            }
            state(offset, second, call, &rest)
        }
    }

    proptest! {
        /// However the states come in turns, late ones and repeats among them: merging what was kept
        /// with what came then is merging all.
        #[test]
        fn what_is_kept_stands_for_all(turns in prop::collection::vec(prop::collection::vec(any_state(), 1..12), 1..5)) {
            // An offset stands for one event: its repeat is the same in all.
            let mut by_offset = std::collections::HashMap::new();
            let mut same = |line: &String| {
                let offset = line.split("\"offset\":").nth(1).unwrap();
                let offset: String = offset.chars().take_while(char::is_ascii_digit).collect();
                by_offset.entry(offset).or_insert_with(|| line.clone()).clone()
            };
            let turns: Vec<Vec<String>> =
                turns.iter().map(|turn| turn.iter().map(&mut same).collect()).collect();
            let all = merge(&states(&turns.concat()), &HOW).unwrap();
            let schema = tables::CALLS.schema();
            let mut kept = RecordBatch::new_empty(schema.clone());
            let mut last = None;
            for turn in &turns {
                let both = concat_batches(&schema, &[kept, states(turn)]).unwrap();
                let merged = merge(&both, &HOW).unwrap();
                kept = filter_record_batch(&both, &merged.kept).unwrap();
                last = Some(merged.entities);
            }
            // The last turn's states and all that was kept before it: every entity is there.
            prop_assert_eq!(shown(&last.unwrap()), shown(&all.entities));
        }
    }
}
