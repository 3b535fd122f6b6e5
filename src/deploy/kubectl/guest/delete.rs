//! `kubectl delete`, from the command line to the request.

use super::get::{self, Bare};
use super::{Context, input, mistake, nothing_named, options};
use crate::deploy::kubectl::flags::{Flag, Kind, flag, short};
use crate::deploy::kubectl::{Delete, DryRun, Operation, Output, Parsed, Usage, What};

const FLAGS: &[Flag] = &[
    input::FLAGS[0],
    input::FLAGS[1],
    input::FLAGS[2],
    short("selector", 'l', Kind::Text),
    short("output", 'o', Kind::Text),
    short("all-namespaces", 'A', Kind::Bool),
    flag("field-selector", Kind::Text),
    flag("all", Kind::Bool),
    flag("ignore-not-found", Kind::Bool),
    flag("force", Kind::Bool),
    flag("now", Kind::Bool),
    flag("grace-period", Kind::Number),
    flag("cascade", Kind::Optional("background")),
    flag("wait", Kind::Bool),
    flag("timeout", Kind::Duration),
    flag("dry-run", Kind::Optional("unchanged")),
    short("interactive", 'i', Kind::Bool),
    flag("raw", Kind::Text),
];

/// Reads `kubectl delete …`.
pub fn parse(mut context: Context<'_>) -> Result<Parsed, Usage> {
    let flags = context.flags(FLAGS, "kubectl delete")?;
    let mut notes = Vec::new();
    let dry_run = options::dry_run(&flags, &mut notes)?;
    for name in ["raw", "interactive"] {
        if flags.has(name) {
            return Err(mistake(format!("dyno's kubectl delete does not know --{name}")));
        }
    }
    let output = match flags.text("output").unwrap_or_default() {
        "" => Output::Default,
        "name" => Output::Name,
        _ => {
            return Err(mistake(
                "unexpected -o output mode: only '-o name' is supported".to_owned(),
            ));
        }
    };
    let all = flags.is("all", false);
    let selected = flags.filled("selector").is_some() || flags.filled("field-selector").is_some();
    if flags.args.is_empty() && !input::is_given(&flags) {
        return Err(nothing_named());
    }
    if all && flags.filled("selector").is_some() {
        return Err(mistake("cannot set --all and --selector at the same time"));
    }
    let grace = if flags.is("now", false) { 1 } else { flags.number("grace-period", -1) };
    let force = flags.is("force", false);
    if grace == 0 && !force {
        notes.push("Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.\n".to_owned());
    } else if force && dry_run == DryRun::None {
        notes.push("Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.\n".to_owned());
    }
    let propagation = match flags.text("cascade").unwrap_or("background") {
        "background" | "true" => "Background",
        "foreground" => "Foreground",
        "orphan" | "false" => "Orphan",
        other => {
            return Err(mistake(format!(
                "invalid cascade value ({other}). Must be \"background\", \"foreground\", or \
                 \"orphan\""
            )));
        }
    };
    let selection = get::selection(&mut context, &flags, Bare::Mistake)?;
    let by_type = matches!(selection.what, What::Types(_));
    let delete = Delete {
        ignore_not_found: flags.is("ignore-not-found", (all || selected) && by_type),
        selection,
        all,
        grace_period: if force && grace < 0 { 0 } else { grace },
        force,
        propagation: propagation.to_owned(),
        wait: flags.is("wait", true),
        timeout_ms: flags
            .duration_ms("timeout")
            .and_then(|millis| u64::try_from(millis).ok())
            .unwrap_or(0),
        dry_run,
        output,
    };
    context.request(&flags, notes, Operation::Delete(delete))
}
