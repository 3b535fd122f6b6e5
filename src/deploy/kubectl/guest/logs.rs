//! `kubectl logs`, from the command line to the request.

use super::exec::{named, pod_timeout};
use super::{Context, mistake, misuse};
use crate::deploy::kubectl::flags::{Flag, Kind, flag, short};
use crate::deploy::kubectl::{Logs, Operation, Parsed, Usage};

const FLAGS: &[Flag] = &[
    short("selector", 'l', Kind::Text),
    short("container", 'c', Kind::Text),
    flag("all-containers", Kind::Bool),
    flag("all-pods", Kind::Bool),
    short("follow", 'f', Kind::Bool),
    short("previous", 'p', Kind::Bool),
    flag("tail", Kind::Number),
    flag("since", Kind::Duration),
    flag("since-time", Kind::Text),
    flag("timestamps", Kind::Bool),
    flag("prefix", Kind::Bool),
    flag("limit-bytes", Kind::Number),
    flag("max-log-requests", Kind::Number),
    flag("ignore-errors", Kind::Bool),
    flag("pod-running-timeout", Kind::Duration),
    flag("insecure-skip-tls-verify-backend", Kind::Bool),
];

const COMMAND: &str = "kubectl logs";

/// Reads `kubectl logs …`.
pub fn parse(context: &Context<'_>) -> Result<Parsed, Usage> {
    let flags = context.flags(FLAGS, COMMAND)?;
    let labels = flags.filled("selector");
    let (target, container) = match flags.args.as_slice() {
        [] if labels.is_some() => (None, None),
        [_, ..] if labels.is_some() => {
            return Err(misuse("only a selector (-l) or a POD name is allowed", COMMAND));
        }
        [one] => (Some(named(one)?), None),
        [one, container] => (Some(named(one)?), Some(container.clone())),
        _ => {
            return Err(misuse(
                "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is \
                 a required argument for the logs command",
                COMMAND,
            ));
        }
    };
    for name in ["since-time", "limit-bytes", "all-pods"] {
        if flags.has(name) {
            return Err(mistake(format!("dyno's kubectl logs does not know --{name}")));
        }
    }
    let default_tail = if labels.is_some() { 10 } else { -1 };
    let logs = Logs {
        target,
        labels,
        container: flags.filled("container").or(container),
        all_containers: flags.is("all-containers", false),
        follow: flags.is("follow", false),
        previous: flags.is("previous", false),
        tail: flags.number("tail", default_tail),
        since_seconds: flags
            .duration_ms("since")
            .and_then(|millis| u64::try_from(millis).ok())
            .map(|millis| millis.div_ceil(1000)),
        timestamps: flags.is("timestamps", false),
        prefix: flags.is("prefix", false),
        pod_timeout_ms: pod_timeout(&flags, COMMAND, 20_000)?,
    };
    context.request(&flags, Vec::new(), Operation::Logs(logs))
}
