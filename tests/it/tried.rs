//! `dyno try` on a laptop: which jobs run, and what is told of those that do not.

use std::sync::Arc;

use crate::support::{Lab, Try, policy};

fn lab() -> Arc<Lab> {
    Arc::new(Lab::new())
}

#[track_caller]
fn told(log: &str, expected: &[&str]) {
    for text in expected {
        assert!(log.contains(text), "`{text}` is missing:\n{log}");
    }
}

const GUARDED: &str = "\
stages: [build, approve, deploy]
build: { stage: build, script: echo built }
approve: { stage: approve, script: echo approved, rules: [{ when: manual }] }
deploy: { stage: deploy, script: echo it is deployed }
nightly: { stage: build, script: echo it is night, only: [schedules] }
clustered: { stage: build, script: echo it is clustered, only: { kubernetes: active } }
";

#[test]
fn what_waits_for_a_manual_job_or_is_not_due_does_not_run() {
    let tried = Try::on_a_laptop(&lab(), GUARDED).run();
    assert_eq!(tried.code, Some(0), "{}", tried.log);
    told(
        &tried.log,
        &[
            "built",
            "waits for manual job `approve`: name it and this job to run them",
            "asks for a cluster of the GitLab project: name it to run it",
            "pipeline waits for a manual job",
        ],
    );
    for not in ["it is deployed", "it is night", "it is clustered"] {
        assert!(!tried.log.contains(not), "`{not}`:\n{}", tried.log);
    }

    let named = Try::on_a_laptop(&lab(), GUARDED).jobs(&["approve", "deploy", "clustered"]).run();
    assert_eq!(named.code, Some(0), "{}", named.log);
    told(&named.log, &["approved", "it is deployed", "it is clustered", "pipeline passed"]);
}

#[test]
fn a_refusal_on_a_laptop_says_what_its_user_can_do() {
    let tried = Try::on_a_laptop(&lab(), "a: { script: kubectl get pods }\n").run();
    assert_eq!(tried.code, Some(1), "{}", tried.log);
    told(&tried.log, &["set KUBECONFIG for a cluster `default`, or give `--policy FILE`"]);
    assert!(!tried.log.contains("dyno-try-"), "{}", tried.log);
}

#[test]
fn a_refusal_names_the_users_own_policy_and_the_whole_question() {
    let lab = lab();
    let pipeline = "a: { tags: [Dedicated], script: kubectl get pods }\n\
                    b: { tags: [\"Two words\"], script: \"true\" }\n";
    let tried = Try::new(&lab, &policy("recipes: [kubectl]"), pipeline).run();
    let file = lab.folder().join("dyno.yaml");
    let file = file.display();
    told(
        &tried.log,
        &[
            &format!("ask the platform team to change profiles[0].clusters in {file}"),
            &format!(
                "`dyno explain --policy {file} --tags 'Two words' --project group/project \
                 --protected`"
            ),
        ],
    );
    assert!(!tried.log.contains("dyno-try-"), "{}", tried.log);
}

#[test]
fn a_submodule_with_a_relative_url_is_fetched_from_beside_the_project() {
    let lab = lab();
    let pipeline = "variables: { GIT_SUBMODULE_STRATEGY: normal }\n\
                    a: { script: cat lib/greeting }\n";
    let tried = Try::on_a_laptop(&lab, pipeline).project("group/project");
    let prepare = "git init -q -b main lib && cd lib && echo hello from the library > greeting
        git add . && git -c user.name=t -c user.email=t@example.com commit -qm lib && cd ../project
        git init -q -b main && git -c protocol.file.allow=always submodule -q add ../lib lib
        git config -f .gitmodules submodule.lib.url ../lib.git";
    let status = std::process::Command::new("bash")
        .args(["-ec", prepare])
        .current_dir(lab.folder())
        .env("HOME", lab.folder())
        .status();
    assert!(status.unwrap().success());
    let tried = tried.run();
    assert_eq!(tried.code, Some(0), "{}", tried.log);
    told(&tried.log, &["hello from the library"]);
}

#[test]
fn git_settings_that_a_runner_refuses_fail_the_job_with_their_name() {
    for (key, value, expected) in [
        ("GIT_STRATEGY", "pull", "unknown GIT_STRATEGY pull"),
        ("GIT_CLONE_PATH", "/x", "setting GIT_CLONE_PATH is not allowed"),
    ] {
        let tried =
            Try::on_a_laptop(&lab(), "a: { script: echo it ran }\n").variable(key, value).run();
        assert_eq!(tried.code, Some(1), "{}", tried.log);
        told(&tried.log, &[expected]);
        assert!(!tried.log.contains("it ran"), "{}", tried.log);
    }
}
