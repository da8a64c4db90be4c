//! `[[exports]]`: what is written as Parquet, when, and where to.
//!
//! Only the shape is checked here; whether the report or a column exists is for the queries.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::Mistake;

/// One `[[exports]]` entry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    pub name: Option<Spanned<String>>,
    pub cron: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "zone")]
    pub time_zone: Option<chrono_tz::Tz>,
    pub report: Option<Spanned<String>>,
    pub sql: Option<Spanned<String>>,
    pub sql_file: Option<Spanned<PathBuf>>,
    #[serde(default)]
    pub by: Vec<String>,
    pub period: Option<String>,
    pub folder: Option<PathBuf>,
}

fn zone<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<chrono_tz::Tz>, D::Error> {
    super::from_text(d).map(Some)
}

impl Export {
    pub fn name(&self) -> &str {
        self.name.as_ref().map_or("", |name| name.get_ref())
    }
}

/// What is wrong with the exports as a whole, each at the line of its entry.
pub fn check(
    exports: &[Export],
    text: &str,
    place: &dyn Fn(usize) -> String,
    mistakes: &mut Vec<Mistake>,
) {
    let mut seen = std::collections::BTreeSet::new();
    let headers = header_lines(text);
    for (index, export) in exports.iter().enumerate() {
        let header = headers.get(index).copied().unwrap_or(1);
        let mut add = |message: String, span: Option<std::ops::Range<usize>>| {
            let line = span.map_or(header, |span| line_at(text, span.start));
            mistakes.push(Mistake { at: place(line), message });
        };
        let name_span = export.name.as_ref().map(Spanned::span);
        if export.name().is_empty() {
            add("this export has no name".to_owned(), name_span.clone());
        } else if !seen.insert(export.name().to_owned()) {
            add(format!("two exports are named {:?}", export.name()), name_span.clone());
        }
        if !export.name().chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            add("an export's name is made of letters, digits, -, _ and .".to_owned(), name_span);
        }
        let sources = [export.report.is_some(), export.sql.is_some(), export.sql_file.is_some()];
        if sources.iter().filter(|given| **given).count() != 1 {
            add("an export needs exactly one of report, sql and sql_file".to_owned(), None);
        }
        match &export.cron {
            None => add("this export has no cron".to_owned(), None),
            Some(cron) => {
                if let Err(error) = cron.get_ref().parse::<croner::Cron>() {
                    add(format!("cron {:?}: {error}", cron.get_ref()), Some(cron.span()));
                }
            }
        }
    }
}

fn line_at(text: &str, position: usize) -> usize {
    text.bytes().take(position).filter(|byte| *byte == b'\n').count() + 1
}

/// The lines of the `[[exports]]` headers, counted from 1.
fn header_lines(text: &str) -> Vec<usize> {
    let is_header = |line: &str| {
        line.trim_start().strip_prefix("[[").is_some_and(|rest| rest.trim().starts_with("exports"))
    };
    text.lines().enumerate().filter(|(_, line)| is_header(line)).map(|(n, _)| n + 1).collect()
}
