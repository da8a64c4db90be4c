//! The rows of a Delta table, as queries read them.
//!
//! Delta's own scan (deltalake-core 1.1.3) takes a filter without columns for one of partitions alone, says that
//! it applies it wholly, and skips no file for it: of `a AND NULL`, which is what is left of comparing a text
//! that cannot be with another, all rows of `a` came back. Such filters stay above the scan here.
//!
//! It must never write: nothing but reading is passed on.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;

#[derive(Debug)]
pub struct Scan(Arc<dyn TableProvider>);

impl Scan {
    pub fn new(delta: Arc<dyn TableProvider>) -> Self {
        Self(delta)
    }
}

#[async_trait]
impl TableProvider for Scan {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        self.0.table_type()
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let mut applied = self.0.supports_filters_pushdown(filters)?;
        for (filter, applied) in filters.iter().zip(&mut applied) {
            if filter.column_refs().is_empty() {
                *applied = TableProviderFilterPushDown::Unsupported;
            }
        }
        Ok(applied)
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.0.scan(session, projection, filters, limit).await
    }
}
