//! `kubectl diff`, from the command line to the request.

use super::{Context, input, mistake, misuse};
use crate::deploy::kubectl::flags::{Flag, Kind, flag, short};
use crate::deploy::kubectl::{Diff, Operation, Parsed, Usage};

const FLAGS: &[Flag] = &[
    input::FLAGS[0],
    input::FLAGS[1],
    input::FLAGS[2],
    short("selector", 'l', Kind::Text),
    flag("server-side", Kind::Bool),
    flag("force-conflicts", Kind::Bool),
    flag("field-manager", Kind::Text),
    flag("show-managed-fields", Kind::Bool),
    flag("show-secrets", Kind::Bool),
    flag("concurrency", Kind::Number),
    flag("prune", Kind::Bool),
    flag("prune-allowlist", Kind::Array),
];

/// Reads `kubectl diff …`.
pub fn parse(mut context: Context<'_>) -> Result<Parsed, Usage> {
    let flags = context.flags(FLAGS, "kubectl diff").map_err(|Usage(text)| {
        // Worded in its own way here.
        Usage(text.replace(
            "See 'kubectl diff --help' for usage.",
            "See 'kubectl diff -h' for help and examples",
        ))
    })?;
    if !flags.args.is_empty() {
        let args = flags.args.join(" ");
        return Err(misuse(&format!("Unexpected args: [{args}]"), "kubectl diff"));
    }
    input::require(&flags)?;
    let server_side = flags.is("server-side", false);
    let force_conflicts = flags.is("force-conflicts", false);
    if force_conflicts && !server_side {
        return Err(mistake("--force-conflicts only works with --server-side"));
    }
    if flags.is("prune", false) {
        return Err(mistake("dyno's kubectl diff does not know --prune"));
    }
    let default_manager = if server_side { "kubectl" } else { "kubectl-client-side-apply" };
    let diff = Diff {
        items: input::read(&mut context, &flags, false)?,
        enforce_namespace: flags.filled("namespace").is_some(),
        server_side,
        force_conflicts,
        field_manager: flags.text("field-manager").unwrap_or(default_manager).to_owned(),
        managed_fields: flags.is("show-managed-fields", false),
        secrets: flags.is("show-secrets", false),
    };
    context.request(&flags, Vec::new(), Operation::Diff(diff))
}
