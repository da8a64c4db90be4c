//! What helps at the prompt: Tab completes, and Enter goes on until a statement ends.

use std::sync::Arc;

use ringlake_queries::{Format, script};
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper, Highlighter, Hinter};

use super::commands;
use super::names::Names;

const KEYWORDS: &[&str] = &[
    "ALL",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COUNT",
    "CROSS",
    "CURRENT_TIMESTAMP",
    "DATE",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FILTER",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "PARTITION",
    "RIGHT",
    "SELECT",
    "SHOW",
    "TABLES",
    "THEN",
    "TIMESTAMP",
    "TRUE",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];
/// After these a table stands.
const BEFORE_TABLES: &[&str] = &["FROM", "JOIN", "DESCRIBE", "TABLE"];

#[derive(Helper, Highlighter, Hinter)]
pub struct Assistant {
    names: Arc<Names>,
    files: FilenameCompleter,
}

impl Assistant {
    pub fn new(names: Arc<Names>) -> Self {
        Self { names, files: FilenameCompleter::new() }
    }

    /// What the word that begins at `start` may become; it follows `before`, in all of `text`.
    fn candidates(&self, text: &str, before: &str) -> Vec<String> {
        if let Some(table) = before.strip_suffix('.') {
            let alias = words(table).last().copied().unwrap_or_default();
            return self.names.columns(&table_of(text, alias));
        }
        let last = words(before).last().map(|word| word.to_uppercase()).unwrap_or_default();
        if BEFORE_TABLES.contains(&last.as_str()) {
            return self.names.tables();
        }
        let mut columns: Vec<String> =
            words(text).into_iter().flat_map(|word| self.names.columns(word)).collect();
        if columns.is_empty() {
            // The tables are mostly named after the columns.
            columns = self.names.tables().iter().flat_map(|one| self.names.columns(one)).collect();
        }
        let keywords = KEYWORDS.iter().map(|word| (*word).to_owned());
        let names = self.names.functions().into_iter().chain(self.names.tables());
        columns.into_iter().chain(keywords).chain(names).collect()
    }

    fn command(&self, before: &str, text: &str) -> Option<Vec<String>> {
        Some(match before.split_whitespace().next() {
            None if text.starts_with('\\') => {
                commands::NAMES.iter().map(|name| (*name).to_owned()).collect()
            }
            Some("\\d") => self.names.tables(),
            Some("\\format") => Format::ALL
                .into_iter()
                .filter(|format| !format.is_binary())
                .map(|format| format.name().to_owned())
                .collect(),
            _ => return None,
        })
    }
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn words(text: &str) -> Vec<&str> {
    text.split(|letter| !is_of_word(letter)).filter(|word| !word.is_empty()).collect()
}

/// The table that an alias stands for in the text: the word before it, or before its AS.
fn table_of(text: &str, alias: &str) -> String {
    let all = words(text);
    let found = all.windows(3).find_map(|three| match three {
        [from, table, name] if is_from(from) && name.eq_ignore_ascii_case(alias) => Some(*table),
        _ => None,
    });
    let after_as = || {
        all.windows(4).find_map(|four| match four {
            [from, table, keyword, name]
                if is_from(from)
                    && keyword.eq_ignore_ascii_case("AS")
                    && name.eq_ignore_ascii_case(alias) =>
            {
                Some(*table)
            }
            _ => None,
        })
    };
    found.or_else(after_as).unwrap_or(alias).to_owned()
}

fn is_from(word: &str) -> bool {
    word.eq_ignore_ascii_case("FROM") || word.eq_ignore_ascii_case("JOIN")
}

/// The candidates that begin like `typed`, words of SQL in its case.
fn matching(typed: &str, candidates: Vec<String>) -> Vec<String> {
    let is_lower = typed.chars().any(char::is_lowercase);
    let wanted = typed.to_lowercase();
    let mut found: Vec<String> =
        candidates
            .into_iter()
            .filter(|candidate| candidate.to_lowercase().starts_with(&wanted))
            .map(|one| {
                if is_lower && KEYWORDS.contains(&one.as_str()) { one.to_lowercase() } else { one }
            })
            .collect();
    found.sort();
    found.dedup();
    found
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = line.get(..at).unwrap_or_default();
        if typed.starts_with("\\export ") {
            return self.files.complete(line, at, context);
        }
        let in_word = |letter: char| is_of_word(letter) || letter == '\\' || letter == '?';
        let start = typed.trim_end_matches(in_word).len();
        let (before, word) = typed.split_at(start);
        let candidates = match self.command(before, typed) {
            Some(candidates) => candidates,
            // Everything at once is no help.
            None if word.is_empty() && before.trim().is_empty() => Vec::new(),
            None => self.candidates(line, before),
        };
        let pair = |text: String| Pair { display: text.clone(), replacement: text };
        Ok((start, matching(word, candidates).into_iter().map(pair).collect()))
    }
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim();
        let is_command =
            text.is_empty() || text.starts_with('\\') || ["quit", "exit"].contains(&text);
        Ok(if is_command || script::split(text).rest.is_empty() {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

#[cfg(test)]
mod tests {
    use rustyline::history::DefaultHistory;

    use super::*;

    fn completed(line: &str) -> Vec<String> {
        let assistant = Assistant::new(Arc::new(Names::new()));
        let history = DefaultHistory::new();
        let at = line.find('|').unwrap();
        let line = line.replace('|', "");
        let (_, found) = assistant.complete(&line, at, &Context::new(&history)).unwrap();
        found.into_iter().map(|pair| pair.replacement).collect()
    }

    #[test]
    fn tables_stand_after_from_and_columns_where_their_table_is_named() {
        assert_eq!(
            completed("select * from call_p|"),
            ["call_participants", "call_participants_current"]
        );
        assert_eq!(completed("SELECT bill| FROM calls"), ["bill_duration_seconds"]);
        assert_eq!(completed("SELECT c.bill| FROM calls AS c"), ["bill_duration_seconds"]);
        assert_eq!(
            completed("SELECT d.deal_pi| FROM calls c JOIN deals d"),
            ["deal_pipeline_id", "deal_pipeline_name"]
        );
        assert_eq!(completed("SELECT bill|"), ["bill_duration_seconds"]);
        assert!(completed("SELECT bill| FROM deals").is_empty());
        assert_eq!(completed("sel|"), ["select"]);
        assert_eq!(completed("SEL|"), ["SELECT"]);
        assert_eq!(completed("SELECT phone_e|"), ["phone_e164"]);
        assert!(completed("|").is_empty());
    }

    #[test]
    fn commands_and_what_they_take_complete_too() {
        assert_eq!(completed("\\t|"), ["\\timing"]);
        assert_eq!(completed("\\d dead|"), ["dead_letters", "dead_letters_current"]);
        assert_eq!(completed("\\format nd|"), ["ndjson"]);
    }
}
