//! What manifests refer to: secrets, config maps, accounts, claims, services; a pure walk.

use serde_json::Value;

use super::plan::{list, text};
use super::resolve::{Thing, pod};

/// A reference from one object to another of its namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The kind referred to, of the core group unless it is said.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The key in it that is needed, where one is.
    pub key: Option<String>,
    /// The field that refers, a JSON pointer.
    pub path: String,
    /// True when pods do not start without it; else what refers to it only does not work.
    pub is_needed: bool,
}

/// All references of an object.
pub fn references(object: &Value) -> Vec<Reference> {
    let mut found = Found(Vec::new());
    if let Some((pod, pointer)) = pod(object) {
        found.pod(pod, pointer);
    }
    match text(object, "/kind") {
        "Ingress" => found.ingress(object),
        "HorizontalPodAutoscaler" => {
            let kind = match text(object, "/spec/scaleTargetRef/kind") {
                "Deployment" => "Deployment",
                "StatefulSet" => "StatefulSet",
                _ => return found.0,
            };
            found.add(kind, object, ("", "/spec/scaleTargetRef/name"), false);
        }
        _ => {}
    }
    found.0
}

struct Found(Vec<Reference>);

impl Found {
    fn add(
        &mut self,
        kind: &'static str,
        at: &Value,
        (before, pointer): (&str, &str),
        needed: bool,
    ) {
        let name = text(at, pointer);
        if !name.is_empty() {
            self.0.push(Reference {
                kind,
                name: name.to_owned(),
                key: None,
                path: format!("{before}{pointer}"),
                is_needed: needed,
            });
        }
    }

    fn keyed(&mut self, kind: &'static str, at: &Value, path: &str, key: Option<&str>) {
        if at.get("optional") == Some(&Value::Bool(true)) {
            return;
        }
        let name = match text(at, "/name") {
            "" => text(at, "/secretName"),
            name => name,
        };
        if !name.is_empty() {
            self.0.push(Reference {
                kind,
                name: name.to_owned(),
                key: key.map(str::to_owned),
                path: path.to_owned(),
                is_needed: true,
            });
        }
    }

    fn pod(&mut self, pod: &Value, pointer: &str) {
        let account = text(pod, "/spec/serviceAccountName");
        if !account.is_empty() && account != "default" {
            self.add("ServiceAccount", pod, (pointer, "/spec/serviceAccountName"), true);
        }
        for (n, secret) in list(pod, "/spec/imagePullSecrets").iter().enumerate() {
            let before = format!("{pointer}/spec/imagePullSecrets/{n}");
            self.add("Secret", secret, (&before, "/name"), false);
        }
        for (n, volume) in list(pod, "/spec/volumes").iter().enumerate() {
            self.volume(volume, &format!("{pointer}/spec/volumes/{n}"));
        }
        for kind in ["initContainers", "containers"] {
            for (n, container) in list(pod, &format!("/spec/{kind}")).iter().enumerate() {
                self.container(container, &format!("{pointer}/spec/{kind}/{n}"));
            }
        }
    }

    fn volume(&mut self, volume: &Value, path: &str) {
        let mut sources = vec![(volume.clone(), path.to_owned())];
        for (n, source) in list(volume, "/projected/sources").iter().enumerate() {
            sources.push((source.clone(), format!("{path}/projected/sources/{n}")));
        }
        for (source, path) in sources {
            for (field, kind) in [("secret", "Secret"), ("configMap", "ConfigMap")] {
                let Some(at) = source.get(field) else { continue };
                let items = list(at, "/items");
                let path = format!("{path}/{field}");
                if items.is_empty() {
                    self.keyed(kind, at, &path, None);
                }
                for item in items {
                    self.keyed(kind, at, &path, Some(text(item, "/key")));
                }
            }
        }
        let claim = "/persistentVolumeClaim/claimName";
        self.add("PersistentVolumeClaim", volume, (path, claim), true);
    }

    fn container(&mut self, container: &Value, path: &str) {
        for (n, variable) in list(container, "/env").iter().enumerate() {
            for (field, kind) in [("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")] {
                if let Some(at) = variable.pointer(&format!("/valueFrom/{field}")) {
                    let path = format!("{path}/env/{n}/valueFrom/{field}");
                    self.keyed(kind, at, &path, Some(text(at, "/key")));
                }
            }
        }
        for (n, source) in list(container, "/envFrom").iter().enumerate() {
            for (field, kind) in [("secretRef", "Secret"), ("configMapRef", "ConfigMap")] {
                if let Some(at) = source.get(field) {
                    self.keyed(kind, at, &format!("{path}/envFrom/{n}/{field}"), None);
                }
            }
        }
    }

    fn ingress(&mut self, object: &Value) {
        for (n, tls) in list(object, "/spec/tls").iter().enumerate() {
            let before = format!("/spec/tls/{n}");
            self.add("Secret", tls, (&before, "/secretName"), false);
        }
        self.add("Service", object, ("", "/spec/defaultBackend/service/name"), false);
        for (n, rule) in list(object, "/spec/rules").iter().enumerate() {
            for (m, path) in list(rule, "/http/paths").iter().enumerate() {
                let before = format!("/spec/rules/{n}/http/paths/{m}");
                self.add("Service", path, (&before, "/backend/service/name"), false);
            }
        }
    }
}

/// What an object that is referred to offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// It is not there.
    Missing,
    /// It is there, with these keys.
    Keys(Vec<String>),
    /// It is there, or cannot be looked at.
    There,
}

/// What an object of the plan itself offers to references.
pub fn offer_of(object: &Value) -> Offer {
    let is_keyed = matches!(text(object, "/kind"), "Secret" | "ConfigMap");
    if is_keyed { Offer::Keys(keys(object)) } else { Offer::There }
}

/// The keys of a secret or a config map.
pub fn keys(object: &Value) -> Vec<String> {
    ["data", "stringData", "binaryData"]
        .iter()
        .filter_map(|field| object.get(field)?.as_object())
        .flat_map(|map| map.keys().cloned())
        .collect()
}

/// What is wrong with a reference, given what it leads to: the sentence and the way out.
pub fn judge(thing: &Thing, reference: &Reference, offer: &Offer) -> Option<(String, String)> {
    let Reference { kind, name, key, .. } = reference;
    let namespace = &thing.namespace;
    let by = format!("{} `{}`", thing.mapping.kind, thing.name);
    match (offer, key) {
        (Offer::Missing, key) => {
            let key = key.as_ref().map(|key| format!(" (key `{key}`)")).unwrap_or_default();
            let told = format!("{by} needs {kind} `{name}`{key}, which is not there");
            let way = if *kind == "Secret" {
                format!(
                    "kubectl -n {namespace} create secret generic {name} …, or add it to the manifests"
                )
            } else {
                format!("add {kind} `{name}` to the manifests, or make it in `{namespace}` first")
            };
            Some((told, way))
        }
        (Offer::Keys(keys), Some(key)) if !keys.contains(key) => {
            let has = if keys.is_empty() {
                "no key".to_owned()
            } else {
                format!("`{}`", keys.join("`, `"))
            };
            Some((
                format!("{by} needs key `{key}` of {kind} `{name}`, which has {has}"),
                format!("add the key to {kind} `{name}`, or name one that is there"),
            ))
        }
        (Offer::Keys(_) | Offer::There, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_way_to_refer_is_found() {
        let pod = json!({
            "serviceAccountName": "robot",
            "imagePullSecrets": [{"name": "pull"}],
            "volumes": [
                {"name": "a", "secret": {"secretName": "s1"}},
                {"name": "b", "configMap": {"name": "c1", "items": [{"key": "k", "path": "p"}]}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "d", "projected": {"sources": [{"secret": {"name": "s2"}}, {"configMap": {"name": "c2", "optional": true}}]}},
            ],
            "initContainers": [{"envFrom": [{"configMapRef": {"name": "c3"}}, {"secretRef": {"name": "s3"}}]}],
            "containers": [{"env": [
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s4", "key": "password"}}},
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c4", "key": "x", "optional": true}}},
            ]}],
        });
        let told = |object: &Value| -> Vec<String> {
            references(object)
                .iter()
                .map(|one| {
                    format!(
                        "{} {} {} {}",
                        one.kind,
                        one.name,
                        one.key.as_deref().unwrap_or("-"),
                        one.path
                    )
                })
                .collect()
        };
        let deployment = json!({"kind": "Deployment", "spec": {"template": {"spec": pod}}});
        assert_eq!(
            told(&deployment),
            [
                "ServiceAccount robot - /spec/template/spec/serviceAccountName",
                "Secret pull - /spec/template/spec/imagePullSecrets/0/name",
                "Secret s1 - /spec/template/spec/volumes/0/secret",
                "ConfigMap c1 k /spec/template/spec/volumes/1/configMap",
                "PersistentVolumeClaim data - /spec/template/spec/volumes/2/persistentVolumeClaim/claimName",
                "Secret s2 - /spec/template/spec/volumes/3/projected/sources/0/secret",
                "ConfigMap c3 - /spec/template/spec/initContainers/0/envFrom/0/configMapRef",
                "Secret s3 - /spec/template/spec/initContainers/0/envFrom/1/secretRef",
                "Secret s4 password /spec/template/spec/containers/0/env/0/valueFrom/secretKeyRef",
            ]
        );
        let cron = json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": {"serviceAccountName": "a"}}}}}});
        assert_eq!(
            told(&cron),
            ["ServiceAccount a - /spec/jobTemplate/spec/template/spec/serviceAccountName"]
        );
        let ingress = json!({"kind": "Ingress", "spec": {"tls": [{"secretName": "t"}], "rules": [
            {"http": {"paths": [{"backend": {"service": {"name": "web"}}}]}}]}});
        assert_eq!(
            told(&ingress),
            [
                "Secret t - /spec/tls/0/secretName",
                "Service web - /spec/rules/0/http/paths/0/backend/service/name"
            ]
        );
    }
}
