//! One exchange of an HTTP/2 connection: what is still to be sent, and what has come.

use std::task::Waker;
use std::time::Instant;

use crate::load::body::Outgoing;
use crate::load::failure::Failure;
use crate::load::worker::answer::{Answer, Coding, Question, malformed};
use crate::load::worker::http2::WINDOW;

/// No answer has more header lines.
const HEADERS: usize = 128;

/// One exchange.
#[derive(Debug)]
pub struct Stream {
    /// Its number.
    pub id: u32,
    /// What came.
    pub answer: Answer,
    /// How it ended, when it has.
    pub end: Option<Result<(), Failure>>,
    /// When the answer's head was there.
    pub first_byte: Option<Instant>,
    /// When it ended.
    pub ended: Option<Instant>,
    /// The user who waits for it.
    pub waker: Option<Waker>,
    /// How much the peer takes of it now.
    pub send_window: i64,
    /// What is still to be sent; `None` when the request is complete.
    pub body: Option<Outgoing>,
    /// What came since the peer was told that it may send more.
    pub untold: i64,
    /// True when the server says that it did nothing about it.
    pub is_untouched: bool,
    question: Question,
    /// What the head says of the body's length.
    length: Option<u64>,
    n_headers: usize,
}

impl Stream {
    /// Begins; `place` is where a wanted body is kept.
    pub fn new(id: u32, question: Question, place: Vec<u8>, send_window: i64) -> Self {
        Self {
            id,
            answer: Answer { body: place, is_kept: true, ..Answer::default() },
            end: None,
            first_byte: None,
            ended: None,
            waker: None,
            send_window,
            body: None,
            untold: 0,
            is_untouched: false,
            question,
            length: None,
            n_headers: 0,
        }
    }

    /// Ends it, unless it has ended before, and wakes the user.
    pub fn finish(&mut self, how: Result<(), Failure>, now: Option<Instant>) {
        if self.end.is_none() {
            self.end = Some(how);
            self.ended = now;
        }
        self.body = None;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Takes a field of a head.
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        if self.end.is_some() {
            return;
        }
        self.n_headers += 1;
        if self.n_headers > HEADERS {
            return self.finish(Err(malformed("message head has too many headers")), None);
        }
        match name {
            b":status" => {
                let status = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                self.answer.status = status.unwrap_or(0);
                return;
            }
            b"location" => {
                self.answer.location = std::str::from_utf8(value).ok().map(str::to_owned);
            }
            b"content-encoding" => self.answer.coding = Coding::of(value),
            b"set-cookie" => {
                self.answer.cookies.extend(std::str::from_utf8(value).ok().map(str::to_owned));
            }
            b"content-length" => {
                let length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                if length.is_none() || self.length.is_some_and(|known| Some(known) != length) {
                    return self.finish(Err(malformed("content-length")), None);
                }
                self.length = length;
            }
            _ => {}
        }
        if self.question.wants_headers && !name.starts_with(b":") {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            self.answer.headers.push((text(name), text(value)));
        }
    }

    /// A head is complete.
    pub fn head(&mut self, ends: bool, now: Instant) {
        if self.first_byte.is_some() {
            // What follows a body says how it went, and is the end.
            return if ends {
                self.complete(now);
            } else {
                self.finish(Err(malformed("HTTP/2: a head in the middle of a body")), Some(now));
            };
        }
        match self.answer.status {
            101 => self.finish(Err(malformed("it switches protocols unasked")), Some(now)),
            100..200 if !ends => {
                // An interim one says nothing.
                self.answer.status = 0;
                self.answer.headers.clear();
            }
            200.. => {
                self.first_byte = Some(now);
                if ends {
                    self.complete(now);
                }
            }
            _ => self.finish(Err(malformed("HTTP/2: a head without a status")), Some(now)),
        }
    }

    /// Takes a piece of the body; `taken` are the bytes with their padding.
    pub fn data(&mut self, bytes: &[u8], taken: usize, ends: bool, now: Instant) {
        self.untold += i64::try_from(taken).unwrap_or(i64::MAX);
        if self.first_byte.is_none() {
            return self.finish(Err(malformed("HTTP/2: a body before its head")), Some(now));
        }
        if self.untold > i64::from(WINDOW) {
            return self.finish(Err(malformed("HTTP/2: more than it may send")), Some(now));
        }
        self.answer.keep(self.question, bytes);
        if ends {
            self.complete(now);
        }
    }

    fn complete(&mut self, now: Instant) {
        let has_body = !self.question.is_head && ![204, 304].contains(&self.answer.status);
        let is_cut = has_body && self.length.is_some_and(|length| length != self.answer.received);
        let how =
            if is_cut { Err(malformed("a body of another length than told")) } else { Ok(()) };
        self.finish(how, Some(now));
    }
}
