//! The difference of two objects as a strategic merge patch.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::schema::{Place, Strategy};
use super::{DELETE_PRIMITIVE, Error, Object, PATCH, RETAIN_KEYS, SET_ORDER, shown};

/// Which half of the difference is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Leave changes and additions out.
    pub no_changes: bool,
    /// Leave deletions out.
    pub no_deletions: bool,
    /// Say which keys a map retains.
    pub retain_keys: bool,
}

impl Options {
    /// What is new or different.
    pub const DELTA: Self = Self { no_changes: false, no_deletions: true, retain_keys: false };
    /// What is gone.
    pub const DELETIONS: Self = Self { no_changes: true, no_deletions: false, retain_keys: false };
}

/// The patch from one map to another.
pub fn maps(
    original: &Object,
    modified: &Object,
    place: Place,
    options: Options,
) -> Result<Object, Error> {
    let mut patch = Object::new();
    let mut retained = Vec::new();
    for (key, after) in modified {
        if options.retain_keys && !after.is_null() {
            retained.push(key.clone());
        }
        let Some(before) = original.get(key) else {
            if !options.no_changes {
                patch.insert(key.clone(), after.clone());
            }
            continue;
        };
        if key == PATCH {
            if before != after {
                patch.insert(key.clone(), after.clone());
            }
            continue;
        }
        let strategy = place.field(key);
        match (before, after) {
            (Value::Object(_), Value::Object(_)) if strategy.replace => {
                if !options.no_changes {
                    patch.insert(key.clone(), after.clone());
                }
            }
            (Value::Object(before), Value::Object(after)) => {
                let options = Options { retain_keys: strategy.retain_keys, ..options };
                let inner = maps(before, after, strategy.place, options)?;
                if !inner.is_empty() {
                    patch.insert(key.clone(), Value::Object(inner));
                }
            }
            (Value::Array(before), Value::Array(after)) if strategy.merge => {
                let options = Options { retain_keys: strategy.retain_keys, ..options };
                let lists = lists(before, after, strategy, options)?;
                lists.put(key, &mut patch);
            }
            (before, after) => {
                if !options.no_changes && !same(before, after) {
                    patch.insert(key.clone(), after.clone());
                }
            }
        }
    }
    if !options.no_deletions {
        for key in original.keys().filter(|key| !modified.contains_key(*key)) {
            patch.insert(key.clone(), Value::Null);
        }
    }
    let has_more =
        original.iter().any(|(key, value)| !value.is_null() && !modified.contains_key(key));
    if !retained.is_empty() && (!patch.is_empty() || has_more) {
        retained.sort_unstable();
        patch.insert(RETAIN_KEYS.to_owned(), json!(retained));
    }
    Ok(patch)
}

/// Equal as Go's values are: `1` and `1.0` differ in form only where JSON keeps the form.
fn same(left: &Value, right: &Value) -> bool {
    left == right
}

#[derive(Default)]
struct Lists {
    patch: Vec<Value>,
    deletions: Vec<Value>,
    order: Vec<Value>,
}

impl Lists {
    fn put(self, key: &str, patch: &mut Object) {
        let named = [
            (key.to_owned(), self.patch),
            (format!("{DELETE_PRIMITIVE}/{key}"), self.deletions),
            (format!("{SET_ORDER}/{key}"), self.order),
        ];
        for (key, list) in named {
            if !list.is_empty() {
                patch.insert(key, Value::Array(list));
            }
        }
    }
}

fn lists(
    original: &[Value],
    modified: &[Value],
    strategy: Strategy,
    options: Options,
) -> Result<Lists, Error> {
    if original.is_empty() {
        let patch = if options.no_changes { Vec::new() } else { modified.to_vec() };
        return Ok(Lists { patch, ..Lists::default() });
    }
    if of_maps(&[original, modified])? {
        list_of_maps(original, modified, strategy, options)
    } else {
        Ok(list_of_scalars(original, modified, options))
    }
}

/// True when all items are maps; an error when they are mixed or lists.
pub fn of_maps(lists: &[&[Value]]) -> Result<bool, Error> {
    let mut kind = None;
    for item in lists.iter().copied().flatten() {
        let this = match item {
            Value::Array(_) => return Err("lists of lists are not supported".to_owned()),
            Value::Object(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Number(_) => 3,
            Value::Null => 4,
        };
        if *kind.get_or_insert(this) != this {
            return Err(format!("list element types are not identical: {}", json!(lists)));
        }
    }
    Ok(kind == Some(0))
}

fn list_of_maps(
    original: &[Value],
    modified: &[Value],
    strategy: Strategy,
    options: Options,
) -> Result<Lists, Error> {
    let (mut patch, deletions) = maps_by_key(original, modified, strategy, options)?;
    sort_by_order(&mut patch, modified, strategy.key)?;
    let order_same = original.len() == modified.len()
        && original
            .iter()
            .zip(modified)
            .all(|(left, right)| left.get(strategy.key) == right.get(strategy.key));
    patch.extend(deletions);
    let wanted = (!options.no_changes && (!patch.is_empty() || !order_same))
        || (!options.no_deletions && !patch.is_empty());
    let order = if wanted {
        modified.iter().map(|item| json!({strategy.key: item.get(strategy.key)})).collect()
    } else {
        Vec::new()
    };
    Ok(Lists { patch, deletions: Vec::new(), order })
}

/// The value of the merge key, or kubectl's words for its absence.
pub fn key_of<'a>(item: &'a Value, key: &str) -> Result<&'a Value, Error> {
    item.get(key).ok_or_else(|| {
        format!(
            "map: {} does not contain declared merge key: {key}",
            crate::deploy::manifest::go_syntax_plain(item)
        )
    })
}

fn maps_by_key(
    original: &[Value],
    modified: &[Value],
    strategy: Strategy,
    options: Options,
) -> Result<(Vec<Value>, Vec<Value>), Error> {
    let key = strategy.key;
    let sorted = |list: &[Value]| -> Result<Vec<(String, Value)>, Error> {
        let mut keyed = Vec::new();
        for item in list {
            keyed.push((shown(key_of(item, key)?), item.clone()));
        }
        keyed.sort_by(|left, right| left.0.cmp(&right.0));
        Ok(keyed)
    };
    let (before, after) = (sorted(original)?, sorted(modified)?);
    let (mut i, mut j) = (0, 0);
    let (mut patch, mut deletions) = (Vec::new(), Vec::new());
    loop {
        let (left, right) = (before.get(i), after.get(j));
        let order = match (left, right) {
            (None, None) => break,
            (Some(left), Some(right)) => left.0.cmp(&right.0),
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
        };
        match (order, left, right) {
            (Ordering::Equal, Some((_, left)), Some((_, right))) => {
                if let (Value::Object(left), Value::Object(right)) = (left, right) {
                    let mut inner = maps(left, right, strategy.place, options)?;
                    if !inner.is_empty() {
                        if let Some(value) = right.get(key) {
                            inner.insert(key.to_owned(), value.clone());
                        }
                        patch.push(Value::Object(inner));
                    }
                }
                i += 1;
                j += 1;
            }
            (Ordering::Less, Some((_, left)), _) => {
                if !options.no_deletions {
                    deletions.push(json!({key: left.get(key), PATCH: "delete"}));
                }
                i += 1;
            }
            (_, _, Some((_, right))) => {
                if !options.no_changes {
                    patch.push(right.clone());
                }
                j += 1;
            }
            (_, _, None) => break,
        }
    }
    Ok((patch, deletions))
}

fn list_of_scalars(original: &[Value], modified: &[Value], options: Options) -> Lists {
    let sorted = |list: &[Value]| {
        let mut list: Vec<(String, Value)> =
            list.iter().map(|item| (shown(item), item.clone())).collect();
        list.sort_by(|left, right| left.0.cmp(&right.0));
        list
    };
    let (before, after) = (sorted(original), sorted(modified));
    let (mut i, mut j) = (0, 0);
    let (mut patch, mut deletions) = (Vec::new(), Vec::new());
    loop {
        match (before.get(i), after.get(j)) {
            (Some(left), Some(right)) if left.0 == right.0 => {
                i += 1;
                j += 1;
            }
            (Some(left), right) if right.is_none_or(|right| left.0 < right.0) => {
                if !options.no_deletions && !deletions.contains(&left.1) {
                    deletions.push(left.1.clone());
                }
                i += 1;
            }
            (_, Some(right)) => {
                if !options.no_changes {
                    patch.push(right.1.clone());
                }
                j += 1;
            }
            (_, None) => break,
        }
    }
    patch.sort_by_key(|item| modified.iter().position(|known| known == item));
    // kubectl has sorted the original by now: a list that is not sorted is always told anew.
    let is_sorted = before.iter().map(|(_, item)| item).eq(modified);
    let wanted =
        (!options.no_deletions && !deletions.is_empty()) || (!options.no_changes && !is_sorted);
    Lists { patch, deletions, order: if wanted { modified.to_vec() } else { Vec::new() } }
}

/// Sorts items as `order` has them; deletions go last.
pub fn sort_by_order(items: &mut Vec<Value>, order: &[Value], key: &str) -> Result<(), Error> {
    for item in items.iter().chain(order) {
        key_of(item, key)?;
    }
    let (deletions, mut kept): (Vec<Value>, Vec<Value>) = std::mem::take(items)
        .into_iter()
        .partition(|item| item.get(PATCH).is_some_and(|directive| directive == "delete"));
    let position = |item: &Value| order.iter().position(|known| known.get(key) == item.get(key));
    kept.sort_by(|left, right| match (position(left), position(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => Ordering::Equal,
    });
    kept.extend(deletions);
    *items = kept;
    Ok(())
}
