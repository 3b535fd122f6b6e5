//! `kubectl logs`, from the command line to the request.

use super::exec::{named, pod_timeout};
use super::{Context, mistake, misuse};
use crate::deploy::kubectl::flags::{self, Flag, Kind, flag, short};
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
    let (target, inline) = match flags.args.as_slice() {
        [] if labels.is_some() => (None, None),
        [_] if labels.is_some() => {
            return Err(misuse("only a selector (-l) or a POD name is allowed", COMMAND));
        }
        [one] => (Some(named(one)?), None),
        [_, _] if labels.is_some() => {
            return Err(mistake(
                "selectors and the all flag cannot be used when passing resource/name arguments",
            ));
        }
        [one, container] => (Some(named(one)?), Some(container.clone())),
        _ => {
            return Err(misuse(
                "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is \
                 a required argument for the logs command",
                COMMAND,
            ));
        }
    };
    let pod_timeout_ms = pod_timeout(&flags, COMMAND, 20_000)?;
    let since_time = flags.filled("since-time").as_deref().map(moment).transpose()?;
    let container = inline.clone().or(flags.filled("container"));
    fits_together(&flags, inline.is_some(), container.as_deref())?;
    let all_pods = flags.is("all-pods", false);
    let default_tail = if labels.is_some() { 10 } else { -1 };
    let logs = Logs {
        target,
        labels,
        container,
        all_containers: flags.is("all-containers", false),
        all_pods,
        follow: flags.is("follow", false),
        previous: flags.is("previous", false),
        tail: flags.number("tail", default_tail),
        since_seconds: since(&flags).map(|millis| (millis + 500) / 1000),
        since_time,
        limit_bytes: u64::try_from(flags.number("limit-bytes", 0)).unwrap_or(0),
        timestamps: flags.is("timestamps", false),
        prefix: all_pods || flags.is("prefix", false),
        ignore_errors: flags.is("ignore-errors", false),
        max_requests: flags.number("max-log-requests", 5),
        pod_timeout_ms,
    };
    context.request(&flags, Vec::new(), Operation::Logs(logs))
}

/// `--since` in milliseconds, where it is a time at all.
fn since(flags: &flags::Parsed) -> Option<u64> {
    let millis = flags.duration_ms("since").filter(|millis| *millis > 0);
    millis.and_then(|millis| u64::try_from(millis).ok())
}

/// Flags that exclude each other, and numbers out of their range.
fn fits_together(
    flags: &flags::Parsed,
    has_inline: bool,
    container: Option<&str>,
) -> Result<(), Usage> {
    let since = flags.duration_ms("since").unwrap_or(0);
    if flags.filled("since-time").is_some() && since != 0 {
        return Err(mistake("at most one of `sinceTime` or `sinceSeconds` may be specified"));
    }
    if let (Some(container), true) = (container, flags.is("all-containers", false)) {
        return Err(mistake(format!(
            "--all-containers=true should not be specified with container name {container}"
        )));
    }
    if has_inline && flags.has("container") {
        return Err(mistake("only one of -c or an inline [CONTAINER] arg is allowed"));
    }
    if flags.number("limit-bytes", 0) < 0 {
        return Err(mistake("--limit-bytes must be greater than 0"));
    }
    if since < 0 {
        return Err(mistake("--since must be greater than 0"));
    }
    if flags.number("tail", -1) < -1 {
        return Err(mistake("--tail must be greater than or equal to -1"));
    }
    Ok(())
}

/// A moment as the server reads it.
fn moment(text: &str) -> Result<String, Usage> {
    match text.parse::<jiff::Timestamp>() {
        Ok(moment) => Ok(moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        Err(_) => Err(mistake(format!(
            "parsing time \"{text}\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"{text}\" as \
             \"2006\""
        ))),
    }
}
