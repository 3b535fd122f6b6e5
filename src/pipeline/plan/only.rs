//! `only:` and `except:`: refs, sources, expressions and changed files; what cannot be decided here
//! holds the job back.

use regex::{Regex, RegexBuilder};

use crate::pipeline::plan::reader::Reader;
use crate::pipeline::plan::rules::{expand_with, value};
use crate::pipeline::plan::{Setting, changes, condition};
use crate::pipeline::response::Variable;
use crate::pipeline::yaml::{Node, Value};

/// Whether a job belongs to the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    In,
    /// It does not.
    Out,
    /// That depends on what only a GitLab knows.
    Unknown(String),
}

/// What decides.
pub struct Around<'a> {
    /// The plan's setting.
    pub setting: &'a Setting,
    /// All variables of the job, the later one wins.
    pub variables: &'a [Variable],
    /// With `workflow: rules:` a silent job is in merge request pipelines too.
    pub has_workflow: bool,
}

/// Decides on a job without `rules:`.
pub fn decide(reader: &mut Reader, job: &Node, around: &Around<'_>) -> Verdict {
    let only = job.get("only").filter(|node| !node.is_null());
    let only = only.map(|node| Policy::read(reader, node, "only", around));
    let except = job.get("except").filter(|node| !node.is_null());
    let except = except.map(|node| Policy::read(reader, node, "except", around));
    let default = || Policy { refs: Some(around.is_branch()), ..Policy::default() };
    let only = match only {
        // GitLab adds its default for refs to an `only:` that says nothing of them.
        Some(Policy { refs: None, variables, changes, unknown }) => {
            Policy { refs: Some(around.is_branch()), variables, changes, unknown }
        }
        Some(only) => only,
        None if around.has_workflow => Policy::default(),
        None => default(),
    };
    let except = except.unwrap_or_default();
    if only.all().any(|holds| !holds) || except.all().any(|holds| holds) {
        return Verdict::Out;
    }
    match only.unknown.or(except.unknown) {
        Some(why) => Verdict::Unknown(why),
        None => Verdict::In,
    }
}

/// One of the two keywords, decided key by key; `None` for what it does not say.
#[derive(Debug, Default)]
struct Policy {
    refs: Option<bool>,
    variables: Option<bool>,
    changes: Option<bool>,
    unknown: Option<String>,
}

impl Policy {
    fn all(&self) -> impl Iterator<Item = bool> {
        [self.refs, self.variables, self.changes].into_iter().flatten()
    }

    fn read(reader: &mut Reader, node: &Node, key: &str, around: &Around<'_>) -> Self {
        let mut policy = Self::default();
        match &node.value {
            Value::List(_) => policy.refs = Some(refs(reader, node, key, around)),
            Value::Map(entries) => {
                for entry in entries {
                    let node = &entry.node;
                    match entry.key.as_str() {
                        "refs" => policy.refs = Some(refs(reader, node, key, around)),
                        "variables" => policy.variables = Some(variables(reader, node, around)),
                        "changes" => policy.changes = Some(changed(reader, node, around)),
                        "kubernetes" => {
                            let text = reader.text(node, &format!("`{key}: kubernetes:`"));
                            policy.unknown = Some(format!(
                                "`{key}: kubernetes: {text}` asks for a cluster of the GitLab project"
                            ));
                        }
                        other => {
                            let text = format!(
                                "unknown keyword `{key}: {other}:`, expected refs, variables, \
                                 changes or kubernetes"
                            );
                            reader.wrong(&entry.place, text);
                        }
                    }
                }
            }
            Value::Null | Value::Scalar { .. } | Value::Reference(_) => {
                let text = format!("`{key}:` must be a list or a map, this is {}", node.kind());
                reader.wrong(&node.place, text);
            }
        }
        policy
    }
}

impl Around<'_> {
    fn predefined(&self, name: &str) -> String {
        value(&self.setting.predefined, name).unwrap_or_default()
    }

    fn source(&self) -> String {
        let source = self.predefined("CI_PIPELINE_SOURCE");
        if source.is_empty() { "push".to_owned() } else { source }
    }

    fn is_merge_request(&self) -> bool {
        self.source() == "merge_request_event"
    }

    /// A pipeline is of a branch or of a merge request here: there are no tags to play.
    fn is_branch(&self) -> bool {
        !self.is_merge_request()
    }
}

/// True when one of the refs matches.
fn refs(reader: &mut Reader, node: &Node, key: &str, around: &Around<'_>) -> bool {
    let patterns = reader.texts(node, &format!("`{key}: refs:`"));
    let mut found = false;
    for pattern in &patterns {
        match is_ref(pattern, around) {
            Ok(is) => found |= is,
            Err(reason) => {
                reader.wrong(&node.place, format!("`{key}: {pattern}` is not a pattern: {reason}"));
            }
        }
    }
    found
}

/// A keyword, a source, a name or a `/pattern/`; `@group/project` behind it names the project.
fn is_ref(pattern: &str, around: &Around<'_>) -> Result<bool, String> {
    let (pattern, project) = match pattern.split_once('@') {
        Some((pattern, project)) => (pattern, Some(project)),
        None => (pattern, None),
    };
    let regex = regex(pattern)?;
    if project.is_some_and(|project| project != around.predefined("CI_PROJECT_PATH")) {
        return Ok(false);
    }
    let source = around.source();
    let plural = if source.ends_with("sh") { "es" } else { "s" };
    let by_word = match pattern {
        "branches" => around.is_branch(),
        "tags" => false,
        "merge_requests" => around.is_merge_request(),
        "external_pull_requests" => source == "external_pull_request_event",
        word => word == source || word.strip_suffix(plural) == Some(&source),
    };
    // Names and patterns are of branches: GitLab does not hold merge requests against them.
    let name = around.predefined("CI_COMMIT_BRANCH");
    let by_name = regex.map_or(pattern == name, |regex| regex.is_match(&name));
    Ok(by_word || around.is_branch() && by_name)
}

/// `/pattern/flags`; `None` for what does not begin like one.
fn regex(text: &str) -> Result<Option<Regex>, String> {
    let Some(inner) = text.strip_prefix('/') else { return Ok(None) };
    let Some((source, flags)) = inner.rsplit_once('/') else {
        return Err("it ends without a `/`".to_owned());
    };
    if let Some(flag) = flags.chars().find(|flag| !"ismU".contains(*flag)) {
        return Err(format!("there is no flag `{flag}`, only i, s, m and U"));
    }
    RegexBuilder::new(&source.replace("\\/", "/"))
        .case_insensitive(flags.contains('i'))
        .dot_matches_new_line(flags.contains('s'))
        .multi_line(flags.contains('m'))
        .swap_greed(flags.contains('U'))
        .build()
        .map(Some)
        .map_err(|error| error.to_string())
}

/// True when one of the expressions holds.
fn variables(reader: &mut Reader, node: &Node, around: &Around<'_>) -> bool {
    let mut found = false;
    for text in reader.texts(node, "`variables:`") {
        match condition::holds(&text, &|name| value(around.variables, name)) {
            Ok(holds) => found |= holds,
            Err(error) => reader.wrong(&node.place, format!("`variables: {text}`: {error}")),
        }
    }
    found
}

/// True when one of the patterns matches a changed file.
fn changed(reader: &mut Reader, node: &Node, around: &Around<'_>) -> bool {
    let patterns: Vec<String> = reader
        .texts(node, "`changes:`")
        .iter()
        .map(|pattern| expand_with(around.variables, pattern))
        .collect();
    changes::any(reader, node, &patterns, around.setting.changed.as_ref())
}
