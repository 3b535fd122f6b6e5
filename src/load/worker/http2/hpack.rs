//! HPACK (RFC 7541): header lists packed by tables that both sides keep.

use std::collections::VecDeque;
use std::ops::Range;

use crate::load::failure::Failure;
use crate::load::worker::answer::{HEAD, malformed};
use crate::load::worker::http2::huffman;

/// The size of both tables, as both sides begin with it.
pub const TABLE: usize = 4096;

/// What an entry costs beside its bytes.
const ENTRY: usize = 32;

/// The static table: name and value, from index 1.
#[rustfmt::skip]
const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"),
    (":path", "/index.html"), (":scheme", "http"), (":scheme", "https"), (":status", "200"),
    (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"),
    (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""),
    ("accept", ""), ("access-control-allow-origin", ""), ("age", ""), ("allow", ""),
    ("authorization", ""), ("cache-control", ""), ("content-disposition", ""),
    ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""),
    ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""),
    ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""),
    ("via", ""), ("www-authenticate", ""),
];

fn wrong() -> Failure {
    malformed("HTTP/2: header compression")
}

/// Reads what the peer packed.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The entries' bytes, oldest first; what was given up stays in front until there is much.
    bytes: Vec<u8>,
    /// Name and value of each entry, as places in `bytes`; the newest is the last.
    entries: VecDeque<(Range<usize>, Range<usize>)>,
    size: usize,
    max: usize,
    scratch: Vec<u8>,
}

impl Decoder {
    /// Begins with an empty table.
    pub fn new() -> Self {
        Self { max: TABLE, ..Self::default() }
    }

    /// Reads a block and hands out its fields. After a failure the tables no longer agree: the
    /// connection is of no use.
    pub fn read(
        &mut self,
        mut block: &[u8],
        mut take: impl FnMut(&[u8], &[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut total = 0;
        while let Some(first) = block.first().copied() {
            if first & 0x80 != 0 {
                let index = integer(&mut block, 7)?;
                let (name, value) = self.at(index)?;
                total += name.len() + value.len() + ENTRY;
                take(name, value)?;
            } else if first & 0xe0 == 0x20 {
                let size = integer(&mut block, 5)?;
                if size > TABLE {
                    return Err(wrong());
                }
                self.max = size;
                self.shrink(0);
            } else {
                let is_kept = first & 0x40 != 0;
                let index = integer(&mut block, if is_kept { 6 } else { 4 })?;
                let mut scratch = std::mem::take(&mut self.scratch);
                scratch.clear();
                if index == 0 {
                    text(&mut block, &mut scratch)?;
                } else {
                    scratch.extend_from_slice(self.at(index)?.0);
                }
                let middle = scratch.len();
                text(&mut block, &mut scratch)?;
                let (name, value) = scratch.split_at(middle);
                total += scratch.len() + ENTRY;
                if is_kept {
                    self.keep(name, value);
                }
                take(name, value)?;
                self.scratch = scratch;
            }
            if total > HEAD {
                return Err(malformed("message head is too large"));
            }
        }
        Ok(())
    }

    fn at(&self, index: usize) -> Result<(&[u8], &[u8]), Failure> {
        let at = index.checked_sub(1).ok_or_else(wrong)?;
        if let Some((name, value)) = STATIC.get(at) {
            return Ok((name.as_bytes(), value.as_bytes()));
        }
        let back = at - STATIC.len() + 1;
        let at = self.entries.len().checked_sub(back).ok_or_else(wrong)?;
        let (name, value) = self.entries.get(at).cloned().ok_or_else(wrong)?;
        Ok((&self.bytes[name], &self.bytes[value]))
    }

    fn keep(&mut self, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + ENTRY;
        self.shrink(size);
        if size > self.max {
            return;
        }
        if self.bytes.len() > 4 * TABLE {
            let gone = self.entries.front().map_or(self.bytes.len(), |(name, _)| name.start);
            self.bytes.drain(..gone);
            for (name, value) in &mut self.entries {
                *name = name.start - gone..name.end - gone;
                *value = value.start - gone..value.end - gone;
            }
        }
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.entries.push_back((begin..middle, middle..self.bytes.len()));
        self.size += size;
    }

    /// Gives entries up until there is room for `more`.
    fn shrink(&mut self, more: usize) {
        while self.size + more > self.max {
            let Some((name, value)) = self.entries.pop_front() else { return };
            self.size -= name.len() + value.len() + ENTRY;
        }
    }
}

/// Reads an integer whose first byte has so many bits for it.
fn integer(block: &mut &[u8], bits: u32) -> Result<usize, Failure> {
    let mask = (1_usize << bits) - 1;
    let first = usize::from(*block.split_off_first().ok_or_else(wrong)?) & mask;
    if first < mask {
        return Ok(first);
    }
    let mut number = first;
    for shift in [0, 7, 14, 21] {
        let byte = usize::from(*block.split_off_first().ok_or_else(wrong)?);
        number += (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(wrong())
}

/// Reads a text.
fn text(block: &mut &[u8], to: &mut Vec<u8>) -> Result<(), Failure> {
    let is_packed = block.first().is_some_and(|byte| byte & 0x80 != 0);
    let length = integer(block, 7)?;
    let bytes = block.split_off(..length).ok_or_else(wrong)?;
    if is_packed {
        // The shortest code has five bits.
        if to.len() + bytes.len() * 8 / 5 > 2 * HEAD {
            return Err(malformed("message head is too large"));
        }
        huffman::unpack(bytes, to)?;
    } else {
        to.extend_from_slice(bytes);
    }
    Ok(())
}

/// How a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It will come again as it is: into the table.
    Yes,
    /// It is another one each time.
    No,
    /// It is a secret: in no table, of nobody on the way.
    Never,
}

/// Packs what the peer reads. Its table is only filled, never turned over: what does not fit any
/// more is written out.
#[derive(Debug)]
pub struct Encoder {
    entries: Vec<(Box<str>, Box<str>)>,
    size: usize,
    max: usize,
    /// A new size of the table that the peer is to be told of.
    resized: Option<usize>,
    /// Counts changes of the table: what was packed before one is packed anew after it.
    pub generation: u32,
}

impl Encoder {
    /// Begins with an empty table.
    pub fn new() -> Self {
        Self { entries: Vec::new(), size: 0, max: TABLE, resized: None, generation: 0 }
    }

    /// Takes the size of the table that the peer allows.
    pub fn resize(&mut self, allowed: usize) {
        let max = allowed.min(TABLE);
        if max != self.max {
            (self.max, self.size, self.resized) = (max, 0, Some(max));
            self.entries.clear();
            self.generation += 1;
        }
    }

    /// Begins a block.
    pub fn begin(&mut self, to: &mut Vec<u8>) {
        if let Some(size) = self.resized.take() {
            // Empty first: the peer's entries are forgotten with ours.
            push_integer(to, 0x20, 5, 0);
            push_integer(to, 0x20, 5, size);
        }
    }

    /// Writes a field.
    pub fn field(&mut self, name: &str, value: &str, keep: Keep, to: &mut Vec<u8>) {
        let is_same = |(known, own): &(Box<str>, Box<str>)| **own == *value && **known == *name;
        if keep == Keep::Yes
            && let Some(at) = self.entries.iter().position(is_same)
        {
            return push_integer(to, 0x80, 7, STATIC.len() + self.entries.len() - at);
        }
        let name_at = STATIC.iter().position(|(known, _)| *known == name);
        if let Some(at) = STATIC.iter().position(|known| *known == (name, value)) {
            return push_integer(to, 0x80, 7, at + 1);
        }
        let size = name.len() + value.len() + ENTRY;
        let is_kept = keep == Keep::Yes && self.size + size <= self.max;
        let (mark, bits) = match keep {
            _ if is_kept => (0x40, 6),
            Keep::Yes | Keep::No => (0x00, 4),
            Keep::Never => (0x10, 4),
        };
        push_integer(to, mark, bits, name_at.map_or(0, |at| at + 1));
        if name_at.is_none() {
            push_text(to, name);
        }
        push_text(to, value);
        if is_kept {
            self.size += size;
            self.entries.push((name.into(), value.into()));
            self.generation += 1;
        }
    }
}

fn push_integer(to: &mut Vec<u8>, mark: u8, bits: u32, number: usize) {
    let mask = (1_usize << bits) - 1;
    let low = |number: usize| u8::try_from(number & 0x7f).unwrap_or(0);
    if number < mask {
        return to.push(mark | low(number));
    }
    to.push(mark | u8::try_from(mask).unwrap_or(0));
    let mut rest = number - mask;
    while rest >= 0x80 {
        to.push(low(rest) | 0x80);
        rest >>= 7;
    }
    to.push(low(rest));
}

fn push_text(to: &mut Vec<u8>, text: &str) {
    push_integer(to, 0, 7, text.len());
    to.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::load::tests::mutants::{changed, changes};

    fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, Failure> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        decoder.read(block, |name, value| {
            fields.push((text(name), text(value)));
            Ok(())
        })?;
        Ok(fields)
    }

    fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_answers_of_the_rfc_are_read() {
        // RFC 7541, C.6: three answers over one connection, packed by Huffman.
        let mut decoder = Decoder { max: 256, ..Decoder::default() };
        let first = [
            0x48, 0x82, 0x64, 0x02, 0x58, 0x85, 0xae, 0xc3, 0x77, 0x1a, 0x4b, 0x61, 0x96, 0xd0,
            0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04, 0x0b, 0x81,
            0x66, 0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff, 0x6e, 0x91, 0x9d, 0x29, 0xad, 0x17, 0x18,
            0x63, 0xc7, 0x8f, 0x0b, 0x97, 0xc8, 0xe9, 0xae, 0x82, 0xae, 0x43, 0xd3,
        ];
        let date = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
        let rest = [("cache-control", "private"), date, ("location", "https://www.example.com")];
        let wanted = pairs(&[&[(":status", "302")], &rest[..]].concat());
        assert_eq!(read(&mut decoder, &first).unwrap(), wanted);
        assert_eq!(decoder.size, 222);
        let second = read(&mut decoder, &[0x48, 0x83, 0x64, 0x0e, 0xff, 0xc1, 0xc0, 0xbf]).unwrap();
        assert_eq!(second, pairs(&[&[(":status", "307")], &rest[..]].concat()));
        assert_eq!((decoder.size, decoder.entries.len()), (222, 4));
    }

    #[test]
    fn wrong_blocks_are_refused() {
        for wrong in [
            &[0x80][..],
            &[0xbe],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x3f, 0xff, 0xff, 0x01],
            &[0x40, 0x05, b'a'],
            &[0x40],
        ] {
            assert!(read(&mut Decoder::new(), wrong).is_err(), "{wrong:?}");
        }
        // A large entry told again and again.
        let mut bomb = vec![0x40, 0x01, b'a', 0x7f, 0x81, 0x1e];
        bomb.extend(vec![b'x'; 4000]);
        bomb.extend(vec![0xbe; 1000]);
        assert!(read(&mut Decoder::new(), &bomb).is_err());
    }

    proptest! {
        #[test]
        fn what_is_packed_is_read_back(
            blocks in prop::collection::vec(
                prop::collection::vec(("[a-c]{1,3}", "[ -~]{0,200}", 0..3_u8), 0..8), 1..20),
            sizes in prop::collection::vec(0..5000_usize, 1..20),
        ) {
            let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
            for (block, size) in blocks.iter().zip(sizes.iter().cycle()) {
                if size % 3 == 0 {
                    encoder.resize(*size);
                }
                let mut bytes = Vec::new();
                encoder.begin(&mut bytes);
                for (name, value, keep) in block {
                    let keep = [Keep::Yes, Keep::No, Keep::Never][usize::from(*keep)];
                    encoder.field(name, value, keep, &mut bytes);
                }
                let wanted: Vec<_> =
                    block.iter().map(|(name, value, _)| (name.clone(), value.clone())).collect();
                prop_assert_eq!(read(&mut decoder, &bytes).unwrap(), wanted);
            }
        }

        #[test]
        fn a_block_with_wrong_bytes_in_it_breaks_nothing(
            fields in prop::collection::vec(("[a-c]{1,3}", "[ -~]{0,60}"), 1..12),
            changes in changes(),
        ) {
            let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
            for _ in 0..3 {
                let mut bytes = Vec::new();
                encoder.begin(&mut bytes);
                for (name, value) in &fields {
                    encoder.field(name, value, Keep::Yes, &mut bytes);
                }
                drop(read(&mut decoder, &changed(&bytes, &changes)));
                prop_assert!(decoder.size <= TABLE && decoder.bytes.len() < 1 << 20);
            }
        }

        #[test]
        fn no_bytes_break_the_reader(
            blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..5),
        ) {
            let mut decoder = Decoder::new();
            for block in blocks {
                drop(read(&mut decoder, &block));
                prop_assert!(decoder.size <= TABLE && decoder.bytes.len() < 1 << 20);
            }
        }
    }
}
