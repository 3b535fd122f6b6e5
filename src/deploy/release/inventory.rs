//! What belongs to a deploy: an apply set (KEP-3659) with a config map as its parent. Only what carries
//! the set's label is ever pruned.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::desk::{Desk, known};
use super::owners::MANAGER;
use super::plan::{list, text};
use super::refusal::sentence;
use super::resolve::Thing;
use crate::deploy::cluster::{Discovery, Failure, Mapping, Method, Patch, Target};
use crate::deploy::kubectl::Touch;

const ID: &str = "applyset.kubernetes.io/id";
/// The label of members.
pub const PART_OF: &str = "applyset.kubernetes.io/part-of";
const TOOLING: &str = "applyset.kubernetes.io/tooling";
const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";
/// Kinds of which a deploy never deletes an object.
const KEPT: [&str; 3] = ["Namespace", "CustomResourceDefinition", "PersistentVolumeClaim"];

/// A set and where its parent lies.
#[derive(Debug, Clone)]
pub struct Inventory {
    name: String,
    namespace: String,
    /// What the set held before this deploy.
    before: Contents,
}

/// Kinds and namespaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Contents {
    /// `Deployment.apps`, `ConfigMap`.
    kinds: BTreeSet<String>,
    namespaces: BTreeSet<String>,
}

/// An object that is no longer part of the deploy.
#[derive(Debug, Clone)]
pub struct Leftover {
    /// The object as a thing, for its name and target.
    pub thing: Thing,
    /// The object itself.
    pub object: Value,
}

/// Why an inventory cannot be used.
#[derive(Debug)]
pub enum Problem {
    /// One sentence.
    Told(String),
    /// The server says no.
    Failure(Failure),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Inventory {
    /// Reads the set's parent, where there is one.
    pub async fn read(desk: &Desk<'_>, name: &str) -> Result<Self, Problem> {
        let mut inventory = Self {
            name: name.to_owned(),
            namespace: desk.namespace.clone(),
            before: Contents::default(),
        };
        let mapping = parent_kind();
        let Some(parent) = desk.get(&inventory.target(&mapping)).await? else {
            return Ok(inventory);
        };
        let annotation = |key: &str| {
            let annotations = parent.pointer("/metadata/annotations");
            annotations.and_then(|map| map.get(key)?.as_str()).unwrap_or_default().to_owned()
        };
        let label = parent.pointer("/metadata/labels").and_then(|map| map.get(ID)?.as_str());
        if label != Some(&inventory.id()) {
            return Err(Problem::Told(format!(
                "ConfigMap `{name}` is there and is no inventory of this name; choose another name for --prune"
            )));
        }
        let tooling = annotation(TOOLING);
        if !tooling.starts_with("dyno/") {
            return Err(Problem::Told(format!(
                "inventory `{name}` belongs to `{tooling}`; choose another name for --prune"
            )));
        }
        let parts = |text: String| -> BTreeSet<String> {
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect()
        };
        inventory.before =
            Contents { kinds: parts(annotation(KINDS)), namespaces: parts(annotation(NAMESPACES)) };
        Ok(inventory)
    }

    /// The set's id, by the rule of the KEP.
    pub fn id(&self) -> String {
        let what = format!("{}.{}.ConfigMap.", self.name, self.namespace);
        let digest = Sha256::digest(what.as_bytes());
        format!("applyset-{}-v1", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest))
    }

    /// Marks an object as a member.
    pub fn mark(&self, object: &mut Value) {
        let Some(metadata) = object["metadata"].as_object_mut() else { return };
        let labels = metadata.entry("labels").or_insert_with(|| json!({}));
        if !labels.is_object() {
            *labels = json!({});
        }
        labels[PART_OF] = json!(self.id());
    }

    fn target<'a>(&'a self, mapping: &'a Mapping) -> Target<'a> {
        Target { mapping, namespace: &self.namespace, name: &self.name, subresource: "" }
    }

    fn contents(&self, things: &[Thing]) -> Contents {
        let kind = |thing: &Thing| match thing.mapping.group.as_str() {
            "" => thing.mapping.kind.clone(),
            group => format!("{}.{group}", thing.mapping.kind),
        };
        let other = |namespace: &String| !namespace.is_empty() && *namespace != self.namespace;
        Contents {
            kinds: things.iter().map(kind).collect(),
            namespaces: things.iter().map(|thing| thing.namespace.clone()).filter(other).collect(),
        }
    }

    /// Writes the parent with all that the set held and will hold: a deploy that is killed leaves
    /// nothing that the next one would not find.
    pub async fn widen(&self, desk: &Desk<'_>, things: &[Thing]) -> Result<(), Failure> {
        let mut contents = self.contents(things);
        contents.kinds.extend(self.before.kinds.iter().cloned());
        contents.namespaces.extend(self.before.namespaces.iter().cloned());
        self.write(desk, &contents).await
    }

    /// Writes the parent with what the set holds now.
    pub async fn narrow(&self, desk: &Desk<'_>, things: &[Thing]) -> Result<(), Failure> {
        self.write(desk, &self.contents(things)).await
    }

    async fn write(&self, desk: &Desk<'_>, contents: &Contents) -> Result<(), Failure> {
        let joined = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(",");
        let parent = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": self.name, "namespace": self.namespace, "labels": {ID: self.id()},
        "annotations": {
            TOOLING: concat!("dyno/v", env!("CARGO_PKG_VERSION")),
            KINDS: joined(&contents.kinds),
            NAMESPACES: joined(&contents.namespaces),
        }}});
        let query = vec![("fieldManager", MANAGER.to_owned()), ("force", "true".to_owned())];
        let mapping = parent_kind();
        let method = Method::Patch(Patch::Apply);
        desk.send(method, &self.target(&mapping), query, Some(&parent)).await.map(drop)
    }

    /// The members that this deploy lacks. A kind or a namespace that the policy does not grant is
    /// left out, and told.
    pub async fn leftovers(
        &self,
        desk: &Desk<'_>,
        things: &[Thing],
        discovery: &Discovery,
    ) -> Result<Vec<Leftover>, Failure> {
        let mut namespaces = self.before.namespaces.clone();
        namespaces.insert(self.namespace.clone());
        let mine: BTreeSet<(&str, &str, &str, &str)> = things
            .iter()
            .map(|thing| {
                let Mapping { group, kind, .. } = &thing.mapping;
                (group.as_str(), kind.as_str(), thing.namespace.as_str(), thing.name.as_str())
            })
            .collect();
        let mut found = Vec::new();
        for written in &self.before.kinds {
            let (kind, group) = written.split_once('.').unwrap_or((written, ""));
            if KEPT.contains(&kind) {
                continue;
            }
            let Some(mapping) = discovery.by_group_kind(group, kind) else { continue };
            let none = BTreeSet::from([String::new()]);
            for namespace in if mapping.namespaced { &namespaces } else { &none } {
                for object in self.members(desk, mapping, namespace).await? {
                    let name = text(&object, "/metadata/name").to_owned();
                    let key = (group, kind, namespace.as_str(), name.as_str());
                    let is_going = !text(&object, "/metadata/deletionTimestamp").is_empty();
                    if !mine.contains(&key) && !is_going {
                        found.push(leftover(mapping, namespace, &name, object));
                    }
                }
            }
        }
        found.sort_by_key(|leftover| std::cmp::Reverse(leftover.thing.wave));
        Ok(found)
    }

    async fn members(
        &self,
        desk: &Desk<'_>,
        mapping: &Mapping,
        namespace: &str,
    ) -> Result<Vec<Value>, Failure> {
        for verb in ["list", "delete"] {
            let touch = Touch {
                verb,
                group: mapping.group.clone(),
                kind: mapping.kind.clone(),
                namespace: mapping.namespaced.then(|| namespace.to_owned()),
                name: None,
            };
            if let Err(why) = desk.ask(&touch) {
                desk.say_once(format!("{} of `{namespace}` are not pruned: {why}", mapping.plural));
                return Ok(Vec::new());
            }
        }
        let target = Target { mapping, namespace, name: "", subresource: "" };
        let query = vec![("labelSelector", format!("{PART_OF}={}", self.id()))];
        match desk.send(Method::Get, &target, query, None).await {
            Ok(answer) => Ok(list(&answer.body, "/items").to_vec()),
            Err(failure) if failure.is("Forbidden") || matches!(failure, Failure::Fenced(_)) => {
                desk.say_once(format!(
                    "{} of `{namespace}` are not pruned: {}",
                    mapping.plural,
                    sentence(&failure)
                ));
                Ok(Vec::new())
            }
            Err(failure) => Err(failure),
        }
    }
}

fn leftover(mapping: &Mapping, namespace: &str, name: &str, object: Value) -> Leftover {
    let wave = super::waves::Wave::of(&mapping.api_version(), &mapping.kind);
    let thing = Thing {
        index: usize::MAX,
        mapping: mapping.clone(),
        object: object.clone(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        wave,
        is_undefined: false,
    };
    Leftover { thing, object }
}

fn parent_kind() -> Mapping {
    known("", "v1", "ConfigMap", "configmaps")
}

/// What is pruned, by name.
pub fn told(leftovers: &[Leftover]) -> BTreeMap<String, &Leftover> {
    leftovers.iter().map(|leftover| (leftover.thing.told(), leftover)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_keps() {
        let inventory = Inventory {
            name: "web".to_owned(),
            namespace: "shop".to_owned(),
            before: Contents::default(),
        };
        // printf web.shop.ConfigMap. | sha256sum | xxd -r -p | base64 | tr '+/' '-_'
        assert_eq!(inventory.id(), "applyset-LfI8Vi9Cj-oN7gdQMc0pVAUtzPHQLFbNnE8ILiyJ7TY-v1");
        let mut object = json!({"metadata": {"name": "a"}});
        inventory.mark(&mut object);
        assert_eq!(object["metadata"]["labels"][PART_OF], inventory.id());
    }
}
