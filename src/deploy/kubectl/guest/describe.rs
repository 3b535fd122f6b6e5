//! `kubectl describe`, from the command line to the request.

use super::get::{self, Bare};
use super::{Context, input, mistake};
use crate::deploy::kubectl::flags::{Flag, Kind, flag, short};
use crate::deploy::kubectl::{Describe, Operation, Parsed, Usage};

const FLAGS: &[Flag] = &[
    input::FLAGS[0],
    input::FLAGS[1],
    input::FLAGS[2],
    short("selector", 'l', Kind::Text),
    short("all-namespaces", 'A', Kind::Bool),
    flag("show-events", Kind::Bool),
    flag("chunk-size", Kind::Number),
];

/// Reads `kubectl describe …`.
pub fn parse(mut context: Context<'_>) -> Result<Parsed, Usage> {
    let flags = context.flags(FLAGS, "kubectl describe")?;
    if flags.args.is_empty() && !input::is_given(&flags) {
        return Err(mistake(
            "You must specify the type of resource to describe. Use \"kubectl api-resources\" for a \
             complete list of supported resources.",
        ));
    }
    let selection = get::selection(&mut context, &flags, Bare::AllOfType)?;
    let prefix = match flags.args.as_slice() {
        [kind, name] if !kind.contains('/') => Some(name.clone()),
        [..] => None,
    };
    let describe = Describe {
        selection,
        prefix,
        events: flags.has("show-events").then(|| flags.is("show-events", true)),
    };
    context.request(&flags, Vec::new(), Operation::Describe(describe))
}
