//! What a pod's containers do, and what they end of. Pure.

use serde_json::Value;

use super::plan::{list, text};
use super::pods::{Cause, Trouble, plain};

/// Restarts after which a container counts as crashing, and as many while others are still coming
/// up that it may wait for.
const RESTARTS: (i64, i64) = (2, 3);

/// What a container ends of again and again.
pub fn crash(
    status: &Value,
    name: &str,
    warnings: &[&Value],
    others_come: bool,
) -> Option<(Cause, String)> {
    let ended = ["/state/terminated", "/lastState/terminated"]
        .iter()
        .find_map(|pointer| status.pointer(pointer))?;
    let code = ended.get("exitCode").and_then(Value::as_i64).unwrap_or(0);
    let restarts = status.get("restartCount").and_then(Value::as_i64).unwrap_or(0);
    let is_ready = status.get("ready") == Some(&Value::Bool(true));
    if text(ended, "/reason") == "OOMKilled" {
        let times = if restarts > 1 { format!(" {restarts} times") } else { String::new() };
        return Some((
            Cause::Memory,
            format!(
                "was killed{times} for want of memory (OOMKilled, exit code {code}): raise its memory limit"
            ),
        ));
    }
    let most = if others_come { RESTARTS.1 } else { RESTARTS.0 };
    // One that runs and is ready now has found what it waited for.
    if restarts < most || is_ready {
        return None;
    }
    let last = text(ended, "/message").lines().last().unwrap_or_default();
    let said = if last.is_empty() { String::new() } else { format!(": {last}") };
    let killed = killed_by_probe(name, warnings).filter(|_| [137, 143, 0].contains(&code));
    let what = match killed {
        Some(probe) => format!("was restarted {restarts} times by its probe: {probe}"),
        None => format!("crashed {restarts} times, last with exit code {code}{said}"),
    };
    Some((Cause::Crash, what))
}

/// The last failure of a liveness or startup probe.
fn killed_by_probe(container: &str, warnings: &[&Value]) -> Option<String> {
    let message = last_message(warnings, "Unhealthy", container, &["Liveness", "Startup"])?;
    Some(message.to_owned())
}

/// The newest message of a reason that is about a container and begins with one of some words.
pub fn last_message<'a>(
    warnings: &[&'a Value],
    reason: &str,
    container: &str,
    starts: &[&str],
) -> Option<&'a str> {
    warnings.iter().rev().find_map(|event| {
        let field = text(event, "/involvedObject/fieldPath");
        let is_its = field.is_empty() || field.ends_with(&format!("{{{container}}}"));
        let message = text(event, "/message");
        let fits = starts.is_empty() || starts.iter().any(|start| message.starts_with(start));
        (text(event, "/reason") == reason && is_its && fits).then_some(message)
    })
}

/// What a pod that is not ready is doing.
pub fn underway(pod: &Value, warnings: &[&Value]) -> Trouble {
    for (field, word) in
        [("initContainerStatuses", "init container"), ("containerStatuses", "container")]
    {
        for status in list(pod, &format!("/status/{field}")) {
            let name = text(status, "/name");
            let (state, is_ready) =
                (status.get("state"), status.get("ready") == Some(&Value::Bool(true)));
            let at = |kind: &str| state.and_then(|state| state.get(kind));
            if let Some(ended) = at("terminated") {
                if ended.get("exitCode").and_then(Value::as_i64) == Some(0) {
                    continue;
                }
                let code = ended.get("exitCode").and_then(Value::as_i64).unwrap_or(0);
                return Trouble {
                    container: Some(name.to_owned()),
                    ..plain(
                        Cause::Underway,
                        format!("{word} `{name}` ended with exit code {code}"),
                        None,
                    )
                };
            }
            if at("running").is_some() && !is_ready {
                let (cause, what) = running(status, name, word, warnings);
                return Trouble { container: Some(name.to_owned()), ..plain(cause, what, None) };
            }
            if let Some(waiting) = at("waiting") {
                let why = match (text(waiting, "/reason"), text(waiting, "/message")) {
                    ("ContainerCreating" | "PodInitializing" | "", _) => continue,
                    (reason, "") => reason.to_owned(),
                    (reason, message) => format!("{reason}: {message}"),
                };
                return Trouble {
                    container: Some(name.to_owned()),
                    ..plain(Cause::Underway, format!("{word} `{name}` waits: {why}"), None)
                };
            }
        }
    }
    let what = if text(pod, "/spec/nodeName").is_empty() {
        "it waits for a node"
    } else if list(pod, "/status/containerStatuses")
        .iter()
        .all(|status| status.pointer("/state/waiting").is_some())
    {
        "its containers are being made (image, volumes, network)"
    } else {
        "it is not ready"
    };
    plain(Cause::Underway, what.to_owned(), None)
}

fn running(status: &Value, name: &str, word: &str, warnings: &[&Value]) -> (Cause, String) {
    let probe = last_message(warnings, "Unhealthy", name, &["Readiness", "Startup"])
        .or_else(|| last_message(warnings, "Unhealthy", name, &[]));
    let what = match probe {
        Some(message) => format!("{word} `{name}` runs and is not ready: {}", message.trim()),
        None if word == "init container" => format!("{word} `{name}` still runs"),
        None if status.get("started") == Some(&Value::Bool(false)) => {
            format!("{word} `{name}` has not passed its startup probe yet")
        }
        None => format!("{word} `{name}` runs and is not ready yet"),
    };
    (Cause::Unready, what)
}
