//! `prepare`: decides what the job may have and makes its environment. Repeatable.

use std::collections::BTreeSet;
use std::io::Write;

use tokio_util::sync::CancellationToken;

use crate::environment;
use crate::error::{Error, Result};

use super::call::Call;
use super::cleanup::remove_dead;
use super::place::Place;

/// Checks the job against its profile and prepares its environment, telling the job log.
///
/// # Errors
/// What a retry cannot mend is the job's fault; what it may is the platform's.
pub async fn prepare(call: &Call, log: &mut dyn Write, cancel: &CancellationToken) -> Result<()> {
    let profile = call.profile()?;
    refuse_run_keyword(call)?;
    let place = Place::of(call, profile)?;
    say(log, &format!("Profile {} applies to this job.\n", profile.name))?;
    say(log, &place.describe(call))?;
    reap(call, log).await?;
    environment::connect(place.spec(call)?).prepare(cancel).await.map_err(Error::from)
}

/// The steps of a `run:` job come as a program that this driver does not have; with no script
/// beside them the job would succeed having done nothing.
fn refuse_run_keyword(call: &Call) -> Result<()> {
    let has_script = call.job.steps.iter().any(|step| !step.script.is_empty());
    let has_steps_variable = call.job.variables.iter().any(|variable| variable.key == "STEPS");
    let is_step_runner = call.job.steps.iter().any(|step| {
        step.script.first().is_some_and(|line| line.trim_start().starts_with("step-runner "))
    });
    if (call.job.has_run_keyword && !has_script) || (has_steps_variable && is_step_runner) {
        return Err(Error::job(
            "the job uses the `run:` keyword, which this executor does not run",
        )
        .hint("write the job with `script:`"));
    }
    Ok(())
}

fn say(log: &mut dyn Write, text: &str) -> Result<()> {
    log.write_all(text.as_bytes()).and_then(|()| log.flush()).map_err(Error::system)
}

/// Removes what killed runners left on this host.
async fn reap(call: &Call, log: &mut dyn Write) -> Result<()> {
    for (name, removed) in remove_dead(&call.policy.state, &BTreeSet::new()).await {
        match removed {
            Ok(()) => say(log, &format!("Removed what a dead runner left: {name}.\n"))?,
            Err(error) => tracing::warn!(%error, %name, "cannot remove a leftover"),
        }
    }
    Ok(())
}
