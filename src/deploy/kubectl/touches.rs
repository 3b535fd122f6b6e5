//! What a request would touch: the list a policy decides on, object by object.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::host::pruned_kinds;
use super::request::{
    Apply, ClusterChoice, Create, DryRun, Item, Mark, Marks, Operation, Prune, Request, Rollout,
    RolloutAction, Selection, Watch, What,
};
use crate::deploy::cluster::{builtin_by_kind, builtin_by_word};

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

/// What `all` stands for among the built-in kinds.
const ALL: &[&str] = &[
    "pods",
    "replicationcontrollers",
    "services",
    "daemonsets",
    "deployments",
    "replicasets",
    "statefulsets",
    "horizontalpodautoscalers",
    "cronjobs",
    "jobs",
];

impl Request {
    /// Everything this request reads or changes.
    #[expect(clippy::too_many_lines, reason = "one arm an operation")]
    pub fn touches(&self) -> Vec<Touch> {
        let home = self.namespace.as_deref().unwrap_or_default();
        let mut list = List { home, touches: Vec::new() };
        match &self.operation {
            Operation::Apply(apply) => {
                list.items(&apply.items, apply_verbs(apply));
                // Many objects of a kind are looked at in one list.
                if !apply.server_side {
                    list.kinds();
                }
                if let Some(prune) = &apply.prune {
                    list.prune(prune, !matches!(self.cluster, ClusterChoice::Own(_)));
                }
            }
            Operation::Create(create) => {
                if let Some(from) = &create.from {
                    list.word("get", &from.resource, Some(&from.name), false);
                }
                list.items(&create.items, create_verbs(create));
            }
            Operation::Replace(create) => list.items(&create.items, replace_verbs(create)),
            Operation::Get(get) if get.watch == Watch::No => {
                list.selection(&get.selection, &["get"], &["list"]);
            }
            Operation::Get(get) => {
                list.selection(&get.selection, &["get", "list", "watch"], &["list", "watch"]);
            }
            Operation::Delete(delete) if delete.dry_run == DryRun::Client => {
                list.selection(&delete.selection, &["get"], &["list"]);
            }
            Operation::Delete(delete) => {
                list.selection(&delete.selection, &["get", "delete"], &["list", "get", "delete"]);
            }
            Operation::Rollout(rollout) => list.rollout(rollout),
            Operation::SetImage(set) => list.change(&set.selection, set.dry_run),
            Operation::SetEnv(set) => {
                if let Some(from) = &set.from {
                    list.word("get", &from.resource, Some(&from.name), false);
                }
                let looks = if set.list { DryRun::Client } else { set.dry_run };
                list.change(&set.selection, looks);
            }
            Operation::Mark(mark) => {
                let looks = if mark.list { DryRun::Client } else { mark.dry_run };
                list.change(&mark.selection, looks);
            }
            Operation::Patch(patch) => list.change(&patch.selection, patch.dry_run),
            Operation::Exec(exec) => {
                list.word("get", &exec.target.resource, Some(&exec.target.name), false);
                list.word("list", "pods", None, false);
                list.word("get", "pods", None, false);
                list.subresource("create", INTO_PODS);
            }
            // The server is asked to do all but store.
            Operation::Diff(diff) => list.items(&diff.items, &["get", "create", "patch"]),
            // What is asked about must be granted, else the answer is no.
            Operation::CanI(ask) if !ask.what.starts_with('/') => {
                let name = Some(ask.name.as_str()).filter(|name| !name.is_empty());
                list.word(known_verb(&ask.verb), &ask.what, name, ask.all_namespaces);
            }
            Operation::Top(top) => {
                let word = if top.nodes { "nodes" } else { "pods.metrics.k8s.io" };
                let verb = if top.name.is_some() { "get" } else { "list" };
                list.word(verb, word, top.name.as_deref(), top.all_namespaces);
            }
            Operation::Scale(scale) => list.change(&scale.selection, scale.dry_run),
            Operation::Wait(wait) => {
                list.selection(&wait.selection, &["get", "watch"], &["list", "get", "watch"]);
            }
            Operation::Logs(logs) => {
                let pod = |name: Option<&str>| ("pods", name.map(str::to_owned));
                if let Some(named) = &logs.target {
                    list.word("get", &named.resource, Some(&named.name), false);
                    list.word("list", "pods", None, false);
                    list.word("get", "pods", None, false);
                } else {
                    let (word, name) = pod(None);
                    list.word("list", word, name.as_deref(), false);
                    list.word("get", word, name.as_deref(), false);
                }
            }
            Operation::CanI(_)
            | Operation::WhoAmI { .. }
            | Operation::Kinds(_)
            | Operation::Versions
            | Operation::Version { .. }
            | Operation::ClusterInfo => {}
        }
        list.touches
    }

    /// The objects that this request would create or change, for decisions by content
    /// ([`crate::deploy::security::baseline`]). Of a label or an annotation only that is known. What
    /// a patch makes of an object is known on the server alone: see
    /// [`crate::deploy::cluster::ClusterSpec::guarded`].
    pub fn objects(&self) -> Vec<Cow<'_, Value>> {
        let items = match &self.operation {
            Operation::Apply(apply) => &apply.items,
            Operation::Create(create) | Operation::Replace(create) => &create.items,
            Operation::Diff(diff) => &diff.items,
            Operation::Mark(mark) => return marked(mark),
            Operation::Get(_)
            | Operation::Delete(_)
            | Operation::Rollout(_)
            | Operation::SetImage(_)
            | Operation::SetEnv(_)
            | Operation::Patch(_)
            | Operation::Scale(_)
            | Operation::Wait(_)
            | Operation::Logs(_)
            | Operation::Exec(_)
            | Operation::CanI(_)
            | Operation::WhoAmI { .. }
            | Operation::Kinds(_)
            | Operation::Versions
            | Operation::Top(_)
            | Operation::Version { .. }
            | Operation::ClusterInfo => return Vec::new(),
        };
        items
            .iter()
            .filter_map(|item| match item {
                Item::Object(manifest) => Some(Cow::Borrowed(&manifest.object)),
                Item::Error(_) => None,
            })
            .collect()
    }
}

/// What is marked, with the marks that change and no more.
fn marked(mark: &Mark) -> Vec<Cow<'_, Value>> {
    if mark.list {
        return Vec::new();
    }
    let removed = mark.remove.iter().map(|key| (key.clone(), json!("")));
    let marks: Map<String, Value> =
        mark.set.iter().map(|(key, value)| (key.clone(), json!(value))).chain(removed).collect();
    let field = match mark.what {
        Marks::Labels => "labels",
        Marks::Annotations => "annotations",
    };
    let object = |kind: &str, name: &str| {
        Cow::Owned(json!({ "kind": kind, "metadata": { "name": name, (field): marks } }))
    };
    let by_word = |word: &str, name: &str| {
        object(builtin_by_word(word).map_or(word, |builtin| builtin.kind), name)
    };
    match &mark.selection.what {
        What::Types(words) => words.iter().map(|word| by_word(word, "")).collect(),
        What::Names(names) => {
            names.iter().map(|named| by_word(&named.resource, &named.name)).collect()
        }
        What::Files(items) => items
            .iter()
            .filter_map(|item| match item {
                Item::Object(manifest) => {
                    let text = |pointer: &str| {
                        manifest.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
                    };
                    Some(object(text("/kind"), text("/metadata/name")))
                }
                Item::Error(_) => None,
            })
            .collect(),
    }
}

/// A verb that a policy knows, or one that it does not.
fn known_verb(verb: &str) -> &'static str {
    const VERBS: [&str; 8] =
        ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
    VERBS.into_iter().find(|known| *known == verb).unwrap_or("another verb")
}

fn apply_verbs(apply: &Apply) -> &'static [&'static str] {
    match (apply.dry_run, apply.force) {
        (DryRun::Client, _) => &["get"],
        (_, true) => &["get", "create", "patch", "delete"],
        (_, false) => &["get", "create", "patch"],
    }
}

fn create_verbs(create: &Create) -> &'static [&'static str] {
    if create.dry_run == DryRun::Client { &["get"] } else { &["create"] }
}

fn replace_verbs(create: &Create) -> &'static [&'static str] {
    match (create.dry_run, create.force) {
        (DryRun::Client, _) => &["get"],
        (_, true) => &["get", "delete", "create"],
        (_, false) => &["get", "update"],
    }
}

struct List<'a> {
    home: &'a str,
    touches: Vec<Touch>,
}

impl List<'_> {
    /// What is done inside of pods, whichever they are.
    fn subresource(&mut self, verb: &'static str, kind: &str) {
        self.touches.push(Touch {
            verb,
            group: String::new(),
            kind: kind.to_owned(),
            namespace: Some(self.home.to_owned()),
            name: None,
        });
    }

    fn items(&mut self, items: &[Item], verbs: &[&'static str]) {
        for item in items {
            if let Item::Object(manifest) = item {
                self.object(&manifest.object, verbs);
            }
        }
    }

    /// What may go: all of some kinds in the namespaces of what is applied. Of an inventory it is
    /// not known here what it holds: of what is pruned by default, and the kinds of the input.
    fn prune(&mut self, prune: &Prune, is_platforms: bool) {
        let mut places: Vec<Option<String>> = vec![Some(self.home.to_owned())];
        let mut kinds: Vec<(String, String)> = Vec::new();
        for touch in &self.touches {
            if touch.namespace.is_some() && !places.contains(&touch.namespace) {
                places.push(touch.namespace.clone());
            }
            let kind = (touch.group.clone(), touch.kind.clone());
            if prune.set.is_some() && touch.namespace.is_some() && !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        if let Some(parent) = &prune.set {
            for verb in ["get", "create", "patch"] {
                self.word(verb, &parent.resource, Some(&parent.name), false);
            }
        }
        let all = pruned_kinds(&prune.kinds, is_platforms);
        kinds.extend(all.into_iter().map(|(group, _, kind)| (group, kind)));
        for (group, kind) in kinds {
            let outside = builtin_by_kind(&group, &kind).is_some_and(|builtin| !builtin.namespaced);
            let places = if outside { vec![None] } else { places.clone() };
            for namespace in places {
                for verb in ["list", "delete"] {
                    self.touches.push(Touch {
                        verb,
                        group: group.clone(),
                        kind: kind.clone(),
                        namespace: namespace.clone(),
                        name: None,
                    });
                }
            }
        }
    }

    /// The kinds of what is read by now, as lists.
    fn kinds(&mut self) {
        let mut kinds: Vec<Touch> = Vec::new();
        for touch in self.touches.iter().filter(|touch| touch.namespace.is_some()) {
            let kind = Touch { verb: "list", name: None, ..touch.clone() };
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        self.touches.extend(kinds);
    }

    fn object(&mut self, object: &Value, verbs: &[&'static str]) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let version = text("/apiVersion").unwrap_or_default();
        let group = version.rsplit_once('/').map_or("", |(group, _)| group);
        let written = text("/kind").unwrap_or_default();
        let builtin = builtin_by_kind(group, written);
        let namespace = match builtin {
            Some(builtin) if !builtin.namespaced => None,
            Some(_) | None => {
                let named = text("/metadata/namespace").filter(|name| !name.is_empty());
                Some(named.unwrap_or(self.home).to_owned())
            }
        };
        for verb in verbs {
            self.touches.push(Touch {
                verb,
                group: group.to_owned(),
                kind: builtin.map_or(written, |builtin| builtin.kind).to_owned(),
                namespace: namespace.clone(),
                name: text("/metadata/name").map(str::to_owned),
            });
        }
    }

    fn word(&mut self, verb: &'static str, word: &str, name: Option<&str>, everywhere: bool) {
        let builtin = builtin_by_word(word);
        let namespace = match builtin {
            Some(builtin) if !builtin.namespaced => None,
            Some(_) | None if everywhere => Some(ALL_NAMESPACES.to_owned()),
            Some(_) | None => Some(self.home.to_owned()),
        };
        let (kind, group) = match builtin {
            Some(builtin) => (builtin.kind, builtin.group),
            None => word.split_once('.').unwrap_or((word, "")),
        };
        self.touches.push(Touch {
            verb,
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace,
            name: name.map(str::to_owned),
        });
    }

    fn selection(
        &mut self,
        selection: &Selection,
        named: &[&'static str],
        by_type: &[&'static str],
    ) {
        match &selection.what {
            What::Files(items) => self.items(items, named),
            What::Names(names) => {
                for one in names {
                    for verb in named {
                        self.word(verb, &one.resource, Some(&one.name), selection.all_namespaces);
                    }
                }
            }
            What::Types(words) => {
                for word in words {
                    let mut all = vec![word.as_str()];
                    if word == "all" {
                        all.extend(ALL);
                    }
                    for word in all {
                        for verb in by_type {
                            self.word(verb, word, None, selection.all_namespaces);
                        }
                    }
                }
            }
        }
    }

    fn change(&mut self, selection: &Selection, dry_run: DryRun) {
        if dry_run == DryRun::Client {
            self.selection(selection, &["get"], &["list"]);
        } else {
            self.selection(selection, &["get", "patch"], &["list", "patch"]);
        }
    }

    fn rollout(&mut self, rollout: &Rollout) {
        let selection = &rollout.selection;
        match &rollout.action {
            RolloutAction::Status { .. } => {
                self.selection(selection, &["get", "watch"], &["list", "get", "watch"]);
            }
            RolloutAction::History { .. } => {
                self.selection(selection, &["get"], &["list"]);
                self.revisions();
            }
            RolloutAction::Undo { .. } => {
                self.selection(selection, &["get", "patch"], &["list", "patch"]);
                self.revisions();
            }
            RolloutAction::Restart | RolloutAction::Pause | RolloutAction::Resume => {
                self.selection(selection, &["get", "patch"], &["list", "patch"]);
            }
        }
    }

    fn revisions(&mut self) {
        self.word("list", "replicasets", None, false);
        self.word("list", "controllerrevisions", None, false);
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
    #[expect(clippy::too_many_lines, reason = "one arm an operation")]
    fn every_object_that_is_read_or_changed_is_listed() {
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
        assert_eq!(
            touches("create job j --from=cj/c -n a", ""),
            ["get CronJob.batch [a] c", "create Job.batch [a] j"]
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
            ("auth can-i patch deploy/x -n a", "patch Deployment.apps [a] x"),
            ("auth can-i use foo -n a", "another verb foo. [a] *"),
            ("auth can-i get /logs", ""),
            ("top pods -n a", "list pods.metrics.k8s.io [a] *"),
            ("top node x", "get Node. - x"),
            ("api-resources", ""),
        ] {
            assert_eq!(touches(line, "").join(", "), expected, "{line}");
        }
        assert_eq!(touches("get all", "").len(), 11);
        assert!(touches("version", "").is_empty());
    }

    #[test]
    fn of_what_is_marked_the_marks_are_known() {
        let argv = ["label", "ns", "x", "a=b", "c-"].map(str::to_owned);
        let parsed = parse(&argv, &Tree::new(&[]), &mut std::io::empty()).unwrap();
        let Parsed::Remote(request) = parsed else { panic!("it is local") };
        let labels = json!({"a": "b", "c": ""});
        let marked = json!({"kind": "Namespace", "metadata": {"name": "x", "labels": labels}});
        assert_eq!(request.objects(), [Cow::<Value>::Owned(marked)]);
    }
}
