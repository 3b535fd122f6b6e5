//! A corner of this host where nobody may make a user namespace.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{Lab, dyno, eventually};

/// A user namespace, all of whose uids are the host's own, that forbids further ones. It is gone
/// when it is dropped.
#[derive(Debug)]
pub struct NoNamespaces(Child);

impl NoNamespaces {
    /// Makes the corner; `None` where that takes more rights than this test has.
    pub fn new() -> Option<Self> {
        let holder = Command::new("unshare")
            .args(["--user", "sleep", "300"])
            .stdin(Stdio::null())
            .spawn()
            .ok()?;
        let corner = Self(holder);
        let proc = PathBuf::from(format!("/proc/{}", corner.0.id()));
        let own = std::fs::read_link("/proc/self/ns/user").unwrap();
        eventually("the user namespace is there", || {
            std::fs::read_link(proc.join("ns/user")).is_ok_and(|ns| ns != own)
        });
        for map in ["uid_map", "gid_map"] {
            std::fs::write(proc.join(map), "0 0 4294967294").ok()?;
        }
        let forbid = "echo 0 > /proc/sys/user/max_user_namespaces";
        corner.command(&["sh", "-c", forbid]).status().ok()?.success().then_some(corner)
    }

    /// A command in the corner.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--user", "--target", &self.0.id().to_string()]).args(words);
        command
    }

    /// A program that is dyno in the corner.
    pub fn dyno(&self, lab: &Lab) -> PathBuf {
        let id = self.0.id();
        let script =
            format!("#!/bin/sh\nexec nsenter --user --target {id} {} \"$@\"\n", dyno().display());
        let file = lab.file("dyno-in-a-corner", &script);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&file, mode).unwrap();
        file
    }
}

impl Drop for NoNamespaces {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
