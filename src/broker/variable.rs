//! Writes a verdict into a variable of the job's own project, as the original inspector did.

use crate::error::{Error, Result};
use crate::job::gitlab::{Gitlab, NewVariable, Project};
use crate::outcome::Outcome;
use crate::policy::{VariableWrite, secrets};

use super::protocol::Event;
use super::rights::{Desk, Rights};

/// Writes the variable and tells what GitLab answered.
pub(super) async fn perform(
    desk: &Desk<'_>,
    write: &VariableWrite,
    emit: &mut (dyn FnMut(Event) + Send),
) -> Result<Outcome> {
    let Rights::Granted(granted) = &desk.rights else {
        return Err(Error::job("there is no GitLab to write the variable to outside a job"));
    };
    let spec = granted.policy.gitlab.as_ref().ok_or_else(|| {
        Error::refused("the policy names no GitLab to write the variable to")
            .hint("ask the platform team to add `gitlab: { url: … }` to the policy")
    })?;
    // A token in the policy wins over a job's.
    let token = match &granted.policy.variables_token_file {
        Some(file) => Some(secrets::read(file).map_err(Error::system)?),
        None => write.token.clone(),
    };
    let token = token.ok_or_else(|| {
        Error::refused("no token to write the variable with").hint(
            "set GITLAB_TOKEN, or ask the platform team for `variables-token-file` in the policy",
        )
    })?;
    let project = Project::Id(granted.job.project_id);
    let variable = NewVariable {
        project: &project,
        key: &write.key,
        value: write.value.as_str(),
        scope: write.scope.as_deref(),
    };
    let written = Gitlab::new(&spec.url, spec.ca_file.as_deref())
        .map_err(Error::system)?
        .write_variable(&token, variable)
        .await
        .map_err(Error::system)?;
    emit(Event::Variable(written));
    Ok(Outcome::Passed)
}
