//! Documents beside the JSON that kubectl makes of them, mistakes beside its words.

use serde_json::json;

use super::*;

fn read(text: &str) -> Result<Value, String> {
    parse(text.as_bytes())
}

#[test]
fn documents_become_the_json_that_kubectl_sees() {
    for (text, value) in [
        ("a: yes\nb: 0777\nc: 1.0\n", json!({"a": true, "b": 511, "c": 1})),
        ("y: 1\non: 2\n1: x\n1.5: x\n", json!({"true": 2, "1": "x", "1.5": "x"})),
        ("a: 1\na: 2\n", json!({"a": 2})),
        (
            "x: &x {a: 1, b: 2}\nz:\n  a: 3\n  <<: *x\n",
            json!({"x": {"a":1,"b":2}, "z": {"a":1,"b":2}}),
        ),
        (
            "x: &x {a: 1, b: 2}\nz:\n  <<: *x\n  a: 3\n",
            json!({"x": {"a":1,"b":2}, "z": {"a":3,"b":2}}),
        ),
        (
            "a: !!binary aGVsbG8=\nb: !foo 1\nc: '1'\nd: !!str 1\n",
            json!({"a":"hello","b":"1","c":"1","d":"1"}),
        ),
        ("a: 123e4567\nb: 1e3\nc: 1e30\n", json!({"a":"123e4567","b":1000,"c":1e30})),
        ("a:\n- 1\n- ~\n- ''\n", json!({"a":[1,null,""]})),
        ("# nothing\n", Value::Null),
        ("", Value::Null),
        ("a: |\n  x\n  y\nb: >-\n  x\n  y\n", json!({"a":"x\ny\n","b":"x y"})),
        ("18446744073709551615", json!(18_446_744_073_709_551_615.0_f64)),
    ] {
        assert_eq!(read(text), Ok(value), "{text}");
    }
}

/// The right column is what kubectl 1.36.3 printed.
#[test]
fn mistakes_are_told_in_go_yamls_words() {
    for (text, error) in [
        ("a: 1\n\tb: 2\n", "yaml: line 5: found a tab character that violates indentation"),
        ("a:\n\t- 1\n", "yaml: line 5: found character that cannot start any token"),
        ("a: b: c\n", "yaml: line 4: mapping values are not allowed in this context"),
        ("data: [1, 2\n", "yaml: line 4: did not find expected ',' or ']'"),
        ("data: {a: b\n", "yaml: line 4: did not find expected ',' or '}'"),
        ("data: \"x\n", "yaml: line 5: found unexpected end of stream"),
        ("- a\n", "yaml: line 3: did not find expected key"),
        ("data:\n  - a\n b\n", "yaml: line 5: did not find expected key"),
        ("data: &a [*a]", "yaml: anchor 'a' value contains itself"),
        ("data: *q", "yaml: unknown anchor 'q' referenced"),
        ("data: {? [a] : b}", "yaml: invalid map key: []interface {}{\"a\"}"),
        ("data: {~: b}", "unsupported map key of type: %!s(<nil>), key: <nil>, value: \"b\""),
        ("data: %x", "yaml: line 4: found character that cannot start any token"),
        (
            "data: {18446744073709551615: 1}",
            "unsupported map key of type: uint64, key: 0xffffffffffffffff, value: 1",
        ),
        ("data: .inf", "json: unsupported value: +Inf"),
        ("data: !!int x", "yaml: cannot decode !!str `x` as a !!int"),
        ("data: \"\\q\"", "yaml: line 4: found unknown escape character"),
        ("data: \"\\xZZ\"", "yaml: line 4: did not find expected hexdecimal number"),
        ("data: |x\n  y\n", "yaml: line 4: did not find expected comment or line break"),
        ("data: \u{1}\n", "yaml: control characters are not allowed"),
        (
            "data:\n  a: 1\n   b: 2\n",
            "yaml: line 6: mapping values are not allowed in this context",
        ),
        ("data: !!binary \"@@\"\n", "yaml: !!binary value contains invalid base64 data"),
        ("data: {a: 1}}\n", "yaml: line 3: did not find expected key"),
        ("data: - a\n", "yaml: line 4: block sequence entries are not allowed in this context"),
        ("data: ? a\n", "yaml: line 4: mapping keys are not allowed in this context"),
        ("data: !x!y z\n", "yaml: line 3: found undefined tag handle"),
        ("data: [a, *]\n", "yaml: line 4: did not find expected alphabetic or numeric character"),
        ("key with no colon\n", "yaml: line 5: could not find expected ':'"),
        ("data:\n  \"a\" \"b\"\n", "yaml: line 4: did not find expected key"),
    ] {
        let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\n{text}");
        assert_eq!(read(&text), Err(format!("error converting YAML to JSON: {error}")), "{text}");
    }
    let merge = "map merge requires map or sequence of maps as the value";
    assert_eq!(read("<<: 1\n"), Err(format!("error converting YAML to JSON: yaml: {merge}")));
}

#[test]
fn deep_nesting_is_an_error_and_no_crash() {
    let text = "[".repeat(50_000);
    assert!(read(&text).is_err());
    let text = "a: ".to_owned() + &"{a: ".repeat(500) + &"}".repeat(500);
    assert!(read(&text).is_err());
}
