//! A strategic merge patch applied to an object, or to another patch.

use serde_json::Value;

use super::diff::{key_of, of_maps, sort_by_order};
use super::schema::{Place, Strategy};
use super::{DELETE_PRIMITIVE, Error, Object, PATCH, RETAIN_KEYS, SET_ORDER};

/// What a patch is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Another patch: directives and nulls are kept.
    Patches,
    /// An object: directives are done, nulls delete.
    Object,
}

/// Merges a patch into a map.
pub fn merge(
    mut original: Object,
    mut patch: Object,
    place: Place,
    mode: Mode,
) -> Result<Object, Error> {
    match patch.get(PATCH).map(|directive| directive.as_str().unwrap_or_default().to_owned()) {
        Some(directive) if directive == "replace" => {
            patch.remove(PATCH);
            return Ok(patch);
        }
        Some(directive) if directive == "delete" => return Ok(Object::new()),
        Some(directive) => return Err(format!("unknown patch type: {directive} in map")),
        None => {}
    }
    retain_keys(&mut original, &mut patch, mode)?;
    set_orders(&mut original, &mut patch, place, mode)?;
    for (key, value) in patch {
        let deletes_from = key.strip_prefix(DELETE_PRIMITIVE).and_then(|key| key.strip_prefix('/'));
        let (name, is_delete_list) = match deletes_from {
            Some(_) if mode == Mode::Patches => {
                original.insert(key, value);
                continue;
            }
            Some(name) => (name.to_owned(), true),
            None => (key, false),
        };
        if value.is_null() {
            original.remove(&name);
            if mode == Mode::Object {
                continue;
            }
        }
        let Some(before) = original.remove(&name) else {
            if !is_delete_list {
                put(&mut original, name, value, place, mode)?;
            }
            continue;
        };
        let strategy = place.field(&name);
        match (before, value) {
            (Value::Object(_), after @ Value::Object(_)) if strategy.replace => {
                original.insert(name, after);
            }
            (Value::Object(before), Value::Object(after)) => {
                let merged = merge(before, after, strategy.place, mode)?;
                original.insert(name, Value::Object(merged));
            }
            (Value::Array(before), Value::Array(after)) => {
                let merged = if is_delete_list {
                    before.into_iter().filter(|item| !after.contains(item)).collect()
                } else if strategy.merge {
                    merge_lists(before, after, strategy, mode)?
                } else {
                    after
                };
                original.insert(name, Value::Array(merged));
            }
            (_, after) if !is_delete_list => put(&mut original, name, after, place, mode)?,
            (before, _) => {
                original.insert(name, before);
            }
        }
    }
    Ok(original)
}

/// Puts a value where there was none. Where an object is made, its own directives are done.
fn put(
    original: &mut Object,
    name: String,
    mut value: Value,
    place: Place,
    mode: Mode,
) -> Result<(), Error> {
    if mode == Mode::Object {
        drop_nulls(&mut value);
        let strategy = place.field(&name);
        value = match value {
            Value::Object(map) if !map.contains_key(PATCH) => {
                Value::Object(merge(Object::new(), map, strategy.place, mode)?)
            }
            Value::Array(items) if strategy.merge => {
                Value::Array(merge_lists(Vec::new(), items, strategy, mode)?)
            }
            plain @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_)) => plain,
        };
    }
    if let Some(value) = without_directives(value) {
        original.insert(name, value);
    }
    Ok(())
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A value without the items that are directives; `None` when it is one itself.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(PATCH) => None,
        Value::Object(map) => Some(Value::Object(
            map.into_iter()
                .filter_map(|(key, value)| Some((key, without_directives(value)?)))
                .collect(),
        )),
        Value::Array(items) => {
            Some(Value::Array(items.into_iter().filter_map(without_directives).collect()))
        }
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            Some(scalar)
        }
    }
}

fn retain_keys(original: &mut Object, patch: &mut Object, mode: Mode) -> Result<(), Error> {
    let Some(retained) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    if mode == Mode::Patches {
        match original.get(RETAIN_KEYS) {
            Some(known) if *known != retained => {
                return Err(format!(
                    "{known} and {retained} are not deep equal: this may happen when calculating \
                     the 3-way diff patch"
                ));
            }
            _ => {
                original.insert(RETAIN_KEYS.to_owned(), retained);
            }
        }
        return Ok(());
    }
    let Value::Array(retained) = retained else {
        return Err("invalid patch format of retainKeys".to_owned());
    };
    original.retain(|key, _| retained.iter().any(|name| name == key.as_str()));
    Ok(())
}

fn set_orders(
    original: &mut Object,
    patch: &mut Object,
    place: Place,
    mode: Mode,
) -> Result<(), Error> {
    let orders: Vec<String> =
        patch.keys().filter(|key| key.starts_with(SET_ORDER)).cloned().collect();
    for key in orders {
        let Some(order) = patch.remove(&key) else { continue };
        if mode == Mode::Patches {
            match original.get(&key) {
                Some(known) if *known != order => {
                    return Err("invalid patch format of setElementOrder list".to_owned());
                }
                _ => {
                    original.insert(key.clone(), order.clone());
                }
            }
        }
        let name = key.strip_prefix(SET_ORDER).and_then(|key| key.strip_prefix('/'));
        let (Some(name), Value::Array(order)) = (name, order) else {
            return Err("invalid patch format of setElementOrder list".to_owned());
        };
        let strategy = place.field(name);
        let list = |map: &Object| map.get(name).and_then(Value::as_array).cloned();
        let (before, after) = (list(original), list(patch));
        let merged = match (before.clone(), after) {
            (Some(before), None) => before,
            (None, Some(after)) if strategy.merge && mode == Mode::Object => {
                merge_lists(Vec::new(), after, strategy, mode)?
            }
            (None, Some(after)) => after.into_iter().filter_map(without_directives).collect(),
            (Some(before), Some(after)) if strategy.merge => {
                merge_lists(before, after, strategy, mode)?
            }
            (Some(_), Some(after)) => after,
            (None, None) => continue,
        };
        let ordered = ordered(merged, &order, &before.unwrap_or_default(), strategy.key)?;
        original.insert(name.to_owned(), Value::Array(ordered));
        patch.remove(name);
    }
    Ok(())
}

/// Items that `order` names in its order, the others where the live list has them.
fn ordered(
    items: Vec<Value>,
    order: &[Value],
    live: &[Value],
    key: &str,
) -> Result<Vec<Value>, Error> {
    let id = |item: &Value| {
        if key.is_empty() { Some(item.clone()) } else { item.get(key).cloned() }
    };
    let position =
        |list: &[Value], item: &Value| list.iter().position(|known| id(known) == id(item));
    let (mut named, mut others): (Vec<Value>, Vec<Value>) =
        items.into_iter().partition(|item| position(order, item).is_some());
    if key.is_empty() {
        named.sort_by_key(|item| position(order, item));
        others.sort_by_key(|item| position(live, item));
    } else {
        sort_by_order(&mut named, order, key)?;
        let known: Vec<Value> =
            live.iter().filter(|item| item.get(key).is_some()).cloned().collect();
        sort_by_order(&mut others, &known, key)?;
    }
    let mut merged = Vec::new();
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let take_other = match (others.peek(), named.peek()) {
            (None, None) => break,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(other), Some(one)) => match (position(live, other), position(live, one)) {
                (Some(other), Some(one)) => other < one,
                _ => false,
            },
        };
        merged.extend(if take_other { others.next() } else { named.next() });
    }
    Ok(merged)
}

fn merge_lists(
    original: Vec<Value>,
    patch: Vec<Value>,
    strategy: Strategy,
    mode: Mode,
) -> Result<Vec<Value>, Error> {
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    let live = original.clone();
    let key = strategy.key;
    if !of_maps(&[&original, &patch])? {
        let mut both: Vec<Value> = Vec::new();
        for item in original.into_iter().chain(patch.clone()) {
            if !both.contains(&item) {
                both.push(item);
            }
        }
        return ordered(both, &patch, &live, "");
    }
    if key.is_empty() {
        return Err("cannot merge lists without merge key".to_owned());
    }
    let mut merged = original;
    let mut plain = Vec::new();
    let mut replace = false;
    for item in patch {
        match item.get(PATCH).map(|directive| directive.as_str().unwrap_or_default().to_owned()) {
            None => plain.push(item),
            Some(directive) if directive == "delete" => {
                let gone = key_of(&item, key)?;
                merged.retain(|known| known.get(key) != Some(gone));
            }
            Some(directive) if directive == "replace" => replace = true,
            Some(directive) => return Err(format!("unknown patch type: {directive} in map")),
        }
    }
    if replace {
        return Ok(plain);
    }
    for item in &plain {
        let id = key_of(item, key)?;
        match merged.iter_mut().find(|known| known.get(key) == Some(id)) {
            Some(known) => {
                if let (Value::Object(before), Value::Object(after)) = (&*known, item) {
                    let inner = merge(before.clone(), after.clone(), strategy.place, mode)?;
                    *known = Value::Object(inner);
                }
            }
            None => merged.push(match (item, mode) {
                // A new item still has its own directives to be done.
                (Value::Object(item), Mode::Object) => {
                    Value::Object(merge(Object::new(), item.clone(), strategy.place, mode)?)
                }
                (item, Mode::Object | Mode::Patches) => item.clone(),
            }),
        }
    }
    ordered(merged, &plain, &live, key)
}
