//! HTTP/2 frames (RFC 9113): nine bytes of head, then the payload.

use crate::load::failure::Failure;
use crate::load::worker::answer::malformed;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// The flags: the first two have the same bit.
pub const END_STREAM: u8 = 0x1;
pub const ACK: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;
pub const PRIORITISED: u8 = 0x20;

/// What each side sends first; the client begins with this text.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The bytes of a frame's head.
pub const LENGTH: usize = 9;

/// The longest payload that we take, and that every peer takes.
pub const PAYLOAD: usize = 16 * 1024;

/// A frame's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How long the payload is.
    pub length: usize,
    /// What it is.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// The stream; 0 for the connection as a whole.
    pub stream: u32,
}

impl Head {
    /// Reads a head; `None` when it is not all there yet.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let [l2, l1, l0, kind, flags, s3, s2, s1, s0] = *bytes.first_chunk::<LENGTH>()?;
        let length = usize::try_from(u32::from_be_bytes([0, l2, l1, l0])).ok()?;
        let stream = u32::from_be_bytes([s3 & 0x7f, s2, s1, s0]);
        Some(Self { length, kind, flags, stream })
    }

    /// True when the flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Writes a frame's head; its payload follows.
pub fn push_head(to: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let [_, l2, l1, l0] = u32::try_from(length).unwrap_or(0).to_be_bytes();
    let [s3, s2, s1, s0] = stream.to_be_bytes();
    to.extend_from_slice(&[l2, l1, l0, kind, flags, s3, s2, s1, s0]);
}

/// Writes a frame whose payload is numbers.
pub fn push_numbers(to: &mut Vec<u8>, kind: u8, stream: u32, numbers: &[u32]) {
    push_head(to, 4 * numbers.len(), kind, 0, stream);
    for number in numbers {
        to.extend_from_slice(&number.to_be_bytes());
    }
}

/// Reads a number of four bytes.
pub fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Takes the padding, and what a HEADERS frame says of priority, off a payload.
pub fn bare<'a>(head: &Head, mut payload: &'a [u8]) -> Result<&'a [u8], Failure> {
    let wrong = || malformed("HTTP/2: padding");
    if head.has(PADDED) {
        let padding = usize::from(*payload.split_off_first().ok_or_else(wrong)?);
        let length = payload.len().checked_sub(padding).ok_or_else(wrong)?;
        payload = &payload[..length];
    }
    if head.kind == HEADERS && head.has(PRIORITISED) {
        payload.split_off(..5).ok_or_else(wrong)?;
    }
    Ok(payload)
}

/// The name of an error code.
pub fn error_name(code: u32) -> String {
    let known = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    let name = usize::try_from(code).ok().and_then(|code| known.get(code));
    name.map_or_else(|| format!("error {code}"), |name| (*name).to_owned())
}

/// The codes that we send.
pub const NO_ERROR: u32 = 0;
pub const PROTOCOL_ERROR: u32 = 1;
pub const CANCEL: u32 = 8;
