//! `ringlake serve --pg`: keeps a `ringlake pg` running beside the server, and ends it with it.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::config::Loaded;
use crate::error::Error;

/// How long after its end it is started again: what it died of may still be there.
const PAUSE: Duration = Duration::from_secs(1);
/// How long it may take to end when its stdin does.
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs until `stop`. One that ends by itself, as when a question took all its memory, is started again.
pub async fn run(loaded: Loaded, stop: CancellationToken) -> Result<(), Error> {
    loop {
        let mut child = start(&loaded)?;
        // Waiting for the child would close it, and the child would end.
        let stdin = child.stdin.take();
        let ended = tokio::select! {
            () = stop.cancelled() => {
                drop(stdin);
                let _ = tokio::time::timeout(PATIENCE, child.wait()).await;
                return Ok(());
            }
            ended = child.wait() => ended.map_err(Error::Output)?,
        };
        // It has said why; a wrong setting does not mend itself.
        if ended.code() == Some(2) {
            return Err(Error::failed("`ringlake pg` cannot start", "mend the settings of [pg]"));
        }
        tracing::warn!(%ended, "`ringlake pg` ended; it is started again");
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

fn start(loaded: &Loaded) -> Result<Child, Error> {
    let program = std::env::current_exe().map_err(Error::Output)?;
    let mut command = Command::new(&program);
    if let Some(file) = &loaded.file {
        command.arg("--config").arg(file);
    }
    command.arg("--data").arg(&loaded.config.data);
    command.args(["pg", "--with-stdin", "--listen", &loaded.config.pg.listen]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true);
    command.spawn().map_err(Error::file("start", program))
}
