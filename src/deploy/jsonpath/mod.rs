//! kubectl's own dialect of JSONPath: a template with `{range}`, filters, unions and slices.

mod parse;
mod eval;
mod compare;

use serde_json::Value;

pub use eval::go_print;
pub use parse::{Template, relaxed, unquoted as go_unquoted};

/// Renders a template over a value. Missing keys are nothing, or an error.
pub fn render(template: &str, value: &Value, allow_missing: bool) -> Result<String, String> {
    let parsed = Template::parse(template)
        .map_err(|error| format!("error parsing jsonpath {template}, {error}"))?;
    eval::text(&parsed, value, allow_missing).map_err(|error| {
        format!(
            "error executing jsonpath {template:?}: Error executing template: {error}. Printing \
             more information for debugging the template:\n\ttemplate was:\n\t\t{template}\n"
        )
    })
}

/// What a template finds, as a JSON list.
pub fn render_json(template: &str, value: &Value, allow_missing: bool) -> Result<String, String> {
    let parsed = Template::parse(template)
        .map_err(|error| format!("error parsing jsonpath {template}, {error}"))?;
    let found = values(&parsed, value, allow_missing)?;
    Ok(crate::deploy::manifest::indented(&Value::Array(found)) + "\n")
}

/// Says whether a template is one.
pub fn check(template: &str) -> Result<(), String> {
    Template::parse(template)
        .map(|_| ())
        .map_err(|error| format!("error parsing jsonpath {template}, {error}"))
}

/// All that a template finds, as kubectl's columns show it: one text a value.
pub fn found(template: &Template, value: &Value) -> Result<Vec<String>, String> {
    let results = eval::results(template, value, true)?;
    Ok(results.iter().flatten().map(|value| go_print(value)).collect())
}

/// All that a template finds, as values.
pub fn values(
    template: &Template,
    value: &Value,
    allow_missing: bool,
) -> Result<Vec<Value>, String> {
    let results = eval::results(template, value, allow_missing)?;
    Ok(results.into_iter().flatten().map(std::borrow::Cow::into_owned).collect())
}

#[cfg(test)]
mod tests;
