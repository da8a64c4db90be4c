//! Questions that the tests of functions ask, in a session that knows the functions and no table.

use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::SessionContext;

/// The answer as a table of text, or what the error says.
pub async fn asked(sql: &str) -> Result<String, String> {
    let context = SessionContext::new();
    super::register(&context);
    let rows = async { context.sql(sql).await?.collect().await };
    let rows = rows.await.map_err(|error| error.to_string())?;
    Ok(pretty_format_batches(&rows).map_err(|error| error.to_string())?.to_string())
}
