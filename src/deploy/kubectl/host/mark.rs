//! `kubectl label` and `kubectl annotate`.

use serde_json::{Map, Value, json};

use super::apply::operation;
use super::info::Info;
use super::select::{Read, find};
use super::session::Session;
use super::trouble::Trouble;
use super::{Outcome, get};
use crate::deploy::cluster::Patch;
use crate::deploy::kubectl::print::print_object;
use crate::deploy::kubectl::request::{CHANGE_CAUSE, DryRun, Mark, Marks, note_cause};
use crate::deploy::{manifest, merge};

/// Runs `kubectl label` or `kubectl annotate`.
pub async fn run(session: &mut Session<'_>, mark: &Mark) -> Outcome {
    let (infos, mut troubles) = find(session, &mark.selection, Read::Latest).await?;
    if !mark.single && mark.resource_version.is_some() {
        return Err(Trouble::text("--resource-version may only be used with a single resource"));
    }
    for info in infos {
        match one(session, mark, &info).await {
            Ok(()) => {}
            Err(stop @ Trouble::Network(_)) => return Err(stop),
            Err(trouble) => troubles.push(trouble),
        }
    }
    Trouble::all(troubles)
}

fn field(mark: &Mark) -> &'static str {
    match mark.what {
        Marks::Labels => "labels",
        Marks::Annotations => "annotations",
    }
}

fn marks<'a>(mark: &Mark, object: &'a Value) -> Option<&'a Map<String, Value>> {
    object.get("metadata")?.get(field(mark))?.as_object()
}

async fn one(session: &mut Session<'_>, mark: &Mark, info: &Info) -> Outcome {
    let known = marks(mark, &info.object);
    let value = |key: &str| known.and_then(|known| known.get(key)).and_then(Value::as_str);
    if !mark.overwrite {
        not_overwritten(mark, value)?;
    }
    let mut changed = info.object.clone();
    let added: Vec<&(String, String)> =
        mark.set.iter().filter(|(key, new)| value(key) != Some(new)).collect();
    let removed: Vec<&String> = mark.remove.iter().filter(|key| value(key).is_some()).collect();
    let mut patch = Map::new();
    patch.extend(added.iter().map(|(key, new)| (key.clone(), json!(new))));
    patch.extend(removed.iter().map(|key| ((*key).clone(), Value::Null)));
    let mut metadata = if patch.is_empty() { json!({}) } else { json!({ (field(mark)): patch }) };
    let record = session.record().filter(|_| !mark.list);
    if let Some(cause) = &record {
        let noted = json!({"annotations": {(CHANGE_CAUSE): &**cause}});
        merge::apply_json(&mut metadata, &noted);
    }
    if let Some(version) = &mark.resource_version {
        put(&mut metadata, "resourceVersion", json!(version));
    }
    if let Some(metadata) = changed.get_mut("metadata") {
        if let Some(version) = &mark.resource_version {
            put(metadata, "resourceVersion", json!(version));
        }
        merge::apply_json(metadata, &json!({ (field(mark)): patch }));
    }
    if let Some(cause) = &record {
        note_cause(&mut changed, cause);
    }
    if mark.list {
        list(session, mark, info, &changed);
        return Ok(());
    }
    let is_label = mark.what == Marks::Labels;
    let mut shown = changed;
    if mark.dry_run != DryRun::Client {
        if is_label {
            for key in mark.remove.iter().filter(|key| value(key).is_none()) {
                session.out(format!("label \"{key}\" not found.\n"));
            }
        }
        // kubectl sends what changes nothing for annotations only.
        if !patch.is_empty() || !is_label || record.is_some() {
            let body =
                if metadata == json!({}) { json!({}) } else { json!({"metadata": metadata}) };
            let answer = send(session, mark, info, &body).await?;
            if !is_label {
                shown = answer;
            }
        }
    }
    let done = done(is_label, !added.is_empty(), !removed.is_empty());
    get::hide_managed_fields(&mut shown);
    let done = operation(done, mark.dry_run);
    let text = print_object(&shown, &mark.output, &done, false).map_err(Trouble::text)?;
    session.out(text);
    Ok(())
}

/// What was done, in kubectl's word.
fn done(is_label: bool, added: bool, removed: bool) -> &'static str {
    match (is_label, added, removed) {
        (false, ..) => "annotated",
        (true, true, true) => "modified",
        (true, true, false) => "labeled",
        (true, false, true) => "unlabeled",
        (true, false, false) => "not labeled",
    }
}

fn put(map: &mut Value, key: &str, value: Value) {
    if let Value::Object(map) = map {
        map.insert(key.to_owned(), value);
    }
}

async fn send(
    session: &mut Session<'_>,
    mark: &Mark,
    info: &Info,
    body: &Value,
) -> Result<Value, Trouble> {
    let mut query = vec![("fieldManager", mark.field_manager.clone())];
    if mark.dry_run == DryRun::Server {
        query.push(("dryRun", "All".to_owned()));
    }
    Ok(session.patch(Patch::Merge, &info.target(), query, manifest::compact(body)).await?)
}

fn not_overwritten<'a>(mark: &Mark, value: impl Fn(&str) -> Option<&'a str>) -> Outcome {
    let known = mark.set.iter().filter_map(|(key, new)| {
        let old = value(key).filter(|old| old != new)?;
        Some((key, format!("'{key}' already has a value ({old})")))
    });
    match mark.what {
        Marks::Labels => Trouble::all(
            known
                .map(|(_, text)| Trouble::text(format!("{text}, and --overwrite is false")))
                .collect(),
        ),
        Marks::Annotations => {
            let texts: Vec<String> =
                known.filter(|(key, _)| *key != CHANGE_CAUSE).map(|(_, text)| text).collect();
            if texts.is_empty() {
                return Ok(());
            }
            Err(Trouble::text(format!(
                "--overwrite is false but found the following declared annotation(s): {}",
                texts.join("; ")
            )))
        }
    }
}

fn list(session: &mut Session<'_>, mark: &Mark, info: &Info, object: &Value) {
    let indent = if mark.single {
        ""
    } else {
        session.out(format!(
            "Listing {} for {}.{}/{}:\n",
            field(mark),
            info.mapping.kind,
            info.mapping.group,
            info.name
        ));
        " "
    };
    let lines: String = marks(mark, object)
        .into_iter()
        .flatten()
        .flat_map(|(key, value)| [indent, key, "=", value.as_str().unwrap_or_default(), "\n"])
        .collect();
    session.out(lines);
}
