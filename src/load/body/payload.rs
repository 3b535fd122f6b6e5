//! Bodies that are no text: a block of bytes again and again, up to a length; held once, sent by
//! all users.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

use crate::load::body::Fill;
use crate::load::plan::Content;
use crate::unit::Size;

/// Bytes to be sent.
#[derive(Clone)]
pub struct Payload {
    block: Arc<[u8]>,
    length: u64,
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.length)
    }
}

/// Made bytes come again after so many.
const BLOCK: u64 = 1 << 20;

impl Payload {
    /// What a plan says.
    pub fn new(content: &Content) -> Self {
        match content {
            // What came over a socket and is no base64 is nothing.
            Content::File(packed) => Self::once(STANDARD.decode(packed).unwrap_or_default()),
            Content::Made(Size(length), fill) => {
                let size = usize::try_from(BLOCK.min(*length)).unwrap_or(0);
                let mut block = vec![0; size];
                match fill {
                    Fill::Zero => {}
                    Fill::Random => SmallRng::from_os_rng().fill_bytes(&mut block),
                    Fill::Pattern => {
                        let pattern = ('a'..='z').chain('0'..='9').cycle();
                        for (byte, letter) in block.iter_mut().zip(pattern) {
                            *byte = u8::try_from(letter).unwrap_or(b'x');
                        }
                    }
                }
                Self { block: Arc::from(block), length: *length }
            }
        }
    }

    /// The bytes, once.
    pub fn once(bytes: impl Into<Arc<[u8]>>) -> Self {
        let block = bytes.into();
        let length = u64::try_from(block.len()).unwrap_or(u64::MAX);
        Self { block, length }
    }

    /// The bytes, where they lie together.
    pub fn whole(&self) -> Option<&[u8]> {
        let length = u64::try_from(self.block.len()).unwrap_or(u64::MAX);
        (length == self.length).then_some(&*self.block)
    }

    /// How many bytes there are.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns what comes at a place, as far as it lies together; empty at the end.
    fn at(&self, place: u64) -> &[u8] {
        let rest = usize::try_from(self.length.saturating_sub(place)).unwrap_or(usize::MAX);
        let Some(at) = place.checked_rem(u64::try_from(self.block.len()).unwrap_or(0)) else {
            return &[];
        };
        let piece = &self.block[usize::try_from(at).unwrap_or(0)..];
        &piece[..piece.len().min(rest)]
    }
}

/// Payloads on their way, one after the other.
#[derive(Debug, Default)]
pub struct Outgoing {
    pieces: Vec<Payload>,
    piece: usize,
    at: u64,
}

impl Outgoing {
    /// Begins.
    pub fn new(pieces: Vec<Payload>) -> Self {
        Self { pieces, piece: 0, at: 0 }
    }

    /// Puts bytes before everything else.
    pub fn put_before(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.pieces.insert(0, Payload::once(bytes));
        }
    }

    /// What comes next, as far as it lies together; empty when all was sent.
    pub fn next(&mut self) -> &[u8] {
        while self.pieces.get(self.piece).is_some_and(|piece| piece.length <= self.at) {
            self.piece += 1;
            self.at = 0;
        }
        self.pieces.get(self.piece).map_or(&[], |piece| piece.at(self.at))
    }

    /// Notes that so many bytes were sent.
    pub fn advance(&mut self, count: usize) {
        self.at += u64::try_from(count).unwrap_or(0);
    }

    /// True when all was sent.
    pub fn is_done(&mut self) -> bool {
        self.next().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_their_order_and_blocks_again_and_again() {
        let repeated = Payload { block: Arc::from(&b"abc"[..]), length: 7 };
        let mut outgoing = Outgoing::new(vec![
            Payload::once(&b"<"[..]),
            Payload::once(&b""[..]),
            repeated,
            Payload::once(&b">"[..]),
        ]);
        let mut sent = Vec::new();
        while !outgoing.is_done() {
            let piece = outgoing.next();
            let length = piece.len().min(2);
            sent.extend_from_slice(&piece[..length]);
            outgoing.advance(length);
        }
        assert_eq!(sent, b"<abcabca>");
    }
}
