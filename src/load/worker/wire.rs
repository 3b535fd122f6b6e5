//! One kept-alive HTTP/1.1 connection of one user: a write for the request, a read for the answer.
//!
//! It is polled by the user's own task and reads into a buffer that all users of the thread share,
//! so an idle connection owns none.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::load::body::{Outgoing, Payload};
use crate::load::failure::Failure;
use crate::load::worker::answer::{Answer, Parser, Question};
use crate::load::worker::dial::Stream;
use crate::load::worker::local::Local;
use crate::load::worker::tls;
use crate::load::worker::watch::Watch;
use crate::unit::Span;

/// A connection that can take requests, one after the other.
#[derive(Debug)]
pub struct Connection {
    /// The number of the site it leads to.
    pub site: usize,
    stream: Stream,
}

/// When things happened in an exchange, also in one that was cut.
#[derive(Debug, Default)]
pub struct Times {
    /// How long it took to connect, where that was done for this request.
    pub connect: Option<Duration>,
    /// How long TLS took after that.
    pub tls: Option<Duration>,
    /// When the request was handed to the connection.
    pub written: Option<Instant>,
    /// When the answer's head was there.
    pub first_byte: Option<Instant>,
    /// When the answer was there.
    pub ended: Option<Instant>,
    /// Bytes of the answer's body so far.
    pub received: u64,
}

/// A request that got no whole answer.
#[derive(Debug)]
pub struct Lost {
    /// Why not.
    pub failure: Failure,
    /// True when not a byte of it was sent.
    pub is_unsent: bool,
    /// True when the connection ended before a byte of the answer.
    pub is_unanswered: bool,
}

impl Connection {
    /// Begins HTTP on a stream.
    pub fn new(site: usize, stream: Stream) -> Self {
        Self { site, stream }
    }

    /// True when nothing has come since the last answer: neither the end nor bytes that nobody
    /// asked for, which would be taken for the next answer.
    pub async fn is_quiet(&mut self, local: &Local) -> bool {
        poll_fn(|cx| {
            let mut buffer = local.buffer.borrow_mut();
            let read = Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut buffer));
            Poll::Ready(read.is_pending())
        })
        .await
    }

    /// Sends a request and reads its answer; fails at the watch's deadline.
    pub async fn exchange(
        &mut self,
        (local, watch): (&Local, &Watch),
        (request, tail): (&[u8], &[Payload]),
        question: Question,
        times: &mut Times,
    ) -> Result<Answer, Lost> {
        let mut parser = Parser::new(question);
        if question.wants_body {
            parser = parser.with_body(local.bodies.take());
        }
        let mut exchange = Exchange {
            stream: &mut self.stream,
            local,
            request,
            sent: 0,
            tail: (!tail.is_empty()).then(|| Outgoing::new(tail.to_vec())),
            is_flushed: false,
            refusal: None,
            n_read: 0,
            has_more: false,
            parser,
            times,
        };
        let ended = poll_fn(|cx| {
            if watch.is_over() {
                return Poll::Ready(Err(Failure::Timeout(Span(watch.timeout()))));
            }
            let polled = exchange.poll(cx);
            if polled.is_pending() {
                watch.wait(cx);
            }
            polled
        })
        .await;
        let Exchange { sent, is_flushed, n_read, has_more, parser, .. } = exchange;
        match ended {
            Ok(()) => {
                let mut answer = parser.into_answer();
                // What follows an answer belongs to no request; what was cut is no request either.
                answer.is_kept &= !has_more && is_flushed;
                Ok(answer)
            }
            Err(failure) => {
                let has_ended = matches!(failure, Failure::Closed | Failure::Reset);
                let is_unanswered = has_ended && n_read == 0;
                Err(Lost { failure, is_unsent: sent == 0, is_unanswered })
            }
        }
    }
}

/// A request on its way, and what has come back.
struct Exchange<'a> {
    stream: &'a mut Stream,
    local: &'a Local,
    request: &'a [u8],
    sent: usize,
    /// What follows the request's text.
    tail: Option<Outgoing>,
    is_flushed: bool,
    /// Why the request cannot be sent on: an answer may be there all the same.
    refusal: Option<Failure>,
    n_read: u64,
    has_more: bool,
    parser: Parser,
    times: &'a mut Times,
}

impl Exchange<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if !self.is_flushed
            && self.refusal.is_none()
            && let Poll::Ready(Err(error)) = self.write(cx)
        {
            self.refusal = Some(failure(&error));
        }
        let read = ready!(self.read(cx));
        // The end that the write met is the cause, the read only meets it again.
        Poll::Ready(read.map_err(|failure| self.refusal.take().unwrap_or(failure)))
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.request.len() {
            let rest = &self.request[self.sent..];
            match ready!(Pin::new(&mut *self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(ErrorKind::BrokenPipe.into())),
                n => self.sent += n,
            }
        }
        while let Some(tail) = &mut self.tail
            && !tail.is_done()
        {
            match ready!(Pin::new(&mut *self.stream).poll_write(cx, tail.next()))? {
                0 => return Poll::Ready(Err(ErrorKind::BrokenPipe.into())),
                n => tail.advance(n),
            }
        }
        ready!(Pin::new(&mut *self.stream).poll_flush(cx))?;
        self.is_flushed = true;
        Poll::Ready(Ok(()))
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let mut buffer = self.local.buffer.borrow_mut();
        loop {
            let mut to = ReadBuf::new(&mut buffer);
            ready!(Pin::new(&mut *self.stream).poll_read(cx, &mut to))
                .map_err(|error| failure(&error))?;
            let bytes = to.filled();
            if bytes.is_empty() {
                let ended = self.parser.end();
                self.times.ended = Some(Instant::now());
                return Poll::Ready(ended);
            }
            self.n_read += u64::try_from(bytes.len()).unwrap_or(0);
            let memory = &mut self.local.memory.borrow_mut();
            let taken = self.parser.take_known(memory, bytes)?;
            self.times.received = self.parser.received();
            let is_done = self.parser.is_done();
            let is_first = self.times.first_byte.is_none() && self.parser.has_head();
            if is_first || is_done {
                let now = Instant::now();
                if is_first {
                    self.times.first_byte = Some(now);
                }
                if is_done {
                    self.times.ended = Some(now);
                }
            }
            if is_done {
                self.has_more = taken < bytes.len();
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// What a stream's error means for a request.
pub fn failure(error: &io::Error) -> Failure {
    let kind = error.kind();
    let is_reset = [ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted].contains(&kind);
    if is_reset || kind == ErrorKind::BrokenPipe {
        Failure::Reset
    } else if kind == ErrorKind::UnexpectedEof {
        // TLS that ends without its own farewell.
        Failure::Closed
    } else if let Some(error) = tls::error_in(error) {
        Failure::Connect(tls::told(error))
    } else {
        Failure::Malformed(error.to_string())
    }
}
