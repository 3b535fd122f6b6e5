//! A JSON patch (RFC 6902) applied to a document.

use serde_json::Value;

use super::Error;

/// What a list of operations makes of a document.
pub fn apply(document: &Value, operations: &Value) -> Result<Value, Error> {
    let Value::Array(operations) = operations else {
        return Err("a JSON patch is a list of operations".to_owned());
    };
    let mut document = document.clone();
    for operation in operations {
        one(&mut document, operation)?;
    }
    Ok(document)
}

fn one(document: &mut Value, operation: &Value) -> Result<(), Error> {
    let text = |key: &str| operation.get(key).and_then(Value::as_str);
    let path = text("path").ok_or("a patch operation without a path")?;
    let value = || operation.get("value").cloned().unwrap_or_default();
    let from = || text("from").ok_or("a patch operation without a source");
    match text("op").unwrap_or_default() {
        "add" => add(document, path, value()),
        "remove" => take(document, path, "remove").map(drop),
        "replace" => {
            let place = document.pointer_mut(path).ok_or_else(|| missing("replace", path))?;
            *place = value();
            Ok(())
        }
        "move" => {
            let moved = take(document, from()?, "move")?;
            add(document, path, moved)
        }
        "copy" => {
            let from = from()?;
            let copied = document.pointer(from).cloned().ok_or_else(|| missing("copy", from))?;
            add(document, path, copied)
        }
        "test" => {
            if document.pointer(path).unwrap_or(&Value::Null) == &value() {
                return Ok(());
            }
            Err(format!("testing value {path} failed: test failed"))
        }
        other => Err(format!("Unexpected kind: {other}")),
    }
}

fn missing(operation: &str, path: &str) -> Error {
    let key = path.rsplit('/').next().unwrap_or_default();
    match operation {
        "remove" => format!(
            "remove operation does not apply: doc is missing path: \"{path}\": missing value"
        ),
        _ => format!("Object to be patched is missing field ({key})"),
    }
}

/// The place that holds a path's last part, and that part.
fn holder<'a>(document: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (holder, last) = path.rsplit_once('/')?;
    Some((document.pointer_mut(holder)?, last.replace("~1", "/").replace("~0", "~")))
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), Error> {
    if path.is_empty() {
        *document = value;
        return Ok(());
    }
    let wrong =
        || format!("add operation does not apply: doc is missing path: \"{path}\": missing value");
    let (holder, last) = holder(document, path).ok_or_else(wrong)?;
    match holder {
        Value::Object(map) => {
            map.insert(last, value);
            Ok(())
        }
        Value::Array(items) if last == "-" => {
            items.push(value);
            Ok(())
        }
        Value::Array(items) => {
            let at: usize = last.parse().map_err(|_| wrong())?;
            if at > items.len() {
                return Err(format!(
                    "Unable to access invalid index: {at}: invalid index referenced"
                ));
            }
            items.insert(at, value);
            Ok(())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(wrong()),
    }
}

fn take(document: &mut Value, path: &str, operation: &str) -> Result<Value, Error> {
    let wrong = || missing(operation, path);
    let (holder, last) = holder(document, path).ok_or_else(wrong)?;
    match holder {
        Value::Object(map) => map.remove(&last).ok_or_else(wrong),
        Value::Array(items) => match last.parse::<usize>() {
            Ok(at) if at < items.len() => Ok(items.remove(at)),
            _ => Err(wrong()),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_are_done_in_their_order() {
        let document = json!({"a": {"b/c": 1}, "list": [1, 2]});
        for (operations, expected) in [
            (json!([{"op": "add", "path": "/list/-", "value": 3}]), Some(json!([1, 2, 3]))),
            (json!([{"op": "add", "path": "/list/0", "value": 0}]), Some(json!([0, 1, 2]))),
            (json!([{"op": "remove", "path": "/list/0"}]), Some(json!([2]))),
            (json!([{"op": "copy", "from": "/a/b~1c", "path": "/list/1"}]), Some(json!([1, 1, 2]))),
            (json!([{"op": "move", "from": "/a", "path": "/list"}]), Some(json!({"b/c": 1}))),
            (
                json!([{"op": "test", "path": "/a/b~1c", "value": 1}, {"op": "replace", "path": "/list", "value": []}]),
                Some(json!([])),
            ),
            (json!([{"op": "test", "path": "/a", "value": 1}]), None),
            (json!([{"op": "replace", "path": "/nope", "value": 1}]), None),
            (json!([{"op": "add", "path": "/list/9", "value": 1}]), None),
            (json!([{"op": "remove", "path": "/list/9"}]), None),
            (json!([{"op": "add", "path": "/no/where", "value": 1}]), None),
            (json!({}), None),
        ] {
            let after = apply(&document, &operations).ok();
            assert_eq!(after.map(|after| after["list"].clone()), expected, "{operations}");
        }
    }
}
