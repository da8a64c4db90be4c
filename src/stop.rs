//! How a service is told to stop: the first signal asks it to finish, the second ends it at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::Error;

#[derive(Clone, Default)]
pub struct Stop {
    /// Finish what is under way and commit it.
    pub soon: CancellationToken,
    /// Let go of everything.
    pub now: CancellationToken,
}

impl Stop {
    /// Listens to SIGTERM and SIGINT from here on.
    pub fn on_signals() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(Error::Output);
        let (mut terminate, mut interrupt) =
            (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        let stop = Self::default();
        let told = stop.clone();
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            told.soon.cancel();
            tracing::info!("stopping; a second signal stops at once");
            either(&mut terminate, &mut interrupt).await;
            told.now.cancel();
        });
        Ok(stop)
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
