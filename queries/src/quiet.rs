//! What a plan says of a subquery whose value is known: that it is one.
//!
//! DataFusion (55.2) writes out each expression of a projection when this starts, as the name of its measured time,
//! and a subquery's value with it: of the slots of deals that is megabytes, for each partition, before a row is
//! computed. It must never change what is computed.

use std::fmt::{Display, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::logical_expr::sort_properties::ExprProperties;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;

/// Makes the subqueries in projections quiet.
#[derive(Debug)]
pub struct QuietSubqueries;

impl PhysicalOptimizerRule for QuietSubqueries {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_down(|plan| {
            let Some(projection) = plan.downcast_ref::<ProjectionExec>() else {
                return Ok(Transformed::no(plan));
            };
            let mut found = false;
            let mut expressions = Vec::new();
            for told in projection.expr() {
                let expr = Arc::clone(&told.expr).transform_down(quiet)?;
                found |= expr.transformed;
                expressions.push(ProjectionExpr::new(expr.data, told.alias.clone()));
            }
            if !found {
                return Ok(Transformed::no(plan));
            }
            let projection = ProjectionExec::try_new(expressions, Arc::clone(projection.input()))?;
            Ok(Transformed::yes(Arc::new(projection)))
        })?;
        Ok(plan.data)
    }

    fn name(&self) -> &str {
        "quiet_subqueries"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn quiet(expr: Arc<dyn PhysicalExpr>) -> Result<Transformed<Arc<dyn PhysicalExpr>>> {
    Ok(match expr.downcast_ref::<ScalarSubqueryExpr>() {
        Some(_) => Transformed::yes(Arc::new(Quiet(expr)) as Arc<dyn PhysicalExpr>),
        None => Transformed::no(expr),
    })
}

/// A subquery, of which nothing but its text is another.
#[derive(Debug)]
struct Quiet(Arc<dyn PhysicalExpr>);

impl PartialEq for Quiet {
    fn eq(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }
}

impl Eq for Quiet {}

impl Hash for Quiet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Display for Quiet {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.0.fmt_sql(f)
    }
}

impl PhysicalExpr for Quiet {
    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.0.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.0.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.0.children()
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        // A subquery has none.
        Ok(self)
    }

    fn get_properties(&self, children: &[ExprProperties]) -> Result<ExprProperties> {
        self.0.get_properties(children)
    }

    fn fmt_sql(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.0.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{Tables, sql_csv};

    #[tokio::test]
    async fn what_a_subquery_came_to_is_not_written_out() {
        let engine = Tables::default().engine();
        let asked = "SELECT n + (SELECT max(m) FROM (VALUES (20), (22)) AS told(m)) AS sum FROM (VALUES (987)) AS rows(n)";
        assert_eq!(sql_csv(&engine, asked).await, "sum\n1009\n");
        let plan = sql_csv(&engine, &format!("EXPLAIN ANALYZE {asked}")).await;
        assert!(plan.contains("(scalar subquery)") && !plan.contains("scalar_subquery("), "{plan}");
    }
}
