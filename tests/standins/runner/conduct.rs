//! The course of a job: attempts to prepare, stages in order, what follows a failure or a cancel.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;

use serde_json::Value;

use super::call::{self, Call, Event, Exit, Interrupt, Order};
use super::variables::{self, Folders, Variable};
use super::{Ending, Job, Log, Spec, Stop, script};

const ATTEMPTS: u32 = 3;

/// Runs a job from its first call to the last.
pub fn conduct(
    spec: &Spec,
    log: Arc<Log>,
    sender: &Sender<Event>,
    events: &Receiver<Event>,
) -> Job {
    let mut course = Course {
        spec,
        log,
        sender,
        events,
        calls: Vec::new(),
        folder: PathBuf::new(),
        folders: Folders::default(),
        config: Config::default(),
        status: "running",
        job_deadline: spec.job_timeout.map(|timeout| Instant::now() + timeout),
        script_deadline: None,
    };
    course.log.say("Running with gitlab-runner 19.3.0 (local)");
    let end = course.run();
    if end.ending == Ending::Success {
        course.log.say("Job succeeded");
    } else {
        course.log.say(&format!("ERROR: Job failed{}", end.told));
    }
    Job { ending: end.ending, exit_code: end.code, log: course.log.text(), calls: course.calls }
}

/// How a job or a stage ends that does not go on.
struct End {
    ending: Ending,
    code: Option<i32>,
    told: String,
    /// What ran is over, but `after_script` and the like still come.
    goes_on: bool,
}

impl End {
    fn success() -> Self {
        Self { ending: Ending::Success, code: None, told: String::new(), goes_on: true }
    }

    fn script(code: i32) -> Self {
        let told = format!(": exit status {code}");
        Self { ending: Ending::ScriptFailure, code: Some(code), told, goes_on: true }
    }

    fn system(why: &str) -> Self {
        let told = format!(" (system failure): {why}");
        Self { ending: Ending::SystemFailure, code: None, told, goes_on: true }
    }

    fn interrupted(interrupt: Interrupt, is_whole_job: bool) -> Self {
        let (ending, told, goes_on) = match interrupt {
            Interrupt::Stop(Stop::Cancel) => (Ending::Canceled, ": canceled", true),
            Interrupt::Stop(Stop::ForceCancel) => (Ending::Canceled, ": canceled", false),
            Interrupt::Stop(Stop::Shutdown | Stop::TermAgain) => {
                (Ending::SystemFailure, ": aborted: terminated", false)
            }
            Interrupt::TimeOver if is_whole_job => {
                (Ending::Timeout, ": execution took longer than the job's timeout", false)
            }
            Interrupt::TimeOver => {
                (Ending::ScriptFailure, ": script timeout: context deadline exceeded", true)
            }
        };
        Self { ending, code: None, told: told.to_owned(), goes_on }
    }
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Config {
    builds_dir: Option<String>,
    cache_dir: Option<String>,
    builds_dir_is_shared: bool,
    hostname: Option<String>,
    driver: Driver,
    job_env: BTreeMap<String, String>,
    shell: Option<String>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Driver {
    name: String,
    version: String,
}

struct Course<'a> {
    spec: &'a Spec,
    log: Arc<Log>,
    sender: &'a Sender<Event>,
    events: &'a Receiver<Event>,
    calls: Vec<Call>,
    /// `TMPDIR`, new for each attempt to prepare.
    folder: PathBuf,
    folders: Folders,
    config: Config,
    /// `CI_JOB_STATUS`.
    status: &'static str,
    job_deadline: Option<Instant>,
    /// While the user's script runs.
    script_deadline: Option<Instant>,
}

impl Course<'_> {
    fn run(&mut self) -> End {
        if let Err(end) = self.prepare() {
            return end;
        }
        let end = self.stages();
        self.cleanup();
        end
    }

    // Each attempt: config, prepare, and cleanup when one of them failed.
    fn prepare(&mut self) -> Result<(), End> {
        for attempt in 1..=ATTEMPTS {
            let failed = match self.attempt() {
                Ok(()) => return Ok(()),
                Err(end) => end,
            };
            self.cleanup();
            if failed.ending != Ending::SystemFailure || !failed.goes_on {
                return Err(failed);
            }
            let why = failed.told.trim_start_matches(" (system failure): ");
            self.log.say(&format!("ERROR: Preparation failed: {why}"));
            self.log.say("Will be retried in 3s ...");
            std::thread::sleep(self.spec.pause);
            if attempt == ATTEMPTS {
                return Err(failed);
            }
        }
        Ok(())
    }

    fn attempt(&mut self) -> Result<(), End> {
        self.new_folder();
        (self.folders, self.config) = (Folders::default(), Config::default());
        self.verb("config")?;
        let answer =
            self.calls.last().map(|call| call.stdout.trim().to_owned()).unwrap_or_default();
        if !answer.is_empty() {
            self.config = serde_json::from_str(&answer).map_err(|error| {
                End::system(&format!("error while parsing JSON output: {error}"))
            })?;
        }
        let driver = &self.config.driver;
        self.log.say(&format!(
            "Using Custom executor with driver {} {}...",
            driver.name, driver.version
        ));
        let builds = self.config.builds_dir.clone().unwrap_or_default();
        if builds.is_empty() || self.config.cache_dir.as_ref().is_none_or(String::is_empty) {
            return Err(End::system("the builds_dir and cache_dir are not configured"));
        }
        let path = self.spec.response["job_info"]["project_full_path"].as_str().unwrap_or_default();
        let shared = if self.config.builds_dir_is_shared { "stubrunne/0/" } else { "" };
        let cache = self.config.cache_dir.clone().unwrap_or_default();
        self.folders = Folders { project: format!("{builds}/{shared}{path}"), builds, cache };
        self.verb("prepare")
    }

    fn new_folder(&mut self) {
        let name = format!("custom-executor{}", self.calls.len());
        self.folder = self.spec.folder.join(name);
        drop(std::fs::remove_dir_all(&self.folder));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&self.folder)
            .expect("a folder");
        let text = self.spec.raw_response.clone().unwrap_or_else(|| self.spec.response.to_string());
        let mut options = std::fs::OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.folder.join("response.json"));
        std::io::Write::write_all(&mut file.expect("a file"), text.as_bytes()).expect("a file");
    }

    fn stages(&mut self) -> End {
        let body =
            script::prepare(&self.folders, self.config.hostname.as_deref().unwrap_or("host"));
        if let Err(end) = self.stage("prepare_script", &body) {
            let is_system = end.ending == Ending::SystemFailure;
            let why = format!("prepare environment: {}", end.told);
            return if is_system { End::system(&why) } else { end };
        }
        let sources = self.sources();
        let mut end = match sources {
            Ok(()) => self.users_script(),
            Err(end) => end,
        };
        if end.goes_on {
            let is_success = end.ending == Ending::Success;
            let stage = if is_success { "archive_cache" } else { "archive_cache_on_failure" };
            if let Some(body) = script::archive(&self.spec.response, &self.folders, is_success) {
                // The helper's failure is told in the log, and no more.
                drop(self.with_common(stage, &body, true));
            }
            let stage = if is_success {
                "upload_artifacts_on_success"
            } else {
                "upload_artifacts_on_failure"
            };
            if let Err(failed) = self.uploads(stage, is_success)
                && is_success
            {
                end = failed;
            }
        }
        if end.goes_on {
            let (body, variables) = (String::new(), self.variables());
            let body = body + &script::cleanup(&variables, &self.folders);
            if let Err(failed) = self.with_common("cleanup_file_variables", &body, false)
                && end.ending == Ending::Success
            {
                end = failed;
            }
        }
        end
    }

    fn sources(&mut self) -> Result<(), End> {
        let variables = self.variables();
        let value = |key: &str| {
            variables.iter().rev().find(|one| one.key == key).map(|one| one.value.clone())
        };
        let strategy = value("GIT_STRATEGY").unwrap_or_else(|| "fetch".to_owned());
        let attempts: u32 = value("GET_SOURCES_ATTEMPTS").and_then(|n| n.parse().ok()).unwrap_or(1);
        let body = script::sources(&self.spec.response, &self.folders, &strategy);
        let mut result = self.with_common("get_sources", &body, false);
        for attempt in 1..attempts {
            // The class of the failure does not matter here, only that it was no cancel.
            match &result {
                Err(end) if end.ending != Ending::Canceled && end.goes_on => (),
                _ => break,
            }
            self.log.say("WARNING: Retrying...");
            std::thread::sleep(self.spec.pause);
            if attempt == 1 {
                let clear = script::clear(&self.folders);
                self.stage("clear_worktree", &clear)?;
            }
            result = self.with_common("get_sources", &body, false);
        }
        result?;
        if self.spec.response["cache"].as_array().is_some_and(|all| !all.is_empty()) {
            let body = script::restore(&self.spec.response, &self.folders);
            self.with_common("restore_cache", &body, true)?;
        }
        if self.spec.response["dependencies"].as_array().is_some_and(|all| !all.is_empty()) {
            let body = script::downloads(&self.spec.response, &self.url());
            self.with_common("download_artifacts", &body, true)?;
        }
        Ok(())
    }

    fn users_script(&mut self) -> End {
        let mut end = End::success();
        let steps = self.spec.response["steps"].as_array().cloned().unwrap_or_default();
        self.script_deadline = self.spec.script_timeout.map(|timeout| Instant::now() + timeout);
        for step in steps.iter().filter(|step| step["name"] != "after_script") {
            let stage = match step["name"].as_str() {
                Some("script") | None => self.spec.script_stage.clone(),
                Some(name) => format!("step_{name}"),
            };
            if let Err(failed) = self.with_common(&stage, &script::commands(&lines(step)), true) {
                end = failed;
                break;
            }
        }
        self.script_deadline = None;
        if !end.goes_on {
            return end;
        }
        self.status = match end.ending {
            Ending::Success => "success",
            Ending::Canceled => "canceled",
            Ending::ScriptFailure if end.code.is_none() => "timedout",
            Ending::ScriptFailure | Ending::SystemFailure | Ending::Timeout => "failed",
        };
        if end.ending == Ending::Canceled {
            self.log.say("WARNING: script canceled externally (UI, API)");
        }
        for step in steps.iter().filter(|step| step["name"] == "after_script") {
            let body = script::told("Running after script...") + &script::commands(&lines(step));
            if let Err(failed) = self.with_common("after_script", &body, true) {
                let why = failed.told.trim_start_matches(": ").to_owned();
                self.log.say(&format!(
                    "WARNING: after_script failed, but job will continue unaffected: {why}"
                ));
            }
        }
        end
    }

    fn uploads(&mut self, stage: &str, is_success: bool) -> Result<(), End> {
        let declared = self.spec.response["artifacts"].as_array().cloned().unwrap_or_default();
        let matching: Vec<&Value> = declared
            .iter()
            .filter(|entry| match entry["when"].as_str() {
                Some("always") => true,
                Some("on_failure") => !is_success,
                Some(_) | None => is_success,
            })
            .collect();
        if matching.is_empty() {
            return Ok(());
        }
        let body = script::uploads(&self.spec.response, &self.url(), &matching);
        self.with_common(stage, &body, true)
    }

    fn url(&self) -> String {
        let variables = self.variables();
        let url = variables.iter().find(|variable| variable.key == "CI_SERVER_URL");
        url.map(|variable| variable.value.clone()).unwrap_or_default()
    }

    fn variables(&self) -> Vec<Variable> {
        variables::build(&self.spec.response, &self.folders, self.status)
    }

    fn with_common(&mut self, stage: &str, body: &str, in_project: bool) -> Result<(), End> {
        let cd = if in_project { format!("cd {}\n", self.folders.project) } else { String::new() };
        let common = script::common(&self.variables(), &self.folders);
        self.stage(stage, &format!("{common}{cd}{body}"))
    }

    fn stage(&mut self, stage: &str, body: &str) -> Result<(), End> {
        let folder = self.folder.join(format!("script{}", self.calls.len()));
        std::fs::DirBuilder::new().mode(0o700).create(&folder).expect("a folder");
        let file = folder.join("script");
        let mut options = std::fs::OpenOptions::new();
        let mut open =
            options.write(true).create_new(true).mode(0o700).open(&file).expect("a file");
        std::io::Write::write_all(&mut open, script::framed(body).as_bytes()).expect("a file");
        drop(open);
        let file = file.to_str().expect("a path in UTF-8").to_owned();
        self.call("run", stage, vec![file, stage.to_owned()])
    }

    fn verb(&mut self, verb: &str) -> Result<(), End> {
        self.call(verb, verb, Vec::new())
    }

    fn cleanup(&mut self) {
        if self.verb("cleanup").is_err() {
            self.log.say("WARNING: Cleanup script failed");
        }
        std::fs::remove_dir_all(&self.folder).expect("the runner's own folder");
    }

    fn call(&mut self, verb: &str, stage: &str, more: Vec<String>) -> Result<(), End> {
        let words = self.words();
        let job_env = if verb == "config" { BTreeMap::new() } else { self.config.job_env.clone() };
        let arguments = [vec![verb.to_owned()], self.spec.arguments.clone(), more].concat();
        let is_cleanup = verb == "cleanup";
        let deadline = [self.job_deadline, self.script_deadline].into_iter().flatten().min();
        let logged = |is_logged: bool| is_logged.then(|| Arc::clone(&self.log));
        let order = Order {
            stage,
            program: &self.spec.driver,
            arguments,
            environment: variables::environment(
                &self.spec.host,
                &words,
                &job_env,
                &self.variables(),
            ),
            folder: &self.folder,
            deadline: deadline.filter(|_| !is_cleanup),
            grace: self.spec.graceful_kill,
            stdout: logged(!is_cleanup && verb != "config"),
            stderr: logged(!is_cleanup),
            can_be_stopped: !is_cleanup,
        };
        let (call, interrupt) = call::make(order, self.sender, self.events);
        let end = match interrupt {
            Some(interrupt) => Some(End::interrupted(interrupt, deadline == self.job_deadline)),
            None => self.judged(&call, verb == "run"),
        };
        self.calls.push(call);
        end.map_or(Ok(()), Err)
    }

    fn judged(&self, call: &Call, is_run: bool) -> Option<End> {
        let code = match call.exit {
            Exit::Code(0) => return None,
            Exit::Code(code) => code,
            Exit::Signal(signal) => return Some(End::system(&format!("signal {signal}"))),
        };
        if code == self.spec.system_failure {
            return Some(End::system(&format!("exit status {code}")));
        }
        if code != self.spec.build_failure {
            return Some(End::system(&format!(
                "unknown Custom executor executable exit code {code}"
            )));
        }
        let Some(text) = call.code_file.as_ref().filter(|_| is_run) else {
            return Some(End::script(1));
        };
        Some(match text.lines().next().unwrap_or_default().parse() {
            Ok(code) => End::script(code),
            Err(_) => End::system(&format!("the build exit code file holds `{text}`")),
        })
    }

    fn words(&self) -> BTreeMap<String, String> {
        let path = |name: &str| self.folder.join(name).display().to_string();
        [
            ("TMPDIR", self.folder.display().to_string()),
            ("BUILD_FAILURE_EXIT_CODE", self.spec.build_failure.to_string()),
            ("SYSTEM_FAILURE_EXIT_CODE", self.spec.system_failure.to_string()),
            ("BUILD_EXIT_CODE_FILE", path("build_exit_code")),
            ("JOB_RESPONSE_FILE", path("response.json")),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }
}

fn lines(step: &Value) -> Vec<String> {
    let script = step["script"].as_array().into_iter().flatten();
    script.filter_map(Value::as_str).map(str::to_owned).collect()
}
