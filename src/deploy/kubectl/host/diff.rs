//! `kubectl diff`: each object as it is and as the server would make it, for the guest to compare.

use serde_json::{Value, json};

use super::Outcome;
use super::apply::difference;
use super::get::hide_managed_fields;
use super::info::{Info, infos};
use super::session::Session;
use super::trouble::Trouble;
use crate::deploy::cluster::{Method, Patch};
use crate::deploy::kubectl::print::last_applied;
use crate::deploy::kubectl::request::{Diff, Pair};
use crate::deploy::manifest;

const RETRIES: u32 = 4;

/// Runs `kubectl diff`. The first object that cannot be told ends it.
pub async fn run(session: &mut Session<'_>, diff: &Diff) -> Outcome {
    session.discover().await?;
    let (infos, troubles) = infos(session, &diff.items, diff.enforce_namespace);
    Trouble::all(troubles)?;
    for info in infos {
        let mut tries = 0;
        let (mut live, mut merged) = loop {
            let live = match session.get(&info.target()).await {
                Ok(live) => Some(live),
                Err(failure) if failure.is_not_found() => None,
                Err(failure) => return Err(failure.into()),
            };
            match merged(session, diff, &info, live.as_ref()).await {
                Ok(merged) => break (live, merged),
                Err(Trouble::Status(status)) if status.reason == "Conflict" && tries < RETRIES => {
                    tries += 1;
                }
                Err(trouble) => return Err(trouble),
            }
        };
        let leaving = live.as_ref().and_then(|live| live.pointer("/metadata/deletionTimestamp"));
        if leaving.is_some_and(|time| !time.is_null()) {
            session.err(format!(
                "Warning: Detected changes to resource {} which is currently being deleted.\n",
                info.name
            ));
        }
        if !diff.managed_fields {
            live.iter_mut().for_each(hide_managed_fields);
            hide_managed_fields(&mut merged);
        }
        if info.mapping.kind == "Secret" && info.mapping.version == "v1" && !diff.secrets {
            mask(live.as_mut(), &mut merged);
        }
        session.pair(Pair {
            name: name(&info),
            live: live.as_ref().map(manifest::yaml).unwrap_or_default(),
            merged: manifest::yaml(&merged),
        });
    }
    Ok(())
}

fn name(info: &Info) -> String {
    let mapping = &info.mapping;
    let group =
        if mapping.group.is_empty() { String::new() } else { format!("{}.", mapping.group) };
    format!("{group}{}.{}.{}.{}", mapping.version, mapping.kind, info.namespace, info.name)
}

/// What the server would make of the object.
async fn merged(
    session: &mut Session<'_>,
    diff: &Diff,
    info: &Info,
    live: Option<&Value>,
) -> Result<Value, Trouble> {
    let mut query =
        vec![("dryRun", "All".to_owned()), ("fieldManager", diff.field_manager.clone())];
    if diff.server_side {
        query.push(("force", diff.force_conflicts.to_string()));
        let body = manifest::compact(&info.object) + "\n";
        return Ok(session.patch(Patch::Apply, &info.target(), query, body).await?);
    }
    let Some(live) = live else {
        let body = manifest::compact(&info.object);
        return Ok(session.send(Method::Post, &info.home(), query, Some(body)).await?.body);
    };
    let modified = serde_json::from_str(&last_applied(&info.object, false)).unwrap_or_default();
    let (patch, kind) = difference(info, &modified, live).map_err(Trouble::text)?;
    if patch == json!({}) {
        return Ok(live.clone());
    }
    session.patch(kind, &info.target(), query, manifest::compact(&patch)).await.map_err(|failure| {
        let verb =
            format!("applying patch:\n{}\nto:\n{}\nfor:", manifest::compact(&patch), info.told());
        Trouble::from(failure).when("patching", &info.source).when(&verb, &info.source)
    })
}

/// Hides a Secret's values; that two differ is still to be seen.
fn mask(live: Option<&mut Value>, merged: &mut Value) {
    let mut nothing = json!({});
    let live = live.unwrap_or(&mut nothing);
    let data =
        |object: &Value| object.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
    let (before, after) = (data(live), data(merged));
    let hide = |object: &mut Value, other: &serde_json::Map<String, Value>, differs: &str| {
        let values = object.get_mut("data").and_then(Value::as_object_mut);
        for (key, value) in values.into_iter().flatten() {
            let same = other.get(key).is_none_or(|other| other == value);
            *value = json!(if same { "***" } else { differs });
        }
    };
    hide(live, &after, "*** (before)");
    hide(merged, &before, "*** (after)");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secrets_values_are_hidden_and_their_difference_is_not() {
        let mut live = json!({"data": {"a": "1", "b": "1", "c": "1"}});
        let mut merged = json!({"data": {"a": "1", "b": "2", "d": "1"}});
        mask(Some(&mut live), &mut merged);
        assert_eq!(live, json!({"data": {"a": "***", "b": "*** (before)", "c": "***"}}));
        assert_eq!(merged, json!({"data": {"a": "***", "b": "*** (after)", "d": "***"}}));
    }
}
