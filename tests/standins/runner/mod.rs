//! gitlab-runner's side of the custom executor: it calls a driver as the recorded gitlab-runner
//! did, generates scripts as it does, and tells how GitLab would see the job end.
//!
//! Written from the contract alone and independent of the driver, so that each can be wrong only
//! on its own.

mod call;
mod conduct;
mod helper;
mod log;
mod script;
mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use call::{Call, Exit};
pub use helper::answer as answer_helper_command;
pub use log::{Log, without_colours};

/// All that decides how a job goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spec {
    /// The driver's program.
    pub driver: PathBuf,
    /// What stands in the runner's configuration after each verb.
    pub arguments: Vec<String>,
    /// The content of `JOB_RESPONSE_FILE`.
    pub response: Value,
    /// Written instead of `response`, where it must not even be JSON.
    pub raw_response: Option<String>,
    /// Where the runner makes its temporary folders.
    pub folder: PathBuf,
    /// The runner's own environment, secrets included, which the driver inherits.
    pub host: BTreeMap<String, String>,
    /// `BUILD_FAILURE_EXIT_CODE`.
    pub build_failure: i32,
    /// `SYSTEM_FAILURE_EXIT_CODE`.
    pub system_failure: i32,
    /// From SIGTERM to SIGKILL.
    pub graceful_kill: Duration,
    /// Between attempts; the real runner waits 3 s and more.
    pub pause: Duration,
    /// For the whole job.
    pub job_timeout: Option<Duration>,
    /// For the user's script (`RUNNER_SCRIPT_TIMEOUT`).
    pub script_timeout: Option<Duration>,
    /// What the user's script is called: `build_script` today, `step_script` one day.
    pub script_stage: String,
}

/// How GitLab sees a job end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// Green.
    Success,
    /// Red, for the job's own reasons.
    ScriptFailure,
    /// Red, for the platform's reasons; `retry: when: runner_system_failure` applies.
    SystemFailure,
    /// Red: too late.
    Timeout,
    /// Cancelled by a user.
    Canceled,
}

/// A job that ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// How GitLab sees it.
    pub ending: Ending,
    /// The exit code that GitLab is told, with a script failure.
    pub exit_code: Option<i32>,
    /// The job log, without time stamps, section marks and colours, masked.
    pub log: String,
    /// Every call of the driver in order.
    pub calls: Vec<Call>,
}

impl Job {
    /// The stages and verbs that the driver was called for, in order.
    pub fn stages(&self) -> Vec<&str> {
        self.calls.iter().map(|call| call.stage.as_str()).collect()
    }

    /// The last call for a stage.
    #[track_caller]
    pub fn call(&self, stage: &str) -> &Call {
        let found = self.calls.iter().rfind(|call| call.stage == stage);
        found
            .unwrap_or_else(|| panic!("no call for `{stage}` in {:?}\n{}", self.stages(), self.log))
    }
}

/// What happens to a job from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A user cancels: `after_script` still runs.
    Cancel,
    /// A user cancels with force: cleanup only.
    ForceCancel,
    /// The runner itself gets SIGTERM: cleanup only.
    Shutdown,
    /// Another SIGTERM for whatever runs now; the job's course does not change.
    TermAgain,
}

/// A job under way.
#[derive(Debug)]
pub struct Running {
    log: Arc<Log>,
    events: Sender<call::Event>,
    thread: JoinHandle<Job>,
}

impl Running {
    /// Waits until the log has a text.
    #[track_caller]
    pub fn until_log_has(&self, text: &str) -> &Self {
        self.log.until_has(text);
        self
    }

    /// Stops the job.
    pub fn stop(&self, stop: Stop) -> &Self {
        drop(self.events.send(call::Event::Stop(stop)));
        self
    }

    /// Waits for the job's end.
    #[track_caller]
    pub fn end(self) -> Job {
        self.thread.join().expect("the emulated runner itself")
    }
}

/// Starts a job.
pub fn start(spec: Spec, log: Arc<Log>) -> Running {
    let (events, received): (Sender<call::Event>, Receiver<call::Event>) = channel();
    let (sender, logged) = (events.clone(), Arc::clone(&log));
    let thread = std::thread::spawn(move || conduct::conduct(&spec, logged, &sender, &received));
    Running { log, events, thread }
}
