//! `dyno hold`: the first process in a container. Takes scripts from the driver one after the
//! other, gives each a shell, and leaves nothing of one for the next.
//!
//! It runs beside the job, with the job's rights: the driver believes of it only how scripts ended.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::Mode;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, umask, wait};

use super::order::{self, Done, Hello, Order};

/// Where the driver listens when it has a script.
pub const SOCKET: &str = "/run/dyno/sockets/hold";

/// Where the driver carries connections to GitLab.
pub const RELAY: &str = "/run/dyno/sockets/relay";

/// Where dyno is in a container.
pub const PROGRAM: &str = "/run/dyno/bin/dyno";

/// Shells, the ablest first.
const SHELLS: [&str; 8] = [
    "/usr/local/bin/bash",
    "/usr/bin/bash",
    "/bin/bash",
    "/usr/local/bin/sh",
    "/usr/bin/sh",
    "/bin/sh",
    "/busybox/sh",
    "/bin/ash",
];

/// How often the driver is looked for: often right after a script, as the next one is near.
const SOON: Duration = Duration::from_millis(4);
const LATER: Duration = Duration::from_millis(25);
const NEAR: Duration = Duration::from_secs(2);

/// Rounds of looking for processes that were just born.
const ROUNDS: usize = 64;

/// The internal verb `hold`: goes on until the container is stopped.
pub fn hold() -> ExitCode {
    // An entrypoint may have started something that its job needs: that stays.
    let spared = pids();
    let hello = hello();
    let mut since = Instant::now();
    loop {
        let stream = await_driver(since);
        if let Err(error) = serve(&stream, &hello, &spared) {
            tracing::debug!(%error, "the driver went away");
        }
        since = Instant::now();
    }
}

fn await_driver(since: Instant) -> UnixStream {
    loop {
        if let Ok(stream) = UnixStream::connect(SOCKET) {
            return stream;
        }
        reap_all();
        std::thread::sleep(if since.elapsed() < NEAR { SOON } else { LATER });
    }
}

fn hello() -> Hello {
    let shell = SHELLS.into_iter().find(|shell| Path::new(shell).exists()).map(str::to_owned);
    let has_escapes = shell.as_deref().is_some_and(|shell| {
        // Asked of the shell itself: what is called `sh` may be any.
        let told = Command::new(shell).args(["-c", r"printf %s $'\x61'"]).output();
        told.is_ok_and(|told| told.stdout == b"a")
    });
    Hello { shell, has_escapes }
}

/// Runs one script and all that it starts to their end.
fn serve(stream: &UnixStream, hello: &Hello, spared: &BTreeSet<i32>) -> std::io::Result<()> {
    order::send(stream, hello)?;
    let (order, [script, out, err]) = order::receive_order(stream)?;
    let Some(shell) = &hello.shell else { return Ok(()) };
    if order.is_open {
        umask(Mode::empty());
    }
    let kills_before = memory_kills();
    let mut command = command(shell, &order);
    command.stdin(Stdio::from(script)).stdout(Stdio::from(out)).stderr(Stdio::from(err));
    let child = command.spawn();
    drop(command);
    let status = match child {
        Ok(child) => accompany(stream, child.id(), order.grace_ms, spared),
        Err(error) => {
            tracing::error!(%error, shell, "cannot start the shell");
            ExitStatus::from_raw(127 << 8)
        }
    };
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    order::send(stream, &Done { code, is_out_of_memory: memory_kills() > kills_before })
}

fn command(shell: &str, order: &Order) -> Command {
    let mut command = match &order.listen {
        None => Command::new(shell),
        Some(address) => {
            let mut command = Command::new(PROGRAM);
            command.args(["inside", "--listen", address, "--socket", RELAY, "--keep", "--", shell]);
            command
        }
    };
    if let Some(path) = &order.path {
        let mut all = OsString::from(path);
        all.push(":");
        all.push(own_path());
        command.env("PATH", all);
    }
    command.envs(order.environment.iter().map(|(name, value)| (name, value))).process_group(0);
    command
}

#[expect(clippy::disallowed_methods, reason = "the image's own PATH is nowhere else")]
fn own_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
}

/// Waits for the shell while another thread waits for the driver's word that it is to end.
fn accompany(stream: &UnixStream, shell: u32, grace_ms: u64, spared: &BTreeSet<i32>) -> ExitStatus {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let is_cancelled = matches!((&*stream).read(&mut [0]), Ok(1));
            if is_cancelled && !is_over.load(Ordering::Acquire) {
                terminate(spared);
                // Until the grace is over, the script is, or the driver has gone after all: its
                // output must not stay open for a runner that waits for its end.
                let grace = Duration::from_millis(grace_ms.max(1));
                if stream.set_read_timeout(Some(grace)).is_ok() {
                    let _n_read = (&*stream).read(&mut [0]);
                }
            }
            if !is_over.load(Ordering::Acquire) {
                kill_all(spared);
            }
        });
        let status = reap_until(shell);
        is_over.store(true, Ordering::Release);
        kill_all(spared);
        drop(stream.shutdown(Shutdown::Read));
        status
    })
}

/// Reaps whatever ends until this process has.
fn reap_until(process: u32) -> ExitStatus {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if u32::try_from(pid.as_raw_nonzero().get()) == Ok(process) => {
                return ExitStatus::from_raw(status.as_raw());
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // Nobody is left to wait for.
            Err(_) => return ExitStatus::from_raw(1 << 8),
        }
    }
}

fn reap_all() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

/// Sends SIGTERM to every process once. All are stopped before the first is told, so that what a
/// trap starts is not told as well.
fn terminate(spared: &BTreeSet<i32>) {
    let mut stopped = BTreeSet::new();
    for _ in 0..ROUNDS {
        let new: Vec<i32> = others(spared).filter(|pid| !stopped.contains(pid)).collect();
        if new.is_empty() {
            break;
        }
        for pid in new {
            signal(pid, Signal::STOP);
            stopped.insert(pid);
        }
    }
    for pid in &stopped {
        signal(*pid, Signal::TERM);
    }
    for pid in stopped.iter().rev() {
        signal(*pid, Signal::CONT);
    }
}

/// Kills every process until none is left.
fn kill_all(spared: &BTreeSet<i32>) {
    for _ in 0..ROUNDS {
        let left: Vec<i32> = others(spared).collect();
        if left.is_empty() {
            return;
        }
        for pid in left {
            signal(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(1));
        reap_all();
    }
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid)
        && let Err(error) = kill_process(pid, signal)
    {
        // It has ended, or is another user's, which the driver's own stop then ends.
        tracing::debug!(%error, ?pid, "cannot signal");
    }
}

fn others(spared: &BTreeSet<i32>) -> impl Iterator<Item = i32> {
    let own = i32::try_from(std::process::id()).unwrap_or(1);
    pids().into_iter().filter(move |pid| *pid != own && !spared.contains(pid) && !is_zombie(*pid))
}

fn is_zombie(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}

fn pids() -> BTreeSet<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// How often the kernel has killed something here for want of memory; both kinds of control groups.
fn memory_kills() -> u64 {
    ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"]
        .into_iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .find_map(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
            line.trim().parse().ok()
        })
        .unwrap_or(0)
}
