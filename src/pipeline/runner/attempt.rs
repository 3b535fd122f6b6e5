//! One attempt at a job: config, prepare (three times), the stages, cleanup, the last line.

use std::collections::BTreeMap;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use crate::pipeline::build::{Answer, Build, Status};
use crate::pipeline::runner::call::{
    Call, Driver, Ended, Stops, Stream, Timing, Why, call, go_status,
};
use crate::pipeline::runner::interrupt::{Interrupt, Interrupter, Level};
use crate::pipeline::runner::trace::{Source, Trace};

const PREPARE_ATTEMPTS: u32 = 3;
/// `config_exec_timeout` and its siblings.
const VERB_TIMEOUT: Duration = Duration::from_hours(1);
const BUILD_FAILURE: &str = "1";
const SYSTEM_FAILURE: &str = "2";

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Success,
    /// Not well.
    Failed,
    /// By the user.
    Canceled,
}

/// A job that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How.
    pub outcome: Outcome,
    /// GitLab's failure reason; empty after success.
    pub reason: &'static str,
    /// The script's exit code, where it is the reason.
    pub exit_code: Option<i32>,
}

/// Why a job does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The job's fault.
    Script(i32),
    /// The platform's fault.
    System(String),
    /// Stopped.
    Stopped(Why),
}

/// What an attempt needs besides the build and its log.
#[derive(Debug, Clone)]
pub struct Around<'a> {
    /// The driver.
    pub driver: &'a Driver,
    /// The runner's times.
    pub timing: Timing,
    /// The user.
    pub interrupt: &'a Interrupt,
    /// The runner's own environment.
    pub environment: &'a BTreeMap<String, String>,
    /// Where `custom-executor…` folders are made.
    pub folder: &'a Path,
}

/// One attempt at a job.
#[derive(Debug)]
pub struct Attempt<'a> {
    pub(super) around: Around<'a>,
    pub(super) build: Build,
    pub(super) trace: Trace,
    pub(super) deadline: Instant,
    timeout: Duration,
    /// `$TMPDIR` of the current prepare attempt.
    temp: Option<TempDir>,
    job_env: BTreeMap<String, String>,
}

impl<'a> Attempt<'a> {
    /// An attempt that has not begun; its time runs from now.
    pub fn new(around: Around<'a>, build: Build, trace: Trace) -> Self {
        let timeout = Duration::from_secs(build.response.runner_info.timeout);
        let deadline = Instant::now() + timeout;
        let job_env = BTreeMap::new();
        Self { around, build, trace, deadline, timeout, temp: None, job_env }
    }

    /// Runs the job to its end; the driver's cleanup has been called when this returns.
    pub async fn run(mut self) -> Finished {
        let runner = self.build.runner.clone();
        let version = env!("CARGO_PKG_VERSION");
        self.trace.say(&format!(
            "\u{1b}[0KRunning with dyno try {version} as gitlab-runner {} would\u{1b}[0;m",
            runner.version
        ));
        self.trace.open("prepare_executor", "Preparing the \"custom\" executor");
        let prepared = self.prepare().await;
        self.trace.close("prepare_executor");
        let result = match prepared {
            Ok(()) => self.stages().await,
            Err(failure) => Err(failure),
        };
        self.clean_up().await;
        self.finish(result)
    }

    async fn prepare(&mut self) -> Result<(), Failure> {
        let mut attempt = 1;
        loop {
            let told = match self.prepare_once().await {
                Err(Failure::System(told)) => told,
                other => return other,
            };
            self.trace
                .say_anew(&format!("\u{1b}[31;1mERROR: Preparation failed: {told}\u{1b}[0;m"));
            let pause = self.around.timing.prepare_pause;
            let shown = go_duration(pause);
            self.trace.say(&format!("\u{1b}[32;1mWill be retried in {shown} ...\u{1b}[0;m"));
            self.clean_up().await;
            self.pause(pause).await?;
            if attempt == PREPARE_ATTEMPTS {
                return Err(Failure::System(told));
            }
            attempt += 1;
        }
    }

    /// Waits, unless the user or the job's timeout ends the job.
    pub(super) async fn pause(&self, pause: Duration) -> Result<(), Failure> {
        tokio::select! {
            level = self.around.interrupt.reached(Level::Cancelled) => {
                let forced = level == Level::Forced;
                Err(Failure::Stopped(if forced { Why::Forced } else { Why::Cancelled }))
            }
            () = tokio::time::sleep_until(self.deadline) => Err(Failure::Stopped(Why::JobTimeout)),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    async fn prepare_once(&mut self) -> Result<(), Failure> {
        self.open_folder().map_err(|error| Failure::System(error.to_string()))?;
        self.job_env.clear();
        let mut told = Vec::new();
        self.verb("config", &mut |stream, bytes, trace| match stream {
            Stream::Out => told.extend_from_slice(bytes),
            Stream::Err => trace.output(Source::RunnerErrors, bytes),
        })
        .await?;
        let answer: Answer = if told.iter().all(u8::is_ascii_whitespace) {
            Answer::default()
        } else {
            serde_json::from_slice(&told).map_err(|error| {
                Failure::System(format!("error while parsing JSON output: {error}"))
            })?
        };
        self.build.apply(&answer);
        if let Some(shell) = answer.shell.as_deref().filter(|shell| !["bash", "sh"].contains(shell))
        {
            return Err(Failure::System(format!("shell {shell} is not known here")));
        }
        if let Some(name) = &answer.driver.name {
            let version = answer.driver.version.as_deref().unwrap_or_default();
            let gap = if version.is_empty() { "" } else { " " };
            self.trace.say_anew(&format!(
                "\u{1b}[0KUsing Custom executor with driver {name}{gap}{version}...\u{1b}[0;m"
            ));
        } else {
            self.trace.say_anew("\u{1b}[0KUsing Custom executor...\u{1b}[0;m");
        }
        self.job_env = answer.job_env;
        self.verb("prepare", &mut |stream, bytes, trace| {
            let source = match stream {
                Stream::Out => Source::Runner,
                Stream::Err => Source::RunnerErrors,
            };
            trace.output(source, bytes);
        })
        .await
    }

    /// config or prepare: what stops a job stops them, with their own limit.
    async fn verb(
        &mut self,
        verb: &str,
        output: &mut (dyn FnMut(Stream, &[u8], &mut Trace) + Send),
    ) -> Result<(), Failure> {
        let stops = Stops {
            interrupt: self.around.interrupt,
            level: Level::Cancelled,
            job: Some(self.deadline),
            script: Some(Instant::now() + VERB_TIMEOUT),
        };
        let environment = self.environment();
        let folder = self.temp_folder();
        let call_ = Call { verb, tail: &[], environment: &environment, folder: &folder };
        let trace = &mut self.trace;
        let timing = self.around.timing;
        let ended = call(self.around.driver, &call_, &stops, &timing, &mut |stream, bytes| {
            output(stream, bytes, trace);
        })
        .await;
        self.trace.flush();
        match self.judge(ended) {
            Err(Failure::Stopped(Why::ScriptTimeout)) => {
                Err(Failure::System("context deadline exceeded".to_owned()))
            }
            other => other,
        }
    }

    /// Sorts a call's end into the runner's classes.
    pub(super) fn judge(&self, ended: Ended) -> Result<(), Failure> {
        let status = match ended {
            Ended::Exited(status) => status,
            Ended::Stopped(why) => return Err(Failure::Stopped(why)),
            Ended::NotStarted(error) => {
                let program = self.around.driver.program.display();
                return Err(Failure::System(format!("fork/exec {program}: {error}")));
            }
        };
        match status.code() {
            Some(0) => Ok(()),
            Some(code) if code.to_string() == BUILD_FAILURE => self.build_failure(),
            Some(code) if code.to_string() == SYSTEM_FAILURE => {
                Err(Failure::System(go_status(status)))
            }
            code => Err(Failure::System(format!(
                "unknown Custom executor executable exit code {}; executable execution terminated \
                 with: {}",
                code.unwrap_or(-1),
                go_status(status)
            ))),
        }
    }

    /// A job fault: the true code is the first line of the code file, 1 without one.
    fn build_failure(&self) -> Result<(), Failure> {
        let file = self.temp_folder().join("build_exit_code");
        let Ok(text) = std::fs::read_to_string(&file) else { return Err(Failure::Script(1)) };
        let line = text.lines().next().unwrap_or_default();
        match line.parse() {
            Ok(code) => Err(Failure::Script(code)),
            Err(_) => Err(Failure::System(format!("`{line}` in the build exit code file"))),
        }
    }

    /// Makes `$TMPDIR` with the response in it, readable by nobody else.
    fn open_folder(&mut self) -> std::io::Result<()> {
        let folder = private_folder("custom-executor", self.around.folder)?;
        let text = serde_json::to_vec(&self.build.response)?;
        write_new(&folder.path().join("response.json"), 0o600, &text)?;
        self.temp = Some(folder);
        Ok(())
    }

    pub(super) fn temp_folder(&self) -> PathBuf {
        self.temp.as_ref().map_or(self.around.folder, TempDir::path).to_owned()
    }

    /// The driver's environment, a later one of the same name wins.
    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        let temp = self.temp_folder();
        let file = |name: &str| temp.join(name).display().to_string();
        let mut environment = self.around.environment.clone();
        environment.extend([
            ("TMPDIR".to_owned(), temp.display().to_string()),
            ("BUILD_FAILURE_EXIT_CODE".to_owned(), BUILD_FAILURE.to_owned()),
            ("SYSTEM_FAILURE_EXIT_CODE".to_owned(), SYSTEM_FAILURE.to_owned()),
            ("BUILD_EXIT_CODE_FILE".to_owned(), file("build_exit_code")),
            ("JOB_RESPONSE_FILE".to_owned(), file("response.json")),
        ]);
        environment.extend(self.job_env.clone());
        environment.extend(self.build.custom_env());
        environment
    }

    /// The driver's cleanup; its failure is told and changes nothing. Does nothing twice.
    async fn clean_up(&mut self) {
        if self.temp.is_none() {
            return;
        }
        // The job's end does not stop cleanup: nobody raises this interrupt.
        let (_sender, never) = Interrupter::new();
        let stops = Stops {
            interrupt: &never,
            level: Level::Forced,
            job: None,
            script: Some(Instant::now() + VERB_TIMEOUT),
        };
        let (environment, folder) = (self.environment(), self.temp_folder());
        let cleanup =
            Call { verb: "cleanup", tail: &[], environment: &environment, folder: &folder };
        let mut warnings = Vec::new();
        let timing = self.around.timing;
        let ended = call(self.around.driver, &cleanup, &stops, &timing, &mut |stream, bytes| {
            if stream == Stream::Err {
                warnings.extend_from_slice(bytes);
            }
        })
        .await;
        for line in String::from_utf8_lossy(&warnings).lines() {
            self.trace.aside(&format!("cleanup: {line}"));
        }
        let told = match ended {
            Ended::Exited(status) if status.success() => None,
            Ended::Exited(status) => Some(go_status(status)),
            Ended::Stopped(_) => Some("it took too long".to_owned()),
            Ended::NotStarted(error) => Some(error.to_string()),
        };
        if let Some(told) = told {
            self.trace
                .say(&format!("\u{1b}[0;33mWARNING: Cleanup script failed: {told}\u{1b}[0;m"));
        }
        if let Some(Err(error)) = self.temp.take().map(TempDir::close) {
            tracing::debug!(%error, "folder not removed");
        }
    }

    /// The last line of the log, and how GitLab sees the end.
    fn finish(mut self, result: Result<(), Failure>) -> Finished {
        let failure = match result {
            Ok(()) => {
                self.trace.say_anew("\u{1b}[32;1mJob succeeded\u{1b}[0;m");
                return Finished { outcome: Outcome::Success, reason: "", exit_code: None };
            }
            Err(failure) => failure,
        };
        let (system, told) = match &failure {
            Failure::Script(code) => ("", format!("exit status {code}")),
            Failure::System(told) => (" (system failure)", told.clone()),
            Failure::Stopped(Why::Cancelled | Why::Forced) => ("", "canceled".to_owned()),
            Failure::Stopped(Why::JobTimeout) => {
                let timeout = go_duration(self.timeout);
                ("", format!("execution took longer than {timeout} seconds"))
            }
            Failure::Stopped(Why::ScriptTimeout) => {
                ("", "script timeout: context deadline exceeded".to_owned())
            }
        };
        self.trace.say_anew(&format!("\u{1b}[31;1mERROR: Job failed{system}: {told}\u{1b}[0;m"));
        match failure {
            Failure::Script(code) => Finished {
                outcome: Outcome::Failed,
                reason: "script_failure",
                exit_code: Some(code),
            },
            Failure::System(_) => Finished {
                outcome: Outcome::Failed,
                reason: "runner_system_failure",
                exit_code: None,
            },
            Failure::Stopped(Why::JobTimeout | Why::ScriptTimeout) => Finished {
                outcome: Outcome::Failed,
                reason: "job_execution_timeout",
                exit_code: None,
            },
            Failure::Stopped(Why::Cancelled | Why::Forced) => {
                Finished { outcome: Outcome::Canceled, reason: "job_canceled", exit_code: None }
            }
        }
    }

    /// `CI_JOB_STATUS` of what follows a script that ended like this.
    pub(super) fn status_after(result: &Result<(), Failure>) -> Status {
        match result {
            Ok(()) => Status::Success,
            Err(Failure::Script(_) | Failure::System(_) | Failure::Stopped(Why::JobTimeout)) => {
                Status::Failed
            }
            Err(Failure::Stopped(Why::Cancelled | Why::Forced)) => Status::Canceled,
            Err(Failure::Stopped(Why::ScriptTimeout)) => Status::TimedOut,
        }
    }
}

/// Makes a new folder that nobody else can look into; it is removed with its handle.
pub(super) fn private_folder(prefix: &str, within: &Path) -> std::io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix(prefix)
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(within)
}

/// Writes a file that is not there yet.
pub(super) fn write_new(path: &Path, mode: u32, content: &[u8]) -> std::io::Result<()> {
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    std::io::Write::write_all(&mut file, content)
}

/// A duration as Go prints it: `8s`, `1h0m0s`, `1.5s`, `20ms`.
pub(super) fn go_duration(span: Duration) -> String {
    let seconds = span.as_secs();
    if seconds == 0 && span.subsec_nanos() != 0 {
        return format!("{}ms", span.subsec_millis());
    }
    let whole = Duration::from_secs(seconds - seconds % 60);
    let rest = span.saturating_sub(whole).as_secs_f64();
    match (seconds / 3600, seconds % 3600 / 60) {
        (0, 0) => format!("{rest}s"),
        (0, minutes) => format!("{minutes}m{rest}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
    }
}
