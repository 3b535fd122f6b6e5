//! Messages in protobuf's wire format: a handful of small ones, which need no compiler.

/// How a field's value is written.
const NUMBER: u8 = 0;
const EIGHT_BYTES: u8 = 1;
const BYTES: u8 = 2;

/// A message whose fields are added one by one; their numbers are below 16.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message(Vec<u8>);

impl Message {
    /// Adds a text.
    pub fn text(&mut self, field: u8, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// Returns it with a text more.
    pub fn with_text(mut self, field: u8, text: &str) -> Self {
        self.text(field, text);
        self
    }

    /// Adds a message.
    pub fn message(&mut self, field: u8, message: &Self) {
        self.bytes(field, &message.0);
    }

    /// Returns it with a message more.
    pub fn with_message(mut self, field: u8, message: &Self) -> Self {
        self.message(field, message);
        self
    }

    /// Adds a `double`.
    pub fn double(&mut self, field: u8, value: f64) {
        self.fixed(field, value.to_bits());
    }

    /// Adds a `fixed64`.
    pub fn fixed(&mut self, field: u8, value: u64) {
        self.key(field, EIGHT_BYTES);
        self.0.extend(value.to_le_bytes());
    }

    /// Adds a number of as many bytes as it needs; `bool` and `enum` are such ones.
    pub fn number(&mut self, field: u8, value: u64) {
        self.key(field, NUMBER);
        self.varint(value);
    }

    /// Returns what is sent.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn bytes(&mut self, field: u8, bytes: &[u8]) {
        self.key(field, BYTES);
        self.varint(u64::try_from(bytes.len()).unwrap_or(0));
        self.0.extend_from_slice(bytes);
    }

    fn key(&mut self, field: u8, wire_type: u8) {
        self.0.push(field << 3 | wire_type);
    }

    /// Seven bits a byte, the lowest first; the highest bit says that more follow.
    fn varint(&mut self, mut number: u64) {
        loop {
            let low = u8::try_from(number & 0x7f).unwrap_or(0);
            number >>= 7;
            if number == 0 {
                self.0.push(low);
                return;
            }
            self.0.push(low | 0x80);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_written_as_the_formats_own_examples_are() {
        // From protobuf.dev, "Encoding": a number 150, a text, a message that holds the first.
        let mut number = Message::default();
        number.number(1, 150);
        assert_eq!(number.clone().into_bytes(), [0x08, 0x96, 0x01]);
        let text = Message::default().with_text(2, "testing");
        assert_eq!(text.into_bytes(), *b"\x12\x07testing");
        let outer = Message::default().with_message(3, &number);
        assert_eq!(outer.into_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let mut eight = Message::default();
        eight.double(4, 1.0);
        assert_eq!(eight.into_bytes(), [0x21, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
    }
}
