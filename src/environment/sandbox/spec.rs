//! A sandbox as meant: what one job gets on this host.

use std::path::PathBuf;

use crate::unit::{Size, Span};

/// One job's sandbox.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The job's name, `JobId::resource_name()`; the host name inside.
    pub name: String,
    /// `<state>/jobs/<name>`: the job's own folder, made and removed here.
    pub folder: PathBuf,
    /// `<state>/cache/<project>/<protected|open>`, `/cache` inside; kept between jobs.
    pub cache: PathBuf,
    /// What the job reaches.
    pub network: Network,
    /// What it may use.
    pub limits: Limits,
    /// Further read-only folders of the host, at the same path inside.
    pub folders: Vec<PathBuf>,
    /// The uid and gid the job has on the host when the driver is root (never 0); `None`: the driver's own.
    pub user: Option<u32>,
    /// The process whose life is the job's: the runner, the driver's parent. When it is gone, what
    /// is left of the job is a leftover.
    pub owner: u32,
    /// The folder that the runner keeps for the job, and removes with it.
    pub runner_folder: Option<PathBuf>,
    /// The dyno program on the host.
    pub program: PathBuf,
    /// Further names of dyno inside: `kubectl`, `locust`.
    pub names: Vec<String>,
    /// gitlab-runner's program on the host; `None`: dyno answers under that name.
    pub runner: Option<PathBuf>,
    /// Files of the job's recipe, which the job owns.
    pub files: Vec<File>,
    /// Programs of the recipe that stand among the host's own in `/bin`.
    pub programs: Vec<File>,
    /// The text of `/run/dyno/prelude.sh`, every shell's `BASH_ENV`.
    pub prelude: String,
}

/// What a sandbox reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Nothing but its own loopback interface.
    None,
    /// All that the host reaches.
    Host,
}

/// What a sandbox may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory of all its processes together (by cgroup), else of each (by rlimit).
    pub memory: Option<Size>,
    /// Processes and threads.
    pub processes: Option<u32>,
    /// Open files of each process.
    pub open_files: Option<u32>,
    /// From SIGTERM to SIGKILL.
    pub grace: Span,
}

/// A file that the sandbox holds from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Absolute path inside, in a top folder of its own (`/app/…`).
    pub path: PathBuf,
    /// What it says.
    pub content: String,
    /// Whether it can be run.
    pub executable: bool,
}
