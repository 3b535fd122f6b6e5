//! What a deploy changes, as lines: two versions of an object as YAML, side by side, secrets masked.

use serde_json::{Value, json};

use super::plan::text;
use crate::deploy::manifest;

/// Lines around a change.
const AROUND: usize = 3;
/// Longer objects are compared as a whole: such a diff helps nobody.
const LONGEST: usize = 6000;

/// The lines that differ between two versions of an object, with `+`, `-` or a blank before them.
pub fn diff(before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
    let (before, after) = (before.map(plain), after.map(plain));
    let (before, after) = masked(before, after);
    let lines = |value: Option<Value>| -> Vec<String> {
        let text = value.map(|value| manifest::yaml(&value)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    hunks(&compare(&lines(before), &lines(after)))
}

/// An object without what only the server writes.
pub fn plain(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            for key in [
                "managedFields",
                "resourceVersion",
                "uid",
                "creationTimestamp",
                "generation",
                "selfLink",
            ] {
                metadata.remove(key);
            }
            if let Some(annotations) =
                metadata.get_mut("annotations").and_then(Value::as_object_mut)
            {
                annotations.remove("deployment.kubernetes.io/revision");
                annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
                if annotations.is_empty() {
                    metadata.remove("annotations");
                }
            }
        }
    }
    object
}

/// Values of a Secret become stars; where they differ, that can be seen.
fn masked(mut before: Option<Value>, mut after: Option<Value>) -> (Option<Value>, Option<Value>) {
    let is_secret = |value: &Option<Value>| {
        value.as_ref().is_some_and(|value| text(value, "/kind") == "Secret")
    };
    if !is_secret(&before) && !is_secret(&after) {
        return (before, after);
    }
    for field in ["data", "stringData"] {
        let map = |value: &Option<Value>| {
            value.as_ref().and_then(|value| value.get(field)?.as_object().cloned())
        };
        let (old, new) = (map(&before).unwrap_or_default(), map(&after).unwrap_or_default());
        let cover = |value: &mut Option<Value>,
                     differs: &str,
                     other: &serde_json::Map<_, Value>| {
            let entries = value.as_mut().and_then(|value| value.get_mut(field)?.as_object_mut());
            for (key, value) in entries.into_iter().flatten() {
                let same = other.get(key).is_none_or(|other| other == value);
                *value = json!(if same { "***".to_owned() } else { format!("*** ({differs})") });
            }
        };
        cover(&mut before, "before", &new);
        cover(&mut after, "after", &old);
    }
    (before, after)
}

#[derive(Debug, Clone, PartialEq)]
enum Line<'a> {
    Same(&'a str),
    Gone(&'a str),
    New(&'a str),
}

/// The longest common subsequence, by its table: objects are short.
fn compare<'a>(before: &'a [String], after: &'a [String]) -> Vec<Line<'a>> {
    let same_start = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let (head, before, after) =
        (&before[..same_start], &before[same_start..], &after[same_start..]);
    let mut lines: Vec<Line<'_>> = head.iter().map(|line| Line::Same(line)).collect();
    if before.len() * after.len() > LONGEST * LONGEST {
        lines.extend(before.iter().map(|line| Line::Gone(line)));
        lines.extend(after.iter().map(|line| Line::New(line)));
        return lines;
    }
    let width = after.len() + 1;
    let mut table = vec![0_u32; (before.len() + 1) * width];
    for i in (0..before.len()).rev() {
        for j in (0..after.len()).rev() {
            table[i * width + j] = if before[i] == after[j] {
                table[(i + 1) * width + j + 1] + 1
            } else {
                table[(i + 1) * width + j].max(table[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < before.len() || j < after.len() {
        if i < before.len() && j < after.len() && before[i] == after[j] {
            lines.push(Line::Same(&before[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == after.len()
            || (i < before.len() && table[(i + 1) * width + j] >= table[i * width + j + 1])
        {
            lines.push(Line::Gone(&before[i]));
            i += 1;
        } else {
            lines.push(Line::New(&after[j]));
            j += 1;
        }
    }
    lines
}

/// Changes with some lines around them; `…` for what is left out between.
fn hunks(lines: &[Line<'_>]) -> Vec<String> {
    let is_change = |line: &Line<'_>| !matches!(line, Line::Same(_));
    let is_near = |n: usize| {
        let from = n.saturating_sub(AROUND);
        lines.iter().skip(from).take(n - from + AROUND + 1).any(is_change)
    };
    let mut shown = Vec::new();
    let mut skipped = false;
    for (n, line) in lines.iter().enumerate() {
        if !is_near(n) {
            skipped = true;
            continue;
        }
        if skipped && !shown.is_empty() {
            shown.push("  …".to_owned());
        }
        skipped = false;
        shown.push(match line {
            Line::Same(text) => format!("  {text}"),
            Line::Gone(text) => format!("- {text}"),
            Line::New(text) => format!("+ {text}"),
        });
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_shown_with_its_surroundings() {
        let object = |image: &str| {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "uid": image},
                "spec": {"a": 1, "b": 2, "c": 3, "d": 4, "image": image, "z": 1}, "status": {"x": image}})
        };
        assert_eq!(
            diff(Some(&object("i:1")), Some(&object("i:2"))),
            ["    b: 2", "    c: 3", "    d: 4", "-   image: i:1", "+   image: i:2", "    z: 1"]
        );
        assert!(diff(Some(&object("i:1")), Some(&object("i:1"))).is_empty());
        assert_eq!(diff(None, Some(&json!({"kind": "X"}))), ["+ kind: X"]);
    }

    #[test]
    fn a_secrets_values_are_never_shown() {
        let secret = |value: &str| json!({"kind": "Secret", "data": {"a": "same", "b": value}});
        let lines = diff(Some(&secret("hunter2")), Some(&secret("hunter3"))).join("\n");
        assert!(!lines.contains("hunter") && !lines.contains("same"), "{lines}");
        assert!(lines.contains("-   b: '*** (before)'\n+   b: '*** (after)'"), "{lines}");
    }
}
