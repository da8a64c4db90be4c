//! An answer on its way to a client: batch by batch, as it comes, until all is told, the client has had enough, or it
//! is late. It must never hold more than a batch: an answer may be larger than memory.

use std::sync::Arc;
use std::time::Duration;

use datafusion_postgres::arrow_pg::datatypes::encode_recordbatch;
use datafusion_postgres::pgwire::api::results::FieldInfo;
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::data::DataRow;
use futures::{Stream, StreamExt, stream};
use tokio::time::Instant;

use super::failure::told;
use super::running::Run;
use super::texts;
use crate::answer::Answer;
use crate::error::QueryError;

/// What is left of an answer.
pub struct Rows {
    pub answer: Answer,
    pub run: Run,
    pub sql: Arc<str>,
    pub fields: Arc<Vec<FieldInfo>>,
    /// When it is late, and behind what time.
    pub limit: Option<(Instant, Duration)>,
}

impl Rows {
    pub fn stream(self) -> impl Stream<Item = PgWireResult<DataRow>> {
        stream::unfold(Some(self), |rows| async move {
            let mut rows = rows?;
            let limit = rows.limit;
            let late = async {
                match limit {
                    Some((until, after)) => {
                        tokio::time::sleep_until(until).await;
                        after
                    }
                    None => std::future::pending().await,
                }
            };
            let batch = tokio::select! {
                batch = rows.answer.batches.next() => batch?,
                () = rows.run.cancelled() => return Some((vec![Err(PgWireError::QueryCanceled)], None)),
                after = late => {
                    return Some((vec![Err(told(&QueryError::Timeout(after), &rows.sql))], None));
                }
            };
            Some(match batch {
                Ok(batch) => {
                    let told = match texts::rows(&batch, &rows.fields) {
                        Some(told) => told.into_iter().map(Ok).collect(),
                        None => encode_recordbatch(Arc::clone(&rows.fields), batch).collect(),
                    };
                    (told, Some(rows))
                }
                Err(error) => (vec![Err(told(&error, &rows.sql))], None),
            })
        })
        .flat_map(stream::iter)
    }
}
