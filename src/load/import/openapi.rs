//! An OpenAPI 3 description as a smoke test: every operation that only reads, once.

use serde_json::Value;

use super::Error;
use super::draft::{Draft, Step, literal};
use crate::load::plan::Method;

/// Reads a description, JSON or YAML.
pub fn read(text: &str) -> Result<Draft, Error> {
    let document: Value = match serde_json::from_str(text) {
        Ok(document) => document,
        Err(_) => serde_saphyr::from_str(text)
            .map_err(|error| Error(format!("it is neither JSON nor YAML: {error}")))?,
    };
    let paths = document
        .get("paths")
        .and_then(Value::as_object)
        .ok_or_else(|| Error("it has no `paths`: only OpenAPI is read".to_owned()))?;
    let mut draft = Draft { is_smoke: true, ..Draft::default() };
    let server = document.pointer("/servers/0/url").and_then(Value::as_str);
    let server = server.map_or_else(|| swagger(&document), str::to_owned);
    let server = server.as_str();
    if crate::load::url::is_absolute(server) {
        server.trim_end_matches('/').clone_into(&mut draft.target);
    }
    let base = if draft.target.is_empty() { server.trim_end_matches('/') } else { "" };
    let mut n_writing = 0;
    for (path, item) in paths {
        for verb in ["post", "put", "patch", "delete"] {
            n_writing += usize::from(item.get(verb).is_some());
        }
        if let Some(operation) = item.get("get") {
            draft.steps.push(step(&document, &format!("{base}{path}"), item, operation));
        }
    }
    if n_writing > 0 {
        let s = if n_writing == 1 { "" } else { "s" };
        let verb = if n_writing == 1 { "changes" } else { "change" };
        draft.notes.push(format!("Left out: {n_writing} operation{s} that {verb} something."));
    }
    Ok(draft)
}

/// The server of a description of version 2, which tells it in three parts.
fn swagger(document: &Value) -> String {
    let text = |key: &str| document.get(key).and_then(Value::as_str);
    let scheme = document.pointer("/schemes/0").and_then(Value::as_str).unwrap_or("https");
    let base = text("basePath").unwrap_or_default();
    text("host").map_or_else(|| base.to_owned(), |host| format!("{scheme}://{host}{base}"))
}

fn step(document: &Value, path: &str, item: &Value, operation: &Value) -> Step {
    let mut step = Step::new(Method::Get, path);
    let mut rendered = literal(path);
    let mut query = Vec::new();
    let lists = [item.get("parameters"), operation.get("parameters")];
    for parameter in lists.into_iter().flatten().filter_map(Value::as_array).flatten() {
        let parameter = resolved(document, parameter);
        let text = |key: &str| parameter.get(key).and_then(Value::as_str).unwrap_or_default();
        let (name, value) = (text("name"), example(document, parameter));
        let is_required = parameter.get("required").and_then(Value::as_bool).unwrap_or(false);
        match text("in") {
            "path" => rendered = rendered.replace(&format!("{{{name}}}"), &literal(&value)),
            "query" if is_required => query.push(format!("{name}={}", literal(&value))),
            "header" if is_required => step.headers.push((name.to_lowercase(), literal(&value))),
            _ => {}
        }
    }
    if !query.is_empty() {
        rendered = format!("{rendered}?{}", query.join("&"));
    }
    step.name = (rendered != path).then(|| path.to_owned());
    step.path = rendered;
    let responses = operation.get("responses").and_then(Value::as_object);
    let good = responses.into_iter().flatten().map(|(status, _)| status.to_lowercase());
    step.status = good.filter(|status| status.starts_with('2') && status.len() == 3).collect();
    step
}

/// Follows one `$ref` within the document.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = value.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix('#'));
    target.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

/// A value that fits a parameter: its example, its default, the first it may be, or one of its kind.
fn example(document: &Value, parameter: &Value) -> String {
    let schema = parameter.get("schema").map(|schema| resolved(document, schema));
    // In version 2 the parameter is its own schema.
    let of_schema =
        |key: &str| schema.and_then(|schema| schema.get(key)).or_else(|| parameter.get(key));
    let examples = parameter.get("examples").and_then(Value::as_object);
    let first = examples.and_then(|examples| examples.values().next()?.get("value"));
    let one_of = of_schema("enum").and_then(|list| list.get(0));
    let found = parameter.get("example").or(first).or(of_schema("example"));
    let found = found.or(of_schema("default")).or(one_of);
    let kind =
        (of_schema("type").and_then(Value::as_str), of_schema("format").and_then(Value::as_str));
    let usual = match kind {
        (Some("boolean"), _) => "true",
        (_, Some("uuid")) => "00000000-0000-4000-8000-000000000001",
        (_, Some("date")) => "2026-01-01",
        (_, Some("date-time")) => "2026-01-01T00:00:00Z",
        _ => "1",
    };
    found.map_or_else(
        || usual.to_owned(),
        |value| crate::load::template::text_of(value).into_owned(),
    )
}
