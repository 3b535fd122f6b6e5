//! What a request would touch: the list a policy decides on, object by object.

use super::list::List;
use super::request::{ClusterChoice, Operation, Request};

/// The namespace of a touch that means all of them (`-A`). No namespace can have this name.
pub const ALL_NAMESPACES: &str = "*";

/// One object (or one kind of objects) that a request would read or change.
///
/// What is performed never goes beyond the touches: in the broker the connection itself refuses
/// requests outside of them ([`crate::deploy::cluster::ClusterSpec::fenced`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touch {
    /// As RBAC names it: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`,
    /// `deletecollection`.
    pub verb: &'static str,
    /// The API group; empty for the core group. For a type that is not built in: as written, or
    /// empty when the command line names none.
    pub group: String,
    /// The kind; for a type that is not built in, as written on the command line.
    pub kind: String,
    /// `None`: not in a namespace. `Some("")`: in the cluster's default namespace, since neither
    /// the object nor `-n` names one. [`ALL_NAMESPACES`]: in all of them. For kinds that are not
    /// built in, a namespace is assumed; the fence refuses them when that turns out wrong.
    pub namespace: Option<String>,
    /// The name; `None` for all of the kind.
    pub name: Option<String>,
}

/// The kind of a touch that runs something inside of a pod.
pub const INTO_PODS: &str = "pods/exec";

/// The kind of a touch that connects to a pod.
pub const TO_PORTS: &str = "pods/portforward";

/// The kind of a touch that gives the token of a service account away.
pub const TOKENS: &str = "serviceaccounts/token";

impl Request {
    /// Everything this request reads or changes.
    pub fn touches(&self) -> Vec<Touch> {
        let home = self.namespace.as_deref().unwrap_or_default();
        let mut list = List { home, touches: Vec::new() };
        match &self.operation {
            Operation::Apply(apply) => {
                list.apply(apply, !matches!(self.cluster, ClusterChoice::Own(_)));
            }
            Operation::Create(create) => list.create(create),
            Operation::Replace(create) => list.replace(create),
            Operation::Get(get) => list.get(get),
            Operation::Delete(delete) => list.delete(delete),
            Operation::Rollout(rollout) => list.rollout(rollout),
            Operation::SetImage(set) => list.change(&set.selection, set.dry_run),
            Operation::SetEnv(set) => list.set_env(set),
            Operation::Mark(mark) => list.mark(mark),
            Operation::Patch(patch) => list.change(&patch.selection, patch.dry_run),
            Operation::Exec(exec) => list.exec(exec),
            Operation::Forward(forward) => list.forward(forward),
            Operation::Tunnel(tunnel) => list.tunnel(tunnel),
            Operation::Token(token) => list.token(token),
            // The server is asked to do all but store.
            Operation::Diff(diff) => list.items(&diff.items, &["get", "create", "patch"]),
            Operation::CanI(ask) => list.can_i(ask),
            Operation::Describe(describe) => list.described(describe),
            Operation::Top(top) => list.top(top),
            Operation::Scale(scale) => list.change(&scale.selection, scale.dry_run),
            Operation::Wait(wait) => list.wait(wait),
            Operation::Logs(logs) => list.logs(logs),
            Operation::WhoAmI { .. }
            | Operation::Kinds(_)
            | Operation::Explain(_)
            | Operation::Raw(_)
            | Operation::CanIList { .. }
            | Operation::Versions
            | Operation::Version { .. }
            | Operation::ClusterInfo => {}
        }
        list.touches
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::deploy::kubectl::guest::tests_support::Tree;
    use crate::deploy::kubectl::{Parsed, parse};

    fn touches(line: &str, stdin: &str) -> Vec<String> {
        let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut input = stdin.as_bytes();
        let stdin: &mut dyn Read = &mut input;
        let Parsed::Remote(request) = parse(&argv, &Tree::new(&[]), stdin).unwrap() else {
            panic!("{line} is local");
        };
        let shown = |touch: &Touch| {
            format!(
                "{} {}.{} {} {}",
                touch.verb,
                touch.kind,
                touch.group,
                touch.namespace.as_deref().map_or("-".to_owned(), |name| format!("[{name}]")),
                touch.name.as_deref().unwrap_or("*"),
            )
        };
        request.touches().iter().map(shown).collect()
    }

    #[test]
    fn every_object_of_a_manifest_is_listed() {
        let list = "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Secret, \
                    metadata: {name: s, namespace: other}}, {apiVersion: v1, kind: namespace, \
                    metadata: {name: nn}}, {apiVersion: example.com/v1, kind: Widget, metadata: {name: w}}]}";
        assert_eq!(
            touches("create -f - -n shop", list),
            [
                "create Secret. [other] s",
                "create Namespace. - nn",
                "create Widget.example.com [shop] w",
            ]
        );
        assert_eq!(
            touches("apply -f -", "{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}}"),
            [
                "get Deployment.apps [] d",
                "create Deployment.apps [] d",
                "patch Deployment.apps [] d",
                "list Deployment.apps [] *",
            ]
        );
        assert_eq!(
            touches("create job j --from=cj/c -n a", ""),
            ["get CronJob.batch [a] c", "create Job.batch [a] j"]
        );
    }

    #[test]
    fn everything_a_command_line_names_is_listed() {
        assert_eq!(
            touches("get po,widgets.example.com -A", ""),
            ["list Pod. [*] *", "list widgets.example.com [*] *"]
        );
        assert_eq!(touches("get secrets.v1. x", ""), ["get Secret. [] x"]);
        assert_eq!(touches("delete ns x", ""), ["get Namespace. - x", "delete Namespace. - x"]);
        assert_eq!(
            touches("rollout undo deploy/x -n a", ""),
            [
                "get Deployment.apps [a] x",
                "patch Deployment.apps [a] x",
                "list ReplicaSet.apps [a] *",
                "list ControllerRevision.apps [a] *",
            ]
        );
        for (line, expected) in [
            ("label cm x a=b -n a", "get ConfigMap. [a] x, patch ConfigMap. [a] x"),
            ("label cm x --list -n a", "get ConfigMap. [a] x"),
            ("annotate ns x a=b", "get Namespace. - x, patch Namespace. - x"),
            ("patch deploy x -p {} -n a", "get Deployment.apps [a] x, patch Deployment.apps [a] x"),
            ("patch deploy x -p {} -n a --dry-run=client", "get Deployment.apps [a] x"),
            (
                "set env deploy/x --from=secret/s -n a",
                "get Secret. [a] s, get Deployment.apps [a] x, patch Deployment.apps [a] x",
            ),
            (
                "exec deploy/x -n a -- id",
                "get Deployment.apps [a] x, list Pod. [a] *, get Pod. [a] *, create pods/exec. [a] *",
            ),
            (
                "create token robot -n a",
                "get ServiceAccount. [a] robot, create serviceaccounts/token. [a] robot",
            ),
            ("auth can-i patch deploy/x -n a", "patch Deployment.apps [a] x"),
            ("auth can-i use foo -n a", "another verb foo. [a] *"),
            ("auth can-i get /logs", ""),
            (
                "describe deploy/x -n a",
                "get Deployment.apps [a] x, list Event. [a] *, list ReplicaSet.apps [a] *",
            ),
            (
                "describe ns x",
                "get Namespace. - x, list Namespace. - x, list ResourceQuota. [x] *, \
                 list LimitRange. [x] *",
            ),
            ("top pods -n a", "list pods.metrics.k8s.io [a] *, list Pod. [a] *"),
            ("top node x", "get Node. - x"),
            ("api-resources", ""),
        ] {
            assert_eq!(touches(line, "").join(", "), expected, "{line}");
        }
        assert_eq!(touches("get all", "").len(), 11);
        assert!(touches("version", "").is_empty());
    }
}
