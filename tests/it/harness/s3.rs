//! An object store of a test's own: a server that speaks S3's protocol and that others wrote. It keeps
//! each object as a file, so that a test sees what is there without asking us.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::process::{Place, free_address};
use super::wait::wait_until;

const KEY: &str = "test-key";
const SECRET: &str = "test-secret";

/// A server with one bucket, which is named `bucket`.
pub struct Store {
    folder: tempfile::TempDir,
    address: SocketAddr,
    child: Child,
}

impl Store {
    pub fn start() -> Self {
        let program = std::env::var("RINGLAKE_TEST_S3").expect("run this test with tests/run");
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bucket")).unwrap();
        let address = free_address();
        let child = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
            .args(["--access-key", KEY, "--secret-key", SECRET])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let store = Self { folder, address, child };
        wait_until("the object store to answer", || TcpStream::connect(address).is_ok());
        store
    }

    /// Gives the place the store's address and credentials, as AWS's own tools take them.
    pub fn reached_by(&self, place: Place) -> Place {
        place
            .with("AWS_ENDPOINT", &format!("http://{}", self.address))
            .with("AWS_REGION", "us-east-1")
            .with("AWS_ACCESS_KEY_ID", KEY)
            .with("AWS_SECRET_ACCESS_KEY", SECRET)
    }

    /// The folder of the bucket's objects.
    pub fn bucket(&self) -> PathBuf {
        self.folder.path().join("bucket")
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
