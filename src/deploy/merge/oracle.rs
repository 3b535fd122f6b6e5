//! Merges of generated objects beside those of kubectl's own library.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

use super::{apply_strategic, three_way_strategic};
use crate::job::{ProcessVars, Vars};

/// How many merges are compared.
const MERGES: usize = 4000;

/// The program beside the tests' kubectl; `None` where there is none.
fn oracle() -> Option<PathBuf> {
    let kubectl = ProcessVars.filled("DYNO_TEST_KUBECTL")?;
    let program = PathBuf::from(kubectl).parent()?.join("merges");
    program.exists().then_some(program)
}

/// An object as a server would read it: `null` in an element of a list, which kubectl leaves there,
/// is nothing. Where a patch deletes elements, kubectl orders what it shows by a list that it has
/// overwritten meanwhile; the order is no matter then.
fn shown(value: Value, is_deleting: bool) -> Value {
    match value {
        Value::Object(map) => {
            let full = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(full.map(|(key, value)| (key, shown(value, is_deleting))).collect())
        }
        Value::Array(list) => {
            let mut list: Vec<Value> =
                list.into_iter().map(|value| shown(value, is_deleting)).collect();
            if is_deleting {
                list.sort_by_key(Value::to_string);
            }
            Value::Array(list)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

#[test]
fn generated_merges_are_kubectls() {
    let Some(oracle) = oracle() else {
        println!("skipped: there is no `merges` beside DYNO_TEST_KUBECTL; run scripts/test");
        return;
    };
    let mut chance = SmallRng::seed_from_u64(0x6d65_7267);
    let triples: Vec<Value> = (0..MERGES).map(|_| triple(&mut chance)).collect();
    let mut child =
        Command::new(oracle).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input: String =
        triples.iter().flat_map(|triple| [triple.to_string(), "\n".to_owned()]).collect();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input.as_bytes()).unwrap());
        child.wait_with_output().unwrap()
    });
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> =
        answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), MERGES);
    let mut different = Vec::new();
    for (triple, answer) in triples.iter().zip(&answers) {
        let part = |key: &str| triple.get(key).unwrap();
        let kind = part("kind").as_str().unwrap();
        let patch = three_way_strategic(kind, part("original"), part("modified"), part("current"));
        let merged = patch.as_ref().ok().map(|patch| apply_strategic(kind, part("current"), patch));
        let same = match (&patch, &merged) {
            (Ok(patch), Some(Ok(merged))) => {
                let theirs = answer.get("merged");
                // Where a patch makes a whole part anew, kubectl leaves its directives in what it
                // shows; the server never sees that.
                let is_left = theirs.is_some_and(|theirs| theirs.to_string().contains("\"$"));
                let (merged, theirs) = (merged.clone(), theirs.cloned().unwrap_or_default());
                let is_deleting = patch.to_string().contains(r#""$patch":"delete""#);
                let alike = shown(merged, is_deleting) == shown(theirs, is_deleting);
                Some(patch) == answer.get("patch") && (is_left || alike)
            }
            _ => answer.get("error").is_some(),
        };
        if !same {
            different.push(format!("{triple}\nkubectl: {answer}\ndyno: {patch:?}\n{merged:?}"));
        }
    }
    let first: Vec<&String> = different.iter().take(3).collect();
    assert!(different.is_empty(), "{} of {MERGES} differ:\n{first:#?}", different.len());
}

#[test]
fn a_merge_of_what_is_unchanged_is_nothing() {
    let mut chance = SmallRng::seed_from_u64(1);
    for _ in 0..500 {
        let kind = *KINDS.choose(&mut chance).unwrap();
        let mut object = object(&mut chance, kind);
        // Of lists of texts that merge, kubectl tells one that is not sorted always anew.
        sort(&mut object);
        let patch = three_way_strategic(kind, &object, &object, &object).unwrap();
        // A selector that is replaced as a whole is part of every patch.
        let nothing = object.pointer("/spec/selector").map_or(json!({}), |selector| {
            if kind == "PodDisruptionBudget" {
                json!({"spec": {"selector": selector}})
            } else {
                json!({})
            }
        });
        assert_eq!(patch, nothing, "{object}");
    }
}

fn sort(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(sort),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.sort_by_key(Value::to_string);
        }
        Value::Array(items) => items.iter_mut().for_each(sort),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

const KINDS: &[&str] = &[
    "ConfigMap",
    "CronJob",
    "Deployment",
    "Node",
    "Pod",
    "PodDisruptionBudget",
    "Service",
    "ServiceAccount",
    "StatefulSet",
];

/// What was applied, what is to be, and what the server has: each made from the one before, as
/// people and controllers do.
fn triple(chance: &mut SmallRng) -> Value {
    let kind = *KINDS.choose(chance).unwrap();
    let original = object(chance, kind);
    let mut modified = original.clone();
    for _ in 0..chance.random_range(0..4) {
        change(chance, &mut modified, kind);
    }
    let mut current = original.clone();
    for _ in 0..chance.random_range(0..4) {
        change(chance, &mut current, kind);
    }
    json!({"kind": kind, "original": original, "modified": modified, "current": current})
}

fn sometimes(
    chance: &mut SmallRng,
    map: &mut Map<String, Value>,
    key: &str,
    value: impl FnOnce(&mut SmallRng) -> Value,
) {
    if chance.random_bool(0.6) {
        let value = value(chance);
        map.insert(key.to_owned(), value);
    }
}

fn word(chance: &mut SmallRng) -> Value {
    json!(["a", "b", "c", "d", "e"].choose(chance).unwrap())
}

fn number(chance: &mut SmallRng) -> Value {
    json!(chance.random_range(1..6))
}

/// Items that no two share the key of.
fn keyed(
    chance: &mut SmallRng,
    key: &str,
    id: fn(&mut SmallRng) -> Value,
    item: fn(&mut SmallRng) -> Map<String, Value>,
) -> Value {
    let mut items: Vec<Value> = Vec::new();
    for _ in 0..chance.random_range(0..4) {
        let id = id(chance);
        if items.iter().any(|item| item.get(key) == Some(&id)) {
            continue;
        }
        let mut item = item(chance);
        item.insert(key.to_owned(), id);
        items.push(Value::Object(item));
    }
    Value::Array(items)
}

fn words(chance: &mut SmallRng) -> Value {
    let mut items: Vec<Value> = Vec::new();
    for _ in 0..chance.random_range(0..4) {
        let item = word(chance);
        if !items.contains(&item) {
            items.push(item);
        }
    }
    Value::Array(items)
}

fn texts(chance: &mut SmallRng) -> Value {
    let mut map = Map::new();
    for _ in 0..chance.random_range(0..4) {
        let (key, value) = (word(chance), word(chance));
        map.insert(key.as_str().unwrap().to_owned(), value);
    }
    Value::Object(map)
}

fn metadata(chance: &mut SmallRng) -> Value {
    let mut map = Map::new();
    map.insert("name".to_owned(), json!("x"));
    sometimes(chance, &mut map, "labels", texts);
    sometimes(chance, &mut map, "annotations", texts);
    sometimes(chance, &mut map, "finalizers", words);
    sometimes(chance, &mut map, "ownerReferences", |chance| {
        keyed(chance, "uid", word, |chance| {
            let mut map = Map::new();
            sometimes(chance, &mut map, "kind", word);
            map
        })
    });
    Value::Object(map)
}

fn container(chance: &mut SmallRng) -> Map<String, Value> {
    let mut map = Map::new();
    sometimes(chance, &mut map, "image", word);
    sometimes(chance, &mut map, "args", words);
    sometimes(chance, &mut map, "env", |chance| {
        keyed(chance, "name", word, |chance| {
            let mut map = Map::new();
            if chance.random_bool(0.7) {
                map.insert("value".to_owned(), word(chance));
            } else {
                map.insert("valueFrom".to_owned(), json!({"fieldRef": {"fieldPath": "x"}}));
            }
            map
        })
    });
    sometimes(chance, &mut map, "ports", |chance| {
        keyed(chance, "containerPort", number, |chance| {
            let mut map = Map::new();
            sometimes(chance, &mut map, "name", word);
            map
        })
    });
    sometimes(chance, &mut map, "volumeMounts", |chance| {
        keyed(chance, "mountPath", word, |chance| {
            let mut map = Map::new();
            sometimes(chance, &mut map, "name", word);
            sometimes(chance, &mut map, "readOnly", |chance| json!(chance.random_bool(0.5)));
            map
        })
    });
    sometimes(chance, &mut map, "resources", |chance| json!({"limits": texts(chance)}));
    map
}

fn pod(chance: &mut SmallRng) -> Value {
    let mut map = Map::new();
    sometimes(chance, &mut map, "containers", |chance| keyed(chance, "name", word, container));
    sometimes(chance, &mut map, "initContainers", |chance| keyed(chance, "name", word, container));
    sometimes(chance, &mut map, "volumes", |chance| {
        keyed(chance, "name", word, |chance| {
            let mut map = Map::new();
            match chance.random_range(0..3) {
                0 => map.insert("emptyDir".to_owned(), json!({})),
                1 => map.insert("secret".to_owned(), json!({"secretName": word(chance)})),
                _ => map.insert("configMap".to_owned(), json!({"name": word(chance)})),
            };
            map
        })
    });
    sometimes(chance, &mut map, "imagePullSecrets", |chance| {
        keyed(chance, "name", word, |_| Map::new())
    });
    sometimes(chance, &mut map, "hostAliases", |chance| {
        keyed(chance, "ip", word, |chance| {
            let mut map = Map::new();
            sometimes(chance, &mut map, "hostnames", words);
            map
        })
    });
    sometimes(chance, &mut map, "tolerations", |chance| json!([{"key": word(chance)}]));
    sometimes(chance, &mut map, "topologySpreadConstraints", |chance| {
        keyed(chance, "topologyKey", word, |chance| {
            let mut map = Map::new();
            sometimes(chance, &mut map, "maxSkew", number);
            map
        })
    });
    sometimes(chance, &mut map, "nodeSelector", texts);
    Value::Object(map)
}

fn template(chance: &mut SmallRng) -> Value {
    json!({"metadata": metadata(chance), "spec": pod(chance)})
}

fn conditions(chance: &mut SmallRng) -> Value {
    keyed(chance, "type", word, |chance| {
        let mut map = Map::new();
        sometimes(chance, &mut map, "status", word);
        map
    })
}

#[expect(clippy::too_many_lines, reason = "a table of generated shapes")]
fn object(chance: &mut SmallRng, kind: &str) -> Value {
    let mut map = Map::new();
    map.insert("metadata".to_owned(), metadata(chance));
    let mut spec = Map::new();
    match kind {
        "ConfigMap" => {
            sometimes(chance, &mut map, "data", texts);
            return Value::Object(map);
        }
        "ServiceAccount" => {
            sometimes(chance, &mut map, "secrets", |chance| {
                keyed(chance, "name", word, |_| Map::new())
            });
            sometimes(chance, &mut map, "imagePullSecrets", |chance| {
                keyed(chance, "name", word, |_| Map::new())
            });
            return Value::Object(map);
        }
        "Pod" => {
            map.insert("spec".to_owned(), pod(chance));
            sometimes(
                chance,
                &mut map,
                "status",
                |chance| json!({"conditions": conditions(chance)}),
            );
            return Value::Object(map);
        }
        "CronJob" => {
            let job = json!({"metadata": metadata(chance), "spec": {"template": template(chance)}});
            spec.insert("jobTemplate".to_owned(), job);
        }
        "Service" => {
            sometimes(chance, &mut spec, "selector", texts);
            sometimes(chance, &mut spec, "ports", |chance| {
                keyed(chance, "port", number, |chance| {
                    let mut map = Map::new();
                    sometimes(chance, &mut map, "name", word);
                    sometimes(chance, &mut map, "targetPort", number);
                    map
                })
            });
            sometimes(chance, &mut spec, "externalIPs", words);
        }
        "PodDisruptionBudget" => {
            sometimes(chance, &mut spec, "minAvailable", number);
            sometimes(
                chance,
                &mut spec,
                "selector",
                |chance| json!({"matchLabels": texts(chance)}),
            );
        }
        "Node" => {
            sometimes(chance, &mut spec, "podCIDRs", words);
            sometimes(chance, &mut spec, "taints", |chance| json!([{"key": word(chance)}]));
            sometimes(chance, &mut map, "status", |chance| {
                let addresses = keyed(chance, "type", word, |chance| {
                    let mut map = Map::new();
                    sometimes(chance, &mut map, "address", word);
                    map
                });
                json!({"conditions": conditions(chance), "addresses": addresses})
            });
        }
        _ => {
            sometimes(chance, &mut spec, "replicas", number);
            if kind == "Deployment" {
                sometimes(chance, &mut spec, "strategy", |chance| {
                    if chance.random_bool(0.5) {
                        json!({"type": "Recreate"})
                    } else {
                        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": number(chance)}})
                    }
                });
            }
            spec.insert("template".to_owned(), template(chance));
            sometimes(
                chance,
                &mut map,
                "status",
                |chance| json!({"conditions": conditions(chance)}),
            );
        }
    }
    map.insert("spec".to_owned(), Value::Object(spec));
    Value::Object(map)
}

/// One change somewhere: a value of a fresh object put in place of an old one, an item moved or
/// taken away, a field dropped.
fn change(chance: &mut SmallRng, value: &mut Value, kind: &str) {
    let fresh = object(chance, kind);
    at(chance, value, &fresh);
}

fn at(chance: &mut SmallRng, value: &mut Value, fresh: &Value) {
    match value {
        Value::Object(map) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            let Some(key) = keys.choose(chance) else {
                if let Value::Object(fresh) = fresh {
                    map.extend(fresh.clone());
                }
                return;
            };
            let other = fresh.get(key);
            match (chance.random_range(0..10), other) {
                (0, _) if !IDS.contains(&key.as_str()) => {
                    map.remove(key);
                }
                (1, Some(other)) if !IDS.contains(&key.as_str()) => {
                    map.insert(key.clone(), other.clone());
                }
                (_, other) => {
                    if let Some(inner) = map.get_mut(key) {
                        at(chance, inner, other.unwrap_or(&Value::Null));
                    }
                }
            }
        }
        Value::Array(items) => match chance.random_range(0..4) {
            0 if !items.is_empty() => {
                let gone = chance.random_range(0..items.len());
                items.remove(gone);
            }
            1 if items.len() > 1 => items.reverse(),
            2 => {
                let more = fresh.as_array().into_iter().flatten();
                for one in more.take(1) {
                    let clash = items.iter().any(|item| {
                        item == one
                            || IDS
                                .iter()
                                .any(|id| item.get(id).is_some() && item.get(id) == one.get(id))
                    });
                    if !clash {
                        items.insert(0, one.clone());
                    }
                }
            }
            _ => {
                let n_items = items.len().max(1);
                if let Some(item) = items.get_mut(chance.random_range(0..n_items)) {
                    at(chance, item, &Value::Null);
                }
            }
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What tells items apart, and what no two objects differ in.
const IDS: &[&str] =
    &["name", "uid", "ip", "type", "port", "containerPort", "mountPath", "topologyKey", "metadata"];
