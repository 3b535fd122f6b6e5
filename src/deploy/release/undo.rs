//! Back to what was: exactly the objects of one deploy, in the opposite order.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::desk::Desk;
use super::event::{Action, Event, Undone};
use super::owners::UNDO_MANAGER;
use super::plan::{list, text};
use super::refusal::sentence;
use super::resolve::Thing;
use crate::deploy::cluster::{Failure, Method, Patch};

const RETRIES: u32 = 5;

/// Puts objects back. `before` holds what was there before this deploy, `after` what it made of it.
/// Every object is tried; what cannot go back is named.
pub async fn undo(
    desk: &Desk<'_>,
    things: &[&Thing],
    before: &BTreeMap<usize, Value>,
    after: &BTreeMap<usize, (Value, Action)>,
) -> BTreeMap<usize, Undone> {
    let mut order: Vec<&Thing> = things.to_vec();
    order.sort_by_key(|thing| std::cmp::Reverse((thing.wave, thing.index)));
    let mut undone = BTreeMap::new();
    for thing in order {
        let Some((applied, action)) = after.get(&thing.index) else { continue };
        let outcome = match (action, before.get(&thing.index)) {
            (Action::Unchanged | Action::Refused | Action::Skipped | Action::Pruned, _) => continue,
            (Action::Created | Action::Configured, None) => delete(desk, thing, applied).await,
            (Action::Created | Action::Configured, Some(was)) => {
                restore(desk, thing, was, applied).await
            }
        };
        let outcome = outcome.unwrap_or_else(|failure| Undone::Failed(sentence(&failure)));
        desk.tell(Event::Undone { object: thing.index, undone: outcome.clone() });
        undone.insert(thing.index, outcome);
    }
    undone
}

/// Why an object that was made is not deleted again.
fn kept(thing: &Thing) -> Option<&'static str> {
    let why = match (thing.mapping.group.as_str(), thing.mapping.kind.as_str()) {
        ("", "Namespace") => "a namespace may hold more by now than this deploy made",
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            "with a definition every object of its kind would go"
        }
        ("", "PersistentVolumeClaim") => "a claim may hold data by now",
        ("batch", "Job") => "a job has run: what it did is not undone, and its logs are evidence",
        _ => return None,
    };
    Some(why)
}

async fn delete(desk: &Desk<'_>, thing: &Thing, applied: &Value) -> Result<Undone, Failure> {
    if let Some(why) = kept(thing) {
        return Ok(Undone::Kept(why.to_owned()));
    }
    remove(desk, thing, applied).await?;
    Ok(Undone::Deleted)
}

/// Deletes an object, if it is still the very one.
pub async fn remove(desk: &Desk<'_>, thing: &Thing, applied: &Value) -> Result<(), Failure> {
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
        "preconditions": {"uid": text(applied, "/metadata/uid")}});
    match desk.send(Method::Delete, &thing.target(), Vec::new(), Some(&options)).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.is_not_found() => Ok(()),
        Err(failure) => Err(failure),
    }
}

async fn restore(
    desk: &Desk<'_>,
    thing: &Thing,
    was: &Value,
    applied: &Value,
) -> Result<Undone, Failure> {
    if thing.is("batch", "Job") {
        return Ok(Undone::Kept("a job has run: what it did is not undone".to_owned()));
    }
    for _ in 0..RETRIES {
        let Some(now) = desk.get(&thing.target()).await? else {
            return Ok(Undone::Failed("somebody deleted it meanwhile".to_owned()));
        };
        if text(&now, "/metadata/uid") != text(applied, "/metadata/uid") {
            return Ok(Undone::Failed("somebody replaced it meanwhile".to_owned()));
        }
        let body = restored(was, &now, &thing.object);
        let query = vec![("fieldManager", UNDO_MANAGER.to_owned())];
        match desk.send(Method::Put, &thing.target(), query, Some(&body)).await {
            Ok(answer) => {
                give_back(desk, thing, was, &answer.body).await?;
                return Ok(Undone::Restored);
            }
            Err(failure) if failure.is_conflict() => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(Undone::Failed("it changes all the time".to_owned()))
}

/// The object as it was, ready to be sent. How many replicas something else has set meanwhile is not
/// for a rollback to change.
fn restored(was: &Value, now: &Value, manifest: &Value) -> Value {
    let mut body = was.clone();
    body["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"].clone();
    if manifest.pointer("/spec/replicas").is_none()
        && let (Some(replicas), true) =
            (now.pointer("/spec/replicas"), was.pointer("/spec/replicas").is_some())
    {
        body["spec"]["replicas"] = replicas.clone();
    }
    body
}

/// Fields go back to those who owned them, so that the next deploy finds what this one found.
async fn give_back(
    desk: &Desk<'_>,
    thing: &Thing,
    was: &Value,
    now: &Value,
) -> Result<(), Failure> {
    let fields = list(was, "/metadata/managedFields");
    if fields.is_empty() {
        return Ok(());
    }
    let mut now = now.clone();
    for _ in 0..RETRIES {
        let version = &now["metadata"]["resourceVersion"];
        let patch = json!([
            {"op": "replace", "path": "/metadata/managedFields", "value": fields},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        ]);
        let query = vec![("fieldManager", UNDO_MANAGER.to_owned())];
        let method = Method::Patch(Patch::Json);
        match desk.send(method, &thing.target(), query, Some(&patch)).await {
            Err(failure) if failure.is_not_found() => return Ok(()),
            Err(failure) if failure.is_conflict() => {}
            answer => return answer.map(drop),
        }
        match desk.get(&thing.target()).await? {
            // Its controller was faster, and wrote what is its own.
            Some(newer) if is_as_restored(&newer, &now) => now = newer,
            Some(_) | None => break,
        }
    }
    // The fields then stay with the rollback, and are taken over by the next deploy.
    Ok(())
}

/// True when nobody has changed since what the rollback wrote.
fn is_as_restored(newer: &Value, now: &Value) -> bool {
    let generation = |object: &Value| object.pointer("/metadata/generation").cloned();
    if generation(now).is_some() {
        return generation(newer) == generation(now);
    }
    let written = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
            metadata.remove("managedFields");
        }
        object
    };
    written(newer) == written(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controllers_own_words_are_no_change_and_other_peoples_are() {
        let deployment = |generation: u32, revision: &str| {
            json!({"metadata": {"generation": generation, "resourceVersion": revision,
                "annotations": {"revision": revision}}})
        };
        assert!(is_as_restored(&deployment(3, "8"), &deployment(3, "7")));
        assert!(!is_as_restored(&deployment(4, "8"), &deployment(3, "7")));
        let map = |data: &str, version: &str| json!({"metadata": {"resourceVersion": version}, "data": {"a": data}});
        assert!(is_as_restored(&map("1", "8"), &map("1", "7")));
        assert!(!is_as_restored(&map("2", "8"), &map("1", "7")));
    }

    #[test]
    fn replicas_that_the_manifest_leaves_to_others_stay_as_they_are() {
        let was = json!({"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 2, "a": 1}});
        let now = json!({"metadata": {"resourceVersion": "9"}, "spec": {"replicas": 7, "a": 2}});
        let back = restored(&was, &now, &json!({"spec": {}}));
        assert_eq!(
            back,
            json!({"metadata": {"resourceVersion": "9"}, "spec": {"replicas": 7, "a": 1}})
        );
        let back = restored(&was, &now, &json!({"spec": {"replicas": 7}}));
        assert_eq!(back["spec"]["replicas"], 2);
    }
}
