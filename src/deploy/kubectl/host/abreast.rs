//! Objects worked on side by side, told in their order. kubectl goes one by one; what a server
//! needs in order (a namespace before what lies in it) still comes in order.

use futures_util::stream::{self, StreamExt};

use super::apply::Info;
use super::session::Session;
use super::trouble::Trouble;
use crate::deploy::cluster::Failure;
use crate::deploy::kubectl::request::Event;

/// Requests in flight: enough to hide a round trip, few enough for the server's own limits.
const ABREAST: usize = 16;

/// Kinds that others need to be there, or that change what is allowed: all before them is done
/// first, and all behind them waits.
const ALONE: &[&str] = &[
    "Namespace",
    "CustomResourceDefinition",
    "APIService",
    "ServiceAccount",
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
    for row in rows(infos) {
        let ground = session.ground();
        let mut results = stream::iter(row)
            .map(|info| {
                work(Part { ground: ground.clone(), told: Vec::new(), unreachable: false }, info)
            })
            .buffered(ABREAST);
        while let Some((part, result)) = results.next().await {
            session.tell(part.told);
            session.note(part.unreachable);
            match result {
                Err(stop @ Trouble::Network(Failure::Cancelled)) => return Err(stop),
                result => done(session, result),
            }
        }
    }
    Ok(())
}

/// One object's part of a request.
pub struct Part<'a> {
    ground: super::session::Ground<'a>,
    told: Vec<Event>,
    unreachable: bool,
}

impl Part<'_> {
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
    let mut seen = std::collections::HashSet::new();
    let mut is_open = false;
    for info in infos {
        let id = (
            info.mapping.group.clone(),
            info.mapping.kind.clone(),
            info.namespace.clone(),
            info.name.clone(),
        );
        let alone = ALONE.contains(&info.mapping.kind.as_str());
        match rows.last_mut() {
            Some(row) if is_open && !alone && seen.insert(id.clone()) => row.push(info),
            _ => {
                seen.clear();
                seen.insert(id);
                rows.push(vec![info]);
                is_open = !alone;
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::deploy::cluster::Mapping;

    fn info(kind: &str, name: &str) -> Info {
        let mapping = Mapping {
            group: String::new(),
            version: "v1".to_owned(),
            kind: kind.to_owned(),
            plural: String::new(),
            singular: String::new(),
            short: Vec::new(),
            categories: Vec::new(),
            namespaced: true,
            verbs: Vec::new(),
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
