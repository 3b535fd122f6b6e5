//! A subset of JSONPath: `$.token`, `$.data[*].id`, `$.a.b[0]`, `$['odd key']`, `$.list[-1]`.

use serde_json::Value;

use crate::load::template::at;

/// A path into a JSON document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    keys: Vec<Key>,
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// A member of an object.
    Name(String),
    /// An element of a list, from its end when negative.
    Index(i64),
    /// All of them.
    Every,
}

/// A text that is not such a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl JsonPath {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut rest = text
            .trim()
            .strip_prefix('$')
            .ok_or_else(|| Error(format!("`{text}` does not start with `$`: `$.data[*].id`")))?;
        let mut keys = Vec::new();
        while !rest.is_empty() {
            let (key, after) = parse_key(rest).ok_or_else(|| {
                Error(format!(
                    "`{rest}` in `{text}` is not understood: use .name, ['name'], [0] and [*]"
                ))
            })?;
            keys.push(key);
            rest = after;
        }
        Ok(Self { keys })
    }

    /// The steps of the path.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Returns what is there: a list when the path has `[*]`, else one value. An empty list is
    /// nothing.
    pub fn find(&self, document: &Value) -> Option<Value> {
        self.answer(Self::all(&self.keys, document))
    }

    /// Returns what the path stands for when these values were found.
    pub fn answer(&self, found: Vec<Value>) -> Option<Value> {
        if self.keys.contains(&Key::Every) {
            (!found.is_empty()).then_some(Value::Array(found))
        } else {
            found.into_iter().next()
        }
    }

    /// Returns all values that the keys lead to.
    pub fn all(keys: &[Key], document: &Value) -> Vec<Value> {
        let mut found = vec![document];
        for key in keys {
            found = found
                .into_iter()
                .flat_map(|value| -> Vec<&Value> {
                    match (key, value) {
                        (Key::Every, Value::Array(list)) => list.iter().collect(),
                        (Key::Every, Value::Object(object)) => object.values().collect(),
                        (Key::Name(name), value) => value.get(name).into_iter().collect(),
                        (Key::Index(index), Value::Array(list)) => {
                            at(list, *index).into_iter().collect()
                        }
                        (Key::Every | Key::Index(_), _) => Vec::new(),
                    }
                })
                .collect();
        }
        found.into_iter().cloned().collect()
    }
}

fn parse_key(text: &str) -> Option<(Key, &str)> {
    if let Some(rest) = text.strip_prefix('.') {
        if let Some(rest) = rest.strip_prefix('*') {
            return Some((Key::Every, rest));
        }
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
            .unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        return (!name.is_empty()).then(|| (Key::Name(name.to_owned()), rest));
    }
    let inside = text.strip_prefix('[')?;
    for quote in ['\'', '"'] {
        if let Some(rest) = inside.strip_prefix(quote) {
            let (name, rest) = rest.split_once(quote)?;
            return Some((Key::Name(name.to_owned()), rest.strip_prefix(']')?));
        }
    }
    let (inside, rest) = inside.split_once(']')?;
    match inside.trim() {
        "*" => Some((Key::Every, rest)),
        number => Some((Key::Index(number.parse().ok()?), rest)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_find_what_they_name() {
        let document = json!({
            "data": [{ "id": 1, "t": ["a"] }, { "id": 2 }, { "other": 3 }],
            "token": "x", "a": { "b": [10, 20] }, "odd key": true, "none": null, "empty": []
        });
        for (path, found) in [
            ("$", Some(document.clone())),
            ("$.token", Some(json!("x"))),
            ("$.data[*].id", Some(json!([1, 2]))),
            ("$.data[0].id", Some(json!(1))),
            ("$.a.b[-1]", Some(json!(20))),
            ("$.a.b[*]", Some(json!([10, 20]))),
            ("$.a.*", Some(json!([[10, 20]]))),
            ("$['odd key']", Some(json!(true))),
            ("$.data[*].t[0]", Some(json!(["a"]))),
            ("$.none", Some(json!(null))),
            ("$.empty", Some(json!([]))),
            ("$.empty[*]", None),
            ("$.missing", None),
            ("$.a.b[9]", None),
            ("$.a.b[-3]", None),
            ("$.token[0]", None),
            ("$.token.x", None),
        ] {
            assert_eq!(JsonPath::parse(path).unwrap().find(&document), found, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_told() {
        for path in ["", "token", "$.", "$..a", "$[", "$[x]", "$['a", "$.a b", "$[?(@.x)]"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }
}
