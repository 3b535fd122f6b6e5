//! `dyno gate`: judges what the infrastructure did, and writes the verdict back.

use std::io::Write;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use crate::broker::Event;
use crate::command::Streams;
use crate::command::guest::Guest;
use crate::error::{Error, Result};
use crate::gate::{self, JobTokens, Overrides, Plan, Summary, Variable, Window, WindowChoice};
use crate::job::Vars;
use crate::outcome::Outcome;
use crate::policy::{self, Task, VariableValue, VariableWrite};
use crate::report::gate as told;
use crate::report::writeback::{Value, Writeback};
use crate::report::{self, Folder};
use crate::secret::Secret;
use crate::shutdown::Signals;
use crate::unit::Span;
use crate::verdict::Verdict;

/// GitLab's clock and the runner's may differ so much.
const CLOCKS_MS: i64 = 60_000;

/// Arguments of `dyno gate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 passed, 99 a check failed, 98 inconclusive, 97 a source could not be asked,\n\
                        96 refused by policy, 2 wrong plan, query or usage, 130 interrupted."
)]
pub struct Args {
    /// Plan file (YAML) with `checks:`
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// Variable that says `passed` or `failed`, right in the next line of the script
    #[arg(long, value_name = "NAME")]
    variable: Option<String>,
    /// The environment scope of the project's variable of that name [default: the only one there
    /// is, or `*`]
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,
    /// Exit 0 also when the verdict is failed or inconclusive: the variable tells
    #[arg(long)]
    no_fail: bool,
    /// Judge this much time up to now, in place of the load's steady phase
    #[arg(long, value_name = "SPAN")]
    last: Option<Span>,
    /// Longest wait for a source's data to reach the window's end
    #[arg(long, value_name = "SPAN")]
    settle: Option<Span>,
    /// Folder for report files; the load's own report is looked for there, too
    #[arg(long, value_name = "DIR", default_value = Folder::DEFAULT)]
    report: PathBuf,
    /// On a laptop: file with `sources:`, in the policy's grammar
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// When the plan is wrong, the policy refuses, or a report cannot be written.
pub async fn run(args: Args, vars: &dyn Vars, streams: &mut Streams) -> Result<Outcome> {
    let folder = Folder::create(&args.report).map_err(Error::job)?;
    // Whatever happens from here on, no earlier pass is left behind.
    told::begin(&folder).map_err(Error::job)?;
    let back = |key: &str| {
        let back = Writeback::new(key, vars, folder.clone()).map_err(Error::job)?;
        write_back(Some(&back), Value::Failed).map(|()| back)
    };
    let mut written = args.variable.as_deref().map(&back).transpose()?;
    let plan = plan(&args, &folder, vars, streams);
    let variable = match &plan {
        Ok(plan) => plan.variable.clone(),
        Err(_) => args.variable.clone().map(|key| Variable { key, scope: args.scope.clone() }),
    };
    if let (None, Some(variable)) = (&written, &variable) {
        written = Some(back(&variable.key)?);
    }
    let guest = Guest::find(args.policy.as_deref(), vars)?;
    let signals = Signals::listen().map_err(Error::system)?;
    let gate = Gate { guest: &guest, cancel: signals.cancel(), token: token(vars), variable };
    // A plan that cannot be read is no reason to leave an older pass where later jobs look.
    let is_clear = gate.write_project_variable(VariableValue::Failed, streams).await;
    let plan = plan?;
    if args.no_fail && written.is_none() {
        return Err(Error::job("--no-fail needs a variable that tells the verdict")
            .hint(format!("add --variable NAME, or `gate.variable` in {}", args.plan.display())));
    }
    let (outcome, summary) = gate.judge(&plan, streams).await?;
    if let Some(warning) = told::write(&folder, &summary).map_err(Error::job)? {
        say(streams, &format!("WARNING: {warning}"))?;
    }
    told::annotate(&folder, &summary, vars.filled("CI_JOB_URL").as_deref()).map_err(Error::job)?;
    say(streams, told::block(&summary).trim_end())?;
    if summary.verdict <= Verdict::Warned && outcome == Outcome::Passed {
        write_back(written.as_ref(), Value::Passed)?;
        gate.write_project_variable(VariableValue::Passed, streams).await;
    }
    let is_bad = matches!(outcome, Outcome::Failed | Outcome::Inconclusive);
    if args.no_fail && is_bad && !is_clear {
        say(streams, "WARNING: --no-fail does not hold: later jobs may read an older verdict")?;
    }
    let forgives = args.no_fail && is_bad && is_clear;
    Ok(if forgives { Outcome::Passed } else { outcome })
}

fn plan(args: &Args, folder: &Folder, vars: &dyn Vars, streams: &mut Streams) -> Result<Plan> {
    let sheet = policy::plan::read_checks(&args.plan, vars).map_err(Error::job)?;
    let name = args.plan.file_stem().map(|name| name.to_string_lossy().into_owned());
    let overrides = Overrides {
        name: name.unwrap_or_default(),
        window: args.last.map(WindowChoice::Last),
        settle: args.settle,
        variable: args.variable.clone(),
        scope: args.scope.clone(),
        tokens: JobTokens { source: None, gitlab: token(vars) },
    };
    let mut plan = Plan::build(sheet.gate(), overrides, vars)
        .map_err(|mistakes| sheet.locate_all(&mistakes))?;
    // The report of a load in this job, or of an earlier job that handed it on.
    let steady = report::load::steady(folder).map_err(Error::job)?;
    let steady = steady.map(|(start_ms, end_ms)| Window { start_ms, end_ms });
    if let Some(older) = steady.and_then(|window| of_another_pipeline(window, vars)) {
        say(streams, &format!("WARNING: {older}"))?;
        return Ok(plan);
    }
    if let Some(window) = steady.filter(|_| plan.window.wants_load()) {
        plan.window = WindowChoice::Explicit(window);
        if let Some(doubt) = report::load::doubt(folder).map_err(Error::job)? {
            say(
                streams,
                &format!("WARNING: what is judged may not be the load that was meant: {doubt}"),
            )?;
        }
    }
    plan.recordings = told::recordings(folder).map_err(Error::job)?;
    Ok(plan)
}

/// The job's own token for GitLab's API; one in the policy wins.
fn token(vars: &dyn Vars) -> Option<Secret> {
    vars.filled("GITLAB_TOKEN").map(Secret::new)
}

/// Says that a load ran before this pipeline was there: its report was left in a cache or in a folder
/// that is not cleaned, and says nothing of what is tested now.
fn of_another_pipeline(window: Window, vars: &dyn Vars) -> Option<String> {
    let created: jiff::Timestamp = vars.filled("CI_PIPELINE_CREATED_AT")?.parse().ok()?;
    let is_older = window.end_ms < created.as_millisecond().saturating_sub(CLOCKS_MS);
    is_older.then(|| {
        format!(
            "the report of a load that is here ({window}) is older than this pipeline ({created}): it \
             is not judged"
        )
    })
}

fn write_back(back: Option<&Writeback>, value: Value) -> Result<()> {
    let Some(Err(errors)) = back.map(|back| back.write(value)) else { return Ok(()) };
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Err(Error::job(texts.join("; ")))
}

fn say(streams: &mut Streams, text: &str) -> Result<()> {
    writeln!(streams.out, "{text}").and_then(|()| streams.out.flush()).map_err(Error::system)
}

struct Gate<'a> {
    guest: &'a Guest,
    cancel: &'a CancellationToken,
    /// The job's own, for the variable.
    token: Option<Secret>,
    variable: Option<Variable>,
}

impl Gate<'_> {
    async fn judge(&self, plan: &Plan, streams: &mut Streams) -> Result<(Outcome, Summary)> {
        let mut summary = None;
        let outcome = self
            .guest
            .perform(
                Task::Gate(Box::new(plan.clone())),
                &mut |event| {
                    let line = match event {
                        Event::Gate(event) => {
                            if let gate::Event::Finished(finished) = &event {
                                summary = Some((**finished).clone());
                            }
                            told::line(&event)
                        }
                        Event::Said(text) => Some(text),
                        Event::Load(_)
                        | Event::Kubectl(_)
                        | Event::Deploy(_)
                        | Event::Variable(_) => None,
                    };
                    if let Some(line) = line {
                        // Trouble with the log is no trouble of the gate.
                        drop(say(streams, &line));
                    }
                },
                self.cancel,
            )
            .await?;
        match summary {
            Some(summary) => Ok((outcome, summary)),
            None if outcome == Outcome::Interrupted => {
                Ok((outcome, Summary::without_checks(Verdict::Inconclusive, "interrupted")))
            }
            None => Err(Error::system("the gate ended without a verdict")),
        }
    }

    /// Later jobs read the project's variable where one is there: it outranks the dotenv report.
    /// A profile without a token for it has none to write. False where one was to be written and
    /// was not: then an earlier pipeline's may still stand there.
    async fn write_project_variable(&self, value: VariableValue, streams: &mut Streams) -> bool {
        let Some(variable) = &self.variable else { return true };
        if !self.guest.is_in_job() {
            return true;
        }
        let write = VariableWrite {
            key: variable.key.clone(),
            value,
            scope: variable.scope.clone(),
            token: self.token.clone(),
        };
        let mut lines = Vec::new();
        let written = self
            .guest
            .perform(
                Task::Variable(write),
                &mut |event| {
                    if let Event::Variable(written) = event {
                        lines.extend(written.warning.map(|text| format!("WARNING: {text}")));
                    }
                },
                self.cancel,
            )
            .await;
        let is_clear = match written {
            Ok(_) => true,
            Err(error) if error.as_outcome() == Outcome::Refused => {
                tracing::debug!(%error, "no project variable is written");
                true
            }
            Err(error) => {
                lines.push(format!(
                    "WARNING: the project variable {} was not written: {error}",
                    variable.key
                ));
                false
            }
        };
        for line in lines {
            // Trouble with the log is no trouble of the gate.
            drop(say(streams, &line));
        }
        is_clear
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_load_that_ran_before_the_pipeline_was_there_is_another_ones() {
        let window = Window { start_ms: 1_700_000_000_000, end_ms: 1_700_000_060_000 };
        for (created, is_older) in [
            ("2023-11-14T22:10:00Z", false),
            ("2023-11-14T23:14:25+01:00", false),
            ("2023-11-14T22:15:00Z", false),
            ("2023-11-14T22:16:00Z", true),
            ("2023-11-15T22:13:20Z", true),
            ("", false),
            ("yesterday", false),
        ] {
            let vars: BTreeMap<String, String> =
                [("CI_PIPELINE_CREATED_AT".to_owned(), created.to_owned())].into();
            assert_eq!(of_another_pipeline(window, &vars).is_some(), is_older, "{created}");
        }
    }
}
