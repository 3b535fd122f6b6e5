//! `kubectl patch`.

use serde_json::{Value, json};

use super::info::Info;
use super::select::{Read, find};
use super::session::Session;
use super::trouble::Trouble;
use super::{Outcome, get};
use crate::deploy::cluster::{Failure, Patch, Target, is_builtin_group};
use crate::deploy::kubectl::print::print_object;
use crate::deploy::kubectl::request::{CHANGE_CAUSE, DryRun, PatchKind, PatchWith, What};
use crate::deploy::{manifest, merge, security};

/// Runs `kubectl patch`.
pub async fn run(session: &mut Session<'_>, with: &PatchWith) -> Outcome {
    // What a file describes is taken as it is described; what is named is read.
    let read = match with.selection.what {
        What::Files(_) => Read::AsNamed,
        What::Names(_) | What::Types(_) => Read::Latest,
    };
    let (infos, mut troubles) = find(session, &with.selection, read).await?;
    if infos.is_empty() && troubles.is_empty() {
        return Err(Trouble::text("no objects passed to patch"));
    }
    for info in infos {
        match one(session, with, &info).await {
            Ok(()) => {}
            Err(stop @ Trouble::Network(_)) => return Err(stop),
            Err(trouble) => troubles.push(trouble),
        }
    }
    Trouble::all(troubles)
}

async fn one(session: &mut Session<'_>, with: &PatchWith, info: &Info) -> Outcome {
    let mut object = if with.dry_run == DryRun::Client {
        locally(with, info)?
    } else {
        let patch = match (session.is_guarded(), with.subresource.as_str()) {
            (true, "") => looked_at(session, with, info).await?,
            (true, "scale" | "status" | "resize") | (false, _) => with.patch.clone(),
            (true, other) => {
                let told = format!("a patch of {other} is not looked at, and so not taken");
                return Err(Failure::Fenced(told).into());
            }
        };
        let patched = send(session, with, info, patch, with.dry_run).await?;
        noted(session, with, info).await.unwrap_or(patched)
    };
    let mut before = info.object.clone();
    let done = if object == before { "patched (no change)" } else { "patched" };
    get::hide_managed_fields(&mut before);
    get::hide_managed_fields(&mut object);
    // Alone among the commands this one does not say that it only tried.
    let text = print_object(&object, &with.output, done, false).map_err(Trouble::text)?;
    session.out(text);
    Ok(())
}

/// Notes `--record`, in a patch of its own; that it is not noted is no failure.
async fn noted(session: &mut Session<'_>, with: &PatchWith, info: &Info) -> Option<Value> {
    let cause = session.record()?;
    let patch = json!({"metadata": {"annotations": {(CHANGE_CAUSE): &*cause}}});
    let mut query = vec![("fieldManager", with.field_manager.clone())];
    if with.dry_run == DryRun::Server {
        query.push(("dryRun", "All".to_owned()));
    }
    let patch = manifest::compact(&patch);
    session.patch(Patch::Merge, &info.target(), query, patch).await.ok()
}

async fn send(
    session: &mut Session<'_>,
    with: &PatchWith,
    info: &Info,
    patch: String,
    dry_run: DryRun,
) -> Result<Value, Trouble> {
    let (kind, content) = match with.kind {
        PatchKind::Json => (Patch::Json, "application/json-patch+json"),
        PatchKind::Merge => (Patch::Merge, "application/merge-patch+json"),
        PatchKind::Strategic => (Patch::Strategic, "application/strategic-merge-patch+json"),
    };
    let mut query = vec![("fieldManager", with.field_manager.clone())];
    if dry_run == DryRun::Server {
        query.push(("dryRun", "All".to_owned()));
    }
    let target = Target { subresource: &with.subresource, ..info.target() };
    session.patch(kind, &target, query, patch).await.map_err(|failure| {
        if !failure.is("UnsupportedMediaType") {
            return failure.into();
        }
        let mapping = &info.mapping;
        Trouble::text(format!(
            "{content} is not supported by {}/{}, Kind={}: {}",
            mapping.group,
            mapping.version,
            mapping.kind,
            Trouble::from(failure).message()
        ))
    })
}

/// Lets the server say what the patch makes of the object, and looks at that before it is done:
/// the patch, bound to the very object that was looked at.
async fn looked_at(
    session: &mut Session<'_>,
    with: &PatchWith,
    info: &Info,
) -> Result<String, Trouble> {
    let current = session.get(&info.target()).await?;
    let version = current.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
    let pinned = manifest::compact(&pinned(with, &version)?);
    let after = send(session, with, info, pinned.clone(), DryRun::Server).await?;
    let broken = security::loosened(&current, &after);
    if broken.is_empty() {
        return Ok(pinned);
    }
    Err(Failure::Fenced(format!(
        "the patch of {} \"{}\" breaks the `baseline` pod security: {}",
        info.mapping.kind,
        info.name,
        broken.join("; ")
    ))
    .into())
}

fn pinned(with: &PatchWith, version: &Value) -> Result<Value, Trouble> {
    let mut patch = parsed(with)?;
    let no_patch =
        || Trouble::text("refused: this patch cannot be bound to what it was looked at for");
    match (&with.kind, &mut patch) {
        (PatchKind::Json, Value::Array(operations)) => {
            let test = json!({"op": "test", "path": "/metadata/resourceVersion", "value": version});
            operations.insert(0, test);
        }
        (PatchKind::Merge | PatchKind::Strategic, Value::Object(map)) => {
            let metadata = map.entry("metadata").or_insert_with(|| json!({}));
            let Value::Object(metadata) = metadata else { return Err(no_patch()) };
            metadata.insert("resourceVersion".to_owned(), version.clone());
        }
        _ => return Err(no_patch()),
    }
    Ok(patch)
}

fn parsed(with: &PatchWith) -> Result<Value, Trouble> {
    serde_json::from_str(&with.patch).map_err(|_| Trouble::text("unexpected end of JSON input"))
}

fn locally(with: &PatchWith, info: &Info) -> Result<Value, Trouble> {
    let patch = &parsed(with)?;
    match with.kind {
        PatchKind::Json => merge::apply_operations(&info.object, patch).map_err(Trouble::text),
        PatchKind::Merge => {
            let mut object = info.object.clone();
            merge::apply_json(&mut object, patch);
            Ok(object)
        }
        PatchKind::Strategic if is_builtin_group(&info.mapping.group) => {
            merge::apply_strategic(&info.mapping.kind, &info.object, patch).map_err(Trouble::text)
        }
        PatchKind::Strategic => Err(Trouble::text(format!(
            "strategic merge patch is not supported for {}/{}, Kind={} locally, try --type merge",
            info.mapping.group, info.mapping.version, info.mapping.kind
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::kubectl::request::{Output, Selection};

    #[test]
    fn a_patch_is_bound_to_the_object_that_was_looked_at() {
        let with = |kind: PatchKind, patch: Value| PatchWith {
            selection: Selection {
                what: What::Names(Vec::new()),
                all_namespaces: false,
                labels: None,
                fields: None,
                enforce_namespace: false,
            },
            kind,
            patch: patch.to_string(),
            subresource: String::new(),
            dry_run: DryRun::None,
            field_manager: String::new(),
            output: Output::Default,
        };
        let version = json!("7");
        for (kind, patch, expected) in [
            (PatchKind::Merge, json!({}), Some(json!({"metadata": {"resourceVersion": "7"}}))),
            (
                PatchKind::Strategic,
                json!({"metadata": {"resourceVersion": "1"}}),
                Some(json!({"metadata": {"resourceVersion": "7"}})),
            ),
            (PatchKind::Merge, json!({"metadata": null}), None),
            (PatchKind::Merge, json!([]), None),
            (PatchKind::Json, json!({}), None),
            (
                PatchKind::Json,
                json!([]),
                Some(json!([{"op": "test", "path": "/metadata/resourceVersion", "value": "7"}])),
            ),
        ] {
            assert_eq!(pinned(&with(kind, patch), &version).ok(), expected);
        }
    }
}
