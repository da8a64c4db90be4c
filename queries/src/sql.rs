//! Reading what somebody asks, and saying in their words what is wrong with it.
//!
//! Two fences keep queries read-only: the kinds of statement let through here, and the plan's own
//! check in the engine. Tables are only those registered; no function here reads a file.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, Diagnostic, SchemaError};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{Expr, Statement as Ast, Value, visit_expressions};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::engine::{CATALOGUE, SCHEMA};
use crate::error::{Place, QueryError};

/// The one statement of the text, which must be one that reads.
pub fn read_statement(text: &str) -> Result<Statement, QueryError> {
    let mut statements = DFParserBuilder::new(text)
        .with_dialect(&GenericDialect {})
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| explain(error, text))?;
    match (statements.pop_front(), statements.len()) {
        (Some(statement), 0) => {
            reads(&statement)?;
            Ok(statement)
        }
        (None, _) => Err(QueryError::NotOneStatement(0)),
        (Some(_), more) => Err(QueryError::NotOneStatement(more + 1)),
    }
}

/// The first fence: whether a statement is of a kind that reads.
pub fn reads(statement: &Statement) -> Result<(), QueryError> {
    match statement {
        Statement::Explain(explain) => reads(&explain.statement),
        Statement::Statement(ast) => match ast.as_ref() {
            Ast::Query(_)
            | Ast::Explain { .. }
            | Ast::ExplainTable { .. }
            | Ast::ShowTables { .. }
            | Ast::ShowColumns { .. }
            | Ast::ShowFunctions { .. }
            | Ast::ShowVariable { .. } => Ok(()),
            other => Err(QueryError::NotReadOnly(first_word(&other.to_string()))),
        },
        other => Err(QueryError::NotReadOnly(first_word(&other.to_string()))),
    }
}

/// The parameters that a statement names, without their `$`.
pub fn parameters(statement: &Statement) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    if let Statement::Statement(ast) = statement {
        let _: ControlFlow<()> = visit_expressions(ast.as_ref(), |expr| {
            if let Expr::Value(value) = expr
                && let Value::Placeholder(name) = &value.value
            {
                named.insert(name.trim_start_matches('$').to_owned());
            }
            ControlFlow::Continue(())
        });
    }
    named
}

/// Whether a statement asks which tables or columns there are.
pub fn lists_names(statement: &Statement) -> bool {
    let Statement::Statement(ast) = statement else { return false };
    matches!(ast.as_ref(), Ast::ShowTables { .. } | Ast::ShowColumns { .. })
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_uppercase()
}

/// For a plan that the second fence refused.
pub fn not_read_only(plan: &LogicalPlan) -> QueryError {
    QueryError::NotReadOnly(first_word(&plan.display().to_string()))
}

/// A failure while running: out of memory, or something else.
pub fn failed(error: DataFusionError, limit: usize) -> QueryError {
    let error = match own(error) {
        Ok(told) => return told,
        Err(error) => error,
    };
    let is_exhausted = match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => true,
        // The disk for spilling is full; this comes as an I/O error without a type of its own.
        DataFusionError::ArrowError(inner, _) => inner.to_string().contains("during the spilling"),
        _ => false,
    };
    if is_exhausted {
        QueryError::Memory { limit, source: error }
    } else {
        QueryError::Failed(error)
    }
}

/// What one of our own functions refused, wherever it was computed.
fn own(error: DataFusionError) -> Result<QueryError, DataFusionError> {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<QueryError>() {
            Ok(told) => Ok(*told),
            Err(inner) => Err(DataFusionError::External(inner)),
        },
        DataFusionError::Context(text, inner) => {
            own(*inner).map_err(|inner| DataFusionError::Context(text, Box::new(inner)))
        }
        other => Err(other),
    }
}

/// The error in the words of the person who wrote `text`.
pub fn explain(error: DataFusionError, text: &str) -> QueryError {
    explain_with(error, text, &[])
}

/// The same, with the names of the tables there are.
pub fn explain_with(error: DataFusionError, text: &str, tables: &[&str]) -> QueryError {
    let spanned = error.diagnostic().and_then(place);
    match error.find_root() {
        DataFusionError::SQL(parse, _) => syntax(parse),
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => QueryError::Unknown {
                what: "column",
                name: field.name.clone(),
                known: column_names(valid_fields.iter().map(|column| column.name.as_str())),
                place: spanned
                    .or_else(|| field.spans().first().map(|span| start(&span)))
                    .or_else(|| find(text, &field.name)),
            },
            other => QueryError::Meaning { message: lower(&other.to_string()), place: spanned },
        },
        DataFusionError::Plan(message) => match unknown_table(message) {
            Some(name) => QueryError::Unknown {
                what: "table",
                place: spanned.or_else(|| find(text, &name)),
                name,
                known: tables.iter().map(|table| (*table).to_owned()).collect(),
            },
            None => QueryError::Meaning { message: lower(message), place: spanned },
        },
        DataFusionError::NotImplemented(message) => {
            QueryError::Meaning { message: lower(message), place: spanned }
        }
        _ => QueryError::Failed(error),
    }
}

fn column_names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

/// `table 'ringlake.public.cals' not found` names the table; the planner has no type for this error.
fn unknown_table(message: &str) -> Option<String> {
    let name = message.strip_prefix("table '")?.strip_suffix("' not found")?;
    let ours = format!("{CATALOGUE}.{SCHEMA}.");
    Some(name.strip_prefix(&ours).unwrap_or(name).to_owned())
}

fn syntax(error: &ParserError) -> QueryError {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
        ParserError::RecursionLimitExceeded => "nested too deeply",
    };
    let (message, place) = match text.rsplit_once(" at Line: ") {
        Some((message, rest)) => (message, rest.split_once(", Column: ")),
        None => (text, None),
    };
    let place = place.and_then(|(line, column)| {
        Some(Place { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? })
    });
    QueryError::Syntax { message: lower(message), place }
}

fn place(diagnostic: &Diagnostic) -> Option<Place> {
    diagnostic.span.as_ref().map(start)
}

fn start(span: &datafusion::common::Span) -> Place {
    Place { line: span.start.line, column: span.start.column }
}

/// Where a name first stands in the text, as a word of its own.
fn find(text: &str, name: &str) -> Option<Place> {
    let is_of_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let (before, _) = text
        .match_indices(name)
        .filter_map(|(at, _)| Some((text.get(..at)?, text.get(at + name.len()..)?)))
        .find(|(before, after)| !before.ends_with(is_of_word) && !after.starts_with(is_of_word))?;
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count());
    Some(Place { line: line as u64, column: column as u64 + 1 })
}

/// House style for messages of others: they begin in lower case and end without a full stop.
fn lower(message: &str) -> String {
    let message = message.trim().trim_end_matches('.');
    let mut letters = message.chars();
    match letters.next() {
        Some(first) if letters.clone().next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => message.to_owned(),
    }
}
