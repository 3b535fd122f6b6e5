//! Documents that are to be objects: what kubectl checks before it asks a server, and lists taken
//! apart.

use serde_json::{Map, Value};

/// A document that is no object, as kubectl words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The text.
    pub text: String,
    /// True when the rest of the file is dropped with it.
    pub ends_file: bool,
}

/// The objects of one document: itself, or the items of the list that it is. `validate` is false
/// for `--validate=false`.
pub fn objects(document: Value, source: &str, validate: bool) -> Result<Objects, Problem> {
    if validate && let Err(error) = kind_set(&document) {
        let text = format!(
            "error validating \"{source}\": error validating data: {error}; if you choose to \
             ignore these errors, turn validation off with --validate=false"
        );
        return Err(Problem { text, ends_file: true });
    }
    let decode = |error: String| Problem {
        text: format!("unable to decode \"{source}\": {error}"),
        ends_file: false,
    };
    let Value::Object(map) = document else {
        return Err(decode(format!(
            "json: cannot unmarshal {} into Go value of type unstructured.detector",
            go_kind(&document)
        )));
    };
    if map.get("kind").and_then(Value::as_str).unwrap_or_default().is_empty() {
        let json = super::compact(&Value::Object(map));
        return Err(decode(format!("Object 'Kind' is missing in '{json}'")));
    }
    metadata(&map).map_err(decode)?;
    flatten(map).map_err(decode)
}

/// What a document holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Objects {
    /// One object.
    One(Value),
    /// A list's items.
    List(Vec<Value>),
}

fn kind_set(document: &Value) -> Result<(), String> {
    let Value::Object(map) = document else {
        return Err("invalid object to validate".to_owned());
    };
    let text = |key: &str| match map.get(key) {
        None | Some(Value::Null) => Err(format!("{key} not set")),
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(_) => Err(format!("{key} isn't string type")),
    };
    let version = text("apiVersion");
    if let Ok(version) = version
        && version.matches('/').count() > 1
    {
        return Err(format!("unexpected GroupVersion string: {version}"));
    }
    let mistakes: Vec<String> =
        [version, text("kind")].into_iter().filter_map(Result::err).collect();
    match mistakes.as_slice() {
        [] => {}
        [one] => return Err(one.clone()),
        many => return Err(format!("[{}]", many.join(", "))),
    }
    match map.get("items") {
        Some(Value::Array(items)) if map.get("kind").is_some_and(|kind| kind == "List") => {
            items.iter().try_for_each(kind_set)
        }
        Some(value) if map.get("kind").is_some_and(|kind| kind == "List") && !value.is_null() => {
            Err("invalid object to validate".to_owned())
        }
        _ => Ok(()),
    }
}

pub fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The part of the metadata that kubectl decodes with types.
fn metadata(map: &Map<String, Value>) -> Result<(), String> {
    let wrong = |value: &Value, place: &str, kind: &str| {
        Err(format!(
            "json: cannot unmarshal {} into Go struct field {place} of type {kind}",
            go_kind(value)
        ))
    };
    let metadata = match map.get("metadata") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(metadata)) => metadata,
        Some(other) => return wrong(other, "metadataOnlyObject.metadata", "v1.ObjectMeta"),
    };
    for (key, value) in metadata {
        let place = || format!("ObjectMeta.metadata.{key}");
        match key.as_str() {
            "name" | "generateName" | "namespace" | "selfLink" | "uid" | "resourceVersion"
                if !matches!(value, Value::String(_) | Value::Null) =>
            {
                let kind = if key == "uid" { "types.UID" } else { "string" };
                return wrong(value, &place(), kind);
            }
            "labels" | "annotations" => match value {
                Value::Null => {}
                Value::Object(entries) => {
                    for entry in entries.values() {
                        if !matches!(entry, Value::String(_) | Value::Null) {
                            return wrong(entry, &place(), "string");
                        }
                    }
                }
                Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                    return wrong(value, &place(), "map[string]string");
                }
            },
            "finalizers" => match value {
                Value::Null => {}
                Value::Array(items) => {
                    if let Some(item) = items.iter().find(|item| !item.is_string()) {
                        return wrong(item, &place(), "string");
                    }
                }
                Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                    return wrong(value, &place(), "[]string");
                }
            },
            "generation" | "deletionGracePeriodSeconds"
                if !matches!(value, Value::Number(_) | Value::Null) =>
            {
                return wrong(value, &place(), "int64");
            }
            _ => {}
        }
    }
    Ok(())
}

fn flatten(mut map: Map<String, Value>) -> Result<Objects, String> {
    let items = match map.remove("items") {
        None => return Ok(Objects::One(Value::Object(map))),
        Some(Value::Null) => {
            map.insert("items".to_owned(), Value::Null);
            return Ok(Objects::One(Value::Object(map)));
        }
        Some(Value::Array(items)) => items,
        Some(other) => {
            return Err(format!(
                "json: cannot unmarshal {} into Go struct field decodeList.items of type \
                 []json.RawMessage",
                go_kind(&other)
            ));
        }
    };
    let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let kind = kind.strip_suffix("List").unwrap_or(&kind);
    let mut objects = Vec::new();
    for item in items {
        let Value::Object(mut item) = item else {
            return Err(format!(
                "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                go_kind(&item)
            ));
        };
        let named =
            |key: &str| item.get(key).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        if !named("kind") && !named("apiVersion") {
            item.insert("kind".to_owned(), Value::String(kind.to_owned()));
            item.insert("apiVersion".to_owned(), Value::String(version.clone()));
        }
        metadata(&item)?;
        match flatten(item)? {
            Objects::One(object) => objects.push(object),
            Objects::List(inner) => objects.extend(inner),
        }
    }
    Ok(Objects::List(objects))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(document: Value) -> String {
        objects(document, "STDIN", true).unwrap_err().text
    }

    #[test]
    fn what_is_no_object_is_told_as_kubectl_tells_it() {
        let end =
            "; if you choose to ignore these errors, turn validation off with --validate=false";
        for (document, error) in [
            (json!("foo"), "invalid object to validate"),
            (json!({"a": 1}), "[apiVersion not set, kind not set]"),
            (json!({"kind": "ConfigMap"}), "apiVersion not set"),
            (json!({"kind": 1, "apiVersion": "v1"}), "kind isn't string type"),
            (json!({"kind": "X", "apiVersion": "a/b/c"}), "unexpected GroupVersion string: a/b/c"),
            (
                json!({"kind": "List", "apiVersion": "v1", "items": [{"a": 1}]}),
                "[apiVersion not set, kind not set]",
            ),
        ] {
            let error = format!("error validating \"STDIN\": error validating data: {error}{end}");
            assert_eq!(wrong(document), error);
        }
        for (metadata, error) in [
            (
                json!({"labels": {"a": 1}}),
                "number into Go struct field ObjectMeta.metadata.labels of type string",
            ),
            (
                json!({"name": 1}),
                "number into Go struct field ObjectMeta.metadata.name of type string",
            ),
            (
                json!("x"),
                "string into Go struct field metadataOnlyObject.metadata of type v1.ObjectMeta",
            ),
        ] {
            let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
            assert_eq!(
                wrong(object),
                format!("unable to decode \"STDIN\": json: cannot unmarshal {error}")
            );
        }
    }

    #[test]
    fn lists_are_taken_apart_at_every_depth() {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "ConfigMapList", "items": [{"metadata": {"name": "a"}}]},
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}},
        ]});
        let expected = Objects::List(vec![
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}}),
        ]);
        assert_eq!(objects(list, "STDIN", true), Ok(expected));
    }
}
