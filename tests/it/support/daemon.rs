//! A Docker daemon that one test alone has, and may kill.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::eventually;
use super::place::has_nothing_left;

/// dockerd with the tests' images; stopped and removed when it is dropped.
#[derive(Debug)]
pub struct OwnDaemon {
    folder: TempDir,
}

/// Rules of a firewall belong to the host: this daemon must leave those of others alone.
const OPTIONS: [&str; 2] = ["--iptables=false", "--ip6tables=false"];

impl OwnDaemon {
    /// Starts it.
    #[track_caller]
    pub fn start() -> Self {
        let daemon =
            Self { folder: tempfile::Builder::new().prefix("dyno-own").tempdir().unwrap() };
        daemon.script("up");
        daemon
    }

    /// Its socket.
    pub fn socket(&self) -> String {
        self.folder.path().join("docker.sock").display().to_string()
    }

    /// Kills it: SIGKILL.
    pub fn kill(&self) {
        let pid = self.pid().expect("it runs");
        kill_process(pid, Signal::KILL).unwrap();
        let proc = format!("/proc/{}", pid.as_raw_nonzero());
        eventually("the daemon is gone", || !Path::new(&proc).join("exe").exists());
    }

    /// Where it keeps volumes.
    pub fn volumes(&self) -> PathBuf {
        self.folder.path().join("data/volumes")
    }

    /// Starts it again.
    #[track_caller]
    pub fn start_again(&self) {
        self.script("start");
    }

    /// True when it has nothing of any job of a driver.
    pub fn has_nothing_left(&self, state: &Path) -> bool {
        has_nothing_left(&self.socket(), state)
    }

    fn pid(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.folder.path().join("pid")).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }

    #[track_caller]
    fn script(&self, verb: &str) {
        let output = self.command(verb).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "scripts/docker {verb}: {output:?}");
    }

    fn command(&self, verb: &str) -> Command {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/docker");
        let mut command = Command::new(script);
        command.arg(verb).arg(self.folder.path());
        if verb != "down" {
            command.args(OPTIONS);
        }
        command
    }
}

impl Drop for OwnDaemon {
    fn drop(&mut self) {
        // Also one that a failed test left killed: its containers need it to end.
        if self.pid().is_none_or(|pid| rustix::process::test_kill_process(pid).is_err()) {
            drop(self.command("start").output());
        }
        drop(self.command("down").output());
    }
}
