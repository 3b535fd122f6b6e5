//! What a YAML scalar means to go-yaml v2: booleans of 1.1, Go's integer literals, timestamps that
//! stay text.

use std::sync::LazyLock;

use regex::Regex;

/// A resolved scalar.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// `~`, `null` or nothing.
    Null,
    /// `yes`, `on`, `y` and their opposites too.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number above `i64`.
    Uint(u64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
}

const TAG: &str = "tag:yaml.org,2002:";

/// A scalar that is not what its tag says, as go-yaml words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch(pub String);

/// Resolves a scalar by its tag (empty: none) and text.
pub fn resolve(tag: &str, text: &str) -> Result<Scalar, Mismatch> {
    let Some(kind) = tag.strip_prefix(TAG).or(tag.is_empty().then_some("")) else {
        return Ok(Scalar::Text(text.to_owned()));
    };
    if !["", "str", "bool", "int", "float", "null", "timestamp"].contains(&kind) {
        return Ok(Scalar::Text(text.to_owned()));
    }
    if kind == "str" {
        return Ok(Scalar::Text(text.to_owned()));
    }
    let scalar = plain(text);
    if kind.is_empty() {
        return Ok(scalar);
    }
    let found = match &scalar {
        Scalar::Null => "null",
        Scalar::Bool(_) => "bool",
        Scalar::Int(_) | Scalar::Uint(_) => "int",
        Scalar::Float(_) => "float",
        Scalar::Text(_) if text == "<<" => "merge",
        Scalar::Text(_) if is_timestamp(text) => "timestamp",
        Scalar::Text(_) => "str",
    };
    match (kind, scalar) {
        ("float", Scalar::Int(number)) => Ok(Scalar::Float(as_float(number))),
        (kind, scalar) if kind == found => Ok(scalar),
        (kind, _) => Err(Mismatch(format!("cannot decode !!{found} `{text}` as a !!{kind}"))),
    }
}

/// True when unquoted text is text and nothing else.
pub fn means_text(text: &str) -> bool {
    // No word that means something else is longer, and no number begins so.
    let is_word = text.len() > 5 && text.starts_with(|c: char| c.is_ascii_alphabetic());
    is_word || matches!(plain(text), Scalar::Text(_))
}

/// True when unquoted text would be read as text again: what go-yaml asks before it prints plain.
pub fn reads_as_text(text: &str) -> bool {
    text != "<<" && matches!(plain(text), Scalar::Text(_)) && !is_timestamp(text) && !base60(text)
}

fn plain(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Scalar::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let number = match text.as_bytes().first() {
        Some(b'.') => float_of(text).map(Scalar::Float),
        Some(b'+' | b'-' | b'0'..=b'9') => numeric(text),
        _ => None,
    };
    number.unwrap_or_else(|| Scalar::Text(text.to_owned()))
}

fn numeric(text: &str) -> Option<Scalar> {
    static FLOAT: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$").ok());
    let bare = text.replace('_', "");
    if let Some(whole) = integer(&bare) {
        return Some(whole);
    }
    FLOAT
        .as_ref()
        .filter(|float| float.is_match(&bare))
        .and_then(|_| float_of(&bare))
        .map(Scalar::Float)
}

/// Go's `ParseInt(text, 0, 64)`, then `ParseUint`: prefixes `0x`, `0o`, `0b` and a leading zero.
fn integer(text: &str) -> Option<Scalar> {
    let (negative, signed, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, true, text.get(1..)?),
        Some(b'+') => (false, true, text.get(1..)?),
        _ => (false, false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, lower.get(1..)?)
    } else {
        (10, lower.as_str())
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0_i64.checked_sub_unsigned(magnitude).map(Scalar::Int);
    }
    match i64::try_from(magnitude) {
        Ok(number) => Some(Scalar::Int(number)),
        Err(_) if signed => None,
        Err(_) => Some(Scalar::Uint(magnitude)),
    }
}

/// Go's `ParseFloat`: what overflows is no number.
fn float_of(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches(['+', '-']);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "Go converts in the same way, with the same loss"
)]
fn as_float(number: i64) -> f64 {
    number as f64
}

fn base60(text: &str) -> bool {
    static BASE60: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$").ok());
    text.contains(':') && BASE60.as_ref().is_some_and(|base60| base60.is_match(text))
}

/// The subset of timestamps that go-yaml knows: date, date and time, RFC 3339.
fn is_timestamp(text: &str) -> bool {
    static SHAPE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(concat!(
            r"^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})",
            r"(?:([Tt ])([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?)?$",
        ))
        .ok()
    });
    let Some(parts) = SHAPE.as_ref().and_then(|shape| shape.captures(text)) else { return false };
    let number = |group: usize| {
        parts.get(group).and_then(|part| part.as_str().parse::<u16>().ok()).unwrap_or_default()
    };
    let days = match number(2) {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if number(1).is_multiple_of(4)
            && (!number(1).is_multiple_of(100) || number(1).is_multiple_of(400)) =>
        {
            29
        }
        2 => 28,
        _ => return false,
    };
    let date = (1..=days).contains(&number(3));
    let zoned = parts.get(8).is_some();
    let time = match parts.get(4).map(|separator| separator.as_str()) {
        None => true,
        Some(" ") => !zoned,
        Some(_) => zoned,
    };
    date && time && number(5) < 24 && number(6) < 60 && number(7) < 60
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scalar_means_what_it_means_to_kubectl() {
        let text = |text: &str| Scalar::Text(text.to_owned());
        for (written, meant) in [
            ("yes", Scalar::Bool(true)),
            ("On", Scalar::Bool(true)),
            ("n", Scalar::Bool(false)),
            ("oN", text("oN")),
            ("0777", Scalar::Int(511)),
            ("08", Scalar::Float(8.0)),
            ("0o777", Scalar::Int(511)),
            ("0b101", Scalar::Int(5)),
            ("-0b101", Scalar::Int(-5)),
            ("0x1F", Scalar::Int(31)),
            ("1_000", Scalar::Int(1000)),
            ("1_000.5", Scalar::Float(1000.5)),
            ("123e4567", text("123e4567")),
            ("1e3", Scalar::Float(1000.0)),
            ("1.0", Scalar::Float(1.0)),
            (".5", Scalar::Float(0.5)),
            ("190:20:30", text("190:20:30")),
            ("2001-01-01", text("2001-01-01")),
            ("18446744073709551615", Scalar::Uint(u64::MAX)),
            ("18446744073709551616", Scalar::Float(18_446_744_073_709_552_000.0)),
            ("-9223372036854775808", Scalar::Int(i64::MIN)),
            ("~", Scalar::Null),
            ("", Scalar::Null),
            ("+", text("+")),
            ("1.2.3", text("1.2.3")),
            ("0x", text("0x")),
        ] {
            assert_eq!(means_text(written), matches!(meant, Scalar::Text(_)), "{written}");
            assert_eq!(resolve("", written), Ok(meant), "{written}");
        }
        let tag = |kind: &str| format!("{TAG}{kind}");
        assert_eq!(resolve(&tag("str"), "1"), Ok(text("1")));
        assert_eq!(resolve(&tag("float"), "1"), Ok(Scalar::Float(1.0)));
        assert_eq!(resolve("!local", "1"), Ok(text("1")));
        assert_eq!(
            resolve(&tag("int"), "abc"),
            Err(Mismatch("cannot decode !!str `abc` as a !!int".to_owned()))
        );
    }

    #[test]
    fn text_that_would_be_read_as_something_else_is_known() {
        for text in
            ["on", "1", "1e3", "1:30", "2001-01-01", "2001-12-14t21:59:43.10-05:00", "<<", ""]
        {
            assert!(!reads_as_text(text), "{text}");
        }
        for text in ["web", "1.2.3", "2001-13-01", "2001-02-29", "1:99", "123e4567", "0x"] {
            assert!(reads_as_text(text), "{text}");
        }
    }
}
