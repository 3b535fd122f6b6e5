//! An HTTP/2 connection without its socket: frames in, frames out.
//!
//! Whatever a server sends, nothing but bounded heads, bounded tables and, where somebody reads
//! them, bounded bodies is kept; frames that carry nothing are counted and end the connection.

use std::task::{Context, Waker};
use std::time::Instant;

use crate::load::body::Outgoing;
use crate::load::failure::Failure;
use crate::load::worker::answer::{HEAD, Question, malformed};
use crate::load::worker::http2::frame::{self, Head, bare, number, push_head, push_numbers};
use crate::load::worker::http2::hpack::{Decoder, Encoder};
use crate::load::worker::http2::stream::Stream;
use crate::load::worker::http2::{Block, CONNECTION_WINDOW, WINDOW};

/// So many frames in a row may carry nothing for anybody.
const IDLE: u32 = 10_000;

/// What waits to be written may not grow beyond this: the peer does not read.
const BACKLOG: usize = 8 * 1024 * 1024;

/// So much of bodies is written at a time.
const PIECE: usize = 64 * 1024;

/// Streams that a peer allows before it says how many.
const STREAMS: usize = 100;

/// A connection.
#[derive(Debug)]
pub struct Conn {
    /// What is to be written next.
    pub out: Vec<u8>,
    /// Packs heads.
    pub encoder: Encoder,
    /// The head of a request that is the same each time.
    pub kept_block: Option<Block>,
    /// True once the peer's settings are there.
    pub is_open: bool,
    /// Who writes and reads.
    pub driver: Option<Waker>,
    /// Why nothing goes on, when nothing does.
    pub over: Option<Failure>,
    /// True when the peer takes no further requests, or we make none.
    pub is_closing: bool,
    /// How often something came.
    pub n_reads: u64,
    decoder: Decoder,
    streams: Vec<Stream>,
    next: u32,
    /// The beginning of a frame whose rest has not come yet.
    held: Vec<u8>,
    /// A head that goes on in the next frame: its stream, whether it ends it, and how many parts.
    head: Option<(u32, bool, u32, Vec<u8>)>,
    send_window: i64,
    /// What came since the peer was told that it may send more.
    untold: u32,
    n_idle: u32,
    peer_window: i64,
    peer_frame: usize,
    peer_streams: usize,
    /// Users who wait for a stream.
    waiting: Vec<Waker>,
}

impl Conn {
    /// Begins: what we say first is ready to be written.
    pub fn new() -> Self {
        let mut out = frame::PREFACE.to_vec();
        // No push; windows so wide that a body is never waited for; heads up to a bound.
        let settings = [(2_u16, 0_u32), (4, WINDOW), (6, u32::try_from(HEAD).unwrap_or(0))];
        push_head(&mut out, 6 * settings.len(), frame::SETTINGS, 0, 0);
        for (name, value) in settings {
            out.extend_from_slice(&name.to_be_bytes());
            out.extend_from_slice(&value.to_be_bytes());
        }
        push_numbers(&mut out, frame::WINDOW_UPDATE, 0, &[CONNECTION_WINDOW - 65_535]);
        Self {
            out,
            encoder: Encoder::new(),
            kept_block: None,
            is_open: false,
            driver: None,
            over: None,
            is_closing: false,
            n_reads: 0,
            decoder: Decoder::new(),
            streams: Vec::new(),
            next: 1,
            held: Vec::new(),
            head: None,
            send_window: 65_535,
            untold: 0,
            n_idle: 0,
            peer_window: 65_535,
            peer_frame: frame::PAYLOAD,
            peer_streams: STREAMS,
            waiting: Vec::new(),
        }
    }

    /// True when another stream may begin now.
    pub fn has_room(&self) -> bool {
        self.is_open && self.streams.len() < self.peer_streams
    }

    /// True when it takes no further request.
    pub fn is_over(&self) -> bool {
        self.over.is_some() || self.is_closing || self.next > 0x7fff_fff0
    }

    /// Has the task woken when there may be room.
    pub fn wait(&mut self, cx: &Context<'_>) {
        if !self.waiting.iter().any(|known| known.will_wake(cx.waker())) {
            self.waiting.push(cx.waker().clone());
        }
    }

    /// Begins a stream whose head was packed as `block`; `first` and then `rest` are its body.
    pub fn begin(
        &mut self,
        question: Question,
        place: Vec<u8>,
        block: &[u8],
        (first, rest): (&[u8], Outgoing),
    ) -> u32 {
        let id = self.next;
        self.next += 2;
        let mut stream = Stream::new(id, question, place, self.peer_window);
        let mut rest = rest;
        let has_body = !first.is_empty() || !rest.is_done();
        let end = if has_body { 0 } else { frame::END_STREAM };
        let mut parts = block.chunks(self.peer_frame).peekable();
        let mut kind = frame::HEADERS;
        let mut flags = end;
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                flags |= frame::END_HEADERS;
            }
            push_head(&mut self.out, part.len(), kind, flags, id);
            self.out.extend_from_slice(part);
            (kind, flags) = (frame::CONTINUATION, 0);
        }
        if has_body {
            let room = self.send_window.min(stream.send_window);
            let length = i64::try_from(first.len()).unwrap_or(i64::MAX);
            if rest.is_done() && length <= room && first.len() <= self.peer_frame {
                push_head(&mut self.out, first.len(), frame::DATA, frame::END_STREAM, id);
                self.out.extend_from_slice(first);
                self.send_window -= length;
            } else {
                rest.put_before(first);
                stream.body = Some(rest);
            }
        }
        self.streams.push(stream);
        id
    }

    /// Returns a stream.
    pub fn stream(&mut self, id: u32) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.id == id)
    }

    /// Takes a stream out; one that has not ended is told to the peer.
    pub fn take(&mut self, id: u32) -> Option<Stream> {
        let at = self.streams.iter().position(|stream| stream.id == id)?;
        let stream = self.streams.swap_remove(at);
        if stream.end.is_none() && self.over.is_none() {
            push_numbers(&mut self.out, frame::RST_STREAM, id, &[frame::CANCEL]);
        }
        if let Some(waker) = self.waiting.pop() {
            waker.wake();
        }
        Some(stream)
    }

    /// True when nothing is asked.
    pub fn is_idle(&self) -> bool {
        self.streams.is_empty()
    }

    /// True when bodies wait to be written and the peer takes some of them.
    pub fn has_more(&mut self) -> bool {
        let room = self.send_window;
        room > 0
            && self.streams.iter().any(|stream| stream.body.is_some() && stream.send_window > 0)
    }

    /// Adds pieces of bodies to what is written next.
    pub fn fill(&mut self) {
        for stream in &mut self.streams {
            while let Some(body) = &mut stream.body {
                let room = self.send_window.min(stream.send_window);
                let room = usize::try_from(room).unwrap_or(0).min(self.peer_frame);
                if room == 0 || self.out.len() >= PIECE {
                    break;
                }
                let next = body.next();
                let length = next.len().min(room);
                let at = self.out.len();
                push_head(&mut self.out, length, frame::DATA, 0, stream.id);
                self.out.extend_from_slice(&next[..length]);
                body.advance(length);
                if body.is_done() {
                    stream.body = None;
                    // The flags are the fifth byte.
                    self.out[at + 4] = frame::END_STREAM;
                }
                let length = i64::try_from(length).unwrap_or(i64::MAX);
                self.send_window -= length;
                stream.send_window -= length;
                self.n_idle = 0;
            }
        }
    }

    /// Ends everything.
    pub fn fail(&mut self, failure: Failure) {
        for stream in &mut self.streams {
            stream.finish(Err(failure.clone()), Some(Instant::now()));
        }
        self.over.get_or_insert(failure);
        self.waiting.drain(..).for_each(Waker::wake);
    }

    /// Takes what has come; a failure is the connection's.
    pub fn read(&mut self, bytes: &[u8], now: Instant) -> Result<(), Failure> {
        self.n_reads += 1;
        if self.held.is_empty() {
            let taken = self.frames(bytes, now)?;
            self.held.extend_from_slice(&bytes[taken..]);
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(bytes);
            let taken = self.frames(&held, now)?;
            held.drain(..taken);
            self.held = held;
        }
        if self.out.len() > BACKLOG || self.n_idle > IDLE {
            return Err(malformed("HTTP/2: a flood of frames that carry nothing"));
        }
        Ok(())
    }

    fn frames(&mut self, bytes: &[u8], now: Instant) -> Result<usize, Failure> {
        let mut at = 0;
        if !self.is_open && bytes.starts_with(b"HTTP/1") {
            return Err(Failure::Connect(
                "the server speaks HTTP/1 only: `http: { version: 1 }`".to_owned(),
            ));
        }
        while let Some(head) = Head::read(&bytes[at..]) {
            if !self.is_open && head.kind != frame::SETTINGS {
                return Err(Failure::Connect("the server does not speak HTTP/2".to_owned()));
            }
            if head.length > frame::PAYLOAD {
                return Err(malformed("HTTP/2: a frame larger than allowed"));
            }
            let begin = at + frame::LENGTH;
            let Some(payload) = bytes.get(begin..begin + head.length) else { break };
            at = begin + head.length;
            self.frame(&head, payload, now)?;
        }
        Ok(at)
    }

    fn frame(&mut self, head: &Head, payload: &[u8], now: Instant) -> Result<(), Failure> {
        self.n_idle += 1;
        if self.head.is_some() && head.kind != frame::CONTINUATION {
            return Err(malformed("HTTP/2: a head that does not go on"));
        }
        match head.kind {
            frame::DATA => self.data(head, payload, now),
            frame::HEADERS => {
                let block = bare(head, payload)?;
                let ends = head.has(frame::END_STREAM);
                if head.has(frame::END_HEADERS) {
                    return self.headers(head.stream, ends, block, now);
                }
                self.head = Some((head.stream, ends, 1, block.to_vec()));
                Ok(())
            }
            frame::CONTINUATION => {
                let (stream, ends, n, mut block) =
                    self.head.take().ok_or_else(|| malformed("HTTP/2: nothing goes on"))?;
                block.extend_from_slice(payload);
                if head.stream != stream {
                    return Err(malformed("HTTP/2: a head that does not go on"));
                }
                if block.len() > HEAD || n > 100 {
                    return Err(malformed("message head is too large"));
                }
                if head.has(frame::END_HEADERS) {
                    return self.headers(stream, ends, &block, now);
                }
                self.head = Some((stream, ends, n + 1, block));
                Ok(())
            }
            frame::RST_STREAM => {
                let code = number(payload).ok_or_else(|| malformed("HTTP/2: a reset"))?;
                if let Some(stream) = self.stream(head.stream) {
                    let name = frame::error_name(code);
                    let failure = Failure::Ended(format!("stream reset by the server: {name}"));
                    let is_news = stream.end.is_none();
                    stream.finish(Err(failure), Some(now));
                    if is_news {
                        self.n_idle = 0;
                    }
                }
                Ok(())
            }
            frame::SETTINGS => self.settings(head, payload),
            frame::PING if !head.has(frame::ACK) => {
                if payload.len() != 8 {
                    return Err(malformed("HTTP/2: a ping"));
                }
                push_head(&mut self.out, 8, frame::PING, frame::ACK, 0);
                self.out.extend_from_slice(payload);
                Ok(())
            }
            frame::GOAWAY => self.go_away(payload),
            frame::WINDOW_UPDATE => self.widen(head, payload),
            frame::PUSH_PROMISE => Err(malformed("HTTP/2: a push that was forbidden")),
            // Unknown kinds are to be skipped; priorities are nothing to us.
            _ => Ok(()),
        }
    }

    fn data(&mut self, head: &Head, payload: &[u8], now: Instant) -> Result<(), Failure> {
        if head.stream == 0 {
            return Err(malformed("HTTP/2: data of no stream"));
        }
        let bytes = bare(head, payload)?;
        self.untold = self.untold.saturating_add(u32::try_from(payload.len()).unwrap_or(u32::MAX));
        if self.untold > CONNECTION_WINDOW / 2 {
            push_numbers(&mut self.out, frame::WINDOW_UPDATE, 0, &[self.untold]);
            self.untold = 0;
        }
        let Some(at) = self.streams.iter().position(|stream| stream.id == head.stream) else {
            return Ok(());
        };
        let stream = &mut self.streams[at];
        stream.data(bytes, payload.len(), head.has(frame::END_STREAM), now);
        if !bytes.is_empty() {
            self.n_idle = 0;
        }
        if stream.end.is_none() && stream.untold > i64::from(WINDOW / 2) {
            let more = u32::try_from(stream.untold).unwrap_or(0);
            stream.untold = 0;
            push_numbers(&mut self.out, frame::WINDOW_UPDATE, head.stream, &[more]);
        }
        Ok(())
    }

    fn headers(&mut self, id: u32, ends: bool, block: &[u8], now: Instant) -> Result<(), Failure> {
        if id == 0 || id >= self.next || id.is_multiple_of(2) {
            return Err(malformed("HTTP/2: an answer to no request"));
        }
        let at = self.streams.iter().position(|stream| stream.id == id);
        let mut stream = at.and_then(|at| self.streams.get_mut(at));
        // Also what nobody waits for is read: it changes the tables.
        self.decoder.read(block, |name, value| {
            if let Some(stream) = stream.as_deref_mut() {
                stream.field(name, value);
            }
            Ok(())
        })?;
        if let Some(stream) = stream {
            stream.head(ends, now);
            if stream.first_byte.is_some() {
                self.n_idle = 0;
            }
        }
        Ok(())
    }

    fn settings(&mut self, head: &Head, payload: &[u8]) -> Result<(), Failure> {
        if head.has(frame::ACK) {
            return Ok(());
        }
        let wrong = || malformed("HTTP/2: settings");
        if head.stream != 0 || !payload.len().is_multiple_of(6) {
            return Err(wrong());
        }
        for setting in payload.chunks(6) {
            let value = number(&setting[2..]).ok_or_else(wrong)?;
            let size = usize::try_from(value).map_err(|_| wrong())?;
            match [setting[0], setting[1]] {
                [0, 1] => self.encoder.resize(size),
                [0, 3] => self.peer_streams = size,
                [0, 4] => {
                    if value > 0x7fff_ffff {
                        return Err(wrong());
                    }
                    let change = i64::from(value) - self.peer_window;
                    self.peer_window = i64::from(value);
                    for stream in &mut self.streams {
                        stream.send_window += change;
                    }
                }
                [0, 5] if (frame::PAYLOAD..1 << 24).contains(&size) => self.peer_frame = size,
                [0, 5] => return Err(wrong()),
                _ => {}
            }
        }
        push_head(&mut self.out, 0, frame::SETTINGS, frame::ACK, 0);
        self.is_open = true;
        self.waiting.drain(..).for_each(Waker::wake);
        Ok(())
    }

    fn go_away(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let wrong = || malformed("HTTP/2: a farewell");
        let last = number(payload).ok_or_else(wrong)? & 0x7fff_ffff;
        let code = payload.get(4..).and_then(number).ok_or_else(wrong)?;
        let failure =
            Failure::Ended(format!("connection ended by the server: {}", frame::error_name(code)));
        self.is_closing = true;
        for stream in self.streams.iter_mut().filter(|stream| stream.id > last) {
            stream.is_untouched = true;
            stream.finish(Err(failure.clone()), Some(Instant::now()));
        }
        self.waiting.drain(..).for_each(Waker::wake);
        if code == frame::NO_ERROR { Ok(()) } else { Err(failure) }
    }

    fn widen(&mut self, head: &Head, payload: &[u8]) -> Result<(), Failure> {
        let wrong = || malformed("HTTP/2: a window");
        let more = i64::from(number(payload).ok_or_else(wrong)? & 0x7fff_ffff);
        if more == 0 {
            return Err(wrong());
        }
        let window = if head.stream == 0 {
            &mut self.send_window
        } else {
            let Some(stream) = self.stream(head.stream) else { return Ok(()) };
            &mut stream.send_window
        };
        *window += more;
        if *window > 0x7fff_ffff { Err(wrong()) } else { Ok(()) }
    }
}
