//! A connection into a pod: the guest's bytes come raw behind its ask, the pod's go back in pieces
//! between the driver's messages.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::deploy::kubectl::{self, Operation, Request};
use crate::error::{Error, Result};
use crate::outcome::Outcome;

use super::kubectl::connected;
use super::protocol::{self, Event, PIECE_OF_STREAM, Tell};
use super::rights::Desk;

/// The two directions of a connection.
pub type Ends<'a> =
    (&'a mut (dyn AsyncRead + Unpin + Send), &'a mut (dyn AsyncWrite + Unpin + Send));

/// Carries a connection with the desk's rights. The answer is why the pod ended it, where it said so.
///
/// # Errors
/// When the policy refuses, or the cluster cannot be connected to.
pub async fn carry(
    desk: &Desk<'_>,
    request: &Request,
    ends: Ends<'_>,
    cancel: &CancellationToken,
) -> Result<Option<String>> {
    let Operation::Tunnel(tunnel) = &request.operation else {
        return Err(Error::job("the request is for no connection"));
    };
    let cluster = connected(desk, request).await?;
    Ok(kubectl::carry(request, tunnel, &cluster, ends, cancel).await.err())
}

/// Carries a guest's connection over its socket. A guest that went away has said all; when it
/// cannot be written to either, the connection ends.
pub(super) async fn serve(
    desk: &Desk<'_>,
    request: &Request,
    (from, to): Ends<'_>,
    cancel: &CancellationToken,
) -> Result<Outcome> {
    let (mut inside, mut outside) = tokio::io::duplex(PIECE_OF_STREAM);
    let carried = async {
        let carried = carry(desk, request, (from, &mut inside), cancel).await;
        drop(inside);
        carried
    };
    let told = async {
        let mut piece = vec![0; PIECE_OF_STREAM];
        while let Ok(n @ 1..) = outside.read(&mut piece).await {
            if protocol::write_piece(to, piece.get(..n).unwrap_or_default()).await.is_err() {
                cancel.cancel();
                return;
            }
        }
    };
    let (carried, ()) = tokio::join!(carried, told);
    let Some(why) = carried? else { return Ok(Outcome::Code(0)) };
    let event = Event::Kubectl(kubectl::Event::Stderr(why));
    // A guest that left needs no reason.
    drop(protocol::write(to, &Tell::Event(Box::new(event))).await);
    Ok(Outcome::Code(1))
}
