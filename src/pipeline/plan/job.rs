//! One job: from its tree, with the rules decided, to what can be run.

use std::time::Duration;

use crate::pipeline::plan::only::{self, Verdict};
use crate::pipeline::plan::parallel::Instance;
use crate::pipeline::plan::reader::Reader;
use crate::pipeline::plan::rules::{self, Decision, expand_with};
use crate::pipeline::plan::{AllowFailure, Environment, Job, Retry, Setting, When, parts};
use crate::pipeline::response::Variable;
use crate::pipeline::yaml::{Entry, Node, Value};

/// Keywords that say something here.
const KNOWN: &[&str] = &[
    "script",
    "before_script",
    "after_script",
    "run",
    "image",
    "services",
    "stage",
    "variables",
    "rules",
    "only",
    "except",
    "when",
    "needs",
    "dependencies",
    "artifacts",
    "cache",
    "allow_failure",
    "retry",
    "timeout",
    "environment",
    "tags",
    "parallel",
    "inherit",
    "trigger",
];

/// Keywords of GitLab that change nothing on a laptop.
const SILENT: &[&str] = &[
    "resource_group",
    "interruptible",
    "coverage",
    "start_in",
    "description",
    "manual_confirmation",
    "pages",
    "publish",
    "inputs",
];

/// Keywords of GitLab that would change something and are not done here.
const UNDONE: &[&str] = &["release", "secrets", "id_tokens", "hooks", "identity"];

/// What a job is read with.
pub struct Around<'a> {
    /// The plan's setting.
    pub setting: &'a Setting,
    /// The file's global variables.
    pub global: &'a [Variable],
    /// The stages.
    pub stages: &'a [String],
    /// True with `workflow: rules:`.
    pub has_workflow: bool,
}

/// Reads a job; `None` when its rules leave it out.
pub fn read(
    reader: &mut Reader,
    entry: &Entry,
    instance: &Instance,
    around: &Around<'_>,
) -> Option<Job> {
    let node = &entry.node;
    check_keywords(reader, entry);
    let (stage, stage_index) = stage(reader, entry, around.stages);
    let mut variables = variables(reader, node, around);
    merge(&mut variables, instance.variables.clone());
    let in_force = in_force(&around.setting.predefined, &variables, &around.setting.project);
    let (decision, held) = decide(reader, entry, &in_force, around)?;
    merge(&mut variables, decision.variables.clone());
    let in_force = self::in_force(&around.setting.predefined, &variables, &around.setting.project);
    let (when, allow_failure) = when(reader, node, &decision)?;
    let texts = |reader: &mut Reader, key: &str| {
        node.get(key).map_or_else(Vec::new, |node| reader.texts(node, &format!("`{key}:`")))
    };
    let mut script = texts(reader, "before_script");
    script.extend(texts(reader, "script"));
    let tags = texts(reader, "tags");
    let needs = decision.needs.or_else(|| node.get("needs").map(|node| parts::needs(reader, node)));
    let folder = &around.setting.folder;
    Some(Job {
        name: instance.name.clone(),
        stage,
        stage_index,
        script,
        after_script: texts(reader, "after_script"),
        run: run(node),
        image: node.get("image").and_then(|node| parts::image(reader, node, "image:")),
        services: node.get("services").map_or_else(Vec::new, |n| parts::services(reader, n)),
        variables,
        artifacts: node.get("artifacts").map_or_else(Vec::new, |n| parts::artifacts(reader, n)),
        caches: node.get("cache").map_or_else(Vec::new, |n| parts::caches(reader, n, folder)),
        needs,
        dependencies: node.get("dependencies").map(|n| reader.texts(n, "`dependencies:`")),
        when,
        allow_failure,
        retry: node.get("retry").map_or_else(Retry::default, |n| parts::retry(reader, n)),
        timeout: node
            .get("timeout")
            .map_or(Duration::from_hours(1), |n| reader.span(n, "`timeout:`")),
        environment: environment(reader, node, &in_force),
        tags: tags.iter().map(|tag| expand_with(&in_force, tag)).collect(),
        held,
        unable: node.get("trigger").map(|_| "starts another pipeline (`trigger:`)".to_owned()),
    })
}

/// What `rules:`, else `only:` and `except:` say, and what holds the job back; `None` when they
/// leave it out.
fn decide(
    reader: &mut Reader,
    entry: &Entry,
    in_force: &[Variable],
    around: &Around<'_>,
) -> Option<(Decision, Option<String>)> {
    let node = &entry.node;
    let n_wrong = reader.wrong.len();
    let (decision, held) = if let Some(rules) = node.get("rules") {
        let old = ["only", "except"].iter().find(|key| node.get(key).is_some());
        if let Some(key) = old {
            let name = &entry.key;
            let text = format!("job `{name}` has `{key}:` beside `rules:`, GitLab refuses that");
            reader.wrong(&entry.place, text);
        }
        (rules::decide(reader, rules, in_force, around.setting), None)
    } else {
        let (setting, has_workflow) = (around.setting, around.has_workflow);
        let around = only::Around { setting, variables: in_force, has_workflow };
        match only::decide(reader, node, &around) {
            Verdict::In => (Some(Decision::default()), None),
            Verdict::Out => (None, None),
            Verdict::Unknown(why) => (Some(Decision::default()), Some(why)),
        }
    };
    // With a mistake in the rules the rest is read all the same: it may have more.
    let decision = decision.or_else(|| (reader.wrong.len() > n_wrong).then(Decision::default));
    decision.map(|decision| (decision, held))
}

fn check_keywords(reader: &mut Reader, entry: &Entry) {
    for key in entry.node.entries() {
        let name = key.key.as_str();
        if UNDONE.contains(&name) {
            let text = format!("`{name}:` of job `{}` is not done here: ignored", entry.key);
            reader.warn(&key.place, text);
        } else if !KNOWN.contains(&name) && !SILENT.contains(&name) {
            let text = format!("unknown keyword `{name}:` in job `{}`: ignored", entry.key);
            reader.warn(&key.place, text);
        }
    }
    let does = ["script", "run", "trigger"].iter().any(|key| entry.node.get(key).is_some());
    if !does {
        let text = format!("job `{}` has no `script:`", entry.key);
        reader.wrong(&entry.place, text);
    }
}

fn stage(reader: &mut Reader, entry: &Entry, stages: &[String]) -> (String, usize) {
    let node = entry.node.get("stage");
    let name = node.map_or_else(|| "test".to_owned(), |node| reader.text(node, "`stage:`"));
    if let Some(index) = stages.iter().position(|stage| *stage == name) {
        return (name, index);
    }
    let place = node.map_or(&entry.place, |node| &node.place);
    let text = format!(
        "job `{}`: stage `{name}` does not exist; there are {}",
        entry.key,
        stages.join(", ")
    );
    reader.wrong(place, text);
    (name, 0)
}

/// The file's variables that the job gets: global ones unless it does not inherit them, its own.
fn variables(reader: &mut Reader, node: &Node, around: &Around<'_>) -> Vec<Variable> {
    let inherits = node.get("inherit").and_then(|inherit| inherit.get("variables"));
    let inherited = |name: &str| match inherits.map(|node| &node.value) {
        Some(Value::Scalar { text, .. }) => text != "false",
        Some(Value::List(names)) => names.iter().any(|item| item.text() == Some(name)),
        Some(Value::Null | Value::Map(_) | Value::Reference(_)) | None => true,
    };
    let mut variables: Vec<Variable> =
        around.global.iter().filter(|variable| inherited(&variable.key)).cloned().collect();
    if let Some(node) = node.get("variables") {
        merge(&mut variables, parts::variables(reader, node));
    }
    variables
}

/// Adds variables; one that is there already keeps its place and gets the new value.
pub fn merge(variables: &mut Vec<Variable>, more: Vec<Variable>) {
    for variable in more {
        match variables.iter_mut().find(|other| other.key == variable.key) {
            Some(other) => *other = variable,
            None => variables.push(variable),
        }
    }
}

/// All variables in the order in which the later one wins.
fn in_force(predefined: &[Variable], file: &[Variable], project: &[Variable]) -> Vec<Variable> {
    [predefined, file, project].concat()
}

/// `when:` and `allow_failure:`; a manual job outside of rules is forgiven. `None` for `never`.
fn when(reader: &mut Reader, node: &Node, decision: &Decision) -> Option<(When, AllowFailure)> {
    let words = ["on_success", "on_failure", "always", "manual", "delayed", "never"];
    let own = node.get("when").map(|node| reader.word(node, "`when:`", &words));
    let by_job = decision.when.is_none();
    let word = decision.when.clone().or(own).unwrap_or_default();
    let when = match word.as_str() {
        "on_failure" => When::OnFailure,
        "always" => When::Always,
        "manual" => When::Manual,
        "delayed" => When::Delayed,
        "never" => return None,
        _ => When::OnSuccess,
    };
    let own = node.get("allow_failure").map(|node| parts::allow_failure(reader, node));
    let fallback =
        if when == When::Manual && by_job { AllowFailure::Yes } else { AllowFailure::No };
    Some((when, decision.allow_failure.clone().or(own).unwrap_or(fallback)))
}

fn environment(reader: &mut Reader, node: &Node, in_force: &[Variable]) -> Option<Environment> {
    let node = node.get("environment")?;
    let mut part = |key: &str| node.get(key).map(|node| reader.text(node, &format!("`{key}:`")));
    let (name, url, action, tier) = match node.text() {
        Some(name) => (name.to_owned(), None, None, None),
        None => {
            (part("name").unwrap_or_default(), part("url"), part("action"), part("deployment_tier"))
        }
    };
    if name.is_empty() {
        reader.wrong(&node.place, "`environment:` needs a name");
        return None;
    }
    let name = expand_with(in_force, &name);
    let tier = tier.unwrap_or_else(|| guess_tier(&name).to_owned());
    Some(Environment {
        url: url.unwrap_or_default(),
        action: action.unwrap_or_else(|| "start".to_owned()),
        tier,
        name,
    })
}

/// The tier that GitLab guesses from an environment's name.
fn guess_tier(name: &str) -> &'static str {
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if has(&["dev", "review", "trunk"]) {
        "development"
    } else if has(&["test", "tst", "int", "ac", "qa", "qc", "quality"]) && !has(&["prod"]) {
        if has(&["stag"]) { "staging" } else { "testing" }
    } else if has(&["st", "mod", "pre", "demo", "non"]) {
        "staging"
    } else if has(&["prod", "prd", "live"]) {
        "production"
    } else {
        "other"
    }
}

/// `run:` as the driver sees it in the response.
fn run(node: &Node) -> Vec<serde_json::Value> {
    match node.get("run").map(json) {
        Some(serde_json::Value::Array(steps)) => steps,
        Some(other) => vec![other],
        None => Vec::new(),
    }
}

fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Scalar { text, .. } => text.clone().into(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), json(&entry.node)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Reference(path) => path.join(" ").into(),
    }
}
