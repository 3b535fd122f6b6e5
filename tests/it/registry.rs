//! Images from a registry: logins and whose comes first, pull policies, and every way a pull can fail.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::support::registry::{PASSWORD, Refusal, Registry, USER, credential_helper};
use crate::support::{Ending, Job, Lab, Place, Runner};

const ALWAYS: &str = "pull: [always]";

/// A job of an image, under a policy with these keys for containers.
fn job(lab: &Arc<Lab>, keys: &str, image: &str) -> Runner {
    let runner = Place::Docker.runner_of(lab, &Place::policy_with(keys));
    runner.image(image).script(["echo it ran"])
}

fn lab() -> Arc<Lab> {
    Arc::new(Lab::new())
}

#[track_caller]
fn ran(job: &Job) {
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert!(job.log.contains("\nit ran\n"), "{}", job.log);
}

/// The job's own fault, told once, with nothing left.
#[track_caller]
fn refused(lab: &Lab, job: &Job, told: &[&str]) {
    assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
    assert_eq!(job.stages(), ["config", "prepare", "cleanup"], "{}", job.log);
    for text in told.iter().copied().chain(["hint: "]) {
        assert!(job.log.contains(text), "`{text}` is missing:\n{}", job.log);
    }
    assert!(Place::Docker.has_no_job_left(lab));
}

#[test]
fn an_image_comes_from_a_registry_that_wants_no_login() {
    let registry = Registry::open();
    let image = registry.push("dyno-test/bash:1", "tools/bash:1");
    let lab = lab();
    ran(&job(&lab, ALWAYS, &image).run());
    // It is here now; a tag that is not there is not.
    refused(
        &lab,
        &job(&lab, ALWAYS, &format!("{}/tools/bash:2", registry.host())).run(),
        &["manifest unknown", "check the name and tag in .gitlab-ci.yml"],
    );
    let nowhere = format!("{}/tools/nowhere:1", registry.host());
    refused(&lab, &job(&lab, ALWAYS, &nowhere).run(), &[&nowhere, "manifest"]);
    registry.forget(&image);
}

#[test]
fn a_login_comes_from_the_job_the_policy_or_gitlab() {
    let registry = Registry::guarded();
    let image = registry.push("dyno-test/bash:1", "tools/bash:1");
    let lab = lab();
    let hint = format!("the login for `{}`", registry.host());
    refused(&lab, &job(&lab, ALWAYS, &image).run(), &["no basic auth credentials", &hint]);

    let right = registry.config(USER, PASSWORD);
    ran(&job(&lab, ALWAYS, &image).variable("DOCKER_AUTH_CONFIG", &right).run());

    let file = lab.secret("docker.json", &right);
    let with_file = format!("{ALWAYS}, auth-file: {}", file.display());
    ran(&job(&lab, &with_file, &image).run());

    let of_gitlab = json!([{ "type": "registry", "url": registry.host(),
                             "username": USER, "password": PASSWORD }]);
    let runner = job(&lab, ALWAYS, &image);
    ran(&runner.response(|response| response["credentials"] = of_gitlab).run());
    registry.forget(&image);
}

#[test]
fn the_jobs_own_login_goes_before_the_policys_and_that_before_gitlabs() {
    let registry = Registry::guarded();
    let image = registry.push("dyno-test/bash:1", "tools/bash:1");
    let (right, wrong) = (registry.config(USER, PASSWORD), registry.config(USER, "wrong"));
    let lab = lab();
    let right_file = lab.secret("right.json", &right).display().to_string();
    let wrong_file = lab.secret("wrong.json", &wrong).display().to_string();
    let keys = |file: &str| format!("{ALWAYS}, auth-file: {file}");
    let told = ["unauthorized", "DOCKER_AUTH_CONFIG"];

    let job_wrong = job(&lab, &keys(&right_file), &image).variable("DOCKER_AUTH_CONFIG", &wrong);
    refused(&lab, &job_wrong.run(), &told);
    let job_right = job(&lab, &keys(&wrong_file), &image).variable("DOCKER_AUTH_CONFIG", &right);
    ran(&job_right.run());
    // A login for another registry is no login for this one.
    let other = json!({ "auths": { "127.0.0.1:1": { "username": USER, "password": "x" } } });
    let job_other =
        job(&lab, &keys(&right_file), &image).variable("DOCKER_AUTH_CONFIG", &other.to_string());
    ran(&job_other.run());
    let of_gitlab = json!([{ "type": "registry", "url": registry.host(),
                             "username": USER, "password": PASSWORD }]);
    let policy_wrong = job(&lab, &keys(&wrong_file), &image)
        .response(|response| response["credentials"] = of_gitlab);
    refused(&lab, &policy_wrong.run(), &["unauthorized", "the platform's"]);
    registry.forget(&image);
}

#[test]
fn a_password_that_a_job_hands_over_is_nowhere_in_its_log_or_its_containers() {
    let registry = Registry::guarded();
    let image = registry.push("dyno-test/bash:1", "tools/bash:1");
    let lab = lab();
    let file = lab.secret("docker.json", &registry.config(USER, PASSWORD));
    let keys = format!("{ALWAYS}, auth-file: {}", file.display());
    let runner = Place::Docker.runner_of(&lab, &Place::policy_with(&keys)).image(&image);
    let job = runner.script([
        "env; cat /proc/*/environ /root/.docker/* 2>/dev/null || true; echo; echo it ran",
    ]);
    let job = job.run();
    ran(&job);
    assert!(!job.log.contains(PASSWORD), "{}", job.log);
    registry.forget(&image);
}

#[test]
fn a_helper_that_a_job_names_is_never_run() {
    let registry = Registry::guarded();
    let image = registry.push("dyno-test/bash:1", "tools/bash:1");
    let lab = lab();
    let (folder, mark) = credential_helper(lab.folder());
    let names = json!({ "auths": { registry.host(): {} }, "credsStore": "evil",
                        "credHelpers": { registry.host(): "evil" } });
    let runner = job(&lab, ALWAYS, &image)
        .host("PATH", &format!("{folder}:/usr/local/bin:/usr/bin:/bin"))
        .variable("DOCKER_AUTH_CONFIG", &names.to_string());
    refused(&lab, &runner.run(), &["no basic auth credentials"]);
    assert!(!Path::new(&mark).exists(), "the helper was run");
}

#[test]
fn logins_in_another_grammar_are_told() {
    let lab = lab();
    for (text, told) in [
        ("{ auths: }", "not in the grammar of Docker's config.json"),
        (r#"{ "auths": { "r.example.com": { "auth": "!" } } }"#, "`auth` of `r.example.com`"),
    ] {
        let job = job(&lab, ALWAYS, "r.example.com/a:1").variable("DOCKER_AUTH_CONFIG", text).run();
        refused(&lab, &job, &[told, "mend the variable DOCKER_AUTH_CONFIG"]);
    }
    let open = lab.file("open.json", "{}");
    let keys = format!("{ALWAYS}, auth-file: {}", open.display());
    let job = job(&lab, &keys, "dyno-test/bash:1").run();
    assert_eq!(job.ending, Ending::SystemFailure, "{}", job.log);
    assert!(job.log.contains("open.json` is open to others"), "{}", job.log);
}

#[test]
fn a_registry_that_denies_is_asked_once() {
    let registry = Refusal::start(403, "DENIED");
    let lab = lab();
    let image = format!("{}/secret/tool:1", registry.host());
    refused(&lab, &job(&lab, ALWAYS, &image).run(), &["denied", &image, "DOCKER_AUTH_CONFIG"]);
    // By HEAD, then by GET.
    assert!(registry.n_asked() <= 2, "what is denied is not asked again");
}

#[test]
fn a_registry_in_trouble_is_asked_three_times_and_is_the_platforms_fault() {
    let registry = Refusal::start(503, "UNAVAILABLE");
    let lab = lab();
    let image = format!("{}/tools/bash:1", registry.host());
    let verbs = job(&lab, ALWAYS, &image).by_hand();
    let output = verbs.call("prepare");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(registry.n_asked() >= 3, "{}", registry.n_asked());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("cannot pull image") && told.contains("503"), "{told}");
    assert!(Place::Docker.has_no_job_left(&lab));
}

#[test]
fn a_registry_that_is_away_is_the_platforms_fault_and_the_next_policy_is_tried() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lab = lab();
    let image = format!("{closed}/tools/bash:1");
    let output = job(&lab, ALWAYS, &image).by_hand().call("prepare");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("connection refused") && told.contains("hint: "), "{told}");

    let registry = Registry::open();
    let here = registry.push("dyno-test/bash:1", "tools/bash:1");
    registry.pull(&here);
    drop(registry);
    // Gone with its registry: what is here already is used, where the policy says so.
    let fallen_back = job(&lab, "pull: [always, if-not-present]", &here).run();
    ran(&fallen_back);
    crate::support::docker(&["rmi", &here]);
}

#[test]
fn who_may_not_pull_does_not_get_what_is_here_already() {
    let registry = Registry::guarded();
    let image = registry.push("dyno-test/bash:1", "tools/bash:1");
    registry.pull(&image);
    let lab = lab();
    refused(&lab, &job(&lab, ALWAYS, &image).run(), &["no basic auth credentials"]);
    ran(&job(&lab, "pull: [if-not-present]", &image).run());
    registry.forget(&image);
}

#[test]
fn a_jobs_own_order_of_policies_is_held_to_the_profiles() {
    let registry = Registry::open();
    let image = registry.push("dyno-test/bash:1", "tools/bash:1");
    let lab = lab();
    let asking = |keys: &str, policies: &[&str]| {
        let policies = json!(policies);
        let runner = job(&lab, keys, &image);
        runner.response(|response| response["image"]["pull_policy"] = policies).run()
    };
    let all = "pull: [always, if-not-present, never]";
    refused(&lab, &asking(all, &["never"]), &["not on this host", "never"]);
    refused(&lab, &asking("pull: [never]", &["always"]), &["is not allowed here (never)"]);
    // Of what it asks for, only `never` is allowed.
    refused(&lab, &asking("pull: [never]", &["always", "never"]), &["not on this host"]);
    ran(&asking(all, &["never", "if-not-present"]));
    registry.forget(&image);
}

#[test]
fn a_services_image_is_pulled_with_the_same_logins() {
    let registry = Registry::guarded();
    let image = registry.push("dyno-test/echo:1", "services/echo:1");
    let lab = lab();
    let keys = "pull: [if-not-present]";
    let run = |config: &str| {
        let runner = Place::Docker.runner_of(&lab, &Place::policy_with(keys));
        runner
            .image("dyno-test/busybox:1")
            .variable("DOCKER_AUTH_CONFIG", config)
            .response(|response| {
                response["services"] = json!([{ "name": image, "alias": "db" }]);
            })
            .script(["echo it ran | nc -w 1 db 8080"])
            .run()
    };
    refused(&lab, &run(&registry.config(USER, "wrong")), &["unauthorized", &image]);
    ran(&run(&registry.config(USER, PASSWORD)));
    registry.forget(&image);
}

#[test]
fn an_image_for_another_platform_is_told() {
    let registry = Registry::open();
    let image = registry.push("dyno-test/bash:1", "tools/bash:1");
    let lab = lab();
    let on = |platform: &str| {
        let runner = job(&lab, "pull: [if-not-present]", &image);
        let set = json!(platform);
        runner.response(|response| response["image"]["executor_opts"]["docker"]["platform"] = set)
    };
    refused(&lab, &on("linux/riscv64").run(), &["platform", "riscv64"]);
    refused(&lab, &on("not a platform").run(), &["platform"]);
    ran(&on("linux/amd64").run());
    registry.forget(&image);
}
