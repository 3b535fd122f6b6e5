//! The scripts of a job, as gitlab-runner generates them for bash.

mod shell;
mod sources;
mod transfer;

use crate::pipeline::build::Build;
use crate::pipeline::script::shell::Shell;
use crate::pipeline::variables;

/// A stage that the driver's `run` is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Prints where the job runs.
    PrepareScript,
    /// Fetches and checks out.
    GetSources,
    /// Empties the work tree between two tries of `get_sources`.
    ClearWorktree,
    /// Unpacks caches.
    RestoreCache,
    /// Downloads the artifacts of earlier jobs.
    DownloadArtifacts,
    /// The user's script.
    BuildScript,
    /// The user's `after_script`.
    AfterScript,
    /// Packs caches; of a failed job when the flag is set.
    ArchiveCache(Passed),
    /// Uploads artifacts and reports.
    UploadArtifacts(Passed),
    /// Removes what the runner itself left.
    CleanupFileVariables,
}

/// How the user's script ended, where a stage depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// It passed.
    Yes,
    /// It failed.
    No,
}

impl Passed {
    /// True when something with this `when:` is due.
    fn asks(self, when: &str) -> bool {
        match when {
            "always" => true,
            "on_failure" => self == Self::No,
            _ => self == Self::Yes,
        }
    }
}

impl Stage {
    /// The stage's argument to `run`.
    pub fn argument(self) -> &'static str {
        match self {
            Self::PrepareScript => "prepare_script",
            Self::GetSources => "get_sources",
            Self::ClearWorktree => "clear_worktree",
            Self::RestoreCache => "restore_cache",
            Self::DownloadArtifacts => "download_artifacts",
            Self::BuildScript => "build_script",
            Self::AfterScript => "after_script",
            Self::ArchiveCache(Passed::Yes) => "archive_cache",
            Self::ArchiveCache(Passed::No) => "archive_cache_on_failure",
            Self::UploadArtifacts(Passed::Yes) => "upload_artifacts_on_success",
            Self::UploadArtifacts(Passed::No) => "upload_artifacts_on_failure",
            Self::CleanupFileVariables => "cleanup_file_variables",
        }
    }

    /// The name of its section in the job log.
    pub fn section(self) -> &'static str {
        if self == Self::BuildScript { "step_script" } else { self.argument() }
    }

    /// The title of its section.
    pub fn title(self) -> &'static str {
        match self {
            Self::PrepareScript => "Preparing environment",
            Self::GetSources => "Getting source from Git repository",
            Self::ClearWorktree => {
                "Deleting all tracked and untracked files due to source fetch failure"
            }
            Self::RestoreCache => "Restoring cache",
            Self::DownloadArtifacts => "Downloading artifacts",
            Self::BuildScript => "Executing \"step_script\" stage of the job script",
            Self::AfterScript => "Running after_script",
            Self::ArchiveCache(Passed::Yes) => "Saving cache for successful job",
            Self::ArchiveCache(Passed::No) => "Saving cache for failed job",
            Self::UploadArtifacts(Passed::Yes) => "Uploading artifacts for successful job",
            Self::UploadArtifacts(Passed::No) => "Uploading artifacts for failed job",
            Self::CleanupFileVariables => "Cleaning up project directory and file based variables",
        }
    }
}

/// Generates a stage's script; `None` when the stage has nothing to do and is not called.
pub fn generate(stage: Stage, build: &Build) -> Option<String> {
    let mut shell = Shell::default();
    let done = match stage {
        Stage::PrepareScript => {
            shell.line(&format!("echo \"Running on $(hostname) via {}...\"", build.hostname));
            shell.command("rm", &["-f", &build.temp_file("gitlab_runner_env")]);
            shell.command("rm", &["-f", &build.temp_file("masking.db")]);
            true
        }
        Stage::GetSources => {
            exports(&mut shell, build);
            sources::get(&mut shell, build);
            true
        }
        Stage::ClearWorktree => {
            sources::clear(&mut shell, build);
            true
        }
        Stage::CleanupFileVariables => {
            exports(&mut shell, build);
            sources::clean_up(&mut shell, build);
            true
        }
        Stage::BuildScript => steps(&mut shell, build, "script"),
        Stage::AfterScript => steps(&mut shell, build, "after_script"),
        Stage::RestoreCache => inside(&mut shell, build, transfer::restore_cache),
        Stage::DownloadArtifacts => inside(&mut shell, build, transfer::download_artifacts),
        Stage::ArchiveCache(passed) => {
            inside(&mut shell, build, |shell, build| transfer::archive_cache(shell, build, passed))
        }
        Stage::UploadArtifacts(passed) => inside(&mut shell, build, |shell, build| {
            transfer::upload_artifacts(shell, build, passed)
        }),
    };
    let traced = build.job_variable("CI_DEBUG_TRACE") == "true";
    done.then(|| shell.finish(traced))
}

/// The common part of the stages that run in the project directory.
fn inside(shell: &mut Shell, build: &Build, body: impl FnOnce(&mut Shell, &Build) -> bool) -> bool {
    exports(shell, build);
    shell.command("cd", &[&build.project_dir()]);
    body(shell, build)
}

/// The user's commands of one step; an empty step is not called.
fn steps(shell: &mut Shell, build: &Build, name: &str) -> bool {
    inside(shell, build, |shell, build| {
        if name == "after_script" {
            shell.notice("Running after script...");
        }
        let mut any = false;
        for step in build.response.steps.iter().filter(|step| step.name == name) {
            for command in &step.script {
                any = true;
                user_command(shell, command);
            }
        }
        any
    })
}

fn user_command(shell: &mut Shell, command: &str) {
    let command = command.trim();
    match command.split_once('\n') {
        Some((first, _)) => {
            shell.notice(&format!("$ {first} # collapsed multi-line command"));
        }
        None if command.is_empty() => shell.line("echo"),
        None => shell.notice(&format!("$ {command}")),
    }
    shell.line(command);
}

/// One `export` a variable, in the runner's order, then what the job wrote to `$GITLAB_ENV`.
fn exports(shell: &mut Shell, build: &Build) {
    let temp_dir = build.temp_dir();
    for variable in variables::expanded(build) {
        if variable.file {
            shell.file_variable(&temp_dir, &variable.key, &variable.value);
        } else {
            shell.export(&variable.key, &variable.value);
        }
    }
    let env_file = build.temp_file("gitlab_runner_env");
    shell.export("GITLAB_ENV", &env_file);
    shell.line(&format!("mkdir -p \"{temp_dir}\""));
    shell.line(&format!("touch \"{env_file}\""));
    shell.line(&format!("while read -r line; do export \"$line\"; done < \"{env_file}\""));
}

#[cfg(test)]
mod tests;
