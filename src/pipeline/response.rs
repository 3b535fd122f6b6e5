//! `JOB_RESPONSE_FILE` as gitlab-runner writes it: what the driver reads and the scripts are made of.

use serde::{Deserialize, Deserializer, Serialize};

/// A job as the runner hands it to the driver.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Response {
    /// The job's number.
    pub id: u64,
    /// The job's token.
    pub token: String,
    /// True where git may fetch.
    pub allow_git_fetch: bool,
    /// Who the job is.
    pub job_info: JobInfo,
    /// What it checks out.
    pub git_info: GitInfo,
    /// The limits that the runner holds it to.
    pub runner_info: RunnerInfo,
    /// Always an object here.
    pub inputs: serde_json::Map<String, serde_json::Value>,
    /// Unexpanded, in GitLab's order; a later one of the same name wins.
    #[serde(deserialize_with = "or_default")]
    pub variables: Vec<Variable>,
    /// `script`, then `after_script`.
    #[serde(deserialize_with = "or_default")]
    pub steps: Vec<Step>,
    /// The image; its name is empty when the job names none.
    pub image: Image,
    /// Services, names and aliases expanded.
    #[serde(deserialize_with = "or_default")]
    pub services: Vec<Image>,
    /// The archive, then one entry a report; null when there are none.
    pub artifacts: Option<Vec<Artifact>>,
    /// Caches.
    #[serde(deserialize_with = "or_default")]
    pub cache: Vec<Cache>,
    /// Registry credentials.
    #[serde(deserialize_with = "or_default")]
    pub credentials: Vec<Credential>,
    /// Jobs whose artifacts are downloaded.
    #[serde(deserialize_with = "or_default")]
    pub dependencies: Vec<Dependency>,
    /// What GitLab can do.
    pub features: Features,
    /// `run:`; left out when empty, as the runner does.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub run: Vec<serde_json::Value>,
}

/// Who the job is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobInfo {
    pub name: String,
    pub stage: String,
    pub pipeline_id: u64,
    pub project_id: u64,
    pub project_name: String,
    pub project_full_path: String,
    pub namespace_id: u64,
    pub root_namespace_id: u64,
    pub organization_id: u64,
    pub instance_id: String,
    pub instance_uuid: String,
    pub user_id: u64,
    pub time_in_queue_seconds: u64,
    pub project_jobs_running_on_instance_runners_count: String,
    pub queue_size: u64,
    pub queue_depth: u64,
}

/// What the job checks out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GitInfo {
    pub repo_url: String,
    pub repo_object_format: String,
    #[serde(rename = "ref")]
    pub git_ref: String,
    pub sha: String,
    pub before_sha: String,
    pub ref_type: String,
    pub refspecs: Vec<String>,
    pub depth: u64,
    pub protected: Option<bool>,
}

/// The limits that the runner holds the job to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RunnerInfo {
    /// Empty.
    pub uuid: String,
    /// Job timeout in seconds.
    pub timeout: u64,
}

/// A variable as GitLab sends it.
#[expect(clippy::struct_excessive_bools, reason = "GitLab's own flags, one to one")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Variable {
    /// Name.
    pub key: String,
    /// Value; the content of the file when [`Variable::file`].
    pub value: String,
    /// Shown to everyone.
    pub public: bool,
    /// The job gets the path of a file with this content.
    pub file: bool,
    /// Masked in the log.
    pub masked: bool,
    /// Not expanded.
    pub raw: bool,
}

impl Variable {
    /// A public variable, as most predefined ones are.
    pub fn public(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into(), public: true, ..Self::default() }
    }

    /// A variable that only the job sees.
    pub fn private(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into(), ..Self::default() }
    }

    /// A variable that the log must not show.
    pub fn masked(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { masked: true, ..Self::private(key, value) }
    }
}

/// A step.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    /// `script`, `after_script`.
    pub name: String,
    /// Its commands.
    #[serde(deserialize_with = "or_default")]
    pub script: Vec<String>,
    /// Seconds.
    pub timeout: u64,
    /// `on_success`, `always`.
    pub when: String,
    /// True for `after_script`.
    pub allow_failure: bool,
}

/// An image or a service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Image {
    /// Name.
    pub name: String,
    /// Names by which a service is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Command of a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// `entrypoint:`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// A service's own variables, unexpanded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variables: Option<Vec<Variable>>,
    /// `pull_policy:`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<Vec<String>>,
    /// What `docker:` and `kubernetes:` below `image:` say.
    pub executor_opts: ExecutorOpts,
}

/// Options of single executors.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecutorOpts {
    pub docker: DockerOpts,
    pub kubernetes: KubernetesOpts,
}

/// Options of the docker executor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DockerOpts {
    pub platform: String,
    pub user: String,
}

/// Options of the kubernetes executor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KubernetesOpts {
    pub user: String,
}

/// An archive or a report to upload.
#[expect(clippy::struct_field_names, reason = "GitLab's own names, one to one")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Artifact {
    /// Name of the file that is uploaded; empty for the default one.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// All that git does not know.
    pub untracked: bool,
    /// Paths and patterns, unexpanded.
    #[serde(deserialize_with = "or_default")]
    pub paths: Vec<String>,
    /// Patterns to leave out.
    pub exclude: Option<Vec<String>>,
    /// `on_success`, `on_failure`, `always`.
    pub when: String,
    /// `archive`, `dotenv`, `junit` …
    pub artifact_type: String,
    /// `zip`, `gzip`, `raw`.
    pub artifact_format: String,
    /// How long GitLab keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_in: Option<String>,
}

/// A cache.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cache {
    /// Its key, with GitLab's suffix.
    pub key: String,
    /// All that git does not know.
    pub untracked: bool,
    /// `pull-push`, `pull`, `push`.
    pub policy: String,
    /// Paths and patterns.
    #[serde(deserialize_with = "or_default")]
    pub paths: Vec<String>,
    /// `on_success`, `on_failure`, `always`.
    pub when: String,
    /// Keys to try when there is none of the first.
    #[serde(deserialize_with = "or_default")]
    pub fallback_keys: Vec<String>,
}

/// A registry credential.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Credential {
    #[serde(rename = "type")]
    pub kind: String,
    pub url: String,
    pub username: String,
    pub password: String,
}

/// A job whose artifacts are downloaded.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Dependency {
    /// Its number.
    pub id: u64,
    /// Its token.
    pub token: String,
    /// Its name.
    pub name: String,
    /// Its archive.
    pub artifacts_file: ArtifactsFile,
}

/// An archive that waits to be downloaded.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ArtifactsFile {
    /// Name of the archive; empty when there is none.
    pub filename: String,
    /// Bytes.
    pub size: u64,
}

/// What GitLab can do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Features {
    pub trace_sections: bool,
    pub token_mask_prefixes: Vec<String>,
    pub failure_reasons: Vec<String>,
    pub tracing: Option<serde_json::Value>,
}

impl Default for Features {
    fn default() -> Self {
        let reasons = [
            "unknown_failure",
            "script_failure",
            "api_failure",
            "stuck_or_timeout_failure",
            "runner_system_failure",
            "job_execution_timeout",
            "runner_unsupported",
            "data_integrity_failure",
            "image_pull_failure",
            "runner_configuration_error",
        ];
        Self {
            trace_sections: true,
            token_mask_prefixes: vec!["glpat-".to_owned()],
            failure_reasons: reasons.map(str::to_owned).to_vec(),
            tracing: None,
        }
    }
}

/// Null reads as the default, as Go reads it.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}
