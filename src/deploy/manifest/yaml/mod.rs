//! One YAML document as go-yaml v2 and sigs.k8s.io/yaml turn it into JSON.

mod tree;

#[cfg(test)]
mod tests;

use base64::Engine;
use serde_json::{Map, Number, Value};

use super::scalar::{self, Scalar};
use super::{plain, print};
use tree::{Kind, Node, Source};

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
