//! `kubectl create token`, from the command line to the request.

use super::create::one_name;
use super::{Context, mistake, options};
use crate::deploy::kubectl::flags::{self, Flag, Kind, flag, short};
use crate::deploy::kubectl::{Bound, Operation, Parsed, Token, Usage};

const FLAGS: &[Flag] = &[
    short("output", 'o', Kind::Text),
    flag("template", Kind::Text),
    flag("allow-missing-template-keys", Kind::Bool),
    flag("show-managed-fields", Kind::Bool),
    flag("audience", Kind::Array),
    flag("duration", Kind::Duration),
    flag("bound-object-kind", Kind::Text),
    flag("bound-object-name", Kind::Text),
    flag("bound-object-uid", Kind::Text),
];

/// What a token can be bound to.
const KINDS: [&str; 3] = ["Node", "Pod", "Secret"];

/// Reads `kubectl create token …`.
pub fn parse(context: &Context<'_>) -> Result<Parsed, Usage> {
    const COMMAND: &str = "kubectl create token";
    let flags = context.flags(FLAGS, COMMAND)?;
    let account = one_name(&flags, 1, COMMAND)?;
    let output = options::output(&flags, false)?;
    if account.is_empty() {
        return Err(mistake("service account name is required"));
    }
    let millis = flags.duration_ms("duration").unwrap_or_default();
    let Ok(millis) = u64::try_from(millis) else {
        return Err(mistake("--duration must be greater than or equal to 0"));
    };
    if millis % 1000 != 0 {
        return Err(mistake("--duration cannot be expressed in units less than seconds"));
    }
    let audiences = flags.list("audience").to_vec();
    if audiences.iter().any(String::is_empty) {
        return Err(mistake("--audience must not be an empty string"));
    }
    let bound = bound(&flags)?;
    let token = Token { account, audiences, seconds: millis / 1000, bound, output };
    context.request(&flags, Vec::new(), Operation::Token(token))
}

fn bound(flags: &flags::Parsed) -> Result<Option<Bound>, Usage> {
    let [kind, name, uid] = ["kind", "name", "uid"]
        .map(|part| flags.filled(&format!("bound-object-{part}")).unwrap_or_default());
    if kind.is_empty() {
        return match [("name", name), ("uid", uid)].iter().find(|(_, value)| !value.is_empty()) {
            None => Ok(None),
            Some((part, _)) => Err(mistake(format!(
                "--bound-object-{part} can only be set if --bound-object-kind is provided"
            ))),
        };
    }
    if !KINDS.contains(&kind.as_str()) {
        let known = KINDS.join(", ");
        return Err(mistake(format!("supported --bound-object-kind values are {known}")));
    }
    if name.is_empty() {
        return Err(mistake("--bound-object-name is required if --bound-object-kind is provided"));
    }
    Ok(Some(Bound { kind, name, uid }))
}
