//! What is left of jobs, and how it goes.

use std::fs;
use std::process::{Command, Stdio};

use tokio_util::sync::CancellationToken;

use super::{Driver, alone, as_both};
use crate::environment::sandbox::{leftovers, remove};
use crate::environment::{Environment, Error, ScriptEnd};

#[test]
fn a_job_is_a_leftover_when_its_runner_is_gone() {
    as_both(|mut bench| async move {
        let state = bench.place.join("state");
        assert_eq!(leftovers(&state), Vec::<String>::new());
        let mut runner = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        bench.spec.owner = runner.id();
        bench.prepare().await;
        assert_eq!(leftovers(&state), Vec::<String>::new());
        runner.kill().unwrap();
        runner.wait().unwrap();
        assert_eq!(leftovers(&state), ["dyno-4711"]);
        remove(&state, "dyno-4711").await.unwrap();
        assert_eq!(leftovers(&state), Vec::<String>::new());
        assert!(!bench.spec.folder.exists());
        remove(&state, "dyno-4711").await.unwrap();
        for name in ["", "..", ".", "a/b", "../../x"] {
            assert!(matches!(remove(&state, name).await, Err(Error::Unfit { .. })), "{name}");
        }
    });
}

#[test]
fn a_job_that_still_runs_ends_when_it_is_removed() {
    as_both(|bench| async move {
        bench.prepare().await;
        let cancel = CancellationToken::new();
        let script = "trap '' TERM; echo ready; while :; do sleep 1000; done";
        let (ran, ()) = tokio::join!(bench.run_until(script, &cancel), async {
            bench.heard("ready").await;
            bench.environment().destroy().await.unwrap();
        });
        // As its shell's end reaches the driver before bubblewrap's own, or not.
        let end = ran.map(|ran| ran.end);
        assert!(matches!(end, Ok(ScriptEnd::Exited(137)) | Err(Error::Lost { .. })), "{end:?}");
        assert!(!bench.spec.folder.exists());
    });
}

#[test]
fn a_hostile_jobs_folder_goes_and_nothing_else() {
    as_both(|bench| async move {
        let outside = bench.place.join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "1").unwrap();
        bench.prepare().await;
        let script = format!(
            "for d in /builds /tmp /home/job /run/dyno/exports /cache; do \
               ln -s {0} $d/link; ln -s {0}/precious $d/link2; ln -s ../../../../outside $d/up; \
               mkdir -p $d/x/y $d/moved-0/z; ln -s {0} $d/x/y/link; chmod 0 $d/x/y $d/x; \
             done; rm -rf /run/dyno/exports /builds 2>/dev/null; \
             mkdir -p /tmp/$(printf 'deep/%.0s' $(seq 700))",
            outside.display()
        );
        bench.run(&script).await;
        bench.environment().destroy().await.unwrap();
        assert!(!bench.spec.folder.exists());
        assert_eq!(fs::read_to_string(outside.join("precious")).unwrap(), "1");
        bench.environment().destroy().await.unwrap();
    });
}

#[test]
fn a_sandbox_whose_folder_is_gone_is_the_systems_fault() {
    alone(Driver::Root, |bench| async move {
        bench.prepare().await;
        let file = bench.script("true");
        fs::remove_dir(bench.part("builds")).unwrap();
        let environment = std::collections::BTreeMap::new();
        let script = crate::environment::Script {
            file: &file,
            shell: "bash",
            environment: &environment,
            socket: None,
            relay: None,
        };
        let error = bench.environment().run(&script, &CancellationToken::new()).await.unwrap_err();
        assert!(matches!(&error, Error::Refused { .. }), "{error:?}");
        assert_eq!(error.fault(), crate::error::Fault::System);
    });
}
