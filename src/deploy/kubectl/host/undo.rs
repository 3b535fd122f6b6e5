//! `kubectl rollout undo` and `history`: the revisions of a workload.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::apply::operation;
use super::info::Info;
use super::session::Session;
use super::trouble::Trouble;
use super::{Outcome, describe, select};
use crate::deploy::cluster::{Failure, Patch};
use crate::deploy::kubectl::print::{LAST_APPLIED, aligned, print_object};
use crate::deploy::kubectl::request::{CHANGE_CAUSE, DryRun, Output, Rollout, Selection, What};
use crate::deploy::{manifest, merge};

const HASH: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";
/// What a deployment keeps of its own annotations when it goes back.
const KEPT: &[&str] = &[
    LAST_APPLIED,
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
];

/// Runs `kubectl rollout undo` for one workload.
pub async fn run(
    session: &mut Session<'_>,
    rollout: &Rollout,
    info: &Info,
    to_revision: i64,
) -> Outcome {
    let annotated = info
        .object
        .pointer("/metadata/annotations")
        .is_some_and(|map| map.get(LAST_APPLIED).is_some());
    if annotated {
        session.err(format!(
            "Warning: resource {}/{} was previously managed with 'kubectl apply'. Rolling back \
             will not update the {LAST_APPLIED} annotation, which may cause unexpected behavior on \
             future 'kubectl apply' operations. Consider using 'kubectl apply' with your previous \
             configuration file instead.\n",
            info.mapping.plural, info.name
        ));
    }
    if to_revision < 0 {
        return Err(not_found(to_revision));
    }
    let revisions = revisions(session, info, UNDO).await?;
    let result = if info.mapping.kind == "Deployment" {
        deployment(session, rollout, info, &revisions, to_revision).await?
    } else {
        controller_revision(session, rollout, info, &revisions, to_revision).await?
    };
    let done = operation(&result, rollout.dry_run);
    let mut object = info.object.clone();
    super::get::hide_managed_fields(&mut object);
    let text = print_object(&object, &rollout.output, &done, true).map_err(Trouble::text)?;
    session.out(text);
    Ok(())
}

fn not_found(revision: i64) -> Trouble {
    Trouble::text(format!("unable to find specified revision {revision} in history"))
}

/// What kubectl lacks and what it was getting, where a kind has no revisions.
type Words = (&'static str, &'static str);

const UNDO: Words = ("rollbacker", "rollbacker");
const HISTORY: Words = ("history viewer", "history");

/// Why there are no revisions of a kind: of some kubectl knows that, of others it does not.
fn no_revisions(group: &str, kind: &str, (lacking, getting): Words) -> String {
    let told = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
    let known = [
        ("", "Pod"),
        ("", "ReplicationController"),
        ("apps", "ReplicaSet"),
        ("batch", "Job"),
        ("batch", "CronJob"),
    ];
    if known.contains(&(group, kind)) {
        format!("no {lacking} has been implemented for \"{told}\"")
    } else {
        format!(
            "error retrieving {getting} for \"{told}\", no visitor method exists for \
             {{{group} {kind}}}"
        )
    }
}

/// The recorded revisions by number: replica sets of a deployment, controller revisions of others.
async fn revisions(
    session: &mut Session<'_>,
    info: &Info,
    words: Words,
) -> Result<BTreeMap<i64, Value>, Trouble> {
    let word = match (info.mapping.group.as_str(), info.mapping.kind.as_str()) {
        ("apps", "Deployment") => "replicasets.v1.apps",
        ("apps", "DaemonSet" | "StatefulSet") => "controllerrevisions.v1.apps",
        (group, kind) => return Err(Trouble::text(no_revisions(group, kind, words))),
    };
    let mapping = session.by_word(word)?;
    let selection = Selection {
        what: What::Types(Vec::new()),
        all_namespaces: false,
        labels: Some(selector(&info.object)),
        fields: None,
        enforce_namespace: false,
    };
    let home = session.namespace().to_owned();
    let objects = if info.namespace == home {
        select::list(session, &selection, &mapping).await?
    } else {
        return Err(Trouble::text(format!(
            "{} \"{}\" is not in namespace \"{home}\"; use -n",
            info.mapping.resource(),
            info.name
        )));
    };
    let uid = info.object.pointer("/metadata/uid");
    let owned = |object: &Value| {
        let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        owners.into_iter().flatten().any(|owner| {
            owner.get("controller") == Some(&Value::Bool(true)) && owner.get("uid") == uid
        })
    };
    let number = |object: &Value| match object.get("revision").and_then(Value::as_i64) {
        Some(revision) => Some(revision),
        None => annotation(object, REVISION)?.parse().ok(),
    };
    Ok(objects
        .into_iter()
        .filter(owned)
        .filter_map(|object| Some((number(&object)?, object)))
        .collect())
}

fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(name)?.as_str()
}

/// A workload's selector as text.
pub fn selector(object: &Value) -> String {
    let mut parts = Vec::new();
    let labels = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    for (key, value) in labels.into_iter().flatten() {
        parts.push(format!("{key}={}", value.as_str().unwrap_or_default()));
    }
    let rules = object.pointer("/spec/selector/matchExpressions").and_then(Value::as_array);
    for rule in rules.into_iter().flatten() {
        let text = |key: &str| rule.get(key).and_then(Value::as_str).unwrap_or_default();
        let values = rule.get("values").and_then(Value::as_array);
        let values: Vec<&str> = values.into_iter().flatten().filter_map(Value::as_str).collect();
        let key = text("key");
        parts.push(match text("operator") {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    parts.join(",")
}

/// The revision to go to: the one asked for, else the one before the newest.
fn chosen(revisions: &BTreeMap<i64, Value>, to_revision: i64) -> Option<&Value> {
    if to_revision > 0 {
        return revisions.get(&to_revision);
    }
    revisions.values().rev().nth(1)
}

fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(Value::Object(labels)) = template.pointer_mut("/metadata/labels") {
        labels.remove(HASH);
    }
    template
}

async fn deployment(
    session: &mut Session<'_>,
    rollout: &Rollout,
    info: &Info,
    revisions: &BTreeMap<i64, Value>,
    to_revision: i64,
) -> Result<String, Trouble> {
    let Some(replica_set) = chosen(revisions, to_revision) else {
        return Err(if to_revision > 0 {
            not_found(to_revision)
        } else {
            Trouble::text(format!("no rollout history found for deployment \"{}\"", info.name))
        });
    };
    if info.object.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        return Err(Trouble::text(
            "you cannot rollback a paused deployment; resume it first with 'kubectl rollout \
             resume' and try again",
        ));
    }
    let of =
        |object: &Value| without_hash(object.pointer("/spec/template").unwrap_or(&Value::Null));
    let template = of(replica_set);
    if template == of(&info.object) {
        return Ok(skipped(to_revision));
    }
    let mut annotations = Map::new();
    for (object, own) in [(&info.object, true), (replica_set, false)] {
        let map = object.pointer("/metadata/annotations").and_then(Value::as_object);
        for (key, value) in map.into_iter().flatten() {
            if KEPT.contains(&key.as_str()) == own {
                annotations.insert(key.clone(), value.clone());
            }
        }
    }
    let patch = json!([
        {"op": "replace", "path": "/spec/template", "value": template},
        {"op": "replace", "path": "/metadata/annotations", "value": annotations},
    ]);
    restore(session, rollout, info, (Patch::Json, &patch), to_revision).await
}

fn skipped(to_revision: i64) -> String {
    format!("skipped rollback (current template already matches revision {to_revision})")
}

async fn controller_revision(
    session: &mut Session<'_>,
    rollout: &Rollout,
    info: &Info,
    revisions: &BTreeMap<i64, Value>,
    to_revision: i64,
) -> Result<String, Trouble> {
    if to_revision == 0 && revisions.len() <= 1 {
        return Err(Trouble::text("no last revision to roll back to"));
    }
    let patch = chosen(revisions, to_revision)
        .and_then(|revision| revision.get("data"))
        .ok_or_else(|| not_found(to_revision))?;
    let template = |object: &Value| object.pointer("/spec/template").cloned().unwrap_or_default();
    let mut wanted = template(patch);
    if let Value::Object(wanted) = &mut wanted {
        wanted.remove("$patch");
    }
    if wanted == template(&info.object) {
        return Ok(skipped(to_revision));
    }
    restore(session, rollout, info, (Patch::Strategic, patch), to_revision).await
}

async fn restore(
    session: &mut Session<'_>,
    rollout: &Rollout,
    info: &Info,
    (kind, patch): (Patch, &Value),
    to_revision: i64,
) -> Result<String, Trouble> {
    // kubectl names no manager here, and the server takes the program's name.
    let mut query = vec![("fieldManager", "kubectl".to_owned())];
    if rollout.dry_run == DryRun::Server {
        query.push(("dryRun", "All".to_owned()));
    }
    match session.patch(kind, &info.target(), query, manifest::compact(patch)).await {
        Ok(_) => Ok("rolled back".to_owned()),
        Err(stop @ (Failure::Cancelled | Failure::Refused { .. } | Failure::Network(_))) => {
            Err(stop.into())
        }
        Err(failure) => Err(Trouble::text(format!(
            "failed restoring revision {to_revision}: {}",
            Trouble::from(failure).message()
        ))),
    }
}

/// The objects that the revisions stand for: one, or all by number.
fn printed(
    session: &mut Session<'_>,
    info: &Info,
    revision: i64,
    revisions: &BTreeMap<i64, Value>,
    output: &Output,
) -> Outcome {
    if revision > 0 && !revisions.contains_key(&revision) {
        return Err(Trouble::text("unable to find the specified revision"));
    }
    let chosen = revisions.iter().filter(|(number, _)| revision == 0 || **number == revision);
    for (n, (_, object)) in chosen.enumerate() {
        let mut object = match object.get("data") {
            Some(patch) => merge::apply_strategic(&info.mapping.kind, &info.object, patch)
                .map_err(Trouble::text)?,
            None => object.clone(),
        };
        super::get::hide_managed_fields(&mut object);
        if n > 0 && *output == Output::Yaml {
            session.out("---\n");
        }
        session.out(print_object(&object, output, "", true).map_err(Trouble::text)?);
    }
    Ok(())
}

/// Runs `kubectl rollout history` for one workload.
pub async fn history(
    session: &mut Session<'_>,
    info: &Info,
    revision: i64,
    output: &Output,
) -> Outcome {
    if revision < 0 {
        return Err(Trouble::text(format!("revision must be a positive integer: {revision}")));
    }
    let revisions = revisions(session, info, HISTORY).await?;
    if *output != Output::Default {
        return printed(session, info, revision, &revisions, output);
    }
    let head = crate::deploy::kubectl::print::type_and_name(&info.object);
    if revisions.is_empty() {
        session.out(format!("{head} No rollout history found.\n"));
        return Ok(());
    }
    if revision > 0 {
        let Some(object) = revisions.get(&revision) else {
            return Err(Trouble::text("unable to find the specified revision"));
        };
        let template = match object.get("data") {
            Some(patch) => merge::apply_strategic(&info.mapping.kind, &info.object, patch)
                .map_err(Trouble::text)?
                .pointer("/spec/template")
                .cloned(),
            None => object.pointer("/spec/template").cloned(),
        };
        let template = describe::template(&template.unwrap_or_default());
        session.out(format!("{head} with revision #{revision}\n{template}\n"));
        return Ok(());
    }
    let header = vec!["REVISION".to_owned(), "CHANGE-CAUSE".to_owned()];
    let rows = revisions.iter().map(|(revision, object)| {
        let cause = annotation(object, CHANGE_CAUSE).filter(|cause| !cause.is_empty());
        vec![revision.to_string(), cause.unwrap_or("<none>").to_owned()]
    });
    // This table is made with two blanks between columns, where all others have three.
    let table = aligned(std::iter::once(header).chain(rows)).replace("REVISION   ", "REVISION  ");
    let table: String = table
        .lines()
        .map(|line| match line.split_once("   ") {
            Some((number, cause)) if !line.starts_with('R') => {
                format!("{number:<10}{}\n", cause.trim_start())
            }
            _ => format!("{line}\n"),
        })
        .collect();
    session.out(format!("{head} \n{table}\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_before_the_newest_is_gone_back_to() {
        let revisions: BTreeMap<i64, Value> =
            [(1, json!("a")), (4, json!("c")), (3, json!("b"))].into();
        assert_eq!(chosen(&revisions, 0), Some(&json!("b")));
        assert_eq!(chosen(&revisions, 1), Some(&json!("a")));
        assert_eq!(chosen(&revisions, 2), None);
        assert_eq!(chosen(&BTreeMap::from([(1, json!("a"))]), 0), None);
    }

    #[test]
    fn a_selector_is_written_as_the_server_reads_it() {
        let object = json!({"spec": {"selector": {
            "matchLabels": {"a": "b"},
            "matchExpressions": [
                {"key": "c", "operator": "In", "values": ["d", "e"]},
                {"key": "f", "operator": "DoesNotExist"},
            ],
        }}});
        assert_eq!(selector(&object), "a=b,c in (d,e),!f");
    }
}
