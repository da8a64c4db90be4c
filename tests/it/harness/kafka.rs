//! Kafka for the tests: the one that `tests/run` started, brokers of a test's own, and `kcat`, which
//! knows nothing of us.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::process::free_address;
use super::wait::wait_until;

/// The address of the shared broker.
pub fn shared() -> String {
    std::env::var("RINGLAKE_TEST_KAFKA").expect("this test needs Kafka: run it with tests/run")
}

/// A prefix of topic names that no other test uses.
pub fn topic_prefix() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("it-{}-{}.", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A broker that the test may stop and start. It keeps its data in between.
pub struct Broker {
    folder: tempfile::TempDir,
    port: u16,
    controller: u16,
    child: Option<Child>,
}

impl Broker {
    pub fn start() -> Self {
        let mut broker = Self {
            folder: tempfile::tempdir().unwrap(),
            port: free_address().port(),
            controller: free_address().port(),
            child: None,
        };
        broker.restart();
        broker
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn restart(&mut self) {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/broker");
        let child = Command::new(script)
            .arg(self.folder.path())
            .args([self.port.to_string(), self.controller.to_string()])
            .spawn()
            .unwrap();
        self.child = Some(child);
        wait_until("the broker to answer", || is_up(&self.address()));
    }

    /// SIGKILL: what it acknowledged must still be there afterwards.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `kcat` with the librdkafka it was built for: cargo puts ours in front of it.
pub fn kcat() -> Command {
    let mut kcat = Command::new("kcat");
    kcat.env_remove("LD_LIBRARY_PATH");
    kcat
}

fn is_up(broker: &str) -> bool {
    let status = kcat()
        .args(["-b", broker, "-L", "-m", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Writes lines into a topic as another team's producer would: the payload, and nothing of ours.
pub fn produce(broker: &str, topic: &str, lines: &[&str]) {
    let mut kcat = kcat()
        .args(["-P", "-b", broker, "-t", topic, "-p", "-1"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = kcat.stdin.take().unwrap();
    input.write_all(lines.join("\n").as_bytes()).unwrap();
    drop(input);
    assert!(kcat.wait().unwrap().success(), "kcat could not produce to {topic}");
}

/// The positions of all records of a topic, as `(partition, offset)`.
pub fn positions(broker: &str, topic: &str) -> Vec<(i64, i64)> {
    let output = kcat()
        .args(["-C", "-e", "-q", "-b", broker, "-t", topic, "-f", "%p %o\\n"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let pair = |line: &str| {
        let (partition, offset) = line.split_once(' ').unwrap();
        (partition.parse().unwrap(), offset.parse().unwrap())
    };
    text.lines().map(pair).collect()
}
