//! One YAML document as go-yaml v2 and sigs.k8s.io/yaml turn it into JSON.

use std::collections::BTreeMap;

use base64::Engine;
use libyaml_safer::EventData;
use serde_json::{Map, Number, Value};

use super::events::{Events, Problem, Text};
use super::scalar::{self, Scalar};
use super::{plain, print};

/// JSON that crosses the socket may be nested 128 deep; this leaves room for what is around it.
const MAX_DEPTH: usize = 100;
const TAG_BINARY: &str = "tag:yaml.org,2002:binary";
const TAG_MERGE: &str = "tag:yaml.org,2002:merge";

/// Reads the first document of a text. The error is kubectl's text after `error parsing FILE: `.
pub fn parse(text: &[u8]) -> Result<Value, String> {
    plain::read(text).map_or_else(|| parse_any(text), Ok)
}

/// As [`parse`], by way of YAML's events whatever the text is.
pub(super) fn parse_any(text: &[u8]) -> Result<Value, String> {
    let mut source = Source::new(text);
    let root = source
        .document()
        .map_err(|error| format!("error converting YAML to JSON: yaml: {error}"))?;
    let Some(root) = root else { return Ok(Value::Null) };
    let mut decoder = Decoder {
        nodes: &source.nodes,
        open: Vec::new(),
        n_decoded: 0,
        n_aliased: 0,
        alias_depth: 0,
    };
    decoder.value(root).map_err(|failure| match failure {
        Failure::Yaml(text) => format!("error converting YAML to JSON: yaml: {text}"),
        Failure::Json(text) => format!("error converting YAML to JSON: {text}"),
    })
}

pub(super) enum Failure {
    /// go-yaml's own.
    Yaml(String),
    /// Of the step from YAML to JSON.
    Json(String),
}

#[derive(Debug)]
struct Node {
    tag: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Scalar { text: String, implicit: bool },
    Sequence(Vec<usize>),
    Mapping(Vec<(usize, usize)>),
    Alias { name: String, target: usize },
}

/// The tree of a document, built from events.
struct Source {
    text: Vec<u8>,
    nodes: Vec<Node>,
    anchors: BTreeMap<String, usize>,
}

impl Source {
    fn new(text: &[u8]) -> Self {
        let text = if text.is_empty() { b"\n".to_vec() } else { text.to_vec() };
        Self { text, nodes: Vec::new(), anchors: BTreeMap::new() }
    }

    fn document(&mut self) -> Result<Option<usize>, String> {
        let text = std::mem::take(&mut self.text);
        let text = Text::of(&text);
        let mut rest: &[u8] = &[];
        let mut events = Events::new(&text, &mut rest);
        loop {
            let event = next(&mut events)?;
            if matches!(event, EventData::StreamStart { .. } | EventData::DocumentStart { .. }) {
                continue;
            }
            if matches!(event, EventData::StreamEnd | EventData::DocumentEnd { .. }) {
                return Ok(None);
            }
            let root = self.node(&mut events, event, 0)?;
            // go-yaml asks for the end of the document, no further.
            next(&mut events)?;
            return Ok(Some(root));
        }
    }

    fn node(
        &mut self,
        events: &mut Events<'_>,
        event: EventData,
        depth: usize,
    ) -> Result<usize, String> {
        if depth > MAX_DEPTH {
            return Err(format!("exceeded max depth of {MAX_DEPTH}"));
        }
        let index = self.nodes.len();
        let (anchor, tag, kind) = match event {
            EventData::Alias { anchor } => {
                let Some(&target) = self.anchors.get(&anchor) else {
                    return Err(format!("unknown anchor '{anchor}' referenced"));
                };
                (None, None, Kind::Alias { name: anchor, target })
            }
            EventData::Scalar { anchor, tag, value, plain_implicit, .. } => {
                (anchor, tag, Kind::Scalar { text: value, implicit: plain_implicit })
            }
            EventData::SequenceStart { anchor, tag, .. } => {
                (anchor, tag, Kind::Sequence(Vec::new()))
            }
            EventData::MappingStart { anchor, tag, .. } => (anchor, tag, Kind::Mapping(Vec::new())),
            EventData::StreamStart { .. }
            | EventData::StreamEnd
            | EventData::DocumentStart { .. }
            | EventData::DocumentEnd { .. }
            | EventData::SequenceEnd
            | EventData::MappingEnd => {
                return Err("attempted to go past the end of stream; corrupted value?".to_owned());
            }
        };
        let opened = match kind {
            Kind::Sequence(_) => Some(false),
            Kind::Mapping(_) => Some(true),
            Kind::Scalar { .. } | Kind::Alias { .. } => None,
        };
        self.nodes.push(Node { tag: tag.unwrap_or_default(), kind });
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, index);
        }
        match opened {
            Some(true) => self.mapping(events, index, depth)?,
            Some(false) => self.sequence(events, index, depth)?,
            None => {}
        }
        Ok(index)
    }

    fn sequence(
        &mut self,
        events: &mut Events<'_>,
        index: usize,
        depth: usize,
    ) -> Result<(), String> {
        let mut children = Vec::new();
        loop {
            let event = next(events)?;
            if matches!(event, EventData::SequenceEnd) {
                break;
            }
            children.push(self.node(events, event, depth + 1)?);
        }
        if let Some(node) = self.nodes.get_mut(index) {
            node.kind = Kind::Sequence(children);
        }
        Ok(())
    }

    fn mapping(
        &mut self,
        events: &mut Events<'_>,
        index: usize,
        depth: usize,
    ) -> Result<(), String> {
        let mut children = Vec::new();
        loop {
            let event = next(events)?;
            if matches!(event, EventData::MappingEnd) {
                break;
            }
            let key = self.node(events, event, depth + 1)?;
            let event = next(events)?;
            children.push((key, self.node(events, event, depth + 1)?));
        }
        if let Some(node) = self.nodes.get_mut(index) {
            node.kind = Kind::Mapping(children);
        }
        Ok(())
    }
}

/// The next event; an error in go-yaml's words: `line 3: …`, counted as it counts.
fn next(events: &mut Events<'_>) -> Result<EventData, String> {
    events.next().map(|event| event.data).map_err(|problem| {
        let Problem { what, mark, context_mark, is_of_scanner, .. } = problem;
        let line = match mark.line {
            0 => context_mark.line,
            line if is_of_scanner => line + 1,
            line => line,
        };
        if line == 0 { what } else { format!("line {line}: {what}") }
    })
}

struct Decoder<'a> {
    nodes: &'a [Node],
    open: Vec<usize>,
    n_decoded: u32,
    n_aliased: u32,
    alias_depth: u32,
}

impl Decoder<'_> {
    fn value(&mut self, index: usize) -> Result<Value, Failure> {
        self.count()?;
        let nodes = self.nodes;
        let Some(node) = nodes.get(index) else { return Ok(Value::Null) };
        match &node.kind {
            Kind::Scalar { .. } => json(Self::scalar(node)?),
            Kind::Alias { name, target } => self.through(index, name, *target, Self::value),
            Kind::Sequence(children) => {
                let items: Result<Vec<Value>, Failure> =
                    children.iter().map(|&child| self.value(child)).collect();
                items.map(Value::Array)
            }
            Kind::Mapping(_) => {
                let mut map = Map::new();
                self.mapping(index, &mut map)?;
                Ok(Value::Object(map))
            }
        }
    }

    /// go-yaml's guard against documents that are almost all alias.
    fn count(&mut self) -> Result<(), Failure> {
        self.n_decoded += 1;
        if self.alias_depth > 0 {
            self.n_aliased += 1;
        }
        let (decoded, aliased) = (f64::from(self.n_decoded), f64::from(self.n_aliased));
        let allowed = (0.99 - 0.89 * ((decoded - 400_000.0) / 3_600_000.0)).clamp(0.10, 0.99);
        if self.n_aliased > 100 && self.n_decoded > 1000 && aliased / decoded > allowed {
            return Err(Failure::Yaml("document contains excessive aliasing".to_owned()));
        }
        Ok(())
    }

    fn through<T>(
        &mut self,
        index: usize,
        name: &str,
        target: usize,
        then: impl FnOnce(&mut Self, usize) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if self.open.contains(&index) {
            return Err(Failure::Yaml(format!("anchor '{name}' value contains itself")));
        }
        self.open.push(index);
        self.alias_depth += 1;
        let value = then(self, target);
        self.alias_depth -= 1;
        self.open.pop();
        value
    }

    fn scalar(node: &Node) -> Result<Scalar, Failure> {
        let Kind::Scalar { text, implicit } = &node.kind else { return Ok(Scalar::Null) };
        if node.tag.is_empty() && !implicit {
            return Ok(Scalar::Text(text.clone()));
        }
        if node.tag == TAG_BINARY {
            let bare: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
            let bytes = base64::engine::general_purpose::STANDARD.decode(bare).map_err(|_| {
                Failure::Yaml("!!binary value contains invalid base64 data".to_owned())
            })?;
            return Ok(Scalar::Text(go_text(&bytes)));
        }
        scalar::resolve(&node.tag, text).map_err(|mismatch| Failure::Yaml(mismatch.0))
    }

    fn mapping(&mut self, index: usize, map: &mut Map<String, Value>) -> Result<(), Failure> {
        let nodes = self.nodes;
        let Some(Node { kind: Kind::Mapping(children), .. }) = nodes.get(index) else {
            return Ok(());
        };
        for &(key, value) in children {
            if self.is_merge(key) {
                self.merge(value, map)?;
                continue;
            }
            let key = self.key(key, value)?;
            let value = self.value(value)?;
            map.insert(key, value);
        }
        Ok(())
    }

    fn is_merge(&self, index: usize) -> bool {
        self.nodes.get(index).is_some_and(|node| match &node.kind {
            Kind::Scalar { text, implicit } => text == "<<" && (*implicit || node.tag == TAG_MERGE),
            Kind::Alias { .. } | Kind::Sequence(_) | Kind::Mapping(_) => false,
        })
    }

    fn merge(&mut self, index: usize, map: &mut Map<String, Value>) -> Result<(), Failure> {
        let wrong =
            || Failure::Yaml("map merge requires map or sequence of maps as the value".to_owned());
        let nodes = self.nodes;
        match nodes.get(index).map(|node| &node.kind) {
            Some(Kind::Mapping(_)) => self.mapping(index, map),
            Some(Kind::Alias { name, target }) => match nodes.get(*target).map(|node| &node.kind) {
                Some(Kind::Mapping(_)) => {
                    self.through(index, name, *target, |this, at| this.mapping(at, map))
                }
                _ => Err(wrong()),
            },
            // Earlier ones take precedence: they are written last.
            Some(Kind::Sequence(children)) => {
                for &child in children.iter().rev() {
                    match nodes.get(child).map(|node| &node.kind) {
                        Some(Kind::Mapping(_) | Kind::Alias { .. }) => self.merge(child, map)?,
                        _ => return Err(wrong()),
                    }
                }
                Ok(())
            }
            Some(Kind::Scalar { .. }) | None => Err(wrong()),
        }
    }

    fn key(&mut self, index: usize, value: usize) -> Result<String, Failure> {
        let nodes = self.nodes;
        let Some(node) = nodes.get(index) else { return Ok(String::new()) };
        match &node.kind {
            Kind::Scalar { .. } => match Self::scalar(node)? {
                Scalar::Text(text) => Ok(text),
                Scalar::Bool(flag) => Ok(flag.to_string()),
                Scalar::Int(number) => Ok(number.to_string()),
                Scalar::Float(number) => Ok(print::float_key(number)),
                scalar @ (Scalar::Null | Scalar::Uint(_)) => {
                    let value = self.value(value)?;
                    Err(Failure::Json(unsupported_key(&scalar, &value)))
                }
            },
            Kind::Alias { name, target } => {
                self.through(index, name, *target, |this, at| this.key(at, value))
            }
            Kind::Sequence(_) | Kind::Mapping(_) => {
                let value = self.value(index)?;
                Err(Failure::Yaml(format!("invalid map key: {}", print::go_syntax(&value))))
            }
        }
    }
}

fn unsupported_key(key: &Scalar, value: &Value) -> String {
    let (kind, key) = match key {
        Scalar::Uint(number) => ("uint64".to_owned(), format!("{number:#x}")),
        Scalar::Null | Scalar::Bool(_) | Scalar::Int(_) | Scalar::Float(_) | Scalar::Text(_) => {
            ("%!s(<nil>)".to_owned(), "<nil>".to_owned())
        }
    };
    format!("unsupported map key of type: {kind}, key: {key}, value: {}", print::go_syntax(value))
}

/// A scalar after its way through Go's JSON: whole floats are whole numbers, there is no infinity.
pub(super) fn json(scalar: Scalar) -> Result<Value, Failure> {
    Ok(match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(flag) => Value::Bool(flag),
        Scalar::Int(number) => Value::Number(number.into()),
        Scalar::Uint(number) => float(print::uint_as_float(number))?,
        Scalar::Float(number) => float(number)?,
        Scalar::Text(text) => Value::String(text),
    })
}

fn float(number: f64) -> Result<Value, Failure> {
    let Some(json) = Number::from_f64(number) else {
        let name = if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        };
        return Err(Failure::Json(format!("json: unsupported value: {name}")));
    };
    let written = print::float_json(number);
    Ok(Value::Number(written.parse::<i64>().map_or(json, Number::from)))
}

/// Bytes as Go reads text: each byte that is no UTF-8 is one replacement character.
pub fn go_text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
    }
    text
}

#[cfg(test)]
mod tests {
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
            (
                "data: [a, *]\n",
                "yaml: line 4: did not find expected alphabetic or numeric character",
            ),
            ("key with no colon\n", "yaml: line 5: could not find expected ':'"),
            ("data:\n  \"a\" \"b\"\n", "yaml: line 4: did not find expected key"),
        ] {
            let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\n{text}");
            assert_eq!(
                read(&text),
                Err(format!("error converting YAML to JSON: {error}")),
                "{text}"
            );
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
}
