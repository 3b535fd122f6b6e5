//! What Go's JSON scanner says of text that is no JSON: its words are part of kubectl's errors.

/// The first mistake of a text, and its offset as Go counts it; `None` when the text ends too early.
pub fn mistake(text: &[u8]) -> Option<(usize, String)> {
    let mut scanner = Scanner { text, at: 0, depth: 0 };
    scanner.value("looking for beginning of value").err().flatten()
}

/// Go itself goes down to 10,000; each step is a call here.
const MAX_DEPTH: usize = 1000;

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

/// `None`: the end of the text.
type Wrong = Option<(usize, String)>;

impl Scanner<'_> {
    fn space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Result<u8, Wrong> {
        self.space();
        self.text.get(self.at).copied().ok_or(None)
    }

    fn wrong<T>(&self, what: &str) -> Result<T, Wrong> {
        let Some(byte) = self.text.get(self.at) else { return Err(None) };
        let shown = match byte {
            b'\'' => r"'\''".to_owned(),
            b'"' => "'\"'".to_owned(),
            b'\n' => r"'\n'".to_owned(),
            b'\t' => r"'\t'".to_owned(),
            b'\r' => r"'\r'".to_owned(),
            byte if byte.is_ascii_graphic() || *byte == b' ' => format!("'{}'", char::from(*byte)),
            byte if byte.is_ascii() => format!("'\\x{byte:02x}'"),
            byte => format!("'{}'", char::from(*byte)),
        };
        Err(Some((self.at + 1, format!("invalid character {shown} {what}"))))
    }

    fn value(&mut self, what: &str) -> Result<(), Wrong> {
        match self.peek()? {
            b'{' | b'[' if self.depth == MAX_DEPTH => self.wrong("exceeded max depth"),
            opening @ (b'{' | b'[') => {
                self.depth += 1;
                if opening == b'{' { self.object() } else { self.array() }?;
                self.depth -= 1;
                Ok(())
            }
            b'"' => self.string(),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.wrong(what),
        }
    }

    fn object(&mut self) -> Result<(), Wrong> {
        self.at += 1;
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek()? != b'"' {
                return self.wrong("looking for beginning of object key string");
            }
            self.string()?;
            if self.peek()? != b':' {
                return self.wrong("after object key");
            }
            self.at += 1;
            self.value("looking for beginning of value")?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.wrong("after object key:value pair"),
            }
        }
    }

    fn array(&mut self) -> Result<(), Wrong> {
        self.at += 1;
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value("looking for beginning of value")?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.wrong("after array element"),
            }
        }
    }

    fn string(&mut self) -> Result<(), Wrong> {
        self.at += 1;
        loop {
            match self.text.get(self.at).copied().ok_or(None)? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    match self.text.get(self.at).copied().ok_or(None)? {
                        b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => self.at += 1,
                        b'u' => {
                            self.at += 1;
                            for _ in 0..4 {
                                match self.text.get(self.at).copied().ok_or(None)? {
                                    byte if byte.is_ascii_hexdigit() => self.at += 1,
                                    _ => return self.wrong("in \\u hexadecimal character escape"),
                                }
                            }
                        }
                        _ => return self.wrong("in string escape code"),
                    }
                }
                0..0x20 => return self.wrong("in string literal"),
                _ => self.at += 1,
            }
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Wrong> {
        for (n, &expected) in word.iter().enumerate() {
            if self.text.get(self.at).copied().ok_or(None)? != expected {
                let word = String::from_utf8_lossy(word);
                let expected = char::from(expected);
                debug_assert!(n > 0, "the first letter chose the word");
                return self.wrong(&format!("in literal {word} (expecting '{expected}')"));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Wrong> {
        if self.text.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match self.text.get(self.at).copied().ok_or(None)? {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits(),
            _ => return self.wrong("in numeric literal"),
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            if !self.text.get(self.at).copied().ok_or(None)?.is_ascii_digit() {
                return self.wrong("after decimal point in numeric literal");
            }
            self.digits();
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if !self.text.get(self.at).copied().ok_or(None)?.is_ascii_digit() {
                return self.wrong("in exponent of numeric literal");
            }
            self.digits();
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_in_gos_words() {
        for (text, mistake_text) in [
            (r#"{"a": }"#, "invalid character '}' looking for beginning of value"),
            (r#"{"a": 1,}"#, "invalid character '}' looking for beginning of object key string"),
            (r"{a: 1}", "invalid character 'a' looking for beginning of object key string"),
            (r#"{"a" 1}"#, "invalid character '1' after object key"),
            (r#"{"a": 1 "b"}"#, "invalid character '\"' after object key:value pair"),
            (r#"{"a": [1 2]}"#, "invalid character '2' after array element"),
            (r#"{"a": tru}"#, "invalid character '}' in literal true (expecting 'e')"),
        ] {
            assert_eq!(
                mistake(text.as_bytes()).map(|(_, text)| text),
                Some(mistake_text.to_owned())
            );
        }
        assert_eq!(mistake(br#"{"a": 1"#), None);
    }
}
