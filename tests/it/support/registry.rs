//! Registries on loopback: Debian's docker-registry, with and without logins, and one that refuses.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tempfile::TempDir;

use super::place::daemon;
use super::{Server, eventually};
use crate::standins::server::{Request, Response, Site};

/// Who may pull from a guarded registry.
pub const USER: &str = "robot";
/// The user's password.
pub const PASSWORD: &str = "s3cret-of-the-registry";
/// The same in htpasswd's own grammar, by bcrypt.
const HTPASSWD: &str = "robot:$2y$05$835s.VQuCAvnQJuRrTat0eHpfkkmI4wAVzRsF0BTOg6D7dqiqZsWi\n";

/// A docker-registry of a test's own; ends when it is dropped.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    folder: TempDir,
    address: String,
    is_guarded: bool,
}

impl Registry {
    /// A registry that asks nobody who they are.
    pub fn open() -> Self {
        Self::start(false)
    }

    /// A registry that knows one user.
    pub fn guarded() -> Self {
        Self::start(true)
    }

    fn start(is_guarded: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let at = folder.path().display();
        let auth = if is_guarded {
            format!("auth: {{ htpasswd: {{ realm: lab, path: {at}/htpasswd }} }}\n")
        } else {
            String::new()
        };
        let text = format!(
            "version: 0.1\nlog: {{ level: error, accesslog: {{ disabled: true }} }}\n\
             storage: {{ filesystem: {{ rootdirectory: {at}/data }} }}\n\
             http: {{ addr: \"{address}\" }}\n{auth}"
        );
        std::fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
        std::fs::write(folder.path().join("config.yml"), text).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(folder.path().join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry, which scripts/docker installs");
        eventually("the registry listens", || std::net::TcpStream::connect(&address).is_ok());
        Self { child, folder, address, is_guarded }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.address
    }

    /// A `config.json` with a login for it.
    pub fn config(&self, user: &str, password: &str) -> String {
        json!({ "auths": { self.host(): { "username": user, "password": password } } }).to_string()
    }

    /// Puts one of the tests' images into the registry; its name there. The daemon has it no more.
    #[track_caller]
    pub fn push(&self, image: &str, name: &str) -> String {
        let name = format!("{}/{name}", self.host());
        std::fs::write(self.folder.path().join("config.json"), self.config(USER, PASSWORD))
            .unwrap();
        self.docker(&["tag", image, &name]);
        self.docker(&["push", &name]);
        self.forget(&name);
        name
    }

    /// Removes an image's name from the daemon.
    #[track_caller]
    pub fn forget(&self, name: &str) {
        self.docker(&["rmi", name]);
    }

    /// Gets an image into the daemon, as some other job would.
    #[track_caller]
    pub fn pull(&self, name: &str) {
        self.docker(&["pull", name]);
    }

    #[track_caller]
    fn docker(&self, arguments: &[&str]) {
        let mut command = Command::new("docker");
        if self.is_guarded {
            command.arg("--config").arg(self.folder.path());
        }
        command.args(["-H", &format!("unix://{}", daemon())]);
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "docker {arguments:?}: {output:?}");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A registry that answers every question for an image with one status.
#[derive(Debug)]
pub struct Refusal {
    n_asked: Arc<AtomicUsize>,
    server: Server,
}

struct Answer {
    status: u16,
    code: &'static str,
    n_asked: Arc<AtomicUsize>,
}

#[async_trait::async_trait]
impl Site for Answer {
    async fn answer(&self, request: Request) -> Response {
        if request.path == "/v2/" {
            return Response::json(200, &json!({}));
        }
        self.n_asked.fetch_add(1, Ordering::Relaxed);
        let message = "requested access to the resource is denied";
        let error = json!({ "code": self.code, "message": message });
        Response::json(self.status, &json!({ "errors": [error] }))
    }
}

impl Refusal {
    /// Starts it.
    pub fn start(status: u16, code: &'static str) -> Self {
        let n_asked = Arc::new(AtomicUsize::new(0));
        let site = Arc::new(Answer { status, code, n_asked: Arc::clone(&n_asked) });
        Self { n_asked, server: Server::start(0, site).unwrap() }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.server.address().to_string()
    }

    /// How often it was asked for an image.
    pub fn n_asked(&self) -> usize {
        self.n_asked.load(Ordering::Relaxed)
    }
}

/// A Docker command line's helper for credentials that says when it was run: the folder to find it
/// in, and the file it makes.
pub fn credential_helper(folder: &Path) -> (String, std::path::PathBuf) {
    let mark = folder.join("helper-was-run");
    let bin = folder.join("helpers");
    std::fs::create_dir_all(&bin).unwrap();
    let program = bin.join("docker-credential-evil");
    std::fs::write(&program, format!("#!/bin/sh\ntouch {}\n", mark.display())).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    (bin.display().to_string(), mark)
}
