//! Objects that have found their kind.

use serde_json::{Value, json};

use super::session::Session;
use super::trouble::Trouble;
use crate::deploy::cluster::{Failure, Mapping, Target};
use crate::deploy::kubectl::request::{Item, Manifest, Validate};

/// An object that has found its kind.
pub struct Info {
    /// The kind.
    pub mapping: Mapping,
    /// The object.
    pub object: Value,
    /// Where it came from.
    pub source: String,
    /// Its namespace; empty for kinds without.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl AsRef<Self> for Info {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Info {
    /// Where the object is on the server.
    pub fn target(&self) -> Target<'_> {
        Target {
            mapping: &self.mapping,
            namespace: &self.namespace,
            name: &self.name,
            subresource: "",
        }
    }

    /// Where objects of its kind are made.
    pub fn home(&self) -> Target<'_> {
        Target { name: "", ..self.target() }
    }

    /// kubectl's longest name for an object.
    pub fn told(&self) -> String {
        let Mapping { group, version, plural, kind, .. } = &self.mapping;
        format!(
            "Resource: \"{group}/{version}, Resource={plural}\", GroupVersionKind: \
             \"{group}/{version}, Kind={kind}\"\nName: \"{}\", Namespace: \"{}\"",
            self.name, self.namespace
        )
    }
}

/// Gives every object its kind and namespace. Errors do not stop the others.
pub fn infos(
    session: &Session<'_>,
    items: &[Item],
    enforce_namespace: bool,
) -> (Vec<Info>, Vec<Trouble>) {
    infos_of(session, items.to_vec(), enforce_namespace)
}

/// As [`infos`], of objects that nobody needs any more.
pub fn infos_of(
    session: &Session<'_>,
    items: Vec<Item>,
    enforce_namespace: bool,
) -> (Vec<Info>, Vec<Trouble>) {
    let mut infos = Vec::with_capacity(items.len());
    let mut troubles = Vec::new();
    for item in items {
        let manifest = match item {
            Item::Error(text) => {
                troubles.push(Trouble::text(text));
                continue;
            }
            Item::Object(manifest) => manifest,
        };
        let text = |key: &str| manifest.object.get(key).and_then(Value::as_str).unwrap_or_default();
        let metadata = manifest.object.get("metadata");
        let named = |key: &str| metadata.and_then(|metadata| metadata.get(key)?.as_str());
        let name = named("name").unwrap_or_default().to_owned();
        let namespace = named("namespace").unwrap_or_default().to_owned();
        let Some(mapping) = session.by_object(&manifest.object) else {
            let no_match = format!(
                "no matches for kind \"{}\" in version \"{}\"",
                text("kind"),
                text("apiVersion")
            );
            troubles.push(if manifest.listed {
                Trouble::Many(vec![Trouble::text(format!("unable to recognize {no_match}"))])
            } else {
                Trouble::text(format!(
                    "resource mapping not found for name: \"{name}\" namespace: \"{namespace}\" \
                     from \"{}\": {no_match}\nensure CRDs are installed first",
                    manifest.source
                ))
            });
            continue;
        };
        let Manifest { mut object, source, .. } = manifest;
        let home = session.namespace();
        let namespace = match (mapping.namespaced, namespace.as_str()) {
            (false, _) => {
                set_namespace(&mut object, "");
                String::new()
            }
            (true, "") => {
                set_namespace(&mut object, home);
                home.to_owned()
            }
            (true, other) if enforce_namespace && other != home => {
                troubles.push(Trouble::text(format!(
                    "the namespace from the provided object \"{other}\" does not match the \
                     namespace \"{home}\". You must pass '--namespace={other}' to perform this \
                     operation."
                )));
                continue;
            }
            (true, other) => other.to_owned(),
        };
        infos.push(Info { mapping, object, source, namespace, name });
    }
    (infos, troubles)
}

fn set_namespace(object: &mut Value, namespace: &str) {
    let Value::Object(map) = object else { return };
    if namespace.is_empty() {
        if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
            metadata.remove("namespace");
        }
        return;
    }
    let metadata = map.entry("metadata").or_insert_with(|| json!({}));
    if !metadata.is_object() {
        *metadata = json!({});
    }
    if let Value::Object(metadata) = metadata {
        metadata.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
    }
}

/// Which kinds there are: the first question to the server, whose refusal is told as one to validate.
pub async fn discover(
    session: &mut Session<'_>,
    items: &[Item],
    validate: Validate,
) -> Result<(), Trouble> {
    let discovered = session.discover().await;
    discovered.map_err(|failure| undiscovered(session.server(), items, validate, failure))
}

/// The refusal to say which kinds there are, in the words that kubectl has for it: whoever validates
/// asks for the schema of all kinds first, whoever does not, for the kind of each object.
pub fn undiscovered(server: &str, items: &[Item], validate: Validate, failure: Failure) -> Trouble {
    let mut sources: Vec<&str> = items
        .iter()
        .filter_map(|item| match item {
            Item::Object(manifest) => Some(manifest.source.as_str()),
            Item::Error(_) => None,
        })
        .filter(|source| !source.is_empty())
        .collect();
    let server = server.trim_end_matches('/');
    let asked = |path: &str, why: &str| format!("Get \"{server}{path}?timeout=32s\": {why}");
    let why = match &failure {
        Failure::Status(status) if status.reason == "Unauthorized" => None,
        Failure::Refused { .. } | Failure::Network(_) => {
            // Go tells the address that it dialled.
            let message = Trouble::from(failure.clone()).message();
            Some(message.replace("dial tcp localhost:", "dial tcp 127.0.0.1:"))
        }
        Failure::Status(_) | Failure::Cancelled | Failure::Malformed(_) | Failure::Fenced(_) => {
            return failure.into();
        }
    };
    let told: Vec<Trouble> = match (validate, why) {
        (Validate::Strict | Validate::Warn, why) => {
            let why = why.map_or_else(
                || "the server has asked for the client to provide credentials".to_owned(),
                |why| asked("/openapi/v2", &why),
            );
            // The first object of a file ends it.
            sources.dedup();
            let of = |source: &&str| {
                Trouble::text(format!(
                    "error validating \"{source}\": error validating data: failed to download \
                     openapi: {why}; if you choose to ignore these errors, turn validation off with \
                     --validate=false"
                ))
            };
            sources.iter().map(of).collect()
        }
        (Validate::Ignore, Some(why)) => {
            let why = asked("/api", &why);
            let of =
                |source: &&str| Trouble::text(format!("unable to recognize \"{source}\": {why}"));
            sources.iter().map(of).collect()
        }
        (Validate::Ignore, None) => Vec::new(),
    };
    Trouble::all(told).err().unwrap_or(failure.into())
}
