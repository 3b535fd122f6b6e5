//! One object brought to the server: server-side apply, fields taken over from kubectl, conflicts
//! explained.

use std::time::Duration;

use serde_json::{Value, json};

use super::desk::Desk;
use super::event::{Action, Finding, Topic};
use super::owners::{self, Conflict, MANAGER};
use super::plan::{Conflicts, text};
use super::refusal;
use super::resolve::Thing;
use crate::deploy::cluster::{Failure, Method, Patch};

const RETRIES: u32 = 5;
/// How long an object that is being deleted is waited for.
const GOING: Duration = Duration::from_mins(1);
/// How long the server may need until it serves a kind that it has established.
const ESTABLISHING: u32 = 20;

/// An object as it is on the server now.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The object.
    pub object: Value,
    /// What became of it.
    pub action: Action,
    /// Fields that were taken over from others.
    pub took: Vec<Conflict>,
}

/// Why an object is not on the server.
#[derive(Debug)]
pub enum Refused {
    /// Others own fields of it.
    Conflicts(Vec<Conflict>),
    /// The server says no.
    Failure(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Refused {
    /// What is told of it, field by field.
    pub fn findings(&self, thing: &Thing, live: Option<&Value>) -> Vec<Finding> {
        match self {
            Self::Failure(failure) => refusal::findings(thing, failure),
            Self::Conflicts(conflicts) => conflicts
                .iter()
                .filter(|conflict| !conflict.is_kubectls())
                .map(|conflict| conflicted(thing, conflict, live))
                .collect(),
        }
    }
}

fn conflicted(thing: &Thing, conflict: &Conflict, live: Option<&Value>) -> Finding {
    let (ours, path) = owners::look_up(&thing.object, &conflict.field);
    let theirs = live.and_then(|live| owners::look_up(live, &conflict.field).0);
    let is_secret = thing.mapping.kind == "Secret";
    let shown = |value: Option<Value>| match value {
        _ if is_secret => "***".to_owned(),
        None => "nothing".to_owned(),
        Some(value) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if text.len() > 80 { "another value".to_owned() } else { format!("`{text}`") }
        }
    };
    let through = conflict.through.as_ref().map(|part| format!(" (through `{part}`)"));
    let what = format!(
        "`{}` belongs to `{}`{}: it says {}, the manifest {}",
        conflict.field.trim_start_matches('.'),
        conflict.owner,
        through.unwrap_or_default(),
        shown(theirs),
        shown(ours),
    );
    Finding::error(Topic::Conflict, thing.index, &path, what).hint(conflict.hint())
}

/// Sends an object as it would be applied, and stores nothing.
pub async fn dry_run(desk: &Desk<'_>, thing: &Thing) -> Result<Applied, Refused> {
    send(desk, thing, true).await
}

/// Applies an object. `live` is what was there before.
pub async fn apply(
    desk: &Desk<'_>,
    thing: &Thing,
    live: Option<&Value>,
) -> Result<Applied, Refused> {
    if let Some(live) = live {
        if !text(live, "/metadata/deletionTimestamp").is_empty() {
            await_its_end(desk, thing, text(live, "/metadata/uid")).await?;
        }
        take_over(desk, thing, live).await?;
    }
    let mut tries = 0;
    let mut applied = loop {
        match send(desk, thing, false).await {
            // A kind that was just defined is not served everywhere at once.
            Err(Refused::Failure(failure))
                if thing.is_undefined && failure.is_not_found() && tries < ESTABLISHING =>
            {
                tries += 1;
                desk.pause(Duration::from_millis(500)).await?;
            }
            sent => break sent?,
        }
    };
    let version = |object: &Value| text(object, "/metadata/resourceVersion").to_owned();
    if applied.action == Action::Configured
        && live.is_some_and(|live| version(live) == version(&applied.object))
    {
        applied.action = Action::Unchanged;
    }
    Ok(applied)
}

async fn send(desk: &Desk<'_>, thing: &Thing, is_dry: bool) -> Result<Applied, Refused> {
    let forced = desk.plan.conflicts == Conflicts::Force;
    match patch(desk, thing, is_dry, forced).await {
        Err(Refused::Conflicts(conflicts)) if conflicts.iter().all(Conflict::is_kubectls) => {
            let applied = patch(desk, thing, is_dry, true).await?;
            Ok(Applied { took: conflicts, ..applied })
        }
        sent => sent,
    }
}

async fn patch(
    desk: &Desk<'_>,
    thing: &Thing,
    is_dry: bool,
    force: bool,
) -> Result<Applied, Refused> {
    let mut query = vec![
        ("fieldManager", MANAGER.to_owned()),
        ("fieldValidation", "Strict".to_owned()),
        ("force", force.to_string()),
    ];
    if is_dry {
        query.push(("dryRun", "All".to_owned()));
    }
    let method = Method::Patch(Patch::Apply);
    match desk.send(method, &thing.target(), query, Some(&thing.object)).await {
        Ok(answer) => {
            for warning in &answer.warnings {
                desk.say_once(format!("warning: {}: {warning}", thing.told()));
            }
            let action = if answer.created { Action::Created } else { Action::Configured };
            Ok(Applied { object: answer.body, action, took: Vec::new() })
        }
        Err(failure) => {
            let conflicts = failure.status().map(owners::conflicts).unwrap_or_default();
            if failure.is_conflict() && !conflicts.is_empty() {
                return Err(Refused::Conflicts(conflicts));
            }
            Err(failure.into())
        }
    }
}

/// Makes ours what `kubectl apply` owned, so that what manifests no longer say really goes.
async fn take_over(desk: &Desk<'_>, thing: &Thing, live: &Value) -> Result<(), Refused> {
    let mut live = live.clone();
    for _ in 0..RETRIES {
        let Some(fields) = owners::upgraded(&live) else { return Ok(()) };
        let patch = json!([
            {"op": "replace", "path": "/metadata/managedFields", "value": fields},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
        ]);
        let query = vec![("fieldManager", MANAGER.to_owned())];
        let method = Method::Patch(Patch::Json);
        match desk.send(method, &thing.target(), query, Some(&patch)).await {
            Ok(_) => return Ok(()),
            Err(failure) if failure.is_conflict() => {
                let Some(newer) = desk.get(&thing.target()).await? else { return Ok(()) };
                live = newer;
            }
            Err(failure) if failure.is_not_found() => return Ok(()),
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(())
}

/// Waits until an object that somebody deletes is gone.
async fn await_its_end(desk: &Desk<'_>, thing: &Thing, uid: &str) -> Result<(), Refused> {
    desk.say_once(format!("waiting for the end of {}, which is being deleted", thing.told()));
    let end = tokio::time::Instant::now() + GOING;
    loop {
        match desk.get(&thing.target()).await? {
            Some(object) if text(&object, "/metadata/uid") == uid => {}
            _ => return Ok(()),
        }
        if tokio::time::Instant::now() >= end {
            let text = "it is being deleted, and a finalizer keeps it".to_owned();
            return Err(Failure::Malformed(text).into());
        }
        desk.pause(Duration::from_millis(500)).await?;
    }
}
