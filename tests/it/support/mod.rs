//! What the tests share: a runner to give jobs to, a laboratory of servers, a cluster, patience.

mod aggregated;
mod cluster;
mod lab;
mod namespaces;
pub mod objects;
#[macro_use]
mod place;
mod processes;
mod daemon;
pub mod registry;
mod release;
mod runner;
mod station;
mod try_;

use std::path::PathBuf;

pub use aggregated::Aggregated;
pub use cluster::Cluster;
pub use daemon::OwnDaemon;
pub use lab::{Lab, MAINTAINER, policy};
pub use namespaces::NoNamespaces;
pub use place::{Place, docker};
pub use processes::{Marker, eventually};
pub use release::{Release, deployment, indented};
pub use runner::Runner;
pub use station::{Station, write_plan};
pub use try_::Try;

pub use crate::standins::gitlab::{GitLab, Race, Seat, Upload, Variable};
pub use crate::standins::runner::{Ending, Exit, Job, Stop};
pub use crate::standins::server::Server;
pub use crate::standins::shop::{Dial, Shop};
pub use crate::standins::wavefront::{Behaviour, Series, Wavefront};

/// The program under test.
pub fn dyno() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_dyno"))
}

/// The stand-ins' program, which cargo builds beside the tests.
pub fn standins() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(std::path::Path::parent).unwrap();
    let program = folder.join("examples/standins");
    assert!(program.exists(), "build the stand-ins first: cargo build --example standins");
    program
}

/// An environment variable of the test run.
#[expect(clippy::disallowed_methods, reason = "the tests' one look at their own environment")]
pub fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Says by name that a test cannot run here, and why; `scripts/test` shows it in the end.
pub fn skip(test: &str, why: &str) {
    let line = format!("skipped: {test}: {}\n", why.lines().next().unwrap_or_default());
    eprint!("{line}");
    if let Some(file) = setting("DYNO_TEST_SKIPS") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(file);
        std::io::Write::write_all(&mut file.unwrap(), line.as_bytes()).unwrap();
    }
}
