//! WebSocket: one open at a time a user; messages are awaited, and pings answered while it thinks.

use std::collections::VecDeque;
use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Request};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::load::failure::Failure;
use crate::load::script::Want;
use crate::load::worker::answer::{Answer, Held, READ, malformed, part};
use crate::load::worker::dial::Stream;
use crate::load::worker::local::Local;
use crate::load::worker::user::User;
use crate::load::worker::wire::{self, Times};

/// A user's open WebSocket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<Stream>,
    /// What came while nobody waited for it.
    inbox: VecDeque<String>,
    n_bytes: usize,
    /// Its part of what all users' messages and bodies may take.
    held: Held,
}

/// Messages that nobody waits for are kept up to so many, and so many bytes.
const INBOX: usize = 1000;
const BYTES: usize = 1 << 20;

impl Socket {
    /// Answers pings and takes what comes, until it is dropped or there is no room.
    pub async fn idle(&mut self) {
        while self.inbox.len() < INBOX && self.n_bytes < BYTES && self.held.grow(self.n_bytes) {
            match self.next().await {
                Ok(text) => {
                    self.n_bytes += text.len();
                    self.inbox.push_back(text);
                }
                Err(_) => break,
            }
        }
        std::future::pending::<()>().await;
    }

    async fn next(&mut self) -> Result<String, Failure> {
        loop {
            match self.stream.next().await {
                None => return Err(Failure::Closed),
                Some(Err(error)) => return Err(told(error)),
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Binary(bytes))) => {
                    return Ok(String::from_utf8_lossy(&bytes).into_owned());
                }
                Some(Ok(Message::Close(frame))) => return Err(ended(frame)),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            }
        }
    }
}

impl User {
    /// Opens a WebSocket; one that is open is closed.
    pub async fn open_socket(
        &mut self,
        local: &Local,
        (site, want): (usize, &Want),
        (path, protocol, headers): (String, Option<String>, Vec<(String, String)>),
        times: &mut Times,
    ) -> Result<Answer, Failure> {
        self.socket = None;
        let place = local.crew.sites.get(site).ok_or(Failure::Closed)?;
        let request = request(place.authority.as_str(), &path, protocol, headers)?;
        let stream = self.connect(local, want.timeout, site, times).await?;
        times.written = Some(Instant::now());
        // Each is bounded by its own part, since nothing tells how much of a message is there already.
        let longest = part(local.users.get().saturating_mul(local.crew.n_threads));
        let config = WebSocketConfig::default()
            .read_buffer_size(8 * 1024)
            .write_buffer_size(0)
            .max_write_buffer_size(2 * READ)
            .max_message_size(Some(longest))
            .max_frame_size(Some(longest));
        let opened = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
        let (stream, response) = opened.await.map_err(told)?;
        let now = Instant::now();
        (times.first_byte, times.ended) = (Some(now), Some(now));
        let (inbox, n_bytes, held) = (VecDeque::new(), 0, Held::default());
        self.socket = Some(Box::new(Socket { stream, inbox, n_bytes, held }));
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let headers = response.headers().iter().map(text).collect();
        Ok(Answer { said: "open".to_owned(), headers, ..Answer::default() })
    }

    /// Sends a message, waits for one, or both; a WebSocket that failed is open no more.
    pub async fn say(
        &mut self,
        want: &Want,
        (send, expect): (Option<String>, Option<String>),
        (times, sent): (&mut Times, &mut u64),
    ) -> Result<Answer, Failure> {
        let mut socket = self.socket.take().ok_or_else(none_open)?;
        times.written = Some(Instant::now());
        let mut answer = Answer { said: "sent".to_owned(), ..Answer::default() };
        if let Some(text) = send {
            *sent = u64::try_from(text.len()).unwrap_or(0);
            // What came before cannot be the answer.
            socket.inbox.clear();
            socket.n_bytes = 0;
            socket.held = Held::default();
            socket.stream.send(Message::text(text)).await.map_err(told)?;
        }
        if expect.is_some() || want.wants_body || *sent == 0 {
            let awaited = expect.unwrap_or_default();
            loop {
                let message = match socket.inbox.pop_front() {
                    Some(message) => {
                        socket.n_bytes -= message.len();
                        message
                    }
                    None => socket.next().await?,
                };
                times.first_byte.get_or_insert_with(Instant::now);
                times.received += u64::try_from(message.len()).unwrap_or(0);
                if message.contains(&awaited) {
                    "message".clone_into(&mut answer.said);
                    answer.body = message.into_bytes();
                    break;
                }
            }
        }
        times.ended = Some(Instant::now());
        self.socket = Some(socket);
        Ok(answer)
    }

    /// Closes the WebSocket and waits until the server has done so, too.
    pub async fn close_socket(&mut self, code: u16, times: &mut Times) -> Result<Answer, Failure> {
        let mut socket = self.socket.take().ok_or_else(none_open)?;
        times.written = Some(Instant::now());
        let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
        socket.stream.close(Some(frame)).await.map_err(told)?;
        // What was on its way is passed over.
        while let Some(Ok(_)) = socket.stream.next().await {}
        times.ended = Some(Instant::now());
        Ok(Answer { said: "closed".to_owned(), ..Answer::default() })
    }
}

fn request(
    authority: &str,
    path: &str,
    protocol: Option<String>,
    headers: Vec<(String, String)>,
) -> Result<Request<()>, Failure> {
    let unsendable = |text: &str| Failure::Unsendable(text.to_owned());
    let slash = if path.starts_with('/') { "" } else { "/" };
    // The connection is there already: the scheme says nothing.
    let url = format!("ws://{authority}{slash}{path}");
    let mut request = url.as_str().into_client_request().map_err(|_| unsendable(path))?;
    let protocol = protocol.map(|name| ("sec-websocket-protocol".to_owned(), name));
    for (name, value) in headers.into_iter().chain(protocol) {
        let key = HeaderName::try_from(&name).map_err(|_| unsendable(&name))?;
        let value = HeaderValue::try_from(&value).map_err(|_| unsendable(&name))?;
        request.headers_mut().insert(key, value);
    }
    Ok(request)
}

fn none_open() -> Failure {
    Failure::Ended("no WebSocket is open: `websocket: { connect: … }` comes first".to_owned())
}

fn ended(frame: Option<CloseFrame>) -> Failure {
    let Some(frame) = frame else { return Failure::Closed };
    let code = u16::from(frame.code);
    Failure::Ended(format!(
        "WebSocket closed by the server: {code} {}",
        frame.reason.as_str().trim()
    ))
}

fn told(error: tungstenite::Error) -> Failure {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is told in its own words")]
    match error {
        tungstenite::Error::Io(error) => wire::failure(&error),
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            Failure::Closed
        }
        tungstenite::Error::Http(response) => Failure::Status(response.status().as_u16()),
        tungstenite::Error::Capacity(_) => Failure::TooLarge,
        other => malformed(&format!("WebSocket: {other}")),
    }
}
