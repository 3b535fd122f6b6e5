//! What is allowed: the administrator's policy file, and pure decisions on job, task and profile.
//!
//! The three shapes: [`file`] as written, [`Policy`] and [`Profile`] as meant, and what is live
//! belongs to the tools. Nothing here opens a connection; [`read`] and [`secrets::read`] are the
//! only places that open a file.

mod problem;
pub mod yaml;
pub mod file;
mod glob;
mod template;
mod target;
mod profile;
mod build;
mod choose;
mod decide;
pub mod recipe;
pub mod secrets;
pub mod schema;
mod sentences;
mod source;
pub mod sink;
pub mod plan;
mod task;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use choose::{Asking, Rejected};
pub use decide::{DeniedObject, KubectlGrant, Who};
pub use glob::Glob;
pub use problem::{Problem, Problems};
pub use profile::{
    Access, ClusterRule, DockerRule, NetworkRule, PodSecurity, Profile, PullRule, SandboxRule,
};
pub use source::{AuthEntry, BaselineEntry, BucketEntry, SourceEntry};
pub use task::{BaselineTask, BaselineVerb, Deploy, Task, VariableValue, VariableWrite};
pub use template::Template;

use crate::job::Job;
use crate::unit::Span;
use recipe::{Library, Recipe};
use sink::SinkEntry;

/// Where the policy is when nobody says.
pub const DEFAULT_PATH: &str = "/etc/dyno/dyno.yaml";

/// A policy as meant: every name in it is defined, every pattern is understood.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The file it was read from; refusals name it.
    pub file: PathBuf,
    /// The only GitLab that the driver ever asks.
    pub gitlab: Option<GitlabSpec>,
    /// The driver's own folder.
    pub state: PathBuf,
    /// Metric sources by name.
    pub sources: BTreeMap<String, SourceEntry>,
    /// Sinks by name.
    pub sinks: BTreeMap<String, SinkEntry>,
    /// Clusters by name.
    pub clusters: BTreeMap<String, ClusterEntry>,
    /// The token that project variables are written with.
    pub variables_token_file: Option<PathBuf>,
    /// What else of a verdict is told through GitLab's API.
    pub verdicts: file::VerdictsFile,
    /// Where runs are kept that later ones are compared with.
    pub baselines: BaselineEntry,
    /// The uids that sandboxes run under when the driver is root.
    pub users: UidRange,
    /// How long a cache stays that no job uses.
    pub keep_caches: Span,
    /// Who may do what.
    pub profiles: Vec<Profile>,
    /// Every recipe that a profile can name: the built-in ones and those beside the policy.
    pub recipes: BTreeMap<String, Recipe>,
}

/// GitLab as the policy knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitlabSpec {
    /// Its base URL, without a slash at the end.
    pub url: String,
    /// A CA certificate that is trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

impl GitlabSpec {
    /// The host and port behind the URL, as git and the runner's helper commands connect to them.
    pub fn address(&self) -> Option<(String, u16)> {
        let url: http::Uri = self.url.parse().ok()?;
        let own = match url.scheme_str()? {
            "https" => 443,
            _ => 80,
        };
        Some((url.host()?.to_lowercase(), url.port_u16().unwrap_or(own)))
    }
}

/// A cluster as the policy defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterEntry {
    /// The kubeconfig that holds the platform's credential.
    pub kubeconfig: PathBuf,
    /// Its context; the current one when absent.
    pub context: Option<String>,
    /// The user that every request impersonates.
    pub impersonate: Option<Template>,
    /// The groups that go with it.
    pub impersonate_groups: Vec<Template>,
}

/// A range of uids that belong to nobody else on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UidRange {
    /// The first one.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl Default for UidRange {
    /// What a policy has that names none.
    fn default() -> Self {
        let file::UsersFile { first, count } = file::UsersFile::default();
        Self { first, count }
    }
}

impl UidRange {
    /// Returns the uid that scripts of a project have: one for its protected refs, one for all
    /// others. Jobs of one project share their caches and so have one owner; their namespaces keep
    /// them apart.
    pub fn user_for(self, project: u64, is_protected: bool) -> u32 {
        let number = project.wrapping_mul(2).wrapping_add(u64::from(is_protected));
        let offset = number % u64::from(self.count.max(1));
        self.first.saturating_add(u32::try_from(offset).unwrap_or(0))
    }
}

/// Reads a policy and the recipes beside it; every mistake comes back with file, line and key.
pub fn read(path: &Path) -> Result<Policy, Problems> {
    let text = secrets::read_public(path).map_err(|problem| Problems(vec![problem]))?;
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut library = Library::built_in();
    library.add_folder(path.parent().unwrap_or(Path::new("/")));
    build::policy(&path, yaml::parse(&path, &text), library)
}

/// Reads a user's own file, which names sources for a laptop: there are no jobs to allow anything to,
/// so it needs no profiles.
///
/// # Errors
/// With every mistake in the file.
pub fn read_own(path: &Path) -> Result<Policy, Problems> {
    let text = secrets::read_public(path).map_err(|problem| Problems(vec![problem]))?;
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut library = Library::built_in();
    library.add_folder(path.parent().unwrap_or(Path::new("/")));
    own(&path, &text, library)
}

fn own(path: &Path, text: &str, library: Library) -> Result<Policy, Problems> {
    let is_told = text.lines().any(|line| line.starts_with("profiles:"));
    let is_flow = text.trim_start().starts_with('{');
    if is_told || is_flow {
        return build::policy(path, yaml::parse(path, text), library);
    }
    build::own(path, yaml::parse(path, &format!("{text}\nprofiles: []\n")), library)
}

/// Reads a policy from a text, with the built-in recipes alone; opens nothing.
#[cfg(test)]
pub fn parse(file: &Path, text: &str) -> Result<Policy, Problems> {
    build::policy(file, yaml::parse(file, text), Library::built_in())
}

impl Policy {
    /// Lets refusals name the file that this policy is a copy of; an empty path stands for dyno's
    /// own policy, which no user can change.
    #[must_use]
    pub fn copied_from(mut self, original: &Path) -> Self {
        original.clone_into(&mut self.file);
        for profile in &mut self.profiles {
            original.clone_into(&mut profile.file);
        }
        self
    }

    /// Returns the uid that a job starts with; two jobs can meet, which is the executor's to see.
    pub fn user_for(&self, job: &Job) -> u32 {
        self.users.user_for(job.project_id, job.is_protected)
    }

    /// Returns the recipes that a profile grants, in its order.
    pub fn recipes_of<'a>(&'a self, profile: &'a Profile) -> impl Iterator<Item = &'a Recipe> {
        profile.recipes.iter().filter_map(|name| self.recipes.get(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A policy of one profile with further keys.
    pub fn policy_with(keys: &str) -> Policy {
        let text = format!(
            "gitlab: {{ url: https://gitlab.example.com }}\n\
             clusters:\n\
             \x20 staging: {{ kubeconfig: /etc/dyno/staging, impersonate: 'gitlab:project:{{{{ project.id }}}}' }}\n\
             \x20 production: {{ kubeconfig: /etc/dyno/production }}\n\
             sources:\n\
             \x20 wavefront: {{ wavefront: {{ url: https://wavefront.example.com }} }}\n\
             \x20 prometheus: {{ prometheus: {{ url: http://prometheus.example.com:9090 }} }}\n\
             profiles:\n\
             \x20 - name: one\n\
             \x20   match: {{ tags: [a], projects: ['**'], refs: any }}\n\
             \x20   {}\n",
            keys.replace('\n', "\n    ")
        );
        match parse(Path::new("dyno.yaml"), &text) {
            Ok(policy) => policy,
            Err(problems) => panic!("{problems}\n{text}"),
        }
    }

    #[test]
    fn a_job_starts_with_a_uid_of_the_range() {
        let users = UidRange { first: 2_100_000, count: 10 };
        assert_eq!(users.user_for(4711, false), 2_100_002);
        assert_eq!(users.user_for(4711, true), 2_100_003);
        assert_eq!(users.user_for(u64::MAX, true), 2_100_005);
    }

    #[test]
    fn recipes_beside_a_policy_take_the_place_of_the_built_in_ones() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("dyno.yaml");
        let text =
            "profiles: [{ name: a, match: { projects: ['**'] }, recipes: [kubectl, own] }]\n";
        std::fs::write(&file, text).unwrap();
        std::fs::create_dir(folder.path().join("recipes")).unwrap();
        let recipe = |name: &str, text: &str| {
            std::fs::write(folder.path().join("recipes").join(name), text).unwrap();
        };
        let problems = read(&file).unwrap_err().to_string();
        assert!(problems.contains("unknown recipe `own`"), "{problems}");

        recipe("kubectl.yaml", "images: ['ours/kubectl:*']\n");
        recipe("own.yaml", "images: ['ours/own:*']\n");
        recipe("README.md", "not a recipe");
        let policy = read(&file).unwrap();
        let answers = |image: &str| {
            recipe::find(policy.recipes_of(&policy.profiles[0]), image).map(|r| r.name.clone())
        };
        assert_eq!(answers("ours/kubectl:1"), Some("kubectl".to_owned()));
        assert_eq!(answers("bitnami/kubectl"), None);
        assert_eq!(answers("ours/own:1"), Some("own".to_owned()));

        recipe("own.yaml", "imags: ['ours/own:*']\n");
        let problems = read(&file).unwrap_err();
        assert_eq!(problems.0.len(), 1, "{problems}");
        assert!(problems.to_string().contains("own.yaml:1:1: imags: unknown key"), "{problems}");
    }

    #[test]
    fn a_policy_that_others_can_write_is_none() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("dyno.yaml");
        let text = "profiles: [{ name: a, match: { projects: ['**'] } }]\n";
        std::fs::write(&file, text).unwrap();
        let with_mode = |mode| {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            read(&file)
        };
        assert!(with_mode(0o644).is_ok());
        let problems = with_mode(0o646).unwrap_err().to_string();
        assert!(problems.contains("others can write it (mode 646) (chmod go-w "), "{problems}");
        let problems = read(&folder.path().join("none.yaml")).unwrap_err().to_string();
        assert!(problems.contains("none.yaml: cannot be read: No such file"), "{problems}");
    }
}
