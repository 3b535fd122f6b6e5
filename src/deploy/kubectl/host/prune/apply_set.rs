//! Prunes by the inventory of an `ApplySet`: an object that says what was applied.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Visited, list, remove};
use crate::deploy::cluster::{Mapping, Patch, Target};
use crate::deploy::kubectl::host::Outcome;
use crate::deploy::kubectl::host::apply::options;
use crate::deploy::kubectl::host::info::Info;
use crate::deploy::kubectl::host::select;
use crate::deploy::kubectl::host::session::Session;
use crate::deploy::kubectl::host::trouble::Trouble;
use crate::deploy::kubectl::print::client_version;
use crate::deploy::kubectl::request::{Apply, DryRun, Named, Prune};
use crate::deploy::manifest;

const ID: &str = "applyset.kubernetes.io/id";
const PART_OF: &str = "applyset.kubernetes.io/part-of";
const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";
const TOOLING: &str = "applyset.kubernetes.io/tooling";
const MANAGER: &str = "kubectl-applyset";

/// An inventory: the object that holds it, and what it holds.
pub struct ApplySet {
    mapping: Mapping,
    namespace: String,
    name: String,
    /// Kinds, as `Deployment.apps`.
    before: BTreeMap<String, Mapping>,
    after: BTreeMap<String, Mapping>,
    namespaces_before: BTreeSet<String>,
    namespaces_after: BTreeSet<String>,
}

/// The id of a set: of the object that holds it.
fn id(name: &str, namespace: &str, kind: &str, group: &str) -> String {
    let hash = Sha256::digest(format!("{name}.{namespace}.{kind}.{group}"));
    let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash);
    format!("applyset-{hash}-v1")
}

fn kind_name(mapping: &Mapping) -> String {
    if mapping.group.is_empty() {
        mapping.kind.clone()
    } else {
        format!("{}.{}", mapping.kind, mapping.group)
    }
}

impl ApplySet {
    /// Finds the set, marks the objects as parts of it, and writes down what it will hold before
    /// anything is applied: whatever happens then, nothing is forgotten.
    pub async fn begin(
        session: &mut Session<'_>,
        apply: &Apply,
        parent: &Named,
        infos: &mut [Info],
    ) -> Result<Self, Trouble> {
        let mapping = session.by_word(&parent.resource)?;
        if mapping.namespaced && !apply.enforce_namespace {
            return Err(Trouble::text("namespace is required to use namespace-scoped ApplySet"));
        }
        let is_plain =
            mapping.group.is_empty() && ["Secret", "ConfigMap"].contains(&mapping.kind.as_str());
        if !is_plain {
            return Err(Trouble::text(format!(
                "resource \"{}/{}, Resource={}\" is not permitted as an ApplySet parent",
                mapping.group, mapping.version, mapping.plural
            )));
        }
        let mut set = Self {
            namespace: select::home(session, &mapping),
            name: parent.name.clone(),
            mapping,
            before: BTreeMap::new(),
            after: BTreeMap::new(),
            namespaces_before: BTreeSet::new(),
            namespaces_after: BTreeSet::new(),
        };
        for info in infos.iter_mut() {
            set.mark(info)?;
        }
        set.read(session).await?;
        for info in infos.iter() {
            set.after.insert(kind_name(&info.mapping), info.mapping.clone());
            if !info.namespace.is_empty() {
                set.namespaces_after.insert(info.namespace.clone());
            }
        }
        let mut kinds = set.before.clone();
        kinds.extend(set.after.clone());
        let namespaces: BTreeSet<String> =
            set.namespaces_before.union(&set.namespaces_after).cloned().collect();
        set.write(session, apply, &kinds, &namespaces).await?;
        Ok(set)
    }

    fn id(&self) -> String {
        id(&self.name, &self.namespace, &self.mapping.kind, &self.mapping.group)
    }

    fn told(&self) -> String {
        format!("{}.{}/{}", self.mapping.plural, self.mapping.group, self.name)
    }

    fn mark(&self, info: &mut Info) -> Result<(), Trouble> {
        let labels = info
            .object
            .get_mut("metadata")
            .and_then(Value::as_object_mut)
            .map(|metadata| metadata.entry("labels").or_insert_with(|| json!({})));
        let Some(labels) = labels else { return Ok(()) };
        if labels.is_null() {
            *labels = json!({});
        }
        let Value::Object(labels) = labels else { return Ok(()) };
        if labels.insert(PART_OF.to_owned(), json!(self.id())).is_some() {
            let told = format!("ApplySet label \"{PART_OF}\" already set in input data");
            return Err(Trouble::text(told));
        }
        Ok(())
    }

    /// Refuses a parent that another tool, or another set, calls its own.
    fn is_ours(&self, parent: &Value) -> Outcome {
        let text = |map: &str, key: &str| {
            let map = parent.pointer(&format!("/metadata/{map}"))?;
            map.get(key)?.as_str().map(str::to_owned)
        };
        let told = self.told();
        let Some(tooling) = text("annotations", TOOLING) else {
            return Err(Trouble::text(format!(
                "ApplySet parent object \"{told}\" already exists and is missing required \
                 annotation \"{TOOLING}\""
            )));
        };
        let tool = tooling.rsplit_once('/').map_or(tooling.as_str(), |(tool, _)| tool);
        if tool != "kubectl" {
            return Err(Trouble::text(format!(
                "ApplySet parent object \"{told}\" already exists and is managed by tooling \
                 \"{tool}\" instead of \"kubectl\""
            )));
        }
        match text("labels", ID) {
            None => Err(Trouble::text(format!(
                "ApplySet parent object \"{told}\" exists and does not have required label {ID}"
            ))),
            Some(known) if known != self.id() => Err(Trouble::text(format!(
                "ApplySet parent object \"{told}\" exists and has incorrect value for label \
                     \"{ID}\" (got: {known}, want: {})",
                self.id()
            ))),
            Some(_) => Ok(()),
        }
    }

    /// Reads what the set holds by now, and whether it is ours.
    async fn read(&mut self, session: &mut Session<'_>) -> Outcome {
        let target = Target {
            mapping: &self.mapping,
            namespace: &self.namespace,
            name: &self.name,
            subresource: "",
        };
        let parent = match session.get(&target).await {
            Ok(parent) => parent,
            Err(failure) if failure.is_not_found() => return Ok(()),
            Err(failure) => {
                let why = Trouble::from(failure).message();
                let told = self.told();
                return Err(Trouble::text(format!(
                    "failed to fetch ApplySet parent object \"{told}\": {why}"
                )));
            }
        };
        self.is_ours(&parent)?;
        let told = self.told();
        let text = |key: &str| parent.pointer("/metadata/annotations")?.get(key)?.as_str();
        let Some(kinds) = text(KINDS) else {
            return Err(Trouble::text(format!(
                "parsing ApplySet annotation on \"{told}\": kubectl requires the \"{KINDS}\" \
                 annotation to be set on all ApplySet parent objects"
            )));
        };
        for kind in kinds.split(',').filter(|kind| !kind.is_empty()) {
            let (name, group) = kind.split_once('.').unwrap_or((kind, ""));
            let mapping = session.discovery().and_then(|discovery| {
                let fits = |mapping: &&Mapping| mapping.kind == name && mapping.group == group;
                discovery.mappings().iter().find(fits).cloned()
            });
            let Some(mapping) = mapping else {
                return Err(Trouble::text(format!(
                    "parsing ApplySet annotation on \"{told}\": could not find mapping for kind in \
                     \"{KINDS}\" annotation: no matches for kind \"{name}\" in group \"{group}\""
                )));
            };
            self.before.insert(kind.to_owned(), mapping);
        }
        let namespaces = text(NAMESPACES).unwrap_or_default();
        self.namespaces_before =
            namespaces.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        self.namespaces_before.insert(self.namespace.clone());
        Ok(())
    }

    async fn write(
        &self,
        session: &mut Session<'_>,
        apply: &Apply,
        kinds: &BTreeMap<String, Mapping>,
        namespaces: &BTreeSet<String>,
    ) -> Outcome {
        if apply.dry_run == DryRun::Client {
            return Ok(());
        }
        let kinds: Vec<&str> = kinds.keys().map(String::as_str).collect();
        let others: Vec<&str> =
            namespaces.iter().map(String::as_str).filter(|name| *name != self.namespace).collect();
        let version = client_version();
        let version = version.get("gitVersion").and_then(Value::as_str).unwrap_or_default();
        let parent = json!({
            "apiVersion": self.mapping.api_version(),
            "kind": self.mapping.kind,
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": { (ID): self.id() },
                "annotations": {
                    (TOOLING): format!("kubectl/{version}"),
                    (KINDS): kinds.join(","),
                    (NAMESPACES): others.join(","),
                },
            },
        });
        let target = Target {
            mapping: &self.mapping,
            namespace: &self.namespace,
            name: &self.name,
            subresource: "",
        };
        let query = |force: bool| {
            let mut query = options(MANAGER, apply.dry_run, apply.validate);
            query.push(("force", force.to_string()));
            query
        };
        let body = manifest::compact(&parent);
        let sent = match session.patch(Patch::Apply, &target, query(false), body.clone()).await {
            Err(failure) if failure.is_conflict() => {
                session.patch(Patch::Apply, &target, query(true), body).await
            }
            sent => sent,
        };
        sent.map(drop).map_err(|failure| {
            let why = Trouble::from(failure).message();
            Trouble::text(format!("failed to update ApplySet: {why}"))
        })
    }

    /// Removes what is a part of the set and was not applied, then forgets it.
    pub async fn end(
        self,
        session: &mut Session<'_>,
        apply: &Apply,
        prune: &Prune,
        visited: &Visited,
    ) -> Outcome {
        let mut gone: Vec<(String, Mapping, Value)> = Vec::new();
        for mapping in self.before.values() {
            let places: Vec<String> = if mapping.namespaced {
                self.namespaces_before.iter().cloned().collect()
            } else {
                vec![String::new()]
            };
            for namespace in places {
                let labels = Some(format!("{PART_OF}={}", self.id()));
                let objects = list(session, labels, (&namespace, mapping)).await?;
                gone.extend(
                    objects.into_iter().map(|object| (namespace.clone(), mapping.clone(), object)),
                );
            }
        }
        for (namespace, mapping, object) in &gone {
            remove(session, apply, prune, visited, (namespace, mapping, object)).await?;
        }
        self.write(session, apply, &self.after, &self.namespaces_after).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_known_by_the_object_that_holds_it() {
        assert_eq!(
            id("name", "namespace", "Secret", ""),
            "applyset-MukM_kCdSdeX3cH28n0k36LOmtdzW3JLfOtYUlGfkeA-v1".to_owned()
        );
    }
}
