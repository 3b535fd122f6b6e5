//! A plan on its way to a file.

use std::fmt::Write;

use serde_json::Value;

use super::Error;
use crate::load::plan::Method;

/// A plan on its way to a file.
#[derive(Debug, Default)]
pub struct Draft {
    /// Scheme, host and port, perhaps with a path.
    pub target: String,
    /// What the requests are.
    pub steps: Vec<Step>,
    /// What whoever reads the plan should know.
    pub notes: Vec<String>,
    /// True when the plan only looks whether everything answers.
    pub is_smoke: bool,
}

/// A request.
#[derive(Debug)]
pub struct Step {
    /// The method.
    pub method: Method,
    /// Path and query; a template.
    pub path: String,
    /// What it is counted under, when that is another.
    pub name: Option<String>,
    /// Headers; values are templates.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Body,
    /// Variables taken from the answer.
    pub save: Vec<(String, String)>,
    /// Statuses that are fine; empty: all good ones.
    pub status: Vec<String>,
}

/// What is sent; strings are templates.
#[derive(Debug, PartialEq)]
pub enum Body {
    /// Nothing.
    None,
    /// JSON.
    Json(Value),
    /// A text.
    Text(String),
    /// Parts of a form: a name, and a text or what follows `@`, the path of a file.
    Parts(Vec<(String, Part)>),
}

/// A part of a form.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A text.
    Text(String),
    /// A file by its path.
    File(String),
}

impl Step {
    /// A request without a body.
    pub fn new(method: Method, path: &str) -> Self {
        let path = if path.is_empty() { "/".to_owned() } else { literal(path) };
        let name = grouped(&path);
        Self {
            method,
            path,
            name,
            headers: Vec::new(),
            body: Body::None,
            save: Vec::new(),
            status: Vec::new(),
        }
    }

    /// Takes a body as it was sent; JSON becomes JSON.
    pub fn set_body(&mut self, text: &str, kind: Option<&str>) {
        let is_json = kind.is_none_or(|kind| kind.contains("json"));
        let json = if is_json { serde_json::from_str::<Value>(text).ok() } else { None };
        if let Some(mut value @ (Value::Object(_) | Value::Array(_))) = json {
            escape(&mut value);
            self.body = Body::Json(value);
            return;
        }
        self.body = Body::Text(literal(text));
        if let Some(kind) = kind {
            self.headers.push(("content-type".to_owned(), literal(kind)));
        }
    }
}

/// Reads a method that journeys know.
pub fn method(text: &str) -> Option<Method> {
    match text.to_uppercase().as_str() {
        "GET" => Some(Method::Get),
        "POST" => Some(Method::Post),
        "PUT" => Some(Method::Put),
        "PATCH" => Some(Method::Patch),
        "DELETE" => Some(Method::Delete),
        "HEAD" => Some(Method::Head),
        _ => None,
    }
}

/// Splits a URL into `scheme://host:port` and the rest.
pub fn split(url: &str) -> Result<(String, &str), Error> {
    let (origin, path) =
        crate::load::url::split(url).map_err(|error| Error(format!("`{url}`: {error}")))?;
    Ok((origin.url(), path.split('#').next().unwrap_or_default()))
}

/// A text of which nothing is a template.
pub fn literal(text: &str) -> String {
    text.replace("{{", "{{ '{{' }}")
}

fn escape(value: &mut Value) {
    match value {
        Value::String(text) => *text = literal(text),
        Value::Array(list) => list.iter_mut().for_each(escape),
        Value::Object(object) => object.values_mut().for_each(escape),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// True for what names a single thing: a number, a UUID, a long word of hexadecimal digits.
pub fn is_id(part: &str) -> bool {
    let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
    let is_hex = part.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let has_digit = part.bytes().any(|byte| byte.is_ascii_digit());
    !part.is_empty() && (is_number || (is_hex && has_digit && part.len() >= 16))
}

/// Returns the name under which paths that differ in ids only are counted together; `None` when
/// the path is that itself.
pub fn grouped(path: &str) -> Option<String> {
    let (bare, query) = path.split_once('?').unwrap_or((path, ""));
    let part = |part: &str| if is_id(part) { "{id}".to_owned() } else { part.to_owned() };
    let name = bare.split('/').map(part).collect::<Vec<_>>().join("/");
    (name != bare || !query.is_empty()).then_some(name)
}

impl Draft {
    /// Writes the plan file.
    pub fn write(&self, name: &str) -> String {
        let mut text = format!(
            "# Made by `dyno import` from {name}. Look it through: `dyno load FILE --once` walks \
             through it and\n# shows every request and answer.\n",
        );
        // Writing to a string cannot fail.
        for note in &self.notes {
            let _ = writeln!(text, "# {}", note.replace(['\n', '\r'], " "));
        }
        let load = if self.is_smoke { "preset: smoke" } else { "users: 1, duration: 30s" };
        let _ = write!(
            text,
            "\ntarget: {}\n\nload: {{ {load} }}\n\njourneys:\n  - name: {}\n",
            quoted(&self.target),
            quoted(name)
        );
        if !self.is_smoke {
            text.push_str("    think: 0.5s..3s\n");
        }
        text.push_str("    steps:\n");
        for step in &self.steps {
            push_step(&mut text, step);
        }
        text
    }
}

fn push_step(text: &mut String, step: &Step) {
    let verb = step.method.to_string().to_lowercase();
    let _ = writeln!(text, "      - {verb}: {}", quoted(&step.path));
    if let Some(name) = &step.name {
        let _ = writeln!(text, "        name: {}", quoted(name));
    }
    let pairs = |pairs: &[(String, String)]| {
        let pair =
            |(name, value): &(String, String)| format!("{}: {}", quoted(name), quoted(value));
        pairs.iter().map(pair).collect::<Vec<_>>().join(", ")
    };
    if !step.headers.is_empty() {
        let _ = writeln!(text, "        headers: {{ {} }}", pairs(&step.headers));
    }
    match &step.body {
        Body::None => {}
        // JSON is YAML.
        Body::Json(value) => {
            let _ = writeln!(text, "        json: {value}");
        }
        Body::Text(body) => {
            let _ = writeln!(text, "        body: {}", quoted(body));
        }
        Body::Parts(parts) => {
            let part = |(name, part): &(String, Part)| match part {
                Part::Text(text) => format!("{}: {}", quoted(name), quoted(text)),
                Part::File(path) => format!("{}: {{ file: {} }}", quoted(name), quoted(path)),
            };
            let parts = parts.iter().map(part).collect::<Vec<_>>().join(", ");
            let _ = writeln!(text, "        multipart: {{ {parts} }}");
        }
    }
    if !step.save.is_empty() {
        let _ = writeln!(text, "        save: {{ {} }}", pairs(&step.save));
    }
    if !step.status.is_empty() {
        let _ = writeln!(text, "        check: {{ status: [{}] }}", step.status.join(", "));
    }
}

/// A text as YAML has it between double quotes; plain where that is the same.
fn quoted(text: &str) -> String {
    let is_plain = !text.is_empty()
        && text.starts_with(|c: char| c == '/' || c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.?=&".contains(&byte))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_lowercase().as_str());
    if is_plain { text.to_owned() } else { Value::from(text).to_string() }
}
