//! `kubectl port-forward`, from the command line to the request.

use super::exec::{named, pod_timeout};
use super::{Context, misuse};
use crate::deploy::kubectl::flags::{Flag, Kind, flag};
use crate::deploy::kubectl::{Forward, Operation, Parsed, Usage};

const FLAGS: &[Flag] = &[flag("address", Kind::List), flag("pod-running-timeout", Kind::Duration)];

const COMMAND: &str = "kubectl port-forward";

/// Reads `kubectl port-forward …`.
pub fn parse(context: &Context<'_>) -> Result<Parsed, Usage> {
    let flags = context.flags(FLAGS, COMMAND)?;
    let [target, ports @ ..] = flags.args.as_slice() else { return Err(nothing()) };
    if ports.is_empty() {
        return Err(nothing());
    }
    let addresses = if flags.has("address") {
        flags.list("address").to_vec()
    } else {
        vec!["localhost".to_owned()]
    };
    let forward = Forward {
        target: named(target)?,
        ports: ports.to_vec(),
        addresses,
        pod_timeout_ms: pod_timeout(&flags, COMMAND, 60_000)?,
    };
    match context.request(&flags, Vec::new(), Operation::Forward(forward))? {
        Parsed::Remote(request) => Ok(Parsed::Forward(request)),
        other @ (Parsed::Local { .. } | Parsed::Copy(_) | Parsed::Forward(_)) => Ok(other),
    }
}

fn nothing() -> Usage {
    misuse("TYPE/NAME and list of ports are required for port-forward", COMMAND)
}
