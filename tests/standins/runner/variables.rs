//! The build variables: what a script exports and what the driver sees as `CUSTOM_ENV_…`, in the
//! runner's order, expanded once.

use std::collections::BTreeMap;

use serde_json::Value;

/// A variable of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Name.
    pub key: String,
    /// Value, expanded.
    pub value: String,
    /// The value is the content of a file.
    pub file: bool,
}

/// Where the job's files lie, as its scripts see them.
#[derive(Debug, Clone, Default)]
pub struct Folders {
    /// `CI_BUILDS_DIR`.
    pub builds: String,
    /// `CI_PROJECT_DIR`.
    pub project: String,
    /// The cache's folder.
    pub cache: String,
}

impl Folders {
    /// `P.tmp`.
    pub fn temporary(&self) -> String {
        format!("{}.tmp", self.project)
    }
}

/// Returns the build variables in the runner's order, duplicates too.
pub fn build(response: &Value, folders: &Folders, status: &str) -> Vec<Variable> {
    let plain = |key: &str, value: &str| Variable {
        key: key.to_owned(),
        value: value.to_owned(),
        file: false,
    };
    let mut all = vec![
        plain("FF_TIMESTAMPS", "true"),
        plain("FF_USE_DIRECT_DOWNLOAD", "true"),
        plain("FF_NETWORK_PER_BUILD", "false"),
    ];
    if let Some(image) = response["image"]["name"].as_str().filter(|image| !image.is_empty()) {
        all.push(plain("CI_JOB_IMAGE", image));
    }
    let timeout = response["runner_info"]["timeout"].to_string();
    all.extend([
        plain("CI_RUNNER_SHORT_TOKEN", "stubrunne"),
        plain("CI_BUILDS_DIR", &folders.builds),
        plain("CI_PROJECT_DIR", &folders.project),
        plain("CI_CONCURRENT_ID", "0"),
        plain("CI_CONCURRENT_PROJECT_ID", "0"),
        plain("CI_SERVER", "yes"),
        plain("CI_JOB_STATUS", status),
        plain("CI_JOB_TIMEOUT", &timeout),
    ]);
    let n_own = all.len();
    let sent = response["variables"].as_array().cloned().unwrap_or_default();
    all.extend(sent.iter().map(|variable| Variable {
        key: variable["key"].as_str().unwrap_or_default().to_owned(),
        value: variable["value"].as_str().unwrap_or_default().to_owned(),
        file: variable["file"] == true,
    }));
    let is_raw: Vec<bool> = std::iter::repeat_n(true, n_own)
        .chain(sent.iter().map(|variable| variable["raw"] == true))
        .collect();
    let temporary = folders.temporary();
    all.extend([
        plain("CI_SHARED_ENVIRONMENT", "true"),
        plain("CI_RUNNER_VERSION", "19.3.0"),
        plain("CI_RUNNER_REVISION", "local"),
        plain("CI_RUNNER_EXECUTABLE_ARCH", "linux/amd64"),
        plain("RUNNER_TEMP_PROJECT_DIR", &temporary),
    ]);
    // A reference to a file variable is its path, to any other its value.
    let values: BTreeMap<String, String> = all
        .iter()
        .map(|one| {
            let path = one.file.then(|| format!("{temporary}/{}", one.key));
            (one.key.clone(), path.unwrap_or_else(|| one.value.clone()))
        })
        .collect();
    for (variable, is_raw) in all.iter_mut().zip(is_raw) {
        if !is_raw {
            variable.value = expanded(&variable.value, &values);
        }
    }
    all
}

/// Replaces `$A` and `${A}` once; unknown ones become empty, `$$` becomes `$`.
fn expanded(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            result.push('$');
            rest = after;
            continue;
        }
        let braced = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, after) = braced.unwrap_or_else(|| {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            rest.split_at(rest.find(|c: char| !is_name(c)).unwrap_or(rest.len()))
        });
        if name.is_empty() {
            result.push('$');
        }
        result.push_str(values.get(name).map_or("", String::as_str));
        rest = after;
    }
    result + rest
}

/// Returns the driver's environment: the host's, the runner's words, `job_env`, `CUSTOM_ENV_…`.
pub fn environment(
    host: &BTreeMap<String, String>,
    words: &BTreeMap<String, String>,
    job_env: &BTreeMap<String, String>,
    variables: &[Variable],
) -> BTreeMap<String, String> {
    let mut all = host.clone();
    all.extend(words.clone());
    all.extend(job_env.clone());
    for variable in variables {
        all.insert(format!("CUSTOM_ENV_{}", variable.key), variable.value.clone());
    }
    all.insert("CUSTOM_ENV_CI_JOB_SERVICES".to_owned(), String::new());
    all
}
