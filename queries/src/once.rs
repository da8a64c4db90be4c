//! Subqueries of one value, as `(SELECT max(m) FROM told)`, are computed once in a statement, however often and wherever
//! they stand.
//!
//! DataFusion (55.2) optimizes such a subquery anew in each place, and computes it anew too where it stands within
//! another one, or where the optimizer has given two names to what was one. Reports name theirs many times. So each
//! becomes a table of its own before anything is optimized; its one row is computed when this table is planned.
//!
//! It must never take a subquery for a value that depends on a row around it, or on a round of a recursion. What a
//! statement only explains stays as it is: nothing is computed for it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{MemTable, Session};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::{TableProvider, TableType, provider_as_source};
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::{ExecutionPlan, collect};
use tokio::sync::OnceCell;

/// The plan with its subqueries as tables.
pub(crate) fn once(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => Ok(plan),
        plan => Found { state, tables: HashMap::new() }.settled(plan),
    }
}

struct Found<'a> {
    state: &'a SessionState,
    /// What stands for each subquery; none where it must stay.
    tables: HashMap<Arc<LogicalPlan>, Option<Arc<LogicalPlan>>>,
}

impl Found<'_> {
    fn settled(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let settled = plan.transform_down_with_subqueries(|plan| match plan {
            LogicalPlan::RecursiveQuery(_) => {
                Ok(Transformed::new(plan, false, TreeNodeRecursion::Jump))
            }
            plan => plan.map_expressions(|expr| expr.transform_down(|expr| self.replaced(expr))),
        });
        Ok(settled?.data)
    }

    fn replaced(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        let Expr::ScalarSubquery(subquery) = expr else { return Ok(Transformed::no(expr)) };
        let is_value = subquery.outer_ref_columns.is_empty();
        let table = if is_value { self.table(&subquery.subquery)? } else { None };
        Ok(match table {
            Some(table) => {
                let subquery = Subquery { subquery: table, ..subquery };
                Transformed::new(Expr::ScalarSubquery(subquery), true, TreeNodeRecursion::Jump)
            }
            None => Transformed::no(Expr::ScalarSubquery(subquery)),
        })
    }

    fn table(&mut self, subquery: &Arc<LogicalPlan>) -> Result<Option<Arc<LogicalPlan>>> {
        if let Some(known) = self.tables.get(subquery) {
            return Ok(known.clone());
        }
        let plan = self.settled(subquery.as_ref().clone())?;
        let options = self.state.config_options();
        let plan = self.state.analyzer().execute_and_check(plan, options, |_, _| {})?;
        // What is around it was planned by its types as they were told.
        let is_same = plan.schema().as_arrow().fields() == subquery.schema().as_arrow().fields();
        let table = if is_same { Some(Arc::new(self.scan(plan)?)) } else { None };
        self.tables.insert(Arc::clone(subquery), table.clone());
        Ok(table)
    }

    /// Tables of one name would be taken for one.
    fn scan(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let name = format!("subquery_{}", self.tables.len());
        let schema = Arc::new(plan.schema().as_arrow().clone());
        let table = Once { plan, schema, rows: OnceCell::new() };
        LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None)?.build()
    }
}

/// The rows of a plan, which is run once.
#[derive(Debug)]
struct Once {
    plan: LogicalPlan,
    schema: SchemaRef,
    rows: OnceCell<Vec<RecordBatch>>,
}

#[async_trait]
impl TableProvider for Once {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = self.rows.get_or_try_init(async || {
            let plan = session.create_physical_plan(&self.plan).await?;
            collect(plan, session.task_ctx()).await
        });
        let rows = MemTable::try_new(self.schema(), vec![rows.await?.clone()])?;
        rows.scan(session, projection, filters, limit).await
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{Tables, sql_csv};

    async fn told(sql: &str) -> String {
        sql_csv(&Tables::default().engine(), sql).await
    }

    #[tokio::test]
    async fn a_value_is_computed_once_wherever_it_is_named() {
        // Each time that it is computed it is another.
        let asked = "WITH told AS (SELECT random() AS n FROM (VALUES (1))),
            within AS (SELECT (SELECT n FROM told) + 0 AS n)
            SELECT
                (SELECT n FROM told) = (SELECT n FROM within) AS is_same,
                (SELECT n FROM told) + 0 = (SELECT n FROM told) * 1 AS is_same_here,
                count(*) AS rows
            FROM generate_series(1, 3) AS rows(n) WHERE (SELECT n FROM told) >= 0";
        assert_eq!(told(asked).await, "is_same,is_same_here,rows\ntrue,true,3\n");
    }

    #[tokio::test]
    async fn what_depends_on_a_row_is_no_value() {
        let asked = "WITH told(n, m) AS (VALUES (1, 10), (2, 20), (2, 30))
            SELECT n, (SELECT max(m) FROM told WHERE told.n = rows.n) AS m, (SELECT max(m) FROM told) AS most
            FROM (VALUES (1), (2)) AS rows(n) ORDER BY n";
        assert_eq!(told(asked).await, "n,m,most\n1,10,30\n2,30,30\n");
        let rounds = "WITH RECURSIVE rounds(n) AS (
                SELECT 1 UNION ALL SELECT n + (SELECT max(m) FROM (VALUES (2)) AS told(m)) FROM rounds WHERE n < 6
            ) SELECT n FROM rounds ORDER BY n";
        assert_eq!(told(rounds).await, "n\n1\n3\n5\n7\n");
    }

    #[tokio::test]
    async fn a_value_that_nobody_told_is_null() {
        let asked = "WITH told(n) AS (VALUES (7), (NULL))
            SELECT (SELECT n FROM told WHERE n > 9) IS NULL AS is_none, (SELECT max(n) FROM told) AS most";
        assert_eq!(told(asked).await, "is_none,most\ntrue,7\n");
    }
}
