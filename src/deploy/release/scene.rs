//! All that is known at one moment of the objects of a deploy and their pods, and what it means. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::plan::text;
use super::pods::{self, Cause, Trouble};
use super::progress::{Progress, progress};

/// What is known at one moment.
#[derive(Debug, Default)]
pub struct Scene<'a> {
    pods: BTreeMap<&'a str, Vec<&'a Value>>,
    replica_sets: BTreeMap<&'a str, Vec<&'a Value>>,
    warnings: BTreeMap<&'a str, Vec<&'a Value>>,
}

/// How an object stands, with its pods looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It is ready, with a remark where there is one.
    Ready(Option<String>),
    /// It is not ready.
    Waiting {
        /// Why.
        why: String,
        /// After this long it counts as ready.
        patience: Option<Duration>,
        /// What dooms it, if it lasts.
        suspects: Vec<Suspect>,
    },
    /// It will not become ready.
    Failed(String, Option<String>),
}

/// Pods that have just come up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newness {
    /// Restarts of their containers so far.
    pub restarts: i64,
    /// True when every container says itself when it is ready.
    pub is_probed: bool,
}

/// What dooms an object, if it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// Which pod it is, by uid, or the object itself.
    pub who: String,
    /// What it is: its time is counted by that.
    pub cause: Cause,
    /// How long it may last.
    pub grace: Duration,
    /// One sentence.
    pub reason: String,
    /// The pod's name.
    pub pod: Option<String>,
}

impl<'a> Scene<'a> {
    /// Sorts what is known by who owns it.
    pub fn new(
        pods: impl IntoIterator<Item = &'a Value>,
        replica_sets: impl IntoIterator<Item = &'a Value>,
        warnings: impl IntoIterator<Item = &'a Value>,
    ) -> Self {
        let mut scene = Self::default();
        for pod in pods {
            scene.pods.entry(owner(pod)).or_default().push(pod);
        }
        for set in replica_sets {
            scene.replica_sets.entry(owner(set)).or_default().push(set);
        }
        for warning in warnings {
            let uid = text(warning, "/involvedObject/uid");
            scene.warnings.entry(uid).or_default().push(warning);
        }
        for warnings in scene.warnings.values_mut() {
            warnings.sort_by_key(|warning| time_of(warning).to_owned());
        }
        scene
    }

    /// The warnings about an object, oldest first.
    pub fn warnings(&self, uid: &str) -> &[&'a Value] {
        self.warnings.get(uid).map(Vec::as_slice).unwrap_or_default()
    }

    /// The pods of an object's present version, and whoever makes them for it.
    pub fn pods_of(&self, object: &'a Value) -> (Vec<&'a Value>, Vec<&'a Value>) {
        let uid = text(object, "/metadata/uid");
        let owned = |uid: &str| self.pods.get(uid).cloned().unwrap_or_default();
        let label = |pod: &Value, key: &str| {
            let labels = pod.pointer("/metadata/labels");
            labels.and_then(|labels| labels.get(key)?.as_str()).unwrap_or_default().to_owned()
        };
        match text(object, "/kind") {
            "Deployment" => {
                let revision = |one: &Value| {
                    let annotations = one.pointer("/metadata/annotations");
                    let key = "deployment.kubernetes.io/revision";
                    annotations
                        .and_then(|map| map.get(key)?.as_str())
                        .unwrap_or_default()
                        .to_owned()
                };
                let wanted = revision(object);
                let sets: Vec<&Value> = self
                    .replica_sets
                    .get(uid)
                    .into_iter()
                    .flatten()
                    .filter(|set| revision(set) == wanted)
                    .copied()
                    .collect();
                let pods = sets.iter().flat_map(|set| owned(text(set, "/metadata/uid"))).collect();
                (pods, sets)
            }
            "StatefulSet" => {
                let revision = text(object, "/status/updateRevision");
                let mut pods = owned(uid);
                pods.retain(|pod| label(pod, "controller-revision-hash") == revision);
                (pods, vec![object])
            }
            "DaemonSet" => {
                let annotations = object.pointer("/metadata/annotations");
                let key = "deprecated.daemonset.template.generation";
                let generation = annotations.and_then(|map| map.get(key)?.as_str());
                let mut pods = owned(uid);
                pods.retain(|pod| {
                    generation.is_none_or(|generation| {
                        label(pod, "pod-template-generation") == generation
                    })
                });
                (pods, vec![object])
            }
            "Pod" => (vec![object], Vec::new()),
            "ReplicaSet" | "ReplicationController" | "Job" => (owned(uid), vec![object]),
            _ => (Vec::new(), Vec::new()),
        }
    }

    /// How an object stands. `since` is when the deploy began, as the server writes times: what
    /// happened to an object before is no news. `others_come` is true while other workloads are not
    /// ready.
    pub fn standing(&self, object: &'a Value, since: &str, others_come: bool) -> Standing {
        let (why, patience) = match progress(object) {
            Progress::Ready => return Standing::Ready(None),
            Progress::Enough(note) => return Standing::Ready(Some(note)),
            Progress::Failed(why) => {
                let (trouble, pod) = self.worst(object, others_come).unzip();
                let more = trouble.map(|trouble| trouble.reason);
                let why = match (&more, pod) {
                    (Some(more), Some(pod)) => {
                        format!("{why}; pod {}: {more}", text(pod, "/metadata/name"))
                    }
                    _ => why,
                };
                return Standing::Failed(
                    why,
                    pod.map(|pod| text(pod, "/metadata/name").to_owned()),
                );
            }
            Progress::Waiting(why) => (why, None),
            Progress::Patient(why, patience) => (why, Some(patience)),
        };
        let generation = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
        let is_unseen = generation("/status/observedGeneration")
            < generation("/metadata/generation")
            && generation("/status/observedGeneration").is_some();
        if is_unseen {
            return Standing::Waiting { why, patience, suspects: Vec::new() };
        }
        let suspects = self.suspects(object, since, others_come);
        let why = match self.worst(object, others_come) {
            Some((trouble, pod)) => {
                format!("{why}; pod {}: {}", text(pod, "/metadata/name"), trouble.reason)
            }
            None => match suspects.first() {
                Some(suspect) => format!("{why}; {}", suspect.reason),
                None => why,
            },
        };
        Standing::Waiting { why, patience, suspects }
    }

    /// The trouble of a pod that says most, and that pod.
    fn worst(&self, object: &'a Value, others_come: bool) -> Option<(Trouble, &'a Value)> {
        let (pods, _) = self.pods_of(object);
        let troubles = pods.into_iter().filter_map(|pod| {
            let warnings = self.warnings(text(pod, "/metadata/uid"));
            Some((pods::trouble(pod, warnings, others_come)?, pod))
        });
        troubles.min_by_key(|(trouble, _)| (trouble.grace.is_none(), trouble.grace, trouble.cause))
    }

    /// What is still to be seen of an object that is ready: its pods may be new, and nothing but
    /// time tells whether one without a readiness probe stays up. `None` when no pod is new.
    pub fn newness(&self, object: &'a Value, since: &str) -> Option<Newness> {
        if matches!(text(object, "/kind"), "Job" | "CronJob") {
            return None;
        }
        let (pods, _) = self.pods_of(object);
        let is_new = |pod: &&Value| {
            let conditions = super::plan::list(pod, "/status/conditions");
            let ready = conditions.iter().find(|one| text(one, "/type") == "Ready");
            ready.is_none_or(|ready| text(ready, "/lastTransitionTime") >= since)
        };
        if !pods.iter().any(is_new) {
            return None;
        }
        let containers = || pods.iter().flat_map(|pod| super::plan::list(pod, "/spec/containers"));
        let statuses =
            pods.iter().flat_map(|pod| super::plan::list(pod, "/status/containerStatuses"));
        let restarts =
            statuses.filter_map(|status| status.get("restartCount").and_then(Value::as_i64)).sum();
        Some(Newness {
            restarts,
            is_probed: containers().all(|container| container.get("readinessProbe").is_some()),
        })
    }

    /// What dooms an object, if it lasts.
    pub fn suspects(&self, object: &'a Value, since: &str, others_come: bool) -> Vec<Suspect> {
        let (pods, makers) = self.pods_of(object);
        let mut suspects = Vec::new();
        let is_job = text(object, "/kind") == "Job";
        let mut n_evicted = 0;
        for pod in &pods {
            let uid = text(pod, "/metadata/uid");
            let Some(trouble) = pods::trouble(pod, self.warnings(uid), others_come) else {
                continue;
            };
            let Some(grace) = trouble.grace else { continue };
            let is_crash = matches!(trouble.cause, Cause::Crash | Cause::Memory);
            // A job has its own patience with pods that fail.
            if is_job && is_crash {
                continue;
            }
            if trouble.cause == Cause::Evicted {
                n_evicted += 1;
                // An evicted pod is replaced; one that is evicted again will be for ever.
                let is_alone = text(object, "/kind") == "Pod";
                if !is_alone && n_evicted < 2 {
                    continue;
                }
            }
            suspects.push(Suspect {
                who: uid.to_owned(),
                cause: trouble.cause,
                grace,
                reason: trouble.reason,
                pod: Some(text(pod, "/metadata/name").to_owned()),
            });
        }
        for maker in makers {
            let uid = text(maker, "/metadata/uid");
            let failed = self.warnings(uid).iter().rev().find(|warning| {
                text(warning, "/reason") == "FailedCreate" && time_of(warning) >= since
            });
            // Pods that are there say more than those that are not.
            if let (Some(failed), true) = (failed, pods.is_empty()) {
                suspects.push(Suspect {
                    who: uid.to_owned(),
                    cause: Cause::Config,
                    grace: Duration::from_secs(5),
                    reason: format!("no pod can be made: {}", text(failed, "/message")),
                    pod: None,
                });
            }
        }
        suspects
    }
}

fn owner(object: &Value) -> &str {
    let owners = super::plan::list(object, "/metadata/ownerReferences");
    owners.iter().find(|owner| owner["controller"] == true).map_or("", |owner| text(owner, "/uid"))
}

/// When an event happened last, as text that sorts by time.
pub fn time_of(event: &Value) -> &str {
    ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"]
        .iter()
        .map(|pointer| text(event, pointer))
        .find(|time| !time.is_empty())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "written in place")]
    fn owned(name: &str, by: &str, more: Value) -> Value {
        let mut object = json!({"metadata": {"name": name, "uid": name,
            "ownerReferences": [{"uid": by, "controller": true}]}});
        for (key, value) in more.as_object().unwrap() {
            object[key] = value.clone();
        }
        object
    }

    #[expect(clippy::needless_pass_by_value, reason = "written in place")]
    fn deployment(status: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "uid": "d", "generation": 1,
            "annotations": {"deployment.kubernetes.io/revision": "2"}}, "spec": {"replicas": 2}, "status": status})
    }

    fn set(name: &str, revision: &str) -> Value {
        let mut set = owned(name, "d", json!({}));
        set["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": revision});
        set
    }

    fn crashing() -> Value {
        json!({"status": {"containerStatuses": [{"name": "c", "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1}}}]}})
    }

    #[test]
    fn only_pods_of_the_new_version_count() {
        let object =
            deployment(json!({"observedGeneration": 1, "updatedReplicas": 2, "replicas": 2}));
        let sets = [set("old", "1"), set("new", "2")];
        let pods = [owned("a", "old", crashing()), owned("b", "new", json!({"status": {}}))];
        let scene = Scene::new(&pods, &sets, &[]);
        let Standing::Waiting { suspects, why, .. } = scene.standing(&object, "", false) else {
            panic!()
        };
        assert!(suspects.is_empty(), "{suspects:?}");
        assert!(why.contains("pod b: it waits for a node"), "{why}");
        let pods = [owned("a", "old", json!({"status": {}})), owned("b", "new", crashing())];
        let scene = Scene::new(&pods, &sets, &[]);
        let Standing::Waiting { suspects, .. } = scene.standing(&object, "", false) else {
            panic!()
        };
        assert_eq!(suspects[0].pod.as_deref(), Some("b"));
    }

    #[test]
    fn pods_that_cannot_be_made_are_told_unless_that_is_old() {
        let object = deployment(json!({"observedGeneration": 1}));
        let sets = [set("new", "2")];
        let event = json!({"reason": "FailedCreate", "message": "exceeded quota", "lastTimestamp": "2026-01-02T00:00:00Z",
            "involvedObject": {"uid": "new"}});
        let events = [event];
        let scene = Scene::new(&[], &sets, &events);
        let suspects = |since: &str| match scene.standing(&object, since, false) {
            Standing::Waiting { suspects, .. } => suspects.len(),
            Standing::Ready(_) | Standing::Failed(..) => panic!("it waits"),
        };
        assert_eq!((suspects("2026-01-01T00:00:00Z"), suspects("2026-01-03T00:00:00Z")), (1, 0));
    }

    #[test]
    fn an_evicted_pod_is_replaced_but_not_for_ever() {
        let evicted = json!({"status": {"phase": "Failed", "reason": "Evicted", "message": "m"}});
        let object = deployment(json!({"observedGeneration": 1}));
        let sets = [set("new", "2")];
        for (n, expected) in [(1, 0), (2, 1)] {
            let pods: Vec<Value> =
                (0..n).map(|n| owned(&format!("p{n}"), "new", evicted.clone())).collect();
            let scene = Scene::new(&pods, &sets, &[]);
            let Standing::Waiting { suspects, .. } = scene.standing(&object, "", false) else {
                panic!()
            };
            assert_eq!(suspects.len(), expected);
        }
    }
}
