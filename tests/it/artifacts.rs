//! Git, cache and artifacts of a job without network: they reach GitLab, and nothing else does.

use std::process::Command;
use std::sync::Arc;

use serde_json::json;

use crate::support::{Ending, Lab, Place, Runner};

/// A bare repository with one commit on `main`; its id.
fn repository(lab: &Lab) -> String {
    let folder = lab.folder().join("project.git");
    let script = "git init -q -b main work && cd work && echo 'from git' > file && git add . &&
        git -c user.name=t -c user.email=t@example.com commit -qm first &&
        git clone -q --bare . \"$0\" && git rev-parse HEAD";
    let output = Command::new("bash")
        .args(["-euc", script])
        .arg(&folder)
        .current_dir(lab.folder())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    lab.gitlab().repository("group/project", folder);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn a_job_without_network_gets_its_sources_and_reaches_nothing_else(place: Place) {
    let lab = Arc::new(Lab::new());
    let sha = repository(&lab);
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string().replace(':', "/");
    let gitlab = lab.gitlab_url().replace("http://", "").replace(':', "/");
    let job = place
        .runner_in(&lab)
        .variable("GIT_STRATEGY", "fetch")
        .response(|response| {
            response["git_info"]["sha"] = json!(sha);
            response["git_info"]["refspecs"] = json!(["+refs/heads/main:refs/remotes/origin/main"]);
        })
        .script([
            "cat file",
            &format!("(exec 3<>/dev/tcp/{address}) 2>/dev/null && echo reached || echo cut off"),
            &format!("(exec 3<>/dev/tcp/{gitlab}) 2>/dev/null && echo reached || echo cut off"),
        ])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert!(job.log.contains("\nfrom git\n"), "{}", job.log);
    assert_eq!(job.log.matches("\ncut off\n").count(), 2, "{}", job.log);
}

fn with_report(runner: Runner, dotenv: &str) -> Runner {
    let write = format!("mkdir out && echo 1 > out/one && echo '{dotenv}' > build.env");
    runner
        .response(|response| {
            response["artifacts"] = json!([
                { "name": "results", "paths": ["out/"], "when": "always",
                  "artifact_type": "archive", "artifact_format": "zip" },
                { "name": ".env", "paths": ["build.env"], "when": "always",
                  "artifact_type": "dotenv", "artifact_format": "gzip" },
            ]);
        })
        .script([&write])
}

fn artifacts_go_up_with_the_runners_own_program(place: Place) {
    let (runner, lab) = with_report(place.runner(), "abc=failed").begin_as_process();
    let job = runner.end();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    let uploads = lab.gitlab().uploads();
    assert_eq!(
        uploads.iter().map(|upload| upload.kind.as_str()).collect::<Vec<_>>(),
        ["archive", "dotenv"]
    );
    assert_eq!(uploads[1].text(), "abc=failed\n");
}

fn artifacts_go_up_where_no_runner_program_is_to_be_had(place: Place) {
    let (job, lab) = with_report(place.runner(), "abc=failed").begin();
    let job = job.end();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    let dotenv = lab.gitlab().uploads().into_iter().find(|upload| upload.kind == "dotenv");
    assert_eq!(dotenv.map(|upload| upload.text()).as_deref(), Some("abc=failed\n"));
}

fn declared_artifacts_that_did_not_go_up_fail_the_job(place: Place) {
    // GitLab refuses a dotenv report with a comment in it.
    let job = with_report(place.runner(), "# a comment").run();
    assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
}

in_each_environment! {
    a_job_without_network_gets_its_sources_and_reaches_nothing_else,
    artifacts_go_up_with_the_runners_own_program,
    artifacts_go_up_where_no_runner_program_is_to_be_had,
    declared_artifacts_that_did_not_go_up_fail_the_job,
}
