//! The three-way JSON merge patch: for kinds that the API server does not know from its own code.

use serde_json::Value;

use super::{Error, Object};

/// The patch from `current` to `modified`, with the deletions since `original`.
pub fn three_way(original: &Value, modified: &Value, current: &Value) -> Result<Value, Error> {
    let empty = Value::Object(Object::new());
    let or_empty = |value: &'_ Value| if value.is_object() { value.clone() } else { empty.clone() };
    let (original, modified, current) = (or_empty(original), or_empty(modified), or_empty(current));
    let changes = keep(difference(&current, &modified), false);
    let deletions = keep(difference(&original, &modified), true);
    let mut patch = Value::Object(deletions);
    combine(&mut patch, &Value::Object(changes));
    let changed = |path: &str| patch.pointer(path).is_some();
    if changed("/apiVersion") || changed("/kind") || changed("/metadata/name") {
        return Err("At least one of apiVersion, kind and name was changed".to_owned());
    }
    Ok(patch)
}

fn difference(from: &Value, to: &Value) -> Object {
    let mut patch = Object::new();
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return patch };
    for (key, after) in to {
        match (from.get(key), after) {
            (None, after) => {
                patch.insert(key.clone(), after.clone());
            }
            (Some(before @ Value::Object(_)), Value::Object(_)) => {
                let inner = difference(before, after);
                if !inner.is_empty() {
                    patch.insert(key.clone(), Value::Object(inner));
                }
            }
            (Some(before), after) if before != after => {
                patch.insert(key.clone(), after.clone());
            }
            (Some(_), _) => {}
        }
    }
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    patch
}

/// Keeps the nulls of a patch only, or all but them.
fn keep(patch: Object, nulls: bool) -> Object {
    let mut kept = Object::new();
    for (key, value) in patch {
        match value {
            Value::Null if nulls => {
                kept.insert(key, Value::Null);
            }
            Value::Object(map) if map.is_empty() && !nulls => {
                kept.insert(key, Value::Object(map));
            }
            Value::Object(map) => {
                let inner = keep(map, nulls);
                if !inner.is_empty() {
                    kept.insert(key, Value::Object(inner));
                }
            }
            plain @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_))
                if !nulls =>
            {
                kept.insert(key, plain);
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => {}
        }
    }
    kept
}

/// Merges one patch into another; nulls stay.
fn combine(patch: &mut Value, more: &Value) {
    let (Value::Object(patch), Value::Object(more)) = (patch, more) else { return };
    for (key, value) in more {
        match patch.get_mut(key) {
            Some(known @ Value::Object(_)) if value.is_object() => combine(known, value),
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
}
