//! Objects worked on side by side, told in their order. kubectl goes one by one; what a server
//! needs in order (a namespace before what lies in it) still comes in order.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde_json::Value;
use tokio::time::Instant;

use super::apply::Info;
use super::pace::{MOST, Pace, first};
use super::session::{Ground, Session};
use super::trouble::Trouble;
use super::workload::pod_spec;
use crate::deploy::cluster::Failure;
use crate::deploy::kubectl::request::Event;

/// For so long lines wait for others, which nobody sees.
const LULL: Duration = Duration::from_millis(25);

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

/// Does `work` for each object and hands each result to `done`, in order. Stops when told to.
pub async fn each<'a, T, W, F>(
    session: &mut Session<'a>,
    infos: Vec<Info>,
    work: W,
    mut done: impl FnMut(&mut Session<'a>, Result<T, Trouble>),
) -> Result<(), Trouble>
where
    W: Fn(Part<'a>, Info) -> F,
    F: Future<Output = (Part<'a>, Result<T, Trouble>)>,
{
    let ground = session.ground();
    let pace = Pace::new(first(&ground));
    for row in rows(infos) {
        let mut results = stream::iter(row)
            .map(|info| pace.at_its_turn(work(Part::new(ground.clone()), info)))
            .buffered(MOST);
        let mut told = Told::default();
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
            let Some((part, result)) = next else { break };
            if told.events.is_empty() {
                lull.as_mut().reset(Instant::now() + LULL);
            }
            told.add(part);
            match result {
                Err(stop @ Trouble::Network(Failure::Cancelled)) => {
                    told.tell(session);
                    return Err(stop);
                }
                result => done(session, result),
            }
        }
        told.tell(session);
    }
    Ok(())
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
fn rows(infos: Vec<Info>) -> Vec<Vec<Info>> {
    let mut rows: Vec<Vec<Info>> = Vec::new();
    let mut seen = HashSet::new();
    let mut accounts = HashSet::new();
    let mut is_open = false;
    for info in infos {
        let id = (
            info.mapping.group.clone(),
            info.mapping.kind.clone(),
            info.namespace.clone(),
            info.name.clone(),
        );
        let alone = ALONE.contains(&info.mapping.kind.as_str());
        let waits = account_of(&info).is_some_and(|name| accounts.contains(name));
        let account = (info.mapping.kind == "ServiceAccount").then(|| info.name.clone());
        match rows.last_mut() {
            Some(row) if is_open && !alone && !waits && seen.insert(id.clone()) => row.push(info),
            _ => {
                seen.clear();
                accounts.clear();
                seen.insert(id);
                rows.push(vec![info]);
                is_open = !alone;
            }
        }
        accounts.extend(account);
    }
    rows
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
}
