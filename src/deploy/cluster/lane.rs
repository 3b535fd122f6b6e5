//! One connection to an API server, and one request after the other on it: HTTP/1.1 as far as it takes.
//! A general client's tasks, queues and maps cost more than all else that a request needs.

use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Poll, ready};

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// No answer of an API server is larger; one of a job's own server might be.
const MAX_ANSWER: usize = 256 << 20;
/// Nor is what stands before an answer's body.
const MAX_HEAD: usize = 256 << 10;
const MAX_HEADERS: usize = 128;
/// Room for what is read at once.
const PIECE: usize = 8 << 10;

/// What bytes come and go through.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A whole answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// The values of `Warning` headers.
    pub(super) warnings: Vec<String>,
    /// The value of `Retry-After`.
    pub(super) retry_after: Option<String>,
    pub(super) body: Vec<u8>,
}

/// A connection, and what came through it.
pub(super) struct Lane {
    wire: Box<dyn Wire>,
    inbox: Vec<u8>,
    /// How much of `inbox` is used up.
    at: usize,
    /// True when the last answer was read whole, and another may follow.
    goes_on: bool,
}

/// What stands before a body: the answer without it, how it ends, and whether the connection goes on.
type Head = (Reply, End, bool);

/// How a body ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Known(usize),
    Chunked,
    HangUp,
}

impl Lane {
    /// A lane on a connection that was just made.
    pub(super) fn new(wire: Box<dyn Wire>) -> Self {
        Self { wire, inbox: Vec::new(), at: 0, goes_on: true }
    }

    /// True when another request can be sent: the other side neither hung up nor said anything unasked.
    pub(super) async fn is_open(&mut self) -> bool {
        if !self.goes_on || self.at < self.inbox.len() {
            return false;
        }
        let mut byte = [0];
        let mut byte = ReadBuf::new(&mut byte);
        let wire = &mut self.wire;
        poll_fn(|context| {
            Poll::Ready(Pin::new(&mut *wire).poll_read(context, &mut byte).is_pending())
        })
        .await
    }

    /// Sends a request and reads its answer. When the future is dropped, and after an error, the lane is
    /// not open any more.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<Reply> {
        self.goes_on = false;
        self.inbox.clear();
        self.at = 0;
        // A server may refuse before it has read all, and hang up: its answer counts.
        match self.send(request).await {
            Ok(is_sent) => {
                let (reply, goes_on) = self.answer().await?;
                self.goes_on = goes_on && is_sent;
                Ok(reply)
            }
            Err(error) => match self.answer().await {
                Ok((reply, _)) => Ok(reply),
                Err(_) => Err(error),
            },
        }
    }

    /// Writes a request; false when the answer begins before all of it is written.
    async fn send(&mut self, request: &[u8]) -> Result<bool> {
        let Self { wire, inbox, .. } = self;
        let mut rest = request;
        poll_fn(|context| {
            while !rest.is_empty() {
                match Pin::new(&mut *wire).poll_write(context, rest) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(n)) => rest = rest.get(n..).unwrap_or_default(),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => break,
                }
            }
            if rest.is_empty()
                && let Poll::Ready(flushed) = Pin::new(&mut *wire).poll_flush(context)
            {
                return Poll::Ready(flushed.map(|()| true));
            }
            let mut piece = [0; 1024];
            let mut piece = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut *wire).poll_read(context, &mut piece))?;
            inbox.extend_from_slice(piece.filled());
            Poll::Ready(Ok(false))
        })
        .await
    }

    /// Reads more; false at the end of all.
    async fn more(&mut self) -> Result<bool> {
        self.inbox.reserve(PIECE);
        match self.wire.read_buf(&mut self.inbox).await {
            Ok(n_read) => Ok(n_read > 0),
            // A server that hangs up without TLS's good-bye; what was missing is told by who misses it.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads until there are so many bytes unused.
    async fn need(&mut self, n_bytes: usize) -> Result<()> {
        while self.inbox.len() - self.at < n_bytes {
            if !self.more().await? {
                return Err(cut());
            }
        }
        Ok(())
    }

    /// Uses bytes up.
    fn take(&mut self, n_bytes: usize) -> &[u8] {
        let from = self.at;
        self.at = (from + n_bytes).min(self.inbox.len());
        self.inbox.get(from..self.at).unwrap_or_default()
    }

    async fn answer(&mut self) -> Result<(Reply, bool)> {
        loop {
            let (mut reply, end, goes_on) = self.head().await?;
            if reply.status.is_informational() && reply.status != StatusCode::SWITCHING_PROTOCOLS {
                continue;
            }
            match end {
                End::Known(length) => {
                    bounded(length)?;
                    self.need(length).await?;
                    reply.body = self.take(length).to_vec();
                }
                End::Chunked => self.chunks(&mut reply.body).await?,
                End::HangUp => {
                    while self.more().await? {
                        bounded(self.inbox.len() - self.at)?;
                    }
                    reply.body = self.take(self.inbox.len()).to_vec();
                }
            }
            return Ok((reply, goes_on));
        }
    }

    async fn head(&mut self) -> Result<Head> {
        loop {
            let unread = self.inbox.get(self.at..).unwrap_or_default();
            if let Some((n_bytes, head)) = head(unread)? {
                self.at += n_bytes;
                return Ok(head);
            }
            if unread.len() > MAX_HEAD {
                return Err(invalid("the head of the answer is too long"));
            }
            let is_empty = unread.is_empty();
            if !self.more().await? {
                return Err(if is_empty {
                    Error::new(ErrorKind::UnexpectedEof, "EOF")
                } else {
                    cut()
                });
            }
        }
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> Result<()> {
        loop {
            let line = self.line().await?;
            let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
            let size = std::str::from_utf8(size).map_or("", str::trim);
            let plain = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
            let size = usize::from_str_radix(if plain { size } else { "-" }, 16)
                .map_err(|_| invalid("malformed chunked encoding"))?;
            bounded(body.len().saturating_add(size))?;
            if size == 0 {
                // Trailers say nothing to us.
                while !self.line().await?.is_empty() {}
                return Ok(());
            }
            self.need(size + 2).await?;
            body.extend_from_slice(self.take(size));
            if self.take(2) != b"\r\n" {
                return Err(invalid("malformed chunked encoding"));
            }
            // What is used up need not be kept while more comes.
            if self.at == self.inbox.len() {
                self.inbox.clear();
                self.at = 0;
            }
        }
    }

    /// The next line, without its end.
    async fn line(&mut self) -> Result<Vec<u8>> {
        loop {
            let unread = self.inbox.get(self.at..).unwrap_or_default();
            if let Some(length) = unread.iter().position(|byte| *byte == b'\n') {
                let line = self.take(length + 1).trim_ascii_end();
                return Ok(line.to_vec());
            }
            if unread.len() > MAX_HEAD {
                return Err(invalid("malformed chunked encoding"));
            }
            if !self.more().await? {
                return Err(cut());
            }
        }
    }
}

/// Reads what stands before a body, once all of it is there, and how long it is.
fn head(bytes: &[u8]) -> Result<Option<(usize, Head)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes);
    let parsed = parsed.map_err(|error| invalid(&format!("malformed HTTP response: {error}")))?;
    let httparse::Status::Complete(n_bytes) = parsed else { return Ok(None) };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(|| invalid("malformed HTTP status code"))?;
    let mut reply = Reply { status, ..Reply::default() };
    let mut goes_on = response.version == Some(1);
    let (mut known, mut is_chunked) = (None, false);
    for header in response.headers.iter() {
        let value = || String::from_utf8_lossy(header.value).into_owned();
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let length = value().trim().parse::<usize>().ok();
            let length = length.filter(|length| known.is_none_or(|known| known == *length));
            known = Some(length.ok_or_else(|| invalid("bad Content-Length"))?);
        } else if is("transfer-encoding") {
            is_chunked = value().trim().eq_ignore_ascii_case("chunked");
            if !is_chunked {
                return Err(invalid("unsupported transfer encoding"));
            }
        } else if is("connection") {
            goes_on &= !value().to_ascii_lowercase().contains("close");
        } else if is("warning") {
            reply.warnings.push(value());
        } else if is("retry-after") {
            reply.retry_after = Some(value());
        }
    }
    let has_none = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let end = match known {
        _ if has_none || status.is_informational() => End::Known(0),
        _ if is_chunked => End::Chunked,
        Some(length) => End::Known(length),
        None => End::HangUp,
    };
    goes_on &= !matches!(end, End::HangUp);
    Ok(Some((n_bytes, (reply, end, goes_on))))
}

fn bounded(length: usize) -> Result<()> {
    if length <= MAX_ANSWER { Ok(()) } else { Err(invalid("length limit exceeded")) }
}

fn invalid(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why)
}

/// The other side hung up in the middle.
fn cut() -> Error {
    Error::new(ErrorKind::UnexpectedEof, "unexpected EOF")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn lane() -> (Lane, DuplexStream) {
        let (ours, theirs) = duplex(1 << 10);
        (Lane::new(Box::new(ours)), theirs)
    }

    /// What is read of an answer that comes in pieces of every length, and whether the lane is open then.
    /// The server hangs up where it says nothing of the answer's end.
    async fn read(answer: &str) -> (std::result::Result<Reply, String>, bool) {
        let mut seen = Vec::new();
        let hangs_up = !["content-length: 2", "\r\n0\r\n"].iter().any(|end| answer.contains(end));
        for length in [1, 2, 3, 7, 1000] {
            let (mut lane, mut server) = lane();
            let serve = async move {
                let mut request = [0; 3];
                server.read_exact(&mut request).await.unwrap();
                for piece in answer.as_bytes().chunks(length) {
                    server.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
                (!hangs_up).then_some(server)
            };
            let (reply, server) = tokio::join!(lane.exchange(b"GET"), serve);
            seen.push((reply.map_err(|error| error.to_string()), lane.is_open().await));
            drop(server);
        }
        let last = seen.pop().unwrap();
        assert!(seen.iter().all(|one| *one == last), "{answer}: {seen:?}");
        last
    }

    #[tokio::test]
    async fn answers_are_read_however_they_are_cut_and_end() {
        let reply = |status, body: &str| Reply {
            status: StatusCode::from_u16(status).unwrap(),
            body: body.as_bytes().to_vec(),
            ..Reply::default()
        };
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n\
                       0123456789\r\n0\r\nt: r\r\n\r\n";
        let interim =
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}";
        for (answer, expected, is_open) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", reply(200, "{}"), true),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: Close\r\n\r\n{}",
                reply(200, "{}"),
                false,
            ),
            (interim, reply(201, "{}"), true),
            (chunked, reply(200, "abc0123456789"), true),
            ("HTTP/1.0 404 Not Found\r\n\r\nno", reply(404, "no"), false),
            ("HTTP/1.1 204 No Content\r\n\r\n", reply(204, ""), false),
        ] {
            assert_eq!(read(answer).await, (Ok(expected), is_open), "{answer}");
        }
        let told = "HTTP/1.1 429 Wait\r\nWarning: 299 - \"a\"\r\nwarning: 299 - \"b\"\r\nretry-after: 1\r\n\
                    content-length: 2\r\n\r\n{}";
        let told = read(told).await.0.unwrap();
        assert_eq!(told.warnings, ["299 - \"a\"", "299 - \"b\""]);
        assert_eq!(told.retry_after.as_deref(), Some("1"));
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_an_error_and_closes_the_lane() {
        for (answer, why) in [
            ("", "EOF"),
            ("HTTP/1.1 200 OK\r\n", "unexpected EOF"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}", "unexpected EOF"),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", "unexpected EOF"),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-5\r\nab",
                "malformed chunked encoding",
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n",
                "malformed chunked encoding",
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n",
                "length limit exceeded",
            ),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", "unsupported transfer encoding"),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 3\r\n\r\n{}",
                "bad Content-Length",
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n{}", "length limit exceeded"),
        ] {
            let (outcome, is_open) = read(answer).await;
            assert_eq!((outcome.unwrap_err().as_str(), is_open), (why, false), "{answer}");
        }
        assert!(
            read("SSH-2.0-x\r\n\r\n").await.0.unwrap_err().starts_with("malformed HTTP response")
        );
    }

    #[tokio::test]
    async fn a_refusal_before_the_whole_request_is_read_counts() {
        let (mut lane, mut server) = lane();
        let serve = async move {
            let mut some = [0; 10];
            server.read_exact(&mut some).await.unwrap();
            server.write_all(b"HTTP/1.1 413 Large\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
            server
        };
        let request = vec![b'x'; 1 << 20];
        let (reply, server) = tokio::join!(lane.exchange(&request), serve);
        assert_eq!(reply.unwrap().status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(!lane.is_open().await);
        drop(server);
    }
}
