//! Texts and numbers as they are written in a template.

use crate::deploy::jsonpath::go_unquoted;

/// A number's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole one.
    Int(i64),
    /// One with a point or an exponent.
    Float(f64),
    /// A whole one that is too large.
    Large,
}

/// What stands between Go's quotes.
pub fn unquoted(text: &str) -> Option<String> {
    if let Some(raw) = text.strip_prefix('`') {
        return raw.strip_suffix('`').map(|raw| raw.replace('\r', ""));
    }
    go_unquoted(text, '"')
}

/// Reads a number as Go writes one, or a character.
pub fn number(text: &str) -> Option<Number> {
    if let Some(inner) = text.strip_prefix('\'') {
        let inner = inner.strip_suffix('\'')?;
        let text = go_unquoted(&format!("'{inner}'"), '\'')?;
        let mut chars = text.chars();
        let (Some(c), None) = (chars.next(), chars.next()) else { return None };
        return Some(Number::Int(i64::from(u32::from(c))));
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let plain = digits.replace('_', "");
    let lower = plain.to_lowercase();
    let (radix, body) = match lower.get(..2) {
        Some("0x") => (16, lower.get(2..)?),
        Some("0o") => (8, lower.get(2..)?),
        Some("0b") => (2, lower.get(2..)?),
        _ if lower.len() > 1
            && lower.starts_with('0')
            && lower.bytes().all(|b| b.is_ascii_digit()) =>
        {
            (8, lower.get(1..)?)
        }
        _ => (10, lower.as_str()),
    };
    if !body.is_empty() && body.chars().all(|c| c.is_digit(radix)) {
        let value = i128::from_str_radix(body, radix).map(|value| value * sign).ok();
        return Some(
            value.and_then(|value| i64::try_from(value).ok()).map_or(Number::Large, Number::Int),
        );
    }
    let is_float = body.starts_with(|c: char| c.is_ascii_digit() || c == '.') && radix == 10;
    let value: f64 = lower.parse().ok().filter(|value: &f64| is_float && value.is_finite())?;
    Some(Number::Float(if sign < 0 { -value } else { value }))
}
