//! `dyno inside`: first in a sandbox, before a shell that needs a relay or a limit of its own.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus};

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};
use tokio::io::copy_bidirectional;
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::environment::Error;

/// Where the driver's socket is seen.
const SOCKET: &str = "/run/dyno/relay";

/// What `dyno inside` does before and beside the shell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Inside {
    listen: Option<SocketAddr>,
    processes: Option<u64>,
    socket: Option<OsString>,
    keeps_capabilities: bool,
    command: Vec<OsString>,
}

impl Inside {
    fn parse(args: &[OsString]) -> Option<Self> {
        let mut inside = Self::default();
        let mut args = args.iter();
        loop {
            match args.next()?.to_str()? {
                "--" => {
                    inside.command = args.cloned().collect();
                    return (!inside.command.is_empty()).then_some(inside);
                }
                "--listen" => inside.listen = Some(args.next()?.to_str()?.parse().ok()?),
                "--socket" => inside.socket = Some(args.next()?.clone()),
                "--keep" => inside.keeps_capabilities = true,
                "--processes" => inside.processes = Some(args.next()?.to_str()?.parse().ok()?),
                _ => return None,
            }
        }
    }
}

/// The internal verb `inside`: ends as the shell does.
///
/// # Errors
/// When the shell cannot be started as it should be.
pub fn inside(args: &[OsString]) -> Result<ExitCode, Error> {
    let Some(inside) = Inside::parse(args) else {
        return Err(Error::Unfit {
            what: "`dyno inside` is started by dyno itself".to_owned(),
            hint: "see `dyno help`".to_owned(),
        });
    };
    let [program, arguments @ ..] = inside.command.as_slice() else {
        return Ok(ExitCode::FAILURE);
    };
    if let Some(processes) = inside.processes {
        // Set here and not before bubblewrap: it counts what is in this user namespace only.
        let limit = Rlimit { current: Some(processes), maximum: Some(processes) };
        setrlimit(Resource::Nproc, limit)
            .map_err(|error| Error::process("limit the processes")(error.into()))?;
    }
    let mut command = Command::new(program);
    command.args(arguments);
    let program = || program.display().to_string();
    let Some(address) = inside.listen else {
        return Err(Error::Start { program: program(), source: command.exec() });
    };
    let listener = listen(address).map_err(Error::process("listen for the relay"))?;
    if !inside.keeps_capabilities {
        drop_capabilities()
            .map_err(|error| Error::process("give up capabilities")(error.into()))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(Error::process("start the relay"))?;
    let status = runtime
        .block_on(accompany(listener, inside.socket.unwrap_or_else(|| SOCKET.into()), command))
        .map_err(|source| Error::Start { program: program(), source })?;
    Ok(ExitCode::from(code(status)))
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Gives up what a port below 1024 needed, so that nothing that follows can have it.
fn drop_capabilities() -> rustix::io::Result<()> {
    clear_ambient_capability_set()?;
    for capability in CapabilitySet::all().iter() {
        // Without CAP_SETPCAP there was nothing to give up: the bounding set is empty then.
        if remove_capability_from_bounding_set(capability).is_err() {
            break;
        }
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}

/// Runs the shell, and carries connections to the driver's socket for as long as it lives.
async fn accompany(
    listener: TcpListener,
    socket: OsString,
    command: Command,
) -> std::io::Result<ExitStatus> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    // A cancel reaches every process inside. The shell decides when it is over, not the relay.
    let mut term = signal(SignalKind::terminate())?;
    let mut shell = tokio::process::Command::from(command).spawn()?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            ended = shell.wait() => return ended,
            _ = term.recv() => (),
            Some(_) = connections.join_next() => (),
            Ok((mut connection, _)) = listener.accept() => {
                let socket = socket.clone();
                connections.spawn(async move {
                    let mut driver = UnixStream::connect(socket).await?;
                    copy_bidirectional(&mut connection, &mut driver).await
                });
            }
        }
    }
}

/// The exit code as a shell tells it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_after_inside_are_read() {
        let parse =
            |words: &[&str]| Inside::parse(&words.iter().map(OsString::from).collect::<Vec<_>>());
        let inside =
            parse(&["--listen", "127.0.0.1:80", "--processes", "9", "--", "bash"]).unwrap();
        assert_eq!(inside.listen, Some(SocketAddr::from(([127, 0, 0, 1], 80))));
        assert_eq!((inside.processes, inside.command), (Some(9), vec!["bash".into()]));
        assert!(parse(&["--", "bash", "--listen"]).is_some());
        for words in [&["bash"][..], &["--"], &["--listen", "x", "--", "bash"], &[]] {
            assert_eq!(parse(words), None, "{words:?}");
        }
    }

    #[test]
    fn a_status_reads_as_a_shell_tells_it() {
        for (raw, expected) in [(0, 0), (7 << 8, 7), (255 << 8, 255), (9, 137), (15, 143)] {
            assert_eq!(code(ExitStatus::from_raw(raw)), expected);
        }
    }
}
