//! How an object stands by its own status; a pure function for each kind.

use std::time::Duration;

use serde_json::Value;

use super::plan::{group, list, text};

/// How an object stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It is ready.
    Ready,
    /// It is as ready as it gets, with a remark.
    Enough(String),
    /// It is not ready yet, with the reason.
    Waiting(String),
    /// It is not ready, and nothing waits for that longer than this.
    Patient(String, Duration),
    /// It will not become ready, with the reason.
    Failed(String),
}

use Progress::{Enough, Failed, Patient, Ready, Waiting};

/// An address or a metric may never come where nobody gives any.
const PATIENCE: Duration = Duration::from_secs(15);

/// How an object stands.
pub fn progress(object: &Value) -> Progress {
    if !text(object, "/metadata/deletionTimestamp").is_empty() {
        return Waiting("it is being deleted".to_owned());
    }
    let group = group(text(object, "/apiVersion"));
    match (group, text(object, "/kind")) {
        ("apps", "Deployment") => deployment(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => replica_set(object),
        ("batch", "Job") => job(object),
        ("", "Pod") => pod(object),
        ("", "Namespace") => match text(object, "/status/phase") {
            "Terminating" => Failed("it is being deleted".to_owned()),
            _ => Ready,
        },
        ("", "PersistentVolumeClaim") => claim(object),
        ("", "Service") => service(object),
        ("networking.k8s.io", "Ingress") => ingress(object),
        ("autoscaling", "HorizontalPodAutoscaler") => scaler(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        ("apiregistration.k8s.io", "APIService") => match condition(object, "Available") {
            Some(("True", ..)) => Ready,
            Some((_, reason, message)) => Waiting(told("not available", reason, message)),
            None => Waiting("not available yet".to_owned()),
        },
        (group, _) if crate::deploy::cluster::is_builtin_group(group) => Ready,
        _ => custom(object),
    }
}

fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// A condition's status, reason and message.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let found = list(object, "/status/conditions").iter().find(|one| text(one, "/type") == kind)?;
    Some((text(found, "/status"), text(found, "/reason"), text(found, "/message")))
}

fn told(what: &str, reason: &str, message: &str) -> String {
    match (reason, message) {
        ("", "") => what.to_owned(),
        (reason, "") => format!("{what}: {reason}"),
        ("", message) => format!("{what}: {message}"),
        (reason, message) => format!("{what}: {reason}: {message}"),
    }
}

/// True while the controller has not looked at what was applied.
fn is_unseen(object: &Value) -> bool {
    let generation = number(object, "/metadata/generation").unwrap_or(0);
    number(object, "/status/observedGeneration").unwrap_or(0) < generation
}

fn unseen() -> Progress {
    Waiting("its controller has not looked at it yet".to_owned())
}

fn deployment(object: &Value) -> Progress {
    if object.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        return Enough("it is paused: nothing rolls out".to_owned());
    }
    if is_unseen(object) {
        return unseen();
    }
    if let Some((_, "ProgressDeadlineExceeded", message)) = condition(object, "Progressing") {
        return Failed(told("its progress deadline is over", "", message));
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let status = |key: &str| number(object, &format!("/status/{key}")).unwrap_or(0);
    let (updated, available) = (status("updatedReplicas"), status("availableReplicas"));
    if updated < wanted {
        return Waiting(format!("{updated} of {wanted} new pods are made"));
    }
    if status("replicas") > updated {
        return Waiting(format!("{} old pods are still there", status("replicas") - updated));
    }
    if available < updated {
        return Waiting(format!("{available} of {updated} pods are available"));
    }
    Ready
}

fn stateful_set(object: &Value) -> Progress {
    if is_unseen(object) {
        return unseen();
    }
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return Enough("its pods are replaced when somebody deletes them (OnDelete)".to_owned());
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let status = |key: &str| number(object, &format!("/status/{key}")).unwrap_or(0);
    if status("readyReplicas") < wanted {
        return Waiting(format!("{} of {wanted} pods are ready", status("readyReplicas")));
    }
    let partition =
        number(object, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0).min(wanted);
    let updated = status("updatedReplicas");
    if text(object, "/status/updateRevision") != text(object, "/status/currentRevision")
        && updated < wanted - partition
    {
        return Waiting(format!("{updated} of {} pods are new", wanted - partition));
    }
    if partition > 0 {
        return Enough(format!("{partition} pods keep the old revision (partition)"));
    }
    Ready
}

fn daemon_set(object: &Value) -> Progress {
    if is_unseen(object) {
        return unseen();
    }
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return Enough("its pods are replaced when somebody deletes them (OnDelete)".to_owned());
    }
    let status = |key: &str| number(object, &format!("/status/{key}")).unwrap_or(0);
    let wanted = status("desiredNumberScheduled");
    if status("updatedNumberScheduled") < wanted {
        let updated = status("updatedNumberScheduled");
        return Waiting(format!("{updated} of {wanted} pods are new"));
    }
    if status("numberAvailable") < wanted {
        let available = status("numberAvailable");
        return Waiting(format!("{available} of {wanted} pods are available"));
    }
    if wanted == 0 { Enough("no node fits: it has no pods".to_owned()) } else { Ready }
}

fn replica_set(object: &Value) -> Progress {
    if is_unseen(object) {
        return unseen();
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let available = number(object, "/status/availableReplicas").unwrap_or(0);
    if available < wanted {
        return Waiting(format!("{available} of {wanted} pods are available"));
    }
    Ready
}

fn job(object: &Value) -> Progress {
    if let Some(("True", reason, message)) = condition(object, "Failed") {
        return Failed(told("it failed", reason, message));
    }
    if let Some(("True", ..)) = condition(object, "Complete") {
        return Ready;
    }
    if object.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
        return Enough("it is suspended".to_owned());
    }
    let done = number(object, "/status/succeeded").unwrap_or(0);
    let failed = number(object, "/status/failed").unwrap_or(0);
    let wanted = number(object, "/spec/completions").unwrap_or(1);
    let retried = if failed > 0 { format!(", {failed} pods failed") } else { String::new() };
    Waiting(format!("{done} of {wanted} completions{retried}"))
}

fn pod(object: &Value) -> Progress {
    match text(object, "/status/phase") {
        "Succeeded" => return Ready,
        "Failed" => {
            let reason = text(object, "/status/reason");
            return Failed(told("the pod failed", reason, text(object, "/status/message")));
        }
        _ => {}
    }
    match condition(object, "Ready") {
        Some(("True", ..)) => Ready,
        _ => Waiting("the pod is not ready".to_owned()),
    }
}

fn claim(object: &Value) -> Progress {
    match text(object, "/status/phase") {
        "Bound" => Ready,
        "Lost" => Failed("its volume is lost".to_owned()),
        _ => {
            Patient("no volume is bound to it (it may wait for its first pod)".to_owned(), PATIENCE)
        }
    }
}

fn service(object: &Value) -> Progress {
    let has_address = !list(object, "/status/loadBalancer/ingress").is_empty();
    if text(object, "/spec/type") == "LoadBalancer" && !has_address {
        return Patient("no load balancer has given it an address".to_owned(), PATIENCE);
    }
    Ready
}

fn ingress(object: &Value) -> Progress {
    if list(object, "/status/loadBalancer/ingress").is_empty() {
        return Patient("no controller has given it an address".to_owned(), PATIENCE);
    }
    Ready
}

fn scaler(object: &Value) -> Progress {
    if let Some(("False", reason, message)) = condition(object, "AbleToScale") {
        return Waiting(told("it cannot scale", reason, message));
    }
    match condition(object, "ScalingActive") {
        Some(("False", "ScalingDisabled", _)) => {
            Enough("its target has no replicas: scaling is off".to_owned())
        }
        Some(("False", reason, message)) => {
            Patient(told("it has no metrics", reason, message), PATIENCE)
        }
        None => Patient("its controller has not looked at it yet".to_owned(), PATIENCE),
        Some(_) => Ready,
    }
}

fn definition(object: &Value) -> Progress {
    if let Some(("False", reason, message)) = condition(object, "NamesAccepted") {
        return Failed(told("its names are taken", reason, message));
    }
    match condition(object, "Established") {
        Some(("True", ..)) => Ready,
        _ => Waiting("the server does not serve its kind yet".to_owned()),
    }
}

/// A custom resource tells by its conditions, if it tells at all.
fn custom(object: &Value) -> Progress {
    let observed = number(object, "/status/observedGeneration");
    if let (Some(observed), Some(generation)) = (observed, number(object, "/metadata/generation"))
        && observed < generation
    {
        return unseen();
    }
    if let Some(("True", reason, message)) = condition(object, "Stalled") {
        return Failed(told("it is stalled", reason, message));
    }
    if let Some(("True", reason, message)) = condition(object, "Reconciling") {
        return Waiting(told("it is being reconciled", reason, message));
    }
    for kind in ["Ready", "Available", "Healthy"] {
        if let Some((status, reason, message)) = condition(object, kind) {
            return if status == "True" {
                Ready
            } else {
                Waiting(told(&format!("condition {kind} is {status}"), reason, message))
            };
        }
    }
    Ready
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "written in place")]
    fn object(version: &str, kind: &str, spec: Value, status: Value) -> Value {
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a", "generation": 2},
            "spec": spec, "status": status})
    }

    #[track_caller]
    fn check(version: &str, kind: &str, spec: Value, status: Value, expected: &str) {
        let found = match progress(&object(version, kind, spec, status)) {
            Ready => "ready".to_owned(),
            Enough(why) => format!("enough: {why}"),
            Waiting(why) => format!("waiting: {why}"),
            Patient(why, _) => format!("patient: {why}"),
            Failed(why) => format!("failed: {why}"),
        };
        assert!(found.starts_with(expected), "{found} is not {expected}");
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn workloads_are_ready_when_all_that_is_new_is_there_and_nothing_old() {
        let spec = || json!({"replicas": 3});
        let seen = |status: Value| {
            let mut status = status;
            status["observedGeneration"] = json!(2);
            status
        };
        let all = || json!({"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3, "readyReplicas": 3});
        for (kind, spec, status, expected) in [
            ("Deployment", spec(), json!({"observedGeneration": 1}), "waiting: its controller"),
            ("Deployment", spec(), seen(all()), "ready"),
            ("Deployment", spec(), seen(json!({"updatedReplicas": 1})), "waiting: 1 of 3 new pods"),
            (
                "Deployment",
                spec(),
                seen(json!({"replicas": 5, "updatedReplicas": 3})),
                "waiting: 2 old pods",
            ),
            (
                "Deployment",
                spec(),
                seen(json!({"replicas": 3, "updatedReplicas": 3, "availableReplicas": 2})),
                "waiting: 2 of 3 pods are available",
            ),
            (
                "Deployment",
                json!({"replicas": 3, "paused": true}),
                json!({}),
                "enough: it is paused",
            ),
            (
                "Deployment",
                spec(),
                seen(
                    json!({"conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]}),
                ),
                "failed: its progress deadline",
            ),
            (
                "StatefulSet",
                spec(),
                seen(json!({"readyReplicas": 2})),
                "waiting: 2 of 3 pods are ready",
            ),
            (
                "StatefulSet",
                spec(),
                seen(
                    json!({"readyReplicas": 3, "updatedReplicas": 1, "updateRevision": "b", "currentRevision": "a"}),
                ),
                "waiting: 1 of 3 pods are new",
            ),
            ("StatefulSet", spec(), seen(all()), "ready"),
            (
                "StatefulSet",
                json!({"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}}),
                seen(all()),
                "enough: 2 pods keep",
            ),
            (
                "DaemonSet",
                json!({}),
                seen(json!({"desiredNumberScheduled": 2, "updatedNumberScheduled": 1})),
                "waiting: 1 of 2 pods are new",
            ),
            (
                "DaemonSet",
                json!({}),
                seen(
                    json!({"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}),
                ),
                "ready",
            ),
            ("DaemonSet", json!({}), seen(json!({})), "enough: no node fits"),
        ] {
            check("apps/v1", kind, spec, status, expected);
        }
    }

    #[test]
    fn what_runs_once_is_followed_to_its_end() {
        let conditions = |kind: &str| json!({"conditions": [{"type": kind, "status": "True", "reason": "BackoffLimitExceeded"}]});
        check("batch/v1", "Job", json!({}), conditions("Complete"), "ready");
        check(
            "batch/v1",
            "Job",
            json!({}),
            conditions("Failed"),
            "failed: it failed: BackoffLimitExceeded",
        );
        check(
            "batch/v1",
            "Job",
            json!({"completions": 3}),
            json!({"succeeded": 1, "failed": 2}),
            "waiting: 1 of 3 completions, 2 pods failed",
        );
        check(
            "v1",
            "Pod",
            json!({}),
            json!({"phase": "Failed", "reason": "Evicted", "message": "too much"}),
            "failed: the pod failed: Evicted: too much",
        );
        check("v1", "Pod", json!({}), json!({"phase": "Succeeded"}), "ready");
        check("v1", "Pod", json!({}), json!({"phase": "Running"}), "waiting: the pod is not ready");
    }

    #[test]
    fn nothing_waits_for_ever_for_what_a_cluster_may_not_have() {
        check(
            "v1",
            "Service",
            json!({"type": "LoadBalancer"}),
            json!({}),
            "patient: no load balancer",
        );
        check("v1", "Service", json!({"type": "ClusterIP"}), json!({}), "ready");
        check("networking.k8s.io/v1", "Ingress", json!({}), json!({}), "patient: no controller");
        check(
            "v1",
            "PersistentVolumeClaim",
            json!({}),
            json!({"phase": "Pending"}),
            "patient: no volume",
        );
        check("v1", "PersistentVolumeClaim", json!({}), json!({"phase": "Bound"}), "ready");
        let active = |status: &str, reason: &str| json!({"conditions": [{"type": "ScalingActive", "status": status, "reason": reason}]});
        check(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            json!({}),
            active("False", "FailedGetResourceMetric"),
            "patient: it has no metrics",
        );
        check("autoscaling/v2", "HorizontalPodAutoscaler", json!({}), active("True", ""), "ready");
    }

    #[test]
    fn kinds_of_others_tell_by_their_conditions() {
        let conditions = |kind: &str, status: &str| json!({"observedGeneration": 2, "conditions": [{"type": kind, "status": status, "message": "m"}]});
        for (status, expected) in [
            (json!({}), "ready"),
            (json!({"observedGeneration": 1}), "waiting: its controller"),
            (conditions("Ready", "True"), "ready"),
            (conditions("Ready", "False"), "waiting: condition Ready is False: m"),
            (conditions("Stalled", "True"), "failed: it is stalled: m"),
            (conditions("Reconciling", "True"), "waiting: it is being reconciled: m"),
        ] {
            check("example.com/v1", "Widget", json!({}), status, expected);
        }
        check(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            json!({}),
            conditions("Established", "True"),
            "ready",
        );
        check(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            json!({}),
            json!({}),
            "waiting: the server",
        );
        check(
            "apiregistration.k8s.io/v1",
            "APIService",
            json!({}),
            conditions("Available", "False"),
            "waiting: not available: m",
        );
        check("v1", "ConfigMap", json!({}), json!({}), "ready");
    }
}
