//! Processes by what cannot lie: start times, pid namespaces, pidfds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::environment::Error;

/// Rounds in which processes that were just born are looked for; what outruns them all gets SIGKILL
/// with its namespace.
const ROUNDS: usize = 16;

/// A process that is held by a pidfd, so that its number cannot come to mean another one.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    fd: OwnedFd,
}

impl Process {
    /// Takes hold of a process; `None` when there is none.
    pub fn hold(pid: i32) -> Option<Self> {
        let fd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::NONBLOCK).ok()?;
        Some(Self { pid, fd })
    }

    /// The inode of its pid namespace, when it still lives and we may look.
    pub fn namespace(&self) -> Option<u64> {
        namespace(self.pid)
    }

    /// Sends a signal; a process that is gone already is fine.
    pub fn signal(&self, signal: Signal) {
        if let Err(error) = pidfd_send_signal(&self.fd, signal) {
            tracing::debug!(pid = self.pid, %error, "cannot signal");
        }
    }

    /// Waits until it has ended, at most `limit` long; true when it has.
    pub async fn ended(&self, limit: Duration) -> bool {
        let wait = async {
            #[expect(
                deprecated,
                reason = "an owned descriptor stays open; the successor is unsafe"
            )]
            let fd = AsyncFd::with_interest(self.fd.try_clone()?, Interest::READABLE)?;
            let _ready = fd.readable().await?;
            std::io::Result::Ok(())
        };
        matches!(tokio::time::timeout(limit, wait).await, Ok(Ok(())))
    }
}

/// Sends SIGTERM to every process of a pid namespace but the first, to each once.
///
/// All are stopped before the first of them is told: what a trap starts is not told as well, and
/// nothing that is just being born is missed.
pub fn terminate_all(first: &Process, in_namespace: u64) {
    let mut stopped = BTreeMap::new();
    for _ in 0..ROUNDS {
        let mut any_new = false;
        for pid in pids() {
            if pid == first.pid
                || stopped.contains_key(&pid)
                || namespace(pid) != Some(in_namespace)
            {
                continue;
            }
            let Some(process) = Process::hold(pid) else { continue };
            // Asked again, now that the number cannot change its meaning.
            if process.namespace() == Some(in_namespace) {
                process.signal(Signal::STOP);
                stopped.insert(pid, process);
                any_new = true;
            }
        }
        if !any_new {
            break;
        }
    }
    for process in stopped.values() {
        process.signal(Signal::TERM);
    }
    // Children before parents, as a rule, so that no shell takes a child for stopped.
    for process in stopped.values().rev() {
        process.signal(Signal::CONT);
    }
}

/// Kills every process that has `folder` as its `/builds`, and waits until none is left.
pub async fn end_all(folder: &Path) -> Result<(), Error> {
    end(|| inmates(folder)).await
}

/// Kills every process that `find` finds, until it finds none.
async fn end(find: impl Fn() -> Vec<Process>) -> Result<(), Error> {
    for _ in 0..ROUNDS {
        let found = find();
        if found.is_empty() {
            return Ok(());
        }
        for process in &found {
            process.signal(Signal::KILL);
        }
        for process in &found {
            process.ended(Duration::from_secs(2)).await;
        }
    }
    Err(Error::Process {
        action: "end the job's processes",
        source: std::io::Error::from(std::io::ErrorKind::TimedOut),
    })
}

/// Waits a little for the processes of a control group to end by themselves, kills the others, and
/// waits until none is left.
pub async fn end_group(group: &Path) -> Result<(), Error> {
    for process in members(group) {
        process.ended(Duration::from_millis(500)).await;
    }
    end(|| members(group)).await
}

fn members(group: &Path) -> Vec<Process> {
    let listed = || -> BTreeSet<i32> {
        let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|pid| pid.parse().ok()).collect()
    };
    let mut held: Vec<_> = listed().into_iter().filter_map(Process::hold).collect();
    // Asked again, now that the numbers cannot change their meaning.
    let still = listed();
    held.retain(|process| still.contains(&process.pid));
    held
}

/// The processes in another pid namespace that have `folder` as their `/builds`.
pub fn inmates(folder: &Path) -> Vec<Process> {
    let Ok(builds) = fs::symlink_metadata(folder) else { return Vec::new() };
    let builds = (builds.dev(), builds.ino());
    let own = namespace_of("self");
    let is_inmate = |pid: i32| {
        namespace(pid).is_some_and(|there| Some(there) != own)
            && fs::symlink_metadata(format!("/proc/{pid}/root/builds"))
                .is_ok_and(|there| (there.dev(), there.ino()) == builds)
    };
    let held = |pid: i32| Process::hold(pid).filter(|_| is_inmate(pid));
    pids().filter(|pid| is_inmate(*pid)).filter_map(held).collect()
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn namespace(pid: i32) -> Option<u64> {
    namespace_of(&pid.to_string())
}

fn namespace_of(process: &str) -> Option<u64> {
    fs::metadata(format!("/proc/{process}/ns/pid")).ok().map(|namespace| namespace.ino())
}
