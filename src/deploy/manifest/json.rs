//! JSON as Go's `encoding/json` writes it: sorted keys, `<`, `>`, `&` escaped.

use std::fmt::Write;

use serde_json::Value;

use super::print;

/// Without any space; no newline at the end.
pub fn compact(value: &Value) -> String {
    let mut text = String::new();
    write(value, None, &mut text);
    text
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
    for c in string.chars() {
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
    text.push('"');
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
        assert_eq!(
            indented(&json!({"a": [1], "b": {}})),
            "{\n    \"a\": [\n        1\n    ],\n    \"b\": {}\n}"
        );
    }
}
