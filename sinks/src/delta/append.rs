//! The change that a batch makes to a table of rows: files added, and columns if they bring new
//! ones.

use arrow::datatypes::SchemaRef;
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
        let name = table.spec.name;
        let held = table.schema();
        let new = schema::missing(name, held, &self.schema)?;
        let mut actions = Vec::with_capacity(self.files.len() + 1);
        if !new.is_empty() {
            let grown = schema::grown(table.metadata(), held, &new)
                .map_err(SinkError::table(name, "given new columns"))?;
            actions.push(Action::Metadata(grown));
        }
        actions.extend(self.files.iter().cloned().map(Action::Add));
        Ok(actions)
    }
}
