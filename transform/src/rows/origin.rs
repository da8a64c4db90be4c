//! What the rows of one event have in common, kept once per event instead of once per row.
//!
//! A row only remembers which origin is its own; the common columns of a table are made at the end
//! of a batch, column by column. Words that come again and again (an event's type, its account) are
//! kept once. Nothing here outlives its batch.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Builder, StringArray, StringBuilder, TimestampMicrosecondBuilder,
};
use hashbrown::HashMap;

use crate::columns::Kind;
use crate::event::Micros;
use crate::values;

/// One event as its rows tell it.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub system: &'a str,
    pub account_id: Option<&'a str>,
    pub event_type: &'a str,
    pub event_time: Micros,
    /// Where the time is from: `vendor` or `receipt`.
    pub time_basis: &'static str,
    pub received_at: Micros,
    pub event_key: &'a str,
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
}

/// A word of [`Words`].
type Word = u32;

/// Texts that are few and come often.
#[derive(Debug, Default)]
struct Words {
    texts: Vec<Box<str>>,
    index: HashMap<Box<str>, Word>,
}

impl Words {
    /// The word of this text; `guess` is the one it was in the event before.
    fn of(&mut self, text: &str, guess: Option<Word>) -> Word {
        if let Some(guess) = guess.filter(|guess| self.text(*guess) == text) {
            return guess;
        }
        if let Some(word) = self.index.get(text) {
            return *word;
        }
        let word = self.texts.len() as Word;
        self.texts.push(text.into());
        self.index.insert(text.into(), word);
        word
    }

    fn text(&self, word: Word) -> &str {
        self.texts.get(word as usize).map_or("", |text| text)
    }
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    system: Word,
    account_id: Option<Word>,
    event_type: Word,
    time_basis: Word,
    topic: Word,
    month: Word,
    event_time: Micros,
    received_at: Micros,
    /// Where the event's key lies among all keys.
    key: (u32, u32),
    partition: i32,
    offset: i64,
}

/// The origins of one batch.
#[derive(Debug, Default)]
pub struct Origins {
    kept: Vec<Kept>,
    keys: String,
    words: Words,
    /// The month of the event before.
    month: Option<((i64, u8), Word)>,
}

/// Which origin a row has.
pub(super) type OriginId = u32;

impl Origins {
    /// Keeps the origin whose rows come next.
    pub fn add(&mut self, origin: &Origin<'_>) {
        let last = self.kept.last().copied();
        let month = self.month(origin.event_time);
        let words = &mut self.words;
        let key = (self.keys.len() as u32, (self.keys.len() + origin.event_key.len()) as u32);
        self.keys.push_str(origin.event_key);
        self.kept.push(Kept {
            system: words.of(origin.system, last.map(|last| last.system)),
            account_id: origin
                .account_id
                .map(|account| words.of(account, last.and_then(|last| last.account_id))),
            event_type: words.of(origin.event_type, last.map(|last| last.event_type)),
            time_basis: words.of(origin.time_basis, last.map(|last| last.time_basis)),
            topic: words.of(origin.topic, last.map(|last| last.topic)),
            month,
            event_time: origin.event_time,
            received_at: origin.received_at,
            key,
            partition: origin.partition,
            offset: origin.offset,
        });
    }

    fn month(&mut self, time: Micros) -> Word {
        let month = values::month(time);
        match self.month {
            Some((known, word)) if known == month => word,
            _ => {
                let word = self.words.of(&format!("{:04}-{:02}", month.0, month.1), None);
                self.month = Some((month, word));
                word
            }
        }
    }

    /// The origin that was added last.
    pub(super) fn last(&self) -> OriginId {
        self.kept.len().saturating_sub(1) as OriginId
    }

    /// Forgets the batch.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.keys.clear();
        self.words = Words::default();
        self.month = None;
    }

    /// The columns of [`crate::tables::COMMON`], in its order, of rows with these origins.
    pub(super) fn columns(&self, rows: &[OriginId]) -> Vec<ArrayRef> {
        vec![
            self.words(rows, |kept| Some(kept.system)),
            self.words(rows, |kept| kept.account_id),
            self.words(rows, |kept| Some(kept.event_type)),
            self.times(rows, |kept| kept.event_time),
            self.words(rows, |kept| Some(kept.time_basis)),
            self.times(rows, |kept| kept.received_at),
            self.keys(rows),
            self.words(rows, |kept| Some(kept.topic)),
            self.numbers(rows, |kept| i64::from(kept.partition)),
            self.numbers(rows, |kept| kept.offset),
        ]
    }

    /// The column `event_month` of rows with these origins.
    pub(super) fn months(&self, rows: &[OriginId]) -> ArrayRef {
        self.words(rows, |kept| Some(kept.month))
    }

    fn of<'s>(&'s self, rows: &'s [OriginId]) -> impl Iterator<Item = Option<&'s Kept>> {
        rows.iter().map(|row| self.kept.get(*row as usize))
    }

    fn words(&self, rows: &[OriginId], word: impl Fn(&Kept) -> Option<Word>) -> ArrayRef {
        let text = |kept: Option<&Kept>| Some(self.words.text(word(kept?)?));
        let bytes = self.of(rows).filter_map(text).map(str::len).sum();
        let mut column = StringBuilder::with_capacity(rows.len(), bytes);
        for kept in self.of(rows) {
            column.append_option(text(kept));
        }
        Arc::new(column.finish())
    }

    fn keys(&self, rows: &[OriginId]) -> ArrayRef {
        let key = |kept: &Kept| self.keys.get(kept.key.0 as usize..kept.key.1 as usize);
        Arc::new(self.of(rows).map(|kept| kept.and_then(key)).collect::<StringArray>())
    }

    fn times(&self, rows: &[OriginId], time: impl Fn(&Kept) -> Micros) -> ArrayRef {
        let mut column = TimestampMicrosecondBuilder::with_capacity(rows.len())
            .with_data_type(Kind::Time.data_type());
        for kept in self.of(rows) {
            column.append_option(kept.map(&time));
        }
        Arc::new(column.finish())
    }

    fn numbers(&self, rows: &[OriginId], number: impl Fn(&Kept) -> i64) -> ArrayRef {
        let mut column = Int64Builder::with_capacity(rows.len());
        for kept in self.of(rows) {
            column.append_option(kept.map(&number));
        }
        Arc::new(column.finish())
    }
}
