//! The events about an object.

use serde_json::Value;

use super::sheet::{Sheet, filled, number, since, text};
use super::{all, others};
use crate::deploy::kubectl::host::info::Info;
use crate::deploy::kubectl::host::session::Session;
use crate::deploy::kubectl::host::trouble::Trouble;

/// The events about an object. Only of a `ConfigMap` kubectl minds when they cannot be had.
pub async fn about(session: &mut Session<'_>, info: &Info) -> Result<Vec<Value>, Trouble> {
    let mut uid = text(&info.object, "/metadata/uid");
    let mut kind = info.mapping.kind.as_str();
    if kind == "Pod" && info.mapping.group.is_empty() {
        kind = "";
        let mirrored = info.object.pointer("/metadata/annotations");
        let mirrored = mirrored.and_then(|all| all.get("kubernetes.io/config.mirror"));
        uid = mirrored.and_then(Value::as_str).unwrap_or(uid);
    }
    let found = by(session, info, kind, uid).await;
    match info.mapping.kind.as_str() {
        "ConfigMap" => found,
        // The node's own kubelet knows no other id of it than its name.
        "Node" if info.mapping.group.is_empty() => {
            let mut found = found.unwrap_or_default();
            found.extend(by(session, info, kind, &info.name).await.unwrap_or_default());
            Ok(found)
        }
        _ => Ok(found.unwrap_or_default()),
    }
}

async fn by(
    session: &mut Session<'_>,
    info: &Info,
    kind: &str,
    uid: &str,
) -> Result<Vec<Value>, Trouble> {
    let (name, namespace) = (&info.name, &info.namespace);
    let mut fields = format!("involvedObject.name={name},involvedObject.namespace={namespace}");
    for (key, value) in [("kind", kind), ("uid", uid)] {
        if !value.is_empty() {
            fields.extend([",involvedObject.", key, "=", value]);
        }
    }
    others(session, ("", "Event"), namespace, &all(None, Some(fields))).await
}

/// Tells them, the newest last.
pub fn tell(sheet: &mut Sheet, mut events: Vec<Value>) {
    if events.is_empty() {
        sheet.field(0, "Events", "<none>");
        return;
    }
    sheet.flush();
    events.sort_by(|left, right| text(left, "/lastTimestamp").cmp(text(right, "/lastTimestamp")));
    sheet.put(0, "Events:\n  Type\tReason\tAge\tFrom\tMessage\n");
    sheet.put(1, "----\t------\t----\t----\t-------\n");
    for event in &events {
        let first = match filled(event, "/eventTime") {
            Some(time) => since(time),
            None => since(text(event, "/firstTimestamp")),
        };
        let count = number(event, "/count");
        let age = if event.get("series").is_some_and(Value::is_object) {
            let last = since(text(event, "/series/lastObservedTime"));
            format!("{last} (x{} over {first})", number(event, "/series/count"))
        } else if count > 1 {
            format!("{} (x{count} over {first})", since(text(event, "/lastTimestamp")))
        } else {
            first
        };
        let source = filled(event, "/source/component");
        let source = source.unwrap_or_else(|| text(event, "/reportingComponent"));
        let mut message = text(event, "/message").trim().to_owned();
        if let Some(path) = filled(event, "/involvedObject/fieldPath") {
            message = format!("{path}: {message}");
        }
        let (kind, reason) = (text(event, "/type"), text(event, "/reason"));
        sheet.put(1, format!("{kind}\t{reason}\t{age}\t{source}\t{message}\n"));
    }
}
