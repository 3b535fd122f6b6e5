//! The runner's loop against the recorded exchanges, with a driver that is a small shell script.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::attempt::Around;
use super::*;
use crate::pipeline::build::{Build, Runner};
use crate::pipeline::response::{Artifact, Response, Step, Variable};

/// Behaves by the job's name, as the recorder did, and writes down its calls.
const DRIVER: &str = r#"#!/bin/bash
verb=$1; shift; stage=$verb; job=$CUSTOM_ENV_CI_JOB_NAME
if [ "$verb" = run ]; then script=${*: -2:1}; stage=${*: -1}; fi
finish() {
  local file=null; [ -e "$BUILD_EXIT_CODE_FILE" ] && file=\"$(cat "$BUILD_EXIT_CODE_FILE")\"
  echo "{\"stage\":\"$stage\",\"code\":$1,\"code_file\":$file}" >> "$RECORD"; exit "$1"
}
what="$job/$stage"
case $what in
  prepare_system/prepare|config_system/config|prepare_script_system/prepare_script) fault=2 ;;
  get_sources_system/get_sources|run_system/build_script) finish 2 ;;
  prepare_build/prepare) fault=1 ;;
  get_sources_build/get_sources|run_build_no_file/build_script|cleanup_fails/cleanup) finish 1 ;;
  prepare_seven/prepare) fault=7 ;;
  run_seven/build_script) finish 7 ;;
  config_not_json/config) echo not json; finish 0 ;;
esac
case $verb in
  config)
    [ -z "$fault" ] || finish "$fault"
    echo "{\"builds_dir\":\"$BUILDS\",\"cache_dir\":\"/cache\",\"hostname\":\"recorder-host\",\"driver\":{\"name\":\"recorder\",\"version\":\"v0\"},\"job_env\":{\"FROM_CONFIG\":\"yes\"}}"
    finish 0 ;;
  prepare)
    [ "$FROM_CONFIG" = yes ] || finish 9
    echo "recorder prepare: a line on stdout"; echo "recorder prepare: a line on stderr" >&2
    [ "$job" = slow_prepare ] && exec sleep 60
    finish "${fault:-0}" ;;
  run)
    [ -z "$fault" ] || finish "$fault"
    [ "$what" = stubborn/build_script ] && trap '' TERM
    trap : TERM; [ "$what" = stubborn/build_script ] && trap '' TERM
    bash "$script"; code=$?
    [ $code = 0 ] && finish 0
    echo $code > "$BUILD_EXIT_CODE_FILE"; finish 1 ;;
  cleanup) echo "a warning of cleanup" >&2; finish 0 ;;
esac
"#;

/// A console that acts when it sees a text: tests need not wait for anything else.
#[derive(Clone)]
struct Watching {
    text: &'static str,
    level: Level,
    interrupter: Interrupter,
    seen: Arc<Mutex<String>>,
}

impl Write for Watching {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut seen = self.seen.lock().unwrap();
        seen.push_str(&String::from_utf8_lossy(bytes));
        if !self.text.is_empty() && seen.contains(self.text) {
            self.interrupter.raise(self.level);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Ran {
    finished: Finished,
    calls: Vec<(String, Option<i64>, Option<String>)>,
    trace: String,
    console: String,
}

/// A job to run: its response and what interrupts it.
struct Case {
    response: Response,
    interrupt: (&'static str, Level),
}

fn case(name: &str, script: &[&str], after: &[&str]) -> Case {
    let mut response = Response { id: 50_001, ..Response::default() };
    response.job_info.name = name.to_owned();
    response.job_info.project_full_path = "group/project".to_owned();
    response.runner_info.timeout = 3600;
    response.variables =
        vec![Variable::public("CI_JOB_NAME", name), Variable::public("GIT_STRATEGY", "none")];
    for (name, script) in [("script", script), ("after_script", after)] {
        let script = script.iter().map(|line| (*line).to_owned()).collect();
        response.steps.push(Step { name: name.to_owned(), script, ..Step::default() });
    }
    Case { response, interrupt: ("", Level::Running) }
}

impl Case {
    fn variable(mut self, key: &str, value: &str) -> Self {
        self.response.variables.push(Variable::public(key, value));
        self
    }

    fn artifact(mut self, when: &str) -> Self {
        let artifact = Artifact {
            paths: vec!["x".to_owned()],
            when: when.to_owned(),
            artifact_type: "archive".to_owned(),
            artifact_format: "zip".to_owned(),
            ..Artifact::default()
        };
        self.response.artifacts = Some(vec![artifact]);
        self
    }

    fn interrupted(mut self, text: &'static str, level: Level) -> Self {
        self.interrupt = (text, level);
        self
    }

    fn run(self) -> Ran {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        runtime.block_on(self.run_in(folder.path()))
    }

    async fn run_in(self, folder: &Path) -> Ran {
        let program = folder.join("driver");
        std::fs::write(&program, DRIVER).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let record = folder.join("record");
        std::fs::write(&record, "").unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let environment: BTreeMap<String, String> = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("RECORD", text(&record)),
            ("BUILDS", text(&folder.join("builds"))),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        let (interrupter, interrupt) = Interrupter::new();
        let seen = Arc::new(Mutex::new(String::new()));
        let watching = Watching {
            text: self.interrupt.0,
            level: self.interrupt.1,
            interrupter,
            seen: Arc::clone(&seen),
        };
        let console = Console::new(Box::new(watching), false);
        let file = folder.join("trace");
        let trace = Trace::new("job", 0, console, Masker::new([]))
            .into_file(Some(std::fs::File::create(&file).unwrap()));
        let driver = Driver { program, arguments: vec!["--policy".to_owned(), "p".to_owned()] };
        let temp = folder.join("temp");
        std::fs::create_dir(&temp).unwrap();
        let around = Around {
            driver: &driver,
            timing: Timing {
                prepare_pause: Duration::from_millis(1),
                stage_pause: Duration::from_millis(1),
                graceful_kill: Duration::from_millis(
                    if self.response.job_info.name == "stubborn" { 50 } else { 30_000 },
                ),
                force_kill: Duration::from_secs(30),
            },
            interrupt: &interrupt,
            environment: &environment,
            folder: &temp,
        };
        let build = Build::new(self.response, Runner::default());
        let finished = Attempt::new(around, build, trace).run().await;
        assert_eq!(std::fs::read_dir(&temp).unwrap().count(), 0, "a folder stayed behind");
        let calls = calls(&std::fs::read_to_string(&record).unwrap(), None);
        let trace = std::fs::read_to_string(&file).unwrap();
        let console = seen.lock().unwrap().clone();
        Ran { finished, calls, trace, console }
    }
}

fn calls(text: &str, job: Option<&str>) -> Vec<(String, Option<i64>, Option<String>)> {
    text.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|call| job.is_none_or(|job| call["job"] == job))
        .map(|call| {
            let stage = call["stage"].as_str().unwrap().to_owned();
            (stage, call["code"].as_i64(), call["code_file"].as_str().map(str::to_owned))
        })
        .collect()
}

/// A trace without times, without the runner's own name, without what scripts print.
fn lines(trace: &str) -> Vec<String> {
    let number = regex::Regex::new(r"section_(start|end):\d+").unwrap();
    trace
        .lines()
        .map(|line| match line.split_once(' ') {
            Some((time, rest)) if time.ends_with('Z') => rest,
            _ => line,
        })
        .filter(|line| !line.starts_with("01"))
        .filter(|line| !line.contains("Running with") && !line.contains("  on stub-runner"))
        // stdout and stderr are separate pipes; their order is not kept.
        .filter(|line| !line.starts_with("00E"))
        .map(|line| number.replace_all(line, "section_$1:0").replace("in 1ms ...", "in 3s ..."))
        .collect()
}

macro_rules! recording {
    ($file:literal) => {
        include_str!(concat!("../../../tests/data/recordings/", $file))
    };
}

#[track_caller]
fn check(case: Case, recorded_calls: &str, recorded_trace: &str) -> Ran {
    let job = case.response.job_info.name.clone();
    let ran = case.run();
    assert_eq!(ran.calls, calls(recorded_calls, Some(&job)), "{job}: {}", ran.trace);
    assert_eq!(lines(&ran.trace), lines(recorded_trace), "{job}");
    ran
}

macro_rules! driver_failures {
    ($($name:ident: $trace:literal, $case:expr, $reason:literal, $code:expr;)*) => {$(
        #[test]
        fn $name() {
            let calls = recording!("driver_failures/calls.jsonl");
            let ran = check($case, calls, recording!($trace));
            assert_eq!((ran.finished.reason, ran.finished.exit_code), ($reason, $code));
        }
    )*};
}

driver_failures! {
    prepare_is_tried_three_times_on_a_system_failure: "driver_failures/prepare-system.trace",
        case("prepare_system", &["true"], &[]), "runner_system_failure", None;
    prepare_is_not_tried_again_on_a_build_failure: "driver_failures/prepare-build.trace",
        case("prepare_build", &["true"], &[]), "script_failure", Some(1);
    an_unknown_exit_code_counts_as_a_system_failure: "driver_failures/prepare-seven.trace",
        case("prepare_seven", &["true"], &[]), "runner_system_failure", None;
    config_is_tried_three_times_too: "driver_failures/config-system.trace",
        case("config_system", &["true"], &[]), "runner_system_failure", None;
    a_system_failure_of_the_script_is_followed_by_after_script: "driver_failures/run-system.trace",
        case("run_system", &["true"], &["true"]), "runner_system_failure", None;
    a_build_failure_without_a_code_is_one: "driver_failures/run-build-no-file.trace",
        case("run_build_no_file", &["true"], &[]), "script_failure", Some(1);
    an_unknown_exit_code_of_the_script_is_told: "driver_failures/run-seven.trace",
        case("run_seven", &["true"], &[]), "runner_system_failure", None;
    a_failed_prepare_script_is_followed_by_cleanup_only: "driver_failures/prepare-script-system.trace",
        case("prepare_script_system", &["true"], &[]), "runner_system_failure", None;
    get_sources_is_tried_again_after_clear_worktree: "driver_failures/get-sources-system.trace",
        case("get_sources_system", &["true"], &["true"]).variable("GET_SOURCES_ATTEMPTS", "2"),
        "runner_system_failure", None;
    a_failed_get_sources_is_not_followed_by_after_script: "driver_failures/get-sources-build.trace",
        case("get_sources_build", &["true"], &["true"]), "script_failure", Some(1);
    a_failed_cleanup_only_warns: "driver_failures/cleanup-fails.trace",
        case("cleanup_fails", &["true"], &[]), "", None;
}

#[test]
fn an_answer_that_is_no_json_is_a_failed_attempt() {
    let ran = case("config_not_json", &["true"], &[]).run();
    let recorded = recording!("driver_failures/calls.jsonl");
    assert_eq!(ran.calls, calls(recorded, Some("config_not_json")));
    assert_eq!(ran.trace.matches("Preparation failed: error while parsing JSON output").count(), 3);
    assert_eq!(ran.finished.reason, "runner_system_failure");
}

#[test]
fn before_after_and_exit_codes_are_as_recorded() {
    let recorded = recording!("before_after/calls.jsonl");
    let script = ["echo before_script; export FROM_BEFORE=1", "true"];
    check(
        case("after_fails", &script, &["exit 7"]),
        recorded,
        recording!("before_after/after-fails.trace"),
    );
    let ran = check(
        case("fails", &["false"], &["echo $CI_JOB_STATUS"]),
        recorded,
        recording!("before_after/fails.trace"),
    );
    assert!(ran.console.contains("\nfailed\n"), "{}", ran.console);
    let ran = check(
        case("fails_with_artifacts", &["exit 3"], &[]).artifact("on_failure"),
        recording!("artifacts/calls.jsonl"),
        recording!("artifacts/fails-with-artifacts.trace"),
    );
    assert_eq!(ran.finished.exit_code, Some(3));
}

const LONG: &[&str] = &["for i in $(seq 60); do echo tick $i; sleep 1; done"];

#[test]
fn a_cancelled_job_runs_after_script_and_says_so() {
    let after = ["echo \"after_script, status $CI_JOB_STATUS\""];
    let ran = check(
        case("long", LONG, &after).interrupted("tick 1\n", Level::Cancelled),
        recording!("cancel/calls.jsonl"),
        recording!("cancel/long.trace"),
    );
    assert_eq!(ran.finished.outcome, Outcome::Canceled);
    assert!(ran.console.contains("\nafter_script, status canceled\n"), "{}", ran.console);
}

#[test]
fn a_forced_job_is_followed_by_cleanup_only() {
    let ran = case("long", LONG, &["true"]).interrupted("tick 1\n", Level::Forced).run();
    assert_eq!(ran.calls, calls(recording!("cancel_hard/calls.jsonl"), None));
}

#[test]
fn a_prepare_that_is_cancelled_is_followed_by_cleanup_only() {
    let ran = case("slow_prepare", &["true"], &["true"])
        .interrupted("a line on stdout", Level::Cancelled)
        .run();
    let stages: Vec<&str> = ran.calls.iter().map(|(stage, ..)| stage.as_str()).collect();
    // The stopped prepare did not live to write itself down.
    assert_eq!(stages, ["config", "cleanup"]);
    assert_eq!(
        lines(&ran.trace).last(),
        lines(recording!("cancel_prepare/slow-prepare.trace")).last()
    );
}

#[test]
fn a_driver_that_ignores_sigterm_is_killed_and_after_script_still_runs() {
    let ran =
        case("stubborn", LONG, &["echo after"]).interrupted("tick 1\n", Level::Cancelled).run();
    let recorded = calls(recording!("cancel_stubborn/calls.jsonl"), None);
    let recorded: Vec<_> = recorded.into_iter().filter(|(_, code, _)| code.is_some()).collect();
    assert_eq!(ran.calls, recorded);
    assert_eq!(lines(&ran.trace), lines(recording!("cancel_stubborn/stubborn.trace")));
}

#[test]
fn a_job_timeout_is_followed_by_cleanup_only() {
    let mut case = case("slow", &["echo start; sleep 60"], &["true"]).artifact("always");
    case.response.runner_info.timeout = 1;
    let ran = case.run();
    assert_eq!(ran.calls, calls(recording!("timeout/calls.jsonl"), None));
    let recorded = lines(&recording!("timeout/slow.trace").replace("than 8s", "than 1s"));
    assert_eq!(lines(&ran.trace), recorded);
    assert_eq!(ran.finished.reason, "job_execution_timeout");
}

#[test]
fn a_script_timeout_lets_the_rest_run() {
    let ran = check(
        case("slow", &["echo start; sleep 60"], &["echo after_script $CI_JOB_STATUS"])
            .artifact("always")
            .variable("RUNNER_SCRIPT_TIMEOUT", "200ms"),
        recording!("script_timeout/calls.jsonl"),
        recording!("script_timeout/slow.trace"),
    );
    assert!(ran.console.contains("\nafter_script timedout\n"), "{}", ran.console);
}

#[test]
fn cleanups_warnings_are_shown_and_are_not_in_the_job_log() {
    let ran = case("any", &["true"], &[]).run();
    assert!(ran.console.contains("cleanup: a warning of cleanup"), "{}", ran.console);
    assert!(!ran.trace.contains("a warning of cleanup"));
}

#[test]
fn a_driver_that_cannot_start_is_a_system_failure() {
    let huge = "x".repeat(200 * 1024);
    let ran = case("any", &["true"], &[]).variable("HUGE", &huge).run();
    assert_eq!(ran.finished.reason, "runner_system_failure");
    assert!(ran.trace.contains("Argument list too long"), "{}", ran.trace);
}
