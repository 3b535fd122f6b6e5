//! The guest's end of the socket.

use std::path::Path;

use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::policy::Task;

use super::protocol::{self, Ask, Event, Tell};

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
    let lost = |error: protocol::Error| {
        Error::system(error).hint("the driver of this job is gone; look into the runner's own log")
    };
    let stream = UnixStream::connect(socket).await.map_err(|error| lost(error.into()))?;
    let (mut from, mut to) = stream.into_split();
    let ask = Ask { version: env!("CARGO_PKG_VERSION").to_owned(), task };
    protocol::write(&mut to, &ask).await.map_err(lost)?;
    loop {
        let told = tokio::select! {
            told = protocol::read::<Tell>(&mut from) => told.map_err(lost)?,
            () = cancel.cancelled() => return Ok(Outcome::Interrupted),
        };
        match told {
            Some(Tell::Event(event)) => emit(*event),
            Some(Tell::Ended(outcome)) => return Ok(outcome),
            Some(Tell::Failed(told)) => return Err(Error::from(told)),
            None => {
                return Err(lost(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()));
            }
        }
    }
}
