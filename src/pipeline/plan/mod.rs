//! The pipeline as meant: stages and jobs, typed and checked, with the rules decided.

mod condition;
mod reader;
mod changes;
mod rules;
mod only;
mod parts;
mod parallel;
mod job;
mod read;

use std::path::PathBuf;
use std::time::Duration;

pub use read::read;

use crate::pipeline::changed::Changed;
use crate::pipeline::response::{Artifact, Image, Variable};
use crate::pipeline::yaml::Remark;

/// What the plan depends on besides the file.
#[derive(Debug)]
pub struct Setting {
    /// The project's folder, for `rules: exists:` and cache keys made of files.
    pub folder: PathBuf,
    /// GitLab's variables that are known when a pipeline is made.
    pub predefined: Vec<Variable>,
    /// What a push would change; `None` where there is nothing to compare with.
    pub changed: Option<Changed>,
    /// The project's variables: they outrank the file's.
    pub project: Vec<Variable>,
}

/// A pipeline that can be run.
#[derive(Debug)]
pub struct Plan {
    /// Stages in order, `.pre` and `.post` included.
    pub stages: Vec<String>,
    /// Jobs in the order of their stages, then of the file.
    pub jobs: Vec<Job>,
    /// Names of jobs that their rules leave out.
    pub left_out: Vec<String>,
    /// What the author should know.
    pub warnings: Vec<Remark>,
}

/// When a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// After success of what is before it.
    OnSuccess,
    /// After a failure before it.
    OnFailure,
    /// In any case.
    Always,
    /// When somebody presses the button.
    Manual,
    /// After a time.
    Delayed,
}

/// Which failures of a job the pipeline forgives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowFailure {
    /// None.
    No,
    /// All.
    Yes,
    /// Those with one of these exit codes.
    Codes(Vec<i32>),
}

impl AllowFailure {
    /// True when a failure with this exit code is forgiven.
    pub fn forgives(&self, exit_code: Option<i32>) -> bool {
        match self {
            Self::No => false,
            Self::Yes => true,
            Self::Codes(codes) => exit_code.is_some_and(|code| codes.contains(&code)),
        }
    }
}

/// `retry:`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retry {
    /// How often again.
    pub max: u32,
    /// For which failure reasons; empty for all.
    pub when: Vec<String>,
    /// For which exit codes; empty for all.
    pub exit_codes: Vec<i32>,
}

impl Retry {
    /// True when an attempt that ended like this is followed by another one.
    pub fn again(&self, attempt: u32, reason: &str, exit_code: Option<i32>) -> bool {
        if attempt > self.max {
            return false;
        }
        let by_code = exit_code.is_some_and(|code| self.exit_codes.contains(&code));
        let by_reason = self.when.iter().any(|when| when == reason || when == "always");
        match (self.when.is_empty(), self.exit_codes.is_empty()) {
            (true, true) => true,
            _ => by_code || by_reason,
        }
    }
}

/// `environment:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Name, expanded.
    pub name: String,
    /// URL, unexpanded.
    pub url: String,
    /// `start`, `stop`, `prepare` …
    pub action: String,
    /// `deployment_tier:`, or guessed from the name.
    pub tier: String,
}

/// A job that this one waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Its name.
    pub job: String,
    /// True when its artifacts are downloaded.
    pub artifacts: bool,
}

/// A cache, its key not expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Key without GitLab's suffix.
    pub key: String,
    /// Paths.
    pub paths: Vec<String>,
    /// `pull-push`, `pull`, `push`.
    pub policy: String,
    /// `on_success`, `on_failure`, `always`.
    pub when: String,
    /// All that git does not know.
    pub untracked: bool,
    /// Keys to try next.
    pub fallback_keys: Vec<String>,
}

/// A job that can be run.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Its stage.
    pub stage: String,
    /// The stage's place in [`Plan::stages`].
    pub stage_index: usize,
    /// `before_script` and `script`.
    pub script: Vec<String>,
    /// `after_script`.
    pub after_script: Vec<String>,
    /// `run:`, as JSON: the driver refuses it with a reason.
    pub run: Vec<serde_json::Value>,
    /// `image:`.
    pub image: Option<Image>,
    /// `services:`.
    pub services: Vec<Image>,
    /// The file's variables: global, job, rules.
    pub variables: Vec<Variable>,
    /// The archive and the reports.
    pub artifacts: Vec<Artifact>,
    /// Caches.
    pub caches: Vec<Cache>,
    /// `needs:`; `None` where the stages decide.
    pub needs: Option<Vec<Need>>,
    /// `dependencies:`; `None` for all earlier ones.
    pub dependencies: Option<Vec<String>>,
    /// When it runs.
    pub when: When,
    /// Which failures are forgiven.
    pub allow_failure: AllowFailure,
    /// When it is tried again.
    pub retry: Retry,
    /// How long it may take.
    pub timeout: Duration,
    /// Where it deploys to.
    pub environment: Option<Environment>,
    /// Its tags, expanded: they choose the runner.
    pub tags: Vec<String>,
    /// Why it runs only where it is named: nobody here can tell whether it belongs to the pipeline.
    pub held: Option<String>,
    /// Why it cannot be run here (`trigger:`).
    pub unable: Option<String>,
}

#[cfg(test)]
mod tests;
