//! What is there already of many objects: one list of a kind and namespace instead of a request for
//! each object. Of kinds that every cluster has it is asked before anything else: where these are all
//! kinds there are, that they are listed says that they are served, and nothing else is asked.

use std::collections::{BTreeMap, HashMap};

use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::abreast::Part;
use super::info::{Info, discover, undiscovered};
use super::session::{Ground, Session};
use super::trouble::Trouble;
use crate::deploy::cluster::{Accept, Mapping, Target, builtin_by_kind};
use crate::deploy::kubectl::request::{Apply, Item};

/// From this many objects of a kind in a namespace on a list is cheaper than they are.
const MANY: usize = 8;
/// So many lists go side by side.
const LISTS: usize = 8;

/// A kind, in a version, and a namespace.
type Place = (String, String, String, String);

/// Places to be looked at: how many objects are to be there, and of what kind.
type Places = BTreeMap<Place, (usize, Mapping)>;

/// What was listed.
#[derive(Debug, Default)]
pub struct Present {
    listed: HashMap<Place, Listed>,
}

/// The objects of a kind in a namespace by name; none where they may not be listed.
#[derive(Debug, Default)]
struct Listed {
    objects: HashMap<String, Value>,
    is_whole: bool,
}

/// What is known of an object.
pub enum Known {
    /// It is there.
    Is(Value),
    /// It is not there; how it is made, where that was written already.
    IsNot(Option<String>),
    /// Nothing.
    Nothing,
}

/// Lists a kind in a namespace.
async fn list(
    session: &mut Session<'_>,
    namespace: &str,
    (count, mapping): &(usize, Mapping),
) -> Result<Listed, Trouble> {
    let target = Target { mapping, namespace, name: "", subresource: "" };
    let query = vec![("limit", (count * 2 + 50).to_string())];
    let mut list = session.read(&target, query, Accept::Json).await?;
    let more = list.pointer("/metadata/continue").and_then(Value::as_str);
    let is_whole = more.is_none_or(str::is_empty);
    let items = list.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take);
    let objects = items.unwrap_or_default().into_iter().filter_map(|mut object| {
        let name = object.get("metadata")?.get("name")?.as_str()?.to_owned();
        let map = object.as_object_mut()?;
        map.insert("apiVersion".to_owned(), json!(mapping.api_version()));
        map.insert("kind".to_owned(), json!(mapping.kind));
        Some((name, object))
    });
    Ok(Listed { objects: objects.collect(), is_whole })
}

/// A list, and what was told meanwhile.
type Looked<'a> = (Place, Part<'a>, Result<Listed, Trouble>);

/// Lists side by side.
async fn look(ground: Ground<'_>, places: Places) -> Vec<Looked<'_>> {
    let lists = places.into_iter().map(|(place, wanted)| {
        let part = Part::new(ground.clone());
        async move {
            let namespace = place.3.clone();
            let work = async |session: &mut Session<'_>| list(session, &namespace, &wanted).await;
            let (part, listed) = part.run(work).await;
            (place, part, listed)
        }
    });
    stream::iter(lists).buffered(LISTS).collect().await
}

fn place(mapping: &Mapping, namespace: &str) -> Place {
    let Mapping { group, version, plural, .. } = mapping;
    (group.clone(), version.clone(), plural.clone(), namespace.to_owned())
}

/// An object's `apiVersion`, its kind and its namespace.
fn seat<'a>(session: &'a Session<'_>, item: &'a Item) -> Option<(&'a str, &'a str, &'a str)> {
    let Item::Object(manifest) = item else { return None };
    let text = |key: &str| manifest.object.get(key)?.as_str();
    let named = manifest.object.get("metadata").and_then(|metadata| metadata.get("namespace"));
    let named = named.and_then(Value::as_str).filter(|namespace| !namespace.is_empty());
    Some((text("apiVersion")?, text("kind")?, named.unwrap_or_else(|| session.namespace())))
}

/// A kind that every cluster has; where the cluster serves that kind in this version.
fn builtin(api_version: &str, kind: &str) -> Option<Mapping> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let known = builtin_by_kind(group, kind)?;
    if !known.namespaced || known.kind != kind || version.is_empty() {
        return None;
    }
    Some(Mapping {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: known.plural.to_owned(),
        singular: kind.to_lowercase(),
        short: [].into(),
        categories: [].into(),
        namespaced: true,
        verbs: [].into(),
    })
}

/// The places of built-in kinds that are worth a list, and whether all objects are there.
fn guessed(session: &Session<'_>, apply: &Apply) -> (Places, bool) {
    let mut counts = BTreeMap::new();
    for item in &apply.items {
        *counts.entry(seat(session, item)).or_insert(0) += 1;
    }
    let n_seats = counts.len();
    let mut places = Places::new();
    for (seat, count) in counts {
        let Some((api_version, kind, namespace)) = seat else { continue };
        let is_elsewhere = apply.enforce_namespace && namespace != session.namespace();
        if count >= MANY
            && !is_elsewhere
            && let Some(mapping) = builtin(api_version, kind)
        {
            places.insert(place(&mapping, namespace), (count, mapping));
        }
    }
    let is_all = places.len() == n_seats && apply.prune.is_none();
    (places, is_all)
}

impl Present {
    /// Lists what can be listed before it is known which kinds the cluster serves, and asks for that
    /// beside it, or not at all.
    pub async fn ahead(session: &mut Session<'_>, apply: &Apply) -> Result<Self, Trouble> {
        let mut present = Self::default();
        let (places, is_all) =
            if apply.server_side { (Places::new(), false) } else { guessed(session, apply) };
        let lists = look(session.ground(), places.clone());
        if !is_all {
            let (lists, discovered) =
                futures_util::join!(lists, discover(session, &apply.items, apply.validate));
            discovered?;
            present.add(session, lists);
            return Ok(present);
        }
        let lists = lists.await;
        // Who is not reached by these is not reached by another question.
        let broken = lists.iter().find_map(|(_, _, listed)| match listed {
            Err(Trouble::Network(failure)) => Some(failure.clone()),
            _ => None,
        });
        let is_served = lists.iter().all(|(_, _, listed)| listed.is_ok());
        present.add(session, lists);
        if let Some(failure) = broken {
            return Err(undiscovered(session.server(), &apply.items, apply.validate, failure));
        }
        if is_served {
            session.assume(places.into_values().map(|(_, mapping)| mapping).collect());
        } else {
            discover(session, &apply.items, apply.validate).await?;
        }
        Ok(present)
    }

    /// Lists what many of `infos` share and was not listed yet. A list that is refused, or longer than
    /// what it is for, is no error: those objects are asked for one by one.
    pub async fn read(&mut self, session: &mut Session<'_>, infos: &[Info]) {
        let mut places = Places::new();
        for info in infos.iter().filter(|info| info.mapping.namespaced) {
            let place = place(&info.mapping, &info.namespace);
            if !self.listed.contains_key(&place) {
                places.entry(place).or_insert_with(|| (0, info.mapping.clone())).0 += 1;
            }
        }
        places.retain(|_, (count, _)| *count >= MANY);
        let lists = look(session.ground(), places).await;
        self.add(session, lists);
    }

    fn add(&mut self, session: &mut Session<'_>, lists: Vec<Looked<'_>>) {
        for (place, part, listed) in lists {
            part.end(session);
            self.listed.insert(place, listed.unwrap_or_default());
        }
    }

    /// Takes out what is known of an object.
    pub fn take(&mut self, info: &Info) -> Known {
        let listed = self.listed.get_mut(&place(&info.mapping, &info.namespace));
        let Some(Listed { objects, is_whole }) = listed else { return Known::Nothing };
        match objects.remove(&info.name) {
            Some(object) => Known::Is(object),
            None if *is_whole => Known::IsNot(None),
            None => Known::Nothing,
        }
    }
}
