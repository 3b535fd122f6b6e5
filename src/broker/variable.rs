//! Writes a verdict into a variable of the job's own project, as the original inspector did.

use crate::error::{Error, Result};
use crate::gate;
use crate::job::Variable;
use crate::job::gitlab::{Gitlab, NewVariable, Project};
use crate::outcome::Outcome;
use crate::policy::{VariableWrite, secrets};

use super::protocol::Event;
use super::rights::{Desk, Granted, Rights};

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
        is_protected_ref: granted.job.is_protected,
    };
    let written = Gitlab::new(&spec.url, spec.ca_file.as_deref())
        .map_err(Error::system)?
        .write_variable(&token, variable)
        .await
        .map_err(Error::system)?;
    emit(Event::Variable(written));
    Ok(Outcome::Passed)
}

/// Returns a warning when later jobs will not see the verdict: a variable from outside of the
/// pipeline's files outranks the dotenv report, and nothing may write that one.
pub(super) fn shadow(granted: &Granted<'_>, plan: &gate::Plan) -> Option<String> {
    let policy = granted.policy;
    let is_written = policy.gitlab.is_some()
        && (policy.variables_token_file.is_some() || plan.tokens.gitlab.is_some());
    let key = &plan.variable.as_ref()?.key;
    if is_written { None } else { outranked(key, &granted.job.variables) }
}

/// `variables` is the job's own list as GitLab sent it, where what YAML defines is public.
fn outranked(key: &str, variables: &[Variable]) -> Option<String> {
    variables.iter().any(|variable| variable.key == key && !variable.public).then(|| {
        format!(
            "WARNING: `{key}` is also defined outside of the pipeline's files (project, group, \
             instance or pipeline variable). That one outranks the dotenv report, so later jobs \
             see its value, not this verdict: delete `{key}` in Settings > CI/CD > Variables, or \
             give the gate a token to write it (GITLAB_TOKEN)."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_variable_from_outside_of_the_pipelines_files_outranks() {
        let variable = |key: &str, public| Variable {
            key: key.to_owned(),
            value: "passed".to_owned(),
            public,
            file: false,
            masked: false,
            raw: false,
        };
        assert_eq!(outranked("abc", &[variable("abc", true), variable("x", false)]), None);
        let warning = outranked("abc", &[variable("abc", false)]).unwrap();
        assert!(warning.contains("delete `abc`"), "{warning}");
    }
}
