//! Objects as they are: many of a kind in a namespace by one list, the others one by one.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::desk::Desk;
use super::plan::text;
use super::resolve::Thing;
use crate::deploy::cluster::{Failure, Method, Target};

/// From this many objects of a kind in a namespace on a list is cheaper than they are.
const MANY: usize = 8;

/// A kind in a namespace.
type Place = (String, String);

/// What was listed: the objects of a place by name, of places whose list is whole.
#[derive(Debug, Default)]
pub struct Listed(HashMap<Place, HashMap<String, Value>>);

fn place(thing: &Thing) -> Place {
    (thing.mapping.resource(), thing.namespace.clone())
}

/// What is known of an object.
#[derive(Debug)]
pub enum Known {
    /// It is there.
    Is(Value),
    /// It is not there.
    IsNot,
    /// Nothing.
    Nothing,
}

impl Listed {
    /// Lists what many of `things` share. A list that is refused, or longer than what it is for, is no
    /// error: those objects are asked for one by one.
    pub async fn read(desk: &Desk<'_>, things: &[&Thing]) -> Result<Self, Failure> {
        let mut counts: BTreeMap<Place, (usize, &Thing)> = BTreeMap::new();
        for thing in things.iter().filter(|thing| !thing.namespace.is_empty()) {
            counts.entry(place(thing)).or_insert((0, thing)).0 += 1;
        }
        let mut listed = Self::default();
        for (place, (count, thing)) in counts {
            if count < MANY {
                continue;
            }
            let target = Target { name: "", ..thing.target() };
            let query = vec![("limit", (count * 2 + 50).to_string())];
            let mut answer = match desk.send(Method::Get, &target, query, None).await {
                Ok(answer) => answer.body,
                Err(failure) if failure.is_unreachable() || failure == Failure::Cancelled => {
                    return Err(failure);
                }
                Err(_) => continue,
            };
            if !text(&answer, "/metadata/continue").is_empty() {
                continue;
            }
            let items = answer.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take);
            let objects = items.unwrap_or_default().into_iter().filter_map(|mut object| {
                let name = text(&object, "/metadata/name").to_owned();
                let map = object.as_object_mut()?;
                map.insert("apiVersion".to_owned(), json!(thing.mapping.api_version()));
                map.insert("kind".to_owned(), json!(thing.mapping.kind));
                Some((name, object))
            });
            listed.0.insert(place, objects.collect());
        }
        Ok(listed)
    }

    /// Takes out what is known of an object.
    pub fn take(&mut self, thing: &Thing) -> Known {
        match self.0.get_mut(&place(thing)).map(|objects| objects.remove(&thing.name)) {
            Some(Some(object)) => Known::Is(object),
            Some(None) => Known::IsNot,
            None => Known::Nothing,
        }
    }
}
