//! The pods that a command is about: one by its name, or the best of a workload's.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::info::Info;
use super::select::{self, Read, find};
use super::session::Session;
use super::trouble::Trouble;
use super::undo::selector;
use crate::deploy::cluster::Mapping;
use crate::deploy::kubectl::request::{Named, Selection, What};

/// How often it is looked whether a workload has a pod by now.
const LOOK: Duration = Duration::from_millis(300);

/// Who asks for a pod: errors are worded for it, and the best pod is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// `kubectl logs`.
    Logs,
    /// `kubectl exec` and `kubectl port-forward`.
    Inside,
}

/// What is named: the pod itself, or what has pods.
pub struct Found {
    /// The object that was named.
    pub named: Info,
    /// The pod; `None` where the named object is it.
    pod: Option<Info>,
}

impl Found {
    /// The pod.
    pub fn pod(&self) -> &Info {
        self.pod.as_ref().unwrap_or(&self.named)
    }

    /// The pod, and nothing else.
    pub fn into_pod(self) -> Info {
        self.pod.unwrap_or(self.named)
    }
}

/// The pod itself, or all of a workload's, the best first; where there is none yet, one is waited for.
pub async fn every(
    session: &mut Session<'_>,
    named: &Named,
    asking: Asking,
    timeout: Duration,
) -> Result<Vec<Info>, Trouble> {
    let info = named_one(session, named, asking).await?;
    if info.mapping.kind == "Pod" {
        return Ok(vec![info]);
    }
    workloads(session, &info, asking, timeout).await
}

/// The pods of a workload, the best first.
async fn workloads(
    session: &mut Session<'_>,
    info: &Info,
    asking: Asking,
    timeout: Duration,
) -> Result<Vec<Info>, Trouble> {
    let labels = labels(info, asking)?;
    let until = Instant::now() + timeout;
    let mut found = loop {
        let found = all(session, Some(labels.clone())).await?;
        if !found.is_empty() {
            break found;
        }
        if Instant::now() >= until {
            return Err(Trouble::text("timed out waiting for the condition"));
        }
        session.pause(LOOK).await?;
    };
    found.sort_by_key(|pod| Reverse(rank(&pod.object, asking)));
    Ok(found)
}

/// The pod itself, or the best of a workload's; where there is none yet, one is waited for.
pub async fn of(
    session: &mut Session<'_>,
    named: &Named,
    asking: Asking,
    timeout: Duration,
) -> Result<Found, Trouble> {
    let info = named_one(session, named, asking).await?;
    if info.mapping.kind == "Pod" {
        return Ok(Found { named: info, pod: None });
    }
    let mut found = workloads(session, &info, asking, timeout).await?;
    let n_found = found.len();
    let pod = found.remove(0);
    if n_found > 1 && asking == Asking::Logs {
        session.err(format!("Found {n_found} pods, using pod/{}\n", pod.name));
    }
    Ok(Found { named: info, pod: Some(pod) })
}

async fn named_one(
    session: &mut Session<'_>,
    named: &Named,
    asking: Asking,
) -> Result<Info, Trouble> {
    let selection = of_labels(What::Names(vec![named.clone()]), None);
    let (mut infos, mut troubles) = find(session, &selection, Read::Latest).await?;
    if let Some(info) = infos.pop() {
        return Ok(info);
    }
    let namespace = session.namespace().to_owned();
    Err(match (troubles.pop(), asking) {
        (Some(Trouble::Status(status)), Asking::Logs) if status.reason == "NotFound" => {
            let message = &status.message;
            Trouble::text(format!(
                "error from server (NotFound): {message} in namespace \"{namespace}\""
            ))
        }
        (Some(trouble), _) => trouble,
        (None, _) => Trouble::text(format!("{} not found", named.name)),
    })
}

/// The labels of a workload's pods.
fn labels(info: &Info, asking: Asking) -> Result<String, Trouble> {
    let of_map = |map: Option<&Value>| {
        selector(&json!({"spec": {"selector": {"matchLabels": map.cloned().unwrap_or_default()}}}))
    };
    let kind = info.mapping.kind.as_str();
    let written = info.object.pointer("/spec/selector");
    let go_type = format!("*{}.{kind}", info.mapping.version);
    let why = match kind {
        "Service" if written.and_then(Value::as_object).is_none_or(serde_json::Map::is_empty) => {
            format!("invalid service '{}': Service is defined without a selector", info.name)
        }
        "Service" | "ReplicationController" => return Ok(of_map(written)),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => {
            return Ok(selector(&info.object));
        }
        _ => format!("selector for {go_type} not implemented"),
    };
    Err(Trouble::text(match asking {
        Asking::Logs => format!("cannot get the logs from {go_type}: {why}"),
        Asking::Inside => format!("cannot attach to {go_type}: {why}"),
    }))
}

/// All pods with these labels.
pub async fn all(session: &mut Session<'_>, labels: Option<String>) -> Result<Vec<Info>, Trouble> {
    let mapping = session.by_word("pods")?;
    let selection = of_labels(What::Types(Vec::new()), labels);
    let namespace = session.namespace().to_owned();
    let objects = select::list(session, &selection, &mapping).await?;
    let info = |object: Value| {
        let name = text(&object, "/metadata/name").to_owned();
        let (mapping, namespace) = (mapping.clone(), namespace.clone());
        Info { mapping, name, source: String::new(), namespace, object }
    };
    Ok(objects.into_iter().map(info).collect())
}

/// What a pod is, for whom no server has told yet.
pub fn mapping() -> Mapping {
    Mapping {
        group: String::new(),
        version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        plural: "pods".to_owned(),
        singular: "pod".to_owned(),
        short: [].into(),
        categories: [].into(),
        namespaced: true,
        verbs: [].into(),
    }
}

fn of_labels(what: What, labels: Option<String>) -> Selection {
    Selection { what, all_namespaces: false, labels, fields: None, enforce_namespace: false }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// How good a pod is. For a look inside, restarts speak against it; for its logs, for it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_assigned: bool,
    phase: u8,
    is_ready: bool,
    stays: bool,
    ready_since: Reverse<Moment>,
    restarts: i64,
    made: Reverse<Moment>,
}

/// A moment as the API writes it; none is later than all.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(bool, String);

fn moment(text: &str) -> Moment {
    Moment(text.is_empty(), text.to_owned())
}

fn rank(pod: &Value, asking: Asking) -> Rank {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().find(|condition| {
        text(condition, "/type") == "Ready" && text(condition, "/status") == "True"
    });
    let statuses = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
    let restarts = statuses
        .into_iter()
        .flatten()
        .filter_map(|status| status.get("restartCount").and_then(Value::as_i64))
        .max()
        .unwrap_or_default();
    let is_inside = asking == Asking::Inside;
    Rank {
        is_assigned: !text(pod, "/spec/nodeName").is_empty(),
        phase: match (text(pod, "/status/phase"), asking) {
            ("Running", _) => 2,
            ("Unknown", _) => 1,
            ("Pending", _) | (_, Asking::Inside) => 0,
            // An ended pod has logs, as good as a running one's.
            (_, Asking::Logs) => 2,
        },
        is_ready: ready.is_some(),
        stays: !is_inside || text(pod, "/metadata/deletionTimestamp").is_empty(),
        ready_since: Reverse(moment(
            ready.map(|ready| text(ready, "/lastTransitionTime")).unwrap_or_default(),
        )),
        restarts: if is_inside { -restarts } else { restarts },
        made: Reverse(moment(text(pod, "/metadata/creationTimestamp"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(phase: &str, ready_since: Option<&str>, restarts: i64) -> Value {
        let conditions: Vec<Value> = ready_since
            .iter()
            .map(|since| json!({"type": "Ready", "status": "True", "lastTransitionTime": since}))
            .collect();
        json!({"spec": {"nodeName": "n"}, "status": {"phase": phase, "conditions": conditions,
            "containerStatuses": [{"restartCount": restarts}]}})
    }

    #[track_caller]
    fn better(asking: Asking, good: &Value, bad: &Value) {
        assert!(rank(good, asking) > rank(bad, asking));
    }

    #[test]
    fn the_best_pod_runs_is_ready_and_has_been_for_long() {
        for asking in [Asking::Logs, Asking::Inside] {
            let good = pod("Running", Some("2026-01-01T00:00:00Z"), 0);
            better(asking, &good, &pod("Running", Some("2026-01-02T00:00:00Z"), 0));
            better(asking, &good, &pod("Running", None, 0));
            better(asking, &good, &pod("Pending", None, 0));
        }
        let (calm, restless) = (pod("Running", None, 0), pod("Running", None, 3));
        better(Asking::Inside, &calm, &restless);
        better(Asking::Logs, &restless, &calm);
        better(Asking::Inside, &calm, &pod("Failed", None, 0));
    }
}
