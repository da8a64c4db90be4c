//! Reports of the user's own: `.sql` files whose first comments say what they are and what they take.
//!
//! ```sql
//! -- title: calls of one team, by hour
//! -- param team: text
//! -- param least: int = 1
//! -- column calls: how many calls began in that hour
//! SELECT … WHERE team_id = $team AND started_at >= $since
//! ```
//!
//! A parameter is a value and never SQL. `since` and `until` of type `time` are `--since` and `--until`,
//! `tz` of type `text` is `--tz`. A file that cannot be used is listed with what is wrong with it.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use datafusion::common::{ParamValues, ScalarValue};
use ringlake_transform::columns::{DECIMAL_PRECISION, DECIMAL_SCALE};

use crate::error::QueryError;
use crate::functions::exact_amount;
use crate::report::{by_name, period};
use crate::sql::{parameters, read_statement};

/// A report that is a file.
#[derive(Clone, Debug)]
pub struct Saved {
    name: String,
    title: String,
    params: Vec<Param>,
    columns: Vec<(String, String)>,
    sql: String,
    /// Why it cannot be used.
    problem: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Param {
    name: String,
    kind: &'static str,
    default: Option<String>,
}

/// What a question gives to a saved report.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// `NAME=VALUE` each.
    pub params: &'a [String],
    pub since: Option<&'a str>,
    pub until: Option<&'a str>,
    /// IANA name.
    pub zone: &'a str,
}

const KINDS: [&str; 6] = ["text", "int", "number", "date", "time", "bool"];
/// Beyond these no event is.
const UNBOUNDED: [(&str, &str); 2] =
    [("since", "1700-01-01T00:00Z"), ("until", "2200-01-01T00:00Z")];

impl Saved {
    /// Reads the text of a file; what is wrong with it is told when it is used.
    pub fn read(name: &str, text: String) -> Self {
        let mut saved = Self {
            name: name.to_owned(),
            title: String::new(),
            params: Vec::new(),
            columns: Vec::new(),
            sql: text.clone(),
            problem: None,
        };
        if by_name(name).is_ok() || name == "list" {
            saved.problem =
                Some("a report of this name is there already; rename the file".to_owned());
        }
        let comments =
            text.lines().map(str::trim).take_while(|l| l.is_empty() || l.starts_with("--"));
        for (at, line) in comments.enumerate() {
            if let Err(problem) = saved.declare(line.trim_start_matches('-').trim()) {
                saved.problem.get_or_insert(format!("line {}: {problem}", at + 1));
            }
        }
        let problem = match read_statement(&text) {
            Ok(statement) => saved.undeclared(&parameters(&statement)),
            Err(error) => Some(error.to_string()),
        };
        saved.problem = saved.problem.or(problem);
        saved
    }

    /// What to do about a parameter that is named and not declared.
    fn undeclared(&self, named: &BTreeSet<String>) -> Option<String> {
        let is_declared = |name: &&String| self.params.iter().any(|param| param.name == **name);
        let name = named.iter().find(|name| !is_declared(name))?;
        Some(format!(
            "${name} is not declared; begin the file with a line like `-- param {name}: text`"
        ))
    }

    /// One line of the front comments; one without a known keyword is a remark.
    fn declare(&mut self, line: &str) -> Result<(), String> {
        let Some((head, rest)) = line.split_once(':') else { return Ok(()) };
        let rest = rest.trim();
        match head.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["title"] => self.title = rest.to_owned(),
            ["column", name] => self.columns.push(((*name).to_owned(), rest.to_owned())),
            ["param", name] => {
                let (kind, default) = match rest.split_once('=') {
                    Some((kind, default)) => (kind.trim(), Some(default.trim().to_owned())),
                    None => (rest, None),
                };
                let known = KINDS.into_iter().find(|known| *known == kind);
                let kind = known.ok_or_else(|| {
                    format!("{kind:?} is no type of a parameter; there are {}", KINDS.join(", "))
                })?;
                if self.params.iter().any(|param| param.name == *name) {
                    return Err(format!("parameter {name} is declared twice"));
                }
                self.params.push(Param { name: (*name).to_owned(), kind, default });
            }
            _ => {}
        }
        Ok(())
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it tells, or why it cannot be used.
    pub fn title(&self) -> String {
        match &self.problem {
            Some(problem) => format!("cannot be used: {problem}"),
            None => self.title.clone(),
        }
    }

    /// Why it cannot be used, where it cannot.
    pub fn wrong(&self) -> Option<QueryError> {
        let problem = self.problem.clone()?;
        Some(QueryError::SavedReport { name: self.name.clone(), problem })
    }

    pub fn help(&self) -> String {
        let mut text = format!("{}: {}\n", self.name, self.title());
        if !self.params.is_empty() {
            text.push_str("\nParameters, as --param NAME=VALUE\n");
        }
        for Param { name, kind, default } in &self.params {
            let default = match default {
                Some(default) => format!(" [default: {default}]"),
                None if self.is_option(name) => format!(" [--{name}]"),
                None => String::new(),
            };
            text.push_str(&format!("  {name:18} {kind}{default}\n"));
        }
        if !self.columns.is_empty() {
            text.push_str("\nColumns\n");
        }
        for (name, meaning) in &self.columns {
            text.push_str(&format!("  {name:18} {meaning}\n"));
        }
        text
    }

    fn is_option(&self, name: &str) -> bool {
        ["since", "until", "tz"].contains(&name)
    }

    /// The SQL and its values.
    pub fn ask(&self, given: &Given<'_>) -> Result<(&str, ParamValues), QueryError> {
        if let Some(wrong) = self.wrong() {
            return Err(wrong);
        }
        let mut told: Vec<(&str, &str)> = Vec::new();
        for pair in given.params {
            told.push(pair.split_once('=').ok_or_else(|| QueryError::NoGroup(pair.clone()))?);
        }
        told.extend(given.since.map(|since| ("since", since)));
        told.extend(given.until.map(|until| ("until", until)));
        if let Some((name, _)) =
            told.iter().find(|(name, _)| !self.params.iter().any(|p| p.name == *name))
        {
            return Err(QueryError::Unknown {
                what: "parameter",
                name: (*name).to_owned(),
                known: self.params.iter().map(|param| param.name.clone()).collect(),
                place: None,
            });
        }
        let mut values = Vec::new();
        for param in &self.params {
            let value = told.iter().find(|(name, _)| *name == param.name).map(|(_, value)| *value);
            let unbounded = UNBOUNDED.iter().find(|(name, _)| *name == param.name).map(|(_, v)| *v);
            let zone = (param.name == "tz").then_some(given.zone);
            let value = value.or(param.default.as_deref()).or(zone).or(unbounded);
            let value = value.ok_or_else(|| QueryError::MissingParameter {
                report: self.name.clone(),
                param: param.name.clone(),
                kind: param.kind,
            })?;
            values.push((param.name.as_str(), param.read(value, given.zone)?));
        }
        Ok((&self.sql, ParamValues::from(values)))
    }
}

impl Param {
    fn read(&self, value: &str, zone: &str) -> Result<ScalarValue, QueryError> {
        let value = value.trim();
        let zone = period::zone(zone)?;
        let read = match self.kind {
            "int" => value.parse().ok().map(|int| ScalarValue::Int64(Some(int))),
            "number" => exact_amount(value)
                .map(|n| ScalarValue::Decimal128(Some(n), DECIMAL_PRECISION, DECIMAL_SCALE)),
            "bool" => value.parse().ok().map(|flag| ScalarValue::Boolean(Some(flag))),
            "date" => NaiveDate::parse_from_str(value, "%Y-%m-%d")
                .ok()
                .map(|day| ScalarValue::Date32(Some(day.to_epoch_days()))),
            "time" => {
                let moment = period::moment(value, zone)?.timestamp_micros();
                Some(ScalarValue::TimestampMicrosecond(Some(moment), Some("UTC".into())))
            }
            _ => Some(ScalarValue::Utf8(Some(value.to_owned()))),
        };
        read.ok_or_else(|| QueryError::BadParameter {
            param: self.name.clone(),
            kind: self.kind,
            value: value.to_owned(),
        })
    }
}
