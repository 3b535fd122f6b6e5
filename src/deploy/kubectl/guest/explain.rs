//! `kubectl explain`, from the command line to the request.

use super::{Context, mistake};
use crate::deploy::kubectl::flags::{Flag, Kind, flag, short};
use crate::deploy::kubectl::{Explain, Operation, Parsed, Usage};

/// Reads `kubectl explain …`.
pub fn parse(context: &Context<'_>) -> Result<Parsed, Usage> {
    const FLAGS: &[Flag] = &[
        short("recursive", 'R', Kind::Bool),
        short("output", 'o', Kind::Text),
        flag("api-version", Kind::Text),
    ];
    let flags = context.flags(FLAGS, "kubectl explain")?;
    let what = match flags.args.as_slice() {
        [] => {
            return Err(mistake(
                "You must specify the type of resource to explain. Use \"kubectl api-resources\" \
                 for a complete list of supported resources.",
            ));
        }
        [what] => what.clone(),
        [..] => return Err(mistake("We accept only this format: explain RESOURCE")),
    };
    match flags.text("output").unwrap_or("plaintext") {
        "plaintext" => {}
        format @ "plaintext-openapiv2" => {
            return Err(mistake(format!("dyno's kubectl explain does not print \"{format}\"")));
        }
        other => return Err(mistake(format!("unrecognized format: {other}"))),
    }
    let explain = Explain {
        what,
        api_version: flags.filled("api-version"),
        recursive: flags.is("recursive", false),
    };
    context.request(&flags, Vec::new(), Operation::Explain(explain))
}
