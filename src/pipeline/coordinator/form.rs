//! Parameters of a request, however they were sent: JSON, form, multipart, query.

use std::collections::BTreeMap;

/// A part of a multipart body.
#[derive(Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Field name.
    pub name: String,
    /// File name, if it is a file.
    pub filename: Option<String>,
    /// Its bytes.
    pub content: &'a [u8],
}

/// Splits a multipart body; what is malformed gives no parts.
pub fn parts<'a>(content_type: &str, body: &'a [u8]) -> Vec<Part<'a>> {
    let Some(boundary) = parameter(content_type, "boundary") else { return Vec::new() };
    let mark = format!("--{boundary}");
    let mut parts = Vec::new();
    let Some(mut at) = find(body, mark.as_bytes(), 0).map(|at| at + mark.len()) else {
        return parts;
    };
    let end_mark = format!("\r\n{mark}");
    while body.get(at..at + 2) == Some(b"\r\n") {
        let Some(head_end) = find(body, b"\r\n\r\n", at) else { break };
        let Some(end) = find(body, end_mark.as_bytes(), head_end + 2) else { break };
        let head = String::from_utf8_lossy(body.get(at..head_end).unwrap_or_default()).into_owned();
        let disposition = head
            .split("\r\n")
            .find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))
            .unwrap_or_default();
        // A part without content ends where its head does.
        let start = (head_end + 4).min(end);
        parts.push(Part {
            name: parameter(disposition, "name").unwrap_or_default(),
            filename: parameter(disposition, "filename"),
            content: body.get(start..end).unwrap_or_default(),
        });
        at = end + end_mark.len();
    }
    parts
}

fn find(text: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    rest.windows(what.len()).position(|window| window == what).map(|at| at + from)
}

/// `name="value"` or `name=value` of a header.
fn parameter(header: &str, name: &str) -> Option<String> {
    header.split(';').skip(1).find_map(|part| {
        let (key, value) = part.trim().split_once('=')?;
        (key.trim().eq_ignore_ascii_case(name)).then(|| value.trim_matches('"').to_owned())
    })
}

/// All parameters of a request; the body's win over the query's.
pub fn parameters(query: &str, content_type: &str, body: &[u8]) -> BTreeMap<String, String> {
    let mut all = urlencoded(query);
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    match kind {
        "application/json" => {
            if let Ok(serde_json::Value::Object(object)) = serde_json::from_slice(body) {
                for (key, value) in object {
                    let value = match value {
                        serde_json::Value::String(text) => text,
                        other @ (serde_json::Value::Null
                        | serde_json::Value::Bool(_)
                        | serde_json::Value::Number(_)
                        | serde_json::Value::Array(_)
                        | serde_json::Value::Object(_)) => other.to_string(),
                    };
                    all.insert(key, value);
                }
            }
        }
        "multipart/form-data" => {
            for part in parts(content_type, body) {
                all.insert(part.name, String::from_utf8_lossy(part.content).into_owned());
            }
        }
        _ => all.extend(urlencoded(&String::from_utf8_lossy(body))),
    }
    all
}

/// `a=1&b=2`, percent-decoded.
pub fn urlencoded(text: &str) -> BTreeMap<String, String> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
        .collect()
}

/// Percent-decodes; `+` is a space.
pub fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let mut ahead = bytes.clone();
                let digits = (ahead.next().and_then(digit), ahead.next().and_then(digit));
                if let (Some(high), Some(low)) = digits {
                    out.push(high * 16 + low);
                    bytes = ahead;
                } else {
                    out.push(b'%');
                }
            }
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_split_with_any_bytes_inside() {
        let body = b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\
            Content-Type: application/octet-stream\r\n\r\nPK\r\n--\x00\r\n--B\r\n\
            content-disposition: form-data; name=value\r\n\r\n\r\n--B--\r\n";
        assert_eq!(
            parts("multipart/form-data; boundary=B", body),
            [
                Part {
                    name: "file".to_owned(),
                    filename: Some("a.zip".to_owned()),
                    content: b"PK\r\n--\x00"
                },
                Part { name: "value".to_owned(), filename: None, content: b"" },
            ]
        );
        assert_eq!(parts("multipart/form-data", body), []);
        assert_eq!(parts("multipart/form-data; boundary=B", b"--B\r\nbroken"), []);
    }

    #[test]
    fn parameters_are_read_however_they_were_sent() {
        let json = br#"{"key":"abc","value":"failed","masked":true}"#;
        let told = parameters("filter%5Benvironment_scope%5D=a+b", "application/json", json);
        assert_eq!(told["filter[environment_scope]"], "a b");
        assert_eq!((told["value"].as_str(), told["masked"].as_str()), ("failed", "true"));
        let told = parameters("value=query", "application/x-www-form-urlencoded", b"value=b%3Dc");
        assert_eq!(told["value"], "b=c");
        let told = parameters("value=passed", "", b"");
        assert_eq!(told["value"], "passed");
        assert_eq!(decode("100%"), "100%");
    }
}
