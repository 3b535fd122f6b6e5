//! Values as kubectl prints them in YAML: sigs.k8s.io/yaml on go-yaml v2.

use libyaml_safer::{Emitter, Encoding, Event, MappingStyle, ScalarStyle, SequenceStyle};
use serde_json::{Number, Value};

use super::scalar;

/// A value as a YAML document: keys sorted, lists not indented under their key, a newline at the
/// end.
pub fn yaml(value: &Value) -> String {
    let mut output = Vec::new();
    // Writing into memory cannot fail, and no event here is out of order.
    let _written = emit(value, &mut output);
    String::from_utf8_lossy(&output).into_owned()
}

fn emit(value: &Value, output: &mut Vec<u8>) -> Result<(), libyaml_safer::Error> {
    let mut emitter = Emitter::new();
    emitter.set_output_string(output);
    emitter.set_unicode(true);
    emitter.emit(Event::stream_start(Encoding::Utf8))?;
    emitter.emit(Event::document_start(None, &[], true))?;
    node(value, &mut emitter)?;
    emitter.emit(Event::document_end(true))?;
    emitter.emit(Event::stream_end())?;
    emitter.flush()
}

fn node(value: &Value, emitter: &mut Emitter<'_>) -> Result<(), libyaml_safer::Error> {
    match value {
        Value::Null => plain("null", emitter),
        Value::Bool(flag) => plain(if *flag { "true" } else { "false" }, emitter),
        Value::Number(number) => plain(&number_text(number), emitter),
        Value::String(text) => string(text, emitter),
        Value::Array(items) => {
            emitter.emit(Event::sequence_start(None, None, true, SequenceStyle::Block))?;
            for item in items {
                node(item, emitter)?;
            }
            emitter.emit(Event::sequence_end())
        }
        Value::Object(map) => {
            emitter.emit(Event::mapping_start(None, None, true, MappingStyle::Block))?;
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_by(|left, right| order(left, right));
            for key in keys {
                string(key, emitter)?;
                node(map.get(key).unwrap_or(&Value::Null), emitter)?;
            }
            emitter.emit(Event::mapping_end())
        }
    }
}

fn plain(text: &str, emitter: &mut Emitter<'_>) -> Result<(), libyaml_safer::Error> {
    emitter.emit(Event::scalar(None, None, text, true, true, ScalarStyle::Plain))
}

fn string(text: &str, emitter: &mut Emitter<'_>) -> Result<(), libyaml_safer::Error> {
    let style = if text.contains('\n') {
        ScalarStyle::Literal
    } else if scalar::reads_as_text(text) {
        ScalarStyle::Plain
    } else {
        ScalarStyle::DoubleQuoted
    };
    emitter.emit(Event::scalar(None, None, text, true, true, style))
}

/// go-yaml's order of keys: letters after what is no letter, numbers in keys by their value.
fn order(left: &str, right: &str) -> std::cmp::Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    for (i, (&l, &r)) in a.iter().zip(&b).enumerate() {
        if l == r {
            continue;
        }
        let (letter_l, letter_r) = (l.is_alphabetic(), r.is_alphabetic());
        if letter_l && letter_r {
            return l.cmp(&r);
        }
        if letter_l || letter_r {
            return if letter_r { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater };
        }
        let mut before = a.iter().take(i).rev().take_while(|c| c.is_numeric());
        let seed = u64::from((l == '0' || r == '0') && before.any(|&c| c != '0'));
        let number = |text: &[char]| {
            let digits = text.iter().skip(i).take_while(|c| c.is_numeric());
            digits.fold((seed, 0_usize), |(value, n), c| {
                (value.wrapping_mul(10).wrapping_add(c.to_digit(10).unwrap_or(0).into()), n + 1)
            })
        };
        let ((value_l, n_l), (value_r, n_r)) = (number(&a), number(&b));
        return value_l.cmp(&value_r).then(n_l.cmp(&n_r)).then(l.cmp(&r));
    }
    a.len().cmp(&b.len())
}

fn number_text(number: &Number) -> String {
    let Some(value) = number.as_f64().filter(|_| number.is_f64()) else {
        return number.to_string();
    };
    let json = float_json(value);
    if json.parse::<i64>().is_ok() || json.parse::<u64>().is_ok() { json } else { float(value) }
}

/// Go's `FormatFloat(x, 'g', -1, 64)`.
pub fn float(number: f64) -> String {
    go_float(number, -4, 6, true)
}

/// Go's `FormatFloat(x, 'g', -1, 32)`, which names float keys.
pub fn float_key(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    if number.is_nan() {
        return ".nan".to_owned();
    }
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "Go prints the key at single precision"
    )]
    let short = number as f32;
    let digits = format!("{short:e}");
    from_scientific(&digits, -4, 6, true)
}

/// A float as Go's `encoding/json` writes it.
pub fn float_json(number: f64) -> String {
    go_float(number, -6, 21, false)
}

fn go_float(number: f64, low: i32, high: i32, two_digits: bool) -> String {
    if number == 0.0 {
        return if number.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    from_scientific(&format!("{number:e}"), low, high, two_digits)
}

/// Lays out `d.ddde±x`: with an exponent below `low` and from `high` on, else without.
fn from_scientific(text: &str, low: i32, high: i32, two_digits: bool) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    if exponent < low || exponent >= high {
        let point = if digits.len() > 1 { "." } else { "" };
        let (first, rest) = digits.split_at(1);
        let mark = if exponent < 0 { '-' } else { '+' };
        let width = if two_digits { 2 } else { 1 };
        return format!("{sign}{first}{point}{rest}e{mark}{:0width$}", exponent.unsigned_abs());
    }
    let Ok(whole) = usize::try_from(exponent + 1) else {
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        return format!("{sign}0.{}{digits}", "0".repeat(zeros));
    };
    if whole == 0 {
        return format!("{sign}0.{digits}");
    }
    if digits.len() <= whole {
        return format!("{sign}{digits}{}", "0".repeat(whole - digits.len()));
    }
    let (left, right) = digits.split_at(whole);
    format!("{sign}{left}.{right}")
}

/// The float nearest to a number above `i64`.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "Go's JSON makes the same float of it"
)]
pub fn uint_as_float(number: u64) -> f64 {
    number as f64
}

/// A value as Go's `%#v` shows it, which two of go-yaml's errors do.
pub fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number_text(number),
        Value::String(text) => format!("{text:?}"),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(map) => {
            let items: Vec<String> =
                map.iter().map(|(key, value)| format!("{key:?}:{}", go_syntax(value))).collect();
            format!("map[interface {{}}]interface {{}}{{{}}}", items.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::deploy::manifest::parse;

    #[test]
    fn values_print_as_kubectl_prints_them() {
        let value = json!({
            "metadata": {"name": "x", "labels": {"a10": "1", "a9": "yes", "A": "n"}},
            "list": [{"a": 1, "b": [1, "2"]}, "x: y", "", "# no", "a\nb\n", "2001-01-01"],
            "empty": {}, "none": [], "null": null, "float": 1.5, "big": 1e21,
        });
        insta::assert_snapshot!(yaml(&value), @r##"
        big: 1e+21
        empty: {}
        float: 1.5
        list:
        - a: 1
          b:
          - 1
          - "2"
        - 'x: y'
        - ""
        - '# no'
        - |
          a
          b
        - "2001-01-01"
        metadata:
          labels:
            A: "n"
            a9: "yes"
            a10: "1"
          name: x
        none: []
        "null": null
        "##);
    }

    #[test]
    fn floats_are_laid_out_as_go_does() {
        for (number, yaml, json) in [
            (1.5, "1.5", "1.5"),
            (1e21, "1e+21", "1e+21"),
            (1e20, "1e+20", "100000000000000000000"),
            (1_234_567.5, "1.2345675e+06", "1234567.5"),
            (0.0001, "0.0001", "0.0001"),
            (0.00001, "1e-05", "0.00001"),
            (1e-7, "1e-07", "1e-7"),
            (123_456.75, "123456.75", "123456.75"),
            (-0.5, "-0.5", "-0.5"),
        ] {
            assert_eq!((float(number).as_str(), float_json(number).as_str()), (yaml, json));
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(|number| json!(number)),
            "[ -~]{0,12}".prop_map(Value::String),
            "[a-c:#\n \t'\"é-]{0,12}".prop_map(Value::String),
            "(on|yes|0x1|1e3|2001-01-01|~|<<|1:30|- a|\\? b|\\| c|&d|@e|%f)"
                .prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::btree_map("[a-z1-9.~:-]{1,6}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(value in values()) {
            prop_assert_eq!(parse(yaml(&value).as_bytes()), Ok(value));
        }
    }
}
