//! `kubectl rollout …`, from the command line to the request.

use super::get::{self, Bare};
use super::{Context, help, input, mistake, options};
use crate::deploy::kubectl::flags::{self, Flag, Kind, flag, short};
use crate::deploy::kubectl::{DryRun, Operation, Output, Parsed, Rollout, RolloutAction, Usage};

const FLAGS: &[Flag] = &[
    input::FLAGS[0],
    input::FLAGS[1],
    input::FLAGS[2],
    short("selector", 'l', Kind::Text),
    short("watch", 'w', Kind::Bool),
    flag("timeout", Kind::Duration),
    flag("revision", Kind::Number),
    flag("to-revision", Kind::Number),
    flag("dry-run", Kind::Optional("unchanged")),
    short("output", 'o', Kind::Text),
    flag("field-manager", Kind::Text),
    flag("template", Kind::Text),
    flag("allow-missing-template-keys", Kind::Bool),
    flag("show-managed-fields", Kind::Bool),
];

/// Which of the flags a command of `rollout` takes; whatever is no command takes all.
fn takes(verb: &str, flag: &str) -> bool {
    match flag {
        "watch" | "timeout" => !matches!(verb, "undo" | "restart" | "history" | "pause" | "resume"),
        "revision" => !matches!(verb, "undo" | "restart" | "pause" | "resume"),
        "to-revision" | "dry-run" => {
            !matches!(verb, "status" | "restart" | "history" | "pause" | "resume")
        }
        "output" | "template" | "allow-missing-template-keys" | "show-managed-fields" => {
            verb != "status"
        }
        "field-manager" => !matches!(verb, "status" | "undo" | "history"),
        _ => true,
    }
}

/// Reads `kubectl rollout …`.
pub fn parse(mut context: Context<'_>) -> Result<Parsed, Usage> {
    let verb = flags::words(context.argv).first().copied();
    let command =
        verb.map_or("kubectl rollout".to_owned(), |verb| format!("kubectl rollout {verb}"));
    let known = FLAGS.iter().filter(|flag| takes(verb.unwrap_or_default(), flag.name)).copied();
    let mut flags = context.flags(&known.collect::<Vec<_>>(), &command)?;
    if flags.args.is_empty() {
        return Err(help::bare("rollout"));
    }
    let verb = flags.args.remove(0);
    let action = match verb.as_str() {
        "status" => {
            let revision = flags.number("revision", 0);
            if revision < 0 {
                return Err(mistake(format!("revision must be a positive integer: {revision}")));
            }
            RolloutAction::Status {
                watch: flags.is("watch", true),
                timeout_ms: flags
                    .duration_ms("timeout")
                    .and_then(|millis| u64::try_from(millis).ok())
                    .unwrap_or(0),
                revision,
            }
        }
        "undo" => RolloutAction::Undo { to_revision: flags.number("to-revision", 0) },
        "restart" => RolloutAction::Restart,
        "history" => RolloutAction::History { revision: flags.number("revision", 0) },
        "pause" => RolloutAction::Pause,
        "resume" => RolloutAction::Resume,
        other => return Err(help::no_command(other, &flags.args, "kubectl rollout")),
    };
    let mut notes = Vec::new();
    let dry_run = options::dry_run(&flags, &mut notes)?;
    if flags.args.is_empty() && !input::is_given(&flags) {
        return Err(mistake("required resource not specified"));
    }
    let output =
        if flags.has("output") { options::output(&flags, false)? } else { Output::Default };
    if dry_run == DryRun::Client && verb == "undo" {
        return Err(mistake("dyno's kubectl rollout undo knows --dry-run=server only"));
    }
    let rollout = Rollout {
        selection: get::selection(&mut context, &flags, Bare::AllOfType)?,
        action,
        dry_run,
        output,
        field_manager: flags.text("field-manager").unwrap_or("kubectl-rollout").to_owned(),
    };
    context.request(&flags, notes, Operation::Rollout(rollout))
}
