//! What is there already of many objects: one list of a kind and namespace instead of a request for
//! each object.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::abreast::Part;
use super::apply::Info;
use super::pace::first;
use super::session::Session;
use super::trouble::Trouble;
use crate::deploy::cluster::{Accept, Mapping, Target};

/// From this many objects of a kind in a namespace on a list is cheaper than they are.
const MANY: usize = 8;

/// A kind in a namespace.
type Place = (String, String, String);

/// What was listed.
#[derive(Debug, Default)]
pub struct Present {
    objects: HashMap<Place, HashMap<String, Value>>,
    whole: HashSet<Place>,
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

/// The objects of a kind in a namespace by name, and whether these are all.
async fn list(
    session: &mut Session<'_>,
    count: usize,
    info: &Info,
) -> Result<(HashMap<String, Value>, bool), Trouble> {
    let target = Target { name: "", ..info.target() };
    let query = vec![("limit", (count * 2 + 50).to_string())];
    let mut list = session.read(&target, query, Accept::Json).await?;
    let more = list.pointer("/metadata/continue").and_then(Value::as_str);
    let is_whole = more.is_none_or(str::is_empty);
    let items = list.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take);
    let objects = items.unwrap_or_default().into_iter().filter_map(|mut object| {
        let name = object.pointer("/metadata/name")?.as_str()?.to_owned();
        let map = object.as_object_mut()?;
        map.insert("apiVersion".to_owned(), json!(info.mapping.api_version()));
        map.insert("kind".to_owned(), json!(info.mapping.kind));
        Some((name, object))
    });
    Ok((objects.collect(), is_whole))
}

fn place(mapping: &Mapping, namespace: &str) -> Place {
    (mapping.group.clone(), mapping.plural.clone(), namespace.to_owned())
}

impl Present {
    /// Lists what many of `infos` share, side by side. A list that is refused, or longer than what it is
    /// for, is no error: those objects are asked for one by one.
    pub async fn read(session: &mut Session<'_>, infos: &[Info]) -> Self {
        let mut counts: BTreeMap<Place, (usize, &Info)> = BTreeMap::new();
        for info in infos {
            counts.entry(place(&info.mapping, &info.namespace)).or_insert((0, info)).0 += 1;
        }
        counts.retain(|_, (count, info)| *count >= MANY && info.mapping.namespaced);
        let ground = session.ground();
        let mut lists =
            stream::iter(counts)
                .map(|(place, (count, info))| {
                    let part = Part::new(ground.clone());
                    async move {
                        (place, part.run(async |session| list(session, count, info).await).await)
                    }
                })
                .buffered(first(&ground));
        let mut present = Self::default();
        while let Some((place, (part, listed))) = lists.next().await {
            part.end(session);
            let Ok((objects, is_whole)) = listed else { continue };
            if is_whole {
                present.whole.insert(place.clone());
            }
            present.objects.insert(place, objects);
        }
        present
    }

    /// Takes out what is known of an object.
    pub fn take(&mut self, info: &Info) -> Known {
        let place = place(&info.mapping, &info.namespace);
        match self.objects.get_mut(&place).and_then(|objects| objects.remove(&info.name)) {
            Some(object) => Known::Is(object),
            None if self.whole.contains(&place) => Known::IsNot(None),
            None => Known::Nothing,
        }
    }
}
