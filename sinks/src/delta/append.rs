//! The change that a batch makes to a table of rows: files added, and columns if they bring new
//! ones.

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use deltalake_core::kernel::{Action, Add};
use deltalake_core::protocol::{DeltaOperation, SaveMode};

use super::commit::Change;
use super::schema;
use super::table::Table;
use crate::error::SinkError;

/// Files that are stored and wait to be committed.
pub(crate) struct Append {
    pub files: Vec<Add>,
    pub schema: SchemaRef,
}

#[async_trait]
impl Change for Append {
    fn operation(&self) -> DeltaOperation {
        DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None }
    }

    async fn actions(&self, table: &Table) -> Result<Vec<Action>, SinkError> {
        let mut actions = Vec::with_capacity(self.files.len() + 1);
        actions.extend(growth(table, &self.schema)?);
        actions.extend(self.files.iter().cloned().map(Action::Add));
        Ok(actions)
    }
}

/// The action that gives the table the columns which these rows bring and it lacks, if there are any.
pub(crate) fn growth(table: &Table, rows: &Schema) -> Result<Option<Action>, SinkError> {
    let (name, held) = (table.spec.name, table.schema());
    let new = schema::missing(name, held, rows)?;
    if new.is_empty() {
        return Ok(None);
    }
    let grown = schema::grown(table.metadata(), held, &new);
    Ok(Some(Action::Metadata(grown.map_err(SinkError::table(name, "given new columns"))?)))
}
