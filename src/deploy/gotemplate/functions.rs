//! The functions that a template may call.

use std::fmt::Write as _;

use base64::Engine;
use serde_json::Value;

use super::format;
use super::value::{Val, View};

/// How many arguments a function takes: at least, and at most where that is bounded.
pub fn arity(name: &str) -> (usize, Option<usize>) {
    match name {
        "len" | "not" | "base64decode" => (1, Some(1)),
        "ne" | "lt" | "le" | "gt" | "ge" => (2, Some(2)),
        "and" | "or" | "index" | "slice" | "printf" | "eq" | "call" | "exists" => (1, None),
        _ => (0, None),
    }
}

type Called<'a> = Result<Val<'a>, String>;

/// Calls one; `room` is how long a text may become.
pub fn call<'a>(name: &str, args: &[Val<'a>], room: usize) -> Called<'a> {
    let first = args.first().cloned().unwrap_or(Val::Nothing);
    let rest = args.get(1..).unwrap_or_default();
    let second = rest.first().cloned().unwrap_or(Val::Nothing);
    match name {
        "not" => Ok(Val::Bool(!first.truth())),
        "len" => length(&first),
        "index" => index(first, rest),
        "slice" => slice(first, rest),
        "exists" => Ok(Val::Bool(exists(first, rest))),
        "eq" => equal(&first, rest).map(Val::Bool),
        "ne" => equal(&first, rest).map(|same| Val::Bool(!same)),
        "lt" => less(&first, &second).map(Val::Bool),
        "le" => less_or_equal(&first, &second).map(Val::Bool),
        "gt" => less_or_equal(&first, &second).map(|less| Val::Bool(!less)),
        "ge" => less(&first, &second).map(|less| Val::Bool(!less)),
        "print" => Ok(Val::text(format::print(args))),
        "println" => {
            let texts: Vec<String> = args.iter().map(Val::told).collect();
            Ok(Val::text(texts.join(" ") + "\n"))
        }
        "printf" => {
            let View::Text(pattern) = first.view() else { return Err("no format".to_owned()) };
            format::printf(pattern, rest, room).map(Val::text)
        }
        "html" => Ok(Val::text(html(&joined(args)))),
        "js" => Ok(Val::text(js(&joined(args)))),
        "urlquery" => Ok(Val::text(query(&joined(args)))),
        "base64decode" => {
            let View::Text(text) = first.view() else { return Err("no text".to_owned()) };
            decoded(text)
        }
        _ => Err(format!("there is no function {name}")),
    }
}

fn joined(args: &[Val<'_>]) -> String {
    format::print(args)
}

fn decoded<'a>(text: &str) -> Called<'a> {
    // Go leaves line ends out.
    let plain: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    if let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(&plain) {
        return Ok(Val::text(String::from_utf8_lossy(&bytes)));
    }
    let good = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    let body = plain.trim_end_matches('=');
    let at = body.find(|c| !good(c)).unwrap_or(plain.len() / 4 * 4);
    Err(format!("base64 decode failed: illegal base64 data at input byte {at}"))
}

fn length<'a>(item: &Val<'_>) -> Called<'a> {
    let length = match item.view() {
        View::Nothing => {
            return Err("reflect: call of reflect.Value.Type on zero Value".to_owned());
        }
        View::Null => return Err("len of nil pointer".to_owned()),
        View::Text(text) => text.len(),
        View::List(items) => items.len(),
        View::Map(map) => map.len(),
        View::Bool(_) | View::Int(_) | View::Float(_) => {
            return Err(format!("len of type {}", item.inner_kind()));
        }
    };
    Ok(Val::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

/// A place in a list, from 0 to its length.
fn place(index: &Val<'_>, length: usize) -> Result<usize, String> {
    match index.view() {
        View::Int(number) => usize::try_from(number)
            .ok()
            .filter(|at| *at <= length)
            .ok_or_else(|| format!("index out of range: {number}")),
        View::Nothing | View::Null => Err("cannot index slice/array with nil".to_owned()),
        _ => Err(format!("cannot index slice/array with type {}", index.inner_kind())),
    }
}

fn index<'a>(item: Val<'a>, indexes: &[Val<'a>]) -> Called<'a> {
    const NULL: &Value = &Value::Null;
    let mut item = item.unboxed();
    if let Val::Nothing = item {
        return Err("index of untyped nil".to_owned());
    }
    for index in indexes {
        if item.is_null() {
            return Err("index of nil pointer".to_owned());
        }
        item = match (&item, item.view()) {
            (Val::Part(Value::Array(items), _), _) => element(items, index)?,
            (Val::Items(items), _) => element(items, index)?,
            (Val::Part(Value::Object(map), _), _) => match index.view() {
                View::Text(key) => Val::child(map.get(key).unwrap_or(NULL)),
                View::Nothing | View::Null => {
                    return Err("value is nil; should be of type string".to_owned());
                }
                _ => {
                    let kind = index.inner_kind();
                    return Err(format!("value has type {kind}; should be string"));
                }
            },
            (_, View::Text(text)) => {
                let byte = text.as_bytes().get(place(index, text.len())?);
                Val::Byte(*byte.ok_or("reflect: string index out of range")?)
            }
            _ => return Err(format!("can't index item of type {}", item.inner_kind())),
        };
    }
    Ok(item)
}

fn element<'a>(items: &'a [Value], index: &Val<'_>) -> Called<'a> {
    let item = items.get(place(index, items.len())?);
    item.map(Val::child).ok_or_else(|| "reflect: slice index out of range".to_owned())
}

fn slice<'a>(item: Val<'a>, indexes: &[Val<'a>]) -> Called<'a> {
    let item = item.unboxed();
    let length = match item.view() {
        View::Nothing | View::Null => return Err("slice of untyped nil".to_owned()),
        View::Text(_) if indexes.len() == 3 => {
            return Err("cannot 3-index slice a string".to_owned());
        }
        View::Text(text) => text.len(),
        View::List(items) => items.len(),
        _ if indexes.len() > 3 => {
            return Err(format!("too many slice indexes: {}", indexes.len()));
        }
        _ => return Err(format!("can't slice item of type {}", item.inner_kind())),
    };
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()));
    }
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = place(index, length)?;
    }
    let [from, to, most] = bounds;
    for (low, high) in [(from, to), (to, most)] {
        if low > high {
            return Err(format!("invalid slice index: {low} > {high}"));
        }
    }
    match &item {
        Val::Part(Value::Array(items), _) => {
            Ok(Val::Items(items.get(from..to).unwrap_or_default()))
        }
        Val::Items(items) => Ok(Val::Items(items.get(from..to).unwrap_or_default())),
        other => match other.view() {
            View::Text(text) => {
                let bytes = text.as_bytes().get(from..to).unwrap_or_default();
                Ok(Val::text(String::from_utf8_lossy(bytes)))
            }
            _ => Ok(Val::Nothing),
        },
    }
}

fn exists<'a>(item: Val<'a>, indexes: &[Val<'a>]) -> bool {
    let mut item = item;
    for index in indexes {
        item = match (&item, index.view()) {
            (Val::Part(Value::Array(items), _), View::Int(at)) => {
                match usize::try_from(at).ok().and_then(|at| items.get(at)) {
                    Some(inner) => Val::child(inner),
                    None => return false,
                }
            }
            (Val::Part(Value::Object(map), _), View::Text(key)) => match map.get(key) {
                Some(inner) => Val::child(inner),
                None => return false,
            },
            (Val::Text(_) | Val::Part(Value::String(_), _), View::Int(at)) => {
                let length = if let View::Text(text) = item.view() { text.len() } else { 0 };
                return usize::try_from(at).is_ok_and(|at| at < length);
            }
            _ => return false,
        };
    }
    !item.is_null()
}

const NOT_COMPARABLE: &str = "invalid type for comparison";

fn equal(first: &Val<'_>, rest: &[Val<'_>]) -> Result<bool, String> {
    if rest.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in rest {
        let same = match (first.view(), other.view()) {
            (View::Nothing | View::Null, View::Nothing | View::Null) => true,
            (View::Nothing | View::Null, _) | (_, View::Nothing | View::Null) => false,
            (View::Bool(left), View::Bool(right)) => left == right,
            (View::Int(left), View::Int(right)) => left == right,
            (View::Float(left), View::Float(right)) => left.total_cmp(&right).is_eq(),
            (View::Text(left), View::Text(right)) => left == right,
            (View::List(_), View::List(_)) | (View::Map(_), View::Map(_)) => {
                return Err(format!(
                    "non-comparable type {}: {}",
                    other.told(),
                    other.inner_kind()
                ));
            }
            (View::List(_), View::Map(_)) | (View::Map(_), View::List(_)) => {
                return Err(format!(
                    "non-comparable types {}: {}, {}: {}",
                    first.told(),
                    first.inner_kind(),
                    other.inner_kind(),
                    other.told()
                ));
            }
            _ => return Err(incompatible(first, other)),
        };
        if same {
            return Ok(true);
        }
    }
    Ok(false)
}

fn incompatible(left: &Val<'_>, right: &Val<'_>) -> String {
    let (left, right) = (left.inner_kind(), right.inner_kind());
    format!("incompatible types for comparison: {left} and {right}")
}

fn less(left: &Val<'_>, right: &Val<'_>) -> Result<bool, String> {
    let is_basic =
        |view: View<'_>| !matches!(view, View::Nothing | View::Null | View::List(_) | View::Map(_));
    if !is_basic(left.view()) || !is_basic(right.view()) {
        return Err(NOT_COMPARABLE.to_owned());
    }
    match (left.view(), right.view()) {
        (View::Int(left), View::Int(right)) => Ok(left < right),
        (View::Float(left), View::Float(right)) => Ok(left < right),
        (View::Text(left), View::Text(right)) => Ok(left < right),
        (View::Bool(_), View::Bool(_)) => Err(NOT_COMPARABLE.to_owned()),
        _ => Err(incompatible(left, right)),
    }
}

fn less_or_equal(left: &Val<'_>, right: &Val<'_>) -> Result<bool, String> {
    if less(left, right)? {
        return Ok(true);
    }
    equal(left, std::slice::from_ref(right))
}

fn html(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => out.extend(['\\', c]),
            '<' | '>' | '&' | '=' => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

fn query(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
