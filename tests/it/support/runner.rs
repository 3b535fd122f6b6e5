//! A job for the emulated runner, put together step by step.

use std::collections::BTreeMap;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{Job, Lab, Seat, dyno, standins};
use crate::standins::runner::{Log, Running, Spec, start};

/// What a real gitlab-runner wrote into `JOB_RESPONSE_FILE`.
const RECORDED: &str = include_str!("../../data/recordings/before_after/passes.response.json");

/// A runner with one job to run.
#[derive(Debug)]
pub struct Runner {
    lab: Arc<Lab>,
    seat: Seat,
    spec: Spec,
    tags: String,
    masked: Vec<String>,
}

impl Runner {
    /// A runner registered with a policy, in a lab of its own.
    pub fn new(policy: &str) -> Self {
        Self::within(&Arc::new(Lab::new()), policy)
    }

    /// A runner registered with a policy.
    pub fn within(lab: &Arc<Lab>, policy: &str) -> Self {
        let file = lab.policy(policy);
        let mut response: Value = serde_json::from_str(RECORDED).unwrap();
        response["steps"] = json!([]);
        let seat = Lab::seat();
        let spec = Spec {
            driver: dyno(),
            arguments: vec!["--policy".to_owned(), file.display().to_string()],
            response,
            raw_response: None,
            folder: lab.folder().join(format!("runner-{}", seat.id)),
            host: host(lab),
            build_failure: 1,
            system_failure: 2,
            graceful_kill: Duration::from_mins(1),
            pause: Duration::ZERO,
            job_timeout: None,
            script_timeout: None,
            script_stage: "build_script".to_owned(),
        };
        let runner = Self {
            lab: Arc::clone(lab),
            seat,
            spec,
            tags: "Dedicated".to_owned(),
            masked: Vec::new(),
        };
        runner.variable("GIT_STRATEGY", "none")
    }

    /// Changes what GitLab knows of the job.
    #[must_use]
    pub fn seat(mut self, change: impl FnOnce(&mut Seat)) -> Self {
        change(&mut self.seat);
        self
    }

    /// The tags that the runner entry has.
    #[must_use]
    pub fn tags(mut self, tags: &str) -> Self {
        tags.clone_into(&mut self.tags);
        self
    }

    /// `image:`.
    #[must_use]
    pub fn image(self, name: &str) -> Self {
        self.response(|response| response["image"]["name"] = json!(name))
    }

    /// `script:`.
    #[must_use]
    pub fn script<const N: usize>(self, commands: [&str; N]) -> Self {
        self.step("script", &commands)
    }

    /// `after_script:`.
    #[must_use]
    pub fn after_script<const N: usize>(self, commands: [&str; N]) -> Self {
        self.step("after_script", &commands)
    }

    /// A step of any name.
    #[must_use]
    pub fn step(self, name: &str, commands: &[&str]) -> Self {
        let step =
            json!({ "name": name, "script": commands, "timeout": 3600, "when": "on_success" });
        self.response(|response| response["steps"].as_array_mut().unwrap().push(step))
    }

    /// A project variable.
    #[must_use]
    pub fn variable(self, key: &str, value: &str) -> Self {
        self.variables(json!({ "key": key, "value": value, "raw": true }))
    }

    /// A masked project variable.
    #[must_use]
    pub fn masked(mut self, key: &str, value: &str) -> Self {
        self.masked.push(value.to_owned());
        self.variables(json!({ "key": key, "value": value, "masked": true, "raw": true }))
    }

    /// A variable of type file.
    #[must_use]
    pub fn file(self, key: &str, content: &str) -> Self {
        self.variables(json!({ "key": key, "value": content, "file": true, "raw": true }))
    }

    fn variables(self, variable: Value) -> Self {
        self.response(|response| response["variables"].as_array_mut().unwrap().push(variable))
    }

    /// Changes the job response.
    #[must_use]
    pub fn response(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.spec.response);
        self
    }

    /// Changes how the runner goes about it.
    #[must_use]
    pub fn runner(mut self, change: impl FnOnce(&mut Spec)) -> Self {
        change(&mut self.spec);
        self
    }

    /// A variable of the runner's own environment.
    #[must_use]
    pub fn host(mut self, key: &str, value: &str) -> Self {
        self.spec.host.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Runs the job to its end.
    #[track_caller]
    pub fn run(self) -> Job {
        let (running, _lab) = self.begin();
        running.end()
    }

    /// Starts the job. The lab stays for as long as the second value is held.
    pub fn begin(mut self) -> (Running, Arc<Lab>) {
        self.fill_in();
        let log = Log::masking(self.masked.clone());
        (start(self.spec, Arc::new(log)), self.lab)
    }

    /// Starts the job under a runner that is a process called `gitlab-runner`, which can be killed.
    pub fn begin_as_process(mut self) -> (RunnerProcess, Arc<Lab>) {
        self.fill_in();
        let spec = self.lab.file("job/spec.json", &serde_json::to_string(&self.spec).unwrap());
        drop(std::fs::remove_file(spec.with_extension("job")));
        let program = self.lab.folder().join("gitlab-runner");
        copy_program(&standins(), &program);
        let mut command = Command::new(&program);
        command.arg("runner").arg(&spec).stdout(Stdio::piped());
        for value in &self.masked {
            command.arg("--mask").arg(value);
        }
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Log::default());
        let (lines, copy) = (child.stdout.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            let mut lines = std::io::BufReader::new(lines);
            let mut line = Vec::new();
            while std::io::BufRead::read_until(&mut lines, b'\n', &mut line).is_ok_and(|n| n > 0) {
                copy.line(&line);
                line.clear();
            }
        });
        (RunnerProcess { child, log, result: spec.with_extension("job") }, self.lab)
    }

    /// Calls single verbs instead of running the job.
    pub fn by_hand(mut self) -> Verbs {
        self.fill_in();
        let folder = self.spec.folder.join("custom-executor-by-hand");
        std::fs::create_dir_all(&folder).unwrap();
        let mut file = std::fs::OpenOptions::new();
        let file = file
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(folder.join("response.json"));
        std::io::Write::write_all(&mut file.unwrap(), self.spec.response.to_string().as_bytes())
            .unwrap();
        Verbs { lab: self.lab, spec: self.spec, folder, user: None }
    }

    fn fill_in(&mut self) {
        self.spec.arguments.extend(["--tags".to_owned(), self.tags.clone()]);
        self.masked.push(self.seat.token.clone());
        let (seat, url) = (self.seat.clone(), self.lab.gitlab_url());
        let response = &mut self.spec.response;
        let old_token = response["token"].as_str().unwrap().to_owned();
        let text = response
            .to_string()
            .replace("http://127.0.0.1:8929", &url)
            .replace("127.0.0.1:8929", url.trim_start_matches("http://"))
            .replace(&old_token, &seat.token);
        *response = serde_json::from_str(&text).unwrap();
        response["id"] = json!(seat.id);
        response["job_info"]["project_id"] = json!(seat.project_id);
        response["job_info"]["project_full_path"] = json!(seat.project_path);
        for (key, value) in
            [("CI_JOB_ID", seat.id.to_string()), ("CI_PROJECT_PATH", seat.project_path.clone())]
        {
            for variable in response["variables"].as_array_mut().unwrap() {
                if variable["key"] == key {
                    variable["value"] = json!(value);
                }
            }
        }
        self.lab.gitlab().seat(seat);
    }
}

/// A runner's environment: what systemd gives it, and what must not reach a job.
fn host(lab: &Lab) -> BTreeMap<String, String> {
    [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOME", lab.folder().display().to_string()),
        ("LANG", "C.UTF-8".to_owned()),
        ("USER", "root".to_owned()),
        ("RUNNER_HOST_SECRET", "the-runners-own-secret".to_owned()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// A runner that is a process of its own.
#[derive(Debug)]
pub struct RunnerProcess {
    child: Child,
    log: Arc<Log>,
    result: PathBuf,
}

impl RunnerProcess {
    /// Waits until the log has a text.
    #[track_caller]
    pub fn until_log_has(&self, text: &str) -> &Self {
        self.log.until_has(text);
        self
    }

    /// Kills the runner, and only it: SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kills the runner and the driver that runs, so that neither can clean up.
    pub fn kill_with_its_driver(self) {
        let drivers = children(self.child.id());
        // Stopped first: the driver would notice the runner's death.
        for &driver in &drivers {
            end(driver, Signal::STOP);
        }
        self.kill();
        for driver in drivers {
            end(driver, Signal::KILL);
        }
    }

    /// Kills the driver that runs; false when there was none.
    pub fn kill_its_driver(&self) -> bool {
        let drivers = children(self.child.id());
        for &driver in &drivers {
            end(driver, Signal::KILL);
        }
        !drivers.is_empty()
    }

    /// True when the job is over.
    pub fn has_ended(&self) -> bool {
        self.result.exists()
    }

    /// Waits for the job's end.
    #[track_caller]
    pub fn end(mut self) -> Job {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the emulated runner itself failed:\n{}", self.log.text());
        serde_json::from_slice(&std::fs::read(&self.result).unwrap()).unwrap()
    }
}

/// Sends a signal; a process that has ended meanwhile is fine.
fn end(process: Pid, signal: Signal) {
    match kill_process(process, signal) {
        Err(rustix::io::Errno::SRCH) => {}
        sent => sent.unwrap(),
    }
}

/// Copies a program by a process of its own: a file that this one has open for writing could not be
/// run while any of its threads starts a child.
fn copy_program(from: &Path, to: &Path) {
    assert!(Command::new("cp").args([from, to]).status().unwrap().success());
}

/// Processes that a process started, by any of its threads.
fn children(parent: u32) -> Vec<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).unwrap().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|line| {
            line.split_whitespace()
                .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Single calls of the driver, in any order, as no runner would make them.
#[derive(Debug)]
pub struct Verbs {
    lab: Arc<Lab>,
    spec: Spec,
    folder: PathBuf,
    user: Option<u32>,
}

impl Verbs {
    /// Calls the driver as a user other than root, who owns the driver's and the runner's folder.
    #[must_use]
    pub fn for_user(mut self, user: u32) -> Self {
        let own = |path: &Path| std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
        std::fs::create_dir_all(self.lab.state()).unwrap();
        own(&self.lab.state());
        own(&self.folder);
        own(&self.folder.join("response.json"));
        // The build's folder may lie where only root can go.
        let program = self.lab.folder().join("dyno");
        copy_program(&self.spec.driver, &program);
        self.spec.driver = program;
        self.user = Some(user);
        self
    }

    /// The lab it stands in.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The job's folder under the driver's own.
    pub fn job_folder(&self) -> PathBuf {
        self.lab.state().join("jobs").join(format!("dyno-{}", self.spec.response["id"]))
    }

    /// Calls `config`, `prepare` or `cleanup`.
    #[track_caller]
    pub fn call(&self, verb: &str) -> Output {
        self.command(verb, &[])
    }

    /// Calls `run` with a script as it is, without the runner's frame.
    #[track_caller]
    pub fn run(&self, script: &str, stage: &str) -> Output {
        let file = self.folder.join("script");
        std::fs::write(&file, script).unwrap();
        if let Some(user) = self.user {
            std::os::unix::fs::chown(&file, Some(user), Some(user)).unwrap();
        }
        self.command("run", &[file.as_path(), Path::new(stage)])
    }

    /// What the driver wrote down as the job's exit code.
    pub fn code(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.folder.join("build_exit_code")).ok()?;
        Some(text.trim().to_owned())
    }

    /// Calls `run` with a script and does not wait for its end; its output goes nowhere.
    pub fn begin(&self, script: &str, stage: &str) -> Child {
        let file = self.folder.join("script-of-another-call");
        std::fs::write(&file, script).unwrap();
        let mut command = self.prepared("run", &[file.as_path(), Path::new(stage)]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Calls a verb with the variables that `config` handed on.
    #[track_caller]
    pub fn call_with(&self, verb: &str, more: &serde_json::Map<String, Value>) -> Output {
        let mut command = self.prepared(verb, &[]);
        command.envs(more.iter().map(|(key, value)| (key, value.as_str().unwrap())));
        command.output().unwrap()
    }

    fn command(&self, verb: &str, more: &[&Path]) -> Output {
        self.prepared(verb, more).output().unwrap()
    }

    fn prepared(&self, verb: &str, more: &[&Path]) -> Command {
        let path = |name: &str| self.folder.join(name);
        let mut command = Command::new(&self.spec.driver);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
            .arg(verb)
            .args(&self.spec.arguments)
            .args(more)
            .env_clear()
            .envs(&self.spec.host)
            .env("TMPDIR", &self.folder)
            .env("JOB_RESPONSE_FILE", path("response.json"))
            .env("BUILD_EXIT_CODE_FILE", path("build_exit_code"))
            .env("BUILD_FAILURE_EXIT_CODE", self.spec.build_failure.to_string())
            .env("SYSTEM_FAILURE_EXIT_CODE", self.spec.system_failure.to_string())
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        command
    }
}
