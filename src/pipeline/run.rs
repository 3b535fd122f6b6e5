//! A whole pipeline: job after job until nothing is left, each through a driver of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rand::TryRngCore;
use rand::rngs::OsRng;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::pipeline::build::{Build, Runner};
use crate::pipeline::coordinator::{Coordinator, JobRecord};
use crate::pipeline::describe::{Individual, Pipeline, environment_slug, slug};
use crate::pipeline::hex;
use crate::pipeline::plan::{Job, Plan, When};
use crate::pipeline::response::{Dependency, Response};
use crate::pipeline::runner::{
    Around, Attempt, Console, Driver, Finished, Interrupt, Level, Masker, Outcome, Timing, Trace,
};
use crate::pipeline::schedule::{Next, State, next, sources};
use crate::pipeline::summary::{JobSummary, Summary};

/// What a run is started with; everything in it is checked.
#[derive(Debug)]
pub struct Setup {
    /// The plan.
    pub plan: Plan,
    /// The pipeline; its address is the coordinator's.
    pub pipeline: Pipeline,
    /// Names of the jobs to run; empty for all.
    pub selected: Vec<String>,
    /// How many jobs run at the same time.
    pub n_parallel: usize,
    /// The driver.
    pub driver: Driver,
    /// True when the tags of a job follow as `--tags`.
    pub passes_tags: bool,
    /// The runner's times.
    pub timing: Timing,
    /// The environment of this process, which the driver inherits.
    pub environment: Arc<BTreeMap<String, String>>,
    /// Where logs are kept, if they are.
    pub traces: Option<PathBuf>,
    /// Where the driver's temporary folders go.
    pub folder: PathBuf,
}

/// A run in progress.
struct Run<'a> {
    setup: &'a Setup,
    coordinator: &'a Coordinator,
    console: Console,
    interrupt: Interrupt,
    states: Vec<State>,
    summaries: Vec<JobSummary>,
    tasks: JoinSet<(usize, Finished)>,
    started: BTreeMap<usize, Instant>,
    next_id: u64,
}

/// Runs the pipeline to its end. When the future is dropped, jobs lose their driver processes.
pub async fn run(
    setup: &Setup,
    coordinator: &Coordinator,
    console: Console,
    interrupt: Interrupt,
) -> Summary {
    let mut run = Run::new(setup, coordinator, console, interrupt);
    run.select();
    run.go().await;
    Summary {
        pipeline: setup.pipeline.id,
        sha: setup.pipeline.snapshot.sha.clone(),
        jobs: run.summaries,
        written: coordinator.with(|store| store.written.clone()),
        is_canceled: run.interrupt.level() != Level::Running,
    }
}

impl<'a> Run<'a> {
    fn new(
        setup: &'a Setup,
        coordinator: &'a Coordinator,
        console: Console,
        interrupt: Interrupt,
    ) -> Self {
        let summary = |job: &Job| JobSummary {
            id: 0,
            name: job.name.clone(),
            stage: job.stage.clone(),
            state: State::Unselected,
            exit_code: None,
            reason: String::new(),
            attempts: 0,
            duration: Duration::ZERO,
            trace: None,
        };
        Self {
            setup,
            coordinator,
            console,
            interrupt,
            states: vec![State::Unselected; setup.plan.jobs.len()],
            summaries: setup.plan.jobs.iter().map(summary).collect(),
            tasks: JoinSet::new(),
            started: BTreeMap::new(),
            // Jobs of several runs on one machine are told apart by their numbers.
            next_id: setup.pipeline.id * 1000 + 1,
        }
    }

    /// Marks the jobs that are to run; a manual one runs only where it is named.
    fn select(&mut self) {
        let setup = self.setup;
        for (at, job) in setup.plan.jobs.iter().enumerate() {
            let named = setup.selected.contains(&job.name);
            if !named && !setup.selected.is_empty() {
                continue;
            }
            match (&job.unable, &job.held) {
                (Some(why), _) => self.end(at, State::Skipped, why),
                (None, Some(why)) if !named => {
                    self.end(at, State::Skipped, &format!("{why}: name it to run it"));
                }
                (None, _) if job.when == When::Manual && !named => {
                    let is_blocking = !job.allow_failure.forgives(None);
                    let state = if is_blocking { State::Blocking } else { State::Manual };
                    self.end(at, state, "manual: name the job to run it");
                }
                (None, _) => self.set(at, State::Waiting),
            }
        }
    }

    async fn go(&mut self) {
        loop {
            self.start_all_that_may();
            let Some(ended) = self.tasks.join_next().await else { return };
            // A job's task does not panic; if it did, the job is lost, not the pipeline.
            let Ok((at, finished)) = ended else { continue };
            self.ended(at, &finished);
        }
    }

    fn start_all_that_may(&mut self) {
        let setup = self.setup;
        loop {
            let mut changed = false;
            for at in 0..setup.plan.jobs.len() {
                if self.states.get(at) != Some(&State::Waiting) {
                    continue;
                }
                if self.interrupt.level() != Level::Running {
                    self.end(at, State::Canceled, "the pipeline was canceled");
                    changed = true;
                    continue;
                }
                match next(&setup.plan.jobs, &self.states, at) {
                    Next::Skip(why) => {
                        self.end(at, State::Skipped, &why);
                        changed = true;
                    }
                    Next::Start if self.tasks.len() < setup.n_parallel => self.start(at),
                    Next::Wait | Next::Start => {}
                }
            }
            if !changed {
                return;
            }
        }
    }

    fn set(&mut self, at: usize, state: State) {
        if let (Some(old), Some(summary)) = (self.states.get_mut(at), self.summaries.get_mut(at)) {
            *old = state;
            summary.state = state;
        }
    }

    /// Ends a job that did not run.
    fn end(&mut self, at: usize, state: State, why: &str) {
        self.set(at, state);
        if let Some(summary) = self.summaries.get_mut(at) {
            why.clone_into(&mut summary.reason);
        }
    }

    fn start(&mut self, at: usize) {
        let setup = self.setup;
        let Some(job) = setup.plan.jobs.get(at) else { return };
        let own = self.individual(job, at);
        self.register(job, &own);
        let response = setup.pipeline.response(job, &own);
        let file = setup.traces.as_ref().map(|folder| folder.join(format!("{}.log", slug_of(job))));
        if let Some(summary) = self.summaries.get_mut(at) {
            summary.id = own.id;
            summary.attempts += 1;
            summary.trace.clone_from(&file);
        }
        self.set(at, State::Running);
        self.started.insert(at, Instant::now());
        let trace = Trace::new(&job.name, at, self.console.clone(), masker(&response)).into_file(
            file.and_then(|file| {
                std::fs::File::create(&file)
                    .inspect_err(|error| tracing::warn!(%error, file = %file.display(), "no log"))
                    .ok()
            }),
        );
        let mut driver = setup.driver.clone();
        if setup.passes_tags && !job.tags.is_empty() {
            driver.arguments.extend(["--tags".to_owned(), job.tags.join(",")]);
        }
        let build = Build::new(response, Runner::default());
        let interrupt = self.interrupt.clone();
        let (timing, folder) = (setup.timing, setup.folder.clone());
        let environment = Arc::clone(&setup.environment);
        self.tasks.spawn(async move {
            let around = Around {
                driver: &driver,
                timing,
                interrupt: &interrupt,
                environment: &environment,
                folder: &folder,
            };
            (at, Attempt::new(around, build, trace).run().await)
        });
    }

    /// What this attempt at a job has of its own: number, token, what earlier jobs left.
    fn individual(&mut self, job: &Job, at: usize) -> Individual {
        let id = self.next_id;
        self.next_id += 1;
        let environment = job.environment.as_ref().map_or("", |environment| &environment.name);
        let mut own = Individual {
            id,
            token: format!("glcbt-64_{}", random_text()),
            started_at: now(),
            ..Individual::default()
        };
        let names = sources(&self.setup.plan.jobs, at);
        self.coordinator.with(|store| {
            own.project = store.variables_for(environment, self.setup.pipeline.is_protected);
            for summary in self.summaries.iter().filter(|summary| summary.id != 0) {
                if !names.contains(&summary.name.as_str()) {
                    continue;
                }
                own.dotenv.extend(store.dotenv.get(&summary.id).into_iter().flatten().cloned());
                if let Some(record) = store.jobs.get(&summary.id) {
                    own.dependencies.push(Dependency {
                        id: summary.id,
                        token: record.token.clone(),
                        name: summary.name.clone(),
                        artifacts_file: store.archive(summary.id),
                    });
                }
            }
        });
        own
    }

    fn register(&self, job: &Job, own: &Individual) {
        let pipeline = &self.setup.pipeline;
        let environment = job
            .environment
            .as_ref()
            .map(|environment| (environment_slug(&environment.name), environment.tier.clone()));
        let record = JobRecord {
            id: own.id,
            token: own.token.clone(),
            name: job.name.clone(),
            stage: job.stage.clone(),
            git_ref: pipeline.snapshot.branch.clone(),
            sha: pipeline.snapshot.sha.clone(),
            pipeline_id: pipeline.id,
            tags: job.tags.clone(),
            environment,
            allow_failure: job.allow_failure.forgives(None),
            running: true,
        };
        self.coordinator.with(|store| store.jobs.insert(own.id, record));
    }

    fn ended(&mut self, at: usize, finished: &Finished) {
        let Some(job) = self.setup.plan.jobs.get(at) else { return };
        let Some(summary) = self.summaries.get_mut(at) else { return };
        summary.exit_code = finished.exit_code;
        finished.reason.clone_into(&mut summary.reason);
        if let Some(started) = self.started.remove(&at) {
            summary.duration += started.elapsed();
        }
        let (id, attempts) = (summary.id, summary.attempts);
        self.coordinator.with(|store| {
            if let Some(record) = store.jobs.get_mut(&id) {
                record.running = false;
            }
        });
        let again = job.retry.again(attempts, finished.reason, finished.exit_code);
        let state = match finished.outcome {
            Outcome::Success => State::Passed,
            Outcome::Canceled => State::Canceled,
            Outcome::Failed if again && self.interrupt.level() == Level::Running => {
                self.console.job_line(
                    &job.name,
                    at,
                    "\u{1b}[0;33mretry: one more attempt\u{1b}[0;m",
                );
                State::Waiting
            }
            Outcome::Failed if job.allow_failure.forgives(finished.exit_code) => State::Forgiven,
            Outcome::Failed => State::Failed,
        };
        self.set(at, state);
    }
}

/// All that the log of a job must not show.
fn masker(response: &Response) -> Masker {
    let masked = response.variables.iter().filter(|variable| variable.masked);
    Masker::new(masked.map(|variable| variable.value.as_str()))
}

/// A file name for a job's log, unique also where two names have the same slug.
fn slug_of(job: &Job) -> String {
    let plain = slug(&job.name);
    if plain == job.name { plain } else { format!("{plain}-{}", job.stage_index) }
}

/// An ISO 8601 moment without fractions.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Text that cannot be guessed.
pub fn random_text() -> String {
    let mut bytes = [0_u8; 16];
    // Without randomness the tokens are still told apart by the jobs' numbers; loopback only.
    if let Err(error) = OsRng.try_fill_bytes(&mut bytes) {
        tracing::warn!(%error, "no randomness");
    }
    hex(&bytes)
}
