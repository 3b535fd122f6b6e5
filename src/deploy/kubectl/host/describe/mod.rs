//! `kubectl describe`: an object told for people, with what else there is to know about it.

mod sheet;
mod kinds;
mod events;
mod sources;
mod volumes;
mod storage;
mod containers;
mod workloads;
mod node;
mod demand;
mod network;
mod addresses;
mod policies;
mod content;
mod signing;
pub mod rights;
mod generic;

use serde_json::Value;

use super::Outcome;
use super::info::Info;
use super::select::{self, Read, find};
use super::session::Session;
use super::trouble::Trouble;
use crate::deploy::cluster::{Discovery, Failure};
use crate::deploy::kubectl::request::{Describe, Selection, What};
use sheet::{Sheet, list, text};

/// Runs `kubectl describe`.
pub async fn run(session: &mut Session<'_>, describe: &Describe) -> Outcome {
    let (infos, mut troubles) = find(session, &describe.selection, Read::Latest).await?;
    let events = describe.events.unwrap_or(troubles.is_empty() && infos.len() <= 1);
    if let (Some(prefix), [Trouble::Status(status)]) = (&describe.prefix, troubles.as_slice())
        && status.reason == "NotFound"
    {
        let original = Trouble::Status(status.clone());
        return matching(session, describe, prefix, (events, original)).await;
    }
    let is_empty = infos.is_empty() && troubles.is_empty();
    let mut is_first = true;
    for info in infos {
        match one(session, &info, events).await {
            Ok(text) => {
                session.out(if is_first { text } else { format!("\n\n{text}") });
                is_first = false;
            }
            Err(stop @ Trouble::Network(Failure::Cancelled)) => return Err(stop),
            Err(trouble) if troubles.contains(&trouble) => {}
            Err(trouble) => troubles.push(trouble),
        }
    }
    if is_empty {
        let place = session.namespace().to_owned();
        session.err(if describe.selection.all_namespaces {
            "No resources found\n".to_owned()
        } else {
            format!("No resources found in {place} namespace.\n")
        });
    }
    Trouble::all(troubles)
}

/// Describes what has a name that begins so; where there is nothing, the first error stays.
async fn matching(
    session: &mut Session<'_>,
    describe: &Describe,
    prefix: &str,
    (events, original): (bool, Trouble),
) -> Outcome {
    let What::Names(names) = &describe.selection.what else { return Err(original) };
    let Some(named) = names.first() else { return Err(original) };
    let mapping = session.by_word(&named.resource)?;
    let namespace = select::home(session, &mapping);
    let objects = select::list_in(session, &all(None, None), &mapping, &namespace).await?;
    let mut is_found = false;
    for object in objects {
        let name = text(&object, "/metadata/name").to_owned();
        if !name.starts_with(prefix) {
            continue;
        }
        is_found = true;
        let (mapping, namespace) = (mapping.clone(), namespace.clone());
        let info = Info { mapping, object, source: String::new(), namespace, name };
        let text = one(session, &info, events).await?;
        session.out(format!("{text}\n"));
    }
    if is_found { Ok(()) } else { Err(original) }
}

fn all(labels: Option<String>, fields: Option<String>) -> Selection {
    Selection {
        what: What::Types(Vec::new()),
        all_namespaces: false,
        labels,
        fields,
        enforce_namespace: false,
    }
}

/// Other objects that have to do with the one that is told.
async fn others(
    session: &mut Session<'_>,
    (group, kind): (&str, &str),
    namespace: &str,
    selection: &Selection,
) -> Result<Vec<Value>, Trouble> {
    let found = session.discovery().and_then(|all| Discovery::by_group_kind(all, group, kind));
    let Some(mapping) = found.cloned() else { return Ok(Vec::new()) };
    select::list_in(session, selection, &mapping, namespace).await
}

/// One object, described.
async fn one(session: &mut Session<'_>, info: &Info, events: bool) -> Result<String, Trouble> {
    let mut sheet = Sheet::default();
    kinds::tell(session, &mut sheet, info).await?;
    if events && kinds::has_events(&info.mapping) {
        let found = events::about(session, info).await?;
        events::tell(&mut sheet, found);
    }
    Ok(sheet.finish())
}

/// The pods that a workload makes, in columns that are only marked.
pub fn template(template: &Value) -> String {
    let mut sheet = Sheet::default();
    containers::template(&mut sheet, template);
    sheet.raw()
}

/// `KIND/NAME` of the controller that an object belongs to.
fn controlled_by(sheet: &mut Sheet, object: &Value) {
    let owners = list(object, "/metadata/ownerReferences");
    if let Some(owner) = owners.iter().find(|owner| sheet::is(owner, "/controller")) {
        let value = format!("{}/{}", text(owner, "/kind"), text(owner, "/name"));
        sheet.field(0, "Controlled By", value);
    }
}
