//! The server under torture: the real binary, as a process that is killed, stopped, and started again.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use ringlake_transform::SYSTEMS;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::load::TOKEN;
use crate::error::Error;
use crate::faults::{FAILPOINT, MUTANT};

/// A start, or an orderly end, that takes longer is a fault.
const PATIENCE: Duration = Duration::from_secs(120);

/// How the binary is started.
#[derive(Clone, Debug)]
pub struct Binary {
    program: PathBuf,
    /// Where its messages go.
    messages: PathBuf,
    data: PathBuf,
    pub address: SocketAddr,
    /// Of the environment of each process.
    pub variables: Vec<(String, String)>,
}

/// Settings of one life.
#[derive(Clone, Debug, Default)]
pub struct Life {
    pub fail_point: Option<String>,
    /// Values of `RINGLAKE_…` variables.
    pub settings: Vec<(&'static str, String)>,
}

pub struct Server {
    child: Child,
    address: SocketAddr,
}

/// How a start ended.
pub enum Started {
    Ready,
    /// It ended by itself before it was ready.
    Ended(ExitStatus),
}

impl Binary {
    pub fn new(data: PathBuf, messages: PathBuf, address: SocketAddr) -> Result<Self, Error> {
        let program = std::env::current_exe().map_err(Error::file("find", "ringlake"))?;
        Ok(Self { program, messages, data, address, variables: Vec::new() })
    }

    /// A command of the binary, with none of our own variables but the mutant to be.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RINGLAKE_")) {
            if name != MUTANT {
                command.env_remove(name);
            }
        }
        command.args(arguments).arg("--data").arg(&self.data);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = self.messages.parent() {
            command.current_dir(folder);
        }
        // Ctrl-C is for us to pass on.
        command.stdin(Stdio::null()).kill_on_drop(true).process_group(0);
        command
    }

    pub fn start(&self, arguments: &[&str], life: &Life) -> Result<Server, Error> {
        let fail = || Error::file("write", &self.messages);
        let messages = File::options().create(true).append(true).open(&self.messages);
        let messages = messages.map_err(fail())?;
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(messages);
        for system in SYSTEMS {
            let name = system.name().to_ascii_uppercase();
            command.env(format!("RINGLAKE_TOKEN_{name}"), TOKEN);
        }
        command.env("RINGLAKE_LIMITS_RATE", "1000000");
        command.envs(life.settings.iter().map(|(name, value)| (*name, value.as_str())));
        if let Some(point) = &life.fail_point {
            command.env(FAILPOINT, point);
        }
        let child = command.spawn().map_err(Error::file("start", &self.program))?;
        Ok(Server { child, address: self.address })
    }

    /// All that was said so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.messages).unwrap_or_default()
    }

    /// The last lines that were said.
    pub fn last_words(&self) -> String {
        let text = self.said();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(8)..).unwrap_or_default().join("\n")
    }
}

impl Server {
    /// Waits until it takes requests, or has ended.
    pub async fn wait_ready(&mut self) -> Result<Started, Error> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.ended()? {
                return Ok(Started::Ended(status));
            }
            if is_ready(self.address).await {
                return Ok(Started::Ready);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(Error::failed(
            format!("the server was not ready after {} s", PATIENCE.as_secs()),
            "its last messages are above",
        ))
    }

    /// Its end, if it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.child.try_wait().map_err(Error::file("wait for", Path::new("the server")))
    }

    /// SIGKILL, and waits until nothing of it is left.
    pub async fn kill(mut self) -> Result<(), Error> {
        self.child.kill().await.map_err(Error::file("kill", Path::new("the server")))
    }

    /// SIGTERM: it finishes and commits what it has.
    pub async fn stop(mut self) -> Result<ExitStatus, Error> {
        let fail = || Error::file("stop", Path::new("the server"));
        if let Some(id) = self.child.id() {
            let told = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
            told.map_err(fail())?;
        }
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(ended) => ended.map_err(fail()),
            Err(_) => Err(Error::failed("the server does not stop", "its last messages are above")),
        }
    }
}

async fn is_ready(address: SocketAddr) -> bool {
    get(address, "/readyz").await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// How many events the log holds that the tables lack, as `/metrics` tells; none while it is not known.
pub async fn backlog(address: SocketAddr) -> Option<u64> {
    let answer = get(address, "/metrics").await.ok()?;
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        let (name, labels) = name.split_once('{')?;
        Some((name.to_owned(), labels.to_owned(), value.parse::<f64>().ok()?))
    };
    let samples: Vec<_> = answer.lines().filter_map(sample).collect();
    let of = |name: &'static str| samples.iter().filter(move |sample| sample.0 == name);
    // A partition of which the tables hold nothing yet tells no lag.
    let held = of("ringlake_ingest_log_bytes").filter(|(_, _, bytes)| *bytes > 0.0);
    let lag = |labels: &String| {
        let mut lags = of("ringlake_ingest_log_lag_events");
        lags.find(|(_, of, _)| of == labels).map(|(_, _, lag)| *lag as u64)
    };
    held.map(|(_, labels, _)| lag(labels)).sum()
}

async fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    tokio::time::timeout(Duration::from_secs(5), ask).await?
}
