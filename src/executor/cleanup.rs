//! `cleanup`: removes all that the job has; and `gc`: all that dead jobs left.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::environment::{self, docker, sandbox};
use crate::error::{Error, Result};
use crate::job::Vars;
use crate::policy::Policy;

use super::call::Call;
use super::config::{JOB, STATE};

/// Removes the job's environment; nothing to remove is fine, whatever prepare got to, and whatever
/// the policy says by now.
///
/// # Errors
/// When something of the job could not be ended or removed.
pub async fn cleanup(call: &Call) -> Result<()> {
    let name = call.job.id.resource_name();
    environment::remove(&call.policy.state, &name).await.map_err(Error::system)?;
    environment::forget_runner(&call.policy.state, &name);
    Ok(())
}

/// Removes the job's environment where the policy cannot be read any more: by what `config` handed
/// on, which no job can forge.
///
/// # Errors
/// When something of the job could not be ended or removed.
pub async fn cleanup_without_policy(vars: &dyn Vars) -> Result<()> {
    let Some((state, name)) = vars.filled(STATE).zip(vars.filled(JOB)) else { return Ok(()) };
    environment::remove(Path::new(&state), &name).await.map_err(Error::system)?;
    environment::forget_runner(Path::new(&state), &name);
    Ok(())
}

/// Removes what dead runners left; returns the names of what is gone.
///
/// # Errors
/// When a leftover could not be removed.
pub async fn collect(policy: &Policy) -> Result<Vec<String>> {
    let daemons = policy.profiles.iter().filter_map(|profile| profile.environment.docker.as_ref());
    let sockets: BTreeSet<PathBuf> = daemons.map(|rule| rule.socket.clone()).collect();
    let mut gone = Vec::new();
    for (name, removed) in remove_dead(&policy.state, &sockets).await {
        removed.map_err(Error::system)?;
        gone.push(name);
    }
    for name in sandbox::remove_lost_groups(&policy.state).await.map_err(Error::system)? {
        gone.push(format!("{name} (its control groups)"));
    }
    gone.extend(remove_old_caches(policy, &sockets).await?);
    Ok(gone)
}

/// Removes caches that no job has used for as long as the policy says.
async fn remove_old_caches(policy: &Policy, sockets: &BTreeSet<PathBuf>) -> Result<Vec<String>> {
    let keep = policy.keep_caches.0;
    let mut gone = sandbox::remove_old_caches(&policy.state, keep).map_err(Error::system)?;
    for socket in sockets {
        match docker::remove_old_caches(&policy.state, socket, keep).await {
            Ok(names) => gone.extend(names),
            // A daemon that is away has nothing to tell; the next time is soon enough.
            Err(error) => tracing::warn!(%error, "cannot look at caches"),
        }
    }
    Ok(gone)
}

/// Removes dead jobs, of which those at the given daemons are found even where their folder is lost.
pub(super) async fn remove_dead(
    state: &Path,
    sockets: &BTreeSet<PathBuf>,
) -> Vec<(String, std::result::Result<(), environment::Error>)> {
    let mut removed = Vec::new();
    // What another call has removed meanwhile is not told twice.
    let mut note = |name, result: std::result::Result<bool, environment::Error>| match result {
        Ok(false) => {}
        Ok(true) => removed.push((name, Ok(()))),
        Err(error) => removed.push((name, Err(error))),
    };
    if let Err(error) = sandbox::end_orphans(state).await {
        tracing::warn!(%error, "cannot end what a dead driver left");
    }
    for name in sandbox::leftovers(state) {
        let result = sandbox::reap(state, &name).await;
        note(name, result);
    }
    for leftover in docker::leftovers(state, sockets).await {
        let result = docker::reap(state, &leftover).await;
        note(leftover.name, result);
    }
    environment::remove_dead_runners(state);
    removed
}
