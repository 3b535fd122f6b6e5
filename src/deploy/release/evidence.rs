//! What is kept of an object that failed, before anything is rolled back: its events and the last
//! lines of its containers.

use std::collections::BTreeMap;

use base64::Engine;
use serde_json::Value;

use super::desk::{Desk, known};
use super::event::{Evidence, Log};
use super::plan::{list, text};
use super::resolve::Thing;
use super::scene::{Scene, time_of};
use crate::deploy::cluster::Target;

/// Last lines of a container's log.
const LINES: usize = 50;
/// Events of an object.
const EVENTS: usize = 10;
/// Shorter values are no secrets worth hiding: hiding them would hide the text.
const SHORTEST_SECRET: usize = 6;

/// Gathers what is known of an object. `last` is what the follower knew in the end.
pub async fn gather(
    desk: &Desk<'_>,
    thing: &Thing,
    reason: &str,
    pod: Option<&str>,
    last: &Last<'_>,
) -> Evidence {
    let object = last.object(thing);
    let scene = last.scene();
    let (pods, makers) = object.map(|object| scene.pods_of(object)).unwrap_or_default();
    let shown = pods
        .iter()
        .find(|one| Some(text(one, "/metadata/name")) == pod)
        .or_else(|| pods.iter().find(|one| !is_ready(one)))
        .copied();
    let mut events = Vec::new();
    for one in object.into_iter().chain(makers).chain(shown) {
        for event in scene.warnings(text(one, "/metadata/uid")) {
            events.push((time_of(event).to_owned(), line(event)));
        }
    }
    events.sort();
    events.dedup();
    let n = events.len().saturating_sub(EVENTS);
    let mut logs = Vec::new();
    if let Some(shown) = shown {
        for (container, previous) in containers(shown) {
            let found = log(desk, thing, shown, &container, previous).await;
            // A runtime that keeps no earlier run has the present one at best.
            let is_new = !logs.iter().any(|known: &Log| known.container == container);
            logs.extend(match found {
                None if previous && is_new => log(desk, thing, shown, &container, false).await,
                found => found,
            });
        }
    }
    Evidence {
        object: thing.index,
        reason: reason.to_owned(),
        pod: shown.map(|pod| text(pod, "/metadata/name").to_owned()),
        events: events.into_iter().skip(n).map(|(_, line)| line).collect(),
        logs,
    }
}

/// What the follower knew in the end, by kind.
pub struct Last<'a> {
    /// The objects of the deploy.
    pub objects: Vec<Value>,
    pods: Vec<Value>,
    sets: Vec<&'a Value>,
    events: Vec<&'a Value>,
}

impl<'a> Last<'a> {
    /// Sorts a snapshot; `applied` are the objects as the server answered.
    pub fn new(
        last: &'a [BTreeMap<String, Value>],
        applied: impl Iterator<Item = &'a Value>,
    ) -> Self {
        let all = || last.iter().flat_map(BTreeMap::values);
        // Lists leave the kind of their items out: it is told by what only that kind has.
        let pods = all()
            .filter(|one| one.pointer("/spec/containers").is_some())
            .map(|pod| {
                let mut pod = pod.clone();
                pod["kind"] = Value::String("Pod".to_owned());
                pod["apiVersion"] = Value::String("v1".to_owned());
                pod
            })
            .collect();
        let events = all().filter(|one| one.get("involvedObject").is_some()).collect();
        let sets = all()
            .filter(|one| {
                one.pointer("/spec/template").is_some()
                    && !list(one, "/metadata/ownerReferences").is_empty()
            })
            .collect();
        // What is known now is newer than what the server answered to the deploy.
        let newest = |applied: &Value| {
            let uid = text(applied, "/metadata/uid");
            let mut object =
                last.iter().find_map(|scope| scope.get(uid)).unwrap_or(applied).clone();
            for key in ["apiVersion", "kind"] {
                object[key] = applied[key].clone();
            }
            object
        };
        Self { objects: applied.map(newest).collect(), pods, sets, events }
    }

    fn object(&self, thing: &Thing) -> Option<&Value> {
        self.objects.iter().find(|object| {
            text(object, "/kind") == thing.mapping.kind
                && text(object, "/metadata/name") == thing.name
                && text(object, "/metadata/namespace") == thing.namespace
        })
    }

    fn scene(&self) -> Scene<'_> {
        Scene::new(&self.pods, self.sets.iter().copied(), self.events.iter().copied())
    }
}

fn is_ready(pod: &Value) -> bool {
    let ready = super::progress::condition(pod, "Ready");
    ready.is_some_and(|(status, ..)| status == "True")
}

/// `Failed (x3) on Pod web-1: message`.
fn line(event: &Value) -> String {
    let count = event.get("count").and_then(Value::as_u64).unwrap_or(1);
    let times = if count > 1 { format!(" (x{count})") } else { String::new() };
    format!(
        "{}{times} on {} {}: {}",
        text(event, "/reason"),
        text(event, "/involvedObject/kind"),
        text(event, "/involvedObject/name"),
        text(event, "/message").trim()
    )
}

/// The containers that are not well, init containers first; of one that crashed, the run before.
fn containers(pod: &Value) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    for field in ["initContainerStatuses", "containerStatuses"] {
        for status in list(pod, &format!("/status/{field}")) {
            let name = text(status, "/name").to_owned();
            let has_ended_well =
                status.pointer("/state/terminated/exitCode") == Some(&Value::from(0));
            let is_well = has_ended_well || status["ready"] == true;
            let has_run = status.pointer("/state/running").is_some()
                || status.pointer("/state/terminated").is_some();
            if status.pointer("/lastState/terminated").is_some() && !is_well {
                found.push((name.clone(), true));
            }
            if has_run && !is_well {
                found.push((name, false));
            }
        }
    }
    found
}

async fn log(
    desk: &Desk<'_>,
    thing: &Thing,
    pod: &Value,
    container: &str,
    previous: bool,
) -> Option<Log> {
    let mapping = known("", "v1", "Pod", "pods");
    let target = Target {
        mapping: &mapping,
        namespace: &thing.namespace,
        name: text(pod, "/metadata/name"),
        subresource: "log",
    };
    let mut query = vec![("container", container.to_owned()), ("tailLines", LINES.to_string())];
    if previous {
        query.push(("previous", "true".to_owned()));
    }
    let text = desk.text(&target, query).await.ok()?;
    let secrets = secrets(&desk.plan.objects);
    let lines: Vec<String> = text.lines().map(|line| masked(line, &secrets)).collect();
    (!lines.is_empty()).then(|| Log { container: container.to_owned(), previous, lines })
}

/// The values of the plan's own secrets.
fn secrets(objects: &[Value]) -> Vec<String> {
    let mut values = Vec::new();
    for object in objects.iter().filter(|object| text(object, "/kind") == "Secret") {
        for (field, is_encoded) in [("data", true), ("stringData", false)] {
            let entries = object.get(field).and_then(Value::as_object);
            for value in entries.into_iter().flatten().filter_map(|(_, value)| value.as_str()) {
                let decoded = base64::engine::general_purpose::STANDARD.decode(value).ok();
                let plain = if is_encoded {
                    decoded.and_then(|bytes| String::from_utf8(bytes).ok())
                } else {
                    Some(value.to_owned())
                };
                values.extend(plain.filter(|plain| plain.trim().len() >= SHORTEST_SECRET));
            }
        }
    }
    values
}

fn masked(line: &str, secrets: &[String]) -> String {
    secrets.iter().fold(line.to_owned(), |line, secret| line.replace(secret.trim(), "[MASKED]"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_of_the_manifests_is_masked_in_logs() {
        let objects = [
            json!({"kind": "Secret", "data": {"a": "aHVudGVyMg==", "b": "YQ=="}, "stringData": {"c": "s3cr3t!"}}),
        ];
        assert_eq!(
            masked("login a hunter2 s3cr3t!", &secrets(&objects)),
            "login a [MASKED] [MASKED]"
        );
    }

    #[test]
    fn logs_are_taken_of_what_is_not_well() {
        let pod = json!({"status": {
            "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 0}}}],
            "containerStatuses": [
                {"name": "a", "ready": false, "state": {"waiting": {}}, "lastState": {"terminated": {}}},
                {"name": "b", "ready": true, "state": {"running": {}}},
                {"name": "c", "ready": false, "state": {"running": {}}}]}});
        assert_eq!(containers(&pod), [("a".to_owned(), true), ("c".to_owned(), false)]);
    }
}
