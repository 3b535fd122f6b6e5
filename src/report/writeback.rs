//! The verdict's way back into the job: this script, its later scripts, and the later jobs.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::Folder;
use crate::job::Vars;
use crate::verdict::Verdict;

/// Names that the shell, the runner or GitLab means something by.
const PREFIXES: &[&str] =
    &["LD_", "BASH_", "DYNO_", "CI_", "GITLAB_", "RUNNER_", "CUSTOM_ENV_", "GIT_", "PYTHON"];
const NAMES: &[&str] = &[
    "PATH",
    "ENV",
    "IFS",
    "HOME",
    "CI",
    "SHELL",
    "SHELLOPTS",
    "BASHOPTS",
    "BASH",
    "PS4",
    "PROMPT_COMMAND",
    "CDPATH",
    "GLOBIGNORE",
    "TMPDIR",
    "USER",
    "LOGNAME",
    "PWD",
    "OLDPWD",
    "UID",
    "EUID",
    "PPID",
    "HOSTNAME",
    "LANG",
    "KUBECONFIG",
    "SSL_CERT_FILE",
    "_",
];

/// What keeps a verdict from being handed on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that no shell takes.
    #[error(
        "`{0}` is not the name of a variable: letters, digits and `_`, not starting with a digit"
    )]
    Name(String),
    /// A name that the shell, the runner or GitLab means something by.
    #[error("`{0}` is a name that the shell, the runner or GitLab uses itself; choose another one")]
    Reserved(String),
    /// A file that is written.
    #[error("cannot write the variable to `{path}`")]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The dotenv report.
    #[error("cannot write the variable to the dotenv report")]
    Report(#[source] super::Error),
}

/// What the variable says. Whatever is no pass is `failed`: scripts know only these two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// Goes on.
    Passed,
    /// Does not.
    Failed,
}

impl From<Verdict> for Value {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Passed | Verdict::Warned => Self::Passed,
            Verdict::Inconclusive | Verdict::Error | Verdict::Failed => Self::Failed,
        }
    }
}

impl Value {
    /// Returns the variable's text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The places a verdict's variable is written to, on the job's side.
#[derive(Debug, Clone)]
pub struct Writeback {
    key: String,
    export: Option<PathBuf>,
    gitlab_env: Option<PathBuf>,
    folder: Folder,
}

impl Writeback {
    /// Finds the places by the job's variables.
    ///
    /// # Errors
    /// When the name cannot or must not be a variable of a job.
    pub fn new(key: &str, vars: &dyn Vars, folder: Folder) -> Result<Self, Error> {
        check_name(key)?;
        Ok(Self {
            key: key.to_owned(),
            export: vars.filled("DYNO_EXPORT_FILE").map(PathBuf::from),
            gitlab_env: vars.filled("GITLAB_ENV").map(PathBuf::from),
            folder,
        })
    }

    /// Writes the value: for the next line of this script, for later scripts of this job, for later
    /// jobs. Every place is tried, whatever happens at the others.
    ///
    /// # Errors
    /// With every place that does not hold the value now.
    pub fn write(&self, value: Value) -> Result<(), Vec<Error>> {
        let export = self.export.as_deref().map(|file| add_export(file, &self.key, value));
        let env = self.gitlab_env.as_deref().map(|path| set_line(path, &self.key, value));
        let dotenv = self
            .folder
            .merge_dotenv(&[(self.key.clone(), value.to_string())])
            .map_err(Error::Report);
        let errors: Vec<Error> =
            [export, env, Some(dotenv)].into_iter().flatten().filter_map(Result::err).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

/// Checks the name of a variable that a tool writes.
///
/// # Errors
/// When no shell takes it, or when setting it would change more than a verdict.
pub fn check_name(key: &str) -> Result<(), Error> {
    let is_name = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && key.len() <= 255;
    if !is_name {
        return Err(Error::Name(key.to_owned()));
    }
    if NAMES.contains(&key) || PREFIXES.iter().any(|prefix| key.starts_with(prefix)) {
        Err(Error::Reserved(key.to_owned()))
    } else {
        Ok(())
    }
}

/// Adds to the file that the shell function of this call reads after it.
fn add_export(file: &Path, key: &str, value: Value) -> Result<(), Error> {
    let write = || {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file)?;
        // Both the name (checked) and the value (one of two words) need no quotes.
        writeln!(file, "export {key}={value}")
    };
    write().map_err(|source| Error::Write { path: file.to_owned(), source })
}

/// Sets a line `KEY=VALUE`: in place of an earlier one of that key, else at the end. The file
/// stays the same one: the runner made it.
fn set_line(path: &Path, key: &str, value: Value) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let before = match std::fs::read(path) {
        Ok(before) => before,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    let prefix = format!("{key}=");
    let mut after = Vec::with_capacity(before.len() + prefix.len() + 8);
    for line in before.split_inclusive(|byte| *byte == b'\n') {
        if !line.starts_with(prefix.as_bytes()) {
            after.extend_from_slice(line);
        }
    }
    if after.last().is_some_and(|byte| *byte != b'\n') {
        after.push(b'\n');
    }
    after.extend_from_slice(format!("{prefix}{value}\n").as_bytes());
    std::fs::write(path, after).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn places() -> (tempfile::TempDir, Writeback) {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
        std::fs::create_dir(root.path().join("exports")).unwrap();
        let vars = BTreeMap::from([
            ("DYNO_EXPORT_FILE".to_owned(), path("exports/1.sh")),
            ("GITLAB_ENV".to_owned(), path("env")),
        ]);
        let folder = Folder::create(&root.path().join("report")).unwrap();
        let writeback = Writeback::new("abc", &vars, folder).unwrap();
        (root, writeback)
    }

    #[test]
    fn a_verdict_is_written_to_all_three_places_and_replaces_an_earlier_one() {
        let (root, writeback) = places();
        let read = |name: &str| std::fs::read_to_string(root.path().join(name)).unwrap();
        std::fs::write(root.path().join("env"), "abcd=1\nabc=old\nB=2").unwrap();
        writeback.write(Value::Failed).unwrap();
        assert_eq!(read("env"), "abcd=1\nB=2\nabc=failed\n");
        writeback.write(Value::Passed).unwrap();
        assert!(read("exports/1.sh").ends_with("export abc=passed\n"));
        assert_eq!(read("env"), "abcd=1\nB=2\nabc=passed\n");
        assert_eq!(read("report/dyno.env"), "abc=passed\n");
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told_and_the_others_are_written() {
        let (root, writeback) = places();
        std::fs::remove_dir(root.path().join("exports")).unwrap();
        let errors = writeback.write(Value::Failed).unwrap_err();
        assert_eq!(errors.len(), 1);
        assert!(errors[0].to_string().contains("exports/1.sh"), "{}", errors[0]);
        assert!(root.path().join("env").exists());
    }

    #[test]
    fn only_a_pass_is_written_as_passed() {
        for (verdict, text) in [
            (Verdict::Passed, "passed"),
            (Verdict::Warned, "passed"),
            (Verdict::Inconclusive, "failed"),
            (Verdict::Error, "failed"),
            (Verdict::Failed, "failed"),
        ] {
            assert_eq!(Value::from(verdict).as_str(), text);
        }
    }

    #[test]
    fn names_that_mean_something_to_others_are_refused() {
        for name in ["abc", "_x", "VERDICT_2", "a"] {
            check_name(name).unwrap();
        }
        for name in ["", "1a", "a-b", "a b", "a;id", "ä", "a\n"] {
            assert!(matches!(check_name(name), Err(Error::Name(_))), "{name}");
        }
        for name in ["PATH", "LD_PRELOAD", "BASH_ENV", "DYNO_SOCKET", "CI_JOB_TOKEN", "CI", "ENV"] {
            assert!(matches!(check_name(name), Err(Error::Reserved(_))), "{name}");
        }
    }
}
