//! `cleanup`: removes all that the job has; and `gc`: all that dead jobs left.

use crate::environment::{self, sandbox};
use crate::error::{Error, Result};
use crate::policy::Policy;

use super::call::Call;
use super::prepare;

/// Removes the job's environment; nothing to remove is fine, whatever prepare got to.
///
/// # Errors
/// When something of the job could not be ended or removed.
pub async fn cleanup(call: &Call) -> Result<()> {
    match call.profile() {
        Ok(profile) => environment::connect(prepare::spec(call, profile, None))
            .destroy()
            .await
            .map_err(Error::from),
        // A policy that changed under a running job must not keep its things alive.
        Err(_) => sandbox::remove(&call.policy.state, &call.job.id.resource_name())
            .await
            .map_err(Error::system),
    }
}

/// Removes what dead runners left; returns the names of what is gone.
///
/// # Errors
/// When a leftover could not be removed.
pub async fn collect(policy: &Policy) -> Result<Vec<String>> {
    let names = sandbox::leftovers(&policy.state);
    for name in &names {
        sandbox::remove(&policy.state, name).await.map_err(Error::system)?;
    }
    Ok(names)
}
