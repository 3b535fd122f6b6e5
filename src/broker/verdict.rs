//! A gate's verdict in the merge request (one note, kept up to date) and as a status of the commit,
//! with the platform's token.

use std::fmt::Write;

use super::protocol::Event;
use super::rights::Granted;
use crate::error::{Error, Result};
use crate::gate::{CheckResult, Plan, Summary};
use crate::job::Job;
use crate::job::gitlab::{Gitlab, NewStatus};
use crate::policy::secrets;
use crate::verdict::Verdict;

/// Tells the verdict where the policy says so. Trouble with it is told, and changes no verdict.
pub(super) async fn tell(
    granted: &Granted<'_>,
    plan: &Plan,
    summary: &Summary,
    emit: &mut (dyn FnMut(Event) + Send),
) {
    let wanted = granted.policy.verdicts;
    let job = granted.job;
    if wanted.merge_request
        && let Some(request) = own(job, "CI_MERGE_REQUEST_IID").and_then(|iid| iid.parse().ok())
    {
        let marker = format!("<!-- dyno gate {} -->", inert(&plan.name));
        let text = note(job, summary);
        let told = async {
            let (gitlab, token) = open(granted)?;
            let place = (job.project_id, request);
            gitlab.write_note(&token, place, (&marker, &text)).await.map_err(Error::system)
        };
        if let Err(error) = told.await {
            emit(Event::Said(format!("WARNING: the merge request has no note of this: {error}")));
        }
    }
    if wanted.commit_status
        && let Some(sha) = own(job, "CI_COMMIT_SHA")
    {
        let name = format!("dyno gate: {}", plan.name);
        let state = if summary.verdict <= Verdict::Warned { "success" } else { "failed" };
        let description = summary.reasons.first().map_or("all checks hold", String::as_str);
        let target = own(job, "CI_JOB_URL");
        let told = async {
            let (gitlab, token) = open(granted)?;
            let status = NewStatus { sha, state, name: &name, description, target };
            gitlab.write_status(&token, job.project_id, status).await.map_err(Error::system)
        };
        if let Err(error) = told.await {
            emit(Event::Said(format!("WARNING: the commit has no status of this: {error}")));
        }
    }
}

fn open(granted: &Granted<'_>) -> Result<(Gitlab, crate::secret::Secret)> {
    let (Some(spec), Some(file)) = (&granted.policy.gitlab, &granted.policy.variables_token_file)
    else {
        return Err(Error::refused("the policy names no GitLab, or no token for it"));
    };
    let gitlab = Gitlab::new(&spec.url, spec.ca_file.as_deref()).map_err(Error::system)?;
    Ok((gitlab, secrets::read(file)?))
}

/// Overrides come later in a job's variables: the first one of a name is GitLab's own.
fn own<'j>(job: &'j Job, key: &str) -> Option<&'j str> {
    let found = job.variables.iter().find(|variable| variable.key == key)?;
    Some(found.value.as_str()).filter(|value| !value.is_empty())
}

/// The note's text: every line of it begins with ours, so that nothing a job wrote is a command.
fn note(job: &Job, summary: &Summary) -> String {
    let mut text = format!("**dyno gate: {}**, job `{}`\n\n", summary.verdict, inert(&job.name));
    text.push_str("| check | verdict | value | limit | why |\n|---|---|---|---|---|\n");
    for check in &summary.checks {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", row(check));
    }
    let of_checks = |reason: &&String| {
        !summary.checks.iter().any(|check| **reason == format!("{}: {}", check.name, check.reason))
    };
    for reason in summary.reasons.iter().filter(of_checks) {
        let _ = writeln!(text, "\nNote: {}", inert(reason));
    }
    text
}

fn row(check: &CheckResult) -> String {
    let value = check.value.map_or_else(|| "none".to_owned(), |value| format!("{value:.6}"));
    let unit = check.unit.as_deref().unwrap_or_default();
    format!(
        "| {} | {} | {value} {} | {} | {} |",
        inert(&check.name),
        check.verdict,
        inert(unit),
        inert(&check.limit),
        inert(&check.reason)
    )
}

/// A text that is nothing but text: no line of its own, no mention, no markup, no quick action.
fn inert(text: &str) -> String {
    let kept: String = text
        .chars()
        .take(600)
        .map(|c| if c.is_control() { ' ' } else { c })
        .map(|c| match c {
            '|' | '`' | '<' | '>' | '[' | ']' | '*' | '_' | '~' | '\\' | '#' | '@' | '!' | '$' => {
                format!("&#{};", u32::from(c))
            }
            c => c.to_string(),
        })
        .collect();
    kept.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_job_wrote_is_nothing_but_text() {
        let hostile = "a\n/merge\n@all `x` | <!-- dyno gate b --> ![i](http://x) [l](y)";
        let text = inert(hostile);
        assert!(!text.contains(['\n', '@', '`', '|', '<', '[', '!']), "{text}");
        assert!(text.starts_with("a /merge"), "{text}");
    }
}
