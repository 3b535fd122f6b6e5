//! The stages of a job, as gitlab-runner names them to a custom executor.

use std::fmt;

/// A stage that `run` is called for. Unknown names run as plain scripts: the list has changed before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptStage {
    /// `prepare_script`: prints where the job runs.
    PrepareScript,
    /// `get_sources` and `clear_worktree`: git.
    GetSources,
    /// `restore_cache`, `download_artifacts`, `archive_cache…`, `upload_artifacts…`: the runner's
    /// helper commands.
    Transfer(String),
    /// `build_script`, `step_script`, `step_…` and any unknown name: the user's commands.
    Build(String),
    /// `after_script`: the user's commands, after success, failure or cancel.
    After,
    /// `cleanup_file_variables`.
    Housekeeping,
}

impl ScriptStage {
    /// Reads the stage argument of `run`; never fails.
    pub fn parse(name: &str) -> Self {
        match name {
            "prepare_script" => Self::PrepareScript,
            "get_sources" | "clear_worktree" => Self::GetSources,
            "restore_cache" | "download_artifacts" => Self::Transfer(name.to_owned()),
            "after_script" => Self::After,
            "cleanup_file_variables" => Self::Housekeeping,
            _ if name.starts_with("archive_cache") || name.starts_with("upload_artifacts") => {
                Self::Transfer(name.to_owned())
            }
            _ => Self::Build(name.to_owned()),
        }
    }

    /// True where the stage runs what the user wrote.
    pub fn is_the_users(&self) -> bool {
        match self {
            Self::Build(_) | Self::After => true,
            Self::PrepareScript | Self::GetSources | Self::Transfer(_) | Self::Housekeeping => {
                false
            }
        }
    }

    /// True where the stage has to reach GitLab even in a job without network.
    pub fn needs_gitlab(&self) -> bool {
        match self {
            Self::GetSources | Self::Transfer(_) => true,
            Self::PrepareScript | Self::Build(_) | Self::After | Self::Housekeeping => false,
        }
    }
}

impl fmt::Display for ScriptStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrepareScript => "prepare_script",
            Self::GetSources => "get_sources",
            Self::Transfer(name) | Self::Build(name) => name,
            Self::After => "after_script",
            Self::Housekeeping => "cleanup_file_variables",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_new_and_unknown_stage_names_are_understood() {
        for (name, users, gitlab) in [
            ("prepare_script", false, false),
            ("get_sources", false, true),
            ("clear_worktree", false, true),
            ("restore_cache", false, true),
            ("download_artifacts", false, true),
            ("build_script", true, false),
            ("step_script", true, false),
            ("step_release", true, false),
            ("never_heard_of", true, false),
            ("after_script", true, false),
            ("archive_cache", false, true),
            ("archive_cache_on_failure", false, true),
            ("upload_artifacts_on_success", false, true),
            ("upload_artifacts_on_failure", false, true),
            ("cleanup_file_variables", false, false),
        ] {
            let stage = ScriptStage::parse(name);
            assert_eq!((stage.is_the_users(), stage.needs_gitlab()), (users, gitlab), "{name}");
        }
    }
}
