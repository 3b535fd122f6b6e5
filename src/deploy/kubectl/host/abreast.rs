//! Objects worked on side by side, told in their order. kubectl goes one by one; what a server
//! needs in order (a namespace before what lies in it) still comes in order.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde_json::Value;
use tokio::time::Instant;

use super::info::Info;
use super::session::{Ground, Session};
use super::trouble::Trouble;
use super::workload::pod_spec;
use crate::deploy::cluster::Failure;
use crate::deploy::kubectl::request::Event;

/// For so long lines wait for others, which nobody sees.
const LULL: Duration = Duration::from_millis(25);

/// So many requests go side by side to a server that is near, at least and at most: more would only wait
/// there for each other.
const NEAR: (usize, usize) = (4, 16);
/// For so many objects a connection to it is worth what opening it costs.
const WORTH: usize = 32;
/// So many go to a server that is far away, where most of the time is the way.
const FAR: usize = 32;

/// Kinds that others need to be there, or that change what is allowed: all before them is done
/// first, and all behind them waits.
const ALONE: &[&str] = &[
    "Namespace",
    "CustomResourceDefinition",
    "APIService",
    "ResourceQuota",
    "LimitRange",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

/// Kinds that refer to others, and those on which a controller goes to work at once. Begun after all
/// else, in this order, they find what they refer to, and that work is not in the way of what is left.
const LATE: &[&[&str]] = &[
    &["Service"],
    &["Ingress"],
    &[
        "Pod",
        "ReplicationController",
        "ReplicaSet",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "Job",
        "CronJob",
    ],
    &["HorizontalPodAutoscaler"],
];

/// In which order objects that need not wait for each other are begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they stand.
    AsGiven,
    /// Those last that refer to others.
    ByNeed,
}

/// Does `work` for each object and hands each result to `done`, in order. Stops when told to.
pub async fn each<'a, I, T, W, F>(
    session: &mut Session<'a>,
    (items, order): (Vec<I>, Order),
    work: W,
    mut done: impl FnMut(&mut Session<'a>, Result<T, Trouble>),
) -> Result<(), Trouble>
where
    I: AsRef<Info>,
    W: Fn(Part<'a>, I) -> F,
    F: Future<Output = (Part<'a>, Result<T, Trouble>)>,
{
    let ground = session.ground();
    for row in rows(items) {
        let width = width(row.len(), ground.is_near());
        let mut results = stream::iter(begun(row, order))
            .map(|(place, item)| {
                // A future is moved several times before it runs, and this one is large.
                let work = Box::pin(work(Part::new(ground.clone()), item));
                async move { (place, work.await) }
            })
            .buffer_unordered(width);
        let mut told = Told::default();
        let mut early = BTreeMap::new();
        let mut next_place = 0;
        let lull = tokio::time::sleep(LULL);
        tokio::pin!(lull);
        loop {
            let next = tokio::select! {
                biased;
                next = results.next() => next,
                () = &mut lull, if !told.events.is_empty() => {
                    told.tell(session);
                    continue;
                }
            };
            let Some((place, result)) = next else { break };
            let is_stop = matches!(result.1, Err(Trouble::Network(Failure::Cancelled)));
            early.insert(place, result);
            while let Some((at, (part, result))) = early.pop_first() {
                // What is told is in order; of what is stopped, all that was done is told.
                if at != next_place && !is_stop {
                    early.insert(at, (part, result));
                    break;
                }
                next_place = at + 1;
                if told.events.is_empty() {
                    lull.as_mut().reset(Instant::now() + LULL);
                }
                told.add(part);
                if !matches!(result, Err(Trouble::Network(Failure::Cancelled))) {
                    done(session, result);
                }
            }
            if is_stop {
                told.tell(session);
                return Err(Trouble::Network(Failure::Cancelled));
            }
        }
        told.tell(session);
    }
    Ok(())
}

/// How many requests for so many objects go side by side.
fn width(n_objects: usize, is_near: bool) -> usize {
    if is_near { (n_objects / WORTH).clamp(NEAR.0, NEAR.1) } else { FAR }
}

/// A row's objects, each with its place in it, in the order in which they are begun.
fn begun<I: AsRef<Info>>(row: Vec<I>, order: Order) -> Vec<(usize, I)> {
    let mut begun: Vec<(usize, I)> = row.into_iter().enumerate().collect();
    if order == Order::ByNeed {
        begun.sort_by_key(|(_, item)| lateness(&item.as_ref().mapping.kind));
    }
    begun
}

fn lateness(kind: &str) -> usize {
    LATE.iter().position(|kinds| kinds.contains(&kind)).map_or(0, |at| at + 1)
}

/// What was done and is not told yet. Lines that come together are told together: to write each on its
/// own takes longer than to make it.
#[derive(Default)]
struct Told {
    events: Vec<Event>,
    unreachable: bool,
}

impl Told {
    fn add(&mut self, part: Part<'_>) {
        self.events.extend(part.told);
        self.unreachable |= part.unreachable;
    }

    fn tell(&mut self, session: &mut Session<'_>) {
        session.tell(std::mem::take(&mut self.events));
        session.note(self.unreachable);
    }
}

/// One object's part of a request.
pub struct Part<'a> {
    ground: Ground<'a>,
    told: Vec<Event>,
    unreachable: bool,
}

impl<'a> Part<'a> {
    /// A part that has told nothing yet.
    pub fn new(ground: Ground<'a>) -> Self {
        Self { ground, told: Vec::new(), unreachable: false }
    }

    /// Tells what it told.
    pub fn end(self, session: &mut Session<'_>) {
        session.tell(self.told);
        session.note(self.unreachable);
    }

    /// Runs something with a session of its own, and keeps what it tells.
    pub async fn run<T>(
        mut self,
        work: impl AsyncFnOnce(&mut Session<'_>) -> Result<T, Trouble>,
    ) -> (Self, Result<T, Trouble>) {
        let told = &mut self.told;
        let mut emit = |event| told.push(event);
        let mut session = self.ground.session(&mut emit);
        let result = work(&mut session).await;
        let unreachable = session.unreachable();
        drop(session);
        self.unreachable = unreachable;
        (self, result)
    }
}

/// Objects in rows, each to be done before the next. In a row no object stands twice.
fn rows<I: AsRef<Info>>(items: Vec<I>) -> Vec<Vec<I>> {
    let begin = begin_rows(&items);
    let mut rows: Vec<Vec<I>> = Vec::new();
    for (item, is_first) in items.into_iter().zip(begin) {
        match rows.last_mut() {
            Some(row) if !is_first => row.push(item),
            _ => rows.push(vec![item]),
        }
    }
    rows
}

/// True for each object that begins a row.
fn begin_rows<I: AsRef<Info>>(items: &[I]) -> Vec<bool> {
    let mut seen = HashSet::new();
    let mut accounts = HashSet::new();
    let mut is_open = false;
    let mut begin = Vec::with_capacity(items.len());
    for info in items.iter().map(AsRef::as_ref) {
        let kind = info.mapping.kind.as_str();
        let id = (info.mapping.group.as_str(), kind, info.namespace.as_str(), info.name.as_str());
        let alone = ALONE.contains(&kind);
        let waits = account_of(info).is_some_and(|name| accounts.contains(name));
        let goes_on = is_open && !alone && !waits && seen.insert(id);
        if !goes_on {
            seen.clear();
            accounts.clear();
            seen.insert(id);
            is_open = !alone;
        }
        if kind == "ServiceAccount" {
            accounts.insert(info.name.as_str());
        }
        begin.push(!goes_on);
    }
    begin
}

/// The service account that must be there before an object is: its pods are refused without it, and
/// its token would be removed.
fn account_of(info: &Info) -> Option<&str> {
    let kind = info.mapping.kind.as_str();
    if kind == "Secret" {
        let annotations = info.object.get("metadata")?.get("annotations")?;
        return annotations.get("kubernetes.io/service-account.name")?.as_str();
    }
    let pod = info.object.pointer(pod_spec(kind)?)?;
    Some(pod.get("serviceAccountName").and_then(Value::as_str).unwrap_or("default"))
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::deploy::cluster::Mapping;

    fn info(kind: &str, name: &str) -> Info {
        let mapping = Mapping {
            group: String::new(),
            version: "v1".to_owned(),
            kind: kind.to_owned(),
            plural: String::new(),
            singular: String::new(),
            short: [].into(),
            categories: [].into(),
            namespaced: true,
            verbs: [].into(),
        };
        Info {
            mapping,
            object: Value::Null,
            source: String::new(),
            namespace: "n".to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn a_server_that_is_near_gets_no_more_connections_than_pay() {
        let widths = |is_near| [1, 100, 300, 1000, 9000].map(|n_objects| width(n_objects, is_near));
        assert_eq!(widths(true), [4, 4, 9, 16, 16]);
        assert_eq!(widths(false), [32; 5]);
    }

    #[test]
    fn what_others_need_is_done_alone_and_nothing_overtakes_itself() {
        let objects = [
            ("ConfigMap", "a"),
            ("ConfigMap", "b"),
            ("Namespace", "n"),
            ("Secret", "a"),
            ("ConfigMap", "a"),
            ("ConfigMap", "a"),
        ];
        let rows = rows(objects.iter().map(|(kind, name)| info(kind, name)).collect());
        let shown: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                row.iter().map(|info| format!("{}/{}", info.mapping.kind, info.name)).collect()
            })
            .collect();
        assert_eq!(
            shown,
            [
                vec!["ConfigMap/a", "ConfigMap/b"],
                vec!["Namespace/n"],
                vec!["Secret/a", "ConfigMap/a"],
                vec!["ConfigMap/a"],
            ]
        );
    }

    #[test]
    fn what_refers_to_others_is_begun_last_and_else_all_as_it_stands() {
        let row = || {
            let objects = [
                ("HorizontalPodAutoscaler", "a"),
                ("Deployment", "a"),
                ("Widget", "a"),
                ("Ingress", "a"),
                ("Service", "a"),
                ("Deployment", "b"),
                ("ConfigMap", "a"),
            ];
            objects.iter().map(|(kind, name)| info(kind, name)).collect::<Vec<_>>()
        };
        let places = |order| begun(row(), order).into_iter().map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!(places(Order::ByNeed), [2, 6, 4, 3, 1, 5, 0]);
        assert_eq!(places(Order::AsGiven), [0, 1, 2, 3, 4, 5, 6]);
    }
}
