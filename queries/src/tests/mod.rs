//! Tables for tests, written as JSON lines: a row names only what matters to it.

mod agents;
mod calls;
mod corrections;
mod deals;
mod delta;
mod errors;
mod explained;
mod export_files;
mod exports;
mod folds;
mod formats;
mod guard;
mod money;
mod pipeline;
mod scale;
mod systems;
mod whole_way;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::json::ReaderBuilder;
use ringlake_transform::tables;
use serde_json::{Map, Value};
use url::Url;

use crate::report::{self, Rates, ReportRequest};
use crate::tariffs::Tariffs;
use crate::{Answer, Engine, EngineSettings, Format, QueryError, output};

/// Tables by name, as [`Engine::over_batches`] takes them.
#[derive(Clone, Default)]
pub struct Tables {
    batches: BTreeMap<String, Vec<RecordBatch>>,
    next_offset: i64,
}

impl Tables {
    /// Adds rows. Each needs `event_time`; what every row carries is filled in, in arrival order.
    pub fn with(mut self, table: &str, lines: &str) -> Self {
        let spec = tables::by_name(table).unwrap();
        let mut text = String::new();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut row: Map<String, Value> = serde_json::from_str(line).expect(line);
            self.fill(&mut row);
            text.push_str(&Value::Object(row).to_string());
            text.push('\n');
        }
        let reader = ReaderBuilder::new(spec.schema()).build(Cursor::new(text)).unwrap();
        let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        self.batches.entry(table.to_owned()).or_default().extend(batches);
        self
    }

    fn fill(&mut self, row: &mut Map<String, Value>) {
        let time = row.get("event_time").cloned().unwrap_or_else(|| "2026-01-01T00:00:00Z".into());
        let month = time.as_str().unwrap()[..7].to_owned();
        // Rows of one event have one place and one key.
        let offset = row.get("offset").cloned().unwrap_or_else(|| self.next_offset.into());
        let filled = [
            ("system", Value::from("freshcaller")),
            ("account_id", "acme".into()),
            ("event_type", "onCallUpdate".into()),
            ("event_time", time.clone()),
            ("event_time_basis", "vendor".into()),
            ("received_at", time),
            ("event_key", offset.to_string().into()),
            ("topic", "ringlake.test".into()),
            ("partition", 0.into()),
            ("offset", offset),
            ("event_month", month.into()),
        ];
        for (name, value) in filled {
            row.entry(name).or_insert(value);
        }
        self.next_offset += 1;
    }

    /// The same rows, each in a batch of its own, the last one first.
    pub fn shuffled(mut self) -> Self {
        for batches in self.batches.values_mut() {
            let rows = batches.iter().flat_map(|batch| {
                (0..batch.num_rows()).map(|row| batch.slice(row, 1)).collect::<Vec<_>>()
            });
            *batches = rows.collect();
            batches.reverse();
        }
        self
    }

    pub fn engine(self) -> Engine {
        self.engine_with(Tariffs::default())
    }

    pub fn engine_with(self, tariffs: Tariffs) -> Engine {
        let mut settings = EngineSettings::new(Url::parse("file:///nowhere/").unwrap());
        settings.account_currencies.insert("suite".to_owned(), "gbp".to_owned());
        settings.account_countries.insert("crm".to_owned(), "de".to_owned());
        settings.tariffs = Arc::new(tariffs);
        Engine::over_batches(self.batches, settings).unwrap()
    }
}

/// A request with these options: `("by", "agent,day")`, `("tz", "Europe/Berlin")` …
pub fn request(report: &str, options: &[(&str, &str)]) -> ReportRequest {
    let mut request = ReportRequest::new(report);
    for (option, value) in options {
        let text = Some((*value).to_owned());
        match *option {
            "by" => {
                let by = value.split(',').filter(|name| !name.is_empty());
                request.by = Some(by.map(str::to_owned).collect());
            }
            "since" => request.since = text,
            "until" => request.until = text,
            "tz" => request.tz = text,
            "system" => request.system = text,
            "account" => request.account = text,
            "agent" => request.agent = text,
            "deal" => request.deal = text,
            "all" => request.all = true,
            "histogram" => request.histogram = true,
            "cost-source" => request.cost_source = Some(value.parse().unwrap()),
            "currency" => request.currency = text,
            "rates" => request.rates = Some(Arc::new(Rates::read(value).unwrap())),
            other => panic!("no option {other}"),
        }
    }
    request
}

pub async fn report_csv(engine: &Engine, report: &str, options: &[(&str, &str)]) -> String {
    let answer = report::run(engine, &request(report, options)).await;
    csv(answer.unwrap_or_else(|error| panic!("{error}: {error:?}"))).await
}

pub async fn sql_csv(engine: &Engine, sql: &str) -> String {
    csv(engine.sql(sql).await.unwrap_or_else(|error| panic!("{error}: {error:?}"))).await
}

pub async fn csv(answer: Answer) -> String {
    text(answer, Format::Csv, None).await
}

pub async fn text(answer: Answer, format: Format, width: Option<u16>) -> String {
    let mut out = Vec::new();
    output::write(answer, format, &mut out, width).await.unwrap();
    String::from_utf8(out).unwrap()
}

/// `message | hint`, as the binary would print them.
pub fn told(error: &QueryError) -> String {
    let mut text = error.to_string();
    if let Some(hint) = error.hint() {
        text.push_str(" | ");
        text.push_str(&hint);
    }
    text
}

/// Lines without the indentation of the test around them.
pub fn lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("\n") + "\n"
}
