//! Where statements compute: on threads of their own.
//!
//! A plan may compute for minutes without a pause, and a thread that it keeps busy tells no time. So
//! the caller's threads only wait, and a deadline that they keep is kept whatever the plan does. It
//! must never wait for a plan that nobody wants any more: that ends in the background, or with the
//! process.

use std::io;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::DataFrame;
use futures::StreamExt;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

/// The threads of one engine, one per core.
pub(crate) struct Computing(Option<Runtime>);

impl Drop for Computing {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Computing {
    pub fn new() -> io::Result<Arc<Self>> {
        let runtime = Builder::new_multi_thread().enable_all().thread_name("query").build()?;
        Ok(Arc::new(Self(Some(runtime))))
    }

    /// Plans the frame, which computes its constants, and begins it.
    pub async fn begin(
        self: Arc<Self>,
        frame: DataFrame,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        let mut beginning = self.spawn(frame.execute_stream());
        match beginning.join_next().await {
            Some(Ok(begun)) => begun,
            Some(Err(error)) => Err(broken_off(error)),
            None => Err(DataFusionError::Internal("no answer was made".to_owned())),
        }
    }

    /// The batches of a stream, made one ahead of whoever takes them.
    pub fn batches(self: Arc<Self>, mut stream: SendableRecordBatchStream) -> Batches {
        let (give, take) = mpsc::channel(1);
        let making = self.spawn(async move {
            while let Some(batch) = stream.next().await {
                if give.send(batch).await.is_err() {
                    break;
                }
            }
        });
        Batches { take, making, _threads: self }
    }

    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinSet<T> {
        let mut tasks = JoinSet::new();
        if let Some(runtime) = &self.0 {
            tasks.spawn_on(work, runtime.handle());
        }
        tasks
    }
}

/// What comes of a statement; dropped, the statement is cancelled at its next pause.
pub(crate) struct Batches {
    take: mpsc::Receiver<Result<RecordBatch, DataFusionError>>,
    making: JoinSet<()>,
    _threads: Arc<Computing>,
}

impl Batches {
    /// None at the end, unless the computing broke off.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, DataFusionError>> {
        match self.take.recv().await {
            Some(batch) => Some(batch),
            None => match self.making.join_next().await {
                Some(Err(error)) => Some(Err(broken_off(error))),
                _ => None,
            },
        }
    }
}

fn broken_off(error: JoinError) -> DataFusionError {
    DataFusionError::ExecutionJoin(Box::new(error))
}
