//! One call of the driver: its arguments, the runner's contract, the job, the profile that applies.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::job::{Job, Vars};
use crate::policy::{self, Policy, Profile, Who};

use super::contract::Contract;
use super::parent::Parent;

/// What the `[[runners]]` entry says of itself in `config_args` and the like: root wrote it, no
/// job can change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Policy file of the platform team.
    pub policy: PathBuf,
    /// The entry's tags, comma separated: the profile with exactly these applies.
    pub tags: Option<String>,
    /// The profile by its name, where tags do not tell entries apart.
    pub profile: Option<String>,
    /// What the policy is a copy of; empty for dyno's own on a laptop.
    pub original: Option<PathBuf>,
}

impl Entry {
    /// The command that asks the same question.
    fn explain(&self, job: &Job) -> String {
        let mut words = vec!["dyno".to_owned(), "explain".to_owned()];
        let policy = self.original.as_ref().unwrap_or(&self.policy);
        words.extend(["--policy".to_owned(), policy.display().to_string()]);
        for (flag, value) in [("--tags", &self.tags), ("--profile", &self.profile)] {
            words.extend(value.iter().flat_map(|value| [flag.to_owned(), value.clone()]));
        }
        words.extend(["--project".to_owned(), job.project_path.clone()]);
        if job.is_protected {
            words.push("--protected".to_owned());
        }
        words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A driver call, read and decided: nothing has happened yet.
#[derive(Debug)]
pub struct Call {
    /// The runner's side of it.
    pub contract: Contract,
    /// The job.
    pub job: Job,
    /// The policy file, as meant.
    pub policy: Policy,
    /// Who started this process.
    pub parent: Parent,
    entry: Entry,
}

/// The file by which config hands GitLab's word on the job to the later calls: in the folder that
/// only the runner's user can read.
const WHO_FILE: &str = "dyno-who.json";

impl Call {
    /// Reads the policy and the job.
    ///
    /// # Errors
    /// A broken policy is the platform's fault; a broken job response too: GitLab and the runner
    /// wrote it.
    pub fn open(entry: Entry, vars: &dyn Vars) -> Result<Self> {
        let contract = Contract::read(vars);
        let file = contract.job_response_file.as_deref().ok_or_else(|| {
            Error::system("`JOB_RESPONSE_FILE` is not set")
                .hint("let gitlab-runner 17.9 or newer call this verb, or use `dyno try`")
        })?;
        let job = Job::read(file)
            .map_err(|error| Error::system(error).hint("use gitlab-runner 17.9 or newer"))?;
        let policy = policy::read(&entry.policy)?;
        let policy = match &entry.original {
            Some(original) => policy.copied_from(original),
            None => policy,
        };
        Ok(Self { contract, job, policy, parent: Parent::find(), entry })
    }

    /// The profile that applies to this job on this runner entry.
    ///
    /// # Errors
    /// When none or several apply; the text names each candidate and why not.
    pub fn profile(&self) -> Result<&Profile> {
        self.policy
            .profile(self.entry.tags.as_deref(), self.entry.profile.as_deref(), &self.job)
            .map_err(|none| {
                let explain = self.entry.explain(&self.job);
                Error::refused(none).hint(format!("ask the platform team, or run `{explain}`"))
            })
    }

    /// The folder of the job's own: `<state>/jobs/dyno-4711`.
    pub fn folder(&self) -> PathBuf {
        self.policy.state.join("jobs").join(self.job.id.resource_name())
    }

    /// Keeps GitLab's word on the job for the later calls.
    ///
    /// # Errors
    /// When the runner's folder cannot be written.
    pub fn keep_who(&self, who: &Who) -> Result<()> {
        let text = serde_json::to_vec(who).map_err(Error::system)?;
        write_private(&self.contract.folder.join(WHO_FILE), &text).map_err(Error::system)
    }

    /// GitLab's word on the job as config left it; nothing known where config asked nothing.
    pub fn who(&self) -> Who {
        std::fs::read(self.contract.folder.join(WHO_FILE))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// Replaces every secret of the job in a text that no runner masks.
    pub fn mask(&self, text: &str) -> String {
        self.job
            .masked_values()
            .iter()
            .filter(|value| value.reveal().len() > 3)
            .fold(text.to_owned(), |text, value| text.replace(value.reveal(), "[MASKED]"))
    }
}

/// This program, as a path that another process can open.
pub(super) fn own_program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"))
}

/// Writes a file that nobody but its owner can read, through no link.
fn write_private(path: &Path, text: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)
}
