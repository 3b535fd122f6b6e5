//! `kubectl delete`.

use std::sync::PoisonError;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::Outcome;
use super::abreast::{self, Order};
use super::apply::operation;
use super::info::Info;
use super::select::{Read, find};
use super::session::Session;
use super::trouble::Trouble;
use crate::deploy::cluster::{Failure, Method};
use crate::deploy::kubectl::request::{Delete, DryRun, Output};
use crate::deploy::manifest;

const WEEK: Duration = Duration::from_hours(7 * 24);

/// ` from foo namespace`, or nothing for kinds without.
pub fn from_namespace(namespace: &str) -> String {
    if namespace.is_empty() { String::new() } else { format!(" from {namespace} namespace") }
}

/// Runs `kubectl delete`.
pub async fn run(session: &mut Session<'_>, delete: &Delete) -> Outcome {
    let (infos, mut troubles) = find(session, &delete.selection, Read::AsNamed).await?;
    let mut deleted: Vec<(Info, Option<Value>)> = Vec::new();
    let mut warned = !delete.selection.enforce_namespace || delete.selection.all_namespaces;
    let mut found = 0_u32;
    abreast::each(
        session,
        (infos, Order::AsGiven),
        |part, info: Info| {
            part.run(async move |session| {
                let uid = one(session, delete, &info).await;
                Ok((info, uid))
            })
        },
        |session, result| {
            let Ok((info, uid)) = result else { return };
            found += 1;
            if !warned && !info.mapping.namespaced {
                session.err("Warning: deleting cluster-scoped resources, not scoped to the provided namespace\n");
                warned = true;
            }
            match uid {
                Ok(uid) => deleted.push((info, uid)),
                Err(Trouble::Status(status))
                    if status.reason == "NotFound" && delete.ignore_not_found =>
                {
                    found -= 1;
                }
                Err(trouble) => troubles.push(trouble.when("deleting", &info.source)),
            }
        },
    )
    .await?;
    Trouble::all(troubles)?;
    let by_type = matches!(delete.selection.what, crate::deploy::kubectl::What::Types(_));
    if found == 0 && (by_type || !delete.ignore_not_found) {
        session.out("No resources found\n");
        return Ok(());
    }
    if !delete.wait || delete.dry_run != DryRun::None {
        return Ok(());
    }
    all_gone(session, delete, deleted).await
}

/// Waits until what was deleted is no longer there.
async fn all_gone(
    session: &mut Session<'_>,
    delete: &Delete,
    deleted: Vec<(Info, Option<Value>)>,
) -> Outcome {
    let limit =
        if delete.timeout_ms == 0 { WEEK } else { Duration::from_millis(delete.timeout_ms) };
    let deadline = Instant::now() + limit;
    let uids: Vec<Option<Value>> = deleted.iter().map(|(_, uid)| uid.clone()).collect();
    let infos = deleted.into_iter().map(|(info, _)| info).collect();
    let mut next = uids.into_iter();
    let next = std::sync::Mutex::new(&mut next);
    let mut first = None;
    abreast::each(
        session,
        (infos, Order::AsGiven),
        |part, info: Info| {
            // Asked for in the order of the objects.
            let uid = next.lock().unwrap_or_else(PoisonError::into_inner).next().flatten();
            part.run(async move |session| gone(session, &info, uid.as_ref(), deadline).await)
        },
        |_, result| first = first.take().or(result.err()),
    )
    .await?;
    first.map_or(Ok(()), Err)
}

async fn one(
    session: &mut Session<'_>,
    delete: &Delete,
    info: &Info,
) -> Result<Option<Value>, Trouble> {
    let mut uid = None;
    if delete.dry_run != DryRun::Client {
        let mut options = json!({
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": delete.propagation,
        });
        if let (0.., Value::Object(map)) = (delete.grace_period, &mut options) {
            map.insert("gracePeriodSeconds".to_owned(), json!(delete.grace_period));
        }
        // Of a deletion with a body the server reads no parameters.
        if let (DryRun::Server, Value::Object(map)) = (delete.dry_run, &mut options) {
            map.insert("dryRun".to_owned(), json!(["All"]));
        }
        let body = Some(manifest::compact(&options));
        let answer = session.send(Method::Delete, &info.target(), Vec::new(), body).await?.body;
        uid = answer.pointer("/details/uid").or_else(|| answer.pointer("/metadata/uid")).cloned();
    }
    let kind = info.mapping.type_name();
    if delete.output == Output::Name {
        session.out(format!("{kind}/{}\n", info.name));
        return Ok(uid);
    }
    let done = if delete.grace_period == 0 { "force deleted" } else { "deleted" };
    let done = operation(&format!("{done}{}", from_namespace(&info.namespace)), delete.dry_run);
    session.out(format!("{kind} \"{}\" {done}\n", info.name));
    Ok(uid)
}

/// Waits until an object is gone, or another has taken its name.
pub async fn gone(
    session: &mut Session<'_>,
    info: &Info,
    uid: Option<&Value>,
    deadline: Instant,
) -> Outcome {
    let mut pause = Duration::from_millis(50);
    loop {
        match session.get(&info.target()).await {
            Err(failure) if failure.is_not_found() => return Ok(()),
            Err(Failure::Status(status)) if status.code == 403 => return Ok(()),
            Err(failure) => return Err(failure.into()),
            Ok(object) if uid.is_some() && object.pointer("/metadata/uid") != uid => return Ok(()),
            Ok(_) => {}
        }
        if Instant::now() >= deadline {
            return Err(Trouble::text(format!(
                "timed out waiting for the condition on {}/{}",
                info.mapping.plural, info.name
            )));
        }
        session.pause(pause).await?;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}
