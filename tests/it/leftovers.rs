//! What must not survive: background processes, an attempt that was cut short, a killed runner's job.

use std::path::Path;
use std::sync::Arc;

use crate::support::{Ending, Lab, Marker, Place, Runner, Stop, eventually, policy, skip};

const NOBODY: u32 = 65534;

fn a_background_process_is_gone_when_its_stage_ends(place: Place) {
    let (open, closed) = (Marker::new(), Marker::new());
    let (with_pipe, without) = (open.command(), closed.command());
    let job = place
        .runner()
        // One holds the log's pipe open, which would hold the stage; one is a session of its own.
        .script([
            &format!("{with_pipe} &"),
            &format!("setsid {without} >/dev/null 2>&1 &"),
            "echo ran",
        ])
        .after_script(["echo after; ls /proc | grep -c '^[0-9]*$'"])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert!(!open.lives() && !closed.lives());
}

fn files_stay_between_the_stages_of_a_job_and_go_with_it(place: Place) {
    let lab = Arc::new(Lab::new());
    let job = place.runner_in(&lab).script(["echo kept > file"]).after_script(["cat file"]).run();
    assert!(job.log.contains("\nkept\n"), "{}", job.log);
    assert!(place.has_no_job_left(&lab));
}

fn prepare_can_be_repeated_and_removes_what_an_earlier_attempt_left(place: Place) {
    let verbs = place.runner().by_hand();
    for verb in ["config", "prepare"] {
        assert!(verbs.call(verb).status.success());
    }
    assert!(
        verbs
            .run("mkdir -p /builds/group/project && touch /builds/group/project/old", "get_sources")
            .status
            .success()
    );
    assert!(verbs.call("prepare").status.success());
    let output = verbs.run("ls -A /builds/group/project 2>/dev/null; exit 0", "build_script");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(verbs.call("cleanup").status.success());
    assert!(place.has_no_job_left(verbs.lab()));
}

fn cleanup_can_be_repeated_and_needs_no_prepare(place: Place) {
    let verbs = place.runner().by_hand();
    for _ in 0..2 {
        let output = verbs.call("cleanup");
        assert!(output.status.success(), "{output:?}");
    }
    assert!(verbs.call("prepare").status.success());
    for _ in 0..2 {
        let output = verbs.call("cleanup");
        assert!(output.status.success(), "{output:?}");
        assert!(!verbs.job_folder().exists());
    }
}

#[test]
fn cleanup_removes_what_half_a_prepare_left() {
    let verbs = Runner::new(&policy("")).by_hand();
    std::fs::create_dir_all(verbs.job_folder().join("builds/group")).unwrap();
    std::fs::write(verbs.job_folder().join("tmp"), "a file where a folder belongs").unwrap();
    let output = verbs.call("cleanup");
    assert!(output.status.success(), "{output:?}");
    assert!(!verbs.job_folder().exists());
}

#[test]
fn cleanup_masks_the_jobs_secrets_in_what_it_prints() {
    let secret = "s3cr3t-of-the-project";
    let lab = Arc::new(Lab::new());
    let state = lab.folder().join(secret);
    let text = policy("").replace("STATE", state.to_str().unwrap());
    let verbs = Runner::within(&lab, &text).masked("TOKEN", secret).by_hand().for_user(NOBODY);
    // A folder of root's, which this runner cannot empty: cleanup must tell its path.
    let foreign = state.join("jobs").join(verbs.job_folder().file_name().unwrap()).join("foreign");
    std::fs::create_dir_all(foreign.join("full")).unwrap();
    let output = verbs.call("cleanup");
    let told = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success());
    assert!(!told.contains(secret) && told.contains("[MASKED]"), "{told}");
}

fn nothing_of_a_job_survives_its_runner(place: Place) {
    let marker = Marker::new();
    let command = marker.command();
    let (runner, lab) = place
        .runner()
        .script(["echo started", &format!("setsid {command} & {command}")])
        .begin_as_process();
    runner.until_log_has("\nstarted\n");
    eventually("the script runs", || marker.lives());
    runner.kill();
    eventually("nothing of the script is left", || !marker.lives());
    eventually("the job's folder is gone", || place.has_no_job_left(&lab));
}

fn what_a_killed_driver_left_is_gone_after_the_next_prepare(place: Place) {
    let marker = Marker::new();
    let command = marker.command();
    let (runner, lab) = place.runner().script(["echo started", &command]).begin_as_process();
    runner.until_log_has("\nstarted\n");
    runner.kill_with_its_driver();
    eventually("nothing of the script is left", || !marker.lives());
    assert!(!place.has_no_job_left(&lab), "nobody was left to remove the job's folder");
    let job = place.runner_in(&lab).script(["true"]).run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert!(place.has_no_job_left(&lab));
}

fn gc_removes_what_a_killed_driver_left_and_touches_no_living_job(place: Place) {
    let lab = Arc::new(Lab::new());
    let (living, _) = place
        .runner_in(&lab)
        .script(["echo there", "until [ -e /cache/end ]; do sleep 0.1; done; echo alive"])
        .begin();
    living.until_log_has("\nthere\n");
    let marker = Marker::new();
    let (runner, _) =
        place.runner_in(&lab).script(["echo started", &marker.command()]).begin_as_process();
    runner.until_log_has("\nstarted\n");
    runner.kill_with_its_driver();
    let told = lab.gc();
    assert_eq!(told.lines().filter(|line| line.starts_with("removed dyno-")).count(), 1, "{told}");
    assert!(!marker.lives());
    assert_eq!(lab.gc(), "nothing to remove\n");
    let end = place.runner_in(&lab).script(["touch /cache/end"]).run();
    assert_eq!(end.ending, Ending::Success, "{}", end.log);
    let living = living.end();
    assert_eq!(living.ending, Ending::Success, "{}", living.log);
    assert!(living.log.contains("\nalive\n"), "{}", living.log);
    assert!(place.has_no_job_left(&lab));
}

fn cleanup_ends_a_script_that_still_runs(place: Place) {
    let verbs = place.runner().by_hand();
    assert!(verbs.call("prepare").status.success());
    let marker = Marker::new();
    let command = format!("trap '' TERM; {} & {0}; {0}", marker.command());
    let mut running = verbs.begin(&command, "build_script");
    eventually("the script runs", || marker.lives());
    let output = verbs.call("cleanup");
    assert!(output.status.success(), "{output:?}");
    assert!(!marker.lives() && place.has_no_job_left(verbs.lab()));
    // Its driver learns of it by itself.
    assert!(!running.wait().unwrap().success());
}

fn a_cancel_at_any_moment_leaves_nothing(place: Place) {
    let lab = Arc::new(Lab::new());
    for n in 0..6 {
        let marker = Marker::new();
        let (job, _) = place.runner_in(&lab).script([&marker.command()]).begin();
        std::thread::park_timeout(std::time::Duration::from_millis(n * 170));
        job.stop(if n % 2 == 0 { Stop::ForceCancel } else { Stop::Cancel });
        let job = job.end();
        assert_eq!(job.ending, Ending::Canceled, "{}", job.log);
        assert!(!marker.lives(), "{}", job.log);
        assert!(place.has_no_job_left(&lab), "{}", job.log);
    }
}

#[test]
fn control_groups_whose_jobs_folder_is_lost_are_found_by_gc() {
    let verbs = Runner::new(&policy("")).by_hand();
    assert!(verbs.call("prepare").status.success());
    let written = std::fs::read_to_string(verbs.job_folder().join("cgroups")).unwrap_or_default();
    let groups: Vec<_> =
        written.lines().filter_map(|line| line.splitn(3, ' ').nth(2)).map(Path::new).collect();
    if groups.is_empty() {
        let name = "control_groups_whose_jobs_folder_is_lost_are_found_by_gc";
        return skip(name, "this host gives no control groups");
    }
    assert!(groups.iter().all(|group| group.exists()), "{written}");
    std::fs::remove_dir_all(verbs.job_folder()).unwrap();
    let told = verbs.lab().gc();
    assert!(told.contains("(its control groups)"), "{told}");
    assert!(!groups.iter().any(|group| group.exists()), "{written}");
}

#[test]
fn a_runner_without_root_runs_jobs_too_and_leaves_nothing() {
    let verbs = Runner::new(&policy("")).by_hand().for_user(NOBODY);
    let prepared = verbs.call("prepare");
    let told = String::from_utf8_lossy(&prepared.stderr).into_owned();
    if !prepared.status.success() && told.contains("user namespaces") {
        return skip("a_runner_without_root_runs_jobs_too_and_leaves_nothing", &told);
    }
    assert!(prepared.status.success(), "{told}");
    let output = verbs.run("echo in $PWD as $(id -u); touch /builds/made; echo $?", "build_script");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && shown.ends_with("0\n"), "{output:?}");
    assert!(!shown.contains("as 0"), "{shown}");
    assert!(verbs.call("cleanup").status.success());
    assert!(!verbs.job_folder().exists());
}

in_each_environment! {
    a_background_process_is_gone_when_its_stage_ends,
    files_stay_between_the_stages_of_a_job_and_go_with_it,
    prepare_can_be_repeated_and_removes_what_an_earlier_attempt_left,
    cleanup_can_be_repeated_and_needs_no_prepare,
    nothing_of_a_job_survives_its_runner,
    what_a_killed_driver_left_is_gone_after_the_next_prepare,
    gc_removes_what_a_killed_driver_left_and_touches_no_living_job,
    cleanup_ends_a_script_that_still_runs,
    a_cancel_at_any_moment_leaves_nothing,
}
