//! Why a pod does not come up, and whether it ever will: doomed is told from slow. Pure.

use std::time::Duration;

use serde_json::Value;

use super::plan::{list, text};
use super::progress::condition;

/// What keeps a pod from being ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it is, whatever the message: grace is counted for each.
    pub cause: Cause,
    /// The container, where it is one's.
    pub container: Option<String>,
    /// One sentence.
    pub reason: String,
    /// How long it may last until the pod counts as doomed; `None`: for as long as it takes.
    pub grace: Option<Duration>,
}

/// Causes that have a grace of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Its image will not come.
    NoImage,
    /// Its image may come later.
    SlowImage,
    /// It cannot be made from its configuration.
    Config,
    /// It cannot be started.
    Start,
    /// It ends again and again.
    Crash,
    /// It took more memory than it may.
    Memory,
    /// No node takes it.
    Unschedulable,
    /// A volume cannot be mounted.
    Mount,
    /// It was thrown off its node.
    Evicted,
    /// It runs and does not say that it is ready.
    Unready,
    /// It is on its way.
    Underway,
}

/// Restarts after which a container counts as crashing, and as many while others are still coming
/// up that it may wait for.
const RESTARTS: (i64, i64) = (2, 3);

const NONE: Duration = Duration::ZERO;

/// What keeps a pod from being ready; `None` when it is. `warnings` are its events, oldest first.
/// `others_come` is true while other workloads of the deploy are not ready: a crash may be a wait for
/// them.
pub fn trouble(pod: &Value, warnings: &[&Value], others_come: bool) -> Option<Trouble> {
    let phase = text(pod, "/status/phase");
    if phase == "Succeeded" {
        return None;
    }
    if text(pod, "/status/reason") == "Evicted" {
        let reason = format!("it was evicted: {}", text(pod, "/status/message"));
        return Some(plain(Cause::Evicted, reason, Some(NONE)));
    }
    for (field, word) in
        [("initContainerStatuses", "init container"), ("containerStatuses", "container")]
    {
        let statuses = list(pod, &format!("/status/{field}"));
        if let Some(trouble) = statuses.iter().find_map(|status| {
            container(status, word, warnings, others_come).filter(|found| found.grace.is_some())
        }) {
            return Some(trouble);
        }
    }
    if let Some(trouble) = unscheduled(pod) {
        return Some(trouble);
    }
    if let Some(("True", ..)) = condition(pod, "Ready") {
        return None;
    }
    Some(mount(pod, warnings).unwrap_or_else(|| underway(pod, warnings)))
}

fn plain(cause: Cause, reason: String, grace: Option<Duration>) -> Trouble {
    Trouble { cause, container: None, reason, grace }
}

fn unscheduled(pod: &Value) -> Option<Trouble> {
    let ("False", "Unschedulable", message) = condition(pod, "PodScheduled")? else { return None };
    let reason = format!("no node takes it: {message}");
    Some(plain(Cause::Unschedulable, reason, Some(Duration::from_mins(1))))
}

fn container(
    status: &Value,
    word: &str,
    warnings: &[&Value],
    others_come: bool,
) -> Option<Trouble> {
    let name = text(status, "/name");
    let found = |cause, what: String, grace| {
        Some(Trouble {
            cause,
            container: Some(name.to_owned()),
            reason: format!("{word} `{name}` {what}"),
            grace,
        })
    };
    let waiting = text(status, "/state/waiting/reason");
    let message = text(status, "/state/waiting/message");
    let image = text(status, "/image");
    match waiting {
        "ErrImageNeverPull" | "InvalidImageName" => {
            return found(
                Cause::NoImage,
                format!("has no image `{image}`: {waiting}: {message}"),
                Some(NONE),
            );
        }
        "ErrImagePull"
        | "ImagePullBackOff"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => {
            let why = pull_message(message, name, warnings);
            let (cause, grace) = if is_final(&why) {
                (Cause::NoImage, Some(Duration::from_secs(5)))
            } else {
                (Cause::SlowImage, Some(Duration::from_mins(1)))
            };
            return found(cause, format!("cannot pull image `{image}`: {why}"), grace);
        }
        "CreateContainerConfigError" => {
            let grace = if message.contains("failed to sync") {
                None
            } else {
                Some(Duration::from_secs(10))
            };
            return found(Cause::Config, format!("cannot be made: {message}"), grace);
        }
        "CreateContainerError"
        | "RunContainerError"
        | "PreCreateHookError"
        | "PreStartHookError"
        | "PostStartHookError" => {
            return found(
                Cause::Start,
                format!("cannot be started: {message}"),
                Some(Duration::from_secs(15)),
            );
        }
        _ => {}
    }
    crash(status, name, warnings, others_come)
        .and_then(|(cause, what)| found(cause, what, Some(NONE)))
}

/// What a container ends of again and again.
fn crash(
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
fn last_message<'a>(
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

/// Why an image cannot be pulled: the back-off itself does not say it, an earlier event does.
fn pull_message(message: &str, container: &str, warnings: &[&Value]) -> String {
    let says_why = message.contains(": ") || is_final(message);
    let earlier = last_message(warnings, "Failed", container, &["Failed to pull image"]);
    let full = if says_why { message } else { earlier.unwrap_or(message) };
    // Runtimes repeat themselves: the innermost cause is what people need.
    let mut clean = full.rsplit_once("rpc error: code = ").map_or(full, |(_, rest)| rest);
    clean = clean.split_once("desc = ").map_or(clean, |(_, rest)| rest);
    for wrapper in [
        "Back-off pulling image",
        "ErrImagePull",
        "failed to pull",
        "failed to resolve",
        "failed to do request",
    ] {
        if let (true, Some((_, inner))) = (clean.starts_with(wrapper), after_quotes(clean)) {
            clean = inner;
        }
    }
    clean.to_owned()
}

/// What a text wraps: what is behind its first `: ` that stands in no quotes.
fn after_quotes(text: &str) -> Option<(&str, &str)> {
    let mut is_quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            ':' if !is_quoted => {
                let inner = text.get(at + 1..)?.strip_prefix(' ')?;
                return Some((text.get(..at)?, inner));
            }
            _ => {}
        }
    }
    None
}

/// True when no amount of waiting brings the image.
fn is_final(message: &str) -> bool {
    let message = message.to_lowercase();
    [
        "not found",
        "manifest unknown",
        "unauthorized",
        "denied",
        "not exist",
        "invalid reference",
        "no match for platform",
    ]
    .iter()
    .any(|word| message.contains(word))
}

fn mount(pod: &Value, warnings: &[&Value]) -> Option<Trouble> {
    let has_started = list(pod, "/status/containerStatuses")
        .iter()
        .any(|status| status.pointer("/state/waiting").is_none());
    if has_started {
        return None;
    }
    let message = last_message(warnings, "FailedMount", "", &[])
        .or_else(|| last_message(warnings, "FailedAttachVolume", "", &[]))?;
    Some(plain(
        Cause::Mount,
        format!("a volume cannot be mounted: {message}"),
        Some(Duration::from_secs(20)),
    ))
}

/// What a pod that is not ready is doing.
fn underway(pod: &Value, warnings: &[&Value]) -> Trouble {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "written in place")]
    fn pod(status: Value) -> Value {
        json!({"spec": {"nodeName": "n"}, "status": {"containerStatuses": [status]}})
    }

    fn waiting(reason: &str, message: &str) -> Value {
        pod(
            json!({"name": "web", "image": "i:1", "state": {"waiting": {"reason": reason, "message": message}}}),
        )
    }

    fn ended(restarts: i64, code: i64, reason: &str) -> Value {
        pod(
            json!({"name": "web", "restartCount": restarts, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": code, "reason": reason}}}),
        )
    }

    #[track_caller]
    fn check(pod: &Value, cause: Cause, grace: Option<u64>, told: &str) {
        let found = trouble(pod, &[], false).unwrap();
        assert_eq!(
            (found.cause, found.grace.map(|grace| grace.as_secs())),
            (cause, grace),
            "{found:?}"
        );
        assert!(found.reason.contains(told), "{found:?}");
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn doomed_is_told_from_slow() {
        for (pod, cause, grace, told) in [
            (waiting("ErrImageNeverPull", "m"), Cause::NoImage, Some(0), "has no image `i:1`"),
            (waiting("InvalidImageName", "m"), Cause::NoImage, Some(0), "InvalidImageName"),
            (
                waiting("ErrImagePull", "manifest unknown"),
                Cause::NoImage,
                Some(5),
                "cannot pull image `i:1`: manifest unknown",
            ),
            (
                waiting("ImagePullBackOff", "Back-off pulling image: pull access denied"),
                Cause::NoImage,
                Some(5),
                "denied",
            ),
            (
                waiting("ErrImagePull", "dial tcp: i/o timeout"),
                Cause::SlowImage,
                Some(60),
                "i/o timeout",
            ),
            (
                waiting("CreateContainerConfigError", "secret \"x\" not found"),
                Cause::Config,
                Some(10),
                "secret \"x\" not found",
            ),
            (
                waiting("RunContainerError", "exec: \"nope\""),
                Cause::Start,
                Some(15),
                "cannot be started",
            ),
            (ended(2, 1, "Error"), Cause::Crash, Some(0), "crashed 2 times, last with exit code 1"),
            (ended(1, 137, "OOMKilled"), Cause::Memory, Some(0), "OOMKilled"),
            (
                json!({"status": {"phase": "Failed", "reason": "Evicted", "message": "low"}}),
                Cause::Evicted,
                Some(0),
                "it was evicted: low",
            ),
            (
                json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes"}]}}),
                Cause::Unschedulable,
                Some(60),
                "0/2 nodes",
            ),
            // Slow.
            (
                waiting("CreateContainerConfigError", "failed to sync secret cache"),
                Cause::Underway,
                None,
                "failed to sync",
            ),
            (ended(1, 1, "Error"), Cause::Underway, None, "waits: CrashLoopBackOff"),
            (waiting("ContainerCreating", ""), Cause::Underway, None, "containers are being made"),
            (
                pod(json!({"name": "web", "state": {"running": {}}, "ready": false})),
                Cause::Unready,
                None,
                "runs and is not ready yet",
            ),
            (
                pod(json!({"name": "web", "state": {"running": {}}, "started": false})),
                Cause::Unready,
                None,
                "startup probe",
            ),
            (json!({"status": {}}), Cause::Underway, None, "waits for a node"),
        ] {
            check(&pod, cause, grace, told);
        }
    }

    #[test]
    fn an_init_containers_crash_is_seen() {
        let pod = json!({"status": {"initContainerStatuses": [{"name": "migrate", "restartCount": 2,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 3}}}],
            "containerStatuses": [{"name": "web", "state": {"waiting": {"reason": "PodInitializing"}}}]}});
        check(
            &pod,
            Cause::Crash,
            Some(0),
            "init container `migrate` crashed 2 times, last with exit code 3",
        );
    }

    #[test]
    fn a_crash_may_be_a_wait_for_others() {
        let crashed = ended(2, 1, "Error");
        assert_eq!(trouble(&crashed, &[], true).unwrap().grace, None);
        assert_eq!(trouble(&ended(3, 1, "Error"), &[], true).unwrap().cause, Cause::Crash);
        let recovered = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [
            {"name": "web", "restartCount": 3, "ready": true, "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}}]}});
        assert_eq!(trouble(&recovered, &[], false), None);
    }

    #[test]
    fn events_say_what_a_status_does_not() {
        let event = |reason: &str, message: &str| json!({"reason": reason, "message": message, "involvedObject": {"fieldPath": "spec.containers{web}"}});
        let probe =
            event("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500");
        let found = trouble(&ended(2, 137, "Error"), &[&probe], false).unwrap();
        assert!(
            found.reason.contains("restarted 2 times by its probe: Liveness probe failed"),
            "{found:?}"
        );
        let readiness = event("Unhealthy", "Readiness probe failed: connection refused");
        let running = pod(json!({"name": "web", "state": {"running": {}}, "ready": false}));
        let found = trouble(&running, &[&readiness], false).unwrap();
        assert!(found.reason.contains("is not ready: Readiness probe failed"), "{found:?}");
        let pull = event(
            "Failed",
            "Failed to pull image \"i:1\": rpc error: code = NotFound desc = i:1: not found",
        );
        let found = trouble(
            &waiting("ImagePullBackOff", "Back-off pulling image \"i:1\""),
            &[&pull],
            false,
        )
        .unwrap();
        assert_eq!(found.cause, Cause::NoImage);
        let mount = json!({"reason": "FailedMount", "message": "secret \"s\" not found"});
        let found = trouble(&waiting("ContainerCreating", ""), &[&mount], false).unwrap();
        assert_eq!(found.cause, Cause::Mount);
    }
}
