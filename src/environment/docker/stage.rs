//! One script in a job's container, from its start to its end.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::models::ContainerState;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::order::{self, Done, Hello, Order};
use super::spec::Spec;
use super::{disk, engine, posix, service};
use crate::environment::output::{KILLED, adopt};
use crate::environment::relay::Listen;
use crate::environment::{Error, Script, ScriptEnd};

/// How long the first process of a container that runs may take to come for its script.
const COMING: Duration = Duration::from_secs(20);

/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(200);

/// What is left for the daemon's own stop after the grace.
const STOPPING: Duration = Duration::from_secs(5);

/// One of a job's two containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The job's image, for the user's scripts.
    Job,
    /// dyno's own, for the runner's.
    Helper,
}

impl Which {
    /// The part of the job's folder that holds its sockets.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Helper => "helper",
        }
    }

    fn container(self, spec: &Spec) -> String {
        match self {
            Self::Job => spec.job_container(),
            Self::Helper => spec.helper_container(),
        }
    }
}

/// Makes sure that a container takes scripts.
pub async fn meet(engine: &Docker, spec: &Spec, which: Which) -> Result<(), Error> {
    let (_, hello) = greet(engine, spec, which).await?;
    if hello.shell.is_some() {
        return Ok(());
    }
    Err(Error::Image {
        image: spec.image.name.clone(),
        reason: "it has no shell to run scripts".to_owned(),
        hint: "choose an image with `sh` or `bash`".to_owned(),
    })
}

/// Runs a script to its end.
pub async fn run(
    spec: &Spec,
    script: &Script<'_>,
    cancel: &CancellationToken,
) -> Result<ScriptEnd, Error> {
    if cancel.is_cancelled() {
        return Ok(ScriptEnd::Cancelled);
    }
    let engine = engine::connect(&spec.socket).await?;
    let which = if script.socket.is_some() { Which::Job } else { Which::Helper };
    place_sockets(spec, script)?;
    let (mut stream, hello) = greet(&engine, spec, which).await?;
    let order = order(spec, script, which)?;
    let text = match which {
        Which::Job => prepared(script.file, &hello)?,
        Which::Helper => File::open(script.file).map_err(Error::file("read", script.file))?.into(),
    };
    if let Ok(peer) = stream.peer_cred() {
        adopt(&io::stdout(), peer.uid(), peer.gid());
    }
    hand_over(&stream, &order, &text, io::stdout().as_fd())
        .await
        .map_err(Error::process("hand the script over"))?;
    let full = async {
        match spec.limits.disk.filter(|_| which == Which::Job) {
            Some(limit) => disk::exceeded(&engine, spec, limit).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        done = order::read::<Done>(&mut stream) => Ok(done),
        () = full => Err(ScriptEnd::OutOfDisk),
        () = cancel.cancelled() => Err(ScriptEnd::Cancelled),
    };
    let done = match ended {
        Ok(done) => done,
        Err(why) => {
            end(&engine, spec, which, &mut stream).await?;
            return Ok(why);
        }
    };
    match done.map_err(Error::process("watch the container"))? {
        Some(Done { code: 0, .. }) => Ok(ScriptEnd::Exited(0)),
        Some(Done { code: KILLED, is_out_of_memory: true }) => Ok(ScriptEnd::OutOfMemory),
        Some(Done { code, .. }) => Ok(ScriptEnd::Exited(code)),
        None => lost(&engine, spec, which).await,
    }
}

/// The container ended under its script.
async fn lost(engine: &Docker, spec: &Spec, which: Which) -> Result<ScriptEnd, Error> {
    let state = state(engine, &which.container(spec)).await?;
    if state.oom_killed == Some(true) {
        return Ok(ScriptEnd::OutOfMemory);
    }
    let code = state.exit_code.unwrap_or(0);
    Err(Error::Lost { status: format!("the container ended with code {code}") })
}

async fn state(engine: &Docker, container: &str) -> Result<ContainerState, Error> {
    let found = engine.inspect_container(container, None).await;
    let found = found.map_err(engine::failed(format!("look at container `{container}`")))?;
    Ok(found.state.unwrap_or_default())
}

/// Opens the socket that a container's first process looks for, and waits for it to come.
pub async fn greet(
    engine: &Docker,
    spec: &Spec,
    which: Which,
) -> Result<(UnixStream, Hello), Error> {
    let folder = spec.folder.join(which.folder());
    let socket = folder.join("hold");
    let listener = listen(&folder.join("hold.new"), &socket)?;
    let container = which.container(spec);
    let arrived = tokio::select! {
        arrived = timeout(COMING, listener.accept()) => arrived,
        error = gone(engine, spec, &container) => {
            remove(&socket)?;
            return Err(error);
        }
    };
    // The next script has a socket of its own.
    remove(&socket)?;
    let (mut stream, _) = arrived
        .map_err(|_| Error::Lost {
            status: "nothing in the container takes the script".to_owned(),
        })?
        .map_err(Error::process("wait for the container"))?;
    let hello = order::read::<Hello>(&mut stream).await;
    let hello = hello.map_err(Error::process("hear the container"))?;
    let hello = hello.ok_or_else(|| Error::Lost { status: "it hung up".to_owned() })?;
    Ok((stream, hello))
}

/// Listens at a path that is there only once somebody listens.
fn listen(new: &Path, socket: &Path) -> Result<UnixListener, Error> {
    remove(new)?;
    let listener = UnixListener::bind(new).map_err(Error::file("create", new))?;
    open_to_all(new)?;
    fs::rename(new, socket).map_err(Error::file("create", socket))?;
    Ok(listener)
}

/// The folder around it is closed to everybody but the container.
fn open_to_all(socket: &Path) -> Result<(), Error> {
    fs::set_permissions(socket, Permissions::from_mode(0o666)).map_err(Error::file("open", socket))
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file("remove", path)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Returns when a container does not run any more, with what is known of why.
async fn gone(engine: &Docker, spec: &Spec, container: &str) -> Error {
    loop {
        sleep(LOOK).await;
        let state = match state(engine, container).await {
            Ok(state) if state.running == Some(true) => continue,
            Ok(state) => state,
            Err(error) => return error,
        };
        let code = state.exit_code.unwrap_or(0);
        let log = service::log(engine, container).await;
        let words = if log.is_empty() { String::new() } else { format!("; its last words: {log}") };
        return Error::Image {
            image: spec.image.name.clone(),
            reason: format!("its entrypoint ended with code {code} and ran no script{words}"),
            hint: "an entrypoint must `exec \"$@\"`; `entrypoint: [\"\"]` does without it"
                .to_owned(),
        };
    }
}

/// Puts the driver's sockets where the container sees them.
fn place_sockets(spec: &Spec, script: &Script<'_>) -> Result<(), Error> {
    let relay = script.relay.map(|relay| relay.socket.as_path());
    for (from, which, name) in
        [(script.socket, Which::Job, "guest"), (relay, Which::Helper, "relay")]
    {
        let to = spec.folder.join(which.folder()).join(name);
        match from {
            Some(from) => {
                open_to_all(from)?;
                fs::rename(from, &to).map_err(Error::file("place", to))?;
            }
            None => remove(&to)?,
        }
    }
    Ok(())
}

fn order(spec: &Spec, script: &Script<'_>, which: Which) -> Result<Order, Error> {
    let listen = script.relay.map(Listen::new).transpose()?;
    let environment: BTreeMap<&str, &str> = match which {
        Which::Helper => {
            script.environment.iter().map(|(name, value)| (&**name, &**value)).collect()
        }
        // An image's own environment stays.
        Which::Job => BTreeMap::from([
            ("BASH_ENV", "/run/dyno/prelude.sh"),
            ("DYNO_SOCKET", "/run/dyno/sockets/guest"),
            ("DYNO_EXPORTS", "/run/dyno/exports"),
        ]),
    };
    Ok(Order {
        environment: environment
            .into_iter()
            .filter(|(name, _)| which == Which::Job || !["HOME", "USER", "LOGNAME"].contains(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        path: (which == Which::Job).then(|| "/run/dyno/bin".to_owned()),
        listen: listen.map(|listen| format!("{}:{}", listen.address, listen.port)),
        is_open: which == Which::Helper,
        grace_ms: u64::try_from(spec.limits.grace.0.as_millis()).unwrap_or(u64::MAX),
    })
}

/// The script as the image's shell can read it, with the prelude before it where the shell does not
/// read that by itself.
fn prepared(file: &Path, hello: &Hello) -> Result<OwnedFd, Error> {
    if hello.shell.as_deref().is_some_and(|shell| shell.ends_with("bash")) {
        return Ok(File::open(file).map_err(Error::file("read", file))?.into());
    }
    let text = fs::read(file).map_err(Error::file("read", file))?;
    let text = if hello.has_escapes { text } else { posix::rewrite(&text) };
    let text = [b". /run/dyno/prelude.sh\n", text.as_slice()].concat();
    disk::script(text).map_err(Error::process("write the script"))
}

/// Gives a script to the container, with one stream for output and errors: what a command says of
/// its failure stays behind what it printed before.
pub async fn hand_over(
    stream: &UnixStream,
    order: &Order,
    script: &OwnedFd,
    out: BorrowedFd<'_>,
) -> io::Result<()> {
    let bytes = order::frame(order)?;
    let fds: [BorrowedFd<'_>; 3] = [script.as_fd(), out, out];
    let n_sent = loop {
        stream.writable().await?;
        match stream.try_io(tokio::io::Interest::WRITABLE, || {
            order::send_with(stream.as_fd(), &bytes, &fds).map_err(io::Error::from)
        }) {
            Ok(n_sent) => break n_sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    };
    let mut rest = bytes.get(n_sent..).unwrap_or_default();
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(n_written) => rest = rest.get(n_written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Ends the script: asks, waits for the grace, and stops the container where that was not enough.
async fn end(
    engine: &Docker,
    spec: &Spec,
    which: Which,
    stream: &mut UnixStream,
) -> Result<(), Error> {
    let asked = stream.write_all(b"!").await;
    let patience = spec.limits.grace.0 + STOPPING;
    if asked.is_ok()
        && matches!(timeout(patience, order::read::<Done>(stream)).await, Ok(Ok(Some(_))))
    {
        return Ok(());
    }
    let container = which.container(spec);
    match engine.kill_container(&container, None).await {
        // 409: it has ended by itself.
        Err(bollard::errors::Error::DockerResponseServerError {
            status_code: 404 | 409, ..
        })
        | Ok(()) => Ok(()),
        Err(answer) => Err(engine::failed("stop the job's container")(answer)),
    }
}
