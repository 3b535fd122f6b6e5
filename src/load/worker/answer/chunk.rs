//! The chunked coding: sizes, data, trailers; nothing of it is kept.

use std::ops::Range;

use crate::load::failure::Failure;
use crate::load::worker::answer::malformed;

/// A line of a size with its extensions is not longer than this, all trailers together neither.
const LINE: u32 = 16 * 1024;

/// Where in a chunked body the next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunks {
    place: Place,
    /// What is left of the chunk, or its size so far.
    size: u64,
    /// How long the line, or all trailers, are so far.
    line: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At a size's first digit.
    First,
    /// In a size.
    Size,
    /// After it: blanks and extensions.
    Extension,
    /// Before the line feed of a size's line.
    SizeEnd,
    /// In the data.
    Data,
    /// Before the carriage return after the data.
    DataReturn,
    /// Before the line feed after it.
    DataEnd,
    /// At the beginning of a trailer's line.
    Trailers,
    /// In a trailer.
    Trailer,
    /// Before the line feed that ends a trailer.
    TrailerEnd,
    /// Before the line feed that ends all.
    End,
    /// After it.
    Over,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { place: Place::First, size: 0, line: 0 }
    }
}

/// What was taken of the input, and where in it data is.
#[derive(Debug)]
pub struct Piece {
    /// Bytes taken.
    pub length: usize,
    /// The data among them.
    pub data: Range<usize>,
}

impl Chunks {
    /// True after the last byte.
    pub fn is_over(self) -> bool {
        self.place == Place::Over
    }

    /// Takes bytes up to the end of a stretch of data, or all.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Piece, Failure> {
        for (at, &byte) in bytes.iter().enumerate() {
            if self.place == Place::Data {
                return Ok(self.data(bytes, at));
            }
            self.place = self.next(byte)?;
            if self.place == Place::Over {
                return Ok(Piece { length: at + 1, data: 0..0 });
            }
        }
        Ok(Piece { length: bytes.len(), data: 0..0 })
    }

    fn data(&mut self, bytes: &[u8], at: usize) -> Piece {
        let there = bytes.len() - at;
        let length = usize::try_from(self.size).unwrap_or(usize::MAX).min(there);
        self.size -= u64::try_from(length).unwrap_or(0);
        if self.size == 0 {
            self.place = Place::DataReturn;
        }
        Piece { length: at + length, data: at..at + length }
    }

    fn next(&mut self, byte: u8) -> Result<Place, Failure> {
        match (self.place, byte) {
            (Place::First | Place::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                let size = self.size.checked_mul(16).and_then(|n| n.checked_add(digit.into()));
                self.size = size.ok_or_else(|| malformed("chunk size"))?;
                self.line(Place::Size)
            }
            (Place::Size | Place::Extension, b'\r') => Ok(Place::SizeEnd),
            (Place::Extension, b'\n') => Err(malformed("chunk size")),
            (Place::Size, b' ' | b'\t' | b';') | (Place::Extension, _) => {
                self.line(Place::Extension)
            }
            (Place::SizeEnd, b'\n') => {
                self.line = 0;
                Ok(if self.size == 0 { Place::Trailers } else { Place::Data })
            }
            (Place::DataReturn, b'\r') => Ok(Place::DataEnd),
            (Place::DataEnd, b'\n') => Ok(Place::First),
            (Place::Trailers, b'\r') => Ok(Place::End),
            (Place::Trailers | Place::Trailer, b'\n') => Err(malformed("trailers")),
            (Place::Trailer, b'\r') => self.line(Place::TrailerEnd),
            (Place::Trailers | Place::Trailer, _) => self.line(Place::Trailer),
            (Place::TrailerEnd, b'\n') => self.line(Place::Trailers),
            (Place::End, b'\n') => Ok(Place::Over),
            (Place::TrailerEnd | Place::End, _) => Err(malformed("trailers")),
            (Place::First | Place::Size | Place::SizeEnd, _) => Err(malformed("chunk size")),
            (Place::DataReturn | Place::DataEnd, _) => Err(malformed("chunk end")),
            (Place::Data | Place::Over, _) => Ok(self.place),
        }
    }

    /// Goes on in a line that must not become too long.
    fn line(&mut self, place: Place) -> Result<Place, Failure> {
        self.line += 1;
        if self.line > LINE { Err(malformed("chunk line is too long")) } else { Ok(place) }
    }
}
