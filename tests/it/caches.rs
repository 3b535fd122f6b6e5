//! Caches and artifacts in every environment: what one job leaves for another, and for whom not.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::{Ending, Lab, Place, Runner};

/// A project that no other test has: caches outlive their jobs.
fn of_own_project(runner: Runner) -> Runner {
    let id = Lab::seat().id;
    of_project(runner, id)
}

fn of_project(runner: Runner, id: u64) -> Runner {
    runner.seat(|seat| seat.project_id = id)
}

fn cached(runner: Runner, policy: &str, when: &str) -> Runner {
    runner.response(|response| {
        response["cache"] = json!([
            { "key": "deps", "paths": ["deps/"], "policy": policy, "when": when, "untracked": false }
        ]);
    })
}

fn a_cache_of_one_job_is_there_in_the_next_as_its_policy_says(place: Place) {
    let lab = Arc::new(Lab::new());
    let project = Lab::seat().id;
    let run = |policy: &str, line: &str| {
        cached(of_project(place.runner_in(&lab), project), policy, "on_success")
            .script([line])
            .run()
    };
    let look = "cat deps/a 2>/dev/null || echo none";
    let first = run("pull-push", "mkdir deps && echo kept > deps/a && chmod 751 deps/a");
    assert_eq!(first.ending, Ending::Success, "{}", first.log);
    assert!(first.log.contains("Failed to extract cache"), "{}", first.log);
    assert!(first.log.contains("Created cache"), "{}", first.log);
    let second = run("pull", &format!("{look}; stat -c %a deps/a; echo changed > deps/a"));
    assert!(second.log.contains("\nkept\n751\n"), "{}", second.log);
    assert!(second.log.contains("Not uploading cache deps due to policy"), "{}", second.log);
    let third = run("push", &format!("{look}; mkdir -p deps; echo new > deps/a"));
    assert!(third.log.contains("\nnone\n"), "{}", third.log);
    let fourth = run("pull", look);
    assert!(fourth.log.contains("\nnew\n"), "{}", fourth.log);
}

fn a_failed_job_leaves_the_cache_that_it_was_asked_for(place: Place) {
    let lab = Arc::new(Lab::new());
    let project = Lab::seat().id;
    let runner = || of_project(place.runner_in(&lab), project);
    let write = "mkdir deps && echo of a failure > deps/a && exit 3";
    let failed = cached(runner(), "pull-push", "always").script([write]).run();
    assert_eq!(failed.exit_code, Some(3), "{}", failed.log);
    assert!(failed.stages().contains(&"archive_cache_on_failure"), "{:?}", failed.stages());
    let next = cached(runner(), "pull", "on_success").script(["cat deps/a"]).run();
    assert!(next.log.contains("\nof a failure\n"), "{}", next.log);
}

fn caches_of_protected_refs_and_of_other_projects_stay_apart(place: Place) {
    let lab = Arc::new(Lab::new());
    let project = Lab::seat().id;
    let policy = place.policy();
    let run = |id: u64, is_protected: bool| {
        of_project(place.runner_of(&lab, &policy), id)
            .response(|response| response["git_info"]["protected"] = json!(is_protected))
            .script(["ls /cache; touch /cache/of-$CI_PROJECT_ID; touch /cache/mark"])
            .run()
    };
    let (first, second) = (run(project, true), run(project, false));
    let (third, fourth) = (run(Lab::seat().id, true), run(project, true));
    for job in [&first, &second, &third, &fourth] {
        assert_eq!(job.ending, Ending::Success, "{}", job.log);
    }
    assert!(!second.log.contains("\nmark\n"), "{}", second.log);
    assert!(!third.log.contains("\nmark\n"), "{}", third.log);
    assert!(fourth.log.contains("\nmark\n"), "{}", fourth.log);
}

fn a_cache_that_no_job_uses_is_removed_by_gc_and_no_other(place: Place) {
    let lab = Arc::new(Lab::new());
    let (old, young) = (Lab::seat().id, Lab::seat().id);
    for project in [old, young] {
        let job = of_project(place.runner_in(&lab), project).script(["touch /cache/mark"]).run();
        assert_eq!(job.ending, Ending::Success, "{}", job.log);
    }
    let long_ago = SystemTime::now() - Duration::from_hours(24 * 40);
    let noted = match place {
        Place::Sandbox => lab.state().join(format!("cache/{old}/protected")),
        Place::Docker => lab.state().join(format!("cache-uses/dyno-cache-{old}-protected")),
    };
    std::fs::File::open(noted).unwrap().set_modified(long_ago).unwrap();
    let told = lab.gc();
    assert_eq!(told.lines().filter(|line| line.contains("cache")).count(), 1, "{told}");
    assert!(told.contains(&old.to_string()), "{told}");
    let look = |project: u64| {
        let job = of_project(place.runner_in(&lab), project);
        job.script(["ls /cache | grep mark || echo none"]).run().log
    };
    assert!(look(old).contains("\nnone\n") && look(young).contains("\nmark\n"));
}

fn archive(when: &str) -> serde_json::Value {
    json!([{ "name": "results", "paths": ["out/"], "when": when,
             "artifact_type": "archive", "artifact_format": "zip" }])
}

fn artifacts_come_down_to_the_job_that_depends_on_them(place: Place) {
    let lab = Arc::new(Lab::new());
    let mut first = 0;
    let job = of_own_project(place.runner_in(&lab))
        .seat(|seat| first = seat.id)
        .response(|response| response["artifacts"] = archive("on_success"))
        .script([
            "mkdir -p out/deep && printf 'a\\000b\\377' > out/deep/binary",
            "echo '#!/bin/sh' > out/tool && echo 'echo tool ran' >> out/tool && chmod 755 out/tool",
            "mkdir out/empty; touch 'out/with space'; ln -s tool out/link",
        ])
        .run();
    assert_eq!(job.ending, Ending::Success, "{}", job.log);
    let second = of_own_project(place.runner_in(&lab))
        .response(|response| {
            response["dependencies"] = json!([{
                "id": first, "name": "build", "token": format!("JOB-TOKEN-{first}"),
                "artifacts_file": { "filename": "artifacts.zip", "size": 1000 }
            }]);
        })
        .script(["od -An -tx1 out/deep/binary; out/tool; ls 'out/with space'"])
        .run();
    assert_eq!(second.ending, Ending::Success, "{}", second.log);
    assert!(second.stages().contains(&"download_artifacts"), "{:?}", second.stages());
    let told = ["\n 61 00 62 ff\n", "\ntool ran\n", "\nout/with space\n"];
    assert!(told.iter().all(|text| second.log.contains(text)), "{}", second.log);
}

fn artifacts_of_a_failed_job_go_up_as_they_were_declared(place: Place) {
    for (when, n_uploads) in [("on_failure", 1), ("always", 1), ("on_success", 0)] {
        let lab = Arc::new(Lab::new());
        let job = place
            .runner_in(&lab)
            .response(|response| response["artifacts"] = archive(when))
            .script(["mkdir out && echo 1 > out/a && exit 4"])
            .run();
        assert_eq!(job.exit_code, Some(4), "{}", job.log);
        assert_eq!(lab.gitlab().uploads().len(), n_uploads, "{when}\n{}", job.log);
    }
}

in_each_environment! {
    a_cache_of_one_job_is_there_in_the_next_as_its_policy_says,
    a_failed_job_leaves_the_cache_that_it_was_asked_for,
    caches_of_protected_refs_and_of_other_projects_stay_apart,
    a_cache_that_no_job_uses_is_removed_by_gc_and_no_other,
    artifacts_come_down_to_the_job_that_depends_on_them,
    artifacts_of_a_failed_job_go_up_as_they_were_declared,
}
