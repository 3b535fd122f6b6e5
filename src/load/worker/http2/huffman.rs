//! HPACK's Huffman code (RFC 7541, appendix B): canonical, so the lengths say it all.

use std::sync::LazyLock;

use crate::load::failure::Failure;
use crate::load::worker::answer::malformed;

/// The length of each byte's code.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5,
    6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6,
    7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23,
    23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22,
    22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22,
    23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27,
    27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25,
    24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// The longest code.
const LONGEST: u8 = 30;

struct Codes {
    /// By the next eight bits: the byte and the length of its code; 0 where the code is longer.
    short: [(u8, u8); 256],
    /// By length: the first code, how many there are, and where their bytes begin.
    long: [(u32, u32, usize); 31],
    /// All bytes in the order of their codes.
    bytes: Vec<u8>,
}

static CODES: LazyLock<Codes> = LazyLock::new(|| {
    let mut codes = Codes { short: [(0, 0); 256], long: [(0, 0, 0); 31], bytes: Vec::new() };
    let mut code = 0_u32;
    for length in 1..=LONGEST {
        code <<= 1;
        let begin = codes.bytes.len();
        let first = code;
        let own = LENGTHS.iter().zip(0_u8..=255).filter(|(own, _)| **own == length);
        for (_, byte) in own {
            codes.bytes.push(byte);
            if length <= 8 {
                let rest = 8 - length;
                for low in 0..1_u32 << rest {
                    let at = usize::try_from((code << rest) | low).unwrap_or(0);
                    codes.short[at] = (byte, length);
                }
            }
            code += 1;
        }
        codes.long[usize::from(length)] = (first, code - first, begin);
    }
    codes
});

/// Appends what `packed` stands for.
pub fn unpack(packed: &[u8], to: &mut Vec<u8>) -> Result<(), Failure> {
    let codes = &*CODES;
    let (mut bits, mut n_bits) = (0_u64, 0_u8);
    let mut rest = packed.iter();
    loop {
        while n_bits <= 56 {
            let Some(byte) = rest.next() else { break };
            bits |= u64::from(*byte) << (56 - n_bits);
            n_bits += 8;
        }
        if n_bits == 0 {
            return Ok(());
        }
        let next = u8::try_from(bits >> 56).unwrap_or(0);
        let (byte, length) = codes.short[usize::from(next)];
        let (byte, length) = if length > 0 { (byte, length) } else { long(codes, bits)? };
        if length > n_bits || length == 0 {
            // What is left must be the beginning of a code of ones only.
            let is_padding = n_bits < 8 && bits >> (64 - n_bits) == (1 << n_bits) - 1;
            return if is_padding { Ok(()) } else { Err(malformed("HTTP/2: Huffman code")) };
        }
        to.push(byte);
        bits <<= length;
        n_bits -= length;
    }
}

/// Finds a code of more than eight bits; length 0 when there is none.
fn long(codes: &Codes, bits: u64) -> Result<(u8, u8), Failure> {
    for length in 9..=LONGEST {
        let (first, count, begin) = codes.long[usize::from(length)];
        let code = u32::try_from(bits >> (64 - length)).unwrap_or(u32::MAX);
        if let Some(nth) = code.checked_sub(first).filter(|nth| *nth < count) {
            let at = begin + usize::try_from(nth).unwrap_or(0);
            let byte = codes.bytes.get(at).ok_or_else(|| malformed("HTTP/2: Huffman code"))?;
            return Ok((*byte, length));
        }
    }
    Ok((0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(hex: &[u8]) -> Option<Vec<u8>> {
        let mut to = Vec::new();
        unpack(hex, &mut to).ok().map(|()| to)
    }

    #[test]
    fn the_examples_of_the_rfc_are_unpacked() {
        // RFC 7541, C.4 and C.6.
        let www = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(unpacked(&www).unwrap(), b"www.example.com");
        assert_eq!(unpacked(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]).unwrap(), b"no-cache");
        let date = [
            0xd0, 0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04, 0x0b,
            0x81, 0x66, 0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff,
        ];
        assert_eq!(unpacked(&date).unwrap(), b"Mon, 21 Oct 2013 20:13:21 GMT");
        assert_eq!(unpacked(&[]).unwrap(), b"");
    }

    #[test]
    fn wrong_padding_and_the_end_mark_are_refused() {
        // A whole byte of padding, padding of zeros, and the end-of-string code itself.
        for wrong in [&[0xff][..], &[0x00, 0x00], &[0xff, 0xff, 0xff, 0xff], &[0x18]] {
            assert!(unpacked(wrong).is_none(), "{wrong:?}");
        }
    }
}
