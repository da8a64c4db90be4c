//! Dead letters from the tables back into the log, where the writer meets them like any event.
//!
//! ```text
//! find (queries) ─▶ append to the log ─▶ the loop ─▶ rows, and the letter's new state
//! ```
//!
//! Nothing is written to a table here. Asking twice is harmless: what a resolution means is decided where
//! it is flattened, by what the tables say of the letter then. Letters may be many and large, so ids are
//! held, and bodies only of one request to the log at a time.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use futures::TryStreamExt;
use ringlake_ingest::log::NewRecord;
use ringlake_ingest::{Log, LogError};
use ringlake_queries::Engine;
use ringlake_transform::letters::Action;
use ringlake_transform::{Micros, RawEvent, Resolution, systems};

use crate::error::Error;

pub mod spool;
pub mod watch;

/// One request to the log has about as many letters, and bytes of bodies, at most.
const CHUNK: usize = 500;
const CHUNK_BYTES: i64 = 4 << 20;
/// How often an append is tried while the log is busy or a broker is away.
const ATTEMPTS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(250);

/// Which letters are meant.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// These; all if there are none.
    pub ids: Vec<String>,
    pub cause: Option<String>,
    pub stage: Option<&'static str>,
    pub system: Option<String>,
    /// Those that were closed too.
    pub closed: bool,
}

impl Choice {
    /// As a condition on `dead_letters_current`.
    pub fn condition(&self) -> String {
        let mut condition = if self.closed { "true" } else { "is_open" }.to_owned();
        let named = [
            ("cause", self.cause.as_deref()),
            ("stage", self.stage),
            ("system", self.system.as_deref()),
        ];
        for (column, value) in named {
            if let Some(value) = value {
                let _ = write!(condition, " AND {column} = {}", quoted(value));
            }
        }
        if !self.ids.is_empty() {
            let _ = write!(condition, " AND id IN ({})", list(self.ids.iter()));
        }
        condition
    }
}

/// A text as SQL has it.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn list<'t>(texts: impl Iterator<Item = &'t String>) -> String {
    texts.map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
}

fn time(micros: Micros) -> String {
    format!("arrow_cast({micros}, 'Timestamp(Microsecond, Some(\"UTC\"))')")
}

/// A letter, without its body.
#[derive(Clone, Debug)]
pub struct Letter {
    pub id: String,
    received_at: Micros,
    bytes: i64,
}

/// The letters of a choice, oldest first, as they came.
pub async fn find(engine: &Engine, choice: &Choice) -> Result<Vec<Letter>, Error> {
    // There is no length of bytes but by way of text; the view is not asked, it would hold all bodies.
    let sql = format!(
        "SELECT id, received_at, coalesce(bytes, 0) AS bytes \
         FROM (SELECT id, received_at FROM dead_letters_current WHERE {}) AS meant \
         JOIN (SELECT id AS letter, CAST(octet_length(encode(body, 'hex')) / 2 AS BIGINT) AS bytes \
               FROM dead_letters WHERE retried_at IS NULL) AS first ON letter = id \
         ORDER BY received_at, id",
        choice.condition()
    );
    let mut found = Vec::new();
    let mut batches = engine.sql(&sql).await?.batches;
    while let Some(batch) = batches.try_next().await? {
        read_letters(&batch, &mut found).ok_or_else(wrong_columns)?;
    }
    Ok(found)
}

fn read_letters(batch: &RecordBatch, found: &mut Vec<Letter>) -> Option<()> {
    let ids = batch.column_by_name("id")?.as_string_opt::<i32>()?;
    let received = batch.column_by_name("received_at")?;
    let received = received.as_primitive_opt::<TimestampMicrosecondType>()?;
    let bytes = batch.column_by_name("bytes")?.as_primitive_opt::<Int64Type>()?;
    found.extend((0..batch.num_rows()).map(|row| Letter {
        id: ids.value(row).to_owned(),
        received_at: received.value(row),
        bytes: bytes.value(row),
    }));
    Some(())
}

fn wrong_columns() -> Error {
    Error::failed(
        "the table dead_letters has other columns than expected",
        "see what other program writes to the tables' folder",
    )
}

/// What can be asked for at once: few enough, and not too many bytes together.
fn chunks(letters: &[Letter]) -> impl Iterator<Item = &[Letter]> {
    let mut rest = letters;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |letter: &&Letter| {
            bytes += letter.bytes;
            bytes <= CHUNK_BYTES
        };
        let count = rest.iter().take(CHUNK).take_while(fits).count().max(1);
        let (chunk, left) = rest.split_at_checked(count)?;
        rest = left;
        Some(chunk)
    })
}

/// The events of these letters, each with the letter's id and its system's name.
pub async fn events(
    engine: &Engine,
    letters: &[Letter],
) -> Result<Vec<(String, String, RawEvent)>, Error> {
    let times = || letters.iter().map(|letter| letter.received_at);
    let (Some(first), Some(last)) = (times().min(), times().max()) else { return Ok(Vec::new()) };
    let sql = format!(
        "SELECT id, system, route, received_at, body FROM dead_letters \
         WHERE retried_at IS NULL AND received_at BETWEEN {} AND {} AND id IN ({})",
        time(first),
        time(last),
        list(letters.iter().map(|letter| &letter.id))
    );
    let mut events = Vec::new();
    for batch in engine.sql(&sql).await?.collect().await? {
        read_events(&batch, &mut events).ok_or_else(wrong_columns)?;
    }
    Ok(events)
}

fn read_events(batch: &RecordBatch, events: &mut Vec<(String, String, RawEvent)>) -> Option<()> {
    let text = |name| batch.column_by_name(name)?.as_string_opt::<i32>();
    let (ids, names, routes) = (text("id")?, text("system")?, text("route")?);
    let received = batch.column_by_name("received_at")?;
    let received = received.as_primitive_opt::<TimestampMicrosecondType>()?;
    let bodies = batch.column_by_name("body")?.as_binary_opt::<i32>()?;
    for row in 0..batch.num_rows() {
        let route = routes.is_valid(row).then(|| Arc::from(routes.value(row)));
        let event = RawEvent {
            offset: 0,
            received_at: received.value(row),
            route,
            body: Bytes::copy_from_slice(bodies.value(row)),
            resolution: None,
            damaged: false,
        };
        events.push((ids.value(row).to_owned(), names.value(row).to_owned(), event));
    }
    Some(())
}

/// Which letters were handed to the log, and how many could not be.
#[derive(Debug, Default)]
pub struct Asked {
    pub letters: HashSet<String>,
    /// Larger than the log takes, or of a system that this version has not.
    pub impossible: u64,
}

/// Hands resolutions to the log, of those letters that `wanted` wants; all are durable on return.
pub async fn append(
    engine: &Engine,
    log: &dyn Log,
    letters: &[Letter],
    action: Action,
    asked_at: Micros,
    mut wanted: impl FnMut(&str, &RawEvent) -> bool + Send,
) -> Result<Asked, Error> {
    let mut asked = Asked::default();
    for chunk in chunks(letters) {
        let mut records = Vec::with_capacity(chunk.len());
        for (id, system, event) in events(engine, chunk).await? {
            if !wanted(&system, &event) {
                continue;
            }
            match record(&id, &system, event, action, asked_at) {
                Some(record) => records.push((id, record)),
                None => asked.impossible += 1,
            }
        }
        hand_over(log, records, &mut asked).await?;
    }
    Ok(asked)
}

fn record(
    id: &str,
    system: &str,
    event: RawEvent,
    action: Action,
    asked_at: Micros,
) -> Option<NewRecord> {
    let resolution = Resolution { action, asked_at, letter: id.into() };
    Some(NewRecord {
        system: systems::by_name(system).ok()?,
        // Where the letter's own partition is not this log's, one is chosen by the letter.
        key: Some(id.to_owned()),
        route: event.route,
        received_at: event.received_at,
        body: if action == Action::Drop { Bytes::new() } else { event.body },
        resolution: Some(Arc::new(resolution)),
    })
}

/// Together, or where the log takes one of them not, each alone.
async fn hand_over(
    log: &dyn Log,
    records: Vec<(String, NewRecord)>,
    asked: &mut Asked,
) -> Result<(), Error> {
    let all = records.iter().map(|(_, record)| record.clone()).collect();
    match patiently(log, all).await {
        Err(LogError::TooLarge { .. }) => {}
        Err(error) => return Err(error.into()),
        Ok(()) => {
            asked.letters.extend(records.into_iter().map(|(id, _)| id));
            return Ok(());
        }
    }
    for (id, record) in records {
        match patiently(log, vec![record]).await {
            Err(LogError::TooLarge { .. }) => asked.impossible += 1,
            Err(error) => return Err(error.into()),
            Ok(()) => _ = asked.letters.insert(id),
        }
    }
    Ok(())
}

async fn patiently(log: &dyn Log, records: Vec<NewRecord>) -> Result<(), LogError> {
    let mut attempt = 1;
    loop {
        match log.append(records.clone()).await {
            Err(error) if error.is_temporary() && attempt < ATTEMPTS => {
                tokio::time::sleep(PAUSE * attempt).await;
                attempt += 1;
            }
            answer => return answer,
        }
    }
}

/// What has come of what was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    pub written: u64,
    pub repeated: u64,
    pub refused: u64,
    pub dropped: u64,
}

/// Takes those letters out of `waiting` that were answered, and counts them.
pub async fn outcomes(
    engine: &Engine,
    waiting: &mut HashSet<String>,
    asked_at: Micros,
    outcomes: &mut Outcomes,
) -> Result<(), Error> {
    // Another asking may have closed the letter before ours was read.
    let sql = format!(
        "SELECT id, outcome FROM dead_letters_current WHERE NOT is_open OR retried_at >= {}",
        time(asked_at)
    );
    let mut batches = engine.sql(&sql).await?.batches;
    while let Some(batch) = batches.try_next().await? {
        let text = |name| batch.column_by_name(name)?.as_string_opt::<i32>();
        let (Some(ids), Some(came)) = (text("id"), text("outcome")) else {
            return Err(wrong_columns());
        };
        for row in 0..batch.num_rows() {
            if !waiting.remove(ids.value(row)) {
                continue;
            }
            match came.value(row) {
                "written" => outcomes.written += 1,
                "repeated" => outcomes.repeated += 1,
                "dropped" => outcomes.dropped += 1,
                _ => outcomes.refused += 1,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(bytes: i64) -> Letter {
        Letter { id: "a/0/1".to_owned(), received_at: 0, bytes }
    }

    #[test]
    fn chunks_hold_everything_and_are_neither_long_nor_heavy() {
        let of = |sizes: &[i64]| -> Vec<usize> {
            let letters: Vec<Letter> = sizes.iter().map(|bytes| letter(*bytes)).collect();
            chunks(&letters).map(<[Letter]>::len).collect()
        };
        assert!(of(&[]).is_empty());
        assert_eq!(of(&[1; 1200]), [500, 500, 200]);
        assert_eq!(of(&[CHUNK_BYTES, 1, CHUNK_BYTES - 1, 2 * CHUNK_BYTES, 1]), [1, 2, 1, 1]);
    }

    #[test]
    fn a_choice_is_a_condition_and_quotes_are_no_way_out_of_it() {
        let choice = Choice {
            ids: vec!["it's/0/1".to_owned(), "b/0/2".to_owned()],
            cause: Some("not-json".to_owned()),
            ..Choice::default()
        };
        assert_eq!(
            choice.condition(),
            "is_open AND cause = 'not-json' AND id IN ('it''s/0/1', 'b/0/2')"
        );
        assert_eq!(Choice { closed: true, ..Choice::default() }.condition(), "true");
    }
}
