//! `JOB_RESPONSE_FILE`: the one description of the job that the job cannot forge.
//!
//! Read leniently, as gitlab-runner writes it: null, absent and extra fields are all fine. What is
//! the user's own content in it (image, steps, variables) is data here, never a right.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use crate::secret::Secret;

/// A job response that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there or cannot be read.
    #[error("cannot read the job response `{path}`")]
    Read {
        /// The file that gitlab-runner named.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is not what gitlab-runner writes.
    #[error("the job response `{path}` is malformed")]
    Malformed {
        /// The file that gitlab-runner named.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A field that every job has is missing.
    #[error("the job response has no `{0}`")]
    Missing(&'static str),
}

/// A job's number in GitLab; can be near 2^63.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct JobId(pub u64);

impl JobId {
    /// The name by which everything that belongs to the job is found: `dyno-4711`.
    pub fn resource_name(self) -> String {
        format!("dyno-{}", self.0)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A job as the runner got it from GitLab.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// Its token (`CI_JOB_TOKEN`).
    pub token: Secret,
    /// `job:` name in the pipeline file.
    pub name: String,
    /// The pipeline's number.
    pub pipeline_id: u64,
    /// The project's number.
    pub project_id: u64,
    /// Its full path: `group/sub/project`.
    pub project_path: String,
    /// True when GitLab says that the ref is protected; unknown counts as not.
    pub is_protected: bool,
    /// As sent: unexpanded, keys repeat, predefined first.
    pub variables: Vec<Variable>,
    /// `script`, `after_script`, …
    pub steps: Vec<Step>,
    /// `image:`; `None` when the job names none.
    pub image: Option<Image>,
    /// `services:`.
    pub services: Vec<Service>,
    /// Logins that GitLab gives the job, for its own registry.
    pub credentials: Vec<Credential>,
    /// True for a job written with the `run:` keyword.
    pub has_run_keyword: bool,
}

/// A variable of a job.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Variable {
    /// Name.
    pub key: String,
    /// Value, not expanded.
    #[serde(default, deserialize_with = "or_default")]
    pub value: String,
    /// Shown to everyone.
    #[serde(default)]
    pub public: bool,
    /// The value is the content of a file.
    #[serde(default)]
    pub file: bool,
    /// Masked in the log.
    #[serde(default)]
    pub masked: bool,
    /// Not expanded.
    #[serde(default)]
    pub raw: bool,
}

/// A step of a job.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Step {
    /// `script`, `after_script`, `release` …
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Its commands.
    #[serde(deserialize_with = "or_default")]
    pub script: Vec<String>,
}

/// An image with what the job says of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Image {
    /// Name, expanded by the runner.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// `entrypoint:`; `[""]` clears the image's own.
    #[serde(deserialize_with = "or_default")]
    pub entrypoint: Vec<String>,
    /// `pull_policy:`.
    #[serde(deserialize_with = "or_default")]
    pub pull_policy: Vec<String>,
    /// `docker:`.
    #[serde(deserialize_with = "or_default")]
    pub executor_opts: ExecutorOptions,
}

/// What a job says to the executor beside the image's name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ExecutorOptions {
    /// `docker: { platform, user }`.
    #[serde(deserialize_with = "or_default")]
    pub docker: DockerOptions,
}

/// `docker:` of an image or a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DockerOptions {
    /// As in `linux/arm64`.
    #[serde(deserialize_with = "or_default")]
    pub platform: String,
    /// User, or user and group, as `docker run --user` takes them.
    #[serde(deserialize_with = "or_default")]
    pub user: String,
}

/// A service container that the job asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Image name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Comma or space separated aliases.
    #[serde(deserialize_with = "or_default")]
    pub alias: String,
    /// In place of the image's entrypoint.
    #[serde(deserialize_with = "or_default")]
    pub entrypoint: Vec<String>,
    /// In place of the image's command.
    #[serde(deserialize_with = "or_default")]
    pub command: Vec<String>,
    /// Its own variables, not expanded.
    #[serde(deserialize_with = "or_default")]
    pub variables: Vec<Variable>,
    /// `pull_policy:`.
    #[serde(deserialize_with = "or_default")]
    pub pull_policy: Vec<String>,
    /// `docker:`.
    #[serde(deserialize_with = "or_default")]
    pub executor_opts: ExecutorOptions,
}

/// A login that GitLab gives the job.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Credential {
    /// What for: `registry`.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// Host of the registry, with a port where it has one.
    #[serde(deserialize_with = "or_default")]
    pub url: String,
    /// Its user.
    #[serde(deserialize_with = "or_default")]
    pub username: String,
    /// Its password.
    #[serde(deserialize_with = "or_default")]
    pub password: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResponseFile {
    id: Option<u64>,
    #[serde(deserialize_with = "or_default")]
    token: String,
    #[serde(deserialize_with = "or_default")]
    job_info: JobInfo,
    #[serde(deserialize_with = "or_default")]
    git_info: GitInfo,
    #[serde(deserialize_with = "or_default")]
    variables: Vec<Variable>,
    #[serde(deserialize_with = "or_default")]
    steps: Vec<Step>,
    #[serde(deserialize_with = "or_default")]
    image: Image,
    #[serde(deserialize_with = "or_default")]
    services: Vec<Service>,
    #[serde(deserialize_with = "or_default")]
    credentials: Vec<Credential>,
    run: serde_json::Value,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct JobInfo {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    pipeline_id: u64,
    #[serde(deserialize_with = "or_default")]
    project_id: u64,
    #[serde(deserialize_with = "or_default")]
    project_full_path: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct GitInfo {
    protected: Option<bool>,
}

/// Null reads as the default: Go writes it for every empty list.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

impl Job {
    /// Reads the file that `JOB_RESPONSE_FILE` names.
    ///
    /// # Errors
    /// When it cannot be read, is not JSON of that shape, or lacks what every job has.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text =
            std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let file = serde_json::from_slice(&text)
            .map_err(|source| Error::Malformed { path: path.to_owned(), source })?;
        Self::try_from_file(file)
    }

    fn try_from_file(file: ResponseFile) -> Result<Self, Error> {
        let id = file.id.filter(|&id| id != 0).ok_or(Error::Missing("id"))?;
        if file.job_info.project_full_path.is_empty() {
            return Err(Error::Missing("job_info.project_full_path"));
        }
        if file.job_info.project_id == 0 {
            return Err(Error::Missing("job_info.project_id"));
        }
        let is_protected = file.git_info.protected.unwrap_or_else(|| {
            // GitLab before 18.3 does not say. Overrides come later in the list, so the first
            // one is GitLab's own.
            file.variables
                .iter()
                .find(|variable| variable.key == "CI_COMMIT_REF_PROTECTED")
                .is_some_and(|variable| variable.value == "true")
        });
        let has_run_keyword = match &file.run {
            serde_json::Value::Null => false,
            serde_json::Value::Array(steps) => !steps.is_empty(),
            serde_json::Value::String(steps) => !steps.is_empty(),
            serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::Object(_) => true,
        };
        Ok(Self {
            id: JobId(id),
            token: Secret::new(file.token),
            name: file.job_info.name,
            pipeline_id: file.job_info.pipeline_id,
            project_id: file.job_info.project_id,
            project_path: file.job_info.project_full_path,
            is_protected,
            variables: file.variables,
            steps: file.steps,
            image: Some(file.image).filter(|image| !image.name.is_empty()),
            services: file.services,
            credentials: file.credentials,
            has_run_keyword,
        })
    }

    /// Returns every value that must not be shown: masked variables and the job's token.
    pub fn masked_values(&self) -> Vec<Secret> {
        let mut values: Vec<Secret> = self
            .variables
            .iter()
            .filter(|variable| variable.masked && !variable.value.is_empty())
            .map(|variable| Secret::new(variable.value.clone()))
            .collect();
        values.push(self.token.clone());
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Job, Error> {
        Job::try_from_file(serde_json::from_str(json).unwrap())
    }

    const LEAST: &str = r#""id": 7, "job_info": {"project_id": 1, "project_full_path": "g/p"}"#;

    #[test]
    fn null_absent_and_extra_fields_are_fine() {
        let job = read(&format!(
            r#"{{{LEAST}, "token": "t", "artifacts": null, "image": {{"name": "", "entrypoint": null}},
                "inputs": {{}}, "run": null, "variables": [{{"key": "A", "value": null, "masked": true}}]}}"#
        ))
        .unwrap();
        assert_eq!(job.image, None);
        assert!(!job.has_run_keyword);
        assert!(!job.is_protected);
    }

    #[test]
    fn protection_is_gitlabs_word_and_the_first_variable_only_before_it_said() {
        let forged = r#""variables": [{"key": "CI_COMMIT_REF_PROTECTED", "value": "false"},
                                      {"key": "CI_COMMIT_REF_PROTECTED", "value": "true"}]"#;
        let with = |git: &str| {
            read(&format!(r#"{{{LEAST}, "git_info": {git}, {forged}}}"#)).unwrap().is_protected
        };
        assert!(with(r#"{"protected": true}"#));
        assert!(!with(r#"{"protected": false}"#));
        assert!(!with(r#"{"protected": null}"#));
    }

    #[test]
    fn a_job_with_the_run_keyword_is_told() {
        for (run, told) in
            [("[]", false), ("null", false), (r#"[{"name": "a"}]"#, true), (r#""- name: a""#, true)]
        {
            assert_eq!(
                read(&format!(r#"{{{LEAST}, "run": {run}}}"#)).unwrap().has_run_keyword,
                told,
                "{run}"
            );
        }
    }

    #[test]
    fn what_every_job_has_must_be_there() {
        assert!(matches!(read("{}"), Err(Error::Missing("id"))));
        assert!(matches!(read(r#"{"id": 7}"#), Err(Error::Missing("job_info.project_full_path"))));
    }
}
