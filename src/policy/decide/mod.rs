//! What a profile allows: pure decisions, each refusal with its rule and the way out.

mod load;
mod gate;
mod kubectl;
mod namespaces;
mod own;

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use namespaces::{is_namespace, is_system};

use super::Profile;

/// GitLab's own word on a job, never its variables'.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Who {
    /// Login of the user who started the job.
    pub login: Option<String>,
    /// The job's own tags.
    pub tags: Vec<String>,
    /// Slug of its environment, when GitLab knows one of that name.
    pub environment_slug: Option<String>,
    /// Tier of its environment.
    pub environment_tier: Option<String>,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The profile's name.
    pub profile: String,
    /// What was asked, as the end of "does not allow …".
    pub asked: String,
    /// Key of the rule in the policy: `profiles[0].load.targets`.
    pub rule: String,
    /// What the rule allows, or why it does not apply.
    pub allowed: String,
    /// The policy.
    pub file: PathBuf,
}

impl Denied {
    fn new(profile: &Profile, rule: &str, asked: String, allowed: String) -> Self {
        Self {
            profile: profile.name.clone(),
            asked,
            rule: format!("{}.{rule}", profile.key),
            allowed,
            file: profile.file.clone(),
        }
    }

    /// The way out.
    pub fn hint(&self) -> String {
        format!("ask the platform team to change {} in {}", self.rule, self.file.display())
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { profile, asked, rule, allowed, .. } = self;
        write!(
            f,
            "refused by policy: profile `{profile}` does not allow {asked} ({rule}: {allowed})"
        )
    }
}

impl std::error::Error for Denied {}

impl From<Denied> for crate::error::Error {
    fn from(denied: Denied) -> Self {
        let hint = denied.hint();
        Self::refused(denied).hint(hint)
    }
}

/// Writes a list for a refusal.
fn list<T: fmt::Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "nothing".to_owned();
    }
    items.iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", ")
}
