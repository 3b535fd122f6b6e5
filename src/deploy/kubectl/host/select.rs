//! From what a command names to the objects themselves.

use serde_json::{Value, json};

use super::info::{Info, infos};
use super::session::Session;
use super::trouble::Trouble;
use crate::deploy::cluster::{Accept, Failure, Mapping, Target};
use crate::deploy::kubectl::request::{Selection, What};

/// Lists are read in pieces of this many.
const PIECE: &str = "500";

/// True: objects named by name or file are read from the server; false: they are taken as named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// As the server has them.
    Latest,
    /// As named.
    AsNamed,
}

/// The objects of a selection. What is not found is a trouble of its own; the others go on.
pub async fn find(
    session: &mut Session<'_>,
    selection: &Selection,
    read: Read,
) -> Result<(Vec<Info>, Vec<Trouble>), Trouble> {
    session.discover().await?;
    let (found, mut troubles) = match &selection.what {
        What::Files(items) => infos(session, items, selection.enforce_namespace),
        What::Names(names) => {
            let mut found = Vec::new();
            for named in names {
                let mapping = session.asked(&named.resource)?;
                let namespace = home(session, &mapping);
                let object = json!({
                    "apiVersion": mapping.api_version(),
                    "kind": mapping.kind,
                    "metadata": {"name": named.name},
                });
                let name = named.name.clone();
                found.push(Info { mapping, object, source: String::new(), namespace, name });
            }
            (found, Vec::new())
        }
        What::Types(words) => return by_type(session, selection, words).await,
    };
    if read == Read::AsNamed {
        return Ok((found, troubles));
    }
    let mut latest = Vec::new();
    for info in found {
        match session.get(&info.target()).await {
            Ok(object) => latest.push(Info { object, ..info }),
            Err(stop @ (Failure::Cancelled | Failure::Refused { .. } | Failure::Network(_))) => {
                return Err(stop.into());
            }
            Err(failure) => troubles.push(failure.into()),
        }
    }
    Ok((latest, troubles))
}

/// A part of an object that is asked for by itself.
pub fn part<'a>(info: &'a Info, subresource: &'a str) -> Target<'a> {
    Target { subresource, ..info.target() }
}

/// The namespace of a kind's objects that name none; empty for kinds without.
pub fn home(session: &Session<'_>, mapping: &Mapping) -> String {
    if mapping.namespaced { session.namespace().to_owned() } else { String::new() }
}

/// The kinds of a list of words, categories (`all`) expanded, each kind once.
pub fn mappings(session: &mut Session<'_>, words: &[String]) -> Result<Vec<Mapping>, Trouble> {
    let mut mappings: Vec<Mapping> = Vec::new();
    for word in words {
        let expanded = session.category(word);
        let words = if expanded.is_empty() { vec![word.clone()] } else { expanded };
        for word in words {
            let mapping = session.asked(&word)?;
            if !mappings.contains(&mapping) {
                mappings.push(mapping);
            }
        }
    }
    Ok(mappings)
}

async fn by_type(
    session: &mut Session<'_>,
    selection: &Selection,
    words: &[String],
) -> Result<(Vec<Info>, Vec<Trouble>), Trouble> {
    let mut found = Vec::new();
    let mut troubles = Vec::new();
    for mapping in mappings(session, words)? {
        match list(session, selection, &mapping).await {
            Ok(objects) => found.extend(objects.into_iter().map(|object| {
                let text = |pointer: &str| {
                    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
                };
                let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
                let mapping = mapping.clone();
                Info { mapping, object, source: String::new(), namespace, name }
            })),
            Err(stop @ Trouble::Network(_)) => return Err(stop),
            Err(trouble) => troubles.push(trouble),
        }
    }
    Ok((found, troubles))
}

/// The query parameters of a selection.
pub fn query(selection: &Selection) -> Vec<(&'static str, String)> {
    let mut query = Vec::new();
    for (name, text) in [("labelSelector", &selection.labels), ("fieldSelector", &selection.fields)]
    {
        query.extend(text.as_ref().map(|text| (name, text.clone())));
    }
    query
}

/// A list in some form, piece by piece; each piece as the server gave it.
pub async fn pieces(
    session: &mut Session<'_>,
    selection: &Selection,
    mapping: &Mapping,
    accept: Accept,
) -> Result<Vec<Value>, Trouble> {
    let namespace = if selection.all_namespaces { String::new() } else { home(session, mapping) };
    pieces_in(session, selection, mapping, (&namespace, accept, &[])).await
}

/// Tables whose rows hold their whole objects, to be sorted by any part of them.
pub async fn whole_tables(
    session: &mut Session<'_>,
    selection: &Selection,
    mapping: &Mapping,
) -> Result<Vec<Value>, Trouble> {
    let namespace = if selection.all_namespaces { String::new() } else { home(session, mapping) };
    let of = (namespace.as_str(), Accept::Table, &[("includeObject", "Object")][..]);
    pieces_in(session, selection, mapping, of).await
}

/// A namespace, the form of the answer, and what else is asked for.
type Asked<'a> = (&'a str, Accept, &'a [(&'static str, &'a str)]);

async fn pieces_in(
    session: &mut Session<'_>,
    selection: &Selection,
    mapping: &Mapping,
    (namespace, accept, more): Asked<'_>,
) -> Result<Vec<Value>, Trouble> {
    let target = Target { mapping, namespace, name: "", subresource: "" };
    let mut pieces: Vec<Value> = Vec::new();
    let mut next = String::new();
    loop {
        let mut query = query(selection);
        query.push(("limit", PIECE.to_owned()));
        query.extend(more.iter().map(|(key, value)| (*key, (*value).to_owned())));
        if !next.is_empty() {
            query.push(("continue", next.clone()));
        }
        let piece = session
            .read(&target, query, accept)
            .await
            .map_err(|failure| worded(failure, selection, mapping))?;
        let token = piece.pointer("/metadata/continue").and_then(Value::as_str);
        token.unwrap_or_default().clone_into(&mut next);
        pieces.push(piece);
        if next.is_empty() {
            return Ok(pieces);
        }
    }
}

/// kubectl names the selectors when the server refuses them.
fn worded(failure: Failure, selection: &Selection, mapping: &Mapping) -> Trouble {
    let mut trouble = Trouble::from(failure);
    let selected = selection.labels.is_some() || selection.fields.is_some();
    if let (true, Trouble::Status(status)) = (selected, &mut trouble)
        && status.reason == "BadRequest"
    {
        let Mapping { group, version, plural, .. } = mapping;
        status.message = format!(
            "Unable to find \"{group}/{version}, Resource={plural}\" that match label selector \
             \"{}\", field selector \"{}\": {}",
            selection.labels.as_deref().unwrap_or_default(),
            selection.fields.as_deref().unwrap_or_default(),
            status.message
        );
    }
    trouble
}

/// The objects of a kind in a namespace, each with its `apiVersion` and `kind`.
pub async fn list_in(
    session: &mut Session<'_>,
    selection: &Selection,
    mapping: &Mapping,
    namespace: &str,
) -> Result<Vec<Value>, Trouble> {
    let pieces = pieces_in(session, selection, mapping, (namespace, Accept::Json, &[])).await?;
    Ok(objects(pieces, mapping))
}

/// The objects of a kind, each with its `apiVersion` and `kind`.
pub async fn list(
    session: &mut Session<'_>,
    selection: &Selection,
    mapping: &Mapping,
) -> Result<Vec<Value>, Trouble> {
    let pieces = pieces(session, selection, mapping, Accept::Json).await?;
    Ok(objects(pieces, mapping))
}

fn objects(pieces: Vec<Value>, mapping: &Mapping) -> Vec<Value> {
    let mut objects = Vec::new();
    for mut piece in pieces {
        let items = piece.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take);
        for mut object in items.unwrap_or_default() {
            if let Value::Object(map) = &mut object {
                map.entry("apiVersion").or_insert_with(|| json!(mapping.api_version()));
                map.entry("kind").or_insert_with(|| json!(mapping.kind));
            }
            objects.push(object);
        }
    }
    objects
}
