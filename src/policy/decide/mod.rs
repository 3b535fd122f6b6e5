//! What a profile allows: pure decisions, each refusal with its rule and the way out.

mod load;
mod gate;
mod kubectl;
mod deploy;
mod namespaces;
mod own;

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use deploy::DeniedObject;
pub use kubectl::KubectlGrant;
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
    pub file: Box<Path>,
    /// True where no change of the policy would allow it.
    pub is_always: bool,
}

impl Denied {
    fn new(profile: &Profile, rule: &str, asked: String, allowed: String) -> Self {
        Self {
            profile: profile.name.clone(),
            asked,
            rule: format!("{}.{rule}", profile.key),
            allowed,
            file: profile.file.as_path().into(),
            is_always: false,
        }
    }

    /// A refusal that no policy can lift.
    fn always(self) -> Self {
        Self { is_always: true, ..self }
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        if self.is_always {
            return None;
        }
        if self.file.as_os_str().is_empty() {
            return Some(self.way_out_on_a_laptop());
        }
        Some(format!("ask the platform team to change {} in {}", self.rule, self.file.display()))
    }

    /// Nobody can change dyno's own policy, but a policy of one's own can be given.
    fn way_out_on_a_laptop(&self) -> String {
        let below = self.rule.split_once("].").map_or(self.rule.as_str(), |(_, below)| below);
        match below.split('.').next().unwrap_or_default() {
            "sources" => "give `--policy FILE` with `sources:` (their addresses and tokens), and \
                          name them in its profile"
                .to_owned(),
            "clusters" => "set KUBECONFIG for a cluster `default`, or give `--policy FILE` with \
                           `clusters:`, and name them in its profile"
                .to_owned(),
            _ => format!("give `--policy FILE` with a profile whose `{below}` allows it"),
        }
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
        let refused = Self::refused(denied);
        match hint {
            Some(hint) => refused.hint(hint),
            None => refused,
        }
    }
}

/// Writes a list for a refusal.
fn list<T: fmt::Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "nothing".to_owned();
    }
    items.iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_out_is_the_platform_teams_or_on_a_laptop_a_policy_of_ones_own() {
        for (rule, file, expected) in [
            (
                "sources",
                "/etc/dyno/dyno.yaml",
                "ask the platform team to change profiles[0].sources in /etc/dyno/dyno.yaml",
            ),
            (
                "sources",
                "",
                "give `--policy FILE` with `sources:` (their addresses and tokens), and name them \
                 in its profile",
            ),
            (
                "clusters.default.kinds",
                "",
                "set KUBECONFIG for a cluster `default`, or give `--policy FILE` with `clusters:`, \
                 and name them in its profile",
            ),
            ("load.users", "", "give `--policy FILE` with a profile whose `load.users` allows it"),
        ] {
            let denied = Denied {
                profile: "p".to_owned(),
                asked: "x".to_owned(),
                rule: format!("profiles[0].{rule}"),
                allowed: String::new(),
                file: Path::new(file).into(),
                is_always: false,
            };
            assert_eq!(denied.hint().as_deref(), Some(expected));
        }
    }
}
