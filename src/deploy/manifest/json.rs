//! JSON as Go's `encoding/json` writes it: sorted keys, `<`, `>`, `&` escaped.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::print;

/// Most objects are no longer than this.
const USUAL: usize = 512;

/// Without any space; no newline at the end.
pub fn compact(value: &Value) -> String {
    let mut text = String::with_capacity(USUAL);
    write(value, None, &mut text);
    text
}

/// An object without any space, an annotation in it replaced by `mark`, or left out; there is a map of
/// annotations then, if perhaps an empty one. Written at once: no tree is copied for it.
pub fn compact_marked(object: &Value, key: &str, mark: Option<&str>) -> String {
    let Value::Object(map) = object else { return compact(object) };
    let none = Map::new();
    let metadata = match map.get("metadata") {
        Some(Value::Object(metadata)) => metadata,
        None if mark.is_some() => &none,
        _ => return compact(object),
    };
    let annotations = match metadata.get("annotations") {
        Some(Value::Object(annotations)) => annotations,
        _ => &none,
    };
    let marked = |text: &mut String| match mark {
        Some(mark) => with(annotations, key, Some(&|text| quoted(mark, text)), text),
        None => with(annotations, key, None, text),
    };
    let mut text = String::with_capacity(USUAL + mark.map_or(0, |mark| mark.len() * 2));
    let inner = |text: &mut String| with(metadata, "annotations", Some(&marked), text);
    with(map, "metadata", Some(&inner), &mut text);
    text
}

type Put<'a> = &'a dyn Fn(&mut String);

/// Writes a map with one entry put by somebody else, or left out.
fn with(map: &Map<String, Value>, key: &str, mut put: Option<Put<'_>>, text: &mut String) {
    let mut n_written = 0;
    let mut begin = |name: &str, text: &mut String| {
        if n_written > 0 {
            text.push(',');
        }
        n_written += 1;
        quoted(name, text);
        text.push(':');
    };
    text.push('{');
    for (name, value) in map.iter().filter(|(name, _)| *name != key) {
        if let Some(put) = put.take_if(|_| name.as_str() > key) {
            begin(key, text);
            put(text);
        }
        begin(name, text);
        write(value, None, text);
    }
    if let Some(put) = put {
        begin(key, text);
        put(text);
    }
    text.push('}');
}

/// Indented by four, as `kubectl -o json`; no newline at the end.
pub fn indented(value: &Value) -> String {
    let mut text = String::new();
    write(value, Some(0), &mut text);
    text
}

fn write(value: &Value, depth: Option<usize>, text: &mut String) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(flag) => text.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => text.push_str(&print::float_json(float)),
            _ => text.push_str(&number.to_string()),
        },
        Value::String(string) => quoted(string, text),
        Value::Array(items) => {
            let items = items.iter().map(|item| (None, item));
            block('[', ']', items, depth, text);
        }
        Value::Object(map) => {
            let items = map.iter().map(|(key, item)| (Some(key.as_str()), item));
            block('{', '}', items, depth, text);
        }
    }
}

fn block<'a>(
    open: char,
    close: char,
    items: impl ExactSizeIterator<Item = (Option<&'a str>, &'a Value)>,
    depth: Option<usize>,
    text: &mut String,
) {
    text.push(open);
    let empty = items.len() == 0;
    let inner = depth.map(|depth| depth + 1);
    for (n, (key, item)) in items.enumerate() {
        if n > 0 {
            text.push(',');
        }
        new_line(inner, text);
        if let Some(key) = key {
            quoted(key, text);
            text.push_str(if inner.is_some() { ": " } else { ":" });
        }
        write(item, inner, text);
    }
    if !empty {
        new_line(depth, text);
    }
    text.push(close);
}

fn new_line(depth: Option<usize>, text: &mut String) {
    if let Some(depth) = depth {
        text.push('\n');
        text.push_str(&"    ".repeat(depth));
    }
}

fn quoted(string: &str, text: &mut String) {
    text.push('"');
    let mut rest = string;
    // All that is written otherwise is found by its first byte: U+2028 and U+2029 begin with 0xe2.
    while let Some(at) = first_special(rest.as_bytes()) {
        let (plain, special) = rest.split_at_checked(at).unwrap_or((rest, ""));
        text.push_str(plain);
        let mut chars = special.chars();
        if let Some(c) = chars.next() {
            escape(c, text);
        }
        rest = chars.as_str();
    }
    text.push_str(rest);
    text.push('"');
}

/// Where the first byte is that begins what may not stand in a text as it is.
fn first_special(bytes: &[u8]) -> Option<usize> {
    // Many at once: of a block without any, nothing else is looked at.
    let blocks = bytes.chunks_exact(16);
    let is_clean = |block: &&[u8]| !block.iter().fold(false, |any, byte| any | is_special(*byte));
    let n_clean = blocks.take_while(is_clean).count() * 16;
    let rest = bytes.get(n_clean..).unwrap_or_default();
    rest.iter().position(|byte| is_special(*byte)).map(|at| n_clean + at)
}

#[expect(clippy::needless_bitwise_bool, reason = "without branches a block is looked at as one")]
const fn is_special(byte: u8) -> bool {
    (byte < 0x20)
        | (byte == b'"')
        | (byte == b'&')
        | (byte == b'<')
        | (byte == b'>')
        | (byte == b'\\')
        | (byte == 0xe2)
}

fn escape(c: char, text: &mut String) {
    match c {
        '"' => text.push_str("\\\""),
        '\\' => text.push_str("\\\\"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        '\u{8}' => text.push_str("\\b"),
        '\u{c}' => text.push_str("\\f"),
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\u{0}'..='\u{1f}' => {
            // Writing to a string cannot fail.
            let _written = write!(text, "\\u{:04x}", u32::from(c));
        }
        _ => text.push(c),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_written_as_go_writes_it() {
        let value =
            json!({"b": [], "a": {"x": "<&>\u{7f}\u{1}\t", "y": 1e21, "z": {}}, "c": [1, null]});
        assert_eq!(
            compact(&value),
            r#"{"a":{"x":"\u003c\u0026\u003e"#.to_owned()
                + "\u{7f}"
                + r#"\u0001\t","y":1e+21,"z":{}},"b":[],"c":[1,null]}"#
        );
        let value = json!("\u{2026}\u{2028}\"\\\n\r\u{8}\u{c}\u{e9}\u{1f600}/");
        let expected = "\"\u{2026}\\u2028\\\"\\\\\\n\\r\\b\\f\u{e9}\u{1f600}/\"";
        assert_eq!(compact(&value), expected);
        assert_eq!(
            indented(&json!({"a": [1], "b": {}})),
            "{\n    \"a\": [\n        1\n    ],\n    \"b\": {}\n}"
        );
    }
}
