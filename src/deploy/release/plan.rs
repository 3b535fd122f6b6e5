//! What a deploy is asked to do: plain data, made by the guest, decided on by the policy.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::deploy::cluster::builtin_by_kind;
use crate::deploy::kubectl::{ClusterChoice, Touch};

/// The name of the lease that makes deploys of one namespace wait for each other.
pub const LEASE: &str = "dyno-deploy";

/// A deploy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Which cluster.
    pub cluster: ClusterChoice,
    /// `-n`; the cluster's default when `None`.
    pub namespace: Option<String>,
    /// The objects as written, in order.
    pub objects: Vec<Value>,
    /// How far it goes.
    pub mode: Mode,
    /// What becomes of a deploy that fails.
    pub on_failure: OnFailure,
    /// `--prune NAME`: what an earlier deploy of this name left and this one lacks is deleted.
    pub inventory: Option<String>,
    /// What becomes of fields that another one owns.
    pub conflicts: Conflicts,
    /// Which objects go first.
    pub track: Track,
    /// How long the objects may take to be ready, in milliseconds.
    pub timeout_ms: u64,
    /// How long pods without a readiness probe must run to count as ready, in milliseconds.
    pub settle_ms: u64,
    /// How long another deploy of the namespace is waited for, in milliseconds.
    pub wait_ms: u64,
    /// Who deploys, for whoever finds the namespace taken.
    pub who: String,
}

/// How far a deploy goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Pre-flight and diff; nothing is changed.
    Show,
    /// All of it.
    Apply,
}

/// What becomes of a deploy that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    /// It stays for whoever looks into it.
    Keep,
    /// Its objects go back to what they were.
    Rollback,
}

/// What becomes of fields that another one owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Conflicts {
    /// They are told, and nothing is applied. What kubectl set is taken over.
    Explain,
    /// They are taken over, whoever owns them.
    Force,
}

/// Which objects go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Track {
    /// All together, in waves.
    One,
    /// Those labelled `track: canary`, and what they need; the rest when these are verified.
    CanaryFirst,
}

/// A part of a JSON value, as text.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A part of a JSON value, as a list.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The group of an `apiVersion`.
pub fn group(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

impl Plan {
    /// What is read or changed on behalf of one object.
    pub fn touches_of(&self, object: &Value) -> Vec<Touch> {
        let group = group(text(object, "/apiVersion"));
        let written = text(object, "/kind");
        let builtin = builtin_by_kind(group, written);
        let namespace = match builtin {
            Some(builtin) if !builtin.namespaced => None,
            Some(_) | None => Some(self.namespace_of(object).to_owned()),
        };
        let kind = builtin.map_or(written, |builtin| builtin.kind);
        let mut verbs = vec!["get", "list", "watch", "create", "patch"];
        if self.on_failure == OnFailure::Rollback {
            verbs.push("update");
        }
        // A namespace, a definition or a volume is never deleted by a deploy.
        let is_kept = matches!(kind, "Namespace" | "CustomResourceDefinition");
        if namespace.is_none() {
            verbs.retain(|verb| !matches!(*verb, "list" | "watch"));
        }
        if self.deletes() && !is_kept {
            verbs.push("delete");
        }
        verbs
            .into_iter()
            .map(|verb| Touch {
                verb,
                group: group.to_owned(),
                kind: kind.to_owned(),
                namespace: namespace.clone(),
                name: Some(text(object, "/metadata/name").to_owned()),
            })
            .collect()
    }

    fn deletes(&self) -> bool {
        self.on_failure == OnFailure::Rollback || self.track == Track::CanaryFirst
    }

    /// The namespace that an object names, or the one of the command line.
    fn namespace_of<'a>(&'a self, object: &'a Value) -> &'a str {
        match text(object, "/metadata/namespace") {
            "" => self.namespace.as_deref().unwrap_or_default(),
            named => named,
        }
    }

    /// What is read or changed beside the objects: what explains a pod, what manifests refer to, the
    /// lease, the inventory.
    pub fn touches_beside(&self) -> Vec<Touch> {
        let mut touches = Vec::new();
        for namespace in self.namespaces() {
            let mut touch = |verb, group: &str, kind: &str, name: Option<&str>| {
                touches.push(Touch {
                    verb,
                    group: group.to_owned(),
                    kind: kind.to_owned(),
                    namespace: Some(namespace.clone()),
                    name: name.map(str::to_owned),
                });
            };
            for (group, kind) in [("", "Pod"), ("", "Event"), ("apps", "ReplicaSet")] {
                touch("list", group, kind, None);
                touch("watch", group, kind, None);
            }
            touch("list", "", "ResourceQuota", None);
            for kind in ["Pod", "ConfigMap", "ServiceAccount", "PersistentVolumeClaim"] {
                touch("get", "", kind, None);
            }
            if self.mode == Mode::Apply {
                for verb in ["get", "create", "update", "delete"] {
                    touch(verb, "coordination.k8s.io", "Lease", Some(LEASE));
                }
                if let Some(name) = &self.inventory {
                    for verb in ["get", "create", "patch"] {
                        touch(verb, "", "ConfigMap", Some(name));
                    }
                }
            }
            if self.objects.iter().any(names_secrets) {
                touch("get", "", "Secret", None);
            }
        }
        touches
    }

    /// The namespaces of the plan's objects; an empty name is the cluster's default one.
    pub fn namespaces(&self) -> Vec<String> {
        let mut namespaces: Vec<String> = self
            .objects
            .iter()
            .filter(|object| {
                let builtin =
                    builtin_by_kind(group(text(object, "/apiVersion")), text(object, "/kind"));
                builtin.is_none_or(|builtin| builtin.namespaced)
            })
            .map(|object| self.namespace_of(object).to_owned())
            .collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        namespaces
    }
}

/// True for what may refer to a Secret. A profile may leave Secrets out.
fn names_secrets(object: &Value) -> bool {
    let json = object.to_string();
    ["secretName", "secretKeyRef", "secretRef", "imagePullSecrets", "\"secret\":"]
        .iter()
        .any(|word| json.contains(word))
}

/// True for what a cluster takes as the name of an object.
pub fn is_name(text: &str) -> bool {
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 253
        && text.split('.').all(|part| {
            part.starts_with(is_edge)
                && part.ends_with(is_edge)
                && part.chars().all(|c| is_edge(c) || c == '-')
        })
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn a_name_is_one_that_a_cluster_takes() {
        for name in ["a", "shop", "shop-1.v2"] {
            assert!(is_name(name), "{name}");
        }
        for text in ["", "Shop", "a_b", "-a", "a-", "a..b", "a/b", "ä"] {
            assert!(!is_name(text), "{text}");
        }
    }
}
