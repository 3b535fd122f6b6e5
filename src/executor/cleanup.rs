//! `cleanup`: removes all that the job has; and `gc`: all that dead jobs left.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::environment::{self, docker, sandbox};
use crate::error::{Error, Result};
use crate::policy::Policy;

use super::call::Call;

/// Removes the job's environment; nothing to remove is fine, whatever prepare got to, and whatever
/// the policy says by now.
///
/// # Errors
/// When something of the job could not be ended or removed.
pub async fn cleanup(call: &Call) -> Result<()> {
    environment::remove(&call.policy.state, &call.job.id.resource_name())
        .await
        .map_err(Error::system)
}

/// Removes what dead runners left; returns the names of what is gone.
///
/// # Errors
/// When a leftover could not be removed.
pub async fn collect(policy: &Policy) -> Result<Vec<String>> {
    let daemons = policy.profiles.iter().filter_map(|profile| profile.environment.docker.as_ref());
    let sockets = daemons.map(|rule| rule.socket.clone()).collect();
    let mut gone = Vec::new();
    for (name, removed) in remove_dead(&policy.state, &sockets).await {
        removed.map_err(Error::system)?;
        gone.push(name);
    }
    Ok(gone)
}

/// Removes dead jobs, of which those at the given daemons are found even where their folder is lost.
pub(super) async fn remove_dead(
    state: &Path,
    sockets: &BTreeSet<PathBuf>,
) -> Vec<(String, std::result::Result<(), environment::Error>)> {
    let mut removed = Vec::new();
    for name in sandbox::leftovers(state) {
        let result = sandbox::remove(state, &name).await;
        removed.push((name, result));
    }
    for leftover in docker::leftovers(state, sockets).await {
        let result = docker::remove(state, &leftover).await;
        removed.push((leftover.name, result));
    }
    removed
}
