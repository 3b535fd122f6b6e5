//! One call of the driver: a process in a group of its own, its output, its end, how it is stopped.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::pipeline::runner::interrupt::{Interrupt, Level};

/// The driver, as `config_exec` and its siblings register it.
#[derive(Debug, Clone)]
pub struct Driver {
    /// The executable.
    pub program: PathBuf,
    /// Arguments between the verb and what the runner adds.
    pub arguments: Vec<String>,
}

/// The runner's own times.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// After each failed prepare attempt.
    pub prepare_pause: Duration,
    /// Before the second try of a stage; it doubles then.
    pub stage_pause: Duration,
    /// `graceful_kill_timeout`: between SIGTERM and SIGKILL.
    pub graceful_kill: Duration,
    /// `force_kill_timeout`: after SIGKILL the runner gives up.
    pub force_kill: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            prepare_pause: Duration::from_secs(3),
            stage_pause: Duration::from_secs(5),
            graceful_kill: Duration::from_secs(30),
            force_kill: Duration::from_secs(10),
        }
    }
}

/// Why a call was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// By the user, who lets `after_script` run.
    Cancelled,
    /// By the user, at once.
    Forced,
    /// `timeout:` of the job.
    JobTimeout,
    /// `RUNNER_SCRIPT_TIMEOUT` and its sibling.
    ScriptTimeout,
}

/// What may stop a call.
#[derive(Debug)]
pub struct Stops<'a> {
    /// The user.
    pub interrupt: &'a Interrupt,
    /// From which level on.
    pub level: Level,
    /// The end of the job's time; `None` for cleanup, which has its own.
    pub job: Option<Instant>,
    /// The end of the script's time.
    pub script: Option<Instant>,
}

impl Stops<'_> {
    async fn stopped(&self) -> Why {
        let at = |deadline: Option<Instant>| async move {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            level = self.interrupt.reached(self.level) => {
                if level == Level::Forced { Why::Forced } else { Why::Cancelled }
            }
            () = at(self.job) => Why::JobTimeout,
            () = at(self.script) => Why::ScriptTimeout,
        }
    }
}

/// A call.
#[derive(Debug)]
pub struct Call<'a> {
    /// `config`, `prepare`, `run`, `cleanup`.
    pub verb: &'a str,
    /// What follows the registered arguments.
    pub tail: &'a [&'a str],
    /// The whole environment.
    pub environment: &'a BTreeMap<String, String>,
    /// The working directory.
    pub folder: &'a Path,
}

/// Which of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// How a call ended.
#[derive(Debug)]
pub enum Ended {
    /// By itself.
    Exited(ExitStatus),
    /// It was stopped; its exit code does not matter.
    Stopped(Why),
    /// It could not be started.
    NotStarted(std::io::Error),
}

/// Makes a call and hands its output on as it comes.
///
/// Waits for the process and for the end of both streams, as the runner does: a background child
/// that keeps one open holds the call. When the future is dropped the direct child is killed.
pub async fn call(
    driver: &Driver,
    call: &Call<'_>,
    stops: &Stops<'_>,
    timing: &Timing,
    output: &mut (dyn FnMut(Stream, &[u8]) + Send),
) -> Ended {
    let started = Command::new(&driver.program)
        .arg(call.verb)
        .args(&driver.arguments)
        .args(call.tail)
        .current_dir(call.folder)
        .env_clear()
        .envs(call.environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return Ended::NotStarted(error),
    };
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let mut work = std::pin::pin!(to_its_end(&mut child, output));
    let why = tokio::select! {
        ended = &mut work => return ended,
        why = stops.stopped() => why,
    };
    // The process may just have ended: no such group is fine.
    let signal = |signal| group.map(|group| kill_process_group(group, signal));
    _ = signal(Signal::TERM);
    if tokio::time::timeout(timing.graceful_kill, &mut work).await.is_ok() {
        return stopped(why, stops);
    }
    _ = signal(Signal::KILL);
    // After that the runner gives up, whoever still holds the streams.
    let _given_up = tokio::time::timeout(timing.force_kill, &mut work).await;
    stopped(why, stops)
}

/// A force that came during the grace counts.
fn stopped(why: Why, stops: &Stops<'_>) -> Ended {
    let forced = why == Why::Cancelled && stops.interrupt.level() == Level::Forced;
    Ended::Stopped(if forced { Why::Forced } else { why })
}

async fn to_its_end(child: &mut Child, output: &mut (dyn FnMut(Stream, &[u8]) + Send)) -> Ended {
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let mut buffers = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let mut status = None;
    loop {
        if let (None, None, Some(status)) = (&out, &err, status) {
            return Ended::Exited(status);
        }
        tokio::select! {
            n = read(&mut out, &mut buffers.0), if out.is_some() => match n {
                0 => out = None,
                n => output(Stream::Out, buffers.0.get(..n).unwrap_or_default()),
            },
            n = read(&mut err, &mut buffers.1), if err.is_some() => match n {
                0 => err = None,
                n => output(Stream::Err, buffers.1.get(..n).unwrap_or_default()),
            },
            ended = child.wait(), if status.is_none() => match ended {
                Ok(ended) => status = Some(ended),
                Err(error) => return Ended::NotStarted(error),
            },
        }
    }
}

/// Reads some bytes; a broken pipe ends the stream as its end does.
async fn read(stream: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> usize {
    match stream {
        Some(stream) => stream.read(buffer).await.unwrap_or(0),
        None => 0,
    }
}

/// How Go tells a process's end: `exit status 2`, `signal: killed`.
pub fn go_status(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(9)) => "signal: killed".to_owned(),
        (None, Some(15)) => "signal: terminated".to_owned(),
        (None, signal) => format!("signal: {}", signal.unwrap_or_default()),
    }
}
