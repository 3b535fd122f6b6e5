//! Opens connections: to pinned addresses, and to nothing else.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::io::Errno;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::load::failure::Failure;
use crate::load::plan::Scheme;
use crate::load::worker::Crew;

/// A connected stream.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS over it.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects to one of the site's pinned addresses; `turn` chooses which.
pub async fn dial(crew: &Crew, site: usize, turn: usize) -> Result<Stream, Failure> {
    let unknown = || Failure::Redirect("?".to_owned());
    let site = crew.sites.get(site).ok_or_else(unknown)?;
    let origin = &site.origin;
    let address = turn.checked_rem(site.addresses.len()).and_then(|at| site.addresses.get(at));
    let address = *address.ok_or_else(|| Failure::Redirect(origin.to_string()))?;
    let stream = TcpStream::connect(address).await.map_err(|error| refused(address, &error))?;
    // Without it small writes wait for the peer's delayed acknowledgement; they still arrive.
    drop(stream.set_nodelay(true));
    match (origin.scheme, &crew.tls) {
        (Scheme::Http, _) => Ok(Stream::Plain(stream)),
        (Scheme::Https, None) => Err(Failure::Redirect(origin.url())),
        (Scheme::Https, Some(config)) => {
            let failure = |error: &dyn std::error::Error| {
                Failure::Connect(format!("no TLS with {origin}: {error}"))
            };
            let name =
                ServerName::try_from(origin.host.clone()).map_err(|error| failure(&error))?;
            let connector = TlsConnector::from(config.clone());
            let stream = connector.connect(name, stream).await.map_err(|error| failure(&error))?;
            Ok(Stream::Tls(Box::new(stream)))
        }
    }
}

fn refused(address: SocketAddr, error: &io::Error) -> Failure {
    let own = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    if Errno::from_io_error(error).is_some_and(|errno| own.contains(&errno)) {
        return Failure::Generator(format!("no socket left for {address}: {error}"));
    }
    if error.kind() == ErrorKind::ConnectionRefused {
        return Failure::Connect(format!("connection refused by {address}"));
    }
    Failure::Connect(format!("cannot connect to {address}: {error}"))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, to),
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
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, from),
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
