//! Workloads, described.

use serde_json::{Value, json};

use super::containers::template;
use super::sheet::{
    Sheet, human, is, joined, list, map, moment, number, selector, selector_or_none, text, told,
};
use super::{controlled_by, volumes};

/// The labels by which a deployment tells its own sets of pods apart.
const HASH: &str = "pod-template-hash";

/// How many of a workload's own pods are in which phase.
pub fn counts(object: &Value, pods: &[Value]) -> String {
    let uid = text(object, "/metadata/uid");
    let own: Vec<&str> = pods
        .iter()
        .filter(|pod| {
            let owners = list(pod, "/metadata/ownerReferences");
            let owner = owners.iter().find(|owner| is(owner, "/controller"));
            owner.is_some_and(|owner| text(owner, "/uid") == uid)
        })
        .map(|pod| text(pod, "/status/phase"))
        .collect();
    let count = |phase: &str| own.iter().filter(|own| **own == phase).count();
    format!(
        "{} Running / {} Waiting / {} Succeeded / {} Failed",
        count("Running"),
        count("Pending"),
        count("Succeeded"),
        count("Failed")
    )
}

fn pods(sheet: &mut Sheet, object: &Value) {
    template(sheet, object.pointer("/spec/template").unwrap_or(&Value::Null));
}

fn created(sheet: &mut Sheet, object: &Value) {
    sheet.field(0, "CreationTimestamp", moment(text(object, "/metadata/creationTimestamp")));
}

/// Describes a deployment with its old and its new replica sets.
pub fn deployment(sheet: &mut Sheet, object: &Value, sets: Vec<Value>) {
    sheet.names(object);
    created(sheet, object);
    sheet.marks(object);
    sheet.field(0, "Selector", selector(object.pointer("/spec/selector")));
    sheet.field(
        0,
        "Replicas",
        format!(
            "{} desired | {} updated | {} total | {} available | {} unavailable",
            number(object, "/spec/replicas"),
            number(object, "/status/updatedReplicas"),
            number(object, "/status/replicas"),
            number(object, "/status/availableReplicas"),
            number(object, "/status/unavailableReplicas")
        ),
    );
    sheet.field(0, "StrategyType", text(object, "/spec/strategy/type"));
    sheet.field(0, "MinReadySeconds", number(object, "/spec/minReadySeconds"));
    if let Some(rolling) = object.pointer("/spec/strategy/rollingUpdate") {
        let part = |key| told(rolling, key).unwrap_or_default();
        let (less, more) = (part("/maxUnavailable"), part("/maxSurge"));
        let value = format!("{less} max unavailable, {more} max surge");
        sheet.field(0, "RollingUpdateStrategy", value);
    }
    pods(sheet, object);
    sheet.conditions(object);
    let (old, new) = replica_sets(object, sets);
    if old.is_empty() && new.is_empty() {
        return;
    }
    for (title, sets) in [("OldReplicaSets", old), ("NewReplicaSet", new)] {
        let told: Vec<String> = sets
            .iter()
            .map(|set| {
                let (made, wanted) =
                    (number(set, "/status/replicas"), number(set, "/spec/replicas"));
                format!("{} ({made}/{wanted} replicas created)", text(set, "/metadata/name"))
            })
            .collect();
        let told = if told.is_empty() { "<none>".to_owned() } else { told.join(", ") };
        sheet.field(0, title, told);
    }
}

/// The replica sets of a deployment: the others, and the one that has its template.
fn replica_sets(object: &Value, sets: Vec<Value>) -> (Vec<Value>, Vec<Value>) {
    let uid = text(object, "/metadata/uid");
    let is_own = |set: &Value| {
        let owners = list(set, "/metadata/ownerReferences");
        owners.iter().any(|owner| is(owner, "/controller") && text(owner, "/uid") == uid)
    };
    let mut own: Vec<Value> = sets.into_iter().filter(is_own).collect();
    own.sort_by(|left, right| {
        let key = |set| (text(set, "/metadata/creationTimestamp"), text(set, "/metadata/name"));
        key(left).cmp(&key(right))
    });
    let bare = |object: &Value| {
        let mut template = object.pointer("/spec/template").cloned().unwrap_or_default();
        let labels = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut);
        labels.map(|labels| labels.remove(HASH));
        if template.pointer("/metadata/labels") == Some(&json!({})) {
            let metadata = template.get_mut("metadata").and_then(Value::as_object_mut);
            metadata.map(|metadata| metadata.remove("labels"));
        }
        template
    };
    let wanted = bare(object);
    match own.iter().position(|set| bare(set) == wanted) {
        Some(at) => {
            let new = own.remove(at);
            (own, vec![new])
        }
        None => (own, Vec::new()),
    }
}

/// Describes a replica set, replication controller, stateful set or daemon set.
pub fn controller(sheet: &mut Sheet, kind: &str, object: &Value, counts: &str) {
    sheet.names(object);
    match kind {
        "ReplicaSet" => {
            sheet.field(0, "Selector", selector_or_none(object.pointer("/spec/selector")));
            sheet.marks(object);
            controlled_by(sheet, object);
            replicas(sheet, object);
        }
        "ReplicationController" => {
            sheet.field(0, "Selector", joined(map(object, "/spec/selector")));
            sheet.marks(object);
            replicas(sheet, object);
        }
        "StatefulSet" => ordered(sheet, object),
        _ => on_nodes(sheet, object),
    }
    sheet.field(0, "Pods Status", counts);
    pods(sheet, object);
    match kind {
        "ReplicaSet" | "ReplicationController" => sheet.conditions(object),
        "StatefulSet" => volumes::templates(sheet, list(object, "/spec/volumeClaimTemplates")),
        _ => {}
    }
}

fn replicas(sheet: &mut Sheet, object: &Value) {
    let current = number(object, "/status/replicas");
    let desired = number(object, "/spec/replicas");
    sheet.field(0, "Replicas", format!("{current} current / {desired} desired"));
}

/// What a stateful set has of its own.
fn ordered(sheet: &mut Sheet, object: &Value) {
    created(sheet, object);
    sheet.field(0, "Selector", selector(object.pointer("/spec/selector")));
    sheet.marks(object);
    let (desired, total) = (number(object, "/spec/replicas"), number(object, "/status/replicas"));
    sheet.field(0, "Replicas", format!("{desired} desired | {total} total"));
    sheet.field(0, "Update Strategy", text(object, "/spec/updateStrategy/type"));
    if let Some(partition) = told(object, "/spec/updateStrategy/rollingUpdate/partition") {
        sheet.field(1, "Partition", partition);
        if let Some(most) = told(object, "/spec/updateStrategy/rollingUpdate/maxUnavailable") {
            sheet.field(1, "MaxUnavailable", most);
        }
    }
}

/// What a daemon set has of its own.
fn on_nodes(sheet: &mut Sheet, object: &Value) {
    sheet.field(0, "Selector", selector(object.pointer("/spec/selector")));
    sheet.field(0, "Node-Selector", joined(map(object, "/spec/template/spec/nodeSelector")));
    sheet.marks(object);
    for (title, key) in [
        ("Desired Number of Nodes Scheduled", "/status/desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "/status/currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "/status/updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "/status/numberAvailable"),
        ("Number of Nodes Misscheduled", "/status/numberMisscheduled"),
    ] {
        sheet.put(0, format!("{title}: {}\n", number(object, key)));
    }
}

/// Describes a job.
pub fn job(sheet: &mut Sheet, object: &Value) {
    sheet.names(object);
    sheet.field(0, "Selector", selector(object.pointer("/spec/selector")));
    sheet.marks(object);
    controlled_by(sheet, object);
    if let Some(value) = told(object, "/spec/parallelism") {
        sheet.field(0, "Parallelism", value);
    }
    let completions = told(object, "/spec/completions");
    sheet.field(0, "Completions", completions.unwrap_or_else(|| "<unset>".to_owned()));
    for (title, key) in [
        ("Completion Mode", "/spec/completionMode"),
        ("Suspend", "/spec/suspend"),
        ("Backoff Limit", "/spec/backoffLimit"),
        ("TTL Seconds After Finished", "/spec/ttlSecondsAfterFinished"),
    ] {
        if let Some(value) = told(object, key) {
            sheet.field(0, title, value);
        }
    }
    let (start, end) = (told(object, "/status/startTime"), told(object, "/status/completionTime"));
    for (title, time) in [("Start Time", &start), ("Completed At", &end)] {
        if let Some(time) = time {
            sheet.field(0, title, moment(time));
        }
    }
    let second = |time: &Option<String>| time.as_ref()?.parse::<jiff::Timestamp>().ok();
    if let (Some(start), Some(end)) = (second(&start), second(&end)) {
        sheet.field(0, "Duration", human(end.as_second() - start.as_second()));
    }
    if let Some(seconds) = told(object, "/spec/activeDeadlineSeconds") {
        sheet.field(0, "Active Deadline Seconds", format!("{seconds}s"));
    }
    let part = |key| number(object, key);
    let ready = told(object, "/status/ready").map(|ready| format!(" ({ready} Ready)"));
    sheet.field(
        0,
        "Pods Statuses",
        format!(
            "{} Active{} / {} Succeeded / {} Failed",
            part("/status/active"),
            ready.unwrap_or_default(),
            part("/status/succeeded"),
            part("/status/failed")
        ),
    );
    if text(object, "/spec/completionMode") == "Indexed" {
        sheet.field(0, "Completed Indexes", indexes(text(object, "/status/completedIndexes")));
    }
    pods(sheet, object);
}

/// At most about fifty characters of a list.
fn indexes(list: &str) -> String {
    if list.is_empty() {
        return "<none>".to_owned();
    }
    let comma = list.bytes().enumerate().skip(50).find(|(_, byte)| *byte == b',');
    match comma.and_then(|(at, _)| list.get(..=at)) {
        Some(first) => format!("{first}..."),
        None => list.to_owned(),
    }
}

/// Describes a cron job.
pub fn cron_job(sheet: &mut Sheet, object: &Value) {
    let or_unset = |key: &str| told(object, key).unwrap_or_else(|| "<unset>".to_owned());
    sheet.names(object);
    sheet.marks(object);
    sheet.field(0, "Schedule", text(object, "/spec/schedule"));
    sheet.field(0, "Concurrency Policy", text(object, "/spec/concurrencyPolicy"));
    let suspend = match object.pointer("/spec/suspend") {
        Some(Value::Bool(true)) => "True",
        Some(Value::Bool(false)) => "False",
        _ => "<unset>",
    };
    sheet.field(0, "Suspend", suspend);
    sheet.field(0, "Time Zone", or_unset("/spec/timeZone"));
    sheet.field(0, "Successful Job History Limit", or_unset("/spec/successfulJobsHistoryLimit"));
    sheet.field(0, "Failed Job History Limit", or_unset("/spec/failedJobsHistoryLimit"));
    let deadline =
        told(object, "/spec/startingDeadlineSeconds").map(|seconds| format!("{seconds}s"));
    let deadline = deadline.unwrap_or_else(|| "<unset>".to_owned());
    sheet.field(0, "Starting Deadline Seconds", deadline);
    let spec = "/spec/jobTemplate/spec";
    match object.pointer(&format!("{spec}/selector")) {
        Some(of) => sheet.field(0, "Selector", selector(Some(of))),
        None => sheet.field(0, "Selector", "<unset>"),
    }
    sheet.field(0, "Parallelism", or_unset(&format!("{spec}/parallelism")));
    sheet.field(0, "Completions", or_unset(&format!("{spec}/completions")));
    if let Some(seconds) = told(object, &format!("{spec}/activeDeadlineSeconds")) {
        sheet.field(0, "Active Deadline Seconds", format!("{seconds}s"));
    }
    let pods = object.pointer(&format!("{spec}/template"));
    template(sheet, pods.unwrap_or(&Value::Null));
    let last = told(object, "/status/lastScheduleTime").map(|time| moment(&time));
    sheet.field(0, "Last Schedule Time", last.unwrap_or_else(|| "<unset>".to_owned()));
    let active = list(object, "/status/active").iter().map(|job| text(job, "/name"));
    let active = active.collect::<Vec<_>>().join(", ");
    sheet.field(0, "Active Jobs", if active.is_empty() { "<none>" } else { &active });
}
