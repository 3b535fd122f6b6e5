//! The server's tables and custom columns, laid out as kubectl does.

use std::cmp::Ordering;

use serde_json::Value;

use super::quantity::quantity;
use crate::deploy::jsonpath::{self, Template};
use crate::deploy::kubectl::print::aligned;

/// How a table is to look.
pub struct Style<'a> {
    /// All columns.
    pub wide: bool,
    /// With the namespace in front.
    pub namespace: bool,
    /// The kind before each name.
    pub kind: Option<String>,
    /// With headers.
    pub headers: bool,
    /// With all labels behind.
    pub labels: bool,
    /// With these labels behind.
    pub label_columns: &'a [String],
    /// Sorted by this path.
    pub sort_by: Option<&'a str>,
}

/// Lays out the tables of one kind as one; nothing when there are no rows.
pub fn print(tables: &[&Value], style: &Style<'_>) -> Result<String, String> {
    Ok(aligned(lines(tables, style)?.into_iter()))
}

/// The lines of the tables of one kind, cell by cell.
pub fn lines(tables: &[&Value], style: &Style<'_>) -> Result<Vec<Vec<String>>, String> {
    let columns = tables
        .first()
        .and_then(|table| table.get("columnDefinitions"))
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let shown: Vec<bool> = columns
        .iter()
        .map(|column| style.wide || column.get("priority").and_then(Value::as_i64) == Some(0))
        .collect();
    let mut rows: Vec<&Value> =
        tables.iter().filter_map(|table| table.get("rows")?.as_array()).flatten().collect();
    // One row is in its order, whatever the path.
    if let Some(path) = style.sort_by.filter(|_| rows.len() > 1) {
        static NOTHING: Value = Value::Null;
        sort(&mut rows, path, |row| row.get("object").unwrap_or(&NOTHING))?;
    }
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let headers = style.headers.then(|| headers(columns, &shown, style));
    let cells = rows.into_iter().map(|row| cells(row, &shown, columns, style));
    Ok(headers.into_iter().chain(cells).collect())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn headers(columns: &[Value], shown: &[bool], style: &Style<'_>) -> Vec<String> {
    let mut headers = Vec::new();
    if style.namespace {
        headers.push("NAMESPACE".to_owned());
    }
    headers.extend(
        columns
            .iter()
            .zip(shown)
            .filter(|(_, shown)| **shown)
            .map(|(column, _)| text(column, "name").to_uppercase()),
    );
    headers.extend(style.label_columns.iter().map(|label| {
        label.rsplit_once('/').map_or(label.as_str(), |(_, name)| name).to_uppercase()
    }));
    if style.labels {
        headers.push("LABELS".to_owned());
    }
    headers
}

fn cells(row: &Value, shown: &[bool], columns: &[Value], style: &Style<'_>) -> Vec<String> {
    let metadata = row.pointer("/object/metadata");
    let mut cells = Vec::new();
    if style.namespace {
        cells.push(
            metadata.map(|metadata| text(metadata, "namespace")).unwrap_or_default().to_owned(),
        );
    }
    let values = row.get("cells").and_then(Value::as_array);
    for ((value, shown), column) in values.into_iter().flatten().zip(shown).zip(columns) {
        if !shown {
            continue;
        }
        let cell = cell(value);
        let is_name = text(column, "format") == "name" && text(column, "type") == "string";
        cells.push(match &style.kind {
            Some(kind) if is_name => format!("{kind}/{cell}"),
            _ => cell,
        });
    }
    let labels = metadata.and_then(|metadata| metadata.get("labels")).and_then(Value::as_object);
    cells.extend(style.label_columns.iter().map(|name| {
        labels
            .and_then(|labels| labels.get(name))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }));
    if style.labels {
        let all: Vec<String> = labels
            .into_iter()
            .flatten()
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect();
        cells.push(if all.is_empty() { "<none>".to_owned() } else { all.join(",") });
    }
    cells
}

/// A cell; a text ends at its first line.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => match text.find(['\n', '\r', '\u{c}']) {
            Some(end) => format!("{}...", text.get(..end).unwrap_or_default()),
            None => text.clone(),
        },
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            jsonpath::go_print(value)
        }
    }
}

/// Sorts by what a path finds in each; what has nothing there comes first.
pub fn sort<T>(items: &mut [T], path: &str, object: impl Fn(&T) -> &Value) -> Result<(), String> {
    let template = Template::parse(&jsonpath::relaxed(path)?)?;
    let key = |item: &T| {
        jsonpath::values(&template, object(item), true).map(|found| found.into_iter().next())
    };
    let keys: Result<Vec<Option<Value>>, String> = items.iter().map(&key).collect();
    if keys?.iter().all(Option::is_none) && !items.is_empty() {
        return Err(format!(
            "couldn't find any field with path \"{{{}}}\" in the list of objects",
            path.trim_matches(['{', '}'])
        ));
    }
    let unsortable = |value: &Value| match value {
        Value::Object(_) => Some("map[string]interface {}"),
        Value::Array(_) => Some("[]interface {}"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    };
    let first =
        items.iter().find_map(|item| key(item).ok().flatten().as_ref().and_then(unsortable));
    if let (Some(kind), true) = (first, items.len() > 1) {
        let path = path.trim_matches(['{', '}']);
        return Err(format!(
            "Field {{{path}}} in *unstructured.Unstructured is an unsortable type: interface, err: \
             unsortable type: {kind}"
        ));
    }
    items.sort_by(|left, right| match (key(left), key(right)) {
        (Ok(left), Ok(right)) => order(left.as_ref(), right.as_ref()),
        _ => Ordering::Equal,
    });
    Ok(())
}

fn order(left: Option<&Value>, right: Option<&Value>) -> Ordering {
    match (left, right) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(Value::Number(left)), Some(Value::Number(right))) => {
            left.as_f64().partial_cmp(&right.as_f64()).unwrap_or(Ordering::Equal)
        }
        (Some(Value::String(left)), Some(Value::String(right))) => by_amount(left, right),
        (Some(left), Some(right)) => jsonpath::go_print(left).cmp(&jsonpath::go_print(right)),
    }
}

/// Amounts (`10`, `500m`, `2Gi`) by how much they are, all else by letters.
fn by_amount(left: &str, right: &str) -> Ordering {
    match (amount(left), amount(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => left.cmp(right),
    }
}

fn amount(text: &str) -> Option<i128> {
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = number.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(number.len());
    let (digits, unit) = number.split_at(end);
    let known =
        ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let exponent = unit.strip_prefix(['e', 'E']).is_some_and(|rest| rest.parse::<i8>().is_ok());
    let is_number = digits.parse::<f64>().is_ok();
    (is_number && (known.contains(&unit) || exponent)).then(|| quantity(text).milli())
}

/// `-o custom-columns=HEADER:.path,…`.
pub struct Columns(Vec<(String, Template)>);

impl Columns {
    /// Reads the specification.
    pub fn parse(spec: &str) -> Result<Self, String> {
        let mut columns = Vec::new();
        for part in spec.split(',') {
            let (header, path) = part.split_once(':').ok_or_else(|| {
                format!(
                    "unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"
                )
            })?;
            let template = Template::parse(&jsonpath::relaxed(path)?)?;
            columns.push((header.to_owned(), template));
        }
        Ok(Self(columns))
    }

    /// Lays out an object, or the items of a list.
    pub fn print(&self, object: &Value, no_headers: bool) -> Result<String, String> {
        let items: Vec<&Value> = match object.get("items").and_then(Value::as_array) {
            Some(items) => items.iter().collect(),
            None => vec![object],
        };
        let mut rows = Vec::new();
        if !no_headers {
            rows.push(self.0.iter().map(|(header, _)| header.clone()).collect());
        }
        for item in items {
            let mut row = Vec::new();
            for (_, template) in &self.0 {
                let found = jsonpath::found(template, item)?;
                row.push(if found.is_empty() { "<none>".to_owned() } else { found.join(",") });
            }
            rows.push(row);
        }
        Ok(aligned(rows.into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table() -> Value {
        json!({
            "columnDefinitions": [
                {"name": "Name", "type": "string", "format": "name", "priority": 0},
                {"name": "Ready", "type": "string", "format": "", "priority": 0},
                {"name": "Node", "type": "string", "format": "", "priority": 1},
            ],
            "rows": [
                {"cells": ["web", "1/1", "n0"], "object": {"metadata": {"namespace": "shop", "labels": {"a": "b"}}}},
                {"cells": ["api", "0/1\nmore", null], "object": {"metadata": {"namespace": "shop"}}},
            ],
        })
    }

    fn style() -> Style<'static> {
        Style {
            wide: false,
            namespace: false,
            kind: None,
            headers: true,
            labels: false,
            label_columns: &[],
            sort_by: None,
        }
    }

    #[test]
    fn tables_are_laid_out_as_kubectl_does() {
        let table = table();
        let print = |style: &Style<'_>| print(&[&table], style).unwrap();
        assert_eq!(print(&style()), "NAME   READY\nweb    1/1\napi    0/1...\n");
        let all = Style {
            wide: true,
            namespace: true,
            kind: Some("pod".to_owned()),
            labels: true,
            ..style()
        };
        assert_eq!(
            print(&all),
            "NAMESPACE   NAME      READY    NODE   LABELS\n\
             shop        pod/web   1/1      n0     a=b\n\
             shop        pod/api   0/1...          <none>\n"
        );
        assert_eq!(print(&Style { headers: false, ..style() }), "web   1/1\napi   0/1...\n");
    }

    #[test]
    fn custom_columns_show_what_a_path_finds() {
        let list = json!({"items": [{"a": {"b": [1, 2]}}, {"c": 1}]});
        let columns = Columns::parse("B:.a.b[*],C:{.c}").unwrap();
        assert_eq!(
            columns.print(&list, false).unwrap(),
            "B        C\n1,2      <none>\n<none>   1\n"
        );
        assert!(Columns::parse("B").is_err());
    }
}
