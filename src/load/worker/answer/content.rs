//! How a body is packed, and how it is unpacked where something reads it.

use std::io::Read;

use flate2::read::{MultiGzDecoder, ZlibDecoder};

use crate::load::failure::Failure;
use crate::load::worker::answer::{Answer, READ, malformed};

/// The packing of a body.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// None.
    #[default]
    Plain,
    /// gzip.
    Gzip,
    /// zlib, which HTTP calls deflate.
    Deflate,
    /// One that is not known here.
    Other,
}

impl Coding {
    /// Reads a `Content-Encoding`.
    pub fn of(value: &[u8]) -> Self {
        let value = value.trim_ascii();
        let is = |name: &[u8]| value.eq_ignore_ascii_case(name);
        if is(b"gzip") || is(b"x-gzip") {
            Self::Gzip
        } else if is(b"deflate") {
            Self::Deflate
        } else if is(b"identity") || value.is_empty() {
            Self::Plain
        } else {
            Self::Other
        }
    }
}

impl Answer {
    /// Unpacks the body in place; what grows beyond the bound is a bomb.
    pub fn unpack(&mut self) -> Result<(), Failure> {
        if self.is_cut {
            return Err(Failure::TooLarge);
        }
        let packed = self.body.as_slice();
        let unpacked = match self.coding {
            Coding::Plain => return Ok(()),
            Coding::Gzip => inflate(MultiGzDecoder::new(packed))?,
            Coding::Deflate => inflate(ZlibDecoder::new(packed))?,
            Coding::Other => return Err(malformed("a content coding that was not asked for")),
        };
        self.body = unpacked;
        self.coding = Coding::Plain;
        Ok(())
    }
}

fn inflate(from: impl Read) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let bound = u64::try_from(READ).unwrap_or(u64::MAX);
    from.take(bound + 1).read_to_end(&mut body).map_err(|_| malformed("a broken packed body"))?;
    if body.len() > READ { Err(Failure::TooLarge) } else { Ok(body) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;
    use crate::load::tests::mutants::{changed, changes};

    fn unpack(coding: Coding, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let mut answer = Answer { coding, body, ..Answer::default() };
        answer.unpack().map(|()| answer.body)
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut to = GzEncoder::new(Vec::new(), Compression::best());
        to.write_all(body).unwrap();
        to.finish().unwrap()
    }

    #[test]
    fn a_packed_body_reads_as_it_was() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"text").unwrap();
        assert_eq!(unpack(Coding::of(b"gzip"), gzip(b"text")), Ok(b"text".to_vec()));
        let zlib = zlib.finish().unwrap();
        assert_eq!(unpack(Coding::of(b"Deflate"), zlib), Ok(b"text".to_vec()));
        assert_eq!(unpack(Coding::of(b"identity"), b"text".to_vec()), Ok(b"text".to_vec()));
    }

    #[test]
    fn what_is_packed_wrongly_or_too_much_is_refused() {
        let bomb = gzip(&vec![0; READ + 1]);
        assert!(bomb.len() < 20_000);
        assert_eq!(unpack(Coding::Gzip, bomb), Err(Failure::TooLarge));
        assert!(unpack(Coding::Gzip, b"no gzip".to_vec()).is_err());
        assert!(unpack(Coding::of(b"br"), b"x".to_vec()).is_err());
    }

    proptest! {
        #[test]
        fn a_packed_body_with_wrong_bytes_in_it_is_its_text_or_a_failure(
            text in prop::collection::vec(prop_oneof![Just(b' '), any::<u8>()], 0..3000),
            changes in changes(),
            cut in prop::option::of(0..60_usize),
        ) {
            let packed = gzip(&text);
            prop_assert_eq!(unpack(Coding::Gzip, packed.clone()), Ok(text.clone()));
            let end = cut.unwrap_or(packed.len()).min(packed.len());
            let wrong = changed(&packed[..end], &changes);
            if let Ok(read) = unpack(Coding::Gzip, wrong.clone()) {
                // A checksum finds what was changed in the text, if not what was said beside it.
                prop_assert!(read.len() <= READ && (read.is_empty() || read.starts_with(&text)));
            }
            drop(unpack(Coding::Deflate, wrong));
        }
    }
}
