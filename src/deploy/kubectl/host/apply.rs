//! `kubectl apply`: create what is not there, patch what is.

use std::time::Duration;

use serde_json::{Value, json};

use super::abreast::{self, Order};
use super::info::{Info, infos_of};
use super::present::{Known, Present};
use super::prune::{self, ApplySet, Visited};
use super::session::{Change, Session};
use super::trouble::Trouble;
use super::{Outcome, server_side};
use crate::deploy::cluster::{Accept, Method, Patch, is_builtin_group};
use crate::deploy::kubectl::print::{
    LAST_APPLIED, annotate, annotated, last_applied, print_object,
};
use crate::deploy::kubectl::request::{Apply, DryRun, Output, Validate};
use crate::deploy::{manifest, merge};

const MAX_RETRIES: u32 = 5;

/// The query parameters of a request that changes something.
pub fn options(manager: &str, dry_run: DryRun, validate: Validate) -> Vec<(&'static str, String)> {
    let validation = match validate {
        Validate::Strict => "Strict",
        Validate::Warn => "Warn",
        Validate::Ignore => "Ignore",
    };
    let mut query =
        vec![("fieldManager", manager.to_owned()), ("fieldValidation", validation.to_owned())];
    if dry_run == DryRun::Server {
        query.push(("dryRun", "All".to_owned()));
    }
    query
}

/// `created`, `created (dry run)`, `created (server dry run)`.
pub fn operation(done: &str, dry_run: DryRun) -> String {
    match dry_run {
        DryRun::None => done.to_owned(),
        DryRun::Client => format!("{done} (dry run)"),
        DryRun::Server => format!("{done} (server dry run)"),
    }
}

/// Runs `kubectl apply`.
pub async fn run(session: &mut Session<'_>, apply: &mut Apply) -> Outcome {
    let mut present = Present::ahead(session, apply).await?;
    let items = std::mem::take(&mut apply.items);
    let apply = &*apply;
    let (mut infos, built) = infos_of(session, items, apply.enforce_namespace);
    let mut troubles = Vec::new();
    if let Err(trouble) = Trouble::all(built) {
        troubles.push(trouble);
    }
    if infos.is_empty() && troubles.is_empty() {
        return Err(Trouble::text("no objects passed to apply"));
    }
    if let Some(prune) = apply.prune.as_ref().filter(|prune| prune.set.is_none()) {
        prune::mappings(session, prune)?;
    }
    let set = match apply.prune.as_ref().and_then(|prune| prune.set.as_ref()) {
        Some(parent) => Some(ApplySet::begin(session, apply, parent, &mut infos).await?),
        None => None,
    };
    let mut visited = Visited::default();
    if !apply.server_side {
        present.read(session, &infos).await;
    }
    let planned = infos.into_iter().map(|info| {
        let known = known(&mut present, apply, &info);
        Planned { info, known }
    });
    let planned: Vec<Planned> = planned.collect();
    let mut applied = Vec::new();
    let (keeps, prunes) = (prints_objects(&apply.output), apply.prune.is_some());
    abreast::each(
        session,
        (planned, Order::ByNeed),
        |part, planned| part.run(async move |session| one(session, apply, planned).await),
        |_, result| match result {
            Ok(object) => {
                if prunes {
                    visited.add(&object);
                }
                if keeps {
                    applied.push(object);
                }
            }
            Err(trouble) => troubles.push(trouble),
        },
    )
    .await?;
    Trouble::all(troubles)?;
    print_all(session, applied, &apply.output)?;
    match (&apply.prune, set) {
        (Some(prune), Some(set)) => set.end(session, apply, prune, &visited).await,
        (Some(prune), None) => prune::by_labels(session, apply, prune, &visited).await,
        (None, _) => Ok(()),
    }
}

/// An object, and what is known of it.
struct Planned {
    info: Info,
    known: Known,
}

impl AsRef<Info> for Planned {
    fn as_ref(&self) -> &Info {
        &self.info
    }
}

/// What is known of an object. What is to be made is written here, for all of them at once: between two
/// answers it would take longer.
fn known(present: &mut Present, apply: &Apply, info: &Info) -> Known {
    let known = present.take(info);
    let is_made = apply.dry_run != DryRun::Client && !info.name.is_empty();
    if is_made && matches!(known, Known::IsNot(_)) {
        return Known::IsNot(Some(created(&info.object)));
    }
    known
}

fn prints_objects(output: &Output) -> bool {
    !matches!(output, Output::Default | Output::Name)
}

fn print_all(session: &mut Session<'_>, mut objects: Vec<Value>, output: &Output) -> Outcome {
    if !prints_objects(output) {
        return Ok(());
    }
    objects.iter_mut().for_each(super::get::hide_managed_fields);
    let object = match objects.len() {
        1 => objects.pop().unwrap_or_default(),
        _ => json!({"apiVersion": "v1", "items": objects, "kind": "List", "metadata": {}}),
    };
    let text = print_object(&object, output, "", false).map_err(Trouble::text)?;
    session.out(text);
    Ok(())
}

async fn one(
    session: &mut Session<'_>,
    apply: &Apply,
    Planned { info, known }: Planned,
) -> Result<Value, Trouble> {
    if info.name.is_empty() {
        let generate = info.object.pointer("/metadata/generateName").and_then(Value::as_str);
        if let Some(prefix) = generate.filter(|name| !name.is_empty()) {
            let what = format!("from {prefix}: cannot use generate name with apply");
            return Err(Trouble::text(what));
        }
    }
    let (object, done) = if apply.server_side {
        (Box::pin(server_side::apply(session, apply, &info)).await?, "serverside-applied")
    } else {
        client_side(session, apply, &info, known).await?
    };
    let metadata = object.get("metadata");
    let going = metadata.and_then(|metadata| metadata.get("deletionTimestamp"));
    if going.is_some_and(|time| !time.is_null()) {
        session.err(format!(
            "Warning: Detected changes to resource {} which is currently being deleted.\n",
            info.name
        ));
    }
    if !prints_objects(&apply.output) {
        let done = operation(done, apply.dry_run);
        let text = match (&object, &apply.output) {
            (Value::Null, Output::Name) => format!("{}/{}\n", info.mapping.type_name(), info.name),
            (Value::Null, _) => format!("{}/{} {done}\n", info.mapping.type_name(), info.name),
            (object, output) => {
                print_object(object, output, &done, false).map_err(Trouble::text)?
            }
        };
        session.out(text);
    }
    Ok(object)
}

async fn client_side(
    session: &mut Session<'_>,
    apply: &Apply,
    info: &Info,
    known: Known,
) -> Result<(Value, &'static str), Trouble> {
    let found = match known {
        Known::Is(current) => Ok(current),
        Known::IsNot(body) => match create(session, apply, info, body).await {
            // Somebody was faster since the list was read.
            Err(Trouble::Status(status)) if status.reason == "AlreadyExists" => {
                Box::pin(session.get(&info.target())).await
            }
            made => return made.map(|object| (object, "created")),
        },
        Known::Nothing => Box::pin(session.get(&info.target())).await,
    };
    let current = match found {
        Ok(current) => current,
        Err(failure) if failure.is_not_found() => {
            let made = Box::pin(create(session, apply, info, None)).await;
            return made.map(|object| (object, "created"));
        }
        Err(failure) => {
            let verb =
                format!("retrieving current configuration of:\n{}\nfrom server for:", info.told());
            return Err(Trouble::from(failure).when(&verb, &info.source));
        }
    };
    if last_applied_of(&current).is_none() {
        session.err(format!(
            "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required \
             by kubectl apply. kubectl apply should only be used on resources created \
             declaratively by either kubectl create --save-config or kubectl apply. The missing \
             annotation will be patched automatically.\n",
            info.mapping.plural, info.name
        ));
    }
    let mut modified = info.object.clone();
    annotate(&mut modified, false);
    // What is made needs no room for this.
    Box::pin(patch(session, apply, info, &modified, current)).await
}

fn last_applied_of(object: &Value) -> Option<&str> {
    object.pointer("/metadata/annotations")?.get(LAST_APPLIED)?.as_str()
}

/// Makes an object; what the server made of it is null where nobody asks.
async fn create(
    session: &mut Session<'_>,
    apply: &Apply,
    info: &Info,
    body: Option<String>,
) -> Result<Value, Trouble> {
    if apply.dry_run == DryRun::Client {
        let mut object = info.object.clone();
        annotate(&mut object, false);
        prune_nulls(&mut object);
        return Ok(object);
    }
    let change = Change {
        method: Method::Post,
        // It is called as it was to be called.
        accept: if prints_objects(&apply.output) || apply.prune.is_some() {
            wanted(apply)
        } else {
            Accept::Nothing
        },
        query: options(&apply.field_manager, apply.dry_run, apply.validate),
        body: Some(body.unwrap_or_else(|| created(&info.object))),
    };
    session
        .change(change, &info.home())
        .await
        .map(|answer| answer.body)
        .map_err(|failure| Trouble::from(failure).when("creating", &info.source))
}

/// The body that makes an object: its memory in it, and no nulls.
fn created(object: &Value) -> String {
    let metadata = object.get("metadata");
    let versioned = metadata.and_then(|metadata| metadata.get("resourceVersion")).is_some();
    if !versioned && !has_nulls(object) {
        return annotated(object);
    }
    let mut object = object.clone();
    annotate(&mut object, false);
    prune_nulls(&mut object);
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("resourceVersion");
    }
    manifest::compact(&object)
}

fn has_nulls(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.values().any(|value| value.is_null() || has_nulls(value)),
        Value::Array(items) => items.iter().any(has_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// How much of the answers is needed: what is not printed is not read.
fn wanted(apply: &Apply) -> Accept {
    if prints_objects(&apply.output) { Accept::Json } else { Accept::Identity }
}

/// What a later patch would do to them too.
fn prune_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(prune_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(prune_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The patch and how it is to be sent.
pub fn difference(
    info: &Info,
    modified: &Value,
    current: &Value,
) -> Result<(Value, Patch), String> {
    let original = match last_applied_of(current).filter(|text| !text.is_empty()) {
        Some(text) => serde_json::from_str(text).map_err(|_| "invalid JSON document".to_owned())?,
        None => json!({}),
    };
    if is_builtin_group(&info.mapping.group) {
        let patch = merge::three_way_strategic(&info.mapping.kind, &original, modified, current)?;
        Ok((patch, Patch::Strategic))
    } else {
        Ok((merge::three_way_json(&original, modified, current)?, Patch::Merge))
    }
}

async fn patch(
    session: &mut Session<'_>,
    apply: &Apply,
    info: &Info,
    modified: &Value,
    mut current: Value,
) -> Result<(Value, &'static str), Trouble> {
    let told = |body: &str, trouble: Trouble| {
        let verb = format!("applying patch:\n{body}\nto:\n{}\nfor:", info.told());
        trouble.when(&verb, &info.source)
    };
    let mut tries = 0;
    loop {
        let (patch, kind) = difference(info, modified, &current).map_err(|error| {
            let text = format!(
                "creating patch with:\noriginal:\n{}\nmodified:\n{}\ncurrent:\n{}\nfor: {error}",
                last_applied_of(&current).unwrap_or_default(),
                last_applied(modified, false),
                manifest::compact(&current)
            );
            told("", Trouble::text(text))
        })?;
        let body = manifest::compact(&patch);
        if body == "{}" {
            return Ok((current, "unchanged"));
        }
        if apply.dry_run == DryRun::Client {
            return Ok((
                locally(info, kind, &current, &patch).map_err(Trouble::text)?,
                "configured",
            ));
        }
        let query = options(&apply.field_manager, apply.dry_run, apply.validate);
        let change = Change {
            method: Method::Patch(kind),
            accept: wanted(apply),
            query,
            body: Some(body.clone()),
        };
        match session.change(change, &info.target()).await {
            Ok(answer) => return Ok((answer.body, "configured")),
            Err(failure) if failure.is_conflict() && tries < MAX_RETRIES => {
                tries += 1;
                if tries > 1 {
                    session.pause(Duration::from_secs(1)).await?;
                }
                current = session.get(&info.target()).await?;
            }
            Err(failure) if apply.force && (failure.is_conflict() || failure.is("Invalid")) => {
                return recreate(session, apply, info, modified, &current)
                    .await
                    .map(|object| (object, "configured"))
                    .map_err(|trouble| told(&body, trouble));
            }
            Err(failure) => {
                return Err(told(&body, Trouble::from(failure).when("patching", &info.source)));
            }
        }
    }
}

fn locally(info: &Info, kind: Patch, current: &Value, patch: &Value) -> Result<Value, String> {
    if kind == Patch::Strategic {
        return merge::apply_strategic(&info.mapping.kind, current, patch);
    }
    let mut object = current.clone();
    merge::apply_json(&mut object, patch);
    Ok(object)
}

/// `--force`: delete, wait until it is gone, create; if that fails, put the old one back.
async fn recreate(
    session: &mut Session<'_>,
    apply: &Apply,
    info: &Info,
    modified: &Value,
    original: &Value,
) -> Result<Value, Trouble> {
    let body =
        json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
    session
        .send(Method::Delete, &info.target(), Vec::new(), Some(manifest::compact(&body)))
        .await?;
    loop {
        match session.get(&info.target()).await {
            Err(failure) if failure.is_not_found() => break,
            Err(failure) => return Err(failure.into()),
            Ok(_) => session.pause(Duration::from_secs(1)).await?,
        }
    }
    let query = || options(&apply.field_manager, apply.dry_run, apply.validate);
    let body = manifest::compact(modified);
    let Err(failure) = session.send(Method::Post, &info.home(), query(), Some(body)).await else {
        return session.get(&info.target()).await.map_err(Trouble::from);
    };
    let mut old = original.clone();
    if let Some(Value::Object(metadata)) = old.get_mut("metadata") {
        metadata.remove("resourceVersion");
        metadata.remove("uid");
    }
    let trouble = Trouble::from(failure);
    match session.send(Method::Post, &info.home(), query(), Some(manifest::compact(&old))).await {
        Ok(_) => Err(trouble),
        Err(again) => Err(Trouble::text(format!(
            "An error occurred force-replacing the existing object with the newly provided \
             one:\n\n{}.\n\nAdditionally, an error occurred attempting to restore the original \
             object:\n\n{}",
            trouble.message(),
            Trouble::from(again).message()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_at_once_is_what_a_tree_would_give() {
        let marked = json!({LAST_APPLIED: "old", "zz": "1", "aa": "<2>"});
        for metadata in [
            json!({"name": "x", "annotations": marked, "zone": "z"}),
            json!({"name": "x"}),
            json!({"annotations": "none"}),
            json!({}),
            json!("none"),
            json!({"name": "x", "labels": {"a": null}}),
        ] {
            for object in
                [json!({"kind": "A", "z": [null, 1.5], "metadata": metadata}), json!({"kind": "A"})]
            {
                let mut tree = object.clone();
                annotate(&mut tree, false);
                prune_nulls(&mut tree);
                assert_eq!(created(&object), manifest::compact(&tree), "{object}");
            }
        }
    }
}
