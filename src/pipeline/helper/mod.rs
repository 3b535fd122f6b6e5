//! The helper commands that scripts call as `gitlab-runner`: artifacts and caches, up and down.
//!
//! Answered by dyno where no real gitlab-runner is to be had. Everything here runs inside of the
//! job's environment with the job's own rights.

mod log;
mod files;
mod pack;
mod unpack;
mod artifacts;
mod cache;

use std::path::PathBuf;

use crate::job::Vars;
use crate::pipeline::expand::expand;

pub use artifacts::{Upload, download, upload};
pub use cache::{archive, extract};
pub use log::Log;

/// What is packed.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The project's folder; nothing outside of it is packed.
    pub folder: PathBuf,
    /// Paths and patterns.
    pub paths: Vec<String>,
    /// Patterns to leave out.
    pub exclude: Vec<String>,
    /// All that git does not know.
    pub untracked: bool,
}

/// How a helper command fails.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// It cannot be done; said with `FATAL:`.
    Fatal(String),
}

/// Where the helper finds GitLab, and who it is.
#[derive(Debug, Clone)]
pub struct Access {
    /// `http://HOST`.
    pub url: String,
    /// The job's token.
    pub token: String,
    /// The job's number.
    pub id: u64,
}

/// Expands a name or a path with the variables of the script.
pub fn expanded(text: &str, vars: &dyn Vars) -> String {
    expand(text, &|name| vars.get(name).unwrap_or_default())
}
