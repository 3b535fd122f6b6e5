//! Containers: any image, its shell, its user, its entrypoint; services and what they are called.

use serde_json::json;

use crate::support::{Ending, Job, Place, Runner};

fn runner(image: &str) -> Runner {
    Place::Docker.runner().image(image)
}

fn with_service(runner: Runner, image: &str, alias: &str) -> Runner {
    runner.response(|response| {
        response["services"] = json!([{ "name": image, "alias": alias }]);
    })
}

/// Refused in prepare as the job's own fault; the log says each of the texts.
#[track_caller]
fn refused(job: &Job, told: &[&str]) {
    assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
    assert_eq!(job.stages().iter().filter(|stage| **stage == "prepare").count(), 1, "{}", job.log);
    for text in told {
        assert!(job.log.contains(text), "`{text}` is missing:\n{}", job.log);
    }
}

#[test]
fn every_posix_shell_runs_the_runners_scripts() {
    for image in ["dyno-test/bash:1", "dyno-test/busybox:1", "dyno-test/dash:1"] {
        let job = runner(image)
            .variable("GREETING", "it's \"hello\" $HOME `w` \\ ünder\nline two")
            .script([
                "printf '%s|\\n' \"$GREETING\"",
                "dyno --version && command -v kubectl",
                "echo 'quoted $\\x41'; cat <<E\nit's $((1 + 1))\nE",
                "(exit 6) || echo code $?",
            ])
            .after_script(["echo after"])
            .run();
        assert_eq!(job.ending, Ending::Success, "{image}\n{}", job.log);
        for text in [
            "it's \"hello\" $HOME `w` \\ ünder\nline two|\n",
            "\ndyno 0.",
            "/run/dyno/bin/kubectl\n",
            "it's 2\n",
            "code 6\n",
            "after\n",
        ] {
            assert!(job.log.contains(text), "{image}: `{text}`\n{}", job.log);
        }
    }
}

#[test]
fn an_images_own_user_and_environment_stay() {
    let job =
        runner("dyno-test/worker:1").script(["id -u; touch made; echo told > /dev/stderr"]).run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert!(job.log.contains("\n1234\ntold\n"), "{}", job.log);
    let job = runner("dyno-test/busybox:1").script(["echo image says $FROM_IMAGE"]).run();
    assert!(job.log.contains("\nimage says yes\n"), "{}", job.log);
}

#[test]
fn an_entrypoint_goes_before_the_script_and_what_it_started_stays() {
    let job = runner("dyno-test/entrypoint:1")
        .script(["echo entrypoint says $FROM_ENTRYPOINT"])
        .after_script(["ps | grep -c '[s]leep 987654'"])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert!(job.log.contains("\nentrypoint says yes\n"), "{}", job.log);
    assert!(job.log.contains("\n1\n"), "{}", job.log);
    let cleared = runner("dyno-test/entrypoint:1")
        .response(|response| response["image"]["entrypoint"] = json!([""]))
        .script(["echo entrypoint says ${FROM_ENTRYPOINT:-nothing}"])
        .run();
    assert!(cleared.log.contains("\nentrypoint says nothing\n"), "{}", cleared.log);
}

#[test]
fn images_that_can_run_no_script_are_the_jobs_own_fault() {
    let job = runner("dyno-test/talker:1").script(["true"]).run();
    refused(&job, &["dyno-test/talker:1", "I run nothing", "exec \"$@\""]);
    let job = runner("dyno-test/shellless:1").script(["true"]).run();
    refused(&job, &["dyno-test/shellless:1", "no shell"]);
    let job = runner("dyno-test/busybox:1")
        .response(|response| response["image"]["entrypoint"] = json!(["/no/such"]))
        .script(["true"])
        .run();
    refused(&job, &["/no/such", "entrypoint"]);
    let job = runner("dyno-test/nowhere:1").script(["true"]).run();
    refused(&job, &["dyno-test/nowhere:1", "never"]);
    let job = runner("Not an image").script(["true"]).run();
    refused(&job, &["Not an image"]);
}

#[test]
fn an_image_that_the_profile_does_not_name_is_refused() {
    let policy =
        Place::Docker.policy().replace("images: [\"**\"]", "images: [\"registry.example.com/**\"]");
    let lab = std::sync::Arc::new(crate::support::Lab::new());
    let job = Place::Docker.runner_of(&lab, &policy).script(["true"]).run();
    refused(&job, &["dyno-test/bash:1", "registry.example.com/**", "images"]);
}

#[test]
fn a_pull_policy_that_the_profile_does_not_allow_is_refused() {
    let job = runner("dyno-test/bash:1")
        .response(|response| response["image"]["pull_policy"] = json!(["always"]))
        .script(["true"])
        .run();
    refused(&job, &["always", "never", "pull_policy"]);
}

#[test]
fn a_service_is_reached_by_its_images_name_and_by_its_aliases() {
    let job = with_service(runner("dyno-test/busybox:1"), "dyno-test/echo:1", "db,database")
        .script(["for name in dyno-test__echo dyno-test-echo db database; do \
             echo hello $name | nc -w 1 $name 8080; done"])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    for name in ["dyno-test__echo", "dyno-test-echo", "db", "database"] {
        assert!(job.log.contains(&format!("\nhello {name}\n")), "{name}\n{}", job.log);
    }
    assert!(!job.log.contains("is not ready"), "{}", job.log);
}

#[test]
fn a_service_that_dies_or_never_listens_is_told_with_its_last_words() {
    let policy = Place::policy_with("pull: [never], wait-for-services: 2s");
    for (image, told) in [
        ("dyno-test/dead:1", &["ended with code 3", "no database here"][..]),
        ("dyno-test/silent:1", &["none of the ports that its image exposes is open"]),
    ] {
        let lab = std::sync::Arc::new(crate::support::Lab::new());
        let runner = Place::Docker.runner_of(&lab, &policy);
        let job = with_service(runner, image, "").script(["echo the job goes on"]).run();
        assert_eq!(job.ending, Ending::Success, "{}", job.log);
        for text in told.iter().copied().chain([image, "WARNING", "\nthe job goes on\n"]) {
            assert!(job.log.contains(text), "`{text}` is missing:\n{}", job.log);
        }
    }
}

#[test]
fn a_job_reaches_its_services_and_nothing_else() {
    let host = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = host.local_addr().unwrap().port();
    let job = with_service(runner("dyno-test/busybox:1"), "dyno-test/echo:1", "db")
        .script([
            "echo hello | nc -w 1 db 8080",
            "nc -w 1 192.0.2.1 80 </dev/null && echo reached || echo cut off",
            &format!("nc -w 1 127.0.0.1 {port} </dev/null && echo reached || echo cut off"),
            "ls /run/dyno/sockets; cat /proc/mounts | grep -c docker.sock || true",
        ])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert!(job.log.contains("\nhello\n"), "{}", job.log);
    assert_eq!(job.log.matches("\ncut off\n").count(), 2, "{}", job.log);
    assert!(!job.log.contains("\nreached\n"), "{}", job.log);
}

#[test]
fn a_daemon_that_is_away_is_the_platforms_fault() {
    let policy = Place::Docker
        .policy()
        .replace(&crate::support::setting("DYNO_TEST_DOCKER").unwrap(), "/nowhere/docker.sock");
    let lab = std::sync::Arc::new(crate::support::Lab::new());
    let job = Place::Docker.runner_of(&lab, &policy).script(["true"]).run();
    assert_eq!(job.ending, Ending::SystemFailure, "{}", job.log);
    assert!(job.log.contains("/nowhere/docker.sock") && job.log.contains("hint:"), "{}", job.log);
}
