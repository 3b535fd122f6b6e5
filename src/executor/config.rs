//! `config`: tells gitlab-runner how jobs run here, and asks GitLab who the job is.

use std::io::Write;

use serde::Serialize;

use crate::environment;
use crate::error::{Error, Result};
use crate::job::gitlab::Gitlab;
use crate::policy::Who;

use super::call::Call;

#[derive(Serialize)]
struct Answer {
    builds_dir: &'static str,
    cache_dir: &'static str,
    builds_dir_is_shared: bool,
    hostname: String,
    driver: Driver,
    shell: &'static str,
    job_env: JobEnv,
}

/// Environment of the later driver calls, by which an administrator finds a job's processes.
#[derive(Serialize)]
struct JobEnv {
    #[serde(rename = "DYNO_JOB")]
    job: String,
    #[serde(rename = "DYNO_PROFILE")]
    profile: String,
    #[serde(rename = "DYNO_STATE")]
    state: String,
}

/// The variable of the later calls that names the job.
pub const JOB: &str = "DYNO_JOB";

/// The variable of the later calls that names the state folder, by which `cleanup` finds the job
/// whatever becomes of the policy.
pub const STATE: &str = "DYNO_STATE";

#[derive(Serialize)]
struct Driver {
    name: &'static str,
    version: &'static str,
}

/// Writes the answer to `out`, having learnt who the job is where the profile needs it.
///
/// # Errors
/// When GitLab cannot be asked (the platform's fault, so the runner tries again), or when no
/// profile applies (the job's).
pub async fn config(call: &Call, out: &mut dyn Write) -> Result<()> {
    let profile = call.profile()?;
    if profile.refers_to_identity() {
        call.keep_who(&ask_gitlab(call).await?)?;
    }
    let owner = (call.parent.id(), call.contract.runners_folder());
    let name = call.job.id.resource_name();
    environment::note_runner(&call.policy.state, &name, (owner.0, owner.1.as_deref()))
        .unwrap_or_else(|error| tracing::warn!(%error, "cannot note the job's runner"));
    let answer = Answer {
        // Every job sees its own folder under this name, as pipelines write it.
        builds_dir: "/builds",
        cache_dir: "/cache",
        builds_dir_is_shared: false,
        hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        driver: Driver { name: "dyno", version: env!("CARGO_PKG_VERSION") },
        shell: "bash",
        job_env: JobEnv {
            job: call.job.id.resource_name(),
            profile: profile.name.clone(),
            state: call.policy.state.display().to_string(),
        },
    };
    serde_json::to_writer(&mut *out, &answer).map_err(Error::system)?;
    writeln!(out).map_err(Error::system)
}

async fn ask_gitlab(call: &Call) -> Result<Who> {
    let gitlab = call.policy.gitlab.as_ref().ok_or_else(|| {
        Error::system("the profile refers to the user, the job's tags or its environment, and the policy names no GitLab to ask")
            .hint("add `gitlab: { url: … }` to the policy")
    })?;
    let identity = Gitlab::new(&gitlab.url, gitlab.ca_file.as_deref())
        .map_err(Error::system)?
        .identity(&call.job.token)
        .await
        .map_err(Error::system)?;
    Ok(Who {
        login: Some(identity.login),
        tags: identity.tags,
        environment_slug: identity.environment_slug,
        environment_tier: identity.environment_tier,
    })
}
