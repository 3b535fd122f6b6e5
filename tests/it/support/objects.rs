//! A real S3-compatible server (versitygw) of a test's own, that verifies every signature.

use std::cell::RefCell;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use super::{eventually, skip};

/// Its key's public half.
pub const ACCESS_KEY: &str = "AKIDOFTHELAB";
/// Its key's secret half.
pub const SECRET_KEY: &str = "the-secret-half-of-the-labs-key";
/// Its region.
pub const REGION: &str = "eu-central-1";
/// Its one bucket.
pub const BUCKET: &str = "dyno";

/// The server; gone with its data when it is dropped.
#[derive(Debug)]
pub struct Objects {
    port: u16,
    folder: tempfile::TempDir,
    process: Child,
}

impl Objects {
    /// Starts it; `None`, said by name, where it is not there.
    pub fn start(test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("data").join(BUCKET)).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = port.local_addr().unwrap().port();
        let process = Command::new("versitygw")
            .args(["--access", ACCESS_KEY, "--secret", SECRET_KEY, "--region", REGION])
            .args(["--port", &format!("127.0.0.1:{port}"), "--quiet", "posix"])
            .arg(folder.path().join("data"))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn();
        let process = match process {
            Ok(process) => process,
            Err(error) => {
                skip(test, &format!("versitygw cannot be started ({error}): run scripts/test"));
                return None;
            }
        };
        let process = RefCell::new(process);
        let has_ended = || process.borrow_mut().try_wait().unwrap().is_some();
        eventually("the object store listens", || {
            has_ended() || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        if has_ended() {
            let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
            let log = log.lines().last().unwrap_or_default();
            skip(test, &format!("the object store does not start: {log}"));
            return None;
        }
        Some(Self { port, folder, process: process.into_inner() })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Reads an object past the server.
    pub fn object(&self, key: &str) -> Option<Vec<u8>> {
        std::fs::read(self.folder.path().join("data").join(BUCKET).join(key)).ok()
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
