//! `dyno try`: runs a pipeline file on a laptop through the driver's own four verbs.

mod folder;
mod yaml;
mod inputs;
mod file;
mod plan;
mod response;
mod expand;
mod variables;
mod build;
mod dotenv;
mod snapshot;
mod changed;
mod submodules;
mod coordinator;
mod describe;
mod schedule;
pub mod helper;
pub mod runner;
mod summary;
mod laptop;
mod run;
pub mod script;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::job::Vars;
use crate::pipeline::coordinator::{Coordinator, Project, Store, User};
use crate::pipeline::describe::Pipeline;
use crate::pipeline::plan::{Job, Plan, Setting, When};
use crate::pipeline::snapshot::Git;
use crate::pipeline::yaml::Remark;

pub use coordinator::ProjectVariable;
pub use folder::Folder;
pub use response::Variable;
pub use runner::{Console, Driver, Interrupt, Interrupter, Level, Timing};
pub use summary::Summary;

/// A pipeline that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is written is wrong, or not there.
    #[error(transparent)]
    File(#[from] file::Error),
    /// What is asked for is wrong.
    #[error("{0}")]
    Asked(String),
    /// The working tree cannot be taken.
    #[error("cannot take a snapshot of `{folder}`")]
    Snapshot {
        /// Of what.
        folder: PathBuf,
        /// Why not.
        source: snapshot::Error,
    },
    /// The stand-in for GitLab does not start.
    #[error(transparent)]
    Coordinator(#[from] coordinator::Error),
    /// The driver's policy cannot be made.
    #[error(transparent)]
    Policy(#[from] laptop::Error),
    /// A temporary folder cannot be made.
    #[error("cannot make the temporary folder `{path}`")]
    Folder {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// What the user asks for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The pipeline file.
    pub file: PathBuf,
    /// The project's folder; found from the file when `None`.
    pub folder: Option<PathBuf>,
    /// Jobs by name; all when empty.
    pub jobs: Vec<String>,
    /// A policy of the user's own.
    pub policy: Option<PathBuf>,
    /// A profile by name, instead of the jobs' tags.
    pub profile: Option<String>,
    /// Project variables.
    pub variables: Vec<ProjectVariable>,
    /// `group/project`.
    pub project: Option<String>,
    /// Branch.
    pub branch: Option<String>,
    /// `CI_DEFAULT_BRANCH`.
    pub default_branch: Option<String>,
    /// `CI_PIPELINE_SOURCE`.
    pub source: String,
    /// How many jobs run at the same time.
    pub n_parallel: usize,
    /// The driver's executable.
    pub driver: PathBuf,
    /// The runner's times.
    pub timing: Timing,
    /// A folder for the logs.
    pub traces: Option<PathBuf>,
    /// A kubeconfig for the laptop's policy.
    pub kubeconfig: Option<PathBuf>,
    /// A Docker daemon's socket for the laptop's policy.
    pub docker: Option<PathBuf>,
}

/// A pipeline that is ready to be run or shown.
#[derive(Debug)]
pub struct Ready {
    plan: Plan,
    pipeline: Pipeline,
    git: Git,
    submodules: BTreeMap<String, PathBuf>,
}

/// Reads the file, takes the snapshot into `temp`, decides the rules.
pub async fn read(options: &Options, temp: &Path, vars: &dyn Vars) -> Result<Ready, Error> {
    let git = Git::new(vars);
    let folder = project_folder(options, &git).await?;
    let file = std::path::absolute(&options.file).unwrap_or_else(|_| options.file.clone());
    let merged = file::read(&file, &folder)?;
    let snapshot =
        snapshot::take(&git, &folder, &temp.join("repository.git"), options.branch.as_deref())
            .await
            .map_err(|source| Error::Snapshot { folder: folder.clone(), source })?;
    let default_branch = options.default_branch.clone().unwrap_or_else(|| "main".to_owned());
    let id = u64::from(std::process::id());
    let seconds = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default();
    let pipeline = Pipeline {
        // Two runs at the same time differ by the process, later ones by the second.
        id: seconds % 10_000_000 * 1000 + id % 1000,
        url: "http://127.0.0.1".to_owned(),
        project: Project { id: 1, path: project_path(options, &snapshot, &folder) },
        user: user(options, &snapshot, vars),
        is_protected: snapshot.branch == default_branch
            || ["main", "master"].contains(&snapshot.branch.as_str()),
        snapshot,
        source: options.source.clone(),
        default_branch,
        config_path: file.strip_prefix(&folder).unwrap_or(&file).display().to_string(),
        created_at: run::now(),
    };
    let changed = changed::find(&git, &folder, &pipeline.snapshot, &pipeline.source).await;
    let setting = Setting {
        folder,
        predefined: pipeline.predefined(),
        changed,
        project: options.variables.iter().map(|given| given.variable.clone()).collect(),
    };
    let submodules = submodules::served(&git, &setting.folder, &pipeline.project.path).await;
    let plan = plan::read(&merged, &setting).map_err(file::Error::Wrong)?;
    let ready = Ready { plan, pipeline, git, submodules };
    ready.check_names(&options.jobs)?;
    Ok(ready)
}

impl Ready {
    /// What the author of the file should know.
    pub fn warnings(&self) -> &[Remark] {
        &self.plan.warnings
    }

    fn check_names(&self, names: &[String]) -> Result<(), Error> {
        for name in names {
            if self.plan.jobs.iter().any(|job| job.name == *name) {
                continue;
            }
            return Err(Error::Asked(if self.plan.left_out.contains(name) {
                format!(
                    "job `{name}` is left out of this pipeline by its rules (`rules:`, `only:` or `except:`)"
                )
            } else {
                let all: Vec<&str> = self.plan.jobs.iter().map(|job| job.name.as_str()).collect();
                format!("there is no job `{name}`; there are {}", all.join(", "))
            }));
        }
        Ok(())
    }

    /// What the jobs check out, where that is not simply the commit.
    pub fn note(&self) -> Option<String> {
        let snapshot = &self.pipeline.snapshot;
        let short = snapshot.sha.get(..8).unwrap_or(&snapshot.sha);
        let branch = &snapshot.branch;
        snapshot
            .is_dirty
            .then(|| format!("uncommitted changes are included: commit {short} on {branch}"))
    }

    /// The stages, then the jobs as a table: name, stage, when, tags, image.
    pub fn list(&self) -> Vec<String> {
        let head = ["job", "stage", "when", "tags", "image"].map(str::to_owned).to_vec();
        let row = |job: &Job| {
            let when = match job.when {
                When::OnSuccess => "on_success",
                When::OnFailure => "on_failure",
                When::Always => "always",
                When::Manual => "manual",
                When::Delayed => "delayed",
            };
            let image = job.image.as_ref().map(|image| image.name.clone()).unwrap_or_default();
            vec![job.name.clone(), job.stage.clone(), when.to_owned(), job.tags.join(","), image]
        };
        let rows: Vec<Vec<String>> =
            std::iter::once(head).chain(self.plan.jobs.iter().map(row)).collect();
        let mut lines = vec![format!("stages: {}", self.plan.stages.join(", "))];
        lines.extend(summary::aligned(&rows));
        let held = self.plan.jobs.iter().filter_map(|job| Some((&job.name, job.held.as_ref()?)));
        lines.extend(held.map(|(name, why)| format!("held back: {name}: {why}")));
        if !self.plan.left_out.is_empty() {
            lines.push(format!(
                "left out by `rules:`, `only:` or `except:`: {}",
                self.plan.left_out.join(", ")
            ));
        }
        lines
    }

    /// Runs it; everything it writes goes below `temp`.
    pub async fn run(
        mut self,
        options: &Options,
        temp: &Path,
        vars: &dyn Vars,
        (console, interrupt): (Console, Interrupt),
    ) -> Result<Summary, Error> {
        let id = self.pipeline.id;
        snapshot::name_pipeline(&self.git, &self.pipeline.snapshot, id)
            .await
            .map_err(|source| Error::Snapshot { folder: temp.to_owned(), source })?;
        let repository = self.pipeline.snapshot.repository.clone();
        let store = self.store(options, temp);
        let coordinator = Coordinator::start(store, repository, self.git.clone()).await?;
        self.pipeline.url = coordinator.url();
        let (driver, passes_tags) = driver(options, temp, &coordinator.url())?;
        let console = self.aligned(console, options);
        let folder = temp.join("runner");
        for folder in [Some(&folder), options.traces.as_ref()].into_iter().flatten() {
            std::fs::create_dir_all(folder)
                .map_err(|source| Error::Folder { path: folder.clone(), source })?;
        }
        let setup = run::Setup {
            plan: self.plan,
            pipeline: self.pipeline,
            selected: options.jobs.clone(),
            n_parallel: options.n_parallel.max(1),
            driver,
            passes_tags,
            timing: options.timing,
            environment: Arc::new(vars.all()),
            traces: options.traces.clone(),
            folder,
        };
        Ok(run::run(&setup, &coordinator, console, interrupt).await)
    }

    /// Lines carry the job's name where several jobs can run at once.
    fn aligned(&self, console: Console, options: &Options) -> Console {
        let selected = |job: &&Job| options.jobs.is_empty() || options.jobs.contains(&job.name);
        let jobs: Vec<&Job> = self.plan.jobs.iter().filter(selected).collect();
        let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        let together = jobs.iter().any(|job| {
            jobs.iter().any(|other| {
                other.name != job.name
                    && (other.stage_index == job.stage_index || other.needs.is_some())
            })
        });
        if together && options.n_parallel > 1 { console.aligned(&names) } else { console }
    }

    fn store(&self, options: &Options, temp: &Path) -> Store {
        let mut variables = options.variables.clone();
        // A script that writes a variable needs a token for it, as it has in GitLab. Without one
        // of the user's own there is one that opens nothing but this stand-in.
        let given = variables.iter().rev().find(|given| given.variable.key == "GITLAB_TOKEN");
        let mut tokens = if let Some(given) = given {
            vec![given.variable.value.clone()]
        } else {
            let token = format!("glpat-{}", run::random_text());
            variables.push(ProjectVariable {
                variable: Variable::masked("GITLAB_TOKEN", token.clone()),
                scope: "*".to_owned(),
                protected: false,
            });
            vec![token]
        };
        tokens.extend(options.policy.as_deref().and_then(write_token));
        Store {
            project: self.pipeline.project.clone(),
            user: self.pipeline.user.clone(),
            submodules: self.submodules.clone(),
            folder: temp.join("uploads"),
            api_tokens: tokens,
            variables,
            written: Vec::new(),
            jobs: BTreeMap::new(),
            uploads: BTreeMap::new(),
            dotenv: BTreeMap::new(),
        }
    }
}

/// The token that the user's policy lets the driver write variables with.
fn write_token(policy: &Path) -> Option<String> {
    let file = crate::policy::read(policy).ok()?.variables_token_file?;
    crate::policy::secrets::read(&file).ok().map(|token| token.reveal().clone())
}

/// The driver with its policy, and whether the jobs' tags choose the profile.
fn driver(options: &Options, temp: &Path, url: &str) -> Result<(Driver, bool), Error> {
    let (folder, state) = (temp.join("policy"), temp.join("state"));
    for path in [&folder, &state] {
        std::fs::create_dir_all(path)
            .map_err(|source| Error::Folder { path: path.clone(), source })?;
    }
    let run = laptop::Run { url, state: &state, folder: &folder };
    let (file, profile) = if let Some(policy) = &options.policy {
        (laptop::write_copy(&run, policy)?, options.profile.as_deref())
    } else {
        let file =
            laptop::write_embedded(&run, options.kubeconfig.as_deref(), options.docker.as_deref())?;
        (file, Some(laptop::PROFILE))
    };
    let mut arguments = vec!["--policy".to_owned(), file.display().to_string()];
    // The copy is gone when its name is read: refusals name the user's own file.
    let original = options.policy.as_deref().unwrap_or(Path::new(""));
    arguments.push(format!("--original={}", original.display()));
    if let Some(profile) = profile {
        arguments.extend(["--profile".to_owned(), profile.to_owned()]);
    }
    Ok((Driver { program: options.driver.clone(), arguments }, profile.is_none()))
}

/// The folder that the user names, else the repository around the file, else the file's own.
async fn project_folder(options: &Options, git: &Git) -> Result<PathBuf, Error> {
    let own = if let Some(folder) = &options.folder {
        folder.clone()
    } else {
        let file = std::path::absolute(&options.file).unwrap_or_else(|_| options.file.clone());
        let folder = file.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
        snapshot::top_of(git, &folder).await.unwrap_or(folder)
    };
    own.canonicalize()
        .map_err(|source| Error::File(file::Error::Read { path: options.file.clone(), source }))
}

/// What the user says, else the remote's path, else `local/` and the folder's name.
fn project_path(options: &Options, snapshot: &snapshot::Snapshot, folder: &Path) -> String {
    let name = || {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        format!("local/{}", describe::slug(&name.unwrap_or_else(|| "project".to_owned())))
    };
    let given = options.project.clone().or_else(|| snapshot.remote_path.clone());
    given.map_or_else(name, |path| path.trim_matches('/').to_owned())
}

/// `GITLAB_USER_…` where they are given, else the user of this machine and of git.
fn user(options: &Options, snapshot: &snapshot::Snapshot, vars: &dyn Vars) -> User {
    let given = |key: &str| {
        let found = options.variables.iter().rev().find(|given| given.variable.key == key);
        found.map(|given| given.variable.value.clone())
    };
    let login = given("GITLAB_USER_LOGIN").or_else(|| vars.filled("USER"));
    User {
        id: given("GITLAB_USER_ID").and_then(|id| id.parse().ok()).unwrap_or(1),
        login: login.unwrap_or_else(|| "dev".to_owned()),
        name: given("GITLAB_USER_NAME").unwrap_or_else(|| snapshot.user.0.clone()),
        email: given("GITLAB_USER_EMAIL").unwrap_or_else(|| snapshot.user.1.clone()),
    }
}

/// Bytes as lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect()
}

fn digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}
