//! One script in the sandbox, from its start to its end.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Gid, MemfdFlags, Uid, chownat, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;
use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::environment::output::{KILLED, adopt};
use crate::environment::relay::Listen;
use crate::environment::sandbox::argv::{self, Host, Start};
use crate::environment::sandbox::cgroup::Groups;
use crate::environment::sandbox::check;
use crate::environment::sandbox::enter::Entry;
use crate::environment::sandbox::process::{Process, terminate_all};
use crate::environment::sandbox::spec::{Network, Spec};
use crate::environment::sandbox::{etc, folder, seccomp, stage};
use crate::environment::{Error, Script, ScriptEnd};

/// How long the kernel may take to clear away a sandbox whose first process was killed.
const CLEARING: Duration = Duration::from_secs(10);

/// A process that is started gets every descriptor that is open for it: one start at a time.
pub static STARTING: Mutex<()> = Mutex::new(());

/// Runs a script to its end.
pub async fn run(
    spec: &Spec,
    script: &Script<'_>,
    cancel: &CancellationToken,
) -> Result<ScriptEnd, Error> {
    if cancel.is_cancelled() {
        return Ok(ScriptEnd::Cancelled);
    }
    let groups = fs::read_to_string(spec.folder.join("cgroups"))
        .map_or_else(|_| Groups::default(), |text| Groups::parse(&text));
    let kills_before = groups.memory_kills();
    stage::note(&spec.folder)?;
    let mut live = start(spec, script, &groups)?;
    let status = live.watch(cancel, spec.limits.grace.0).await?;
    stage::note_end(&spec.folder)?;
    let Some(status) = status else { return Ok(ScriptEnd::Cancelled) };
    let is_short_of_memory = groups.memory_kills() > kills_before;
    match (live.told.exit_code, status.code()) {
        (Some(0), _) => Ok(ScriptEnd::Exited(0)),
        // A script that goes on after the loss ends as it says; and bubblewrap itself may be taken.
        (Some(KILLED) | None, _) if is_short_of_memory => Ok(ScriptEnd::OutOfMemory),
        (Some(code), _) => Ok(ScriptEnd::Exited(code)),
        (None, Some(_)) => Err(check::refusal()),
        (None, None) => Err(Error::Lost { status: status.to_string() }),
    }
}

fn start(spec: &Spec, script: &Script<'_>, groups: &Groups) -> Result<Live, Error> {
    let stdin = File::open(script.file).map_err(Error::file("read", script.file))?;
    let listen = match (script.relay, spec.network) {
        (Some(relay), Network::None) => Some(Listen::new(relay)?),
        (Some(_) | None, _) => None,
    };
    if let Some(name) = listen.as_ref().and_then(|listen| listen.name.as_deref()) {
        folder::write(&spec.folder.join("hosts"), &etc::hosts(&spec.name, "", Some(name)), 0o644)?;
    }
    if let Some(user) = spec.user {
        let relay = script.relay.map(|relay| relay.socket.as_path());
        for socket in script.socket.into_iter().chain(relay) {
            let (uid, gid) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(user)));
            chownat(CWD, socket, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| Error::file("give away", socket)(error.into()))?;
        }
        adopt(&io::stdout(), user, user);
    }
    folder::open_parts(spec)?;
    let processes = spec.limits.processes.filter(|_| groups.pids.is_none());
    let start = Start { listen, processes };
    let arguments = argv::arguments(spec, &Host::look(spec), script, &start);
    let entry = Entry {
        parent: std::process::id(),
        join: groups.folders().into_iter().map(Path::to_owned).collect(),
        open_files: spec.limits.open_files.map(u64::from),
        data: spec.limits.memory.filter(|_| groups.memory.is_none()).map(|size| size.0),
        user: spec.user,
        command: Vec::new(),
    };
    spawn(spec, entry, arguments, (stdin, start.command(script.shell)))
}

fn spawn(
    spec: &Spec,
    mut entry: Entry,
    arguments: Vec<OsString>,
    (stdin, command): (File, Vec<OsString>),
) -> Result<Live, Error> {
    let bubblewrap = check::bubblewrap()?;
    let cannot = |error: rustix::io::Errno| Error::process("prepare a start")(error.into());
    let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let arguments = sheet(arguments).map_err(Error::process("write bubblewrap's arguments"))?;
    let filter = nameless(&seccomp::filter()).map_err(Error::process("write the filter"))?;
    let (reader, writer) = pipe_with(PipeFlags::empty()).map_err(cannot)?;
    fcntl_setfd(&reader, FdFlags::CLOEXEC).map_err(cannot)?;
    let number = |fd: &OwnedFd| OsString::from(fd.as_raw_fd().to_string());
    entry.command = vec![bubblewrap.into(), "--args".into(), number(&arguments)];
    entry.command.extend(["--seccomp".into(), number(&filter)]);
    entry.command.extend(["--json-status-fd".into(), number(&writer), "--".into()]);
    entry.command.extend(command);
    // In a group of its own, so that the runner's signals reach the driver only. With no environment:
    // the job's must not rule bubblewrap's loader outside the sandbox.
    let output = io::stdout().as_fd().try_clone_to_owned().map(Stdio::from);
    let output = output.map_err(Error::process("share the output"))?;
    let child = Command::new(&spec.program)
        .args(entry.arguments())
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(stdin))
        // One stream: what a command says of its failure stays behind what it printed before.
        .stderr(output)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| Error::Start { program: spec.program.display().to_string(), source })?;
    let reader = Receiver::from_owned_fd(reader).map_err(Error::process("watch the sandbox"))?;
    Ok(Live { child, reader, text: Vec::new(), told: Told::default(), init: None })
}

/// The arguments as a file without a name: neither they nor the job's environment show in `ps`.
fn sheet(arguments: Vec<OsString>) -> io::Result<OwnedFd> {
    let mut text = Vec::new();
    for argument in arguments {
        text.extend(argument.into_vec());
        text.push(0);
    }
    nameless(&text)
}

/// A file without a name, to be read from its start.
fn nameless(text: &[u8]) -> io::Result<OwnedFd> {
    let file = memfd_create("dyno", MemfdFlags::empty())?;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let n_written = rustix::io::pwrite(&file, rest, u64::try_from(at).unwrap_or(u64::MAX))?;
        at += n_written;
    }
    Ok(file)
}

/// A sandbox in which a script runs.
struct Live {
    child: Child,
    reader: Receiver,
    text: Vec<u8>,
    told: Told,
    init: Option<Init>,
}

/// The first process inside, with which all the others end.
struct Init {
    process: Process,
    namespace: u64,
}

/// What bubblewrap tells on its status descriptor: first who is inside, then how it ended.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Told {
    child_pid: Option<i32>,
    pid_namespace: Option<u64>,
    exit_code: Option<i32>,
}

impl Live {
    /// Waits for the end of all that is inside; `None` when it was cancelled.
    async fn watch(
        &mut self,
        cancel: &CancellationToken,
        grace: Duration,
    ) -> Result<Option<ExitStatus>, Error> {
        let mut is_told = false;
        let ended = loop {
            let mut buffer = Vec::with_capacity(256);
            tokio::select! {
                ended = self.child.wait() => {
                    break Some(ended.map_err(Error::process("wait for the sandbox"))?);
                }
                () = cancel.cancelled() => break None,
                read = self.reader.read_buf(&mut buffer), if !is_told => {
                    is_told = matches!(read, Ok(0) | Err(_));
                    self.text.append(&mut buffer);
                    self.meet_init();
                }
            }
        };
        if ended.is_none() {
            self.terminate(grace).await?;
        }
        self.clear().await;
        Ok(ended)
    }

    /// Reads what bubblewrap told so far.
    fn meet_init(&mut self) {
        for line in self.text.split_inclusive(|byte| *byte == b'\n') {
            let Ok(told) = serde_json::from_slice::<Told>(line) else { continue };
            self.told.child_pid = told.child_pid.or(self.told.child_pid);
            self.told.pid_namespace = told.pid_namespace.or(self.told.pid_namespace);
            self.told.exit_code = told.exit_code.or(self.told.exit_code);
        }
        if let (None, Some(pid), Some(namespace)) =
            (&self.init, self.told.child_pid, self.told.pid_namespace)
            && let Some(process) = Process::hold(pid)
            // When it has ended already, its number may mean somebody else.
            && process.namespace() == Some(namespace)
        {
            self.init = Some(Init { process, namespace });
        }
    }

    /// Asks everything inside to end, and after the grace makes it.
    async fn terminate(&mut self, grace: Duration) -> Result<(), Error> {
        if let Some(init) = &self.init {
            terminate_all(&init.process, init.namespace);
            let waited = tokio::time::timeout(grace, self.child.wait()).await;
            tracing::debug!(in_time = waited.is_ok(), "cancelled script ended");
        }
        // Ends bubblewrap's outer process, and with it the inner one.
        self.child.kill().await.map_err(Error::process("end the sandbox"))
    }

    /// Makes sure that nothing is left inside: a background process goes with the first one.
    async fn clear(&mut self) {
        let mut rest = [0; 4096];
        while let Ok(n_read @ 1..) = self.reader.try_read(&mut rest) {
            self.text.extend(rest.get(..n_read).unwrap_or_default());
        }
        self.meet_init();
        let Some(init) = &self.init else { return };
        init.process.signal(Signal::KILL);
        if !init.process.ended(CLEARING).await {
            tracing::warn!("the kernel has not cleared the sandbox away yet");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    #[test]
    fn arguments_are_written_with_an_end_each() {
        let sheet = sheet(vec!["--a".into(), String::new().into(), "b c\n".into()]).unwrap();
        let mut file = File::from(sheet);
        // bubblewrap reads from where the descriptor stands.
        assert_eq!(file.stream_position().unwrap(), 0);
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "--a\0\0b c\n\0");
    }
}
