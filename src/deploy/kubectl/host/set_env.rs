//! `kubectl set env`.

use serde_json::{Value, json};

use super::apply::operation;
use super::info::Info;
use super::select::{self, Read, find};
use super::session::Session;
use super::trouble::Trouble;
use super::workload::pod_spec;
use super::{Outcome, get};
use crate::deploy::cluster::{Failure, Patch, Target};
use crate::deploy::kubectl::print::print_object;
use crate::deploy::kubectl::request::{DryRun, Named, SetEnv};
use crate::deploy::{manifest, merge};

/// Runs `kubectl set env`.
pub async fn run(session: &mut Session<'_>, set: &SetEnv) -> Outcome {
    session.discover().await?;
    let mut env: Vec<Value> = set.set.iter().map(|(name, value)| variable(name, value)).collect();
    if let Some(from) = &set.from {
        env.extend(imported(session, set, from).await?);
    }
    for one in &mut env {
        let name = one.get("name").and_then(Value::as_str).unwrap_or_default();
        let name = format!("{}{name}", set.prefix);
        put(one, "name", json!(name));
    }
    let (infos, troubles) = find(session, &set.selection, Read::Latest).await?;
    Trouble::all(troubles)?;
    let mut troubles = Vec::new();
    for info in infos {
        match one(session, set, &info, &env).await {
            Ok(()) => {}
            Err(stop @ Trouble::Network(_)) => return Err(stop),
            Err(trouble) => troubles.push(trouble),
        }
    }
    Trouble::all(troubles)
}

/// As Go's types write it: an empty value is left out.
fn variable(name: &str, value: &str) -> Value {
    if value.is_empty() { json!({"name": name}) } else { json!({"name": name, "value": value}) }
}

fn put(map: &mut Value, key: &str, value: Value) {
    if let Value::Object(map) = map {
        map.insert(key.to_owned(), value);
    }
}

/// Variables that refer to the keys of a Secret or a `ConfigMap`.
async fn imported(
    session: &mut Session<'_>,
    set: &SetEnv,
    from: &Named,
) -> Result<Vec<Value>, Trouble> {
    let mapping = session.by_word(&from.resource)?;
    let reference = match (mapping.group.as_str(), mapping.kind.as_str()) {
        ("", "Secret") => "secretKeyRef",
        ("", "ConfigMap") => "configMapKeyRef",
        _ => return Err(Trouble::text("unsupported resource specified in --from")),
    };
    let namespace = select::home(session, &mapping);
    let target =
        Target { mapping: &mapping, namespace: &namespace, name: &from.name, subresource: "" };
    let object = session.get(&target).await?;
    let data = object.get("data").and_then(Value::as_object);
    let mut variables = Vec::new();
    for key in data.into_iter().flatten().map(|(key, _)| key) {
        if !set.keys.is_empty() && !set.keys.contains(key) {
            continue;
        }
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
        let name = key.chars().map(plain).collect::<String>().to_uppercase();
        if name != *key {
            session.err(format!("Warning: key {key} transferred to {name}\n"));
        }
        let source = json!({ (reference): {"key": key, "name": from.name} });
        variables.push(json!({"name": name, "valueFrom": source}));
    }
    Ok(variables)
}

async fn one(session: &mut Session<'_>, set: &SetEnv, info: &Info, env: &[Value]) -> Outcome {
    let kind = info.mapping.kind.as_str();
    let named =
        |why: &str| Trouble::text(format!("error: {}/{} {why}\n", info.mapping.plural, info.name));
    let Some(place) = pod_spec(kind) else {
        if set.list {
            return Ok(());
        }
        return Err(named(&format!(
            "the object is not a pod or does not have a pod template: *{}.{kind}",
            info.mapping.version
        )));
    };
    let changed = changed(session, set, info, env, place).map_err(|text| named(&text))?;
    if set.list || changed == info.object {
        return Ok(());
    }
    let told = |session: &mut Session<'_>, mut object: Value| -> Outcome {
        get::hide_managed_fields(&mut object);
        let done = operation("env updated", set.dry_run);
        let text = print_object(&object, &set.output, &done, true).map_err(Trouble::text)?;
        session.out(text);
        Ok(())
    };
    if set.dry_run == DryRun::Client {
        return told(session, changed);
    }
    let patch = merge::three_way_strategic(kind, &info.object, &changed, &info.object)
        .map_err(Trouble::text)?;
    let mut query = vec![("fieldManager", set.field_manager.clone())];
    if set.dry_run == DryRun::Server {
        query.push(("dryRun", "All".to_owned()));
    }
    let patched =
        session.patch(Patch::Strategic, &info.target(), query, manifest::compact(&patch)).await;
    told(session, patched.map_err(unpatched)?)
}

fn unpatched(failure: Failure) -> Trouble {
    match Trouble::from(failure) {
        stop @ Trouble::Network(_) => stop,
        trouble
        @ (Trouble::Status(_) | Trouble::Text(_) | Trouble::Many(_) | Trouble::Exit(..)) => {
            let why = trouble.message();
            Trouble::text(format!("failed to patch env update to pod template: {why}"))
        }
    }
}

/// The object with the variables changed; `place` is where its pod is. Lists them where that is asked.
fn changed(
    session: &mut Session<'_>,
    set: &SetEnv,
    info: &Info,
    env: &[Value],
    place: &str,
) -> Result<Value, String> {
    let kind = info.mapping.kind.as_str();
    let mut changed = info.object.clone();
    let mut n_fitting = 0_u32;
    for list in ["containers", "initContainers"] {
        let containers = changed.pointer_mut(&format!("{place}/{list}"));
        for container in containers.and_then(Value::as_array_mut).into_iter().flatten() {
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            if !fits(&name, &set.containers) {
                continue;
            }
            n_fitting += 1;
            let known = container.get("env").and_then(Value::as_array).cloned().unwrap_or_default();
            if !set.overwrite {
                not_overwritten(&known, env)?;
            }
            let after = updated(known, env, &set.remove);
            if set.list {
                list_env(session, &format!("# {kind} {}, container {name}\n", info.name), &after);
            }
            if let (true, Value::Object(container)) = (after.is_empty(), &mut *container) {
                container.remove("env");
            } else {
                put(container, "env", Value::Array(after));
            }
        }
    }
    if n_fitting == 0 {
        session.err(format!(
            "Warning: {kind}/{} does not have any containers matching \"{}\"\n",
            info.name, set.containers
        ));
    }
    Ok(changed)
}

fn not_overwritten(known: &[Value], env: &[Value]) -> Result<(), String> {
    let text = |one: &Value, key: &str| {
        one.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    for one in env {
        let name = text(one, "name");
        let clash = known.iter().find(|known| {
            text(known, "name") == name && text(known, "value") != text(one, "value")
        });
        if let Some(clash) = clash {
            let value = text(clash, "value");
            return Err(format!(
                "'{name}' already has a value ({value}), and --overwrite is false"
            ));
        }
    }
    Ok(())
}

/// The variables with the new ones in place of the old, and without those to be removed.
fn updated(known: Vec<Value>, env: &[Value], remove: &[String]) -> Vec<Value> {
    let name = |one: &Value| one.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut covered: std::collections::BTreeSet<String> = remove.iter().cloned().collect();
    let mut after = Vec::new();
    for one in known {
        if covered.contains(&name(&one)) {
            continue;
        }
        match env.iter().find(|new| name(new) == name(&one)) {
            Some(new) => {
                covered.insert(name(new));
                after.push(new.clone());
            }
            None => after.push(one),
        }
    }
    for new in env {
        if covered.insert(name(new)) {
            after.push(new.clone());
        }
    }
    after
}

fn list_env(session: &mut Session<'_>, heading: &str, env: &[Value]) {
    let mut text = heading.to_owned();
    for one in env {
        let field =
            |pointer: &str| one.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let name = field("/name");
        let Some(source) = one.get("valueFrom").and_then(Value::as_object) else {
            text.extend([name, "=", field("/value"), "\n"]);
            continue;
        };
        let of = |what: &str, kind: &str| {
            let part = |key: &str| field(&format!("/valueFrom/{what}/{key}"));
            format!("{kind} {}, key {}", part("name"), part("key"))
        };
        let told = match source.keys().next().map(String::as_str) {
            Some("secretKeyRef") => of("secretKeyRef", "secret"),
            Some("configMapKeyRef") => of("configMapKeyRef", "configmap"),
            Some("fieldRef") => format!("field path {}", field("/valueFrom/fieldRef/fieldPath")),
            Some("resourceFieldRef") => {
                let container = field("/valueFrom/resourceFieldRef/containerName");
                let place =
                    if container.is_empty() { String::new() } else { format!("{container}/") };
                format!("resource field {place}{}", field("/valueFrom/resourceFieldRef/resource"))
            }
            Some(_) | None => "invalid valueFrom".to_owned(),
        };
        text.extend(["# ", name, " from ", &told, "\n"]);
    }
    session.out(text);
}

/// A name against a pattern in which `*` stands for anything.
fn fits(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else { return false };
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    if !pattern.contains('*') {
        return rest.is_empty();
    }
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return true };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_keep_their_places() {
        let known =
            vec![json!({"name": "a", "value": "1"}), json!({"name": "b"}), json!({"name": "c"})];
        let env = [variable("b", "2"), variable("d", "")];
        assert_eq!(
            updated(known, &env, &["c".to_owned()]),
            [
                json!({"name": "a", "value": "1"}),
                json!({"name": "b", "value": "2"}),
                json!({"name": "d"})
            ]
        );
    }

    #[test]
    fn a_pattern_chooses_containers() {
        for (name, pattern, expected) in [
            ("main", "*", true),
            ("main", "main", true),
            ("main", "ma", false),
            ("main", "m*n", true),
            ("main", "*in", true),
            ("main", "*x*", false),
        ] {
            assert_eq!(fits(name, pattern), expected, "{pattern}");
        }
    }
}
