//! Go's templates (`text/template`), as `kubectl get -o go-template` has them: a template written
//! by anybody is read and run here within bounds, and never panics.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "of many kinds of tokens and values a place knows the few that mean something there"
)]

mod lex;
mod literal;
mod tree;
mod parse;
mod value;
mod functions;
mod format;
mod eval;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use serde_json::Value;

pub use eval::Missing;

use crate::deploy::jsonpath::go_print;
use crate::deploy::manifest;

/// Reads a template; the mistake is told as kubectl tells it.
pub fn check(template: &str) -> Result<(), String> {
    parsed(template).map(|_| ())
}

fn parsed(template: &str) -> Result<tree::Template, String> {
    parse::parse(template).map_err(|error| format!("error parsing template {template}, {error}"))
}

/// Prints an object by a template: what goes to standard output in any case, and the error.
pub fn render(template: &str, object: &Value, missing: Missing) -> (String, Result<(), String>) {
    let read = match parsed(template) {
        Ok(read) => read,
        Err(error) => return (String::new(), Err(error)),
    };
    let (mut out, failed) = eval::run(&read, object, missing);
    let Some(error) = failed else { return (out, Ok(())) };
    let raw = manifest::compact(object);
    let _ = write!(
        out,
        "Error executing template: {error}. Printing more information for debugging the \
         template:\n\ttemplate was:\n\t\t{template}\n\traw data was:\n\t\t{raw}\n\tobject given to \
         template engine was:\n\t\t{}\n\n",
        go_print(object)
    );
    (out, Err(format!("error executing template {template:?}: {error}")))
}
