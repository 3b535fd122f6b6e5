//! The pod inspector at work: asks the driver for the pod, the verdict and the variable.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::broker::Event;
use crate::command::Streams;
use crate::command::guest::Guest;
use crate::command::inspect::{self, Inspection, POD_REQUEST, Printer, Told};
use crate::command::kubectl;
use crate::error::{Error, Result};
use crate::gate::{self, Summary};
use crate::job::Vars;
use crate::outcome::Outcome;
use crate::policy::{Task, VariableValue, VariableWrite};
use crate::report::writeback::{Value, Writeback};
use crate::report::{Folder, gate as report};
use crate::shutdown::Signals;

/// Runs the verb.
///
/// # Errors
/// When the settings are wrong, the policy refuses, or there is no pod to look at. The variable
/// says `failed` then, too.
pub async fn run(vars: &dyn Vars, streams: &mut Streams) -> Result<Outcome> {
    let key = inspect::variable(vars);
    let folder = Folder::create(Path::new(Folder::DEFAULT)).map_err(Error::job)?;
    let back = Writeback::new(&key, vars, folder.clone()).map_err(Error::job)?;
    // Whatever happens from here on, wrong settings too, no earlier pass is left behind.
    report::begin(&folder).map_err(Error::job)?;
    hand_on(&back, Value::Failed)?;
    let inspection = inspect::read(vars).map_err(Error::job)?;
    let guest = Guest::find(None, vars)?;
    let signals = Signals::listen().map_err(Error::system)?;
    let mut inspector = Inspector { inspection, back, guest, cancel: signals.cancel(), vars };
    // Told once, at the end: what GitLab says now it says then, too.
    drop(inspector.write_project_variable(Value::Failed).await);
    if let Err(error) = inspector.find_pod().await {
        Printer::new(&inspector.inspection, &mut streams.out, &mut streams.err)
            .give_up()
            .map_err(Error::system)?;
        return Err(error);
    }
    let (outcome, summary) = inspector.inspect(streams).await?;
    if let Some(warning) = report::write(&folder, &summary).map_err(Error::job)? {
        tracing::warn!("{warning}");
    }
    Ok(outcome)
}

/// The script's next line, the job's later scripts, the later jobs.
fn hand_on(back: &Writeback, value: Value) -> Result<()> {
    back.write(value).map_err(|errors| {
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Error::job(texts.join("; "))
    })
}

struct Inspector<'a> {
    inspection: Inspection,
    back: Writeback,
    guest: Guest,
    cancel: &'a CancellationToken,
    vars: &'a dyn Vars,
}

impl Inspector<'_> {
    async fn find_pod(&mut self) -> Result<()> {
        if !self.inspection.needs_pod() {
            return Ok(());
        }
        let printed = kubectl::capture(POD_REQUEST, self.vars, &self.guest, self.cancel)
            .await
            .map_err(|error| {
                error.hint("set POD_NAME to the pod to look at, or grant the profile a cluster")
            })?;
        self.inspection
            .found_pod(&printed)
            .map_err(|error| Error::job(error).outcome(Outcome::Inconclusive))
    }

    async fn inspect(&self, streams: &mut Streams) -> Result<(Outcome, Summary)> {
        let plan = self.inspection.plan().map_err(Error::job)?;
        let mut printer = Printer::new(&self.inspection, &mut streams.out, &mut streams.err);
        let mut summary = None;
        let mut broken = None;
        self.guest
            .perform(
                Task::Gate(Box::new(plan)),
                &mut |event| {
                    let told = match event {
                        Event::Gate(event) => {
                            if let gate::Event::Finished(finished) = &event {
                                summary = Some((**finished).clone());
                            }
                            printer.event(&event)
                        }
                        Event::Said(text) => printer.aside(&text),
                        Event::Load(_)
                        | Event::Kubectl(_)
                        | Event::Deploy(_)
                        | Event::Variable(_) => Ok(()),
                    };
                    broken = broken.take().or(told.err());
                },
                self.cancel,
            )
            .await?;
        if let Some(error) = broken {
            return Err(Error::system(error));
        }
        let summary =
            summary.ok_or_else(|| Error::job("interrupted").outcome(Outcome::Interrupted))?;
        let told = self.write_project_variable(inspect::value(&summary, None)).await;
        let value = inspect::value(&summary, Some(&told));
        hand_on(&self.back, value)?;
        printer.variable(inspect::value(&summary, None), &told).map_err(Error::system)?;
        let outcome = printer.finish(&summary, &told, Path::new(".")).map_err(Error::system)?;
        Ok((outcome, summary))
    }

    async fn write_project_variable(&self, value: Value) -> Told {
        let key = self.inspection.variable();
        if !self.guest.is_in_job() {
            return Told::NotAsked {
                why: format!("no job, so GitLab was not asked to set `{key}`"),
            };
        }
        let write = VariableWrite {
            key: key.to_owned(),
            value: match value {
                Value::Passed => VariableValue::Passed,
                Value::Failed => VariableValue::Failed,
            },
            scope: None,
            token: self.inspection.gitlab_token(),
        };
        let mut written = None;
        let asked = self
            .guest
            .perform(
                Task::Variable(write),
                &mut |event| {
                    if let Event::Variable(one) = event {
                        written = Some(one);
                    }
                },
                self.cancel,
            )
            .await;
        match (asked, written) {
            (Ok(_), Some(written)) => Told::Written(written),
            (Ok(_), None) => Told::NotAsked { why: format!("GitLab was not asked to set `{key}`") },
            (Err(error), _) if error.as_outcome() == Outcome::Refused => {
                Told::NotAsked { why: format!("GitLab was not asked to set `{key}`: {error}") }
            }
            (Err(error), _) => {
                let var = |name: &str| self.vars.get(name).unwrap_or_default();
                let (api, project) = (var("CI_API_V4_URL"), var("CI_PROJECT_ID"));
                let why = error.told().causes.join(": ");
                Told::Refused {
                    url: format!("{api}/projects/{project}/variables/{key}"),
                    status: status(&why),
                    why,
                }
            }
        }
    }
}

/// Returns the status line in what is told of GitLab's answer: `403 Forbidden`.
fn status(why: &str) -> Option<String> {
    let (_, after) = why.split_once("GitLab answered ")?;
    after.split_once(" to ").map(|(status, _)| status.to_owned())
}
