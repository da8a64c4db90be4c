//! `[[exports]]`: what is written, when, and where to.

use std::ops::Range;
use std::path::PathBuf;

use ringlake_queries::exports::{self, ExportPeriod, ExportSource, ExportSpec};
use ringlake_queries::report::ReportRequest;
use ringlake_queries::{Format, QueryError, StoreOptions};
use serde::Deserialize;
use toml::Spanned;

use super::Mistake;

/// One `[[exports]]` entry. What is missing is found by [`check`], not by serde: all at once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    pub name: Option<Spanned<String>>,
    pub cron: Option<Spanned<String>>,
    #[serde(default, deserialize_with = "zone")]
    pub time_zone: Option<chrono_tz::Tz>,
    pub report: Option<Spanned<String>>,
    pub sql: Option<String>,
    /// Read when the export runs.
    pub sql_file: Option<PathBuf>,
    pub by: Option<Vec<String>>,
    pub system: Option<String>,
    pub account: Option<String>,
    #[serde(default, deserialize_with = "period")]
    pub period: ExportPeriod,
    #[serde(default = "parquet", deserialize_with = "format")]
    pub format: Format,
    pub partition_by: Option<Spanned<Vec<String>>>,
    #[serde(default = "corrections")]
    pub corrections: usize,
    pub folder: Option<Spanned<String>>,
}

fn parquet() -> Format {
    Format::Parquet
}

/// Days, weeks or months that are asked again: late events mostly come within hours.
fn corrections() -> usize {
    3
}

fn zone<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<chrono_tz::Tz>, D::Error> {
    super::from_text(d).map(Some)
}

fn period<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<ExportPeriod, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(|_| {
        let names = ExportPeriod::NAMES.map(|(name, _)| name).join(", ");
        serde::de::Error::custom(format!("unknown period; there are {names}"))
    })
}

fn format<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Format, D::Error> {
    exports::format(&String::deserialize(deserializer)?).map_err(|error| {
        serde::de::Error::custom(format!("{error}; {}", error.hint().unwrap_or_default()))
    })
}

impl Export {
    pub fn name(&self) -> &str {
        self.name.as_ref().map_or("", |name| name.get_ref())
    }

    /// The export as it is run; `sql` is the text where it asks SQL.
    pub fn spec(
        &self,
        sql: String,
        default_zone: chrono_tz::Tz,
        stores: StoreOptions,
    ) -> ExportSpec {
        let source = match &self.report {
            Some(report) => ExportSource::Report(ReportRequest {
                by: self.by.clone(),
                system: self.system.clone(),
                account: self.account.clone(),
                ..ReportRequest::new(report.get_ref())
            }),
            None => ExportSource::Sql(sql),
        };
        ExportSpec {
            name: self.name().to_owned(),
            cron: self.cron.as_ref().map(|cron| cron.get_ref().clone()).unwrap_or_default(),
            zone: self.time_zone.unwrap_or(default_zone),
            source,
            period: self.period,
            format: self.format,
            partition_by: self
                .partition_by
                .as_ref()
                .map(|by| by.get_ref().clone())
                .unwrap_or_default(),
            corrections: self.corrections,
            folder: self.folder.as_ref().map_or("exports".to_owned(), |at| at.get_ref().clone()),
            stores,
        }
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
        let mut add = |message: String, span: Option<Range<usize>>| {
            let line = span.map_or(header, |span| line_at(text, span.start));
            mistakes.push(Mistake { at: place(line), message });
        };
        let name = export.name.as_ref().map(Spanned::span);
        if export.name().is_empty() {
            add("this export has no name".to_owned(), name);
        } else if !seen.insert(export.name()) {
            add(format!("two exports are named {:?}", export.name()), name);
        }
        let sources = [export.report.is_some(), export.sql.is_some(), export.sql_file.is_some()];
        if sources.iter().filter(|given| **given).count() != 1 {
            add("an export needs exactly one of report, sql and sql_file".to_owned(), None);
        }
        if export.cron.is_none() {
            add("this export has no cron".to_owned(), None);
        }
        if !export.name().is_empty() && export.cron.is_some() {
            check_spec(export, &mut add);
        }
    }
}

/// What the queries know to be wrong: the report, its groups, the cron pattern.
fn check_spec(export: &Export, add: &mut dyn FnMut(String, Option<Range<usize>>)) {
    let stores = StoreOptions::default();
    for error in export.spec(String::new(), chrono_tz::Tz::UTC, stores).check() {
        let span = match &error {
            QueryError::ExportPlace { .. } => export.folder.as_ref().map(Spanned::span),
            QueryError::ExportCron { .. } => export.cron.as_ref().map(Spanned::span),
            QueryError::ExportSpec { .. } => export.name.as_ref().map(Spanned::span),
            _ => export.report.as_ref().map(Spanned::span),
        };
        let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        add(format!("{error}{hint}"), span);
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
