//! The custom executor's contract: what each verb answers, which exit class and code GitLab sees.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Ending, Exit, Lab, Place, Runner, Stop, policy};

fn config_names_the_driver_and_a_build_directory_of_the_jobs_own(place: Place) {
    let job = place.runner().script(["true"]).run();
    let answer: Value = serde_json::from_str(&job.call("config").stdout).unwrap();
    assert_eq!(answer["driver"]["name"], "dyno");
    assert_eq!(answer["driver"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(answer["builds_dir"], "/builds");
    assert_eq!(answer["builds_dir_is_shared"], false);
    assert!(answer["cache_dir"].as_str().is_some_and(|folder| folder.starts_with('/')));
    assert!(job.log.contains("Using Custom executor with driver dyno"), "{}", job.log);
}

fn a_job_goes_through_its_stages_and_is_green(place: Place) {
    let job = place
        .runner()
        .script(["echo \"here: $PWD\"", "touch made && ls"])
        .after_script(["echo after, status $CI_JOB_STATUS"])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert_eq!(
        job.stages(),
        [
            "config",
            "prepare",
            "prepare_script",
            "get_sources",
            "build_script",
            "after_script",
            "cleanup_file_variables",
            "cleanup"
        ]
    );
    assert!(job.log.contains("here: /builds/group/project\n"), "{}", job.log);
    assert!(job.log.contains("\nmade\n"), "{}", job.log);
    assert!(job.log.contains("after, status success"), "{}", job.log);
}

fn old_new_and_unknown_stage_names_run_the_script(place: Place) {
    for name in ["build_script", "step_script", "never_heard_of"] {
        let job = place
            .runner()
            .runner(|runner| name.clone_into(&mut runner.script_stage))
            .script(["echo ran under $CI_JOB_NAME"])
            .step("release", &["echo released"])
            .run();
        assert_eq!(job.ending, Ending::Success, "{name}\n{}", job.log);
        assert!(job.log.contains("ran under passes"), "{name}\n{}", job.log);
        assert!(job.log.contains("\nreleased\n"), "{name}\n{}", job.log);
    }
}

fn the_scripts_own_exit_code_reaches_gitlab(place: Place) {
    let job = place.runner().script(["echo before", "exit 42", "echo never"]).run();
    assert_eq!(
        (job.ending.clone(), job.exit_code),
        (Ending::ScriptFailure, Some(42)),
        "{}",
        job.log
    );
    assert_eq!(job.call("build_script").exit, Exit::Code(1));
    assert!(!job.log.contains("\nnever"), "{}", job.log);
}

fn the_first_failing_command_ends_the_script_also_inside_a_line_and_a_pipe(place: Place) {
    for (line, code) in
        [("true; (exit 5); echo no", 5), ("(exit 6) | cat", 6), ("kill -9 $BASHPID", 137)]
    {
        let job = place.runner().script([line, "echo never"]).run();
        assert_eq!(job.exit_code, Some(code), "{line}\n{}", job.log);
    }
}

fn the_code_file_is_written_anew_before_every_failure(place: Place) {
    let job = place.runner().script(["exit 42"]).after_script(["exit 7"]).run();
    assert_eq!(job.exit_code, Some(42), "{}", job.log);
    assert_eq!(job.call("build_script").code_file.as_deref().map(str::trim), Some("42"));
    assert_eq!(job.call("after_script").code_file.as_deref().map(str::trim), Some("7"));
    let told = "WARNING: after_script failed, but job will continue unaffected: exit status 7";
    assert!(job.log.contains(told), "{}", job.log);
}

#[test]
fn the_two_exit_codes_are_read_from_the_environment() {
    let odd = |runner: Runner| {
        runner.runner(|runner| (runner.build_failure, runner.system_failure) = (77, 78))
    };
    let job = odd(Runner::new(&policy(""))).script(["exit 42"]).run();
    assert_eq!(job.call("build_script").exit, Exit::Code(77));
    assert_eq!((job.ending, job.exit_code), (Ending::ScriptFailure, Some(42)));
    let job = odd(Runner::new("profiles: [")).script(["true"]).run();
    assert_eq!(job.call("config").exit, Exit::Code(78), "{}", job.log);
    assert_eq!(job.ending, Ending::SystemFailure);
}

fn a_platform_fault_in_prepare_is_tried_three_times_with_cleanup_after_each(place: Place) {
    let lab = Arc::new(Lab::new());
    // The driver's own folder cannot be made: a file stands in its place.
    lab.file("state", "in the way");
    let job = place.runner_in(&lab).script(["true"]).run();
    assert_eq!(job.ending, Ending::SystemFailure, "{}", job.log);
    assert_eq!(job.stages(), ["config", "prepare", "cleanup"].repeat(3));
    assert!(job.log.contains("state"), "the log names the folder:\n{}", job.log);
}

#[test]
fn the_jobs_own_fault_in_prepare_is_not_tried_again() {
    let job = Runner::new(&policy("")).image("debian:12").script(["true"]).run();
    assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
    assert_eq!(job.stages().iter().filter(|stage| **stage == "config").count(), 1);
    assert!(!job.log.contains("Will be retried"), "{}", job.log);
}

#[test]
fn wrong_usage_is_the_platforms_fault_and_not_the_jobs() {
    let job = Runner::new(&policy(""))
        .runner(|runner| {
            runner.build_failure = 2; // clap's own code for a usage error
            runner.system_failure = 78;
            runner.arguments.push("--no-such-flag".to_owned());
        })
        .script(["true"])
        .run();
    assert_eq!(job.call("config").exit, Exit::Code(78), "{}", job.log);
    assert!(job.log.contains("--no-such-flag"), "{}", job.log);
}

#[test]
fn a_malformed_job_response_is_told_with_its_place() {
    for (text, told) in [("{ \"id\": ", "malformed"), ("{}", "`id`"), ("{\"id\": 7}", "job_info")] {
        let job = Runner::new(&policy(""))
            .runner(|runner| runner.raw_response = Some(text.to_owned()))
            .script(["true"])
            .run();
        assert_eq!(job.ending, Ending::SystemFailure, "{text}\n{}", job.log);
        assert!(job.log.contains("job response") && job.log.contains(told), "{text}\n{}", job.log);
    }
}

fn a_job_with_the_run_keyword_is_refused_and_told_why(place: Place) {
    let job = place
        .runner()
        .response(|response| response["run"] = json!([{ "name": "hello", "script": "echo hello" }]))
        .run();
    assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
    assert!(job.log.contains("`run:`") && job.log.contains("`script:`"), "{}", job.log);
}

fn sources_are_tried_again_whatever_the_class_of_the_failure(place: Place) {
    let job = place
        .runner()
        .variable("GIT_STRATEGY", "fetch")
        .variable("GET_SOURCES_ATTEMPTS", "2")
        .script(["true"])
        .run();
    // The lab's GitLab has no such repository.
    assert_eq!(
        job.stages(),
        [
            "config",
            "prepare",
            "prepare_script",
            "get_sources",
            "clear_worktree",
            "get_sources",
            "cleanup_file_variables",
            "cleanup"
        ]
    );
    assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
}

fn nothing_of_the_runners_environment_reaches_the_script(place: Place) {
    let job = place
        .runner()
        .host("AWS_SECRET_ACCESS_KEY", "of-the-host")
        .host("LD_PRELOAD", "/tmp/evil.so")
        .host("BASH_FUNC_ls%%", "() { echo stolen; }")
        .host("GIT_SSH_COMMAND", "of-the-host")
        .script([
            "ls /",
            "env",
            "tr '\\0' '\\n' </proc/1/environ",
            "cat /proc/*/environ | tr '\\0' '\\n'",
        ])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    for word in [
        "of-the-host",
        "the-runners-own-secret",
        "evil.so",
        "stolen",
        "JOB_RESPONSE_FILE",
        "CUSTOM_ENV_",
    ] {
        assert!(!job.log.contains(word), "`{word}` leaked:\n{}", job.log);
    }
}

fn variables_arrive_as_the_runner_writes_them(place: Place) {
    let job = place
        .runner()
        .variable("GREETING", "it's \"hello\" $HOME `w` \\ ünder\nline two")
        .file("SETTINGS", "key: value\n")
        .masked("TOKEN", "s3cr3t-of-the-project")
        .script([
            "printf '%s|\\n' \"$GREETING\"",
            "echo at $SETTINGS; cat $SETTINGS",
            "echo token is $TOKEN",
            "echo \"LATER=from the script\" >> $GITLAB_ENV",
        ])
        .after_script(["echo later: $LATER"])
        .run();
    assert!(job.log.contains("it's \"hello\" $HOME `w` \\ ünder\nline two|\n"), "{}", job.log);
    assert!(job.log.contains("at /builds/group/project.tmp/SETTINGS\nkey: value\n"), "{}", job.log);
    assert!(job.log.contains("token is [MASKED]"), "{}", job.log);
    assert!(job.log.contains("later: from the script"), "{}", job.log);
}

fn two_jobs_of_one_project_do_not_see_each_other(place: Place) {
    let lab = Arc::new(Lab::new());
    let (first, _) = place
        .runner_in(&lab)
        .script(["touch mine /tmp/mine", "echo first is there", "sleep 10000"])
        .after_script(["ls -A . /tmp"])
        .begin();
    first.until_log_has("\nfirst is there\n");
    let second = place.runner_in(&lab).script(["ls -A . /tmp", "touch theirs /tmp/theirs"]).run();
    first.stop(Stop::Cancel);
    let first = first.end();
    assert_eq!(second.ending, Ending::Success, "{}", second.log);
    assert!(!second.log.contains("\nmine\n"), "{}", second.log);
    assert!(first.log.contains("\nmine\n") && !first.log.contains("theirs"), "{}", first.log);
}

in_each_environment! {
    config_names_the_driver_and_a_build_directory_of_the_jobs_own,
    a_job_goes_through_its_stages_and_is_green,
    old_new_and_unknown_stage_names_run_the_script,
    the_scripts_own_exit_code_reaches_gitlab,
    the_first_failing_command_ends_the_script_also_inside_a_line_and_a_pipe,
    the_code_file_is_written_anew_before_every_failure,
    a_platform_fault_in_prepare_is_tried_three_times_with_cleanup_after_each,
    a_job_with_the_run_keyword_is_refused_and_told_why,
    sources_are_tried_again_whatever_the_class_of_the_failure,
    nothing_of_the_runners_environment_reaches_the_script,
    variables_arrive_as_the_runner_writes_them,
    two_jobs_of_one_project_do_not_see_each_other,
}
