//! A laboratory: a folder, a GitLab, and policies.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::{GitLab, Seat, Server};

/// The token that may write project variables at the lab's GitLab.
pub const MAINTAINER: &str = "glpat-maintainer-of-the-lab";

/// A policy with one profile for the tag `Dedicated`; `more` is added to the profile. `STATE` is
/// replaced by a folder of the test's own, `GITLAB` by the lab's GitLab.
pub fn policy(more: &str) -> String {
    let mut text = "\
gitlab: { url: GITLAB }
state: STATE
profiles:
  - name: performance
    match: { tags: [Dedicated], projects: [\"group/*\"], refs: any }
    environment: { sandbox: { network: none, grace: 1s } }
"
    .to_owned();
    for line in more.lines() {
        text.extend(["    ", line, "\n"]);
    }
    text
}

/// A folder and a GitLab; both are gone when it is dropped.
#[derive(Debug)]
pub struct Lab {
    folder: TempDir,
    gitlab: GitLab,
    server: Server,
}

impl Lab {
    /// Sets the lab up.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The sandbox's own user must be able to walk through it.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let (gitlab, server) = GitLab::start(0, MAINTAINER).unwrap();
        Self { folder, gitlab, server }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The driver's own folder.
    pub fn state(&self) -> PathBuf {
        self.folder().join("state")
    }

    /// Its GitLab.
    pub fn gitlab(&self) -> &GitLab {
        &self.gitlab
    }

    /// Where its GitLab listens.
    pub fn gitlab_url(&self) -> String {
        self.server.url()
    }

    /// Writes a file into its folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        // At once: jobs that run beside each other read it meanwhile.
        let mut new = tempfile::NamedTempFile::new_in(file.parent().unwrap()).unwrap();
        std::io::Write::write_all(&mut new, text.as_bytes()).unwrap();
        let mode = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(new.path(), mode).unwrap();
        new.persist(&file).unwrap();
        file
    }

    /// Writes a file that only its owner can read.
    pub fn secret(&self, name: &str, text: &str) -> PathBuf {
        let file = self.file(name, text);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        file
    }

    /// Writes a policy, `STATE` and `GITLAB` replaced.
    pub fn policy(&self, text: &str) -> PathBuf {
        let state = self.state().display().to_string();
        let text = text.replace("STATE", &state).replace("GITLAB", &self.gitlab_url());
        self.file("dyno.yaml", &text)
    }

    /// A job; every one of a test run has its own number, since the host knows jobs by it.
    pub fn seat() -> Seat {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = u64::from(std::process::id()) * 1000 + NEXT.fetch_add(1, Ordering::Relaxed);
        Seat { id, token: format!("JOB-TOKEN-{id}"), ..Seat::default() }
    }

    /// Runs `dyno gc` with the lab's policy; what it says.
    #[track_caller]
    pub fn gc(&self) -> String {
        let mut command = std::process::Command::new(super::dyno());
        command.args(["gc", "--policy"]).arg(self.folder().join("dyno.yaml"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// True when nothing of any job is left in the driver's folder.
    pub fn has_no_job_left(&self) -> bool {
        let jobs = std::fs::read_dir(self.state().join("jobs"));
        jobs.map_or(true, |jobs| jobs.count() == 0)
    }
}
