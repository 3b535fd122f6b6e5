//! One kept-alive HTTP/1.1 connection of one user.
//!
//! It is polled by the user's own task: no task of its own, no wake-up from one to the other.

use std::future::Future;
use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::load::failure::Failure;
use crate::load::plan::Origin;
use crate::load::worker::dial::Stream;

/// A connection that can take requests, one after the other.
pub struct Connection {
    /// To where.
    pub origin: Origin,
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Driver,
}

/// The connection's own future. Dropped when it ends: whoever waits on the connection is told by
/// that.
type Driver = Option<Pin<Box<http1::Connection<TokioIo<Stream>, Full<Bytes>>>>>;

/// A request that got no answer's head.
pub struct Unanswered {
    /// Why not.
    pub failure: Failure,
    /// True when not a byte of it was sent.
    pub is_unsent: bool,
}

/// Heads of answers are not read beyond this.
const HEAD: usize = 64 * 1024;

impl Connection {
    /// Begins HTTP on a stream.
    pub async fn new(origin: Origin, stream: Stream) -> Result<Self, Failure> {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failure(&error))?;
        Ok(Self { origin, sender, driver: Some(Box::pin(driver)) })
    }

    /// Waits until the connection can take a request; false when it has ended meanwhile.
    pub async fn is_ready(&mut self) -> bool {
        let Self { sender, driver, .. } = self;
        drive(driver, sender.ready()).await.is_ok() && self.driver.is_some()
    }

    /// Sends a request and waits for the answer's head.
    pub async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let Self { sender, driver, .. } = self;
        let answer = drive(driver, sender.try_send_request(request)).await;
        answer.map_err(|mut error| Unanswered {
            is_unsent: error.take_message().is_some(),
            failure: failure(error.error()),
        })
    }

    /// Reads the next piece of the answer's body; `None` at its end.
    pub async fn next(&mut self, body: &mut Incoming) -> Result<Option<Bytes>, Failure> {
        let Self { driver, .. } = self;
        loop {
            match drive(driver, body.frame()).await {
                None => return Ok(None),
                Some(Err(error)) => return Err(failure(&error)),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }
}

/// Polls the future and the connection it depends on, in one task.
async fn drive<T>(driver: &mut Driver, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(output);
        }
        let Some(connection) = driver else { return Poll::Pending };
        if connection.as_mut().poll(cx).is_ready() {
            *driver = None;
        }
        future.as_mut().poll(cx)
    })
    .await
}

fn failure(error: &hyper::Error) -> Failure {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            let kind = io.kind();
            return if matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) {
                Failure::Reset
            } else if kind == ErrorKind::UnexpectedEof {
                Failure::Closed
            } else {
                Failure::Malformed(io.to_string())
            };
        }
        source = cause.source();
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Failure::Closed;
    }
    Failure::Malformed(error.to_string())
}
