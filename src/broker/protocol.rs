//! What goes over the socket: frames of JSON, each behind its length.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::deploy::{kubectl, release};
use crate::error::Told;
use crate::job::gitlab;
use crate::outcome::Outcome;
use crate::policy::Task;
use crate::{gate, load};

/// The longest frame: a few hundred manifests fit, a flood does not.
const MAX_FRAME: u32 = 64 << 20;

/// Set in the length of what is no message but a piece of a stream.
const STREAM: u32 = 1 << 31;

/// The longest piece of a stream.
pub const PIECE_OF_STREAM: usize = 32 << 10;

/// How much is read at a time.
const PIECE: u32 = 64 << 10;

/// Memory that what one job sends may take in the driver, all its tasks together.
#[derive(Debug)]
pub struct Budget(Semaphore);

impl Default for Budget {
    fn default() -> Self {
        Self(Semaphore::new(96 << 20))
    }
}

/// A task's share of the job's memory, given back when it is dropped.
#[derive(Debug, Default)]
pub struct Share<'a>(Vec<SemaphorePermit<'a>>);

impl<'a> Share<'a> {
    fn grow(&mut self, budget: &'a Budget, n_bytes: u32) -> Result<(), Error> {
        let permit = budget.0.try_acquire_many(n_bytes).map_err(|_| Error::TooMuch)?;
        self.0.push(permit);
        Ok(())
    }
}

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
    /// Of a deploy.
    Deploy(release::Event),
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
    /// The job's tasks take too much memory together.
    #[error("the tasks of this job that run at the same time are larger than 96 MiB together")]
    TooMuch,
    /// The frame is too long to be honest.
    #[error("the message of {0} bytes is too long")]
    TooLong(usize),
}

/// Reads a frame of a job, which takes its memory from the job's budget as it arrives.
pub async fn read_within<'a, T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
    budget: &'a Budget,
) -> Result<Option<(T, Share<'a>)>, Error> {
    let mut share = Share::default();
    let mut left = match from.read_u32().await {
        Ok(length) => length,
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if left > MAX_FRAME {
        return Err(Error::TooLong(usize::try_from(left).unwrap_or(usize::MAX)));
    }
    let mut bytes = Vec::new();
    while left > 0 {
        let piece = left.min(PIECE);
        // The text, and what is made of it.
        share.grow(budget, piece.saturating_mul(2))?;
        let before = bytes.len();
        from.take(u64::from(piece)).read_to_end(&mut bytes).await?;
        if u32::try_from(bytes.len() - before) != Ok(piece) {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        left -= piece;
    }
    Ok(Some((serde_json::from_slice(&bytes)?, share)))
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

/// What comes while a connection is carried.
pub enum Carried {
    /// Bytes.
    Bytes(Vec<u8>),
    /// A message.
    Told(Tell),
}

/// Reads a message, or a piece of a stream; `None` when the other side closed.
pub async fn read_carried(from: &mut (impl AsyncRead + Unpin)) -> Result<Option<Carried>, Error> {
    let length = match from.read_u32().await {
        Ok(length) => length,
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let is_stream = length & STREAM != 0;
    let rest = length & !STREAM;
    let length = usize::try_from(rest).unwrap_or(usize::MAX);
    if (is_stream && length > PIECE_OF_STREAM) || rest > MAX_FRAME {
        return Err(Error::TooLong(length));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await?;
    Ok(Some(if is_stream {
        Carried::Bytes(bytes)
    } else {
        Carried::Told(serde_json::from_slice(&bytes)?)
    }))
}

/// Writes a piece of a stream.
pub async fn write_piece(
    to: &mut (impl AsyncWrite + Unpin + ?Sized),
    bytes: &[u8],
) -> Result<(), Error> {
    let length = u32::try_from(bytes.len()).map_err(|_| Error::TooLong(bytes.len()))?;
    to.write_u32(length | STREAM).await?;
    to.write_all(bytes).await?;
    to.flush().await?;
    Ok(())
}

/// Writes a frame.
pub async fn write<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin + ?Sized),
    message: &T,
) -> Result<(), Error> {
    write_frame(to, &frame(message)?).await
}

/// Writes what [`frame`] made.
pub async fn write_frame(
    to: &mut (impl AsyncWrite + Unpin + ?Sized),
    frame: &[u8],
) -> Result<(), Error> {
    to.write_all(frame).await?;
    to.flush().await?;
    Ok(())
}

/// A message as it goes over the socket.
pub fn frame<T: Serialize>(message: &T) -> Result<Vec<u8>, Error> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let body = frame.len() - 4;
    let length = u32::try_from(body)
        .ok()
        .filter(|&length| length <= MAX_FRAME)
        .ok_or(Error::TooLong(body))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
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
    async fn pieces_of_a_stream_and_messages_are_told_apart() {
        let (mut here, mut there) = tokio::io::duplex(1 << 10);
        write_piece(&mut here, b"{not a message}").await.unwrap();
        write(&mut here, &Tell::Ended(Outcome::Passed)).await.unwrap();
        drop(here);
        let piece = read_carried(&mut there).await.unwrap();
        assert!(matches!(piece, Some(Carried::Bytes(bytes)) if bytes == b"{not a message}"));
        let told = read_carried(&mut there).await.unwrap();
        assert!(matches!(told, Some(Carried::Told(Tell::Ended(Outcome::Passed)))));
        assert!(read_carried(&mut there).await.unwrap().is_none());
        let long = [0x80, 0x01, 0, 0];
        assert!(matches!(read_carried(&mut &long[..]).await, Err(Error::TooLong(0x1_0000))));
    }

    #[tokio::test]
    async fn a_jobs_tasks_share_one_budget_and_give_it_back() {
        let budget = Budget(Semaphore::new(400 << 10));
        let text = "x".repeat(100 << 10);
        let frame = frame(&text).unwrap();
        let first = read_within::<String>(&mut frame.as_slice(), &budget).await.unwrap();
        let second = read_within::<String>(&mut frame.as_slice(), &budget).await;
        assert!(matches!(second, Err(Error::TooMuch)), "{second:?}");
        drop((first, second));
        let third = read_within::<String>(&mut frame.as_slice(), &budget).await.unwrap();
        assert_eq!(third.unwrap().0, text);
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
