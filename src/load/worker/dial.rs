//! Opens connections: to pinned addresses, and to nothing else.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::load::failure::Failure;
use crate::load::plan::Scheme;
use crate::load::worker::Crew;
use crate::load::worker::tls;
use crate::load::worker::tunnel;
use crate::load::worker::wire::Times;

/// A connected stream.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS over it.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// True when HTTP/2 was agreed on by TLS.
    pub fn is_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

/// Connects to one of the site's pinned addresses; `turn` chooses which. The times tell how long
/// it took.
pub async fn dial(
    crew: &Crew,
    site: usize,
    turn: usize,
    times: &mut Times,
) -> Result<Stream, Failure> {
    let unknown = || Failure::Redirect("?".to_owned());
    let site = crew.sites.get(site).ok_or_else(unknown)?;
    let origin = &site.origin;
    let nth = |all: &[SocketAddr]| {
        let at = turn.checked_rem(all.len()).and_then(|at| all.get(at)).copied();
        at.ok_or_else(|| Failure::Redirect(origin.to_string()))
    };
    let to = nth(&site.addresses)?;
    let address = site.via.as_ref().map_or(Ok(to), |via| nth(&via.addresses))?;
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).await.map_err(|error| refused(address, &error))?;
    times.connect = Some(begun.elapsed());
    // Without it small writes wait for the peer's delayed acknowledgement; they still arrive.
    drop(stream.set_nodelay(true));
    if let Some(via) = site.via.as_ref().filter(|via| !via.forwards) {
        tunnel::dig(&mut stream, via, to).await?;
    }
    let connected = Instant::now();
    match (origin.scheme.is_secure(), &crew.tls) {
        (false, _) => Ok(Stream::Plain(stream)),
        (true, None) => Err(Failure::Redirect(origin.url())),
        (true, Some(agent)) => {
            let failure = |why: String| Failure::Connect(format!("no TLS with {origin}: {why}"));
            let name = agent.name(origin).map_err(failure)?;
            let speaks = (origin.scheme != Scheme::Tls).then_some(site.version);
            let connector = TlsConnector::from(agent.config(speaks));
            let stream = connector.connect(name, stream).await.map_err(|error| {
                failure(tls::error_in(&error).map_or_else(|| error.to_string(), tls::told))
            })?;
            times.tls = Some(connected.elapsed());
            Ok(Stream::Tls(Box::new(stream)))
        }
    }
}

/// What it means that a socket could not be had.
pub fn refused(address: SocketAddr, error: &io::Error) -> Failure {
    let own = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    if Errno::from_io_error(error).is_some_and(|errno| own.contains(&errno)) {
        return Failure::Generator(format!("no socket left for {address}: {error}"));
    }
    if error.kind() == ErrorKind::ConnectionRefused {
        return Failure::Connect(format!("connection refused by {address}"));
    }
    Failure::Connect(format!("cannot connect to {address}: {error}"))
}

/// As `TcpStream::poll_read`, but by the system call itself: the C library's is a point at which a
/// thread may be cancelled, and prepares for that at each call.
fn receive(stream: &TcpStream, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    let room = to.initialize_unfilled();
    loop {
        ready!(stream.poll_read_ready(cx))?;
        let received = transfer(stream, Interest::READABLE, room.len(), || {
            Ok(rustix::net::recv(stream, &mut *room, RecvFlags::empty())?.0)
        });
        if let Some(received) = received {
            to.advance(received?);
            return Poll::Ready(Ok(()));
        }
    }
}

/// As `TcpStream::poll_write`, likewise.
fn send(stream: &TcpStream, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(cx))?;
        let sent = transfer(stream, Interest::WRITABLE, from.len(), || {
            Ok(rustix::net::send(stream, from, SendFlags::NOSIGNAL)?)
        });
        if let Some(sent) = sent {
            return Poll::Ready(sent);
        }
    }
}

/// Transfers at most `length` bytes; `None` when the stream was not ready. A socket that took or
/// gave less is known not to be ready any more, without being asked in vain.
fn transfer(
    stream: &TcpStream,
    interest: Interest,
    length: usize,
    call: impl FnOnce() -> io::Result<usize>,
) -> Option<io::Result<usize>> {
    let mut part = None;
    let whole = stream.try_io(interest, || match call()? {
        n if 0 < n && n < length => {
            part = Some(n);
            Err(ErrorKind::WouldBlock.into())
        }
        n => Ok(n),
    });
    match (part, whole) {
        (Some(n), _) => Some(Ok(n)),
        (None, Err(error)) if error.kind() == ErrorKind::WouldBlock => None,
        (None, whole) => Some(whole),
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => receive(stream, cx, to),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, to),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => send(stream, cx, from),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, from),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
