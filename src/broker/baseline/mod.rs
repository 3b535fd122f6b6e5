//! The runs of the default branch that later runs are compared with: kept, read, judged by people.

mod store;
mod runs;

pub(super) use runs::{Run, Runs, State};

use std::collections::BTreeMap;

use super::protocol::Event;
use super::rights::{Desk, Granted, Rights};
use crate::error::{Error, Result};
use crate::gate::{Measured, Plan, Summary};
use crate::job::Job;
use crate::outcome::Outcome;
use crate::policy::{BaselineTask, BaselineVerb};

/// Returns what the accepted runs measured by the checks' names, oldest first.
pub(super) async fn history(
    desk: &Desk<'_>,
    plan: &Plan,
    emit: &mut (dyn FnMut(Event) + Send),
) -> BTreeMap<String, Vec<Measured>> {
    let read = async {
        let Some(place) = place(desk, &plan.name)? else { return Ok(None) };
        place.read().await.map(Some)
    };
    match read.await {
        Ok(runs) => runs.unwrap_or_default().accepted(plan),
        Err(error) => {
            // Without them the checks are inconclusive, which is said there.
            let error: Error = error;
            emit(Event::Said(format!("WARNING: the accepted runs cannot be read: {error}")));
            BTreeMap::new()
        }
    }
}

/// Keeps a run of the default branch: accepted, or waiting for a person to accept it.
pub(super) async fn keep(
    granted: &Granted<'_>,
    desk: &Desk<'_>,
    (plan, summary): (&Plan, &Summary),
    emit: &mut (dyn FnMut(Event) + Send),
) {
    let measured = plan.checks.iter().any(|check| check.rule.regression.is_some());
    if !measured || !is_of_default_branch(granted.job) {
        return;
    }
    let run = Run::of(granted.job, plan, summary);
    let is_accepted = run.state == State::Accepted;
    let kept = async {
        let Some(place) = place(desk, &plan.name)? else { return Ok(None) };
        place.change(|runs| runs.add(run.clone())).await.map(Some)
    };
    let told = match kept.await {
        Ok(Some(runs)) if is_accepted => format!(
            "This run is kept as number {} of the accepted ones that later runs are compared with.",
            runs.n_accepted()
        ),
        Ok(Some(_)) => format!(
            "This run is kept, but later runs are not compared with it; `dyno baseline accept {} \
             {}` would change that.",
            plan.name, granted.job.id
        ),
        Ok(None) => return,
        Err(error) => {
            let error: Error = error;
            format!("WARNING: this run cannot be kept for later ones: {error}")
        }
    };
    emit(Event::Said(told));
}

/// Shows the runs that are kept, and changes what is thought of them.
pub(super) async fn perform(
    desk: &Desk<'_>,
    task: &BaselineTask,
    emit: &mut (dyn FnMut(Event) + Send),
) -> Result<Outcome> {
    if let (Rights::Granted(granted), true) = (&desk.rights, task.verb != BaselineVerb::List)
        && !is_of_default_branch(granted.job)
    {
        return Err(Error::refused(
            "only jobs of the protected default branch change what later runs are compared with",
        ));
    }
    let place = place(desk, &task.plan)?.ok_or_else(|| {
        Error::job("there is no place where runs are kept").hint("name a policy with --policy")
    })?;
    let runs = match task.verb {
        BaselineVerb::List => place.read().await?,
        BaselineVerb::Reset => place.reset().await?,
        BaselineVerb::Accept(run) => judged(&place, run, State::Accepted).await?,
        BaselineVerb::Reject(run) => judged(&place, run, State::Rejected).await?,
    };
    emit(Event::Said(runs.told()));
    Ok(Outcome::Passed)
}

async fn judged(place: &store::Place, run: u64, state: State) -> Result<Runs> {
    if !place.read().await?.has(run) {
        return Err(Error::job(format!("no run of job {run} is kept"))
            .hint("see which ones are by `dyno baseline list PLAN`"));
    }
    place.change(|runs| runs.set(run, state)).await
}

/// Overrides come later in a job's variables: the first one of a name is GitLab's own.
fn is_of_default_branch(job: &Job) -> bool {
    let own = |key: &str| {
        let mut all = job.variables.iter().filter(|variable| variable.key == key);
        all.next().map(|variable| variable.value.as_str()).filter(|value| !value.is_empty())
    };
    let branch = own("CI_COMMIT_BRANCH");
    job.is_protected && branch.is_some() && branch == own("CI_DEFAULT_BRANCH")
}

fn place(desk: &Desk<'_>, plan: &str) -> Result<Option<store::Place>> {
    match &desk.rights {
        Rights::Granted(granted) => store::open(granted.policy, Some(granted.job), plan).map(Some),
        Rights::Own(own) => match &own.policy {
            Some(policy) => store::open(policy, None, plan).map(Some),
            None => Ok(None),
        },
    }
}
