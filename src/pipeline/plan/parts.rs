//! The parts of a job: image, variables, artifacts, cache, needs, environment, retry.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::pipeline::hex;
use crate::pipeline::plan::reader::Reader;
use crate::pipeline::plan::{AllowFailure, Cache, Need, Retry};
use crate::pipeline::response::{Artifact, Image, Variable};
use crate::pipeline::yaml::{Node, Value};

/// `variables:`; a map's `expand: false` makes it raw.
pub fn variables(reader: &mut Reader, node: &Node) -> Vec<Variable> {
    if node.entries().is_empty() && !node.is_null() && !matches!(node.value, Value::Map(_)) {
        reader.wrong(&node.place, format!("`variables:` must be a map, this is {}", node.kind()));
    }
    let mut out = Vec::new();
    for entry in node.entries() {
        let mut variable = Variable::public(entry.key.clone(), "");
        if let Value::Map(_) = entry.node.value {
            reader.known(&entry.node, "variables:", &["value", "description", "options", "expand"]);
            if let Some(value) = entry.node.get("value") {
                variable.value = reader.text(value, "`value:`");
            }
            if let Some(expand) = entry.node.get("expand") {
                variable.raw = !reader.truth(expand, "`expand:`");
            }
        } else if !entry.node.is_null() {
            variable.value = reader.text(&entry.node, &format!("variable `{}`", entry.key));
        }
        if let Some(text) = refused(&variable) {
            reader.wrong(&entry.place, text);
        }
        out.push(variable);
    }
    out
}

/// What a runner would not take: told here, with its line, and not after the job has started.
fn refused(variable: &Variable) -> Option<String> {
    let is_known =
        |known: &[&str]| known.contains(&variable.value.as_str()) || variable.value.contains('$');
    let expected = match variable.key.as_str() {
        "GIT_CLONE_PATH" => {
            return Some(
                "`GIT_CLONE_PATH` is refused by a runner of dyno's: it chooses the \
                         folder itself (no `custom_build_dir`)"
                    .to_owned(),
            );
        }
        "GIT_STRATEGY" if !is_known(GIT_STRATEGIES) => GIT_STRATEGIES,
        "GIT_SUBMODULE_STRATEGY" if !is_known(SUBMODULE_STRATEGIES) => SUBMODULE_STRATEGIES,
        _ => return None,
    };
    let (key, value) = (&variable.key, &variable.value);
    let expected: Vec<&str> = expected.iter().filter(|word| !word.is_empty()).copied().collect();
    Some(format!("`{key}` is `{value}`, expected one of {}", expected.join(", ")))
}

const GIT_STRATEGIES: &[&str] = &["clone", "fetch", "none", "empty", ""];
const SUBMODULE_STRATEGIES: &[&str] = &["none", "normal", "recursive", ""];

/// `image:` or one of `services:`: a name or a map.
pub fn image(reader: &mut Reader, node: &Node, what: &str) -> Option<Image> {
    if node.is_null() {
        return None;
    }
    if let Some(name) = node.text() {
        if name.is_empty() {
            reader.wrong(&node.place, format!("`{what}` needs a name"));
        }
        return Some(Image { name: name.to_owned(), ..Image::default() });
    }
    let known = ["name", "entrypoint", "command", "alias", "variables", "pull_policy", "docker"];
    reader.known(node, what, &[known.as_slice(), &["kubernetes", "ports"]].concat());
    let Some(name) = node.get("name") else {
        reader.wrong(&node.place, format!("`{what}` needs a `name:`"));
        return None;
    };
    let mut image = Image { name: reader.text(name, "`name:`"), ..Image::default() };
    let mut list = |key: &str| node.get(key).map(|node| reader.texts(node, &format!("`{key}:`")));
    image.entrypoint = list("entrypoint");
    image.command = list("command");
    image.pull_policy = list("pull_policy");
    image.alias = node.get("alias").map(|node| reader.text(node, "`alias:`"));
    image.variables = node.get("variables").map(|node| variables(reader, node));
    let mut option = |part: &str, key: &str| {
        let given = node.get(part).and_then(|options| options.get(key));
        given.map(|node| reader.text(node, &format!("`{part}: {key}:`"))).unwrap_or_default()
    };
    image.executor_opts.docker.platform = option("docker", "platform");
    image.executor_opts.docker.user = option("docker", "user");
    image.executor_opts.kubernetes.user = option("kubernetes", "user");
    Some(image)
}

/// `services:`.
pub fn services(reader: &mut Reader, node: &Node) -> Vec<Image> {
    match &node.value {
        Value::Null => Vec::new(),
        Value::List(items) => {
            items.iter().filter_map(|item| image(reader, item, "services:")).collect()
        }
        Value::Scalar { .. } | Value::Map(_) | Value::Reference(_) => {
            reader.wrong(&node.place, "`services:` must be a list");
            Vec::new()
        }
    }
}

/// `allow_failure:`.
pub fn allow_failure(reader: &mut Reader, node: &Node) -> AllowFailure {
    match node.get("exit_codes") {
        Some(codes) => AllowFailure::Codes(reader.codes(codes, "`exit_codes:`")),
        None if reader.truth(node, "`allow_failure:`") => AllowFailure::Yes,
        None => AllowFailure::No,
    }
}

/// `retry:`.
pub fn retry(reader: &mut Reader, node: &Node) -> Retry {
    let mut retry = Retry::default();
    if node.text().is_some() {
        retry.max = reader.number(node, "`retry:`");
    } else if reader.is_map(node, "`retry:`") {
        reader.known(node, "retry:", &["max", "when", "exit_codes"]);
        retry.max = node.get("max").map_or(0, |node| reader.number(node, "`max:`"));
        retry.when = node.get("when").map_or_else(Vec::new, |node| reader.texts(node, "`when:`"));
        if let Some(node) = node.get("exit_codes") {
            retry.exit_codes = reader.codes(node, "`exit_codes:`");
        }
    }
    if retry.max > 2 {
        reader.wrong(&node.place, format!("`retry:` is {}, GitLab allows 0, 1 or 2", retry.max));
    }
    retry
}

/// `needs:`.
pub fn needs(reader: &mut Reader, node: &Node) -> Vec<Need> {
    let items = match &node.value {
        Value::List(items) => items.clone(),
        Value::Null => Vec::new(),
        Value::Scalar { .. } | Value::Map(_) | Value::Reference(_) => vec![node.clone()],
    };
    let mut out = Vec::new();
    for item in &items {
        if let Some(name) = item.text() {
            out.push(Need { job: name.to_owned(), artifacts: true });
            continue;
        }
        if item.get("project").is_some() || item.get("pipeline").is_some() {
            reader.warn(&item.place, "`needs:` of another project or pipeline: left out");
            continue;
        }
        let Some(job) = item.get("job") else {
            reader.wrong(&item.place, "an entry of `needs:` must name a `job:`");
            continue;
        };
        let job = reader.text(job, "`job:`");
        let artifacts = item.get("artifacts").is_none_or(|node| reader.truth(node, "`artifacts:`"));
        out.push(Need { job, artifacts });
    }
    out
}

/// What a report is called when it is uploaded, and how it is packed.
const REPORTS: &[(&str, &str, &str)] = &[
    ("dotenv", ".env", "gzip"),
    ("junit", "junit.xml", "gzip"),
    ("metrics", "metrics.txt", "gzip"),
    ("annotations", "gl-annotations.json", "gzip"),
    ("cyclonedx", "gl-sbom.cdx.json", "gzip"),
    ("lsif", "lsif.json", "zip"),
    ("load_performance", "load-performance.json", "raw"),
    ("browser_performance", "browser-performance.json", "raw"),
    ("performance", "performance.json", "raw"),
    ("codequality", "gl-code-quality-report.json", "raw"),
    ("accessibility", "gl-accessibility.json", "raw"),
    ("api_fuzzing", "gl-api-fuzzing-report.json", "raw"),
    ("container_scanning", "gl-container-scanning-report.json", "raw"),
    ("coverage_fuzzing", "gl-coverage-fuzzing.json", "raw"),
    ("dast", "gl-dast-report.json", "raw"),
    ("dependency_scanning", "gl-dependency-scanning-report.json", "raw"),
    ("license_scanning", "gl-license-scanning-report.json", "raw"),
    ("requirements", "requirements.json", "raw"),
    ("requirements_v2", "requirements_v2.json", "raw"),
    ("repository_xray", "gl-repository-xray.json", "gzip"),
    ("sast", "gl-sast-report.json", "raw"),
    ("secret_detection", "gl-secret-detection-report.json", "raw"),
    ("terraform", "tfplan.json", "raw"),
];

/// `artifacts:`: the archive first, then one entry a report.
pub fn artifacts(reader: &mut Reader, node: &Node) -> Vec<Artifact> {
    if !reader.is_map(node, "`artifacts:`") {
        return Vec::new();
    }
    let known = ["paths", "exclude", "name", "when", "expire_in", "untracked", "reports"];
    reader.known(
        node,
        "artifacts:",
        &[known.as_slice(), &["expose_as", "public", "access"]].concat(),
    );
    let mut archive = Artifact {
        when: "on_success".to_owned(),
        artifact_type: "archive".to_owned(),
        artifact_format: "zip".to_owned(),
        ..Artifact::default()
    };
    if let Some(node) = node.get("name") {
        archive.name = reader.text(node, "`name:`");
    }
    if let Some(node) = node.get("paths") {
        archive.paths = reader.texts(node, "`paths:`");
    }
    archive.exclude = node.get("exclude").map(|node| reader.texts(node, "`exclude:`"));
    if let Some(node) = node.get("when") {
        archive.when =
            reader.word(node, "`artifacts: when:`", &["on_success", "on_failure", "always"]);
    }
    if let Some(node) = node.get("untracked") {
        archive.untracked = reader.truth(node, "`untracked:`");
    }
    archive.expire_in = node.get("expire_in").map(|node| reader.text(node, "`expire_in:`"));
    let mut out = Vec::new();
    let expire_in = archive.expire_in.clone();
    if !archive.paths.is_empty() || archive.untracked {
        out.push(archive);
    }
    if let Some(node) = node.get("reports")
        && reader.is_map(node, "`reports:`")
    {
        reports(reader, node, expire_in.as_deref(), &mut out);
    }
    out
}

fn reports(reader: &mut Reader, node: &Node, expire_in: Option<&str>, out: &mut Vec<Artifact>) {
    for report in node.entries() {
        let (kind, paths) = if report.key == "coverage_report" {
            ("cobertura", report.node.get("path").unwrap_or(&report.node))
        } else {
            (report.key.as_str(), &report.node)
        };
        let known = REPORTS.iter().find(|(name, ..)| *name == kind);
        let (name, format) = match (kind, known) {
            ("cobertura", _) => ("cobertura-coverage.xml", "gzip"),
            (_, Some((_, name, format))) => (*name, *format),
            (_, None) => {
                let text = format!("unknown report `{}`: ignored", report.key);
                reader.warn(&report.place, text);
                continue;
            }
        };
        out.push(Artifact {
            name: name.to_owned(),
            paths: reader.texts(paths, &format!("`reports: {}:`", report.key)),
            when: "always".to_owned(),
            artifact_type: kind.to_owned(),
            artifact_format: format.to_owned(),
            expire_in: expire_in.map(str::to_owned),
            ..Artifact::default()
        });
    }
}

/// `cache:`: one or a list.
pub fn caches(reader: &mut Reader, node: &Node, folder: &Path) -> Vec<Cache> {
    match &node.value {
        Value::List(items) => items.iter().filter_map(|item| cache(reader, item, folder)).collect(),
        Value::Null => Vec::new(),
        Value::Scalar { .. } | Value::Map(_) | Value::Reference(_) => {
            cache(reader, node, folder).into_iter().collect()
        }
    }
}

fn cache(reader: &mut Reader, node: &Node, folder: &Path) -> Option<Cache> {
    if !reader.is_map(node, "`cache:`") {
        return None;
    }
    let known = ["key", "paths", "policy", "when", "untracked", "fallback_keys", "unprotect"];
    reader.known(node, "cache:", &known);
    if node.entries().is_empty() {
        return None;
    }
    let mut cache = Cache {
        key: "default".to_owned(),
        paths: Vec::new(),
        policy: "pull-push".to_owned(),
        when: "on_success".to_owned(),
        untracked: false,
        fallback_keys: Vec::new(),
    };
    if let Some(node) = node.get("key") {
        cache.key = cache_key(reader, node, folder);
    }
    if let Some(node) = node.get("paths") {
        cache.paths = reader.texts(node, "`paths:`");
    }
    if let Some(node) = node.get("policy") {
        cache.policy = reader.text(node, "`policy:`");
    }
    if let Some(node) = node.get("when") {
        cache.when = reader.word(node, "`cache: when:`", &["on_success", "on_failure", "always"]);
    }
    if let Some(node) = node.get("untracked") {
        cache.untracked = reader.truth(node, "`untracked:`");
    }
    if let Some(node) = node.get("fallback_keys") {
        cache.fallback_keys = reader.texts(node, "`fallback_keys:`");
    }
    Some(cache)
}

/// A key as text, or made of files: their content decides here, on GitLab their last commit.
fn cache_key(reader: &mut Reader, node: &Node, folder: &Path) -> String {
    let Some(files) = node.get("files") else { return reader.text(node, "`key:`") };
    let mut hash = Sha256::new();
    let mut any = false;
    for name in reader.texts(files, "`files:`") {
        if let Ok(content) = std::fs::read(folder.join(name.trim_start_matches('/'))) {
            any = true;
            hash.update(&content);
        }
    }
    let hex: String = hex(&hash.finalize()).chars().take(40).collect();
    let name = if any { hex } else { "default".to_owned() };
    match node.get("prefix") {
        Some(prefix) => format!("{}-{name}", reader.text(prefix, "`prefix:`")),
        None => name,
    }
}
