//! Signals and time: SIGTERM within a budget, the second signal at once, cancel with `after_script`,
//! timeouts, a script that does not listen.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Ending, Exit, Lab, Marker, Place, Runner, Stop, eventually, policy};

/// Ends by itself long after every test's patience is over.
const FOREVER: &str = "for i in $(seq 100000); do sleep 0.1; done";

fn a_cancel_fires_the_scripts_trap_and_after_script_still_runs(place: Place) {
    let (job, _lab) = place
        .runner()
        .script(["trap 'echo the trap fired; exit 3' TERM", "echo started", FOREVER])
        .after_script(["echo after, status $CI_JOB_STATUS"])
        .begin();
    job.until_log_has("\nstarted\n").stop(Stop::Cancel);
    let job = job.end();
    assert_eq!(job.ending, Ending::Canceled, "{}", job.log);
    assert!(job.log.contains("\nthe trap fired\n"), "{}", job.log);
    assert!(job.log.contains("after, status canceled"), "{}", job.log);
    assert!(
        matches!(job.call("build_script").exit, Exit::Code(_)),
        "{:?}",
        job.call("build_script")
    );
    assert_eq!(job.stages().last(), Some(&"cleanup"));
}

fn a_script_that_does_not_listen_is_killed_by_the_driver_before_the_runner_has_to(place: Place) {
    let marker = Marker::new();
    let command = marker.command();
    let (job, _lab) = place
        .runner()
        .script(["trap '' TERM", "echo started", &command])
        .after_script(["echo after"])
        .begin();
    job.until_log_has("\nstarted\n").stop(Stop::Cancel);
    let job = job.end();
    assert!(
        matches!(job.call("build_script").exit, Exit::Code(_)),
        "{:?}",
        job.call("build_script")
    );
    assert!(!marker.lives());
    assert!(job.log.contains("\nafter\n"), "{}", job.log);
}

fn a_second_signal_ends_the_driver_at_once(place: Place) {
    let marker = Marker::new();
    let command = marker.command();
    // The grace is longer than any patience: only the second signal can end this.
    let patient = place.policy().replace("grace: 1s", "grace: 10m");
    let (job, _lab) = place
        .runner_of(&Arc::new(Lab::new()), &patient)
        .runner(|runner| runner.graceful_kill = Duration::from_mins(10))
        .script([
            "trap 'echo not yet' TERM",
            "echo started",
            &format!("{command} || true; {command} || true; {command}"),
        ])
        .begin();
    job.until_log_has("\nstarted\n").stop(Stop::ForceCancel);
    job.until_log_has("\nnot yet\n").stop(Stop::TermAgain);
    let job = job.end();
    assert_eq!(job.ending, Ending::Canceled, "{}", job.log);
    eventually("nothing of the script is left", || !marker.lives());
}

fn a_forced_cancel_and_a_runner_that_is_told_to_end_call_cleanup_only(place: Place) {
    for (stop, ending) in
        [(Stop::ForceCancel, Ending::Canceled), (Stop::Shutdown, Ending::SystemFailure)]
    {
        let marker = Marker::new();
        let command = marker.command();
        let (job, lab) =
            place.runner().script(["echo started", &command]).after_script(["echo after"]).begin();
        job.until_log_has("\nstarted\n").stop(stop);
        let job = job.end();
        assert_eq!(job.ending, ending, "{}", job.log);
        assert_eq!(job.stages()[4..], ["build_script", "cleanup"]);
        assert!(!marker.lives());
        assert!(place.has_no_job_left(&lab));
    }
}

fn a_job_that_is_too_late_is_over_with_cleanup_only(place: Place) {
    let job = place
        .runner()
        .runner(|runner| runner.job_timeout = Some(Duration::from_secs(3)))
        .script(["echo started", FOREVER])
        .after_script(["echo after"])
        .run();
    assert_eq!(job.ending, Ending::Timeout, "{}", job.log);
    assert_eq!(job.stages()[4..], ["build_script", "cleanup"], "{}", job.log);
}

fn a_script_that_is_too_late_still_has_its_after_script(place: Place) {
    let job = place
        .runner()
        .runner(|runner| runner.script_timeout = Some(Duration::from_secs(1)))
        .script(["echo started", FOREVER])
        .after_script(["echo after, status $CI_JOB_STATUS"])
        .run();
    assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
    assert!(job.log.contains("after, status timedout"), "{}", job.log);
}

fn a_cancel_reaches_every_process_of_the_script_once(place: Place) {
    let child = "(trap 'echo child was told; exit' TERM; : > ready; while :; do sleep 0.1; done) &";
    let waits = "until [ -e ready ]; do sleep 0.1; done";
    let parent = "trap 'echo parent was told; wait; exit 3' TERM";
    let (job, _lab) =
        place.runner().script([child, waits, parent, "echo started", FOREVER]).begin();
    job.until_log_has("\nstarted\n").stop(Stop::Cancel);
    let job = job.end();
    assert_eq!(job.ending, Ending::Canceled, "{}", job.log);
    for text in ["\nchild was told\n", "\nparent was told\n"] {
        assert_eq!(job.log.matches(text).count(), 1, "{}", job.log);
    }
}

fn a_daemon_that_a_script_leaves_holds_no_stage_and_no_cancel(place: Place) {
    let marker = Marker::new();
    let daemon = format!("setsid nohup sh -c 'trap \"\" TERM HUP INT; {}; :' &", marker.command());
    let job = place.runner().script([&daemon, "sleep 0.2; echo left"]).run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert!(!marker.lives());
    let (job, _lab) = place.runner().script([&daemon, "echo started", FOREVER]).begin();
    job.until_log_has("\nstarted\n").stop(Stop::Cancel);
    assert_eq!(job.end().ending, Ending::Canceled);
    assert!(!marker.lives());
}

#[test]
fn a_cancel_while_gitlab_does_not_answer_ends_config() {
    // A port that takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    // Namespaces that go by the user's login make config ask.
    let rule = "clusters: { lab: { namespaces: [\"{{ user.login }}\"], access: deploy } }";
    let asks = policy(rule).replace("GITLAB", &url)
        + "clusters: { lab: { kubeconfig: /nowhere/kubeconfig } }\n";
    let (job, _lab) = Runner::new(&asks).script(["true"]).begin();
    let connection = silent.accept().unwrap();
    job.stop(Stop::Cancel);
    let job = job.end();
    drop(connection);
    assert_eq!(job.ending, Ending::Canceled, "{}", job.log);
    assert_eq!(job.stages(), ["config", "cleanup"]);
}

in_each_environment! {
    a_cancel_fires_the_scripts_trap_and_after_script_still_runs,
    a_script_that_does_not_listen_is_killed_by_the_driver_before_the_runner_has_to,
    a_second_signal_ends_the_driver_at_once,
    a_forced_cancel_and_a_runner_that_is_told_to_end_call_cleanup_only,
    a_job_that_is_too_late_is_over_with_cleanup_only,
    a_script_that_is_too_late_still_has_its_after_script,
    a_cancel_reaches_every_process_of_the_script_once,
    a_daemon_that_a_script_leaves_holds_no_stage_and_no_cancel,
}
