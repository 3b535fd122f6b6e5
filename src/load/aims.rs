//! What a plan is judged by: its limits, its criteria, and what a preset adds; each mistake at its
//! key.

use crate::load::error::{Mistakes, suggest};
use crate::load::file::CriterionFile;
use crate::load::limit::Limit;
use crate::load::model::{Model, Preset, RUN};
use crate::load::plan::{Overrides, Written};
use crate::load::preset;
use crate::load::script::Script;

/// Each limit is looked at each second.
pub const MAX_LIMITS: usize = 100;

/// A limit with its key in the plan; empty where a preset added it.
pub type Keyed = (String, Limit);

/// Reads the limits: the file's, the command line's, those of criteria, and the preset's own.
pub fn limits(
    written: &Written,
    overrides: &Overrides,
    model: &Model,
    mistakes: &mut Mistakes,
) -> Vec<Keyed> {
    let mut limits = Vec::new();
    let n_file = written.limits.len();
    for (n, text) in written.limits.iter().chain(&overrides.limits).enumerate() {
        // Those of the command line follow the file's.
        let key = if n < n_file { format!("limits[{n}]") } else { "--limit".to_owned() };
        match text.parse::<Limit>() {
            // Files that are included may ask for the same: a verdict on it is given once.
            Ok(limit) if limits.iter().any(|(_, known): &Keyed| known.text == limit.text) => {}
            Ok(limit) => limits.push((key, limit)),
            Err(error) => mistakes.add(key, error.to_string()),
        }
    }
    criteria(&written.criteria, model, &mut limits, mistakes);
    if limits.len() > MAX_LIMITS {
        mistakes.add("limits", format!("more than {MAX_LIMITS} limits"));
    }
    for (key, limit) in &limits {
        check(key, limit, model, mistakes);
    }
    let added = model.preset.map(|kind| preset::own_limits(kind, model, &limits));
    for text in added.unwrap_or_default() {
        limits.extend(text.parse().ok().map(|limit| (String::new(), limit)));
    }
    limits
}

fn check(key: &str, limit: &Limit, model: &Model, mistakes: &mut Mistakes) {
    if let Some(name) = &limit.during
        && model.during(name).is_empty()
    {
        let stages = model.stages.iter().map(|stage| stage.name.as_str());
        let known: Vec<&str> = stages.filter(|name| !name.is_empty()).chain([RUN]).collect();
        mistakes.add(key, format!("no stage is named `{name}`: {}", suggest(name, &known)));
    }
    if limit.over.is_some() && model.preset == Some(Preset::Stress) {
        mistakes.add(key, "a stress test looks at each step as a whole: leave `over` out");
    }
    if limit.metric.preset().is_some() && model.preset != limit.metric.preset() {
        mistakes.add(
            key,
            "`capacity` is found by `preset: stress`, `recovery` by `spike`, `drift` by `soak`",
        );
    }
}

/// Reads the criteria of an acceptance test; their limits are limits like all others.
fn criteria(
    files: &[CriterionFile],
    model: &Model,
    limits: &mut Vec<Keyed>,
    mistakes: &mut Mistakes,
) {
    let is_acceptance = model.preset == Some(Preset::Acceptance);
    if !is_acceptance && !files.is_empty() {
        mistakes.add("criteria", "they belong to `preset: acceptance`; elsewhere use `limits`");
    }
    if is_acceptance && files.is_empty() && limits.is_empty() {
        mistakes.add("criteria", "an acceptance test needs something to accept by: name criteria");
    }
    for (n, file) in files.iter().enumerate() {
        let key = format!("criteria[{n}]");
        let name = file.name.split_whitespace().collect::<Vec<_>>().join(" ");
        if name.is_empty() {
            mistakes.add(format!("{key}.name"), "say in words what is to hold");
        }
        if files.iter().take(n).any(|other| other.name == file.name) {
            mistakes.add(format!("{key}.name"), format!("two criteria are named `{name}`"));
        }
        if file.limits.is_empty() {
            mistakes.add(format!("{key}.limits"), "say what shows it: `[p95 < 300ms]`");
        }
        for (m, text) in file.limits.iter().enumerate() {
            let key = format!("{key}.limits[{m}]");
            match text.parse::<Limit>() {
                Ok(limit) => limits.push((key, Limit { criterion: name.clone(), ..limit })),
                Err(error) => mistakes.add(key, error.to_string()),
            }
        }
    }
}

/// Tells what limits speak of and is not there.
pub fn check_names(keys: &[String], limits: &[Limit], script: &Script, mistakes: &mut Mistakes) {
    for (key, limit) in keys.iter().zip(limits) {
        if let Some(tag) = limit.tag.as_ref().filter(|tag| !script.tags.contains_key(*tag)) {
            let known: Vec<&str> = script.tags.keys().map(String::as_str).collect();
            mistakes.add(key, format!("no step has the tag `{tag}`: {}", suggest(tag, &known)));
        }
        if !script.endpoints.iter().any(|endpoint| limit.is_of(endpoint)) {
            let name = limit.endpoint.as_deref().unwrap_or_default();
            let known: Vec<&str> = script.endpoints.iter().map(String::as_str).collect();
            mistakes.add(key, format!("no step is named `{name}`: {}", suggest(name, &known)));
        }
    }
}
