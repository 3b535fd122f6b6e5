//! `kubectl api-resources` and `kubectl api-versions`.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Value, json};

use super::Outcome;
use super::session::Session;
use crate::deploy::cluster::{Discovery, Mapping};
use crate::deploy::kubectl::print::aligned;
use crate::deploy::kubectl::request::{Kinds, Output};
use crate::deploy::manifest;

/// Runs `kubectl api-resources`.
pub async fn run(session: &mut Session<'_>, asked: &Kinds) -> Outcome {
    session.discover().await?;
    let all = session.discovery().map(Discovery::mappings).unwrap_or_default();
    let mut seen = HashSet::new();
    let has = |own: &[String], wanted: &[String]| wanted.iter().all(|one| own.contains(one));
    let mut kinds: Vec<Mapping> = all
        .iter()
        // The first version of a group that has it is the preferred one.
        .filter(|mapping| seen.insert((mapping.group.clone(), mapping.plural.clone())))
        .filter(|mapping| !mapping.verbs.is_empty())
        .filter(|mapping| asked.group.as_ref().is_none_or(|group| *group == mapping.group))
        .filter(|mapping| asked.namespaced.is_none_or(|wanted| wanted == mapping.namespaced))
        .filter(|mapping| has(&mapping.verbs, &asked.verbs))
        .filter(|mapping| has(&mapping.categories, &asked.categories))
        .cloned()
        .collect();
    let key = |mapping: &Mapping| match asked.sort_by.as_str() {
        "name" => mapping.plural.clone(),
        "kind" => mapping.kind.clone(),
        _ => mapping.group.clone(),
    };
    kinds.sort_by(|left, right| {
        key(left).cmp(&key(right)).then_with(|| left.plural.cmp(&right.plural))
    });
    let text = match asked.output {
        Output::Name => kinds.iter().map(|mapping| mapping.resource() + "\n").collect(),
        Output::Json => ordered_json(&kinds),
        Output::Yaml => yaml(&kinds),
        Output::Default
        | Output::Wide
        | Output::JsonPath(_)
        | Output::JsonPathAsJson(_)
        | Output::GoTemplate(_)
        | Output::CustomColumns(_) => table(&kinds, asked),
    };
    session.out(text);
    Ok(())
}

/// What is told of a kind, in Go's order.
fn fields(mapping: &Mapping) -> Vec<(&'static str, Value)> {
    let all = [
        ("name", json!(mapping.plural)),
        ("singularName", json!(mapping.singular)),
        ("namespaced", json!(mapping.namespaced)),
        ("group", json!(mapping.group)),
        ("version", json!(mapping.version)),
        ("kind", json!(mapping.kind)),
        ("verbs", json!(mapping.verbs)),
        ("shortNames", json!(mapping.short)),
        ("categories", json!(mapping.categories)),
    ];
    let is_told = |key: &str, value: &Value| match key {
        "group" | "shortNames" | "categories" => *value != json!("") && *value != json!([]),
        _ => true,
    };
    all.into_iter().filter(|(key, value)| is_told(key, value)).collect()
}

/// The kinds as an object.
fn yaml(kinds: &[Mapping]) -> String {
    let resources = kinds.iter().map(|mapping| {
        let fields = fields(mapping).into_iter();
        Value::Object(fields.map(|(key, value)| (key.to_owned(), value)).collect())
    });
    let resources: Vec<Value> = resources.collect();
    manifest::yaml(&json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": "",
        "resources": resources,
    }))
}

/// The same, its keys in Go's order, which no map keeps.
fn ordered_json(kinds: &[Mapping]) -> String {
    let told = |value: &Value| match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| format!("{:16}{item}", "")).collect();
            format!("[\n{}\n{:12}]", items.join(",\n"), "")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            value.to_string()
        }
    };
    let resource = |mapping: &Mapping| {
        let fields = fields(mapping).into_iter();
        let fields: Vec<String> =
            fields.map(|(key, value)| format!("{:12}\"{key}\": {}", "", told(&value))).collect();
        format!("{:8}{{\n{}\n{:8}}}", "", fields.join(",\n"), "")
    };
    let resources: Vec<String> = kinds.iter().map(resource).collect();
    let resources = match resources.as_slice() {
        [] => "null".to_owned(),
        all => format!("[\n{}\n    ]", all.join(",\n")),
    };
    format!(
        "{{\n    \"kind\": \"APIResourceList\",\n    \"apiVersion\": \"v1\",\n    \
         \"groupVersion\": \"\",\n    \"resources\": {resources}\n}}\n"
    )
}

fn table(kinds: &[Mapping], asked: &Kinds) -> String {
    let wide = asked.output == Output::Wide;
    let mut rows: Vec<Vec<String>> = Vec::new();
    if !asked.no_headers {
        let mut names = vec!["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"];
        if wide {
            names.extend(["VERBS", "CATEGORIES"]);
        }
        rows.push(names.into_iter().map(str::to_owned).collect());
    }
    rows.extend(kinds.iter().map(|mapping| {
        let mut row = vec![
            mapping.plural.clone(),
            mapping.short.join(","),
            mapping.api_version(),
            mapping.namespaced.to_string(),
            mapping.kind.clone(),
        ];
        if wide {
            row.extend([mapping.verbs.join(","), mapping.categories.join(",")]);
        }
        row
    }));
    aligned(rows.into_iter())
}

/// Runs `kubectl api-versions`.
pub async fn versions(session: &mut Session<'_>) -> Outcome {
    session.discover().await?;
    let all = session.discovery().map(Discovery::mappings).unwrap_or_default();
    let versions: BTreeSet<String> = all.iter().map(Mapping::api_version).collect();
    session.out(versions.into_iter().map(|version| version + "\n").collect::<String>());
    Ok(())
}
