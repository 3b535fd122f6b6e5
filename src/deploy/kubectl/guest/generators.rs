//! `kubectl create` of roles, role bindings, cron jobs, services and quotas.

use serde_json::{Map, Value, json};

use super::create::{Common, finish, metadata, name, with_shared};
use super::workloads::{command, put};
use super::{Context, help, mistake};
use crate::deploy::cluster::builtin_by_word;
use crate::deploy::kubectl::flags::{self, Kind, flag};
use crate::deploy::kubectl::{Parsed, Usage};

/// The group of roles and what binds them.
pub const RBAC: &str = "rbac.authorization.k8s.io";

const VERBS: [&str; 14] = [
    "*",
    "get",
    "delete",
    "list",
    "create",
    "update",
    "patch",
    "watch",
    "proxy",
    "deletecollection",
    "use",
    "bind",
    "escalate",
    "impersonate",
];

/// Reads `kubectl create role …`.
pub fn role(context: &Context<'_>) -> Result<Parsed, Usage> {
    const COMMAND: &str = "kubectl create role";
    let own = [
        flag("verb", Kind::List),
        flag("resource", Kind::List),
        flag("resource-name", Kind::Array),
    ];
    let flags = context.flags(&with_shared(&own), COMMAND)?;
    let name = name(&flags, 1, COMMAND)?;
    let mut common = Common::read(&flags)?;
    let verbs = verbs(&flags)?;
    let resources = flags.list("resource");
    warn(&mut common, &verbs);
    if resources.is_empty() {
        return Err(mistake("at least one resource must be specified"));
    }
    let object = json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": "Role",
        "metadata": metadata(&flags, &name, true),
        "rules": rules(&flags, &verbs)?,
    });
    finish(context, &flags, common, object)
}

/// The verbs, each once; `*` stands for all.
pub fn verbs(flags: &flags::Parsed) -> Result<Vec<&String>, Usage> {
    let mut verbs: Vec<&String> = Vec::new();
    for verb in flags.list("verb") {
        if !verbs.contains(&verb) {
            verbs.push(verb);
        }
    }
    if let Some(all) = verbs.iter().copied().find(|verb| *verb == "*") {
        verbs = vec![all];
    }
    if verbs.is_empty() {
        return Err(mistake("at least one verb must be specified"));
    }
    Ok(verbs)
}

/// Warns of verbs that Kubernetes itself does not know.
pub fn warn(common: &mut Common, verbs: &[&String]) {
    for verb in verbs {
        if !VERBS.contains(&verb.as_str()) {
            common.note(format!("Warning: '{verb}' is not a standard resource verb\n"));
        }
    }
}

/// The rules about resources: one for each group.
pub fn rules(flags: &flags::Parsed, verbs: &[&String]) -> Result<Vec<Value>, Usage> {
    let resources = flags.list("resource");
    let mut groups: Map<String, Value> = Map::new();
    // All resources make the others needless; as with kubectl, those of the core group.
    let all = resources.iter().position(|word| word == "*");
    for resource in all.map_or(resources, |at| &resources[at..=at]) {
        let (group, resource) = resource_of(resource)?;
        let known = groups.entry(group).or_insert_with(|| json!([]));
        if let Value::Array(known) = known
            && !known.contains(&json!(resource))
        {
            known.push(json!(resource));
        }
    }
    let mut names: Vec<&String> = Vec::new();
    for one in flags.list("resource-name") {
        if !names.contains(&one) {
            names.push(one);
        }
    }
    Ok(groups
        .into_iter()
        .map(|(group, resources)| {
            let mut rule = json!({"verbs": verbs, "apiGroups": [group], "resources": resources});
            if !names.is_empty() {
                put(&mut rule, "resourceNames", json!(names));
            }
            rule
        })
        .collect())
}

/// Group and resource of a word; of a kind that is not built in the group must be written.
fn resource_of(word: &str) -> Result<(String, String), Usage> {
    let (word, subresource) =
        word.split_once('/').map_or((word, None), |(word, sub)| (word, Some(sub)));
    let (plain, group) = word.split_once('.').unwrap_or((word, ""));
    if plain.is_empty() {
        return Err(mistake("resource must be specified if apiGroup/subresource specified"));
    }
    let (group, plain) = match builtin_by_word(word) {
        _ if plain == "*" => (group, plain),
        Some(builtin) => (builtin.group, builtin.plural),
        None if !group.is_empty() => (group, plain),
        None => {
            return Err(mistake(format!("the server doesn't have a resource type \"{plain}\"")));
        }
    };
    let resource = subresource.map_or(plain.to_owned(), |sub| format!("{plain}/{sub}"));
    Ok((group.to_owned(), resource))
}

/// Reads `kubectl create rolebinding …`.
pub fn role_binding(context: &Context<'_>) -> Result<Parsed, Usage> {
    const COMMAND: &str = "kubectl create rolebinding";
    let own = [
        flag("clusterrole", Kind::Text),
        flag("role", Kind::Text),
        flag("user", Kind::Array),
        flag("group", Kind::Array),
        flag("serviceaccount", Kind::Array),
    ];
    // `--user` means somebody else here than it does everywhere.
    let flags = context.flags(&with_shared(&own), COMMAND)?;
    let name = name(&flags, 1, COMMAND)?;
    let common = Common::read(&flags)?;
    let (kind, role) = match (flags.filled("role"), flags.filled("clusterrole")) {
        (Some(role), None) => ("Role", role),
        (None, Some(role)) => ("ClusterRole", role),
        (Some(_), Some(_)) | (None, None) => {
            return Err(mistake("exactly one of clusterrole or role must be specified"));
        }
    };
    let subjects = subjects(&flags)?;
    let mut object = json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": "RoleBinding",
        "metadata": metadata(&flags, &name, true),
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
    });
    if !subjects.is_empty() {
        put(&mut object, "subjects", Value::Array(subjects));
    }
    finish(context, &flags.without("user"), common, object)
}

/// Whom a role is bound to.
pub fn subjects(flags: &flags::Parsed) -> Result<Vec<Value>, Usage> {
    let mut subjects = Vec::new();
    for (key, kind) in [("user", "User"), ("group", "Group")] {
        let all = flags.list(key).iter();
        subjects.extend(all.map(|name| json!({"kind": kind, "apiGroup": RBAC, "name": name})));
    }
    for account in flags.list("serviceaccount") {
        let parts: Vec<&str> = account.split(':').collect();
        let [namespace, name] = parts.as_slice() else {
            return Err(mistake("serviceaccount must be <namespace>:<name>"));
        };
        if namespace.is_empty() || name.is_empty() {
            return Err(mistake("serviceaccount must be <namespace>:<name>"));
        }
        subjects.push(json!({"kind": "ServiceAccount", "name": name, "namespace": namespace}));
    }
    Ok(subjects)
}

/// Reads `kubectl create cronjob …`.
pub fn cron_job(context: &Context<'_>) -> Result<Parsed, Usage> {
    const COMMAND: &str = "kubectl create cronjob";
    let own =
        [flag("image", Kind::Text), flag("schedule", Kind::Text), flag("restart", Kind::Text)];
    let flags = context.flags(&with_shared(&own), COMMAND)?;
    let missing: Vec<&str> =
        ["image", "schedule"].into_iter().filter(|name| !flags.has(name)).collect();
    if !missing.is_empty() {
        return Err(mistake(format!("required flag(s) \"{}\" not set", missing.join("\", \""))));
    }
    let name = name(&flags, 1, COMMAND)?;
    let common = Common::read(&flags)?;
    let text = |name: &str| flags.filled(name).unwrap_or_default();
    let mut container = json!({"name": name, "image": text("image"), "resources": {}});
    let command = command(&flags);
    if !command.is_empty() {
        put(&mut container, "command", json!(command));
    }
    let restart = flags.filled("restart").unwrap_or_else(|| "OnFailure".to_owned());
    let pod = json!({"containers": [container], "restartPolicy": restart});
    let object = json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": metadata(&flags, &name, true),
        "spec": {
            "schedule": text("schedule"),
            "jobTemplate": {
                "metadata": {"name": name},
                "spec": {"template": {"metadata": {}, "spec": pod}},
            },
        },
        "status": {},
    });
    finish(context, &flags, common, object)
}

/// Which kind of service the words name.
fn service_kind(words: &[&str]) -> Result<&'static str, Usage> {
    let at = words.iter().position(|word| ["service", "svc"].contains(word));
    let word = |at: Option<usize>| at.and_then(|at| words.get(at)).copied().unwrap_or_default();
    match word(at.map(|at| at + 1)) {
        "clusterip" => Ok("ClusterIP"),
        "nodeport" => Ok("NodePort"),
        "loadbalancer" => Ok("LoadBalancer"),
        "externalname" => Ok("ExternalName"),
        "" => Err(help::bare("create service")),
        _ => Err(help::unknown(words, word(at), "kubectl create service")),
    }
}

/// Reads `kubectl create service …`.
pub fn service(context: &Context<'_>) -> Result<Parsed, Usage> {
    let kind = service_kind(&flags::words(context.argv))?;
    let command = format!("kubectl create service {}", kind.to_lowercase());
    let own = [
        flag("tcp", Kind::List),
        flag("clusterip", Kind::Text),
        flag("node-port", Kind::Number),
        flag("external-name", Kind::Text),
    ];
    let flags = context.flags(&with_shared(&own), &command)?;
    if kind == "ExternalName" && !flags.has("external-name") {
        return Err(mistake("required flag(s) \"external-name\" not set"));
    }
    let name = name(&flags, 2, &command)?;
    let common = Common::read(&flags)?;
    let address = flags.filled("clusterip").unwrap_or_default();
    if address != "None" && flags.list("tcp").is_empty() && kind != "ExternalName" {
        return Err(mistake("at least one tcp port specifier must be provided"));
    }
    let ports: Result<Vec<Value>, Usage> =
        flags.list("tcp").iter().map(|pair| port(pair, &flags)).collect();
    let labels = json!({ "app": name });
    let mut spec = json!({"selector": labels, "type": kind});
    let ports = ports?;
    if !ports.is_empty() {
        put(&mut spec, "ports", Value::Array(ports));
    }
    let host = flags.filled("external-name").unwrap_or_default();
    for (key, value) in [("clusterIP", address), ("externalName", host)] {
        if !value.is_empty() {
            put(&mut spec, key, json!(value));
        }
    }
    let mut metadata = metadata(&flags, &name, true);
    put(&mut metadata, "labels", labels);
    let object = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": spec,
        "status": {"loadBalancer": {}},
    });
    finish(context, &flags, common, object)
}

fn port(pair: &str, flags: &flags::Parsed) -> Result<Value, Usage> {
    // What stands behind a second colon is not looked at.
    let mut parts = pair.split(':');
    let port = parts.next().unwrap_or_default();
    let target = parts.next().unwrap_or(port);
    let unread = |why: &str| mistake(format!("strconv.ParseUint: parsing {port:?}: {why}"));
    let number = port.parse::<u64>().map_err(|_| unread("invalid syntax"))?;
    let number = u16::try_from(number).map_err(|_| unread("value out of range"))?;
    let target = match target.parse::<u32>() {
        Ok(number) if (1..=65535).contains(&number) => json!(number),
        Ok(_) => return Err(mistake("must be between 1 and 65535, inclusive")),
        Err(_) => json!(target),
    };
    let mut port = json!({
        "name": pair.replace(':', "-"),
        "port": number,
        "protocol": "TCP",
        "targetPort": target,
    });
    let node = flags.number("node-port", 0);
    if node != 0 {
        put(&mut port, "nodePort", json!(node));
    }
    Ok(port)
}

/// True for what looks like an amount: a number and a unit.
fn is_amount(text: &str) -> bool {
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    let unit = number.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let rest = unit.trim_start_matches(|c: char| "eEinumkKMGTP".contains(c));
    let rest = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    unit.len() < number.len() && rest.chars().all(|c| c.is_ascii_digit())
}

/// Reads `kubectl create quota …`.
pub fn quota(context: &Context<'_>) -> Result<Parsed, Usage> {
    const COMMAND: &str = "kubectl create quota";
    let own = [flag("hard", Kind::Text), flag("scopes", Kind::Text)];
    let flags = context.flags(&with_shared(&own), COMMAND)?;
    let name = name(&flags, 1, COMMAND)?;
    let common = Common::read(&flags)?;
    let mut spec = json!({});
    if let Some(hard) = flags.filled("hard") {
        let mut amounts = Map::new();
        for statement in hard.split(',') {
            match statement.split('=').collect::<Vec<_>>().as_slice() {
                [_, amount] if !is_amount(amount) => {
                    return Err(mistake(
                        "quantities must match the regular expression \
                         '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
                    ));
                }
                [resource, amount] => amounts.insert((*resource).to_owned(), json!(amount)),
                _ => {
                    return Err(mistake(format!(
                        "Invalid argument syntax {statement}, expected <resource>=<value>"
                    )));
                }
            };
        }
        put(&mut spec, "hard", Value::Object(amounts));
    }
    if let Some(scopes) = flags.filled("scopes") {
        put(&mut spec, "scopes", json!(scopes.split(',').collect::<Vec<_>>()));
    }
    let object = json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": metadata(&flags, &name, true),
        "spec": spec,
        "status": {},
    });
    finish(context, &flags, common, object)
}
