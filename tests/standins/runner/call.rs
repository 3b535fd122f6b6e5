//! One call of the driver: its own process group, no input, SIGTERM to all of the group and
//! SIGKILL after the grace.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use super::{Log, Stop};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// By itself, with a code.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

/// A call of the driver that ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    /// `config`, `prepare`, `cleanup`, or the stage that `run` was called with.
    pub stage: String,
    /// How it ended.
    pub exit: Exit,
    /// What it printed, not masked.
    pub stdout: String,
    /// What it printed, not masked.
    pub stderr: String,
    /// `BUILD_EXIT_CODE_FILE` after it.
    pub code_file: Option<String>,
    /// The runner's temporary folder, gone by now.
    pub folder: PathBuf,
    /// How long it ran.
    pub seconds: f64,
}

/// What the runner waits for.
#[derive(Debug)]
pub enum Event {
    /// The call with this number is over.
    Exited(u32, ExitStatus),
    /// Something happens to the job.
    Stop(Stop),
}

/// Why a call ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// By a user or the runner's own end.
    Stop(Stop),
    /// The job's or the script's time is over.
    TimeOver,
}

/// What a call is made of.
pub struct Order<'a> {
    /// Name for the record.
    pub stage: &'a str,
    /// The driver's program.
    pub program: &'a Path,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
    /// Its working directory, `TMPDIR`.
    pub folder: &'a Path,
    /// When it must be over.
    pub deadline: Option<Instant>,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
    /// Where stdout goes beside the record; `None` keeps it out of the job log.
    pub stdout: Option<Arc<Log>>,
    /// Where stderr goes.
    pub stderr: Option<Arc<Log>>,
    /// False for cleanup, which nothing interrupts.
    pub can_be_stopped: bool,
}

/// Makes one call and waits for its end.
pub fn make(
    order: Order<'_>,
    sender: &Sender<Event>,
    events: &Receiver<Event>,
) -> (Call, Option<Interrupt>) {
    let started = Instant::now();
    let mut child = Command::new(order.program)
        .args(&order.arguments)
        .env_clear()
        .envs(&order.environment)
        .current_dir(order.folder)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", order.program.display()));
    let number = child.id();
    let stdout = copy(child.stdout.take().expect("piped above"), order.stdout);
    let stderr = copy(child.stderr.take().expect("piped above"), order.stderr);
    let exited = sender.clone();
    std::thread::spawn(move || {
        let status = child.wait().expect("a child of this process");
        drop(exited.send(Event::Exited(number, status)));
    });
    let group = Group { number, grace: order.grace, can_be_stopped: order.can_be_stopped };
    let (status, interrupt) = group.wait(order.deadline, events);
    // Whoever keeps the pipes open keeps the stage open.
    let (stdout, stderr) = (stdout.finish(), stderr.finish());
    let exit =
        status.code().map_or_else(|| Exit::Signal(status.signal().unwrap_or_default()), Exit::Code);
    let code_file = std::fs::read_to_string(order.folder.join("build_exit_code")).ok();
    let call = Call {
        stage: order.stage.to_owned(),
        exit,
        stdout,
        stderr,
        code_file,
        folder: order.folder.to_owned(),
        seconds: started.elapsed().as_secs_f64(),
    };
    (call, interrupt)
}

struct Group {
    number: u32,
    grace: Duration,
    can_be_stopped: bool,
}

impl Group {
    fn wait(
        &self,
        deadline: Option<Instant>,
        events: &Receiver<Event>,
    ) -> (ExitStatus, Option<Interrupt>) {
        let mut interrupt = None;
        let mut next = deadline;
        loop {
            let left = next
                .map_or(Duration::from_mins(10), |at| at.saturating_duration_since(Instant::now()));
            match events.recv_timeout(left) {
                Ok(Event::Exited(number, status)) if number == self.number => {
                    return (status, interrupt);
                }
                Ok(Event::Stop(Stop::TermAgain)) => self.signal(Signal::TERM),
                Ok(Event::Stop(stop)) if self.can_be_stopped => {
                    interrupt = Some(Interrupt::Stop(stop));
                    self.signal(Signal::TERM);
                    next = Some(Instant::now() + self.grace);
                }
                Ok(Event::Exited(..) | Event::Stop(_)) => (),
                Err(RecvTimeoutError::Timeout) if interrupt.is_none() => {
                    interrupt = Some(Interrupt::TimeOver);
                    self.signal(Signal::TERM);
                    next = Some(Instant::now() + self.grace);
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.signal(Signal::KILL);
                    next = None;
                }
                Err(RecvTimeoutError::Disconnected) => panic!("the runner holds a sender itself"),
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.number).ok().and_then(Pid::from_raw);
        // Gone already is what a signal wants.
        if let Some(pid) = pid {
            kill_process_group(pid, signal).unwrap_or_default();
        }
    }
}

struct Copy {
    text: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Copy {
    fn finish(self) -> String {
        drop(self.thread.join());
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn copy(from: impl Read + Send + 'static, log: Option<Arc<Log>>) -> Copy {
    let text = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&text);
    let thread = std::thread::spawn(move || {
        let mut lines = BufReader::new(from);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if let Some(log) = &log {
                log.line(&line);
            }
            kept.lock().unwrap_or_else(PoisonError::into_inner).append(&mut line);
        }
    });
    Copy { text, thread }
}
