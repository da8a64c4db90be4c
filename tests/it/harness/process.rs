//! `ringlake` as a process: run to its end, or served and killed at a moment the test chooses.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::http;
use super::wait::{wait_for, wait_until};

pub const BINARY: &str = env!("CARGO_BIN_EXE_ringlake");

/// A folder in which `ringlake` is run, with the environment it is given. All is gone with it.
pub struct Place {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

/// What a command left behind.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("ringlake-it-").tempdir().unwrap();
        Self { folder, variables: Vec::new() }.with("RINGLAKE_FLUSH_INTERVAL", "200ms")
    }

    /// Sets a variable for all commands from here on.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The command, in this folder, with none of our own variables but those it was given.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        self.prepare(&mut command);
        command.args(arguments);
        command
    }

    /// Gives any command the folder and the variables.
    pub fn prepare(&self, command: &mut Command) {
        command.current_dir(self.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RINGLAKE_")) {
            command.env_remove(name);
        }
        command.env("RINGLAKE_DATA", self.data());
        command
            .env("RINGLAKE_LISTEN", free_address().to_string())
            .envs(self.variables.iter().cloned());
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs it to its end, which must be a good one, and returns what it printed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:#?}");
        ended.out
    }

    /// Starts it and leaves it running. Its messages go to `<name>.err` in the folder.
    pub fn start(&self, name: &str, command: Command) -> Running {
        let mut command = command;
        let messages = self.path().join(format!("{name}.err"));
        let file = File::options().create(true).append(true).open(&messages).unwrap();
        command.stdout(Stdio::null()).stderr(file);
        Running { child: command.spawn().unwrap(), messages }
    }

    /// A server on a free port, ready to receive.
    pub fn serve(&self, arguments: &[&str]) -> Server {
        self.serve_at(free_address(), arguments)
    }

    /// A server on a port of its predecessor, ready to receive.
    pub fn serve_at(&self, address: SocketAddr, arguments: &[&str]) -> Server {
        let server = self.serve_unready(address, arguments);
        server.wait_ready();
        server
    }

    /// A server that was just started.
    pub fn serve_unready(&self, address: SocketAddr, arguments: &[&str]) -> Server {
        let mut command = self.command(arguments);
        command.args(["--listen", &address.to_string()]);
        Server { running: self.start(arguments[0], command), address }
    }

    /// A server whose messages nobody reads: their reader has gone.
    pub fn serve_unheard(&self, arguments: &[&str]) -> Server {
        let address = free_address();
        let (reader, messages) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = self.command(arguments);
        command.args(["--listen", &address.to_string()]).stdout(Stdio::null()).stderr(messages);
        let running =
            Running { child: command.spawn().unwrap(), messages: self.path().join("nowhere") };
        let server = Server { running, address };
        server.wait_ready();
        server
    }

    /// The path at which a system's events are posted, with its token.
    pub fn route(&self, system: &str) -> String {
        let listing = self.ok(&["tokens"]);
        let start = format!("/webhooks/{system}");
        let found = listing.split_whitespace().find_map(|word| {
            word.find(&start).map(|at| word[at..].trim_end_matches([',', '.', '"']).to_owned())
        });
        found.unwrap_or_else(|| panic!("no URL of {system} in:\n{listing}"))
    }

    /// The bare token of a system.
    pub fn token(&self, system: &str) -> String {
        self.route(system).rsplit('/').next().unwrap().to_owned()
    }
}

/// A process that is killed when the test is done with it, however the test ends.
pub struct Running {
    child: Child,
    messages: PathBuf,
}

impl Running {
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub fn messages(&self) -> String {
        std::fs::read_to_string(&self.messages).unwrap_or_default()
    }

    /// SIGKILL: no chance to finish anything.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGSTOP: it is there, and does nothing.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT: it goes on where it was.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let told = Command::new("kill").args([signal, &self.pid().to_string()]).status().unwrap();
        assert!(told.success());
    }

    /// SIGTERM, and waits for its end; returns the exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.signal("-TERM");
        self.wait_end()
    }

    /// Waits until it ends by itself; none when a signal ended it.
    pub fn wait_end(&mut self) -> Option<i32> {
        wait_for("the process to end", || self.child.try_wait().unwrap()).code()
    }

    /// The most memory it has ever held, in MiB.
    pub fn peak_memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib / 1024
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("== {}\n{}", self.messages.display(), self.messages());
        }
    }
}

/// A process that receives.
pub struct Server {
    pub running: Running,
    pub address: SocketAddr,
}

impl Server {
    pub fn wait_ready(&self) {
        wait_until("the server to be ready", || self.is_ready());
    }

    pub fn is_ready(&self) -> bool {
        http::get(self.address, "/readyz").is_ok_and(|answer| answer.status == 200)
    }

    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> http::Response {
        self.try_post(path, body.as_ref()).unwrap()
    }

    pub fn try_post(&self, path: &str, body: &[u8]) -> std::io::Result<http::Response> {
        http::post(self.address, path, &[("content-type", "application/json")], body)
    }
}

/// An address on the loopback interface that nobody listens on, and that no other test is given. Below
/// the ports that outgoing connections take, so that none is on it by the time it is used.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(7);
    loop {
        let number = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 20_000 + u16::try_from(number % 12_000).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
