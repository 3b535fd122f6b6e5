//! The environments in which the contract holds.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::{Lab, Runner, policy, setting};

/// An environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// bubblewrap on this host.
    Sandbox,
    /// Containers of the tests' own daemon.
    Docker,
}

/// Writes a test for each environment, in a module of its name.
#[macro_export]
macro_rules! in_each_environment {
    ($($name:ident),+ $(,)?) => {
        mod sandbox {
            $(#[test] fn $name() { super::$name($crate::support::Place::Sandbox); })+
        }
        mod docker {
            $(#[test] fn $name() { super::$name($crate::support::Place::Docker); })+
        }
    };
}

/// The socket of the tests' own daemon.
#[track_caller]
pub fn daemon() -> String {
    setting("DYNO_TEST_DOCKER").unwrap_or_else(|| {
        panic!("DYNO_TEST_DOCKER is not set: this test needs a Docker daemon, run scripts/test")
    })
}

/// Calls the daemon by its own command line; what it says.
#[track_caller]
pub fn docker(arguments: &[&str]) -> String {
    docker_at(&daemon(), arguments)
}

/// Calls a daemon by its own command line; what it says.
#[track_caller]
pub fn docker_at(socket: &str, arguments: &[&str]) -> String {
    let host = format!("unix://{socket}");
    let output = Command::new("docker").args(["-H", &host]).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

impl Place {
    /// A policy with one profile for the tag `Dedicated`.
    pub fn policy(self) -> String {
        match self {
            Self::Sandbox => policy(""),
            Self::Docker => Self::policy_with("pull: [never]"),
        }
    }

    /// The same with other keys for the containers.
    pub fn policy_with(keys: &str) -> String {
        Self::contained(&policy(""), &daemon(), keys)
    }

    /// A policy for this environment of one for the sandbox.
    pub fn adapted(self, policy: &str) -> String {
        match self {
            Self::Sandbox => policy.to_owned(),
            Self::Docker => {
                let kept = policy.lines().filter(|line| !line.trim_start().starts_with("recipes:"));
                let policy = kept.collect::<Vec<_>>().join("\n");
                Self::contained(&policy, &daemon(), "pull: [never]")
            }
        }
    }

    /// A policy for containers of one for the sandbox.
    pub fn contained(policy: &str, socket: &str, keys: &str) -> String {
        let rule = format!(
            "docker: {{ socket: {socket}, images: [\"**\"], services: [\"**\"], grace: 1s, {keys} }}"
        );
        policy.replace("sandbox: { network: none, grace: 1s }", &rule)
    }

    /// A runner with a job, in a lab of its own.
    pub fn runner(self) -> Runner {
        self.runner_in(&Arc::new(Lab::new()))
    }

    /// A runner with a job.
    pub fn runner_in(self, lab: &Arc<Lab>) -> Runner {
        self.runner_of(lab, &self.policy())
    }

    /// A runner with a job and another policy.
    pub fn runner_of(self, lab: &Arc<Lab>, policy: &str) -> Runner {
        let runner = Runner::within(lab, policy);
        match self {
            Self::Sandbox => runner,
            Self::Docker => runner.image("dyno-test/bash:1"),
        }
    }

    /// True when nothing of any job is left.
    pub fn has_no_job_left(self, lab: &Lab) -> bool {
        lab.has_no_job_left()
            && match self {
                Self::Sandbox => true,
                Self::Docker => has_nothing_left(&daemon(), &lab.state()),
            }
    }
}

/// True when a daemon has nothing of any job of a driver.
pub fn has_nothing_left(socket: &str, state: &Path) -> bool {
    let filter = format!("label=dyno.state={}", state.display());
    [&["ps", "-aq"][..], &["network", "ls", "-q"], &["volume", "ls", "-q"]]
        .into_iter()
        .all(|list| docker_at(socket, &[list, &["--filter", &filter]].concat()).is_empty())
}
