//! The generated scripts against the recorded logs and the documented example.

use std::path::Path;
use std::process::{Command, Stdio};

use super::*;
use crate::pipeline::build::{Answer, Runner};
use crate::pipeline::response::{Response, Step, Variable};

macro_rules! recording {
    ($file:literal) => {
        include_str!(concat!("../../../tests/data/recordings/", $file))
    };
}

fn build(response: &str, builds: &str) -> Build {
    let response: Response = serde_json::from_str(response).unwrap();
    let runner = Runner { short_token: "stubrunne".to_owned(), ..Runner::default() };
    let mut build = Build::new(response, runner);
    build.apply(&Answer {
        builds_dir: Some(builds.to_owned()),
        cache_dir: Some("/cache".to_owned()),
        hostname: Some("recorder-host".to_owned()),
        ..Answer::default()
    });
    build
}

/// Runs a script with bash and nothing else in its environment; returns output and exit code.
fn bash(script: &str) -> (String, i32) {
    let mut child = Command::new("bash")
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code().unwrap())
}

/// The `01O` lines of one section of a trace.
fn recorded_lines(trace: &str, section: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    for line in trace.split('\n') {
        if line.contains(&format!("section_start:1704164645:{section}\r")) {
            inside = true;
        } else if line.contains(&format!("section_end:1704164645:{section}\r")) {
            inside = false;
        } else if let Some(text) = line.strip_prefix("01O ")
            && inside
        {
            out.push_str(text);
            out.push('\n');
        }
    }
    out
}

#[track_caller]
fn check_output(response: &str, trace: &str, status: Status, stages: &[(Stage, i32)]) {
    let folder = tempfile::tempdir().unwrap();
    let builds = folder.path().to_str().unwrap();
    let mut build = build(response, builds);
    std::fs::create_dir_all(Path::new(&build.project_dir())).unwrap();
    for &(stage, code) in stages {
        if stage == Stage::AfterScript {
            build.status = status;
        }
        let (output, ended) = bash(&generate(stage, &build).unwrap());
        let output = output.replace(builds, "/builds");
        assert_eq!(output, recorded_lines(trace, stage.section()));
        assert_eq!(ended, code);
    }
}

use crate::pipeline::build::Status;

#[test]
fn quoting_survives_the_recorded_script() {
    check_output(
        recording!("quotes/quotes.response.json"),
        recording!("quotes/quotes.trace"),
        Status::Failed,
        &[(Stage::BuildScript, 5)],
    );
}

#[test]
fn before_script_script_and_after_script_print_what_was_recorded() {
    check_output(
        recording!("before_after/passes.response.json"),
        recording!("before_after/passes.trace"),
        Status::Success,
        &[(Stage::BuildScript, 0), (Stage::AfterScript, 0)],
    );
    check_output(
        recording!("before_after/after_fails.response.json"),
        recording!("before_after/after-fails.trace"),
        Status::Success,
        &[(Stage::BuildScript, 0), (Stage::AfterScript, 7)],
    );
}

#[test]
fn what_a_job_writes_to_gitlab_env_is_there_in_its_next_script() {
    let response = r#"{"id": 7, "job_info": {"project_full_path": "g/p"}, "steps": [
        {"name": "script", "script": ["echo \"FROM_ENV=hello there\" >> $GITLAB_ENV"]},
        {"name": "after_script", "script": ["echo \"[$FROM_ENV]\""]}]}"#;
    let folder = tempfile::tempdir().unwrap();
    let build = build(response, folder.path().to_str().unwrap());
    std::fs::create_dir_all(build.project_dir()).unwrap();
    assert_eq!(bash(&generate(Stage::BuildScript, &build).unwrap()).1, 0);
    let (output, _) = bash(&generate(Stage::AfterScript, &build).unwrap());
    assert!(output.ends_with("\n[hello there]\n"), "{output}");
}

/// The script without the runner's own exports.
fn short(script: &str) -> String {
    let own = ["FF_", "CI_", "RUNNER_"];
    let (head, body) = script.split_once("eval $'").unwrap();
    let lines = body
        .split("\\n")
        .filter(|line| !own.iter().any(|prefix| line.starts_with(&format!("export {prefix}"))));
    format!("{head}eval $'{}", lines.collect::<Vec<_>>().join("\\n"))
}

fn example() -> Build {
    let mut response = Response::default();
    response.job_info.project_full_path = "g/p".to_owned();
    response.variables = vec![Variable::public("GREETING", "hello world")];
    response.steps = vec![Step {
        name: "script".to_owned(),
        script: vec!["make test".to_owned()],
        ..Step::default()
    }];
    let mut build = Build::new(response, Runner::default());
    build.apply(&Answer { builds_dir: Some("/b".to_owned()), ..Answer::default() });
    build
}

#[test]
fn the_documented_example_is_generated_letter_by_letter() {
    let script = short(&generate(Stage::BuildScript, &example()).unwrap());
    let expected = r#"#!/usr/bin/env bash

trap 'exit 1' TERM

case "$(set -o)" in *"pipefail"*) set -o pipefail;; esac; set -o errexit
set +o noclobber
(trap 'exit 1' TERM; eval $'export GREETING=$\'hello world\'\nexport GITLAB_ENV=/b/g/p.tmp/gitlab_runner_env\nmkdir -p "/b/g/p.tmp"\ntouch "/b/g/p.tmp/gitlab_runner_env"\nwhile read -r line; do export "$line"; done < "/b/g/p.tmp/gitlab_runner_env"\ncd /b/g/p\necho $\'\\x1b[32;1m$ make test\\x1b[0;m\'\nmake test\n') < /dev/null
exit 0
"#;
    assert_eq!(script, expected);
}

#[test]
fn an_empty_stage_is_not_called() {
    let build = example();
    for stage in [
        Stage::RestoreCache,
        Stage::DownloadArtifacts,
        Stage::AfterScript,
        Stage::ArchiveCache(Passed::Yes),
        Stage::UploadArtifacts(Passed::No),
    ] {
        assert!(generate(stage, &build).is_none(), "{stage:?}");
    }
}

#[test]
fn helper_calls_have_the_documented_shapes() {
    let build = build(recording!("artifacts/build.response.json"), "/builds");
    let text = |stage| generate(stage, &build).unwrap().replace("\\'", "'");
    let upload = text(Stage::UploadArtifacts(Passed::Yes));
    for line in [
        "if gitlab-runner --version >/dev/null 2>&1 ; then",
        "gitlab-runner artifacts-uploader --url $'http://127.0.0.1:8929' --token JOB-TOKEN-50001 \
         --id 50001 --timeout 1h0m0s --response-header-timeout 10m0s --path out/ --name results \
         --expire-in $'1 week' --artifact-format zip --artifact-type archive",
        "--path build.env --name .env --artifact-format gzip --artifact-type dotenv",
        "--path junit.xml --name junit.xml --artifact-format gzip --artifact-type junit",
    ] {
        assert!(upload.contains(line), "{line}\n{upload}");
    }
    assert!(text(Stage::RestoreCache).contains(
        "gitlab-runner cache-extractor --file ../../../cache/group/project/deps-protected/\
         cache.zip --timeout 10"
    ));
    let archive = text(Stage::ArchiveCache(Passed::Yes));
    assert!(archive.contains("--alternate-file ../../../cache/group/project/"), "{archive}");
    assert!(archive.contains(
        "--timeout 10 --path cached/ --env-file /builds/group/project.tmp/gitlab_runner_cache_env"
    ));
}

#[test]
fn a_pull_cache_is_not_archived_but_the_stage_says_so() {
    let build = build(recording!("artifacts/use.response.json"), "/builds");
    let script = generate(Stage::ArchiveCache(Passed::Yes), &build).unwrap();
    assert!(script.contains("Not uploading cache deps-protected due to policy"));
    assert!(!script.contains("cache-archiver"));
    let script = generate(Stage::DownloadArtifacts, &build).unwrap();
    assert!(script.contains("Downloading artifacts for build (50001)..."));
    assert!(script.contains("artifacts-downloader"));
    assert!(script.contains("--token JOB-TOKEN-50001 --id 50001"));
}
