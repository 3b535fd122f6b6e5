//! Pre-flight: all that can be known before anything is touched, found at once.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::apply::{self, Applied, Refused};
use super::desk::{Desk, known};
use super::event::{Finding, Severity, Topic};
use super::images;
use super::listed::{Known, Listed};
use super::owners;
use super::plan::{is_name, list, text};
use super::quota::{self, Demand};
use super::references::{self, Offer, Reference};
use super::resolve::{Thing, pod};
use super::{refusal, rights};
use crate::deploy::cluster::{Failure, Method, Target, is_builtin_group};
use crate::deploy::merge;

/// Requests of one pass that are made side by side; the limiter has the last word.
const WIDTH: usize = 64;

/// What was found.
#[derive(Debug, Default)]
pub struct Survey {
    /// Objects as they are, by their number in the plan.
    pub live: BTreeMap<usize, Value>,
    /// Objects as they would be.
    pub predicted: BTreeMap<usize, Value>,
    /// What is wrong, and what is worth knowing.
    pub findings: Vec<Finding>,
    /// Namespaces that are not there yet and that this deploy makes.
    pub new_namespaces: Vec<String>,
}

impl Survey {
    /// True when nothing may be applied.
    pub fn stops(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// True when an object is as it will be, down to who owns its fields.
    pub fn is_unchanged(&self, index: usize) -> bool {
        let (Some(live), Some(predicted)) = (self.live.get(&index), self.predicted.get(&index))
        else {
            return false;
        };
        let timeless = |object: &Value| {
            let mut fields = list(object, "/metadata/managedFields").to_vec();
            for entry in fields.iter_mut().filter_map(Value::as_object_mut) {
                entry.remove("time");
            }
            fields
        };
        super::diff::plain(live) == super::diff::plain(predicted)
            && timeless(live) == timeless(predicted)
            && owners::upgraded(live).is_none()
            && text(live, "/metadata/deletionTimestamp").is_empty()
    }
}

/// Which of the things' namespaces are there. What is neither there nor made by the plan is found.
pub async fn namespaces(desk: &Desk<'_>, things: &[Thing]) -> Result<Survey, Failure> {
    let mut survey = Survey::default();
    let made: BTreeSet<&str> = things
        .iter()
        .filter(|thing| thing.is("", "Namespace"))
        .map(|thing| thing.name.as_str())
        .collect();
    let mapping = known("", "v1", "Namespace", "namespaces");
    let mut first_uses: BTreeMap<&str, usize> = BTreeMap::new();
    for thing in things.iter().filter(|thing| !thing.namespace.is_empty()) {
        first_uses.entry(&thing.namespace).or_insert(thing.index);
    }
    for (namespace, index) in first_uses {
        let target = Target { mapping: &mapping, namespace: "", name: namespace, subresource: "" };
        let found = match desk.get(&target).await {
            Ok(found) => found,
            // Who may not look at namespaces still finds out by the first object.
            Err(failure) if failure.is("Forbidden") => continue,
            Err(failure) => return Err(failure),
        };
        match found {
            Some(live) if text(&live, "/status/phase") == "Terminating" => {
                let what = format!("namespace `{namespace}` is being deleted");
                let finding = Finding::error(Topic::Reference, index, "/metadata/namespace", what);
                survey.findings.push(finding.hint("wait until it is gone, then deploy again"));
            }
            Some(_) => {}
            None if made.contains(namespace) => survey.new_namespaces.push(namespace.to_owned()),
            None => {
                let what = format!("namespace `{namespace}` is not there");
                let finding = Finding::error(Topic::Reference, index, "/metadata/namespace", what);
                survey.findings.push(finding.hint(if is_name(namespace) {
                    format!(
                        "kubectl create namespace {namespace}, or add a Namespace to the manifests"
                    )
                } else {
                    "a namespace's name is of lower-case letters, digits and `-`".to_owned()
                }));
            }
        }
    }
    Ok(survey)
}

/// Looks at everything. `survey` is what [`namespaces`] found.
pub async fn look(
    desk: &Desk<'_>,
    things: &[Thing],
    mut survey: Survey,
) -> Result<Survey, Failure> {
    let missing: BTreeSet<usize> =
        survey.findings.iter().filter_map(|finding| finding.object).collect();
    let lost: BTreeSet<&str> = things
        .iter()
        .filter(|thing| missing.contains(&thing.index))
        .map(|thing| thing.namespace.as_str())
        .filter(|namespace| !namespace.is_empty())
        .collect();
    let is_reachable = |thing: &&Thing| {
        !thing.is_undefined
            && !survey.new_namespaces.contains(&thing.namespace)
            && !lost.contains(thing.namespace.as_str())
    };
    let there: Vec<&Thing> = things.iter().filter(is_reachable).collect();
    let rights = rights::check(desk, things, &survey.new_namespaces).await?;
    let barred: BTreeSet<(String, String)> = rights
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .filter_map(|finding| things.iter().find(|thing| Some(thing.index) == finding.object))
        .map(|thing| (thing.mapping.resource(), thing.namespace.clone()))
        .collect();
    survey.findings.extend(rights);
    let may_be_sent =
        |thing: &&&Thing| !barred.contains(&(thing.mapping.resource(), thing.namespace.clone()));
    let sent: Vec<&Thing> = there.iter().filter(may_be_sent).copied().collect();
    let mut listed = Listed::read(desk, &sent).await?;
    let mut looked = stream::iter(sent)
        .map(|thing| {
            let known = listed.take(thing);
            async move {
                let live = match known {
                    Known::Is(object) => Ok(Some(object)),
                    Known::IsNot => Ok(None),
                    Known::Nothing => desk.get(&thing.target()).await,
                };
                let dry = apply::dry_run(desk, thing).await;
                (thing, live, dry)
            }
        })
        .buffer_unordered(WIDTH);
    while let Some((thing, live, dry)) = looked.next().await {
        note(&mut survey, thing, live?, dry)?;
    }
    drop(looked);
    survey.findings.extend(missing_references(desk, things, &there).await?);
    survey.findings.extend(pods(desk, &there, things, &survey).await?);
    survey.findings.extend(images::findings(things, &survey.predicted));
    leave_echoes_out(&mut survey.findings);
    survey.findings.extend(quotas(desk, &there, &survey.live).await?);
    survey.findings.sort_by(|a, b| {
        (b.severity, a.object, a.topic, &a.path).cmp(&(a.severity, b.object, b.topic, &b.path))
    });
    survey.findings.dedup();
    Ok(survey)
}

fn note(
    survey: &mut Survey,
    thing: &Thing,
    live: Option<Value>,
    dry: Result<Applied, Refused>,
) -> Result<(), Failure> {
    match dry {
        Ok(applied) => {
            for taken in &applied.took {
                let (ours, path) = owners::look_up(&thing.object, &taken.field);
                let told = |value: Option<Value>| match value {
                    Some(value) if thing.mapping.kind != "Secret" => {
                        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
                    }
                    Some(_) | None => "another value".to_owned(),
                };
                let theirs = live.as_ref().and_then(|live| owners::look_up(live, &taken.field).0);
                let what = format!(
                    "takes `{}` over from `{}`: {} becomes {}",
                    taken.field.trim_start_matches('.'),
                    taken.owner,
                    told(theirs),
                    told(ours)
                );
                survey.findings.push(Finding::warning(Topic::Conflict, thing.index, &path, what));
            }
            let predicted = without_dropped(thing, live.as_ref(), applied.object);
            survey.predicted.insert(thing.index, predicted);
        }
        Err(Refused::Failure(failure))
            if failure.is_unreachable() || failure == Failure::Cancelled =>
        {
            return Err(failure);
        }
        Err(refused) => survey.findings.extend(refused.findings(thing, live.as_ref())),
    }
    if let Some(live) = live {
        survey.live.insert(thing.index, live);
    }
    Ok(())
}

/// What `kubectl apply` had set and the manifest no longer says goes, once its fields are ours; a dry
/// run does not show that.
fn without_dropped(thing: &Thing, live: Option<&Value>, predicted: Value) -> Value {
    let annotation = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";
    let Some(live) = live.filter(|live| owners::upgraded(live).is_some()) else { return predicted };
    let Ok(original) = serde_json::from_str::<Value>(text(live, annotation)) else {
        return predicted;
    };
    let merged = if is_builtin_group(&thing.mapping.group) {
        let kind = &thing.mapping.kind;
        merge::three_way_strategic(kind, &original, &thing.object, &predicted)
            .and_then(|patch| merge::apply_strategic(kind, &predicted, &patch))
    } else {
        merge::three_way_json(&original, &thing.object, &predicted).map(|patch| {
            let mut object = predicted.clone();
            merge::apply_json(&mut object, &patch);
            object
        })
    };
    merged.unwrap_or(predicted)
}

/// Leaves out what the server said of a service account that is found missing anyway.
fn leave_echoes_out(findings: &mut Vec<Finding>) {
    let found: BTreeSet<Option<usize>> = findings
        .iter()
        .filter(|finding| finding.topic == Topic::Reference)
        .filter(|finding| finding.path.ends_with("/spec/serviceAccountName"))
        .map(|finding| finding.object)
        .collect();
    findings.retain(|finding| {
        !(finding.text.contains("error looking up service account")
            && found.contains(&finding.object))
    });
}

/// References that lead nowhere.
async fn missing_references(
    desk: &Desk<'_>,
    things: &[Thing],
    there: &[&Thing],
) -> Result<Vec<Finding>, Failure> {
    let mut wanted: Vec<(&Thing, Reference)> = Vec::new();
    for thing in things {
        let found = references::references(&thing.object);
        wanted.extend(found.into_iter().map(|reference| (thing, reference)));
    }
    let mut offers: BTreeMap<(String, &str, String), Offer> = BTreeMap::new();
    let mut open: BTreeSet<(String, &str, String)> = BTreeSet::new();
    for (thing, reference) in &wanted {
        let key = (thing.namespace.clone(), reference.kind, reference.name.clone());
        let own = things.iter().find(|other| {
            other.mapping.kind == reference.kind
                && other.name == reference.name
                && other.namespace == thing.namespace
        });
        match own {
            Some(own) => {
                offers.insert(key, references::offer_of(&own.object));
            }
            None if there.iter().any(|other| other.namespace == thing.namespace) => {
                open.insert(key);
            }
            // In a namespace that this deploy makes there is nothing else.
            None => {
                offers.insert(key, Offer::Missing);
            }
        }
    }
    let mut looked = stream::iter(open)
        .map(|key| async move { (offer(desk, &key.0, key.1, &key.2).await, key) })
        .buffer_unordered(WIDTH);
    while let Some((offer, key)) = looked.next().await {
        offers.insert(key, offer?);
    }
    drop(looked);
    let mut findings = Vec::new();
    for (thing, reference) in &wanted {
        let key = (thing.namespace.clone(), reference.kind, reference.name.clone());
        let offer = offers.get(&key).unwrap_or(&Offer::There);
        if let Some((told, way)) = references::judge(thing, reference, offer) {
            let finding = if reference.is_needed {
                Finding::error(Topic::Reference, thing.index, &reference.path, told)
            } else {
                Finding::warning(Topic::Reference, thing.index, &reference.path, told)
            };
            findings.push(finding.hint(way));
        }
    }
    Ok(findings)
}

/// What a live object offers. Of a Secret only the names of its keys are kept.
async fn offer(desk: &Desk<'_>, namespace: &str, kind: &str, name: &str) -> Result<Offer, Failure> {
    let (group, plural) = match kind {
        "Secret" => ("", "secrets"),
        "ConfigMap" => ("", "configmaps"),
        "ServiceAccount" => ("", "serviceaccounts"),
        "PersistentVolumeClaim" => ("", "persistentvolumeclaims"),
        // Routes and scalers may point at what others deploy; who cannot look does not complain.
        "Service" => ("", "services"),
        "Deployment" => ("apps", "deployments"),
        "StatefulSet" => ("apps", "statefulsets"),
        _ => return Ok(Offer::There),
    };
    let mapping = known(group, "v1", kind, plural);
    let target = Target { mapping: &mapping, namespace, name, subresource: "" };
    match desk.get(&target).await {
        Ok(None) => Ok(Offer::Missing),
        Ok(Some(object)) if matches!(kind, "Secret" | "ConfigMap") => {
            Ok(Offer::Keys(references::keys(&object)))
        }
        Ok(Some(_)) | Err(Failure::Fenced(_)) => Ok(Offer::There),
        Err(failure) if failure.is("Forbidden") => Ok(Offer::There),
        Err(failure) => Err(failure),
    }
}

/// A pod of every template, sent and not stored: admission says what it thinks of it. Without this,
/// a Deployment that no pod comes out of is applied as if nothing were wrong.
async fn pods(
    desk: &Desk<'_>,
    there: &[&Thing],
    things: &[Thing],
    survey: &Survey,
) -> Result<Vec<Finding>, Failure> {
    let mapping = known("", "v1", "Pod", "pods");
    let is_new = |thing: &&Thing| {
        let template = |object: &Value| pod(object).map(|(pod, _)| pod.clone());
        let live = survey.live.get(&thing.index).and_then(template);
        live.is_none() || live != survey.predicted.get(&thing.index).and_then(template)
    };
    let made: Vec<&Thing> = there
        .iter()
        .copied()
        .filter(|thing| thing.mapping.kind != "Pod" && thing.pod().is_some())
        .filter(is_new)
        .filter(|thing| !waits_for_account(thing, things))
        .collect();
    let mut sent = stream::iter(made)
        .map(|thing| {
            let mapping = &mapping;
            async move {
                let (template, path) = thing.pod()?;
                let mut body = template.clone();
                body["apiVersion"] = json!("v1");
                body["kind"] = json!("Pod");
                body["metadata"]["name"] = json!("dyno-preflight");
                body["metadata"]["namespace"] = json!(thing.namespace);
                if matches!(thing.mapping.kind.as_str(), "Job" | "CronJob")
                    && text(&body, "/spec/restartPolicy").is_empty()
                {
                    body["spec"]["restartPolicy"] = json!("Never");
                }
                let target =
                    Target { mapping, namespace: &thing.namespace, name: "", subresource: "" };
                let query = vec![("dryRun", "All".to_owned())];
                let answer = desk.send(Method::Post, &target, query, Some(&body)).await;
                Some((thing, path, answer.err()?))
            }
        })
        .buffer_unordered(WIDTH);
    let mut findings = Vec::new();
    while let Some(answer) = sent.next().await {
        let Some((thing, path, failure)) = answer else { continue };
        if failure.is_unreachable() || failure == Failure::Cancelled {
            return Err(failure);
        }
        let is_about_rights = failure.status().is_some_and(|status| {
            status.code != 403
                || (status.message.contains(" cannot ") && status.message.contains("resource"))
                || status.message.contains("error looking up service account")
        });
        // What is wrong with the template itself, the object's own dry run says better.
        if is_about_rights || failure.status().is_none() {
            continue;
        }
        for finding in refusal::findings(thing, &failure) {
            let text = finding.text.replace("pods \"dyno-preflight\" is forbidden: ", "");
            let is_update = survey.live.contains_key(&thing.index);
            let severity = weighed(&finding, is_update);
            findings.push(Finding { path: path.to_owned(), text, severity, ..finding });
        }
    }
    Ok(findings)
}

/// Pods of an update take the place of others: whether a quota has room for them shows then.
fn weighed(finding: &Finding, is_update: bool) -> Severity {
    if is_update && finding.topic == Topic::Quota { Severity::Warning } else { finding.severity }
}

/// True for a pod whose service account this deploy makes: admission would miss it now.
fn waits_for_account(thing: &Thing, things: &[Thing]) -> bool {
    let account = thing.pod().map_or("", |(pod, _)| text(pod, "/spec/serviceAccountName"));
    things.iter().any(|other| {
        other.is("", "ServiceAccount")
            && other.name == account
            && other.namespace == thing.namespace
    })
}

async fn quotas(
    desk: &Desk<'_>,
    there: &[&Thing],
    live: &BTreeMap<usize, Value>,
) -> Result<Vec<Finding>, Failure> {
    let mut demands: BTreeMap<&str, (usize, Demand)> = BTreeMap::new();
    for thing in there.iter().filter(|thing| !thing.namespace.is_empty()) {
        let demand = Demand::of(thing, live.get(&thing.index));
        let (_, sum) =
            demands.entry(&thing.namespace).or_insert_with(|| (thing.index, Demand::default()));
        sum.plus(&demand);
    }
    let mapping = known("", "v1", "ResourceQuota", "resourcequotas");
    let mut findings = Vec::new();
    for (namespace, (index, demand)) in demands {
        let target = Target { mapping: &mapping, namespace, name: "", subresource: "" };
        let quotas = match desk.send(Method::Get, &target, Vec::new(), None).await {
            Ok(answer) => list(&answer.body, "/items").to_vec(),
            Err(failure) if failure.is("Forbidden") => continue,
            Err(failure) => return Err(failure),
        };
        for sentence in quota::judge(&quotas, &demand) {
            let what = format!("namespace `{namespace}`: {sentence}");
            let finding = Finding::error(Topic::Quota, index, "", what);
            findings.push(finding.hint("ask for less in the manifests, or have the quota raised"));
        }
    }
    Ok(findings)
}
