//! What the driver and `dyno hold` say to each other: frames of a length and JSON, over a socket of
//! the driver's. With the order go the script and the driver's own output, as descriptors.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The first word, of the container: what it can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The shell that scripts can have; `None` where the image has none.
    pub shell: Option<String>,
    /// True when that shell reads `$'…'`.
    pub has_escapes: bool,
}

/// What the driver asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Further environment of the shell.
    pub environment: Vec<(String, String)>,
    /// Put before the image's own `PATH`.
    pub path: Option<String>,
    /// Where connections to GitLab are taken, to be carried to the driver.
    pub listen: Option<String>,
    /// Whether what is written may be written by everybody: another user's container goes on.
    pub is_open: bool,
    /// Milliseconds from SIGTERM to SIGKILL, when the driver cancels.
    pub grace_ms: u64,
}

/// How the script ended; all that it started has ended, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The shell's exit code; 128 + n when it died of signal n.
    pub code: i32,
    /// The kernel killed something for want of memory meanwhile.
    pub is_out_of_memory: bool,
}

/// No frame is longer: environments are small.
const LONGEST: usize = 1 << 20;

/// Writes a frame.
pub fn frame<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    Ok([&length.to_be_bytes(), text.as_slice()].concat())
}

/// Sends a message.
pub fn send<T: Serialize>(mut to: &UnixStream, message: &T) -> io::Result<()> {
    to.write_all(&frame(message)?)
}

/// Receives the order with its three descriptors: script, output, errors.
pub fn receive_order(from: &UnixStream) -> io::Result<(Order, [OwnedFd; 3])> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut head = [0; 4];
    let got = recvmsg(from, &mut [IoSliceMut::new(&mut head)], &mut control, RecvFlags::empty())?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    let fds = <[OwnedFd; 3]>::try_from(fds)
        .map_err(|_| io::Error::other("the order came without its descriptors"))?;
    let mut from = from;
    from.read_exact(head.get_mut(got.bytes..).unwrap_or_default())?;
    Ok((body(from, head)?, fds))
}

fn body<T: DeserializeOwned>(mut from: &UnixStream, head: [u8; 4]) -> io::Result<T> {
    let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(io::Error::other("the message is too long"));
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Sends bytes with descriptors beside the first of them; returns how many went.
pub fn send_with(
    to: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>; 3],
) -> rustix::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(fds));
    sendmsg(to, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)
}

/// Reads a frame; `None` when the other side is gone.
pub async fn read<T: DeserializeOwned>(
    from: &mut (impl tokio::io::AsyncRead + Unpin),
) -> io::Result<Option<T>> {
    use tokio::io::AsyncReadExt;
    let length = match from.read_u32().await {
        Ok(length) => usize::try_from(length).unwrap_or(usize::MAX),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > LONGEST {
        return Err(io::Error::other("the message is too long"));
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text).await?;
    Ok(Some(serde_json::from_slice(&text)?))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn an_order_arrives_with_its_descriptors() {
        let (here, there) = UnixStream::pair().unwrap();
        let order = Order {
            environment: vec![("A".to_owned(), "b".to_owned())],
            grace_ms: 7,
            ..Order::default()
        };
        let (mut reader, writer) = io::pipe().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let fds = [null.as_fd(), writer.as_fd(), writer.as_fd()];
        let bytes = frame(&order).unwrap();
        assert_eq!(send_with(here.as_fd(), &bytes, &fds).unwrap(), bytes.len());
        let (arrived, [_, out, _]) = receive_order(&there).unwrap();
        assert_eq!(arrived, order);
        std::fs::File::from(out).write_all(b"x").unwrap();
        let mut byte = [0];
        reader.read_exact(&mut byte).unwrap();
        assert_eq!(byte, *b"x");
    }

    #[test]
    fn an_order_without_descriptors_is_refused() {
        let (here, there) = UnixStream::pair().unwrap();
        send(&here, &Order::default()).unwrap();
        assert!(receive_order(&there).is_err());
    }

    #[tokio::test]
    async fn a_claimed_length_takes_no_memory() {
        let bytes = [0xff, 0xff, 0xff, 0xff];
        assert!(read::<Done>(&mut bytes.as_slice()).await.is_err());
        assert!(read::<Done>(&mut [].as_slice()).await.unwrap().is_none());
    }
}
