//! What goes over the socket: frames of JSON, each behind its length.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::deploy::kubectl;
use crate::error::Told;
use crate::job::gitlab;
use crate::outcome::Outcome;
use crate::policy::Task;
use crate::{gate, load};

/// The longest frame: a few hundred manifests fit, a flood does not.
const MAX_FRAME: u32 = 64 << 20;

/// What a guest sends: one task, then nothing. Closing the connection cancels the task.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ask {
    /// The guest's version; another one than the driver's is refused.
    pub version: String,
    /// What is to be done.
    pub task: Task,
}

/// What the broker sends back: events, and one end.
#[derive(Debug, Serialize, Deserialize)]
pub enum Tell {
    /// Something happened.
    Event(Box<Event>),
    /// The task ended.
    Ended(Outcome),
    /// The task could not be done.
    Failed(Told),
}

/// What happens while a task is performed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Event {
    /// Of a load test.
    Load(load::Event),
    /// Of a gate.
    Gate(gate::Event),
    /// Of a kubectl request.
    Kubectl(kubectl::Event),
    /// GitLab answered a write of a project variable.
    Variable(gitlab::Written),
    /// A sentence for the job log.
    Said(String),
}

/// A frame that could not be sent or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The other side went away, or the socket broke.
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    /// The frame is no message of this protocol.
    #[error("the message is malformed")]
    Malformed(#[from] serde_json::Error),
    /// The frame is too long to be honest.
    #[error("the message of {0} bytes is too long")]
    TooLong(usize),
}

/// Reads a frame; `None` when the other side closed between two frames.
pub async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
) -> Result<Option<T>, Error> {
    let length = match from.read_u32().await {
        Ok(length) => length,
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if length > MAX_FRAME {
        return Err(Error::TooLong(usize::try_from(length).unwrap_or(usize::MAX)));
    }
    // Grows with what arrives, so that a claimed length alone takes no memory.
    let mut bytes = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut bytes).await?;
    if u32::try_from(bytes.len()) != Ok(length) {
        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
    }
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// Writes a frame.
pub async fn write<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> Result<(), Error> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let body = frame.len() - 4;
    let length = u32::try_from(body)
        .ok()
        .filter(|&length| length <= MAX_FRAME)
        .ok_or(Error::TooLong(body))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    to.write_all(&frame).await?;
    to.flush().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_arrives_as_it_was_sent_and_a_closed_socket_is_no_error() {
        let (mut here, mut there) = tokio::io::duplex(1 << 10);
        write(&mut here, &Tell::Ended(Outcome::Failed)).await.unwrap();
        drop(here);
        let tell: Option<Tell> = read(&mut there).await.unwrap();
        assert!(matches!(tell, Some(Tell::Ended(Outcome::Failed))));
        assert!(read::<Tell>(&mut there).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn hostile_frames_are_refused_without_taking_memory() {
        for (bytes, expected) in [
            (&[0xff, 0xff, 0xff, 0xff][..], "too long"),
            (&[0, 0, 0, 9, b'{'][..], "broke"),
            (&[0, 0, 0, 1, b'{'][..], "malformed"),
        ] {
            let error = read::<Ask>(&mut &*bytes).await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
