//! What jobs make of their environment, and what happens around them: none of it may cost a job its
//! results, or anybody else theirs.

use std::sync::Arc;

use serde_json::json;

use crate::support::{Ending, Lab, Place, Runner, Stop, eventually};

fn with_artifact(runner: Runner) -> Runner {
    runner.response(|response| {
        response["artifacts"] = json!([
            { "name": "results", "paths": ["made"], "when": "always",
              "artifact_type": "archive", "artifact_format": "zip" },
        ]);
    })
}

fn artifacts_go_up_whatever_a_job_makes_of_its_path(place: Place) {
    let lab = Arc::new(Lab::new());
    let job = with_artifact(place.runner_in(&lab))
        .variable("PATH", "/usr/local/bin:/usr/bin:/bin")
        .script(["echo 1 > made", "dyno --version"])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert_eq!(lab.gitlab().uploads().len(), 1, "{}", job.log);
    assert!(job.log.contains("\ndyno 0."), "{}", job.log);
}

fn jobs_of_one_project_at_the_same_time_keep_their_cache(place: Place) {
    let lab = Arc::new(Lab::new());
    let (first, _) = place
        .runner_in(&lab)
        .script([
            "echo there",
            "until [ -e /cache/go ]; do sleep 0.1; done",
            "echo 1 > /cache/kept",
        ])
        .begin();
    first.until_log_has("\nthere\n");
    // Prepared while the first one runs.
    let second = place.runner_in(&lab).script(["touch /cache/go"]).run();
    assert_eq!(second.ending, Ending::Success, "{}", second.log);
    let first = first.end();
    assert_eq!(first.ending, Ending::Success, "{}", first.log);
    let third = place.runner_in(&lab).script(["cat /cache/kept"]).run();
    assert_eq!(third.ending, Ending::Success, "{}\n{}", first.log, third.log);
}

fn a_script_that_bears_a_memory_kill_keeps_its_own_exit_code(place: Place) {
    let policy = match place {
        Place::Sandbox => place.policy().replace("grace: 1s", "grace: 1s, memory: 64MiB"),
        Place::Docker => Place::policy_with("pull: [never], memory: 64MiB"),
    };
    let greedy = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}";
    let run = |script: &str| place.runner_of(&Arc::new(Lab::new()), &policy).script([script]).run();
    let bears = run(&format!("({greedy}) || true; exit 5"));
    assert_eq!(bears.exit_code, Some(5), "{}", bears.log);
    let dies = run(greedy);
    assert_eq!(dies.exit_code, Some(137), "{}", dies.log);
    assert!(dies.log.contains("memory limit of 64MiB"), "{}", dies.log);
}

fn folders_that_a_script_closes_cost_nobody_anything(place: Place) {
    let job = place
        .runner()
        .script(["chmod 000 /tmp /builds/group /builds; exit 3"])
        .after_script(["echo after"])
        .run();
    assert_eq!((job.ending, job.exit_code), (Ending::ScriptFailure, Some(3)), "{}", job.log);
}

fn cleanup_needs_no_policy_that_can_be_read(place: Place) {
    let lab = Arc::new(Lab::new());
    let verbs = place.runner_in(&lab).script(["true"]).by_hand();
    let config: serde_json::Value = serde_json::from_slice(&verbs.call("config").stdout).unwrap();
    assert!(verbs.call("prepare").status.success());
    let text = std::fs::read_to_string(lab.folder().join("dyno.yaml")).unwrap();
    lab.file("dyno.yaml", &format!("{text}oops: 1\n"));
    let output = verbs.call_with("cleanup", config["job_env"].as_object().unwrap());
    assert!(String::from_utf8_lossy(&output.stderr).contains("oops"), "{output:?}");
    assert!(place.has_no_job_left(&lab));
}

fn what_a_dead_runner_kept_for_its_job_is_gone_with_it(place: Place) {
    let (runner, lab) = place
        .runner()
        .masked("TOKEN", "s3cr3t-of-the-project")
        .script(["echo started", "sleep 10000"])
        .begin_as_process();
    runner.until_log_has("\nstarted\n");
    let kept = || {
        let folders = walk(lab.folder());
        folders.into_iter().any(|path| {
            std::fs::read_to_string(&path).is_ok_and(|text| text.contains("s3cr3t-of-the-project"))
                && path
                    .components()
                    .any(|part| part.as_os_str().to_string_lossy().starts_with("custom-executor"))
        })
    };
    assert!(kept(), "the runner keeps the job's description");
    runner.kill();
    eventually("the job is gone", || place.has_no_job_left(&lab));
    eventually("what the runner kept is gone", || !kept());
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| {
            let path = entry.path();
            if path.is_dir() { walk(&path) } else { vec![path] }
        })
        .collect()
}

fn jobs_that_are_prepared_at_the_same_time_leave_each_other_alone(place: Place) {
    let lab = Arc::new(Lab::new());
    let n_jobs = match place {
        Place::Sandbox => 12,
        Place::Docker => 5,
    };
    let jobs: Vec<_> = (0..n_jobs)
        .map(|n| place.runner_in(&lab).script([&format!("echo this is {n}")]).begin().0)
        .collect();
    for (n, job) in jobs.into_iter().enumerate() {
        let job = job.end();
        assert_eq!(job.ending, Ending::Success, "{}", job.log);
        assert!(job.log.contains(&format!("\nthis is {n}\n")), "{}", job.log);
        assert!(!job.log.contains("Removed what"), "{}", job.log);
    }
    assert!(place.has_no_job_left(&lab));
}

fn large_and_binary_output_arrives_whole_and_in_order(place: Place) {
    let job = place
        .runner()
        .script([
            "i=0; while [ $i -lt 20000 ]; do echo \"line $i of many\"; i=$((i+1)); done",
            "printf 'a\\000b\\377c\\n'",
            "echo out; echo err >&2; echo out again",
        ])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log.len());
    assert_eq!(job.log.matches(" of many\n").count(), 20000);
    assert!(job.log.contains("line 0 of many\n") && job.log.contains("line 19999 of many\n"));
    assert!(job.log.contains("\nout\nerr\nout again\n"), "{}", &job.log[job.log.len() - 600..]);
}

fn a_job_can_open_its_own_output_again(place: Place) {
    let job = place.runner().script(["echo told > /dev/stderr", "echo said > /dev/stdout"]).run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    assert!(job.log.contains("\ntold\n") && job.log.contains("\nsaid\n"), "{}", job.log);
}

fn a_job_that_kills_everything_ends_itself_only(place: Place) {
    let lab = Arc::new(Lab::new());
    let (other, _) = place.runner_in(&lab).script(["echo there", "sleep 3", "echo alive"]).begin();
    other.until_log_has("\nthere\n");
    let job = place.runner_in(&lab).script(["kill -9 -1; exit 4"]).run();
    assert_eq!(job.ending, Ending::ScriptFailure, "{}", job.log);
    let other = other.end();
    assert_eq!(other.ending, Ending::Success, "{}", other.log);
}

fn processes_beyond_the_limit_are_refused_and_gone(place: Place) {
    let lab = Arc::new(Lab::new());
    let policy = match place {
        Place::Sandbox => place.policy().replace("grace: 1s", "grace: 1s, processes: 40"),
        Place::Docker => Place::policy_with("pull: [never], processes: 40"),
    };
    let job = place
        .runner_of(&lab, &policy)
        .script(["(for i in $(seq 100); do sleep 1000 & done) 2>/dev/null || true", "echo on"])
        .run();
    assert!(job.log.matches("echo on").count() > 0, "{}", job.log);
    assert!(place.has_no_job_left(&lab));
}

fn a_cancel_in_get_sources_ends_the_job(place: Place) {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let lab = Arc::new(Lab::new());
    let policy = place.policy().replace("GITLAB", &url);
    let (job, lab) = place
        .runner_of(&lab, &policy)
        .variable("GIT_STRATEGY", "fetch")
        .response(|response| {
            response["git_info"]["repo_url"] = json!(format!("{url}/group/project.git"));
        })
        .script(["true"])
        .begin();
    let connection = silent.accept().unwrap();
    job.stop(Stop::ForceCancel);
    let job = job.end();
    drop(connection);
    assert_eq!(job.ending, Ending::Canceled, "{}", job.log);
    assert!(place.has_no_job_left(&lab));
}

in_each_environment! {
    artifacts_go_up_whatever_a_job_makes_of_its_path,
    jobs_of_one_project_at_the_same_time_keep_their_cache,
    a_script_that_bears_a_memory_kill_keeps_its_own_exit_code,
    folders_that_a_script_closes_cost_nobody_anything,
    cleanup_needs_no_policy_that_can_be_read,
    what_a_dead_runner_kept_for_its_job_is_gone_with_it,
    jobs_that_are_prepared_at_the_same_time_leave_each_other_alone,
    large_and_binary_output_arrives_whole_and_in_order,
    a_job_can_open_its_own_output_again,
    a_job_that_kills_everything_ends_itself_only,
    processes_beyond_the_limit_are_refused_and_gone,
    a_cancel_in_get_sources_ends_the_job,
}
