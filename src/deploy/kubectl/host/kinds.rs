//! `kubectl api-resources` and `kubectl api-versions`.

use std::collections::{BTreeSet, HashSet};

use super::Outcome;
use super::session::Session;
use crate::deploy::cluster::{Discovery, Mapping};
use crate::deploy::kubectl::print::aligned;
use crate::deploy::kubectl::request::{Kinds, Output};

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
    let text = if asked.output == Output::Name {
        kinds.iter().map(|mapping| mapping.resource() + "\n").collect()
    } else {
        table(&kinds, asked)
    };
    session.out(text);
    Ok(())
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
