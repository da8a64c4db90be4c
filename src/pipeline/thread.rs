//! A thread that does one piece of work after another.
//!
//! Flattening allocates what encoding frees. An allocator gives memory back to the thread that took it:
//! where each batch is flattened by another thread, each thread touches fresh pages. It must never be
//! given work that waits for other work of its own.

use std::sync::mpsc;
use std::thread;

use tokio::sync::oneshot;

use crate::error::Error;

type Work = Box<dyn FnOnce() + Send>;

/// Ends once it is dropped and what was begun is done.
pub struct Thread(mpsc::Sender<Work>);

impl Thread {
    pub fn start(name: &str) -> Result<Self, Error> {
        let (send, work) = mpsc::channel::<Work>();
        let run = move || work.into_iter().for_each(|work| work());
        thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|error| {
            Error::failed(format!("no thread can be started: {error}"), "see `ulimit -u`")
        })?;
        Ok(Self(send))
    }

    /// What comes of the work; an error if it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (send, outcome) = oneshot::channel();
        let work = Box::new(move || _ = send.send(work()));
        let broke_off = || Error::failed("a thread broke off", "this is a bug: please report it");
        self.0.send(work).map_err(|_| broke_off())?;
        outcome.await.map_err(|_| broke_off())
    }
}
