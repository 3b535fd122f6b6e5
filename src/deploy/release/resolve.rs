//! From objects as written to objects that have found their kind and namespace.

use serde_json::{Value, json};

use super::event::{Finding, Topic};
use super::plan::{list, text};
use super::removed::removed;
use super::waves::Wave;
use crate::deploy::cluster::{Discovery, Mapping, Target};
use crate::near;

/// An object of the plan that has found its kind.
#[derive(Debug, Clone)]
pub struct Thing {
    /// Its number in the plan.
    pub index: usize,
    /// Its kind; for one that is still to be defined by this deploy, what its definition says.
    pub mapping: Mapping,
    /// The object, its namespace set.
    pub object: Value,
    /// Its namespace; empty for kinds without.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its wave.
    pub wave: Wave,
    /// True when this deploy defines its kind: the server does not know it yet.
    pub is_undefined: bool,
}

impl Thing {
    /// Where it is on the server.
    pub fn target(&self) -> Target<'_> {
        Target {
            mapping: &self.mapping,
            namespace: &self.namespace,
            name: &self.name,
            subresource: "",
        }
    }

    /// `Deployment shop/web`, `Namespace shop`.
    pub fn told(&self) -> String {
        let Self { mapping: Mapping { kind, .. }, namespace, name, .. } = self;
        if namespace.is_empty() {
            format!("{kind} {name}")
        } else {
            format!("{kind} {namespace}/{name}")
        }
    }

    /// True for a kind of a group.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.mapping.group == group && self.mapping.kind == kind
    }

    /// The pod that it makes: the template's metadata and spec, and the pointer to it.
    pub fn pod(&self) -> Option<(&Value, &'static str)> {
        pod(&self.object)
    }
}

/// The pod template of an object, and the pointer to it.
pub fn pod(object: &Value) -> Option<(&Value, &'static str)> {
    let pointer = match text(object, "/kind") {
        "Pod" => return Some((object, "")),
        "Deployment"
        | "StatefulSet"
        | "DaemonSet"
        | "ReplicaSet"
        | "ReplicationController"
        | "Job" => "/spec/template",
        "CronJob" => "/spec/jobTemplate/spec/template",
        _ => return None,
    };
    Some((object.pointer(pointer)?, pointer))
}

/// Gives every object its kind and namespace; what cannot be is found. `default` is the namespace of
/// what names none; `enforced` is true when `-n` was given.
pub fn resolve(
    objects: &[Value],
    discovery: &Discovery,
    default: &str,
    enforced: bool,
) -> (Vec<Thing>, Vec<Finding>) {
    let mut things = Vec::new();
    let mut findings = Vec::new();
    let defined = definitions(objects);
    let mut seen: Vec<(String, String, String, String)> = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        let (version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
        let found = discovery.by_kind(version, kind).cloned();
        let is_undefined = found.is_none();
        let by_this = || {
            let of_kind =
                |mapping: &&Mapping| mapping.api_version() == version && mapping.kind == kind;
            defined.iter().find(of_kind).cloned()
        };
        let Some(mapping) = found.or_else(by_this) else {
            findings.push(unknown(index, version, kind, discovery));
            continue;
        };
        let name = text(object, "/metadata/name").to_owned();
        if name.is_empty() {
            let generated = !text(object, "/metadata/generateName").is_empty();
            let what = if generated {
                format!("{kind} has a `generateName`: a deploy needs names that stay")
            } else {
                format!("{kind} has no `metadata.name`")
            };
            let finding = Finding::error(Topic::Manifest, index, "/metadata", what);
            findings.push(finding.hint("give it a `metadata.name`"));
            continue;
        }
        let namespace = match (mapping.namespaced, text(object, "/metadata/namespace")) {
            (false, _) => String::new(),
            (true, "") => default.to_owned(),
            (true, named) => named.to_owned(),
        };
        if mapping.namespaced && enforced && namespace != default {
            let what = format!(
                "{kind} `{name}` names namespace `{namespace}`, but the deploy is for `{default}` (`-n`)"
            );
            let finding = Finding::error(Topic::Manifest, index, "/metadata/namespace", what);
            findings.push(finding.hint("leave `metadata.namespace` out, or deploy without `-n`"));
        }
        let key = (mapping.group.clone(), kind.to_owned(), namespace.clone(), name.clone());
        if seen.contains(&key) {
            let what = format!("{kind} `{name}` stands in the manifests twice");
            let finding = Finding::error(Topic::Manifest, index, "/metadata/name", what);
            findings.push(finding.hint("leave one of the two out"));
            continue;
        }
        seen.push(key);
        let mut object = object.clone();
        place(&mut object, &namespace);
        let wave = Wave::of(version, kind);
        things.push(Thing { index, mapping, object, namespace, name, wave, is_undefined });
    }
    (things, findings)
}

/// Sets or removes an object's namespace; what only a server writes is left out.
fn place(object: &mut Value, namespace: &str) {
    let Some(map) = object.as_object_mut() else { return };
    map.remove("status");
    let metadata = map.entry("metadata").or_insert_with(|| json!({}));
    let Some(metadata) = metadata.as_object_mut() else { return };
    for key in ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"] {
        metadata.remove(key);
    }
    if namespace.is_empty() {
        metadata.remove("namespace");
    } else {
        metadata.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
    }
}

/// The kinds that definitions among objects add, in the versions that are served.
pub fn definitions<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Vec<Mapping> {
    let mut mappings = Vec::new();
    let is_definition = |object: &&Value| text(object, "/kind") == "CustomResourceDefinition";
    for object in objects.into_iter().filter(is_definition) {
        let versions = list(object, "/spec/versions").iter();
        for version in versions.filter(|version| version.get("served") != Some(&json!(false))) {
            mappings.push(Mapping {
                group: text(object, "/spec/group").to_owned(),
                version: text(version, "/name").to_owned(),
                kind: text(object, "/spec/names/kind").to_owned(),
                plural: text(object, "/spec/names/plural").to_owned(),
                singular: text(object, "/spec/names/singular").to_owned(),
                short: [].into(),
                categories: [].into(),
                namespaced: text(object, "/spec/scope") == "Namespaced",
                verbs: [].into(),
            });
        }
    }
    mappings
}

/// What is wrong with a kind that the server does not serve.
fn unknown(index: usize, version: &str, kind: &str, discovery: &Discovery) -> Finding {
    if let Some(gone) = removed(version, kind) {
        let what = format!(
            "{kind} in `{version}` is gone since Kubernetes {}, and this cluster does not serve it",
            gone.since
        );
        let finding = Finding::error(Topic::ApiVersion, index, "/apiVersion", what);
        return finding.hint(match (gone.instead, gone.note) {
            ("", note) => note.to_owned(),
            (instead, "") => format!("write `apiVersion: {instead}`"),
            (instead, note) => format!("write `apiVersion: {instead}`; {note}"),
        });
    }
    let served = discovery.versions_of(kind);
    if !served.is_empty() {
        let what = format!("this cluster serves no {kind} in `{version}`");
        let finding = Finding::error(Topic::ApiVersion, index, "/apiVersion", what);
        return finding.hint(format!("write `apiVersion: {}`", served.join("` or `")));
    }
    let what = format!("this cluster serves no kind `{kind}` (`{version}`)");
    let finding = Finding::error(Topic::Manifest, index, "/kind", what);
    finding.hint(match near::nearest(kind, discovery.kinds()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "deploy its CustomResourceDefinition with it, or install it first".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discovery() -> Discovery {
        let resource = |plural: &str, kind: &str, scope: &str| json!({"resource": plural, "scope": scope, "responseKind": {"kind": kind}});
        Discovery::read(&[json!({"items": [
            {"versions": [{"version": "v1", "resources": [
                resource("configmaps", "ConfigMap", "Namespaced"),
                resource("namespaces", "Namespace", "Cluster")]}]},
            {"metadata": {"name": "batch"}, "versions": [{"version": "v1", "resources": [
                resource("cronjobs", "CronJob", "Namespaced")]}]},
        ]})])
    }

    #[track_caller]
    fn check(object: &Value, topic: Topic, told: &str, hint: &str) {
        let (_, findings) = resolve(std::slice::from_ref(object), &discovery(), "shop", true);
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!(finding.topic, topic);
        assert!(finding.text.contains(told), "{finding:?}");
        assert!(finding.hint.as_deref().unwrap_or_default().contains(hint), "{finding:?}");
    }

    #[test]
    fn what_has_no_kind_here_is_told_with_the_way_out() {
        let named = |version: &str, kind: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}});
        check(
            &named("batch/v1beta1", "CronJob"),
            Topic::ApiVersion,
            "gone since Kubernetes 1.25",
            "`apiVersion: batch/v1`",
        );
        check(
            &named("batch/v9", "CronJob"),
            Topic::ApiVersion,
            "no CronJob in `batch/v9`",
            "`apiVersion: batch/v1`",
        );
        check(&named("v1", "ConfgMap"), Topic::Manifest, "no kind `ConfgMap`", "`ConfigMap`");
        check(
            &named("example.com/v1", "Widget"),
            Topic::Manifest,
            "no kind",
            "CustomResourceDefinition",
        );
        check(
            &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "other"}}),
            Topic::Manifest,
            "names namespace `other`",
            "without `-n`",
        );
        check(
            &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "a-"}}),
            Topic::Manifest,
            "generateName",
            "metadata.name",
        );
    }

    #[test]
    fn a_kind_that_the_deploy_defines_is_known() {
        let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets"}, "versions": [{"name": "v1"}]}});
        let widget =
            json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}});
        let (things, _) = resolve(&[definition, widget], &discovery(), "shop", false);
        let [thing] = things.as_slice() else { panic!("{things:?}") };
        assert!(thing.is_undefined);
        assert_eq!(thing.target().path(), "/apis/example.com/v1/namespaces/shop/widgets/w");
        assert_eq!(thing.told(), "Widget shop/w");
    }

    #[test]
    fn the_same_object_twice_is_a_mistake() {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
        let (things, findings) = resolve(&[object.clone(), object], &discovery(), "shop", false);
        assert_eq!(things.len(), 1);
        assert!(findings[0].text.contains("twice"), "{findings:?}");
    }
}
