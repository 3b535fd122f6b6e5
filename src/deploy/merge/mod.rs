//! The patch that makes a live object what a manifest says: kubectl's three-way merge, strategic
//! for built-in kinds, plain for all others.

mod schema;
mod diff;
mod apply;
mod json;
mod operations;

use serde_json::{Map, Value};

use diff::Options;
use schema::Place;

pub use json::three_way as three_way_json;
pub use operations::apply as apply_operations;

/// A document that cannot be merged, in kubectl's words.
pub type Error = String;

type Object = Map<String, Value>;

/// The strategic merge patch from `current` to `modified`, with the deletions since `original`.
pub fn three_way_strategic(
    kind: &str,
    original: &Value,
    modified: &Value,
    current: &Value,
) -> Result<Value, Error> {
    let place = Place::root(kind);
    let empty = Object::new();
    let map = |value: &Value| value.as_object().cloned().unwrap_or_else(|| empty.clone());
    let (original, modified, current) = (map(original), map(modified), map(current));
    let delta = diff::maps(&current, &modified, place, Options::DELTA)?;
    let deletions = diff::maps(&original, &modified, place, Options::DELETIONS)?;
    apply::merge(deletions, delta, place, apply::Mode::Patches).map(Value::Object)
}

/// What a strategic merge patch makes of an object.
pub fn apply_strategic(kind: &str, object: &Value, patch: &Value) -> Result<Value, Error> {
    let (Value::Object(object), Value::Object(patch)) = (object, patch) else {
        return Ok(patch.clone());
    };
    apply::merge(object.clone(), patch.clone(), Place::root(kind), apply::Mode::Object)
        .map(Value::Object)
}

/// What a JSON merge patch (RFC 7386) makes of an object.
pub fn apply_json(object: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Object::new());
    }
    let Value::Object(object) = object else { return };
    for (key, value) in patch {
        if value.is_null() {
            object.remove(key);
        } else {
            apply_json(object.entry(key).or_insert(Value::Null), value);
        }
    }
}

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder";
const DELETE_PRIMITIVE: &str = "$deleteFromPrimitiveList";

/// Go's `%v` of a scalar: what sorts and compares list items.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| crate::deploy::manifest::compact(value), str::to_owned)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod oracle;
