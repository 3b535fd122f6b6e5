//! Drivers, runners and daemons that are killed at any moment: whatever they had made is gone after
//! the next job or `dyno gc`. `DYNO_TEST_KILLS` says how often each; three times by default.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::support::{Ending, Lab, Marker, OwnDaemon, Place, Runner, eventually, policy, setting};

fn n_rounds() -> u64 {
    setting("DYNO_TEST_KILLS").and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// A moment within a job's life, another one each time.
fn wait_a_little(longest: Duration) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let share = f64::from(now.subsec_micros() % 1000) / 1000.0;
    let end = Instant::now() + longest.mul_f64(share);
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}

/// How long a job takes to get well into its script.
fn life(place: Place) -> Duration {
    match place {
        Place::Sandbox => Duration::from_millis(900),
        Place::Docker => Duration::from_millis(2500),
    }
}

/// No file of a runner's is left that tells of a job.
fn has_no_secret_left(lab: &Lab) -> bool {
    let output = std::process::Command::new("grep")
        .args(["-rlsI", "--exclude=spec.json", "s3cr3t-of-the-project"])
        .arg(lab.folder())
        .output()
        .unwrap();
    output.stdout.is_empty()
}

fn job(runner: Runner, marker: &Marker) -> Runner {
    let command = marker.command();
    runner
        .masked("TOKEN", "s3cr3t-of-the-project")
        .script(["echo started", &format!("setsid {command} & {command}")])
}

fn a_runner_and_its_driver_that_are_killed_leave_nothing(place: Place) {
    let lab = Arc::new(Lab::new());
    for round in 0..n_rounds() {
        let marker = Marker::new();
        let (runner, _) = job(place.runner_in(&lab), &marker).begin_as_process();
        // Before its first call a driver knows of no runner.
        runner.until_log_has("Using Custom executor");
        wait_a_little(life(place));
        match round % 2 {
            0 => runner.kill_with_its_driver(),
            _ => runner.kill(),
        }
        if round % 3 == 0 {
            let next = place.runner_in(&lab).script(["true"]).run();
            assert_eq!(next.ending, Ending::Success, "{}", next.log);
        } else {
            lab.gc();
        }
        // A driver that lives on notices by itself that its runner is gone.
        eventually("nothing of the job runs", || !marker.lives());
        eventually("nothing of the job is left", || {
            lab.gc();
            place.has_no_job_left(&lab) && has_no_secret_left(&lab)
        });
    }
}

fn a_driver_that_is_killed_costs_its_job_alone(place: Place) {
    let lab = Arc::new(Lab::new());
    for _ in 0..n_rounds() {
        let marker = Marker::new();
        let (runner, _) = job(place.runner_in(&lab), &marker).begin_as_process();
        wait_a_little(life(place));
        // Until one was alive to be killed; a killed prepare is tried again.
        let end = Instant::now() + Duration::from_secs(20);
        while !runner.kill_its_driver() && Instant::now() < end {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        // What a driver leaves that dies while a sandbox is just being made holds the runner's pipe
        // until somebody comes by.
        eventually("the job ends, or runs after another try", || {
            lab.gc();
            runner.has_ended() || marker.lives()
        });
        while !runner.has_ended() {
            runner.kill_its_driver();
            lab.gc();
        }
        let job = runner.end();
        assert_eq!(job.ending, Ending::SystemFailure, "{}", job.log);
        eventually("nothing of the job is left", || {
            lab.gc();
            !marker.lives() && place.has_no_job_left(&lab)
        });
    }
}

#[test]
fn a_daemon_that_is_killed_costs_its_jobs_and_leaves_nothing() {
    let daemon = OwnDaemon::start();
    let lab = Arc::new(Lab::new());
    let text = Place::contained(&policy(""), &daemon.socket(), "pull: [never]");
    let runner = || {
        Runner::within(&lab, &text).image("dyno-test/bash:1").response(|response| {
            response["services"] =
                serde_json::json!([{ "name": "dyno-test/echo:1", "alias": "db" }]);
        })
    };
    for round in 0..n_rounds() {
        let marker = Marker::new();
        let (running, _) = job(runner(), &marker).begin_as_process();
        wait_a_little(life(Place::Docker));
        daemon.kill();
        match round % 2 {
            // Its driver meets the daemon's absence: in a stage, or at the latest in cleanup.
            0 => wait_a_little(Duration::from_millis(500)),
            _ => daemon.start_again(),
        }
        running.kill();
        if round % 2 == 0 {
            daemon.start_again();
        }
        if round % 3 == 0 {
            let next = runner().script(["true"]).run();
            assert_eq!(next.ending, Ending::Success, "{}", next.log);
        }
        eventually("nothing of the job is left", || {
            lab.gc();
            !marker.lives() && lab.has_no_job_left() && daemon.has_nothing_left(&lab.state())
        });
    }
}

in_each_environment! {
    a_runner_and_its_driver_that_are_killed_leave_nothing,
    a_driver_that_is_killed_costs_its_job_alone,
}
