//! The driver's end of a relay: what comes out of the socket goes to GitLab, raw, and to nowhere else.

use std::io;
use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// As many connections as a job may hold open at once; more have to wait.
const MOST_CONNECTIONS: usize = 64;

/// Carries each connection of `listener` to the first of `to` that answers, until `cancel` fires.
///
/// # Errors
/// When the listener breaks; a single connection that breaks is its own end only.
pub async fn serve(
    listener: UnixListener,
    to: Vec<SocketAddr>,
    cancel: &CancellationToken,
) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            Some(_) = connections.join_next() => (),
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => {
                let (inside, _) = accepted?;
                connections.spawn(carry(inside, to.clone()));
            }
        }
    }
}

async fn carry(mut inside: UnixStream, to: Vec<SocketAddr>) {
    for address in to {
        let mut outside = match TcpStream::connect(address).await {
            Ok(outside) => outside,
            Err(error) => {
                tracing::debug!(%address, %error, "relay cannot connect");
                continue;
            }
        };
        if let Err(error) = copy_bidirectional(&mut inside, &mut outside).await {
            tracing::debug!(%address, %error, "relayed connection broke");
        }
        return;
    }
}
