//! Go's `Print` and `Printf`, for the values that a template has.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

use super::value::{Val, View, view};

/// Wider or more precise than this Go does not print either.
const MAX_WIDTH: usize = 1_000_000;

/// As Go's `Sprint`: a blank between two operands of which neither is a text.
pub fn print(args: &[Val<'_>]) -> String {
    let mut out = String::new();
    let mut was_text = true;
    for (n, arg) in args.iter().enumerate() {
        let is_text = matches!(arg.view(), View::Text(_));
        if n > 0 && !is_text && !was_text {
            out.push(' ');
        }
        out.push_str(&arg.told());
        was_text = is_text;
    }
    out
}

/// The flags, width and precision of a verb.
#[derive(Debug, Clone, Copy, Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// As Go's `Sprintf`; an error where the text would be longer than there is room.
pub fn printf(pattern: &str, args: &[Val<'_>], room: usize) -> Result<String, String> {
    let mut out = String::new();
    let mut args = args.iter();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if out.len() > room {
            return Err("the text is too long".to_owned());
        }
        if c != '%' {
            out.push(c);
            continue;
        }
        let spec = spec(&mut chars, &mut out);
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match args.next() {
                None => {
                    let _ = write!(out, "%!{verb}(MISSING)");
                }
                Some(arg) => out.push_str(&one(arg, verb, spec)),
            },
        }
    }
    let extra: Vec<String> = args
        .map(|arg| match arg.view() {
            View::Nothing | View::Null => "<nil>".to_owned(),
            _ => format!("{}={}", arg.inner_kind(), arg.told()),
        })
        .collect();
    if !extra.is_empty() {
        let _ = write!(out, "%!(EXTRA {})", extra.join(", "));
    }
    Ok(out)
}

/// Reads what stands between `%` and the verb.
fn spec(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Spec {
    let mut spec = Spec::default();
    loop {
        match chars.peek() {
            Some('-') => (spec.minus, spec.zero) = (true, false),
            Some('+') => spec.plus = true,
            Some('#') => spec.sharp = true,
            Some(' ') => spec.space = true,
            Some('0') => spec.zero = !spec.minus,
            _ => break,
        }
        chars.next();
    }
    let number = |chars: &mut Peekable<Chars<'_>>| {
        let mut digits = String::new();
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        digits
    };
    let width = number(chars);
    spec.width = width.parse().ok().filter(|width| *width <= MAX_WIDTH);
    if !width.is_empty() && spec.width.is_none() {
        out.push_str("%!(BADWIDTH)");
    }
    if chars.next_if_eq(&'.').is_some() {
        spec.precision = Some(number(chars).parse().unwrap_or(0)).filter(|p| *p <= MAX_WIDTH);
        if spec.precision.is_none() {
            out.push_str("%!(BADPREC)");
        }
    }
    spec
}

fn one(arg: &Val<'_>, verb: char, spec: Spec) -> String {
    match verb {
        'T' => padded(arg.inner_kind().to_owned(), spec),
        _ => viewed(arg.view(), arg.inner_kind(), verb, spec),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match view(value) {
        View::Nothing | View::Null => "<nil>",
        View::Bool(_) => "bool",
        View::Int(_) => "int64",
        View::Float(_) => "float64",
        View::Text(_) => "string",
        View::List(_) => "[]interface {}",
        View::Map(_) => "map[string]interface {}",
    }
}

fn viewed(value: View<'_>, kind: &str, verb: char, spec: Spec) -> String {
    let inner = |value: &Value| viewed(view(value), kind_of(value), verb, spec);
    let bad = |told: String| format!("%!{verb}({kind}={told})");
    match value {
        View::Nothing | View::Null if verb == 'v' => padded("<nil>".to_owned(), spec),
        View::Nothing | View::Null => format!("%!{verb}(<nil>)"),
        View::List(items) => {
            let items: Vec<String> = items.iter().map(inner).collect();
            format!("[{}]", items.join(" "))
        }
        View::Map(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| {
                    format!("{}:{}", viewed(View::Text(key), "string", verb, spec), inner(value))
                })
                .collect();
            format!("map[{}]", entries.join(" "))
        }
        View::Bool(truth) => match verb {
            't' | 'v' => padded(truth.to_string(), spec),
            _ => bad(truth.to_string()),
        },
        View::Int(number) => integer(number, verb, spec).unwrap_or_else(|| bad(number.to_string())),
        View::Float(number) => {
            float(number, verb, spec).unwrap_or_else(|| bad(Val::Float(number).told()))
        }
        View::Text(text) => {
            let cut = |text: &str| match spec.precision {
                Some(most) => text.chars().take(most).collect(),
                None => text.to_owned(),
            };
            match verb {
                's' | 'v' => padded(cut(text), spec),
                'q' => padded(quoted(&cut(text), spec.sharp), spec),
                'x' | 'X' => {
                    let mut hex = String::new();
                    for byte in text.bytes() {
                        let _ = write!(hex, "{byte:02x}");
                    }
                    padded(if verb == 'X' { hex.to_uppercase() } else { hex }, spec)
                }
                _ => bad(text.to_owned()),
            }
        }
    }
}

fn quoted(text: &str, raw: bool) -> String {
    if raw
        && !text.contains(['`', '\u{feff}'])
        && !text.chars().any(|c| c.is_control() && c != '\t')
    {
        return format!("`{text}`");
    }
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || c == '\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn integer(number: i64, verb: char, spec: Spec) -> Option<String> {
    let size = number.unsigned_abs();
    let mut digits = match verb {
        'd' | 'v' => size.to_string(),
        'b' => format!("{size:b}"),
        'o' | 'O' => format!("{size:o}"),
        'x' => format!("{size:x}"),
        'X' => format!("{size:X}"),
        'c' | 'q' | 'U' => {
            let c = u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
            return Some(padded(
                match verb {
                    'c' => c.to_string(),
                    'U' => format!("U+{number:04X}"),
                    _ => format!("'{c}'"),
                },
                spec,
            ));
        }
        _ => return None,
    };
    if let Some(least) = spec.precision {
        digits = "0".repeat(least.saturating_sub(digits.len())) + &digits;
    }
    let prefix = match verb {
        'x' if spec.sharp => "0x",
        'X' if spec.sharp => "0X",
        'b' if spec.sharp => "0b",
        'o' if spec.sharp && !digits.starts_with('0') => "0",
        'O' => "0o",
        _ => "",
    };
    let zero = spec.zero && spec.precision.is_none();
    Some(signed(number < 0, &format!("{prefix}{digits}"), Spec { zero, ..spec }))
}

fn float(number: f64, verb: char, spec: Spec) -> Option<String> {
    let size = number.abs();
    let digits = match verb {
        'f' | 'F' => format!("{size:.*}", spec.precision.unwrap_or(6)),
        'e' | 'E' => exponent(size, spec.precision.unwrap_or(6), verb),
        'g' | 'G' | 'v' => match spec.precision {
            None => Val::Float(size).told(),
            Some(precision) => general(size, precision.max(1)),
        },
        _ => return None,
    };
    Some(signed(number.is_sign_negative(), &digits, spec))
}

/// Go writes at least two digits of an exponent, and its sign.
fn exponent(size: f64, precision: usize, letter: char) -> String {
    let text = format!("{size:.precision$e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
    format!("{digits}{letter}{sign}{power:0>2}")
}

fn general(size: f64, precision: usize) -> String {
    let text = format!("{size:.*e}", precision - 1);
    let power: i64 = text.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0);
    let most = i64::try_from(precision).unwrap_or(i64::MAX);
    if power < -4 || power >= most {
        let text = exponent(size, precision - 1, 'e');
        let (digits, power) = text.split_once('e').unwrap_or((&text, "+00"));
        let digits = if digits.contains('.') {
            digits.trim_end_matches('0').trim_end_matches('.')
        } else {
            digits
        };
        return format!("{digits}e{power}");
    }
    let places = usize::try_from(most - 1 - power).unwrap_or(0);
    let text = format!("{size:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn signed(negative: bool, digits: &str, spec: Spec) -> String {
    let sign = match (negative, spec.plus, spec.space) {
        (true, _, _) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    };
    if spec.zero
        && let Some(width) = spec.width
    {
        let filled = width.saturating_sub(sign.len());
        return format!("{sign}{digits:0>filled$}");
    }
    padded(format!("{sign}{digits}"), spec)
}

fn padded(mut text: String, spec: Spec) -> String {
    let missing = spec.width.unwrap_or(0).saturating_sub(text.chars().count());
    let pad = if spec.zero { "0" } else { " " }.repeat(missing);
    if spec.minus {
        text.push_str(&pad);
    } else {
        text.insert_str(0, &pad);
    }
    text
}
