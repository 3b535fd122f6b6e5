//! A file as kubectl takes it apart: a JSON stream if it starts so, else YAML split at `---`
//! before any of it is parsed.

use serde_json::Value;

use super::{syntax, yaml};

/// The documents of a file in order; an error ends the file. Empty and `null` documents are left
/// out.
pub fn documents(content: &[u8]) -> (Vec<Value>, Option<String>) {
    let content = decoded(content);
    let mut documents = Vec::new();
    let mut rest = content.as_slice();
    let mut first_error = None;
    if starts_as_json(rest) {
        match json_stream(rest, &mut documents) {
            JsonEnd::End => return (documents, None),
            JsonEnd::Wrong(error) => return (documents, Some(error)),
            JsonEnd::MaybeYaml { at, error } => {
                rest = rest.get(at..).unwrap_or_default();
                first_error = Some(error);
            }
        }
    }
    let mut lines = Lines { rest };
    loop {
        let read = lines.document().and_then(|text| match text {
            Some(text) => yaml::parse(&text).map(Some),
            None => Ok(None),
        });
        match read {
            Ok(Some(Value::Null)) => {}
            Ok(Some(value)) => documents.push(value),
            Ok(None) => return (documents, None),
            Err(error) => return (documents, Some(first_error.unwrap_or(error))),
        }
        first_error = None;
    }
}

/// Drops a byte order mark; UTF-16 with one becomes UTF-8; what is no UTF-8 is replaced.
fn decoded(content: &[u8]) -> Vec<u8> {
    let wide = |bytes: &[u8], pair: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok());
        let text: String = char::decode_utf16(units.map(pair))
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        text.into_bytes()
    };
    match content {
        [0xef, 0xbb, 0xbf, rest @ ..] => super::go_text(rest).into_bytes(),
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        _ if std::str::from_utf8(content).is_ok() => content.to_vec(),
        _ => super::go_text(content).into_bytes(),
    }
}

fn starts_as_json(content: &[u8]) -> bool {
    content.iter().take(4096).find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

enum JsonEnd {
    End,
    Wrong(String),
    MaybeYaml { at: usize, error: String },
}

fn json_stream(content: &[u8], documents: &mut Vec<Value>) -> JsonEnd {
    let mut at = 0;
    let mut n_read = 0;
    loop {
        let rest = content.get(at..).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Value>();
        match values.next() {
            None => return JsonEnd::End,
            Some(Ok(value)) => {
                at += values.byte_offset();
                n_read += 1;
                if value != Value::Null {
                    documents.push(go_numbers(value));
                }
            }
            Some(Err(_)) => {
                let error = match syntax::mistake(rest) {
                    Some((offset, text)) if n_read <= 1 => {
                        format!("json: offset {}: {text}", at + offset)
                    }
                    Some((_, text)) => text,
                    None => "unexpected EOF".to_owned(),
                };
                if n_read > 1 {
                    return JsonEnd::Wrong(error);
                }
                return JsonEnd::MaybeYaml { at: at + blank(rest), error };
            }
        }
    }
}

/// Blanks up to and with the first end of a line.
fn blank(text: &[u8]) -> usize {
    for (n, byte) in text.iter().enumerate() {
        if *byte == b'\n' {
            return n + 1;
        }
        if !byte.is_ascii_whitespace() {
            return n;
        }
    }
    text.len()
}

/// Whole numbers beyond `i64` are floats in Go.
fn go_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_u64() && number.as_i64().is_none() => number
            .as_f64()
            .and_then(serde_json::Number::from_f64)
            .map_or(Value::Null, Value::Number),
        Value::Array(items) => Value::Array(items.into_iter().map(go_numbers).collect()),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(key, value)| (key, go_numbers(value))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

struct Lines<'a> {
    rest: &'a [u8],
}

impl Lines<'_> {
    /// The text up to the next separator. A separator that nothing stands before is part of it.
    fn document(&mut self) -> Result<Option<Vec<u8>>, String> {
        let mut text = Vec::new();
        while !self.rest.is_empty() {
            let end = self.rest.iter().position(|byte| *byte == b'\n');
            let (line, rest) = match end {
                Some(end) => self.rest.split_at(end + 1),
                None => (self.rest, [].as_slice()),
            };
            self.rest = rest;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Some(after) = line.strip_prefix(b"---") {
                let after = String::from_utf8_lossy(after);
                let after = after.trim();
                if !after.is_empty() && !after.starts_with('#') {
                    return Err(format!("invalid Yaml document separator: {after}"));
                }
                if !text.is_empty() {
                    return Ok(Some(text));
                }
            }
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        Ok((!text.is_empty()).then_some(text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_are_taken_apart_as_kubectl_does() {
        for (content, expected, error) in [
            ("a: 1\n---\nb: 2\n", vec![json!({"a":1}), json!({"b":2})], None),
            ("---\n---\na: 1\n--- # x\n# nothing\n---\nnull\n", vec![json!({"a":1})], None),
            ("\u{feff}a: 1\r\n---\r\nb: 2\r\n", vec![json!({"a":1}), json!({"b":2})], None),
            ("{\"a\":1}{\"b\":2}\n", vec![json!({"a":1}), json!({"b":2})], None),
            ("{\"a\":1}\n---\nb: 2\n", vec![json!({"a":1}), json!({"b":2})], None),
            ("{a: 1}\n", vec![json!({"a":1})], None),
            ("--- {a: 1}\n", vec![], Some("invalid Yaml document separator: {a: 1}")),
            (
                "a: 1\n---\nb: c: d\n---\ne: 1\n",
                vec![json!({"a":1})],
                Some(
                    "error converting YAML to JSON: yaml: mapping values are not allowed in this context",
                ),
            ),
            (
                "{\"a\": [}\n",
                vec![],
                Some("json: offset 8: invalid character '}' looking for beginning of value"),
            ),
            ("a: 1", vec![json!({"a":1})], None),
            ("", vec![], None),
        ] {
            let (found, wrong) = documents(content.as_bytes());
            assert_eq!((found, wrong.as_deref()), (expected, error), "{content}");
        }
    }

    #[test]
    fn utf16_is_read_by_its_mark() {
        let mut bytes = vec![0xff, 0xfe];
        bytes.extend("a: é\n".encode_utf16().flat_map(u16::to_le_bytes));
        assert_eq!(documents(&bytes), (vec![json!({"a":"é"})], None));
    }
}
