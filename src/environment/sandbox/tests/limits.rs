//! What a job may use.

use std::fs;

use super::{Driver, alone, as_both};
use crate::environment::ScriptEnd;
use crate::unit::Size;

#[test]
fn a_job_over_its_memory_is_told_so() {
    as_both(|mut bench| async move {
        bench.spec.limits.memory = Some(Size(64 << 20));
        bench.prepare().await;
        let greedy = "head -c 300M /dev/zero | tail -c 299M | wc -c; exit ${PIPESTATUS[1]}";
        let end = bench.run(greedy).await.end;
        if bench.is_root() {
            assert_eq!(end, ScriptEnd::OutOfMemory);
            let shell = "x=$(head -c 300M /dev/zero | tr '\\0' x); echo ${#x}";
            assert_eq!(bench.run(shell).await.end, ScriptEnd::OutOfMemory);
            // All that it has counts, its processes together as well as files in memory.
            let files = "head -c 300M /dev/zero >/dev/shm/x";
            assert_eq!(bench.run(files).await.end, ScriptEnd::OutOfMemory);
        } else {
            assert_eq!(end, ScriptEnd::Exited(1));
        }
        assert_eq!(bench.run("exit 4").await.end, ScriptEnd::Exited(4));
    });
}

#[test]
fn a_script_that_bears_the_loss_of_a_process_goes_on() {
    alone(Driver::Root, |mut bench| async move {
        bench.spec.limits.memory = Some(Size(64 << 20));
        bench.prepare().await;
        let ran = bench.run("(tail </dev/zero) || echo lost").await;
        assert_eq!(ran.end, ScriptEnd::Exited(0));
        assert!(ran.said.ends_with("lost\n"), "{}", ran.said);
    });
}

#[test]
fn a_job_has_as_many_processes_as_it_may() {
    as_both(|mut bench| async move {
        bench.spec.limits.processes = Some(20);
        bench.prepare().await;
        let script = "sh -c 'for i in $(seq 100); do sleep 1000 & done'; echo code $?; \
            ls /proc | grep -c '^[0-9]'";
        let said = bench.run(&format!("set +m; exec 2>&1; {script}")).await.said;
        assert!(said.contains("Cannot fork") && said.contains("code 2"), "{said}");
        let few = "sh -c 'for i in $(seq 10); do sleep 1000 & done'";
        assert_eq!(bench.run(few).await.end, ScriptEnd::Exited(0));
    });
}

#[test]
fn a_job_opens_as_many_files_as_it_may() {
    as_both(|mut bench| async move {
        bench.spec.limits.open_files = Some(77);
        bench.prepare().await;
        assert_eq!(bench.run("ulimit -n; ulimit -Hn; ulimit -c").await.said, "77\n77\n0\n");
    });
}

#[test]
fn a_jobs_control_groups_go_with_it() {
    use crate::environment::Environment;
    alone(Driver::Root, |mut bench| async move {
        bench.spec.limits.memory = Some(Size(64 << 20));
        bench.prepare().await;
        let groups = fs::read_to_string(bench.part("cgroups")).unwrap();
        let folders: Vec<_> =
            groups.lines().filter_map(|line| line.splitn(3, ' ').nth(2)).collect();
        assert!(!folders.is_empty(), "no control groups on this machine");
        assert!(folders.iter().all(|folder| fs::metadata(folder).is_ok()));
        bench.environment().destroy().await.unwrap();
        assert!(folders.iter().all(|folder| fs::metadata(folder).is_err()));
    });
}

#[test]
fn a_host_that_runs_sandboxes_is_found_fit_and_says_how_limits_hold() {
    use crate::environment::sandbox::check;
    as_both(|bench| async move {
        let findings = check(bench.spec.user);
        assert!(findings.iter().all(|finding| finding.ok), "{findings:?}");
        let limits = findings.last().unwrap().to_string();
        let words = if bench.is_root() { "by control groups" } else { "by rlimits" };
        assert!(limits.contains(words), "{limits}");
    });
}
