//! Why a pod does not come up, and whether it ever will: doomed is told from slow. Pure.

use std::time::Duration;

use serde_json::Value;

use super::containers::{crash, last_message, underway};
use super::images::{is_final, pull_message};
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

/// A trouble of no container.
pub fn plain(cause: Cause, reason: String, grace: Option<Duration>) -> Trouble {
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
