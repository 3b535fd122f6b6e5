//! The guest's end of the socket.

use std::path::Path;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::sync::CancellationToken;

use crate::deploy::kubectl::{self, Request};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::policy::Task;

use super::protocol::{self, Ask, Carried, Event, Tell};
use super::tunnel::Ends;

/// Asks the driver to perform a task, and hands on what it tells meanwhile.
///
/// On cancel the connection is closed, which cancels the task on the driver's side.
///
/// # Errors
/// What the driver answers; a driver that is gone is the platform's fault.
pub async fn ask(
    socket: &Path,
    task: Task,
    emit: &mut (dyn FnMut(Event) + Send),
    cancel: &CancellationToken,
) -> Result<Outcome> {
    let (mut from, _to) = asked(socket, task).await?;
    loop {
        let told = tokio::select! {
            told = protocol::read::<Tell>(&mut from) => told.map_err(lost)?,
            () = cancel.cancelled() => return Ok(Outcome::Interrupted),
        };
        match told {
            Some(Tell::Event(event)) => emit(*event),
            Some(Tell::Ended(outcome)) => return Ok(outcome),
            Some(Tell::Failed(told)) => return Err(Error::from(told)),
            None => return Err(gone()),
        }
    }
}

/// Has the driver carry a connection into a pod. The answer is why the pod ended it, where it said
/// so.
///
/// # Errors
/// What the driver answers; a driver that is gone is the platform's fault.
pub async fn carried(
    socket: &Path,
    request: Request,
    (client, to_client): Ends<'_>,
    cancel: &CancellationToken,
) -> Result<Option<String>> {
    let (mut from, mut to) = asked(socket, Task::Kubectl(Box::new(request))).await?;
    let sent = async {
        // The end of what a client says is told by the end of the stream.
        if tokio::io::copy(client, &mut to).await.is_ok() && to.shutdown().await.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    let answered = async {
        let mut complaint = None;
        loop {
            match protocol::read_carried(&mut from).await.map_err(lost)? {
                Some(Carried::Bytes(bytes)) => {
                    if to_client.write_all(&bytes).await.is_err() {
                        return Ok(None);
                    }
                }
                Some(Carried::Told(Tell::Event(event))) => {
                    if let Event::Kubectl(kubectl::Event::Stderr(why)) = *event {
                        complaint = Some(why);
                    }
                }
                Some(Carried::Told(Tell::Ended(_))) => return Ok(complaint),
                Some(Carried::Told(Tell::Failed(told))) => return Err(Error::from(told)),
                None => return Err(gone()),
            }
        }
    };
    tokio::select! {
        answered = answered => answered,
        () = sent => Ok(None),
        () = cancel.cancelled() => Ok(None),
    }
}

async fn asked(socket: &Path, task: Task) -> Result<(OwnedReadHalf, OwnedWriteHalf)> {
    let stream = UnixStream::connect(socket).await.map_err(|error| lost(error.into()))?;
    let (from, mut to) = stream.into_split();
    let ask = Ask { version: env!("CARGO_PKG_VERSION").to_owned(), task };
    protocol::write(&mut to, &ask).await.map_err(lost)?;
    Ok((from, to))
}

fn lost(error: protocol::Error) -> Error {
    Error::system(error).hint("the driver of this job is gone; look into the runner's own log")
}

fn gone() -> Error {
    lost(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into())
}
