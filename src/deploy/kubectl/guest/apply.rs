//! `kubectl apply`, from the command line to the request.

use super::{Context, input, mistake, misuse, options};
use crate::deploy::kubectl::flags::{self, Flag, Kind, flag, short};
use crate::deploy::kubectl::{Apply, DryRun, Named, Operation, Parsed, Prune, Usage, Validate};

pub const FLAGS: &[Flag] = &[
    input::FLAGS[0],
    input::FLAGS[1],
    input::FLAGS[2],
    short("output", 'o', Kind::Text),
    short("selector", 'l', Kind::Text),
    flag("dry-run", Kind::Optional("unchanged")),
    flag("validate", Kind::Optional("strict")),
    flag("server-side", Kind::Bool),
    flag("force-conflicts", Kind::Bool),
    flag("force", Kind::Bool),
    flag("field-manager", Kind::Text),
    flag("overwrite", Kind::Bool),
    flag("openapi-patch", Kind::Bool),
    flag("prune", Kind::Bool),
    flag("prune-allowlist", Kind::Array),
    flag("applyset", Kind::Text),
    flag("all", Kind::Bool),
    flag("wait", Kind::Bool),
    flag("timeout", Kind::Duration),
    flag("grace-period", Kind::Number),
    flag("cascade", Kind::Optional("background")),
    flag("record", Kind::Bool),
    flag("show-managed-fields", Kind::Bool),
    flag("template", Kind::Text),
    flag("allow-missing-template-keys", Kind::Bool),
    flag("subresource", Kind::Text),
];

/// Reads `kubectl apply …`.
pub fn parse(mut context: Context<'_>) -> Result<Parsed, Usage> {
    let flags = context.flags(FLAGS, "kubectl apply")?;
    if let [word, ..] = flags.args.as_slice() {
        if matches!(word.as_str(), "view-last-applied" | "set-last-applied" | "edit-last-applied") {
            return Err(mistake(format!("dyno's kubectl does not know \"apply {word}\"")));
        }
        let args = flags.args.join(" ");
        return Err(misuse(&format!("Unexpected args: [{args}]"), "kubectl apply"));
    }
    let mut notes = Vec::new();
    let dry_run = options::dry_run(&flags, &mut notes)?;
    input::require(&flags)?;
    let validate = options::validate(&flags)?;
    options::cascade(&flags, &mut notes)?;
    let server_side = flags.is("server-side", false);
    guard(&flags, dry_run, server_side)?;
    let output = options::output(&flags, false);
    let items = input::read(&mut context, &flags, validate != Validate::Ignore)?;
    if items.is_empty() {
        return Err(mistake("no objects passed to apply"));
    }
    let default_manager = if server_side { "kubectl" } else { "kubectl-client-side-apply" };
    let apply = Apply {
        items,
        enforce_namespace: flags.filled("namespace").is_some(),
        server_side,
        force_conflicts: flags.is("force-conflicts", false),
        force: flags.is("force", false),
        field_manager: flags.text("field-manager").unwrap_or(default_manager).to_owned(),
        dry_run,
        validate,
        selector: flags.filled("selector"),
        prune: prune(&flags)?,
        output: output?,
    };
    context.request(&flags, notes, Operation::Apply(apply))
}

fn prune(flags: &flags::Parsed) -> Result<Option<Prune>, Usage> {
    if !flags.is("prune", false) {
        return Ok(None);
    }
    let kinds = flags.list("prune-allowlist").to_vec();
    if let Some(wrong) = kinds.iter().find(|kind| kind.matches('/').count() != 2) {
        return Err(mistake(format!(
            "invalid GroupVersionKind format: {wrong}, please follow <group/version/kind>"
        )));
    }
    let set = flags.filled("applyset").map(|parent| {
        let (resource, name) = parent.split_once('/').unwrap_or(("secrets", &parent));
        Named { resource: resource.to_owned(), name: name.to_owned() }
    });
    let propagation = options::cascade(flags, &mut Vec::new())?;
    Ok(Some(Prune { kinds, set, propagation, grace_period: flags.number("grace-period", -1) }))
}

fn guard(flags: &flags::Parsed, dry_run: DryRun, server_side: bool) -> Result<(), Usage> {
    let force = flags.is("force", false);
    let prune = flags.is("prune", false);
    let set = flags.filled("applyset").is_some();
    let wrong = [
        (
            !flags.is("overwrite", true),
            "--overwrite=false is not supported by dyno: a change on both sides takes the \
             manifest's value (leave the flag out)",
        ),
        (
            flags.is("force-conflicts", false) && !server_side,
            "--force-conflicts only works with --server-side",
        ),
        (
            dry_run == DryRun::Client && server_side,
            "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server \
             instead?)",
        ),
        (server_side && force, "--force cannot be used with --server-side"),
        (dry_run == DryRun::Server && force, "--dry-run=server cannot be used with --force"),
        (
            flags.is("all", false) && flags.filled("selector").is_some(),
            "cannot set --all and --selector at the same time",
        ),
        (set && !prune, "--applyset requires --prune"),
        (prune && force, "--force cannot be used with --prune"),
        (prune && set && flags.is("all", false), "--all is incompatible with --applyset"),
        (
            prune && set && flags.filled("selector").is_some(),
            "--selector is incompatible with --applyset",
        ),
        (
            prune && set && !flags.list("prune-allowlist").is_empty(),
            "--prune-allowlist is incompatible with --applyset",
        ),
        (
            prune && !set && !flags.is("all", false) && flags.filled("selector").is_none(),
            "all resources selected for prune without explicitly passing --all. To prune all \
             resources, pass the --all flag. If you did not mean to prune all resources, specify \
             a label selector",
        ),
        (
            prune && !set && server_side,
            "--prune is in alpha and doesn't currently work on objects created by server-side apply",
        ),
        (flags.has("subresource"), "dyno's kubectl does not apply to subresources"),
    ];
    match wrong.iter().find(|(is_wrong, _)| *is_wrong) {
        Some((_, text)) => Err(mistake(text)),
        None => Ok(()),
    }
}
