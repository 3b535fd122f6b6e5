//! Thirty jobs at once over both environments: each gets its own, and nothing is left of any.

use std::sync::Arc;

use crate::support::{Ending, Lab, Place, policy};

const N_JOBS: usize = 30;

#[test]
fn thirty_jobs_at_once_in_both_environments_keep_to_themselves() {
    let lab = Arc::new(Lab::new());
    // One policy with both: a job's image decides where it runs.
    let contained = Place::Docker.policy();
    let rule = contained.lines().find_map(|line| line.split_once("docker: ")).unwrap().1;
    let rule = rule.trim_end_matches(" }");
    let both = policy("").replace(
        "sandbox: { network: none, grace: 1s }",
        &format!("sandbox: {{ network: none, grace: 1s }}, docker: {rule} }}"),
    );
    let jobs: Vec<_> = (0..N_JOBS)
        .map(|n| {
            let own = format!("secret-of-{n}-alone");
            let place = if n % 2 == 0 { Place::Sandbox } else { Place::Docker };
            let (job, _) = place
                .runner_of(&lab, &both)
                .variable("OWN", &own)
                .file("SETTINGS", &own)
                .script([
                    "echo $OWN > mine; cp mine /tmp/mine; cat $SETTINGS > settings",
                    // What any other job wrote anywhere would show.
                    "grep -rhs 'secret-of-' . /tmp ../project.tmp /dev/shm 2>/dev/null | sort -u",
                    &format!("exit {n}"),
                ])
                .after_script(["cat mine"])
                .begin();
            (n, own, job)
        })
        .collect();
    for (n, own, job) in jobs {
        let job = job.end();
        match n {
            0 => assert_eq!(job.ending, Ending::Success, "{}", job.log),
            n => assert_eq!(job.exit_code, i32::try_from(n).ok(), "{}", job.log),
        }
        let told = job.log.lines().filter(|line| line.starts_with("secret-of-"));
        let told: Vec<&str> = told.collect();
        assert_eq!(told, [own.as_str(); 2], "{}", job.log);
    }
    for place in [Place::Sandbox, Place::Docker] {
        assert!(place.has_no_job_left(&lab));
    }
}
