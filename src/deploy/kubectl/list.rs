//! Touches listed: what each command reads and changes, by its own rule.

use serde_json::Value;

use super::host::pruned_kinds;
use super::request::{
    Apply, CanI, Create, Delete, Describe, DryRun, Exec, Forward, Get, Item, Logs, Mark, Named,
    Prune, Rollout, RolloutAction, Selection, SetEnv, Token, Top, Tunnel, Wait, Watch, What,
};
use super::touches::{ALL_NAMESPACES, INTO_PODS, TO_PORTS, TOKENS, Touch};
use crate::deploy::cluster::{builtin_by_kind, builtin_by_word};

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

/// A list of touches in the making.
pub(super) struct List<'a> {
    pub(super) home: &'a str,
    pub(super) touches: Vec<Touch>,
}

impl List<'_> {
    /// Many objects of a kind are looked at in one list.
    pub(super) fn apply(&mut self, apply: &Apply, is_platforms: bool) {
        self.items(&apply.items, apply_verbs(apply));
        if !apply.server_side {
            self.kinds();
        }
        if let Some(prune) = &apply.prune {
            self.prune(prune, is_platforms);
        }
    }

    pub(super) fn create(&mut self, create: &Create) {
        if let Some(from) = &create.from {
            self.word("get", &from.resource, Some(&from.name), false);
        }
        self.items(&create.items, create_verbs(create));
    }

    pub(super) fn replace(&mut self, create: &Create) {
        self.items(&create.items, replace_verbs(create));
    }

    pub(super) fn get(&mut self, get: &Get) {
        if get.watch == Watch::No {
            self.selection(&get.selection, &["get"], &["list"]);
        } else {
            self.selection(&get.selection, &["get", "list", "watch"], &["list", "watch"]);
        }
    }

    pub(super) fn delete(&mut self, delete: &Delete) {
        if delete.dry_run == DryRun::Client {
            self.selection(&delete.selection, &["get"], &["list"]);
        } else {
            self.selection(&delete.selection, &["get", "delete"], &["list", "get", "delete"]);
        }
    }

    pub(super) fn set_env(&mut self, set: &SetEnv) {
        if let Some(from) = &set.from {
            self.word("get", &from.resource, Some(&from.name), false);
        }
        self.change(&set.selection, if set.list { DryRun::Client } else { set.dry_run });
    }

    pub(super) fn mark(&mut self, mark: &Mark) {
        self.change(&mark.selection, if mark.list { DryRun::Client } else { mark.dry_run });
    }

    /// The pods of what is named, and what is run in them.
    pub(super) fn exec(&mut self, exec: &Exec) {
        self.pods_of(&exec.target);
        self.subresource("create", INTO_PODS, None);
    }

    /// The pods of what is named, and connections to one of them.
    pub(super) fn forward(&mut self, forward: &Forward) {
        self.pods_of(&forward.target);
        self.subresource("create", TO_PORTS, None);
    }

    pub(super) fn tunnel(&mut self, tunnel: &Tunnel) {
        self.word("get", "pods", Some(&tunnel.pod), false);
        self.subresource("create", TO_PORTS, Some(&tunnel.pod));
    }

    pub(super) fn token(&mut self, token: &Token) {
        self.word("get", "serviceaccounts", Some(&token.account), false);
        self.subresource("create", TOKENS, Some(&token.account));
    }

    /// What is asked about must be granted, else the answer is no.
    pub(super) fn can_i(&mut self, ask: &CanI) {
        if ask.what.starts_with('/') {
            return;
        }
        let name = Some(ask.name.as_str()).filter(|name| !name.is_empty());
        self.word(known_verb(&ask.verb), &ask.what, name, ask.all_namespaces);
    }

    pub(super) fn top(&mut self, top: &Top) {
        let word = if top.nodes { "nodes" } else { "pods.metrics.k8s.io" };
        let verb = if top.name.is_some() { "get" } else { "list" };
        self.word(verb, word, top.name.as_deref(), top.all_namespaces);
        if !top.nodes && top.name.is_none() {
            // Where there are no metrics, the pods are looked at.
            self.word("list", "pods", None, top.all_namespaces);
        }
    }

    pub(super) fn wait(&mut self, wait: &Wait) {
        self.selection(&wait.selection, &["get", "watch"], &["list", "get", "watch"]);
    }

    pub(super) fn logs(&mut self, logs: &Logs) {
        if let Some(named) = &logs.target {
            self.pods_of(named);
        } else {
            self.word("list", "pods", None, false);
            self.word("get", "pods", None, false);
        }
    }

    /// An object and its pods.
    fn pods_of(&mut self, named: &Named) {
        self.word("get", &named.resource, Some(&named.name), false);
        self.word("list", "pods", None, false);
        self.word("get", "pods", None, false);
    }

    /// What is done to a part of objects: of one, or of whichever they are.
    fn subresource(&mut self, verb: &'static str, kind: &str, name: Option<&str>) {
        self.touches.push(Touch {
            verb,
            group: String::new(),
            kind: kind.to_owned(),
            namespace: Some(self.home.to_owned()),
            name: name.map(str::to_owned),
        });
    }

    pub(super) fn items(&mut self, items: &[Item], verbs: &[&'static str]) {
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

    /// What is described, and what is told beside it.
    pub(super) fn described(&mut self, describe: &Describe) {
        let named: &[&str] = if describe.prefix.is_some() { &["get", "list"] } else { &["get"] };
        self.selection(&describe.selection, named, &["list"]);
        let mut around: Vec<(&str, &str, &str, Option<String>)> = Vec::new();
        for touch in &self.touches {
            if touch.kind == "Namespace" && touch.group.is_empty() {
                let inside = touch.name.clone();
                around.push(("list", "", "ResourceQuota", inside.clone()));
                around.push(("list", "", "LimitRange", inside));
                continue;
            }
            let Some(namespace) = &touch.namespace else { continue };
            let of = |group, kind| ("list", group, kind, Some(namespace.clone()));
            around.push(of("", "Event"));
            match touch.kind.as_str() {
                "ReplicaSet"
                | "StatefulSet"
                | "DaemonSet"
                | "ReplicationController"
                | "PersistentVolumeClaim" => {
                    around.push(of("", "Pod"));
                }
                "Deployment" => around.push(of("apps", "ReplicaSet")),
                "Service" => around.push(of("discovery.k8s.io", "EndpointSlice")),
                "Ingress" => {
                    around.push(of("discovery.k8s.io", "EndpointSlice"));
                    around.push(("get", "", "Service", Some(namespace.clone())));
                }
                _ => {}
            }
        }
        for (verb, group, kind, namespace) in around {
            let (group, kind) = (group.to_owned(), kind.to_owned());
            let touch = Touch { verb, group, kind, namespace, name: None };
            if touch.namespace.is_some() && !self.touches.contains(&touch) {
                self.touches.push(touch);
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

    pub(super) fn change(&mut self, selection: &Selection, dry_run: DryRun) {
        if dry_run == DryRun::Client {
            self.selection(selection, &["get"], &["list"]);
        } else {
            self.selection(selection, &["get", "patch"], &["list", "patch"]);
        }
    }

    pub(super) fn rollout(&mut self, rollout: &Rollout) {
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
