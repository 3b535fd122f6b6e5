//! The runner behind the driver: which program it is, and whether it still lives.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Pid;

/// The driver's parent process.
#[derive(Debug)]
pub struct Parent {
    pid: Option<Pid>,
}

/// How often the driver looks whether its parent still lives.
const LOOK: Duration = Duration::from_millis(250);

impl Parent {
    /// Looks at who started this process.
    pub fn find() -> Self {
        Self { pid: rustix::process::getppid() }
    }

    /// The parent's process id; 1 when there is none to see.
    pub fn id(&self) -> u32 {
        self.pid.and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok()).unwrap_or(1)
    }

    /// The parent's program, when it is gitlab-runner itself.
    pub fn runner_program(&self) -> Option<PathBuf> {
        let program = std::fs::read_link(format!("/proc/{}/exe", self.id())).ok()?;
        let name = program.file_name()?.to_str()?;
        (name.starts_with("gitlab-runner") && !name.ends_with(" (deleted)")).then_some(program)
    }

    /// Returns when the parent has died. gitlab-runner killed with SIGKILL tells nobody: its
    /// driver goes on under PID 1 unless it looks.
    ///
    /// A pid file descriptor would tell at once, but not through a safe interface of the runtime.
    pub async fn died(&self) {
        while !self.is_dead() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// True when the parent is not the one that started this process.
    pub fn is_dead(&self) -> bool {
        rustix::process::getppid() != self.pid
    }
}
