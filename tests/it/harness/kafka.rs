//! Kafka for the tests: the one that `tests/run` started, brokers of a test's own, and `kcat`, which
//! knows nothing of us.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

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
    /// Its number and all voters, where it is one of several.
    of_several: Option<(usize, String)>,
    child: Option<Child>,
}

impl Broker {
    pub fn start() -> Self {
        let mut broker = Self::new();
        broker.restart();
        broker
    }

    /// Three of them, each with a copy of everything.
    pub fn start_three() -> Vec<Self> {
        let mut brokers: Vec<Self> = (0..3).map(|_| Self::new()).collect();
        let voter =
            |(at, broker): (usize, &Self)| format!("{}@127.0.0.1:{}", at + 1, broker.controller);
        let voters = brokers.iter().enumerate().map(voter).collect::<Vec<_>>().join(",");
        for (at, broker) in brokers.iter_mut().enumerate() {
            broker.of_several = Some((at + 1, voters.clone()));
            broker.spawn();
        }
        for broker in &brokers {
            wait_until("the brokers to know each other", || knows(&broker.address(), 3));
        }
        brokers
    }

    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            port: free_address().port(),
            controller: free_address().port(),
            of_several: None,
            child: None,
        }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn restart(&mut self) {
        self.spawn();
        wait_until("the broker to answer", || is_up(&self.address()));
    }

    fn spawn(&mut self) {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/broker");
        let mut command = Command::new(script);
        command.arg(self.folder.path()).args([self.port.to_string(), self.controller.to_string()]);
        if let Some((number, voters)) = &self.of_several {
            command.args([&number.to_string(), voters]);
        }
        self.child = Some(command.spawn().unwrap());
    }

    /// SIGSTOP: it is there, and answers nobody.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT: it goes on with what it had been sent.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
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

/// Whether a broker knows of so many, itself among them.
fn knows(broker: &str, count: usize) -> bool {
    let output = kcat().args(["-b", broker, "-L", "-J", "-m", "1"]).output().unwrap();
    let known = serde_json::from_slice::<serde_json::Value>(&output.stdout);
    known.is_ok_and(|known| known["brokers"].as_array().is_some_and(|all| all.len() == count))
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
    produce_to(broker, topic, -1, lines);
}

/// The same, into one partition; -1 is any.
pub fn produce_to(broker: &str, topic: &str, partition: i32, lines: &[&str]) {
    let mut kcat = kcat()
        .args(["-P", "-b", broker, "-t", topic, "-p", &partition.to_string()])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = kcat.stdin.take().unwrap();
    input.write_all(lines.join("\n").as_bytes()).unwrap();
    drop(input);
    assert!(kcat.wait().unwrap().success(), "kcat could not produce to {topic}");
}

/// Makes the broker forget what lies before this offset, as its retention does.
pub async fn delete_before(broker: &str, topic: &str, partition: i32, offset: i64) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
    admin.delete_records(&list, &AdminOptions::new()).await.unwrap();
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
