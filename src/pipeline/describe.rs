//! What GitLab would say of a pipeline and its jobs: predefined variables in GitLab's order, the
//! job as the runner gets it.

use sha2::{Digest, Sha256};

use crate::pipeline::coordinator::{Project, User};
use crate::pipeline::expand::expand_nested;
use crate::pipeline::plan::{Cache, Job};
use crate::pipeline::response::{
    self, Dependency, GitInfo, Image, JobInfo, Response, RunnerInfo, Step, Variable,
};
use crate::pipeline::snapshot::Snapshot;

/// The GitLab whose answers these are.
const SERVER_VERSION: [&str; 3] = ["18", "5", "0"];
const NAMESPACE_ID: u64 = 1;
const DEPTH: u64 = 20;

/// A pipeline.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Its number.
    pub id: u64,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// The project.
    pub project: Project,
    /// Who started it.
    pub user: User,
    /// What is checked out.
    pub snapshot: Snapshot,
    /// `CI_PIPELINE_SOURCE`.
    pub source: String,
    /// `CI_DEFAULT_BRANCH`.
    pub default_branch: String,
    /// `CI_CONFIG_PATH`.
    pub config_path: String,
    /// True when the ref counts as protected.
    pub is_protected: bool,
    /// ISO 8601.
    pub created_at: String,
}

/// What a single job adds.
#[derive(Debug, Clone, Default)]
pub struct Individual {
    /// Its number.
    pub id: u64,
    /// Its token.
    pub token: String,
    /// Variables of dotenv reports of the jobs before it.
    pub dotenv: Vec<Variable>,
    /// Project variables.
    pub project: Vec<Variable>,
    /// Jobs whose artifacts it gets.
    pub dependencies: Vec<Dependency>,
    /// ISO 8601.
    pub started_at: String,
}

/// Makes a list of public variables.
fn public(pairs: &[(&str, String)]) -> Vec<Variable> {
    pairs.iter().map(|(key, value)| Variable::public(*key, value.clone())).collect()
}

/// A name as GitLab makes it fit for URLs and host names.
pub fn slug(name: &str) -> String {
    let lower = name.to_lowercase();
    let plain: String =
        lower.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    plain.trim_matches('-').to_owned()
}

/// The slug of an environment: at most 24 characters, unique by a suffix where it was changed.
pub fn environment_slug(name: &str) -> String {
    let mut plain: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    if !plain.starts_with(|c: char| c.is_ascii_lowercase()) {
        plain.insert_str(0, "env-");
    }
    while plain.contains("--") {
        plain = plain.replace("--", "-");
    }
    if plain.len() <= 24 && plain == name {
        return plain;
    }
    let head: String = plain.chars().take(17).collect();
    format!("{}-{}", head.trim_end_matches('-'), suffix(name))
}

/// The last six digits, to base 36, of the name's SHA-256.
fn suffix(name: &str) -> String {
    const MODULUS: u64 = 36_u64.pow(6);
    let hash = Sha256::digest(name.as_bytes());
    let mut rest = hash.iter().fold(0, |rest, byte| (rest * 256 + u64::from(*byte)) % MODULUS);
    let mut digits = Vec::with_capacity(6);
    for _ in 0..6 {
        let digit = u32::try_from(rest % 36).ok().and_then(|digit| char::from_digit(digit, 36));
        digits.extend(digit);
        rest /= 36;
    }
    digits.into_iter().rev().collect()
}

impl Pipeline {
    /// Variables that are known when a pipeline is made: what `rules:` can ask for.
    pub fn predefined(&self) -> Vec<Variable> {
        [self.pipeline_variables(), self.commit(), self.user_variables()].concat()
    }

    /// The job as the runner gets it.
    pub fn response(&self, job: &Job, own: &Individual) -> Response {
        let seconds = job.timeout.as_secs();
        let mut steps = vec![Step {
            name: "script".to_owned(),
            script: job.script.clone(),
            timeout: seconds,
            when: "on_success".to_owned(),
            allow_failure: false,
        }];
        if !job.after_script.is_empty() {
            steps.push(Step {
                name: "after_script".to_owned(),
                script: job.after_script.clone(),
                timeout: seconds,
                when: "always".to_owned(),
                allow_failure: true,
            });
        }
        let variables = self.variables(job, own);
        let depth = last(&variables, "GIT_DEPTH").and_then(|depth| depth.parse().ok());
        Response {
            id: own.id,
            token: own.token.clone(),
            allow_git_fetch: true,
            job_info: self.job_info(job),
            git_info: self.git_info(own, depth.unwrap_or(DEPTH)),
            runner_info: RunnerInfo { uuid: String::new(), timeout: seconds },
            steps,
            image: job.image.as_ref().map(|own| named(own, &variables)).unwrap_or_default(),
            services: job.services.iter().map(|own| named(own, &variables)).collect(),
            artifacts: (!job.artifacts.is_empty()).then(|| job.artifacts.clone()),
            cache: job.caches.iter().map(|cache| self.cache(cache)).collect(),
            dependencies: own.dependencies.clone(),
            run: job.run.clone(),
            variables,
            ..Response::default()
        }
    }

    fn job_info(&self, job: &Job) -> JobInfo {
        let path = &self.project.path;
        JobInfo {
            name: job.name.clone(),
            stage: job.stage.clone(),
            pipeline_id: self.id,
            project_id: self.project.id,
            project_name: path.rsplit('/').next().unwrap_or_default().to_owned(),
            project_full_path: path.clone(),
            namespace_id: NAMESPACE_ID,
            root_namespace_id: NAMESPACE_ID,
            organization_id: 1,
            instance_id: "dyno-try".to_owned(),
            instance_uuid: "dyno-try".to_owned(),
            user_id: self.user.id,
            time_in_queue_seconds: 0,
            project_jobs_running_on_instance_runners_count: "0".to_owned(),
            queue_size: 1,
            queue_depth: 1,
        }
    }

    fn git_info(&self, own: &Individual, depth: u64) -> GitInfo {
        let (id, branch) = (self.id, &self.snapshot.branch);
        GitInfo {
            repo_url: self.repository_url(&own.token),
            repo_object_format: self.snapshot.object_format.clone(),
            git_ref: branch.clone(),
            sha: self.snapshot.sha.clone(),
            before_sha: "0".repeat(self.snapshot.sha.len()),
            ref_type: "branch".to_owned(),
            refspecs: vec![
                format!("+refs/pipelines/{id}:refs/pipelines/{id}"),
                format!("+refs/heads/{branch}:refs/remotes/origin/{branch}"),
            ],
            depth,
            protected: Some(self.is_protected),
        }
    }

    fn repository_url(&self, token: &str) -> String {
        let host = self.url.trim_start_matches("http://");
        format!("http://gitlab-ci-token:{token}@{host}/{}.git", self.project.path)
    }

    /// GitLab keeps the caches of protected refs apart.
    fn cache(&self, cache: &Cache) -> response::Cache {
        let suffix = if self.is_protected { "protected" } else { "non_protected" };
        response::Cache {
            key: format!("{}-{suffix}", cache.key),
            untracked: cache.untracked,
            policy: cache.policy.clone(),
            paths: cache.paths.clone(),
            when: cache.when.clone(),
            fallback_keys: cache
                .fallback_keys
                .iter()
                .map(|key| format!("{key}-{suffix}"))
                .collect(),
        }
    }

    /// Every variable of a job, in GitLab's order: a later one of the same name wins.
    fn variables(&self, job: &Job, own: &Individual) -> Vec<Variable> {
        let mut all = self.job_variables(job, own);
        all.extend(self.pipeline_variables());
        all.extend(self.commit());
        all.extend(public(&[
            ("CI_RUNNER_ID", "1".to_owned()),
            ("CI_RUNNER_DESCRIPTION", "dyno try".to_owned()),
            ("CI_RUNNER_TAGS", serde_json::json!(job.tags).to_string()),
            ("CI_COMMIT_BRANCH", self.snapshot.branch.clone()),
        ]));
        if let Some(environment) = &job.environment {
            all.extend(public(&[
                ("CI_ENVIRONMENT_NAME", environment.name.clone()),
                ("CI_ENVIRONMENT_SLUG", environment_slug(&environment.name)),
                ("CI_ENVIRONMENT_ACTION", environment.action.clone()),
                ("CI_ENVIRONMENT_URL", environment.url.clone()),
                ("CI_ENVIRONMENT_TIER", environment.tier.clone()),
            ]));
        }
        all.push(Variable::masked("CI_JOB_TOKEN", own.token.clone()));
        all.push(Variable::masked("CI_REGISTRY_PASSWORD", own.token.clone()));
        all.push(Variable::private("CI_REPOSITORY_URL", self.repository_url(&own.token)));
        all.extend(job.variables.iter().cloned());
        all.extend(self.user_variables());
        all.extend(own.dotenv.iter().cloned());
        all.extend(own.project.iter().cloned());
        all
    }

    fn job_variables(&self, job: &Job, own: &Individual) -> Vec<Variable> {
        let base = format!("{}/{}/-", self.url, self.project.path);
        let group = job.name.split([' ', ':']).next().unwrap_or_default();
        let mut all = public(&[
            ("CI_PIPELINE_ID", self.id.to_string()),
            ("CI_PIPELINE_URL", format!("{base}/pipelines/{}", self.id)),
            ("CI_JOB_ID", own.id.to_string()),
            ("CI_JOB_URL", format!("{base}/jobs/{}", own.id)),
            ("CI_JOB_STARTED_AT", own.started_at.clone()),
            ("CI_REGISTRY_USER", "gitlab-ci-token".to_owned()),
            ("CI_JOB_NAME", job.name.clone()),
            ("CI_JOB_NAME_SLUG", slug(&job.name)),
            ("CI_JOB_GROUP_NAME", group.to_owned()),
            ("CI_JOB_STAGE", job.stage.clone()),
            ("CI_NODE_TOTAL", "1".to_owned()),
        ]);
        if job.when == crate::pipeline::plan::When::Manual {
            all.push(Variable::public("CI_JOB_MANUAL", "true"));
        }
        all
    }

    fn pipeline_variables(&self) -> Vec<Variable> {
        let [major, minor, patch] = SERVER_VERSION;
        let host = self.url.trim_start_matches("http://");
        let (name, port) = host.split_once(':').unwrap_or((host, "80"));
        let path = &self.project.path;
        let (namespace, own_name) = path.rsplit_once('/').unwrap_or(("", path));
        let root = path.split('/').next().unwrap_or_default();
        let registry = "registry.localhost";
        public(&[
            ("CI", "true".to_owned()),
            ("GITLAB_CI", "true".to_owned()),
            ("CI_SERVER_URL", self.url.clone()),
            ("CI_SERVER_HOST", name.to_owned()),
            ("CI_SERVER_PORT", port.to_owned()),
            ("CI_SERVER_PROTOCOL", "http".to_owned()),
            ("CI_SERVER_FQDN", host.to_owned()),
            ("CI_SERVER_NAME", "GitLab".to_owned()),
            ("CI_SERVER_SHELL_SSH_HOST", name.to_owned()),
            ("CI_SERVER_SHELL_SSH_PORT", "22".to_owned()),
            ("CI_SERVER_VERSION", format!("{major}.{minor}.{patch}-ee")),
            ("CI_SERVER_VERSION_MAJOR", major.to_owned()),
            ("CI_SERVER_VERSION_MINOR", minor.to_owned()),
            ("CI_SERVER_VERSION_PATCH", patch.to_owned()),
            ("CI_SERVER_REVISION", "dyno".to_owned()),
            ("GITLAB_FEATURES", String::new()),
            ("CI_PROJECT_ID", self.project.id.to_string()),
            ("CI_PROJECT_NAME", own_name.to_owned()),
            ("CI_PROJECT_TITLE", own_name.to_owned()),
            ("CI_PROJECT_DESCRIPTION", String::new()),
            ("CI_PROJECT_PATH", path.clone()),
            ("CI_PROJECT_PATH_SLUG", slug(path)),
            ("CI_PROJECT_NAMESPACE", namespace.to_owned()),
            ("CI_PROJECT_NAMESPACE_SLUG", slug(namespace)),
            ("CI_PROJECT_NAMESPACE_ID", NAMESPACE_ID.to_string()),
            ("CI_PROJECT_ROOT_NAMESPACE", root.to_owned()),
            ("CI_PROJECT_URL", format!("{}/{path}", self.url)),
            ("CI_PROJECT_VISIBILITY", "private".to_owned()),
            ("CI_PROJECT_REPOSITORY_LANGUAGES", String::new()),
            ("CI_PROJECT_CLASSIFICATION_LABEL", String::new()),
            ("CI_DEFAULT_BRANCH", self.default_branch.clone()),
            ("CI_CONFIG_PATH", self.config_path.clone()),
            ("CI_API_V4_URL", format!("{}/api/v4", self.url)),
            ("CI_API_GRAPHQL_URL", format!("{}/api/graphql", self.url)),
            ("CI_REGISTRY", registry.to_owned()),
            ("CI_REGISTRY_IMAGE", format!("{registry}/{path}")),
            ("CI_PIPELINE_IID", "1".to_owned()),
            ("CI_PIPELINE_SOURCE", self.source.clone()),
            ("CI_PIPELINE_CREATED_AT", self.created_at.clone()),
            ("CI_PIPELINE_NAME", String::new()),
        ])
    }

    fn commit(&self) -> Vec<Variable> {
        let snapshot = &self.snapshot;
        let (title, description) =
            snapshot.message.split_once('\n').unwrap_or((&snapshot.message, ""));
        public(&[
            ("CI_COMMIT_SHA", snapshot.sha.clone()),
            ("CI_COMMIT_SHORT_SHA", snapshot.sha.chars().take(8).collect()),
            ("CI_COMMIT_BEFORE_SHA", "0".repeat(snapshot.sha.len())),
            ("CI_COMMIT_REF_NAME", snapshot.branch.clone()),
            ("CI_COMMIT_REF_SLUG", slug(&snapshot.branch)),
            ("CI_COMMIT_MESSAGE", snapshot.message.clone()),
            ("CI_COMMIT_TITLE", title.to_owned()),
            ("CI_COMMIT_DESCRIPTION", description.trim_start_matches('\n').to_owned()),
            ("CI_COMMIT_REF_PROTECTED", self.is_protected.to_string()),
            ("CI_COMMIT_TIMESTAMP", snapshot.timestamp.clone()),
            ("CI_COMMIT_AUTHOR", snapshot.author.clone()),
            ("CI_COMMIT_BRANCH", snapshot.branch.clone()),
        ])
    }

    fn user_variables(&self) -> Vec<Variable> {
        public(&[
            ("GITLAB_USER_ID", self.user.id.to_string()),
            ("GITLAB_USER_EMAIL", self.user.email.clone()),
            ("GITLAB_USER_LOGIN", self.user.login.clone()),
            ("GITLAB_USER_NAME", self.user.name.clone()),
        ])
    }
}

/// An image or service as GitLab sends it: the names are expanded, the rest is the runner's.
fn named(image: &Image, variables: &[Variable]) -> Image {
    Image {
        name: expand_nested(&image.name, variables),
        alias: image.alias.as_ref().map(|alias| expand_nested(alias, variables)),
        ..image.clone()
    }
}

fn last<'a>(variables: &'a [Variable], key: &str) -> Option<&'a str> {
    variables.iter().rev().find(|variable| variable.key == key).map(|found| found.value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_gitlabs() {
        assert_eq!(slug("Feature/ABC_1"), "feature-abc-1");
        assert_eq!(slug("build: [a, b]"), "build---a--b");
        assert_eq!(environment_slug("production"), "production");
        for name in ["review/a", "Staging", "1st", "an-environment-with-a-long-name"] {
            let slug = environment_slug(name);
            assert!(
                slug.len() <= 24 && slug.starts_with(|c: char| c.is_ascii_lowercase()),
                "{slug}"
            );
            assert!(slug.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{slug}");
        }
        assert_ne!(environment_slug("review/a"), environment_slug("review-a"));
    }

    #[test]
    fn image_and_service_names_are_expanded_through_and_through() {
        let mut variables = public(&[
            ("BASE", "$CI_REGISTRY/base".to_owned()),
            ("CI_REGISTRY", "registry.localhost".to_owned()),
            ("LOOP", "$LOOP".to_owned()),
        ]);
        variables.push(Variable { file: true, ..Variable::public("FILE", "content") });
        variables.push(Variable { raw: true, ..Variable::public("RAW", "$BASE") });
        let image = |name: &str, alias: &str| Image {
            name: name.to_owned(),
            alias: Some(alias.to_owned()),
            ..Image::default()
        };
        for (name, alias, expected) in [
            ("$BASE:1", "db,${BASE}", "registry.localhost/base:1 db,registry.localhost/base"),
            ("a/$FILE", "$CI_PROJECT_DIR", "a/$FILE $CI_PROJECT_DIR"),
            ("$RAW", "$LOOP", "$BASE $LOOP"),
        ] {
            let given = named(&image(name, alias), &variables);
            assert_eq!(format!("{} {}", given.name, given.alias.unwrap()), expected);
        }
    }
}
