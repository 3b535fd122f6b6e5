//! `kubectl delete`, from the command line to the request.

use super::get::{self, Bare};
use super::{Context, input, mistake, nothing_named, options};
use crate::deploy::kubectl::flags::{self, Flag, Kind, flag, short};
use crate::deploy::kubectl::{Delete, Operation, Output, Parsed, Usage, What};

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

const IMMEDIATE: &str = "Warning: Immediate deletion does not wait for confirmation that the \
                         running resource has been terminated. The resource may continue to run \
                         on the cluster indefinitely.\n";

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
        other => {
            return Err(mistake(format!(
                "unexpected -o output mode: {other}. We only support '-o name'"
            )));
        }
    };
    let all = flags.is("all", false);
    let selected = flags.filled("selector").is_some() || flags.filled("field-selector").is_some();
    if flags.args.is_empty() && !input::is_given(&flags) {
        return Err(nothing_named());
    }
    if all && selected {
        return Err(mistake("setting 'all' parameter but found a non empty selector. "));
    }
    named_twice(&flags.args, all, selected)?;
    let grace = grace(&flags)?;
    if grace == 0 {
        notes.push(IMMEDIATE.to_owned());
    }
    let propagation = options::cascade(&flags, &mut notes)?;
    let selection = get::selection(&mut context, &flags, Bare::Mistake)?;
    let by_type = matches!(selection.what, What::Types(_));
    let delete = Delete {
        ignore_not_found: flags.is("ignore-not-found", all || (selected && by_type)),
        selection,
        all,
        grace_period: grace,
        force: flags.is("force", false),
        propagation,
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

/// Names leave nothing to choose: what else would choose is a mistake.
fn named_twice(args: &[String], all: bool, selected: bool) -> Result<(), Usage> {
    if !all && !selected {
        return Ok(());
    }
    if args.iter().any(|arg| arg.contains('/')) {
        return Err(mistake(
            "selectors and the all flag cannot be used when passing resource/name arguments",
        ));
    }
    if args.len() > 1 {
        return Err(mistake("name cannot be provided when a selector is specified"));
    }
    Ok(())
}

/// The grace period; −1 is the object's own. Zero is meant only together with `--force`: alone it
/// is one second, so that nothing is lost by mistake.
fn grace(flags: &flags::Parsed) -> Result<i64, Usage> {
    let period = flags.number("grace-period", -1);
    let force = flags.is("force", false);
    let period = match (flags.is("now", false), period) {
        (true, -1) => 1,
        (true, _) => {
            return Err(mistake("--now and --grace-period cannot be specified together"));
        }
        (false, period) => period,
    };
    match (force, period) {
        (true, 1..) => {
            Err(mistake("--force and --grace-period greater than 0 cannot be specified together"))
        }
        (true, _) => Ok(0),
        (false, 0) => Ok(1),
        (false, period) => Ok(period),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_force_makes_a_deletion_immediate() {
        for (line, expected) in [
            ("", Ok(-1)),
            ("--grace-period=5", Ok(5)),
            ("--grace-period=0", Ok(1)),
            ("--now", Ok(1)),
            ("--force", Ok(0)),
            ("--force --grace-period=0", Ok(0)),
            ("--force --grace-period=5", Err("greater than 0")),
            ("--now --grace-period=5", Err("--now and --grace-period")),
        ] {
            let argv: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let found = grace(&flags::parse(&argv, FLAGS, "kubectl delete").unwrap());
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{line}"),
                (Err(Usage(text)), Err(part)) => assert!(text.contains(part), "{text}"),
                (found, expected) => panic!("{line}: {found:?}, not {expected:?}"),
            }
        }
    }
}
