//! What there is to ask: tables and views, their columns, and what these mean.
//!
//! Types and labels come from the tables as they are, so a custom field is here as soon as it is in a
//! table. It must never invent a meaning: a column that nobody described has none.

mod meanings;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::StreamExt;
use ringlake_transform::{Kind, tables};

use crate::answer::Answer;
use crate::engine::Engine;
use crate::error::QueryError;
use crate::functions::{FUNCTIONS, Function};
use crate::views::{self, ACCOUNT_COUNTRIES, ACCOUNT_CURRENCIES, VIEWS};

/// One table or view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub name: &'static str,
    /// `table`, `view`, or `setting` where the settings say what is in it.
    pub kind: &'static str,
    /// What a row is, in half a sentence.
    pub row_is: &'static str,
}

/// One column of a table or view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedColumn {
    pub table: &'static str,
    pub name: String,
    pub data_type: String,
    /// What it holds, with its unit; empty where the label says it all, or nobody does.
    pub meaning: String,
    /// What the product's own screens call it.
    pub label: Option<String>,
}

impl Engine {
    /// Every table and view, the ones that are asked most first.
    pub fn listed(&self) -> Vec<Listed> {
        let mut listed: Vec<Listed> = self.names().into_iter().map(listed).collect();
        listed.sort_by_key(|one| (one.kind != "view", one.kind != "table", one.name));
        listed
    }

    /// The functions that a statement may call, those of SQL among them.
    pub fn function_names(&self) -> Vec<String> {
        let state = self.context().state();
        let scalar = state.scalar_functions().keys().chain(state.aggregate_functions().keys());
        let names = scalar.chain(state.window_functions().keys()).cloned();
        names.filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')).collect()
    }

    /// The columns of one table or view, in order.
    ///
    /// # Errors
    /// If there is no table of this name, or it cannot be opened.
    pub async fn columns(&self, name: &str) -> Result<Vec<ListedColumn>, QueryError> {
        let names = self.names();
        let Some(table) = names.iter().copied().find(|known| known.eq_ignore_ascii_case(name))
        else {
            return Err(QueryError::Unknown {
                what: "table",
                name: name.to_owned(),
                known: names.into_iter().map(str::to_owned).collect(),
                place: None,
            });
        };
        let none = self.sql(&format!("SELECT * FROM {table} LIMIT 0")).await?;
        let labels = self.labels(table).await?;
        Ok(none.schema.fields().iter().map(|field| column(table, field, &labels)).collect())
    }

    /// What the product calls a column of records, by the column; accounts that call it differently all
    /// have their say.
    async fn labels(&self, table: &str) -> Result<BTreeMap<String, String>, QueryError> {
        let records = table.strip_suffix("_current").unwrap_or(table);
        let Some(record_type) = tables::by_name(records)
            .filter(|spec| spec.grows)
            .and_then(|spec| spec.name.strip_suffix('s'))
        else {
            return Ok(BTreeMap::new());
        };
        let sql = format!(
            "SELECT column_name, arrow_cast(string_agg(label, ' / ' ORDER BY label), 'Utf8') AS label
             FROM (SELECT DISTINCT column_name, label FROM field_labels_current
                   WHERE record_type = '{record_type}' AND column_name IS NOT NULL)
             GROUP BY column_name"
        );
        let mut labels = BTreeMap::new();
        for batch in self.sql(&sql).await?.collect().await? {
            let text = |name| batch.column_by_name(name).and_then(|c| c.as_string_opt::<i32>());
            if let (Some(columns), Some(told)) = (text("column_name"), text("label")) {
                let pairs = columns.iter().zip(told);
                labels.extend(
                    pairs.filter_map(|(column, label)| {
                        Some((column?.to_owned(), label?.to_owned()))
                    }),
                );
            }
        }
        Ok(labels)
    }

    /// The tables and views as an answer.
    pub fn tables_answer(&self) -> Answer {
        let listed = self.listed();
        let texts = |of: fn(&Listed) -> &str| texts(listed.iter().map(|one| Some(of(one))));
        answer([
            ("name", texts(|one| one.name)),
            ("kind", texts(|one| one.kind)),
            ("a row is", texts(|one| one.row_is)),
        ])
    }

    /// The functions that are there beside those of SQL, as an answer.
    pub fn functions_answer(&self) -> Answer {
        let texts = |of: fn(&Function) -> &str| texts(FUNCTIONS.iter().map(|one| Some(of(one))));
        answer([
            ("function", texts(|one| one.call)),
            ("is", texts(|one| one.meaning)),
            ("example", texts(|one| one.example)),
        ])
    }

    /// The columns of one table or view, or of all, as an answer.
    ///
    /// # Errors
    /// If there is no table of this name, or one cannot be opened.
    pub async fn columns_answer(&self, name: Option<&str>) -> Result<Answer, QueryError> {
        let mut columns = Vec::new();
        let all = self.listed();
        for table in name.map_or_else(|| all.iter().map(|one| one.name).collect(), |one| vec![one])
        {
            columns.extend(self.columns(table).await?);
        }
        let texts = |of: fn(&ListedColumn) -> Option<&str>| texts(columns.iter().map(of));
        let mut shown = vec![
            ("column", texts(|one| Some(&one.name))),
            ("type", texts(|one| Some(&one.data_type))),
            ("meaning", texts(|one| Some(one.meaning.as_str()).filter(|text| !text.is_empty()))),
            ("label", texts(|one| one.label.as_deref())),
        ];
        if name.is_none() {
            shown.insert(0, ("table", texts(|one| Some(one.table))));
        }
        Ok(answer(shown))
    }
}

/// The names of the views, as far as they are for everybody.
pub fn view_names() -> impl Iterator<Item = &'static str> {
    VIEWS.iter().map(|view| view.name).filter(|name| !name.starts_with(views::STEP))
}

/// The names of the functions that are there beside those of SQL.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.name)
}

fn listed(name: &'static str) -> Listed {
    match (tables::by_name(name), views::by_name(name), name) {
        (Some(table), _, _) => Listed { name, kind: "table", row_is: table.row_is },
        (_, Some(view), _) => Listed { name, kind: "view", row_is: view.row_is },
        (_, _, ACCOUNT_CURRENCIES) => {
            Listed { name, kind: "setting", row_is: "the currency of one account's amounts" }
        }
        (_, _, ACCOUNT_COUNTRIES) => {
            Listed { name, kind: "setting", row_is: "the country of one account's numbers" }
        }
        _ => Listed { name, kind: "setting", row_is: "" },
    }
}

fn column(table: &'static str, field: &Field, labels: &BTreeMap<String, String>) -> ListedColumn {
    let label = labels.get(field.name()).cloned();
    ListedColumn {
        table,
        name: field.name().clone(),
        data_type: type_name(field.data_type()),
        meaning: meanings::of(table, field, label.is_some()),
        label,
    }
}

/// The type in words that people who write SQL know.
fn type_name(data_type: &DataType) -> String {
    match Kind::of(data_type) {
        Some(Kind::Text | Kind::Json) => "text".to_owned(),
        Some(Kind::Int) => "bigint".to_owned(),
        Some(Kind::Bool) => "boolean".to_owned(),
        Some(Kind::Date) => "date".to_owned(),
        Some(Kind::Time) => "timestamp with time zone".to_owned(),
        Some(Kind::TextList) => "list of text".to_owned(),
        Some(Kind::Binary) => "binary".to_owned(),
        Some(Kind::Decimal | Kind::Seconds) | None => match data_type {
            DataType::Decimal128(digits, scale) => format!("decimal({digits}, {scale})"),
            DataType::Null => "null".to_owned(),
            other => other.to_string().to_lowercase(),
        },
    }
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

/// An answer that is known already; all columns are equally long.
pub(crate) fn answer(columns: impl IntoIterator<Item = (&'static str, ArrayRef)>) -> Answer {
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns
        .into_iter()
        .map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array))
        .unzip();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), arrays)
        .map_err(|error| QueryError::Failed(error.into()));
    Answer { schema, batches: futures::stream::iter([batch]).boxed(), hint: None, footnote: None }
}
