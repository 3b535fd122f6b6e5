//! Which job may do what: decided by the policy, the runner entry and GitLab, never by the job.

use crate::support::{Cluster, Ending, Runner, Station, policy, write_plan};

#[test]
fn every_mistake_in_a_policy_is_told_at_once_with_file_line_and_key() {
    let text = "\
state: STATE
profiles:
  - name: performance
    match: { tags: [Dedicated], projects: [\"group/*\"], refs: any }
    environment: { sandbox: { netwrok: none } }
  - name: performance
    match: { tags: [Other], projects: [\"group/*\"], refs: sometimes }
    load: { targets: [\"http://shop\"] }
";
    let job = Runner::new(text).script(["true"]).run();
    assert_eq!(job.ending, Ending::SystemFailure, "{}", job.log);
    for told in ["dyno.yaml:5:", "netwrok", "dyno.yaml:7:", "sometimes", "http://shop"] {
        assert!(job.log.contains(told), "`{told}` is missing:\n{}", job.log);
    }
}

#[test]
fn a_policy_that_is_not_there_is_the_platforms_fault() {
    let job = Runner::new(&policy(""))
        .runner(|runner| "/nowhere/dyno.yaml".clone_into(&mut runner.arguments[1]))
        .script(["true"])
        .run();
    assert_eq!(job.ending, Ending::SystemFailure, "{}", job.log);
    assert!(job.log.contains("/nowhere/dyno.yaml"), "{}", job.log);
}

#[test]
fn a_job_without_a_profile_is_refused_naming_each_and_why_not() {
    let job = Runner::new(&policy("")).tags("cluster,production").script(["true"]).run();
    assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
    for told in ["`performance`", "`Dedicated`", "`cluster`", "group/project"] {
        assert!(job.log.contains(told), "`{told}` is missing:\n{}", job.log);
    }
}

#[test]
fn a_job_of_another_project_is_refused() {
    let job = Runner::new(&policy(""))
        .seat(|seat| "stranger/project".clone_into(&mut seat.project_path))
        .variable("CI_PROJECT_PATH", "group/project")
        .script(["true"])
        .run();
    assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
    assert!(job.log.contains("stranger/project"), "{}", job.log);
}

#[test]
fn two_profiles_that_would_take_the_same_job_are_a_mistake_of_the_policy() {
    let once = policy("");
    let at = once.find("  - name").unwrap();
    let twice = once.clone() + &once[at..].replace("performance", "another");
    let job = Runner::new(&twice).script(["true"]).run();
    assert_eq!(job.ending, Ending::SystemFailure, "{}", job.log);
    assert!(job.log.contains("`performance` and `another`"), "{}", job.log);
}

#[test]
fn a_protected_profile_takes_gitlabs_word_and_no_variables() {
    let protected = policy("").replace("refs: any", "refs: protected");
    let forged = |is_protected: bool| {
        Runner::new(&protected)
            .response(|response| response["git_info"]["protected"] = is_protected.into())
            .variable("CI_COMMIT_REF_PROTECTED", "true")
            .variable("CI_RUNNER_TAGS", "[\"Dedicated\"]")
            .script(["true"])
            .run()
    };
    assert_eq!(forged(true).ending, Ending::Success);
    let job = forged(false);
    assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
    assert!(job.log.contains("protected refs"), "{}", job.log);
}

#[test]
fn an_image_without_a_recipe_is_refused_and_told() {
    let job = Runner::new(&policy("recipes: [kubectl]")).image("debian:12").script(["true"]).run();
    assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
    assert!(job.log.contains("debian:12") && job.log.contains("recipe"), "{}", job.log);
    let job =
        Runner::new(&policy("recipes: [kubectl]")).image("bitnami/kubectl").script(["true"]).run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
}

#[test]
fn a_secret_that_others_can_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let station = Station::new(0.5);
    let file = station.lab.folder().join("wavefront.token");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let job = station.runner().script([&write_plan("mean < 1"), "dyno gate plan.yaml"]).run();
    assert_eq!(job.ending, Ending::SystemFailure, "{}", job.log);
    assert!(job.log.contains("wavefront.token") && job.log.contains("chmod 600"), "{}", job.log);
}

#[test]
fn the_login_that_names_a_namespace_comes_from_gitlab_and_not_from_the_job() {
    let mine = Cluster::new("mine");
    let theirs = Cluster::new("theirs");
    let station = Station::new(0.5).with_cluster(&mine, "acme", "{{ user.login }}");
    let job = station
        .deploy_runner()
        .seat(|seat| mine.namespace.clone_into(&mut seat.login))
        .variable("GITLAB_USER_LOGIN", &theirs.namespace)
        .script([
            &format!("kubectl create namespace {}", mine.namespace),
            "kubectl create namespace $GITLAB_USER_LOGIN",
        ])
        .run();
    assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
    let made = |cluster: &Cluster| mine.kubectl(["get", "namespaces"]).contains(&cluster.namespace);
    assert!(made(&mine) && !made(&theirs), "{}", job.log);
    assert!(job.log.contains(&theirs.namespace) && job.log.contains("profiles["), "{}", job.log);
}
