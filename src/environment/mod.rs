//! Where a job's scripts run: a closed family, one file or folder a member.

pub mod relay;
pub mod sandbox;
pub mod docker;
mod owner;
mod output;
mod error;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

pub use error::Error;
pub use owner::{forget_runner, note_runner, remove_dead_runners};

/// A place for one job's scripts. Every method can be repeated, in processes of their own.
#[async_trait]
pub trait Environment: Send {
    /// Makes what the job needs, after removing what an earlier attempt left.
    async fn prepare(&mut self, cancel: &CancellationToken) -> Result<(), Error>;

    /// Runs one script to its end; stdout and stderr are inherited (the runner masks them).
    ///
    /// On cancel every process inside gets SIGTERM, and SIGKILL after the grace. When the future
    /// is dropped, everything inside is killed.
    async fn run(
        &mut self,
        script: &Script<'_>,
        cancel: &CancellationToken,
    ) -> Result<ScriptEnd, Error>;

    /// Ends everything that carries the job's name and removes it; nothing to remove is fine.
    async fn destroy(&mut self) -> Result<(), Error>;
}

/// Which environment, and how.
#[derive(Debug, Clone)]
pub enum Spec {
    /// bubblewrap on this host.
    Sandbox(Box<sandbox::Spec>),
    /// Containers of a Docker daemon on this host.
    Docker(Box<docker::Spec>),
}

/// Opens the environment that `spec` means; touches nothing yet.
pub fn connect(spec: Spec) -> Box<dyn Environment> {
    match spec {
        Spec::Sandbox(spec) => Box::new(sandbox::Sandbox::new(*spec)),
        Spec::Docker(spec) => Box::new(docker::Docker::new(*spec)),
    }
}

/// Ends and removes a job of any environment by its name; nothing to remove is fine.
///
/// # Errors
/// When something of it cannot be ended or removed.
pub async fn remove(state: &Path, name: &str) -> Result<(), Error> {
    match docker::of(state, name) {
        Some(job) => docker::remove(state, &job).await,
        None => sandbox::remove(state, name).await,
    }
}

/// How a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptEnd {
    /// By itself, with this code; 128 + n when the shell died of signal n.
    Exited(i32),
    /// The kernel killed something of it at the memory limit, and the script failed.
    OutOfMemory,
    /// It was ended because the job holds more on the disk than it may.
    OutOfDisk,
    /// It was cancelled; nothing of it is left.
    Cancelled,
}

/// One script and what it may see.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    /// The generated script; the shell gets it on stdin, since the job cannot read the runner's folder.
    pub file: &'a Path,
    /// The shell's name or path inside, such as `bash`.
    pub shell: &'a str,
    /// The shell's environment, over the few variables that the environment itself sets
    /// (`PATH`, `HOME`, `BASH_ENV`, …). Nothing of the driver's own gets in.
    pub environment: &'a BTreeMap<String, String>,
    /// The broker's socket on the host, `/run/dyno/socket` inside.
    pub socket: Option<&'a Path>,
    /// The way to GitLab for the git, cache and artifact stages of a job without network.
    pub relay: Option<&'a Relay>,
}

/// A listener inside the environment whose connections come out of a socket on the host, raw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// The host as the job's tools write it: a name, or a loopback address.
    pub host: String,
    /// The port, there and inside.
    pub port: u16,
    /// The driver's listening socket, which [`relay::serve`] answers.
    pub socket: PathBuf,
}

/// One thing that `dyno doctor` tells of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub what: String,
    /// What to do; empty when nothing needs to be done.
    pub mend: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.mend.is_empty() {
            write!(f, ": {}", self.mend)?;
        }
        Ok(())
    }
}
