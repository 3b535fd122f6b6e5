//! An HTTP/1 answer, taken piece by piece as it arrives: no input or output here, only framing.
//!
//! Whatever a server sends, nothing but a bounded head, a bounded number of cookies and, where
//! somebody reads it, a bounded body is kept.

mod chunk;
mod content;
mod held;
mod memory;
#[cfg(test)]
mod tests;

use std::mem::MaybeUninit;

use crate::load::failure::Failure;
use chunk::Chunks;
pub use content::Coding;
pub use held::{Held, part};
pub use memory::Memory;

/// Heads of answers are not read beyond this.
pub const HEAD: usize = 64 * 1024;

/// No answer has more header lines.
const HEADERS: usize = 128;

/// Bytes of a body that something is read from.
pub const READ: usize = 8 * 1024 * 1024;

/// What the request was, so far as it decides on the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// True for HEAD: the answer has no body, whatever it says.
    pub is_head: bool,
    /// True when something reads the body.
    pub wants_body: bool,
    /// True when something reads the headers.
    pub wants_headers: bool,
}

/// What came back.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status; 0 until the head is there.
    pub status: u16,
    /// What is shown in the status' place where that is no number.
    pub said: String,
    /// Where it sends on.
    pub location: Option<String>,
    /// Its `Set-Cookie` headers.
    pub cookies: Vec<String>,
    /// Its headers, names in lower case, where they are wanted.
    pub headers: Vec<(String, String)>,
    /// How its body is packed.
    pub coding: Coding,
    /// Its body, where one is wanted.
    pub body: Vec<u8>,
    /// True when a wanted body was too long to be kept.
    pub is_cut: bool,
    /// Bytes of its body as they came.
    pub received: u64,
    /// True when the connection may take another request.
    pub is_kept: bool,
    /// Its part of what all bodies together may take.
    pub held: Held,
}

impl Answer {
    /// Takes a piece of the body: counts it, and keeps it where one is wanted.
    pub fn keep(&mut self, question: Question, bytes: &[u8]) {
        self.received += u64::try_from(bytes.len()).unwrap_or(0);
        if !question.wants_body || self.is_cut || bytes.is_empty() {
            return;
        }
        let length = self.body.len() + bytes.len();
        if length > READ || !self.held.grow(length) {
            self.is_cut = true;
            self.body = Vec::new();
            self.held = Held::default();
            return;
        }
        self.body.extend_from_slice(bytes);
    }
}

/// Reads one answer.
#[derive(Debug)]
pub struct Parser {
    question: Question,
    state: State,
    /// The beginning of a head whose end has not come yet.
    held: Vec<u8>,
    answer: Answer,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Head,
    Length(u64),
    Chunked(Chunks),
    UntilClosed,
    Done,
}

impl Parser {
    /// Begins an answer.
    pub fn new(question: Question) -> Self {
        Self { question, state: State::Head, held: Vec::new(), answer: Answer::default() }
    }

    /// Gives it a place for the body.
    pub fn with_body(mut self, body: Vec<u8>) -> Self {
        self.answer.body = body;
        self
    }

    /// True when the answer's own head is there: no interim one.
    pub fn has_head(&self) -> bool {
        self.answer.status != 0
    }

    /// True when the whole answer is there.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes of the body so far.
    pub fn received(&self) -> u64 {
        self.answer.received
    }

    /// Returns the answer.
    pub fn into_answer(self) -> Answer {
        self.answer
    }

    /// As [`Parser::take`], with the head that was met last.
    pub fn take_known(&mut self, memory: &mut Memory, bytes: &[u8]) -> Result<usize, Failure> {
        if self.state != State::Head || !self.held.is_empty() {
            return self.take(bytes);
        }
        if let Some((length, said)) = memory.recall(self.question, bytes) {
            said.tell(&mut self.answer);
            self.state = said.state;
            return Ok(length + self.take(&bytes[length..])?);
        }
        let length = self.head(bytes)?;
        if self.has_head() {
            memory.learn(self.question, &bytes[..length], (&self.answer, self.state));
        }
        Ok(length + self.take(&bytes[length..])?)
    }

    /// Takes what has come; returns how many bytes belong to this answer.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let mut at = 0;
        while at < bytes.len() && !self.is_done() {
            at += self.step(&bytes[at..])?;
        }
        Ok(at)
    }

    /// Takes the end of the stream.
    pub fn end(&mut self) -> Result<(), Failure> {
        match self.state {
            State::UntilClosed => {
                self.state = State::Done;
                Ok(())
            }
            State::Done => Ok(()),
            State::Head => {
                // What is no head at all is told as that, not as one that was cut.
                let held = std::mem::take(&mut self.held);
                if !held.is_empty() {
                    self.parse(&held)?;
                }
                Err(Failure::Closed)
            }
            State::Length(_) | State::Chunked(_) => Err(Failure::Closed),
        }
    }

    fn step(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        match &mut self.state {
            State::Head => self.head(bytes),
            State::Length(rest) => {
                let length = usize::try_from(*rest).unwrap_or(usize::MAX).min(bytes.len());
                *rest -= u64::try_from(length).unwrap_or(0);
                let is_over = *rest == 0;
                self.keep(&bytes[..length]);
                if is_over {
                    self.state = State::Done;
                }
                Ok(length)
            }
            State::Chunked(chunks) => {
                let piece = chunks.take(bytes)?;
                let is_over = chunks.is_over();
                self.keep(&bytes[piece.data]);
                if is_over {
                    self.state = State::Done;
                }
                Ok(piece.length)
            }
            State::UntilClosed => {
                self.keep(bytes);
                Ok(bytes.len())
            }
            State::Done => Ok(0),
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        if self.held.is_empty() {
            if let Some(length) = self.parse(bytes)? {
                return Ok(length);
            }
            if bytes.len() > HEAD {
                return Err(too_large());
            }
            self.held.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        let before = self.held.len();
        let room = HEAD.saturating_sub(before);
        if room == 0 {
            return Err(too_large());
        }
        let piece = &bytes[..bytes.len().min(room)];
        self.held.extend_from_slice(piece);
        begins_well(&self.held)?;
        // Only a whole head is parsed anew: byte by byte would be quadratic.
        let Some(end) = end_of_head(&self.held, before) else { return Ok(piece.len()) };
        let held = std::mem::take(&mut self.held);
        match self.parse(&held[..end])? {
            Some(_) => Ok(end - before),
            None => Err(malformed("a head without an end")),
        }
    }

    /// Parses a head; `None` when its end is not there yet.
    fn parse(&mut self, bytes: &[u8]) -> Result<Option<usize>, Failure> {
        begins_well(bytes)?;
        let mut headers = [const { MaybeUninit::uninit() }; HEADERS];
        let mut head = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut head,
            bytes,
            &mut headers,
        );
        let length = match parsed {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(malformed("message head has too many headers"));
            }
            Err(error) => return Err(malformed(&error.to_string())),
        };
        if length > HEAD {
            return Err(too_large());
        }
        let status = head.code.unwrap_or(0);
        match status {
            101 => return Err(malformed("it switches protocols unasked")),
            100..200 => return Ok(Some(length)),
            200.. => {}
            0..100 => return Err(malformed("a status below 100")),
        }
        let frame = self.read(&head)?;
        self.answer.status = status;
        self.state = if self.question.is_head || status == 204 || status == 304 {
            State::Done
        } else {
            frame.state()
        };
        let ends_connection = self.state == State::UntilClosed || frame.is_doubtful();
        self.answer.is_kept = frame.is_kept && !ends_connection;
        Ok(Some(length))
    }

    fn read(&mut self, head: &httparse::Response<'_, '_>) -> Result<Frame, Failure> {
        let is_old = head.version == Some(0);
        let mut frame = Frame { is_old, is_kept: !is_old, ..Frame::default() };
        for header in head.headers.iter() {
            let (name, value) = (header.name, header.value);
            if self.question.wants_headers {
                let value = String::from_utf8_lossy(value).into_owned();
                self.answer.headers.push((name.to_ascii_lowercase(), value));
            }
            // Told apart by length first: most headers are none of these.
            match name.len() {
                14 if name.eq_ignore_ascii_case("content-length") => frame.add_length(value)?,
                17 if name.eq_ignore_ascii_case("transfer-encoding") => frame.add_coding(value),
                10 if name.eq_ignore_ascii_case("connection") => frame.add_connection(value),
                10 if name.eq_ignore_ascii_case("set-cookie") => {
                    if let Ok(cookie) = std::str::from_utf8(value) {
                        self.answer.cookies.push(cookie.to_owned());
                    }
                }
                8 if name.eq_ignore_ascii_case("location") => {
                    self.answer.location = std::str::from_utf8(value).ok().map(str::to_owned);
                }
                16 if name.eq_ignore_ascii_case("content-encoding") => {
                    self.answer.coding = Coding::of(value);
                }
                _ => {}
            }
        }
        Ok(frame)
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.answer.keep(self.question, bytes);
    }
}

/// The transfer coding of a body.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Transfer {
    #[default]
    Plain,
    Chunked,
    Other,
}

/// How a body ends, as the headers say.
#[derive(Debug, Default)]
struct Frame {
    length: Option<u64>,
    coding: Transfer,
    is_kept: bool,
    /// HTTP/1.0.
    is_old: bool,
}

impl Frame {
    /// True for what can be read in two ways: a length beside a coding, or a coding in HTTP/1.0,
    /// which has none. Nothing after it can be trusted.
    fn is_doubtful(&self) -> bool {
        self.coding != Transfer::Plain && (self.is_old || self.length.is_some())
    }

    fn state(&self) -> State {
        match (self.coding, self.length) {
            (Transfer::Chunked, _) => State::Chunked(Chunks::default()),
            (Transfer::Other, _) | (Transfer::Plain, None) => State::UntilClosed,
            (Transfer::Plain, Some(0)) => State::Done,
            (Transfer::Plain, Some(length)) => State::Length(length),
        }
    }

    /// The same length may be told twice; two lengths are a lie.
    fn add_length(&mut self, value: &[u8]) -> Result<(), Failure> {
        for part in value.split(|byte| *byte == b',') {
            let length = number(part.trim_ascii()).ok_or_else(|| malformed("content-length"))?;
            if self.length.is_some_and(|known| known != length) {
                return Err(malformed("two content-lengths"));
            }
            self.length = Some(length);
        }
        Ok(())
    }

    fn add_coding(&mut self, value: &[u8]) {
        let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
        let is_chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        self.coding = if is_chunked { Transfer::Chunked } else { Transfer::Other };
    }

    fn add_connection(&mut self, value: &[u8]) {
        for token in value.split(|byte| *byte == b',') {
            let token = token.trim_ascii();
            if token.eq_ignore_ascii_case(b"close") {
                self.is_kept = false;
                return;
            }
            if token.eq_ignore_ascii_case(b"keep-alive") {
                self.is_kept = true;
            }
        }
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Returns the length of the head when its empty line is there; `from`: what was searched before.
fn end_of_head(held: &[u8], from: usize) -> Option<usize> {
    let from = from.saturating_sub(3);
    held[from..].iter().enumerate().filter(|(_, byte)| **byte == b'\n').find_map(|(at, _)| {
        let end = from + at;
        let before = held[..end].strip_suffix(b"\r").unwrap_or(&held[..end]);
        before.ends_with(b"\n").then_some(end + 1)
    })
}

/// Tells what speaks another protocol at its first bytes.
fn begins_well(bytes: &[u8]) -> Result<(), Failure> {
    const BEGIN: &[u8] = b"HTTP/1.";
    let known = bytes.len().min(BEGIN.len());
    if bytes[..known] == BEGIN[..known] {
        Ok(())
    } else {
        Err(malformed("it does not begin with `HTTP/1.`"))
    }
}

/// A failure that says what is wrong with the answer.
pub fn malformed(what: &str) -> Failure {
    Failure::Malformed(what.to_owned())
}

fn too_large() -> Failure {
    malformed("message head is too large")
}
