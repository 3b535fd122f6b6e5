//! How scripts end.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use tokio_util::sync::CancellationToken;

use super::{Bench, Driver, alone, as_both, until};
use crate::environment::sandbox::argv::{self, Host, Start};
use crate::environment::{Script, ScriptEnd};
use crate::unit::Span;

#[test]
fn a_script_ends_with_its_own_code() {
    as_both(|bench| async move {
        bench.prepare().await;
        for (script, code) in [
            ("true", 0),
            ("exit 3", 3),
            ("exit 255", 255),
            ("kill -9 $$", 137),
            ("trap - TERM; kill -TERM $$; sleep 9", 143),
            ("no_such_command", 127),
        ] {
            assert_eq!(bench.run(script).await.end, ScriptEnd::Exited(code), "{script}");
        }
    });
}

#[test]
fn a_background_process_ends_with_its_stage_and_does_not_hold_it() {
    as_both(|bench| async move {
        bench.prepare().await;
        let script =
            "sleep 1000 & (setsid nohup sleep 1000 &) & trap '' TERM HUP; sleep 1000 & echo on";
        let ran = bench.run(script).await;
        assert_eq!((ran.end, ran.said.as_str()), (ScriptEnd::Exited(0), "on\n"));
        assert_eq!(bench.n_inmates(), 0);
    });
}

#[test]
fn a_cancel_fires_the_scripts_own_trap() {
    as_both(|bench| async move {
        bench.prepare().await;
        let cancel = CancellationToken::new();
        // What the trap itself starts is let be.
        let trap = "sleep 0.05; sh -c \"sleep 0.05; echo caught\"; exit 1";
        let script = format!(
            "trap 'exit 1' TERM\n\
             (trap '{trap}' TERM; eval $'sh -c \"echo ready; exec sleep 1000\"\\n') </dev/null\n"
        );
        let (ran, ()) = tokio::join!(bench.run_until(&script, &cancel), async {
            bench.heard("ready").await;
            cancel.cancel();
        });
        let ran = ran.unwrap();
        assert_eq!(ran.end, ScriptEnd::Cancelled);
        assert!(ran.said.ends_with("caught\n"), "{}", ran.said);
        assert_eq!(bench.n_inmates(), 0);
    });
}

#[test]
fn a_stubborn_script_is_killed_after_the_grace() {
    as_both(|mut bench| async move {
        bench.spec.limits.grace = Span(std::time::Duration::from_millis(50));
        bench.prepare().await;
        let cancel = CancellationToken::new();
        let script = "trap '' TERM; echo ready; while :; do sleep 1000; done";
        let (ran, ()) = tokio::join!(bench.run_until(script, &cancel), async {
            bench.heard("ready").await;
            cancel.cancel();
        });
        assert_eq!(ran.unwrap().end, ScriptEnd::Cancelled);
        assert_eq!(bench.n_inmates(), 0);
    });
}

#[test]
fn a_script_cancelled_at_its_start_leaves_nothing() {
    as_both(|bench| async move {
        bench.prepare().await;
        let cancel = CancellationToken::new();
        let (ran, ()) = tokio::join!(bench.run_until("sleep 1000", &cancel), async {
            cancel.cancel();
        });
        assert_eq!(ran.unwrap().end, ScriptEnd::Cancelled);
        assert_eq!(bench.n_inmates(), 0);
        let ran = bench.run_until("echo on", &cancel).await.unwrap();
        assert_eq!((ran.end, ran.said.as_str()), (ScriptEnd::Cancelled, ""));
    });
}

#[test]
fn a_dropped_run_takes_the_sandbox_with_it() {
    alone(Driver::Root, |bench| async move {
        bench.prepare().await;
        let cancel = CancellationToken::new();
        tokio::select! {
            _ = bench.run_until("echo ready; sleep 1000", &cancel) => unreachable!(),
            () = bench.heard("ready") => (),
        }
        until(|| bench.n_inmates() == 0).await;
    });
}

/// Starts a sandbox below a shell that stands for the driver, since this process has to live on.
fn under_a_driver(bench: &Bench) -> std::process::Child {
    let file = bench.script("echo ready; trap '' TERM HUP INT; while :; do sleep 1000; done");
    let script = Script {
        file: &file,
        shell: "bash",
        environment: &bench.environment,
        socket: None,
        relay: None,
    };
    let start = Start::default();
    let arguments = argv::arguments(&bench.spec, &Host::look(&bench.spec), &script, &start);
    let sheet = bench.place.join("sheet");
    let mut text = fs::File::create(&sheet).unwrap();
    for argument in arguments {
        text.write_all(argument.as_encoded_bytes()).unwrap();
        text.write_all(&[0]).unwrap();
    }
    let user = bench.spec.user.map(|user| format!("--user {user}")).unwrap_or_default();
    let driver = format!(
        "./dyno enter --parent $$ {user} -- /usr/bin/bwrap --args 9 -- bash <script 9<sheet & wait"
    );
    let mut command = Command::new("sh");
    command.args(["-c", &driver]).env_clear().current_dir(&bench.place);
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_killed_driver_takes_the_sandbox_with_it() {
    as_both(|bench| async move {
        bench.prepare().await;
        let mut driver = under_a_driver(&bench);
        bench.heard("ready").await;
        assert_ne!(bench.n_inmates(), 0);
        driver.kill().unwrap();
        driver.wait().unwrap();
        until(|| bench.n_inmates() == 0).await;
    });
}
