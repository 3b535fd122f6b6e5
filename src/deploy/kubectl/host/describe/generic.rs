//! An object of any kind, described by its fields.

use serde_json::{Map, Value};

use super::sheet::{Sheet, text};
use crate::deploy::jsonpath::go_print;

/// What stands above already, or is told to nobody.
const SKIPPED: [&str; 5] = [
    ".metadata.managedFields",
    ".metadata.name",
    ".metadata.namespace",
    ".metadata.labels",
    ".metadata.annotations",
];

/// Describes an object.
pub fn object(sheet: &mut Sheet, object: &Value) {
    sheet.field(0, "Name", text(object, "/metadata/name"));
    sheet.field(0, "Namespace", text(object, "/metadata/namespace"));
    sheet.marks(object);
    if let Some(fields) = object.as_object() {
        inner(sheet, 0, fields, "");
    }
}

fn inner(sheet: &mut Sheet, level: usize, fields: &Map<String, Value>, path: &str) {
    let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
    sorted.sort_by_key(|(key, _)| *key);
    for (key, value) in sorted {
        let path = format!("{path}.{key}");
        if SKIPPED.contains(&path.as_str()) {
            continue;
        }
        let title = title(key);
        match value {
            Value::Object(map) => {
                sheet.put(level, format!("{title}:\n"));
                inner(sheet, level + 1, map, &path);
            }
            Value::Array(items) => {
                sheet.put(level, format!("{title}:\n"));
                for item in items {
                    if let Value::Object(map) = item {
                        inner(sheet, level + 1, map, &path);
                    } else {
                        sheet.put(level + 1, format!("{}\n", go_print(item)));
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                sheet.field(level, &title, go_print(value));
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Lower,
    Upper,
    Other,
}

fn class(c: char) -> Class {
    match c {
        c if c.is_lowercase() => Class::Lower,
        c if c.is_uppercase() => Class::Upper,
        _ => Class::Other,
    }
}

/// `creationTimestamp` as `Creation Timestamp`.
fn title(field: &str) -> String {
    if field.chars().any(|c| !c.is_alphabetic() && c != '-') {
        return field.to_owned();
    }
    let is_upper = |text: &str| !text.chars().any(|c| c.is_alphabetic() && !c.is_uppercase());
    let parts = words(field);
    let mut merged: Vec<String> = Vec::new();
    let mut rest = parts.iter().peekable();
    while let Some(part) = rest.next() {
        let joins = |next: &&String| next.starts_with(char::is_uppercase);
        if part.len() >= 2
            && is_upper(part)
            && let Some(next) = rest.next_if(|next| joins(next))
        {
            merged.push(format!("{part}{next}"));
        } else {
            merged.push(part.clone());
        }
    }
    let told = |part: String| {
        let upper = part.to_uppercase();
        if ["API", "URL", "UID", "GUID"].contains(&upper.as_str()) {
            return upper;
        }
        let mut chars = part.chars();
        match chars.next() {
            Some(first) if part.to_lowercase() == part => {
                first.to_uppercase().chain(chars).collect()
            }
            _ => part,
        }
    };
    merged.into_iter().map(told).collect::<Vec<_>>().join(" ")
}

/// Splits where the kind of letter changes; a capital goes with the small letters behind it.
fn words(field: &str) -> Vec<String> {
    let mut parts: Vec<(Class, String)> = Vec::new();
    for c in field.chars() {
        match parts.last_mut() {
            Some((known, part)) if *known == class(c) => part.push(c),
            _ => parts.push((class(c), c.to_string())),
        }
    }
    for at in 1..parts.len() {
        let (before, behind) = parts.split_at_mut(at);
        if let (Some((Class::Upper, upper)), Some((Class::Lower, lower))) =
            (before.last_mut(), behind.first_mut())
            && let Some(last) = upper.pop()
        {
            lower.insert(0, last);
        }
    }
    parts.into_iter().map(|(_, part)| part).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_become_titles() {
        for (field, expected) in [
            ("apiVersion", "API Version"),
            ("creationTimestamp", "Creation Timestamp"),
            ("uid", "UID"),
            ("podCIDR", "Pod CIDR"),
            ("podIPs", "Pod I Ps"),
            ("HTTPSProxy", "HTTPSProxy"),
            ("a.b", "a.b"),
            ("k8s", "k8s"),
        ] {
            assert_eq!(title(field), expected, "{field}");
        }
    }
}
