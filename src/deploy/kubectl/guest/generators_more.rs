//! `kubectl create` of cluster roles and their bindings, ingresses, disruption budgets and priorities.

use regex::Regex;
use serde_json::{Map, Value, json};

use super::create::{Common, finish, metadata, name, with_shared};
use super::generators::{RBAC, rules, subjects, verbs, warn};
use super::workloads::put;
use super::{Context, mistake};
use crate::deploy::kubectl::flags::{self, Kind, flag};
use crate::deploy::kubectl::{Parsed, Usage};

const URL_VERBS: [&str; 8] = ["*", "get", "post", "put", "delete", "patch", "head", "options"];

/// Reads `kubectl create clusterrole …`.
pub fn cluster_role(context: &Context<'_>) -> Result<Parsed, Usage> {
    const COMMAND: &str = "kubectl create clusterrole";
    let own = [
        flag("verb", Kind::List),
        flag("resource", Kind::List),
        flag("resource-name", Kind::Array),
        flag("non-resource-url", Kind::List),
        flag("aggregation-rule", Kind::List),
    ];
    let flags = context.flags(&with_shared(&own), COMMAND)?;
    let name = name(&flags, 1, COMMAND)?;
    let mut common = Common::read(&flags)?;
    let mut object = json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": "ClusterRole",
        "metadata": metadata(&flags, &name, false),
        "rules": null,
    });
    if flags.has("aggregation-rule") {
        let others = ["verb", "resource", "resource-name", "non-resource-url"];
        if others.iter().any(|name| flags.has(name)) {
            return Err(mistake(
                "aggregation rule must be specified without nonResourceURLs, verbs, resources or \
                 resourceNames",
            ));
        }
        let mut labels = Map::new();
        for pair in flags.list("aggregation-rule") {
            let Some((key, value)) = pair.split_once('=') else {
                return Err(misuse_of("aggregation-rule", pair, COMMAND));
            };
            labels.insert(key.trim().to_owned(), json!(value.trim()));
        }
        let rule = json!({"clusterRoleSelectors": [{"matchLabels": labels}]});
        put(&mut object, "aggregationRule", rule);
        return finish(context, &flags, common, object);
    }
    let verbs = verbs(&flags)?;
    let mut urls: Vec<&String> = Vec::new();
    for url in flags.list("non-resource-url") {
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    if flags.list("resource").is_empty() && urls.is_empty() {
        return Err(mistake("one of resource or nonResourceURL must be specified"));
    }
    let mut all = Vec::new();
    if !flags.list("resource").is_empty() {
        warn(&mut common, &verbs);
        all = rules(&flags, &verbs)?;
    }
    if !urls.is_empty() {
        check_urls(&urls, &verbs)?;
        all.push(json!({"verbs": verbs, "nonResourceURLs": urls}));
    }
    put(&mut object, "rules", Value::Array(all));
    finish(context, &flags, common, object)
}

fn misuse_of(flag: &str, value: &str, command: &str) -> Usage {
    Usage(format!(
        "error: invalid argument \"{value}\" for \"--{flag}\" flag: malformed pair, expect \
         string=string\nSee '{command} --help' for usage."
    ))
}

fn check_urls(urls: &[&String], verbs: &[&String]) -> Result<(), Usage> {
    if let Some(verb) = verbs.iter().find(|verb| !URL_VERBS.contains(&verb.as_str())) {
        return Err(mistake(format!("invalid verb: '{verb}' for nonResourceURL")));
    }
    for url in urls.iter().filter(|url| url.as_str() != "*") {
        if !url.starts_with('/') {
            return Err(mistake("nonResourceURL should start with /"));
        }
        if url.strip_suffix('*').unwrap_or(url).contains('*') {
            return Err(mistake(
                "nonResourceURL only supports wildcard matches when '*' is at the end",
            ));
        }
    }
    Ok(())
}

/// Reads `kubectl create clusterrolebinding …`.
pub fn cluster_role_binding(context: &Context<'_>) -> Result<Parsed, Usage> {
    const COMMAND: &str = "kubectl create clusterrolebinding";
    let own = [
        flag("clusterrole", Kind::Text),
        flag("user", Kind::Array),
        flag("group", Kind::Array),
        flag("serviceaccount", Kind::Array),
    ];
    let flags = context.flags(&with_shared(&own), COMMAND)?;
    if !flags.has("clusterrole") {
        return Err(mistake("required flag(s) \"clusterrole\" not set"));
    }
    let name = name(&flags, 1, COMMAND)?;
    let common = Common::read(&flags)?;
    let role = flags.filled("clusterrole").unwrap_or_default();
    let mut object = json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": "ClusterRoleBinding",
        "metadata": metadata(&flags, &name, false),
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
    });
    let subjects = subjects(&flags)?;
    if !subjects.is_empty() {
        put(&mut object, "subjects", Value::Array(subjects));
    }
    finish(context, &flags.without("user"), common, object)
}

/// A number, or the text that is none.
fn number_or_text(text: &str) -> Value {
    text.parse::<i32>().map_or_else(|_| json!(text), |number| json!(number))
}

/// Reads `kubectl create poddisruptionbudget …`.
pub fn disruption_budget(context: &Context<'_>) -> Result<Parsed, Usage> {
    const COMMAND: &str = "kubectl create poddisruptionbudget";
    let own = [
        flag("min-available", Kind::Text),
        flag("max-unavailable", Kind::Text),
        flag("selector", Kind::Text),
    ];
    let flags = context.flags(&with_shared(&own), COMMAND)?;
    let name = name(&flags, 1, COMMAND)?;
    let common = Common::read(&flags)?;
    let Some(selector) = flags.filled("selector") else {
        return Err(mistake("a selector must be specified"));
    };
    let (key, bound) = match (flags.filled("min-available"), flags.filled("max-unavailable")) {
        (None, None) => {
            return Err(mistake("one of min-available or max-unavailable must be specified"));
        }
        (Some(_), Some(_)) => {
            return Err(mistake("min-available and max-unavailable cannot be both specified"));
        }
        (Some(least), None) => ("minAvailable", least),
        (None, Some(most)) => ("maxUnavailable", most),
    };
    let digits = bound.strip_suffix('%').unwrap_or(&bound);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let flag = if key == "minAvailable" { "min-available" } else { "max-unavailable" };
        return Err(mistake(format!("invalid format specified for {flag}")));
    }
    let mut labels = Map::new();
    for pair in selector.split(',') {
        let parts = pair.split_once("==").or_else(|| pair.split_once('='));
        let Some((key, value)) = parts.filter(|(key, _)| !key.ends_with('!')) else {
            return Err(mistake(format!(
                "dyno's kubectl create poddisruptionbudget does not know the selector \"{pair}\""
            )));
        };
        labels.insert(key.trim().to_owned(), json!(value.trim()));
    }
    let object = json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(&flags, &name, true),
        "spec": {(key): number_or_text(&bound), "selector": {"matchLabels": labels}},
        "status": {
            "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0,
        },
    });
    finish(context, &flags.without("selector"), common, object)
}

/// Reads `kubectl create priorityclass …`.
pub fn priority_class(context: &Context<'_>) -> Result<Parsed, Usage> {
    const COMMAND: &str = "kubectl create priorityclass";
    let own = [
        flag("value", Kind::Number),
        flag("global-default", Kind::Bool),
        flag("description", Kind::Text),
        flag("preemption-policy", Kind::Text),
    ];
    let flags = context.flags(&with_shared(&own), COMMAND)?;
    let name = name(&flags, 1, COMMAND)?;
    let common = Common::read(&flags)?;
    let mut object = json!({
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": metadata(&flags, &name, false),
        "value": flags.number("value", 0),
        "preemptionPolicy": flags.text("preemption-policy").unwrap_or("PreemptLowerPriority"),
    });
    if flags.is("global-default", false) {
        put(&mut object, "globalDefault", json!(true));
    }
    if let Some(text) = flags.filled("description") {
        put(&mut object, "description", json!(text));
    }
    finish(context, &flags, common, object)
}

/// Reads `kubectl create ingress …`.
pub fn ingress(context: &Context<'_>) -> Result<Parsed, Usage> {
    const COMMAND: &str = "kubectl create ingress";
    const RULE: &str = r"^[\w*\-.]*/.*=[\w\-]+:[\w\-]+(,tls=?([\w\-]+)?)?";
    let own = [
        flag("class", Kind::Text),
        flag("rule", Kind::Array),
        flag("default-backend", Kind::Text),
        flag("annotation", Kind::Array),
    ];
    let flags = context.flags(&with_shared(&own), COMMAND)?;
    let name = name(&flags, 1, COMMAND)?;
    let common = Common::read(&flags)?;
    let default = flags.filled("default-backend");
    let rules = flags.list("rule");
    if default.is_none() && rules.is_empty() {
        return Err(mistake(
            "not enough information provided: every ingress has to either specify a \
             default-backend (which catches all traffic) or a list of rules (which catch specific \
             paths)",
        ));
    }
    let form = Regex::new(RULE).map_err(|error| mistake(error.to_string()))?;
    if let Some(rule) = rules.iter().find(|rule| !form.is_match(rule)) {
        return Err(mistake(format!(
            "rule {rule} is invalid and should be in format \
             host/path=svcname:svcport[,tls[=secret]]"
        )));
    }
    let mut meta = metadata(&flags, &name, true);
    annotate(&mut meta, &flags)?;
    let mut spec = json!({});
    if let Some(class) = flags.filled("class") {
        put(&mut spec, "ingressClassName", json!(class));
    }
    if let Some(default) = default {
        let parts: Vec<&str> = default.split(':').collect();
        let [service, port] = parts.as_slice() else {
            return Err(mistake("default-backend should be in format servicename:serviceport"));
        };
        put(&mut spec, "defaultBackend", backend(service, port));
    }
    let tls = tls(rules);
    if !tls.is_empty() {
        put(&mut spec, "tls", Value::Array(tls));
    }
    let paths = paths(rules);
    if !paths.is_empty() {
        put(&mut spec, "rules", Value::Array(paths));
    }
    let object = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": meta,
        "spec": spec,
        "status": {"loadBalancer": {}},
    });
    finish(context, &flags, common, object)
}

fn annotate(metadata: &mut Value, flags: &flags::Parsed) -> Result<(), Usage> {
    let mut annotations = Map::new();
    for annotation in flags.list("annotation") {
        let Some((key, value)) = annotation.split_once('=') else {
            return Err(mistake(format!(
                "annotation {annotation} is invalid and should be in format key=[value]"
            )));
        };
        annotations.insert(key.to_owned(), json!(value));
    }
    if !annotations.is_empty() {
        put(metadata, "annotations", Value::Object(annotations));
    }
    Ok(())
}

fn backend(service: &str, port: &str) -> Value {
    let key = if port.parse::<i32>().is_ok() { "number" } else { "name" };
    json!({"service": {"name": service, "port": {(key): number_or_text(port)}}})
}

/// The hosts that have TLS, by their secrets; each host once.
fn tls(rules: &[String]) -> Vec<Value> {
    let mut seen: Vec<&str> = Vec::new();
    let mut all: Vec<(String, Vec<&str>)> = Vec::new();
    for rule in rules {
        let parts: Vec<&str> = rule.split(',').collect();
        let [_, tls] = parts.as_slice() else { continue };
        let host = rule.split('/').next().unwrap_or_default();
        let secret = tls.split('=').nth(1).unwrap_or_default();
        if seen.contains(&host) {
            continue;
        }
        seen.push(host);
        if let Some((_, hosts)) = all.iter_mut().find(|(known, _)| known == secret) {
            hosts.push(host);
        } else if !host.is_empty() || !secret.is_empty() {
            let hosts = if host.is_empty() { Vec::new() } else { vec![host] };
            all.push((secret.to_owned(), hosts));
        }
    }
    let told = |(secret, hosts): (String, Vec<&str>)| {
        let mut entry = json!({});
        if !hosts.is_empty() {
            put(&mut entry, "hosts", json!(hosts));
        }
        if !secret.is_empty() {
            put(&mut entry, "secretName", json!(secret));
        }
        entry
    };
    all.into_iter().map(told).collect()
}

fn paths(rules: &[String]) -> Vec<Value> {
    let mut all: Vec<(&str, Vec<Value>)> = Vec::new();
    for rule in rules {
        let rule = rule.split(',').next().unwrap_or_default();
        let (host, rest) = rule.split_once('/').unwrap_or((rule, ""));
        let mut parts = rest.split('=');
        let path = format!("/{}", parts.next().unwrap_or_default());
        let (service, port) = parts.next().unwrap_or_default().split_once(':').unwrap_or_default();
        let (path, kind) = match path.strip_suffix('*') {
            Some(path) => (path.to_owned(), "Prefix"),
            None => (path, "Exact"),
        };
        let port = port.split(':').next().unwrap_or_default();
        let entry = json!({"path": path, "pathType": kind, "backend": backend(service, port)});
        match all.iter_mut().find(|(known, _)| *known == host) {
            Some((_, entries)) => entries.push(entry),
            None => all.push((host, vec![entry])),
        }
    }
    let told = |(host, paths): (&str, Vec<Value>)| {
        let mut rule = json!({"http": {"paths": paths}});
        if !host.is_empty() {
            put(&mut rule, "host", json!(host));
        }
        rule
    };
    all.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_one_host_and_secrets_of_several_are_put_together() {
        let rules = ["a/x=s:80,tls=k", "a/y*=s:http", "b/=t:1,tls=k", "/=u:2"];
        let rules: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
        assert_eq!(tls(&rules), [json!({"hosts": ["a", "b"], "secretName": "k"})]);
        let hosts: Vec<Value> = paths(&rules).iter().map(|rule| rule["host"].clone()).collect();
        assert_eq!(hosts, [json!("a"), json!("b"), Value::Null]);
    }
}
