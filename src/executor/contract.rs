//! What gitlab-runner promises a driver in the environment, and how a driver answers with its end.

use std::path::{Path, PathBuf};

use crate::error::{Error, Fault};
use crate::job::Vars;

/// The unprefixed variables of a driver call. A job variable of the same name only becomes
/// `CUSTOM_ENV_…`, so these cannot be forged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// Exit code that means: the job failed.
    pub build_failure: u8,
    /// Exit code that means: the platform failed.
    pub system_failure: u8,
    /// Where the job's true exit code goes; gitlab-runner 17.9 and later.
    pub exit_code_file: Option<PathBuf>,
    /// The job, as GitLab gave it.
    pub job_response_file: Option<PathBuf>,
    /// The folder of this prepare attempt, which only the runner's user can read.
    pub folder: PathBuf,
}

impl Contract {
    /// Reads the contract; a variable that is missing or no exit code gets the runner's default.
    pub fn read(vars: &dyn Vars) -> Self {
        let code = |name: &str, default: u8| {
            vars.get(name)
                .and_then(|text| text.trim().parse().ok())
                .filter(|&code| code != 0)
                .unwrap_or(default)
        };
        Self {
            build_failure: code("BUILD_FAILURE_EXIT_CODE", 1),
            system_failure: code("SYSTEM_FAILURE_EXIT_CODE", 2),
            exit_code_file: vars.filled("BUILD_EXIT_CODE_FILE").map(PathBuf::from),
            job_response_file: vars.filled("JOB_RESPONSE_FILE").map(PathBuf::from),
            folder: vars.filled("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from),
        }
    }

    /// The folder that the runner made for this job alone, and removes with it.
    pub fn runners_folder(&self) -> Option<PathBuf> {
        let name = self.folder.file_name()?.to_str()?;
        name.starts_with("custom-executor").then(|| self.folder.clone())
    }

    /// Returns the exit code for an end, having written the true code where the runner reads it.
    pub fn end(&self, end: End) -> u8 {
        match end {
            End::Ok => 0,
            End::Job(code) => {
                // The file is never cleared between stages: it is written anew before every
                // failure. Zero would be no failure at all.
                let code = if code == 0 { 1 } else { code };
                match self.exit_code_file.as_deref().map(|file| write_code(file, code)) {
                    Some(Err(error)) => {
                        tracing::error!(%error, "cannot write the exit code file");
                        self.system_failure
                    }
                    Some(Ok(())) | None => self.build_failure,
                }
            }
            End::System => self.system_failure,
        }
    }
}

fn write_code(file: &Path, code: i32) -> std::io::Result<()> {
    std::fs::write(file, format!("{code}\n"))
}

/// How a driver call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All went well.
    Ok,
    /// The job failed, with this exit code.
    Job(i32),
    /// The platform failed.
    System,
}

impl From<&Error> for End {
    fn from(error: &Error) -> Self {
        match error.fault() {
            Fault::Job => Self::Job(i32::from(error.as_outcome().code())),
            Fault::System => Self::System,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_runners_codes_are_read_and_never_assumed() {
        let contract = Contract::read(&vars(&[
            ("BUILD_FAILURE_EXIT_CODE", "77"),
            ("SYSTEM_FAILURE_EXIT_CODE", "78"),
        ]));
        assert_eq!(contract.end(End::Job(42)), 77);
        assert_eq!(contract.end(End::System), 78);
        assert_eq!(contract.end(End::Ok), 0);
    }

    #[test]
    fn a_code_that_would_mean_success_is_not_believed() {
        let contract = Contract::read(&vars(&[("BUILD_FAILURE_EXIT_CODE", "0")]));
        assert_eq!(contract.build_failure, 1);
    }

    #[test]
    fn the_true_code_stands_alone_in_the_file_and_is_never_zero() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("build_exit_code");
        std::fs::write(&file, "something longer from before").unwrap();
        let contract = Contract::read(&vars(&[("BUILD_EXIT_CODE_FILE", file.to_str().unwrap())]));
        for (code, text) in [(42, "42\n"), (0, "1\n"), (137, "137\n")] {
            assert_eq!(contract.end(End::Job(code)), 1);
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
    }

    #[test]
    fn a_code_that_cannot_be_told_is_the_platforms_failure() {
        let contract =
            Contract::read(&vars(&[("BUILD_EXIT_CODE_FILE", "/nowhere/build_exit_code")]));
        assert_eq!(contract.end(End::Job(42)), 2);
    }
}
