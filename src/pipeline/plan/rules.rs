//! `rules:`: the first one that matches decides.

use std::path::Path;

use crate::pipeline::expand::expand;
use crate::pipeline::file::files_below;
use crate::pipeline::plan::parts;
use crate::pipeline::plan::reader::Reader;
use crate::pipeline::plan::{AllowFailure, Need, Setting};
use crate::pipeline::plan::{changes, condition};
use crate::pipeline::response::Variable;
use crate::pipeline::yaml::{Node, Value};

/// What the first matching rule says.
#[derive(Debug, Default)]
pub struct Decision {
    /// `when:`, if the rule says one.
    pub when: Option<String>,
    /// `allow_failure:`, if the rule says one.
    pub allow_failure: Option<AllowFailure>,
    /// Variables for the job.
    pub variables: Vec<Variable>,
    /// `needs:`, if the rule says one.
    pub needs: Option<Vec<Need>>,
}

/// Decides; `None` when no rule matches or the one that does says `never`.
pub fn decide(
    reader: &mut Reader,
    rules: &Node,
    variables: &[Variable],
    setting: &Setting,
) -> Option<Decision> {
    let Value::List(items) = &rules.value else {
        reader.wrong(&rules.place, format!("`rules:` must be a list, this is {}", rules.kind()));
        return None;
    };
    for rule in flat(items) {
        if !matches_rule(reader, rule, variables, setting) {
            continue;
        }
        let mut decision = Decision::default();
        if let Some(when) = rule.get("when") {
            let words = ["on_success", "on_failure", "always", "manual", "delayed", "never"];
            let when = reader.word(when, "`when:`", &words);
            if when == "never" {
                return None;
            }
            decision.when = Some(when);
        }
        decision.allow_failure =
            rule.get("allow_failure").map(|node| parts::allow_failure(reader, node));
        if let Some(node) = rule.get("variables") {
            decision.variables = parts::variables(reader, node);
        }
        decision.needs = rule.get("needs").map(|node| parts::needs(reader, node));
        return Some(decision);
    }
    None
}

/// Lists that came by reference lie one level deeper.
fn flat(items: &[Node]) -> Vec<&Node> {
    let mut out = Vec::new();
    for item in items {
        match &item.value {
            Value::List(inner) => out.extend(flat(inner)),
            Value::Null | Value::Scalar { .. } | Value::Map(_) | Value::Reference(_) => {
                out.push(item);
            }
        }
    }
    out
}

fn matches_rule(
    reader: &mut Reader,
    rule: &Node,
    variables: &[Variable],
    setting: &Setting,
) -> bool {
    let known =
        ["if", "changes", "exists", "when", "allow_failure", "variables", "needs", "start_in"];
    reader.known(rule, "rules:", &known);
    if let Some(node) = rule.get("if") {
        let text = reader.text(node, "`if:`");
        match condition::holds(&text, &|name| value(variables, name)) {
            Ok(true) => (),
            Ok(false) => return false,
            Err(error) => {
                reader.wrong(&node.place, format!("`if: {text}`: {error}"));
                return false;
            }
        }
    }
    if let Some(node) = rule.get("changes")
        && !changed(reader, node, variables, setting)
    {
        return false;
    }
    match rule.get("exists") {
        Some(node) => {
            let list = node.get("paths").unwrap_or(node);
            let paths = reader.texts(list, "`exists:`");
            paths.iter().any(|path| exists(&expand_with(variables, path), &setting.folder))
        }
        None => true,
    }
}

fn changed(reader: &mut Reader, node: &Node, variables: &[Variable], setting: &Setting) -> bool {
    if let Some(compare_to) = node.get("compare_to") {
        let text = "`changes: compare_to:` is not done here: `changes:` counts as true";
        reader.warn(&compare_to.place, text);
        return true;
    }
    let patterns: Vec<String> = reader
        .texts(node.get("paths").unwrap_or(node), "`changes:`")
        .iter()
        .map(|pattern| expand_with(variables, pattern))
        .collect();
    changes::any(reader, node, &patterns, setting.changed.as_ref())
}

/// The value of a variable with its references expanded, as GitLab does for rules.
pub fn value(variables: &[Variable], name: &str) -> Option<String> {
    nested(variables, name, 0)
}

fn nested(variables: &[Variable], name: &str, depth: usize) -> Option<String> {
    let variable = variables.iter().rev().find(|variable| variable.key == name)?;
    if variable.raw || depth > 10 || !variable.value.contains('$') {
        return Some(variable.value.clone());
    }
    Some(expand(&variable.value, &|name| nested(variables, name, depth + 1).unwrap_or_default()))
}

/// Expands a text with variables and their references.
pub fn expand_with(variables: &[Variable], text: &str) -> String {
    expand(text, &|name| value(variables, name).unwrap_or_default())
}

fn exists(pattern: &str, folder: &Path) -> bool {
    let pattern = pattern.trim_start_matches('/');
    if !pattern.contains(['*', '?', '[', '{']) {
        return folder.join(pattern).is_file();
    }
    let Ok(glob) = globset::GlobBuilder::new(pattern).literal_separator(true).build() else {
        return false;
    };
    let glob = glob.compile_matcher();
    let mut found = false;
    files_below(folder, folder, &mut |path| found |= glob.is_match(path));
    found
}
