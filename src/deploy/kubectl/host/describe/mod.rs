//! `kubectl describe`: an object told for people, with what else there is to know about it.

mod sheet;
mod volumes;
mod containers;
mod workloads;
mod network;
mod policies;
mod content;
pub mod rights;
mod generic;

use serde_json::Value;

use super::Outcome;
use super::apply::Info;
use super::select::{self, Read, find};
use super::session::Session;
use super::trouble::Trouble;
use crate::deploy::cluster::{Discovery, Failure};
use crate::deploy::kubectl::request::{Describe, Selection, What};
use sheet::{Sheet, filled, list, number, since, text};

/// Kinds that kubectl tells in a way of their own, which dyno does not.
pub const NOT_TOLD: [&str; 9] = [
    "Node",
    "PersistentVolume",
    "CertificateSigningRequest",
    "StorageClass",
    "CSINode",
    "VolumeAttributesClass",
    "IngressClass",
    "ServiceCIDR",
    "IPAddress",
];

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
#[expect(clippy::too_many_lines, reason = "one arm a kind")]
async fn one(session: &mut Session<'_>, info: &Info, events: bool) -> Result<String, Trouble> {
    let (kind, object) = (info.mapping.kind.as_str(), &info.object);
    let namespace = info.namespace.as_str();
    let mut sheet = Sheet::default();
    let mut has_events = true;
    match (info.mapping.group.as_str(), kind) {
        ("", "Pod") => containers::pod(&mut sheet, object),
        ("apps", "Deployment") => {
            let labels = selected(object);
            let sets = others(session, ("apps", "ReplicaSet"), namespace, &labels).await;
            workloads::deployment(&mut sheet, object, sets.unwrap_or_default());
        }
        ("apps", "ReplicaSet" | "StatefulSet" | "DaemonSet") | ("", "ReplicationController") => {
            let pods = if kind == "ReplicationController" {
                Some(sheet::joined(sheet::map(object, "/spec/selector")))
                    .filter(|labels| labels != "<none>")
                    .map_or_else(|| all(None, None), |labels| all(Some(labels), None))
            } else {
                selected(object)
            };
            let pods = others(session, ("", "Pod"), namespace, &pods).await;
            let counts = pods.map(|pods| workloads::counts(object, &pods));
            let counts = match (kind, counts) {
                ("ReplicaSet", Err(trouble)) => {
                    format!("error in fetching pods: {}", trouble.message())
                }
                (_, counts) => counts?,
            };
            workloads::controller(&mut sheet, kind, object, &counts);
        }
        ("batch", "Job") => workloads::job(&mut sheet, object),
        ("batch", "CronJob") => workloads::cron_job(&mut sheet, object),
        ("", "Service") => {
            let slices = slices(session, namespace, &info.name).await.unwrap_or_default();
            network::service(&mut sheet, object, &slices);
        }
        ("", "Endpoints") => network::endpoints_of(&mut sheet, object),
        ("discovery.k8s.io", "EndpointSlice") => network::slice(&mut sheet, object),
        ("networking.k8s.io", "Ingress") => {
            let backends = backends(session, namespace, object).await;
            network::ingress(&mut sheet, object, &backends);
        }
        ("networking.k8s.io", "NetworkPolicy") => {
            has_events = false;
            network::policy(&mut sheet, object);
        }
        ("autoscaling", "HorizontalPodAutoscaler") => policies::autoscaler(&mut sheet, object),
        ("policy", "PodDisruptionBudget") => policies::disruption_budget(&mut sheet, object),
        ("scheduling.k8s.io", "PriorityClass") => policies::priority_class(&mut sheet, object),
        ("", "PersistentVolumeClaim") => {
            let pods = others(session, ("", "Pod"), namespace, &all(None, None)).await?;
            volumes::claim(&mut sheet, object, &pods);
        }
        ("", "ConfigMap") => content::config_map(&mut sheet, object),
        ("", "ServiceAccount") => content::service_account(&mut sheet, object),
        ("", "Secret" | "ResourceQuota" | "LimitRange") => {
            has_events = false;
            content::plain(&mut sheet, kind, object);
        }
        ("", "Namespace") => {
            has_events = false;
            let quotas =
                others(session, ("", "ResourceQuota"), &info.name, &all(None, None)).await?;
            let limits = others(session, ("", "LimitRange"), &info.name, &all(None, None)).await?;
            content::namespace(&mut sheet, object, quotas, &limits);
        }
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => {
            has_events = false;
            rights::role(&mut sheet, object);
        }
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            has_events = false;
            rights::binding(&mut sheet, object);
        }
        (group, kind) if NOT_TOLD.contains(&kind) && !group.contains("example") => {
            return Err(Trouble::text(format!("dyno's kubectl does not describe a {kind}")));
        }
        (_, _) => generic::object(&mut sheet, object),
    }
    if events && has_events {
        let found = events_of(session, info).await?;
        told_events(&mut sheet, found);
    }
    Ok(sheet.finish())
}

/// The pods that a workload makes, in columns that are only marked.
pub fn template(template: &Value) -> String {
    let mut sheet = Sheet::default();
    containers::template(&mut sheet, template);
    sheet.raw()
}

/// What an object's own selector selects.
fn selected(object: &Value) -> Selection {
    all(Some(sheet::selector(object.pointer("/spec/selector"))), None)
}

async fn slices(
    session: &mut Session<'_>,
    namespace: &str,
    service: &str,
) -> Result<Vec<Value>, Trouble> {
    let labels = format!("kubernetes.io/service-name={service}");
    let of = ("discovery.k8s.io", "EndpointSlice");
    others(session, of, namespace, &all(Some(labels), None)).await
}

/// What stands behind the services that an ingress names.
async fn backends(
    session: &mut Session<'_>,
    namespace: &str,
    ingress: &Value,
) -> network::Backends {
    let mut found = network::Backends::new();
    for name in network::services(ingress) {
        if found.contains_key(name) {
            continue;
        }
        let slices = slices(session, namespace, name).await;
        let service = match session.by_word("services") {
            Ok(mapping) => {
                let target = crate::deploy::cluster::Target {
                    mapping: &mapping,
                    namespace,
                    name,
                    subresource: "",
                };
                session.get(&target).await.map_err(Trouble::from)
            }
            Err(trouble) => Err(trouble),
        };
        let both = slices.and_then(|slices| Ok((slices, service?)));
        found.insert(name.to_owned(), both.map_err(|trouble| trouble.message()));
    }
    found
}

/// The events about an object. Only of a `ConfigMap` kubectl minds when they cannot be had.
async fn events_of(session: &mut Session<'_>, info: &Info) -> Result<Vec<Value>, Trouble> {
    let mut uid = text(&info.object, "/metadata/uid");
    let mut kind = info.mapping.kind.as_str();
    if kind == "Pod" && info.mapping.group.is_empty() {
        kind = "";
        let mirrored = info.object.pointer("/metadata/annotations");
        let mirrored = mirrored.and_then(|all| all.get("kubernetes.io/config.mirror"));
        uid = mirrored.and_then(Value::as_str).unwrap_or(uid);
    }
    let (name, namespace) = (&info.name, &info.namespace);
    let mut fields = format!("involvedObject.name={name},involvedObject.namespace={namespace}");
    for (key, value) in [("kind", kind), ("uid", uid)] {
        if !value.is_empty() {
            fields.extend([",involvedObject.", key, "=", value]);
        }
    }
    let found = others(session, ("", "Event"), namespace, &all(None, Some(fields))).await;
    if info.mapping.kind == "ConfigMap" { found } else { Ok(found.unwrap_or_default()) }
}

fn told_events(sheet: &mut Sheet, mut events: Vec<Value>) {
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

/// `KIND/NAME` of the controller that an object belongs to.
fn controlled_by(sheet: &mut Sheet, object: &Value) {
    let owners = list(object, "/metadata/ownerReferences");
    if let Some(owner) = owners.iter().find(|owner| sheet::is(owner, "/controller")) {
        let value = format!("{}/{}", text(owner, "/kind"), text(owner, "/name"));
        sheet.field(0, "Controlled By", value);
    }
}
