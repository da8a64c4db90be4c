//! The statements that run, so that a client can cancel its own over a second connection, as the protocol has
//! it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion_postgres::pgwire::api::ClientInfo;
use datafusion_postgres::pgwire::api::cancel::CancelHandler;
use datafusion_postgres::pgwire::messages::cancel::CancelRequest;
use tokio::sync::Notify;

/// Process and secret, as bytes: versions of the protocol tell the same secret in two ways.
type Key = (i32, Bytes);

#[derive(Default)]
pub struct Running(Mutex<HashMap<Key, Arc<Notify>>>);

/// One statement while it runs.
pub struct Run {
    all: Arc<Running>,
    key: Key,
    cancelled: Arc<Notify>,
}

impl Running {
    pub fn begin(self: &Arc<Self>, client: &(impl ClientInfo + ?Sized)) -> Run {
        let (pid, secret) = client.pid_and_secret_key();
        let (key, cancelled) = ((pid, secret.to_bytes()), Arc::<Notify>::default());
        self.held().insert(key.clone(), Arc::clone(&cancelled));
        Run { all: Arc::clone(self), key, cancelled }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Key, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    /// Waits until it is cancelled.
    pub async fn cancelled(&self) {
        self.cancelled.notified().await;
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let mut held = self.all.held();
        if held.get(&self.key).is_some_and(|cancelled| Arc::ptr_eq(cancelled, &self.cancelled)) {
            held.remove(&self.key);
        }
    }
}

#[async_trait]
impl CancelHandler for Running {
    async fn on_cancel_request(&self, request: CancelRequest) {
        if let Some(cancelled) = self.held().get(&(request.pid, request.secret_key.to_bytes())) {
            cancelled.notify_one();
        }
    }
}
