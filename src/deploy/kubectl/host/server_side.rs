//! `kubectl apply --server-side`, and the handing over of what client-side apply owned.

use serde_json::{Value, json};

use super::apply::options;
use super::info::Info;
use super::session::Session;
use super::trouble::Trouble;
use crate::deploy::cluster::{Failure, Patch};
use crate::deploy::kubectl::print::LAST_APPLIED;
use crate::deploy::kubectl::request::Apply;
use crate::deploy::manifest;

const DEFAULT_MANAGER: &str = "kubectl";
const ANNOTATION_MANAGER: &str = "kubectl-last-applied";
const MAX_RETRIES: u32 = 5;

const CONFLICT_HELP: &str = "
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts";

/// Applies an object, and hands over what client-side apply owned.
pub async fn apply(
    session: &mut Session<'_>,
    apply: &Apply,
    info: &Info,
) -> Result<Value, Trouble> {
    let body = manifest::compact(&info.object) + "\n";
    let query = || {
        let mut query = options(&apply.field_manager, apply.dry_run, apply.validate);
        query.push(("force", apply.force_conflicts.to_string()));
        query
    };
    let target = info.target();
    let object = match session.patch(Patch::Apply, &target, query(), body.clone()).await {
        Ok(object) => object,
        Err(failure) if failure.is_conflict() => {
            let message = Trouble::from(failure).message();
            return Err(Trouble::text(message + CONFLICT_HELP));
        }
        Err(failure) => return Err(failure.into()),
    };
    let object = match keep_annotation(session, apply, info, object.clone()).await {
        Ok(object) => object,
        Err(failure) => {
            warn(
                session,
                "failed to migrate kubectl.kubernetes.io/last-applied-configuration for Server-Side Apply",
                failure,
            );
            return Ok(object);
        }
    };
    match hand_over(session, apply, info, object.clone()).await {
        Ok(None) => Ok(object),
        Ok(Some(migrated)) => match session.patch(Patch::Apply, &target, query(), body).await {
            Ok(object) => Ok(object),
            Err(failure) => {
                warn(
                    session,
                    "failed to re-apply configuration after performing Server-Side Apply migration",
                    failure,
                );
                Ok(migrated)
            }
        },
        Err(failure) => {
            warn(session, "server rejected managed fields migration to Server-Side Apply", failure);
            Ok(object)
        }
    }
}

fn warn(session: &mut Session<'_>, what: &str, failure: Failure) {
    let error = Trouble::from(failure).message();
    session.err(format!(
        "Warning: {what}. This is non-fatal and will be retried next time you apply. Error: \
         {error}\n"
    ));
}

fn managers(object: &Value) -> Vec<Value> {
    let fields = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    fields.cloned().unwrap_or_default()
}

fn is(entry: &Value, manager: Option<&str>, operation: &str) -> bool {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    manager.is_none_or(|manager| text("manager") == manager)
        && text("operation") == operation
        && text("subresource").is_empty()
}

fn owns_annotation(entry: &Value) -> bool {
    entry
        .get("fieldsV1")
        .and_then(|fields| fields.get("f:metadata"))
        .and_then(|fields| fields.get("f:annotations"))
        .is_some_and(|fields| fields.get(format!("f:{LAST_APPLIED}")).is_some())
}

/// The server would drop the annotation with the client-side manager: a manager of its own keeps it.
async fn keep_annotation(
    session: &mut Session<'_>,
    apply: &Apply,
    info: &Info,
    object: Value,
) -> Result<Value, Failure> {
    let annotation = object
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(LAST_APPLIED))
        .cloned();
    let owned =
        managers(&object).iter().any(|entry| is(entry, None, "Apply") && owns_annotation(entry));
    let (Some(annotation), false, DEFAULT_MANAGER) =
        (annotation, owned, apply.field_manager.as_str())
    else {
        return Ok(object);
    };
    let mut metadata = json!({"name": info.name, "annotations": {LAST_APPLIED: annotation}});
    if let (false, Value::Object(metadata)) = (info.namespace.is_empty(), &mut metadata) {
        metadata.insert("namespace".to_owned(), Value::String(info.namespace.clone()));
    }
    let just = json!({
        "apiVersion": info.mapping.api_version(),
        "kind": info.mapping.kind,
        "metadata": metadata,
    });
    let query = options(ANNOTATION_MANAGER, apply.dry_run, apply.validate);
    session.patch(Patch::Apply, &info.target(), query, manifest::compact(&just) + "\n").await
}

/// Makes the client-side managers part of the server-side one; `None` when there are none.
async fn hand_over(
    session: &mut Session<'_>,
    apply: &Apply,
    info: &Info,
    mut object: Value,
) -> Result<Option<Value>, Failure> {
    let names: Vec<String> = managers(&object)
        .iter()
        .filter(|entry| is(entry, None, "Update") && owns_annotation(entry))
        .filter_map(|entry| Some(entry.get("manager")?.as_str()?.to_owned()))
        .collect();
    for _ in 0..MAX_RETRIES {
        let before = managers(&object);
        let after = names
            .iter()
            .fold(before.clone(), |fields, name| upgraded(fields, name, &apply.field_manager));
        if before == after {
            return Ok(None);
        }
        let version = object.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
        let patch = json!([
            {"op": "replace", "path": "/metadata/managedFields", "value": after},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        ]);
        let query = options(&apply.field_manager, apply.dry_run, apply.validate);
        let body = manifest::compact(&patch);
        match session.patch(Patch::Json, &info.target(), query, body).await {
            Ok(object) => return Ok(Some(object)),
            Err(failure) if failure.is_conflict() => {
                object = session.get(&info.target()).await?;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(None)
}

/// The managed fields with one client-side manager taken into the server-side one.
fn upgraded(mut fields: Vec<Value>, client: &str, server: &str) -> Vec<Value> {
    let find = |fields: &[Value], manager: &str, operation: &str| {
        fields.iter().position(|entry| is(entry, Some(manager), operation))
    };
    let at = if let Some(at) = find(&fields, server, "Apply") {
        at
    } else {
        let Some(at) = find(&fields, client, "Update") else { return fields };
        if let Some(Value::Object(entry)) = fields.get_mut(at) {
            entry.insert("operation".to_owned(), json!("Apply"));
            entry.insert("manager".to_owned(), json!(server));
        }
        at
    };
    let version = fields.get(at).and_then(|entry| entry.get("apiVersion")).cloned();
    let more = fields
        .iter()
        .find(|entry| {
            is(entry, Some(client), "Update") && entry.get("apiVersion") == version.as_ref()
        })
        .and_then(|entry| entry.get("fieldsV1"))
        .cloned();
    if let (Some(more), Some(target)) =
        (more, fields.get_mut(at).and_then(|entry| entry.get_mut("fieldsV1")))
    {
        union(target, &more);
    }
    fields.retain(|entry| !is(entry, Some(client), "Update"));
    fields
}

fn union(into: &mut Value, more: &Value) {
    let (Value::Object(into), Value::Object(more)) = (into, more) else { return };
    for (key, value) in more {
        union(into.entry(key).or_insert_with(|| json!({})), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_side_manager_becomes_part_of_the_server_side_one() {
        let entry = |manager: &str, operation: &str, fields: Value| json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields});
        let fields = vec![
            entry("kubectl", "Apply", json!({"f:data": {"f:a": {}}})),
            entry("kubectl-client-side-apply", "Update", json!({"f:data": {"f:b": {}}})),
            entry("controller", "Update", json!({"f:status": {}})),
        ];
        let after = upgraded(fields, "kubectl-client-side-apply", "kubectl");
        assert_eq!(
            after,
            [
                entry("kubectl", "Apply", json!({"f:data": {"f:a": {}, "f:b": {}}})),
                entry("controller", "Update", json!({"f:status": {}})),
            ]
        );
        let alone = vec![entry("kubectl-client-side-apply", "Update", json!({"f:data": {}}))];
        assert_eq!(
            upgraded(alone, "kubectl-client-side-apply", "kubectl"),
            [entry("kubectl", "Apply", json!({"f:data": {}}))]
        );
    }
}
