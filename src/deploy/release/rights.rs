//! Whether we may do what the deploy needs: one review of rules for each namespace, and one question
//! for each kind that the rules leave open.

use std::collections::BTreeMap;

use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::{Value, json};

use super::desk::Desk;
use super::event::{Finding, Severity, Topic};
use super::plan::{LEASE, list};
use super::resolve::Thing;
use crate::deploy::cluster::{Call, Failure, Method};

/// A right that is needed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Need {
    namespace: String,
    group: String,
    resource: String,
    verb: &'static str,
    /// The object that needs it; none where only the telling needs it.
    object: Option<usize>,
    name: String,
}

/// Finds the rights that are missing. Namespaces that this deploy makes are left out: nobody knows
/// their rules yet.
pub async fn check(
    desk: &Desk<'_>,
    things: &[Thing],
    new_namespaces: &[String],
) -> Result<Vec<Finding>, Failure> {
    let needs = needs(things, new_namespaces);
    let mut rules: BTreeMap<String, (Vec<Value>, bool)> = BTreeMap::new();
    for need in &needs {
        if !need.namespace.is_empty() && !rules.contains_key(&need.namespace) {
            rules.insert(need.namespace.clone(), rules_of(desk, &need.namespace).await?);
        }
    }
    let mut open = Vec::new();
    let mut missing = Vec::new();
    for need in needs {
        match rules.get(&need.namespace) {
            Some((rules, _)) if allows(rules, &need) => {}
            Some((_, true)) => missing.push(need),
            // The server could not list all rules, or the kind lies in no namespace.
            Some((_, false)) | None => open.push(need),
        }
    }
    let mut asked: FuturesUnordered<_> = open
        .into_iter()
        .map(|need| async move { may(desk, &need).await.map(|may| (need, may)) })
        .collect();
    while let Some(answer) = asked.next().await {
        let (need, may) = answer?;
        if !may {
            missing.push(need);
        }
    }
    drop(asked);
    missing.sort();
    Ok(findings(&missing))
}

fn needs(things: &[Thing], new_namespaces: &[String]) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    let mut push = |need: Need| {
        let is_known = |known: &Need| {
            (&known.namespace, &known.group, &known.resource, known.verb)
                == (&need.namespace, &need.group, &need.resource, need.verb)
        };
        if !new_namespaces.contains(&need.namespace) && !needs.iter().any(is_known) {
            needs.push(need);
        }
    };
    for thing in things {
        let need = |verb| Need {
            namespace: thing.namespace.clone(),
            group: thing.mapping.group.clone(),
            resource: thing.mapping.plural.clone(),
            verb,
            object: Some(thing.index),
            name: thing.name.clone(),
        };
        for verb in ["get", "create", "patch"] {
            push(need(verb));
        }
        if !thing.namespace.is_empty() {
            for (group, resource, verb) in [
                ("", "pods", "list"),
                ("", "pods", "watch"),
                ("", "events", "list"),
                ("", "pods/log", "get"),
                ("coordination.k8s.io", "leases", "create"),
            ] {
                push(Need {
                    group: group.to_owned(),
                    resource: resource.to_owned(),
                    object: None,
                    name: if resource == "leases" { LEASE.to_owned() } else { String::new() },
                    ..need(verb)
                });
            }
        }
    }
    needs
}

/// The rules in a namespace, and whether these are all.
async fn rules_of(desk: &Desk<'_>, namespace: &str) -> Result<(Vec<Value>, bool), Failure> {
    let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    match desk.plain(post(path, &body)).await {
        Ok(answer) => {
            let complete = answer.body.pointer("/status/incomplete") != Some(&Value::Bool(true));
            Ok((list(&answer.body, "/status/resourceRules").to_vec(), complete))
        }
        Err(failure @ (Failure::Status(_) | Failure::Malformed(_)))
            if !failure.is_unreachable() =>
        {
            Ok((Vec::new(), false))
        }
        Err(failure) => Err(failure),
    }
}

async fn may(desk: &Desk<'_>, need: &Need) -> Result<bool, Failure> {
    let (resource, sub) = need.resource.split_once('/').unwrap_or((&need.resource, ""));
    let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"namespace": need.namespace, "group": need.group,
        "resource": resource, "subresource": sub, "verb": need.verb, "name": need.name}}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    match desk.plain(post(path, &body)).await {
        Ok(answer) => Ok(answer.body.pointer("/status/allowed") == Some(&Value::Bool(true))),
        // Who may not even ask is told by the request itself.
        Err(failure) if failure.status().is_some() && !failure.is_unreachable() => Ok(true),
        Err(failure) => Err(failure),
    }
}

fn post(path: &str, body: &Value) -> Call {
    Call { method: Method::Post, body: Some(body.to_string().into_bytes()), ..Call::get(path) }
}

fn allows(rules: &[Value], need: &Need) -> bool {
    let has = |rule: &Value, pointer: &str, wanted: &str| {
        list(rule, pointer).iter().any(|one| one == "*" || one == wanted)
    };
    rules.iter().any(|rule| {
        let names = list(rule, "/resourceNames");
        let is_named = names.is_empty()
            || (need.verb != "create" && names.iter().any(|name| *name == need.name.as_str()));
        has(rule, "/apiGroups", &need.group)
            && has(rule, "/resources", &need.resource)
            && has(rule, "/verbs", need.verb)
            && is_named
    })
}

/// One finding for each kind and namespace, with its verbs.
fn findings(missing: &[Need]) -> Vec<Finding> {
    let mut by_kind: BTreeMap<(&str, &str, &str, Option<usize>), Vec<&str>> = BTreeMap::new();
    for need in missing {
        let key =
            (need.namespace.as_str(), need.group.as_str(), need.resource.as_str(), need.object);
        by_kind.entry(key).or_default().push(need.verb);
    }
    by_kind
        .into_iter()
        .map(|((namespace, group, resource, object), verbs)| {
            let full =
                if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
            let place = if namespace.is_empty() {
                "in the cluster".to_owned()
            } else {
                format!("in namespace `{namespace}`")
            };
            let verbs = verbs.join(", ");
            let (severity, text) = match (object, resource) {
                (Some(_), _) => (Severity::Error, format!("no right to {verbs} {full} {place}")),
                (None, "leases") => (
                    Severity::Warning,
                    format!(
                        "no right to {verbs} {full} {place}: two deploys at once are not kept apart"
                    ),
                ),
                (None, _) => (
                    Severity::Warning,
                    format!(
                        "no right to {verbs} {full} {place}: reasons and logs of pods are left out"
                    ),
                ),
            };
            Finding {
                severity,
                topic: Topic::Rights,
                object,
                path: "/kind".to_owned(),
                text,
                hint: Some(format!("have a Role bound {place} that allows {verbs} on {full}")),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(resource: &str, verb: &'static str, name: &str) -> Need {
        Need {
            namespace: "shop".to_owned(),
            group: "apps".to_owned(),
            resource: resource.to_owned(),
            verb,
            object: Some(0),
            name: name.to_owned(),
        }
    }

    #[test]
    fn a_rule_allows_what_it_names() {
        let rule = |resources: Value, verbs: Value, names: Value| {
            vec![
                json!({"apiGroups": ["apps"], "resources": resources, "verbs": verbs, "resourceNames": names}),
            ]
        };
        for (rules, need, expected) in [
            (rule(json!(["*"]), json!(["*"]), json!([])), need("deployments", "get", "a"), true),
            (
                rule(json!(["deployments"]), json!(["get"]), json!([])),
                need("deployments", "patch", "a"),
                false,
            ),
            (
                rule(json!(["deployments"]), json!(["patch"]), json!(["a"])),
                need("deployments", "patch", "a"),
                true,
            ),
            (
                rule(json!(["deployments"]), json!(["patch"]), json!(["b"])),
                need("deployments", "patch", "a"),
                false,
            ),
            (
                rule(json!(["deployments"]), json!(["create"]), json!(["a"])),
                need("deployments", "create", "a"),
                false,
            ),
            (rule(json!(["pods"]), json!(["get"]), json!([])), need("pods/log", "get", ""), false),
        ] {
            assert_eq!(allows(&rules, &need), expected, "{need:?}");
        }
    }

    #[test]
    fn missing_rights_are_told_by_kind() {
        let told =
            findings(&[need("deployments", "create", "a"), need("deployments", "patch", "a")]);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].text, "no right to create, patch deployments.apps in namespace `shop`");
    }
}
