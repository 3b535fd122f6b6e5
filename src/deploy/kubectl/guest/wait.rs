//! `kubectl wait`, from the command line to the request.

use super::get::{self, Bare};
use super::{Context, input, mistake, nothing_named, options};
use crate::deploy::kubectl::flags::{Flag, Kind, flag, short};
use crate::deploy::kubectl::{Operation, Parsed, Usage, Wait};

const FLAGS: &[Flag] = &[
    input::FLAGS[0],
    input::FLAGS[1],
    input::FLAGS[2],
    short("selector", 'l', Kind::Text),
    short("output", 'o', Kind::Text),
    short("all-namespaces", 'A', Kind::Bool),
    flag("field-selector", Kind::Text),
    flag("all", Kind::Bool),
    flag("for", Kind::Array),
    flag("timeout", Kind::Duration),
    flag("local", Kind::Bool),
    flag("template", Kind::Text),
    flag("allow-missing-template-keys", Kind::Bool),
    flag("show-managed-fields", Kind::Bool),
];

/// Reads `kubectl wait …`.
pub fn parse(mut context: Context<'_>) -> Result<Parsed, Usage> {
    let flags = context.flags(FLAGS, "kubectl wait")?;
    let conditions = flags.list("for").to_vec();
    if conditions.is_empty() {
        return Err(mistake("unrecognized condition: []"));
    }
    for condition in &conditions {
        let lower = condition.to_lowercase();
        let known = lower == "delete"
            || lower == "create"
            || lower.starts_with("condition=")
            || lower.starts_with("jsonpath=");
        if !known {
            return Err(mistake(format!("unrecognized condition: \"{condition}\"")));
        }
    }
    if flags.args.is_empty() && !input::is_given(&flags) {
        return Err(nothing_named());
    }
    let timeout_ms = match flags.duration_ms("timeout").unwrap_or(30_000) {
        millis if millis < 0 => None,
        millis => u64::try_from(millis).ok(),
    };
    let wait = Wait {
        output: options::output(&flags, false)?,
        selection: get::selection(&mut context, &flags, Bare::Mistake)?,
        all: flags.is("all", false),
        conditions,
        timeout_ms,
    };
    context.request(&flags, Vec::new(), Operation::Wait(wait))
}
