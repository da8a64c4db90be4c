//! Whether rows say all that an event said: an oracle that knows no system and no table.
//!
//! Every leaf of a JSON document has to be found in some cell, as what it is: numbers by their digits,
//! however spelled; times as instants; all else as text, in a list, or inside of JSON that a cell holds.
//! Of repeated keys the last counts; `iparams`, nulls, booleans and empty texts are not asked for.
//!
//! It uses nothing of the crate but what others can use, so that the fuzz targets take it as it is.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};

use crate::json::{JsonKind, Tape, Value};
use crate::values;

/// What a leaf is compared by.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum Leaf {
    Text(String),
    /// Digits without zeros at their ends, and the power of ten of the last.
    Number(String, i64),
    Instant(i64),
    Day(i32),
}

/// Whether text inside of a document is opened where it is JSON itself.
const DEEPEST: usize = 4;

/// All leaves of some rows.
pub struct Found {
    leaves: HashSet<Leaf>,
    /// The rows' event keys, of which a vendor's id is a part.
    keys: HashSet<String>,
}

impl Found {
    pub fn of<'b>(batches: impl Iterator<Item = &'b RecordBatch>) -> Self {
        let mut found = Self { leaves: HashSet::new(), keys: HashSet::new() };
        for batch in batches {
            batch.columns().iter().for_each(|column| found.column(column));
            if let Some(keys) = batch.column_by_name("event_key") {
                let keys = keys.as_string::<i32>().iter().flatten();
                found.keys.extend(keys.map(str::to_lowercase));
            }
        }
        found
    }

    fn column(&mut self, column: &ArrayRef) {
        let rows = (0..column.len()).filter(|row| column.is_valid(*row));
        match column.data_type() {
            DataType::Utf8 => {
                let texts = column.as_string::<i32>();
                rows.for_each(|row| self.text(texts.value(row), 0));
            }
            DataType::Int64 => {
                let numbers = column.as_primitive::<Int64Type>();
                rows.for_each(|row| self.leaves.extend(number(&numbers.value(row).to_string())));
            }
            DataType::Decimal128(_, _) => {
                let numbers = column.as_primitive::<Decimal128Type>();
                rows.for_each(|row| self.leaves.extend(number(&numbers.value_as_string(row))));
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                let times = column.as_primitive::<TimestampMicrosecondType>();
                rows.for_each(|row| _ = self.leaves.insert(Leaf::Instant(times.value(row))));
            }
            DataType::Date32 => {
                let days = column.as_primitive::<Date32Type>();
                rows.for_each(|row| _ = self.leaves.insert(Leaf::Day(days.value(row))));
            }
            DataType::List(_) => self.column(column.as_list::<i32>().values()),
            DataType::Boolean | DataType::Binary => {}
            other => panic!("no table has a column of {other}"),
        }
    }

    fn text(&mut self, text: &str, depth: usize) {
        self.leaves.insert(Leaf::Text(text.to_lowercase()));
        self.leaves.extend(number(text));
        self.leaves.extend(values::time(text).map(Leaf::Instant));
        if depth < DEEPEST && text.starts_with(['{', '[', '"']) {
            let mut tape = Tape::default();
            if let Ok(document) = tape.parse(text.as_bytes()) {
                self.value(document.root(), depth + 1);
            }
        }
    }

    fn value(&mut self, value: Value<'_>, depth: usize) {
        if let Some(text) = value.scalar_text() {
            self.text(text, depth);
        }
        value.items().for_each(|item| self.value(item, depth));
        value.members().for_each(|(_, member)| self.value(member, depth));
    }

    /// The first leaf of the document that no cell holds; none if all is there, or it is no JSON.
    pub fn lacks(&self, body: &[u8]) -> Option<String> {
        let mut tape = Tape::default();
        let document = tape.parse(body).ok()?;
        self.first_missing(document.root())
    }

    fn first_missing(&self, value: Value<'_>) -> Option<String> {
        let mut seen = HashSet::new();
        let member = |(key, member)| {
            let counts = key != "iparams" && seen.insert(key);
            counts.then(|| self.first_missing(member)).flatten()
        };
        match value.kind() {
            JsonKind::Object => value.last_first().find_map(member),
            JsonKind::Array => value.items().find_map(|item| self.first_missing(item)),
            JsonKind::Null | JsonKind::Bool => None,
            JsonKind::Number | JsonKind::String => {
                let text = value.scalar_text().unwrap_or_default();
                (!self.has(text)).then(|| text.to_owned())
            }
        }
    }

    /// Whether a cell holds this text, or what it stands for.
    pub fn has(&self, text: &str) -> bool {
        text.is_empty()
            || self.leaves.contains(&Leaf::Text(text.to_lowercase()))
            || self.keys.iter().any(|key| key.contains(&format!(":{}:", text.to_lowercase())))
            || number(text).is_some_and(|number| self.leaves.contains(&number))
            || in_seconds(text).any(|number| self.leaves.contains(&number))
            || values::time(text).is_some_and(|time| self.leaves.contains(&Leaf::Instant(time)))
            || values::epoch(text).is_some_and(|time| self.leaves.contains(&Leaf::Instant(time)))
            || values::date(text).is_some_and(|day| self.leaves.contains(&Leaf::Day(day)))
            // A list that was sent as one text; a document within a text, whose parts lie apart.
            || text.contains(';') && text.split(';').all(|part| self.has(part))
            || text.starts_with(['{', '[']) && self.lacks(text.as_bytes()).is_none()
            // Told by the name of a column, by another word, or by all events of the kind.
            || ["seconds", "in", "out", "1.0", "application/json"]
                .contains(&text.to_lowercase().as_str())
    }
}

/// A number by its digits, so that `1.50`, `15e-1` and `1.5` are one.
fn number(text: &str) -> Option<Leaf> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = all.trim_end_matches('0');
    let dropped = i64::try_from(all.len() - significant.len()).ok()?;
    let digits = significant.trim_start_matches('0');
    if digits.is_empty() {
        return Some(Leaf::Number("0".to_owned(), 0));
    }
    let power = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(dropped)?;
    Some(Leaf::Number(format!("{sign}{digits}"), power))
}

/// The same duration in seconds, were it in minutes or hours.
fn in_seconds(text: &str) -> impl Iterator<Item = Leaf> {
    let units = values::decimal(text, 28, 9);
    let scaled = move |factor: i128| Some(units?.checked_mul(factor)?.to_string());
    [60, 3600].into_iter().filter_map(move |factor| number(&format!("{}e-9", scaled(factor)?)))
}
