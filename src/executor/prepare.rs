//! `prepare`: decides what the job may have and makes its environment. Repeatable.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use crate::environment::{self, sandbox};
use crate::error::{Error, Result};
use crate::policy::recipe::{self, Recipe};
use crate::policy::{EnvironmentRule, NetworkRule, Profile, SandboxRule};

use super::call::Call;
use super::prelude::prelude;

/// Checks the job against its profile and prepares its environment, telling the job log.
///
/// # Errors
/// What a retry cannot mend is the job's fault; what it may is the platform's.
pub async fn prepare(call: &Call, log: &mut dyn Write, cancel: &CancellationToken) -> Result<()> {
    let profile = call.profile()?;
    refuse_run_keyword(call)?;
    let recipe = recipe_for(call, profile)?;
    say(log, &describe(call, profile, recipe))?;
    reap(call, log).await?;
    environment::connect(spec(call, profile, recipe)).prepare(cancel).await.map_err(Error::from)
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

/// The recipe that answers the job's image; `None` for a job without an image.
pub(super) fn recipe_for<'a>(call: &'a Call, profile: &'a Profile) -> Result<Option<&'a Recipe>> {
    let Some(image) = &call.job.image else { return Ok(None) };
    recipe::find(call.policy.recipes_of(profile), &image.name).map(Some).ok_or_else(|| {
        let names = if profile.recipes.is_empty() {
            "none".to_owned()
        } else {
            profile.recipes.join(", ")
        };
        Error::refused(format!(
            "no image recipe of profile `{}` answers image `{}` (it has: {names}), and the sandbox pulls no images",
            profile.name, image.name
        ))
        .hint("remove `image:` from the job, or ask the platform team for a recipe that answers it")
    })
}

fn describe(call: &Call, profile: &Profile, recipe: Option<&Recipe>) -> String {
    let mut text = format!("Profile {} applies to this job.\n", profile.name);
    if let (Some(image), Some(recipe)) = (&call.job.image, recipe) {
        _ = writeln!(
            text,
            "Image {} is answered by recipe {}: nothing is pulled.",
            image.name, recipe.name
        );
    }
    for service in &call.job.services {
        _ = writeln!(
            text,
            "\u{1b}[0;33mWARNING: service {} is not started: the sandbox environment has no services.\u{1b}[0;m",
            service.name
        );
    }
    match &profile.environment {
        EnvironmentRule::Sandbox(rule) => text.push_str(&describe_sandbox(rule)),
    }
    text
}

fn describe_sandbox(rule: &SandboxRule) -> String {
    let network = match rule.network {
        NetworkRule::None => "no network",
        NetworkRule::Host => "the host's network",
    };
    let memory = rule.memory.map(|memory| format!(", {memory} memory")).unwrap_or_default();
    let processes =
        rule.processes.map(|processes| format!(", {processes} processes")).unwrap_or_default();
    format!("Sandbox: {network}{memory}{processes}.\n")
}

fn say(log: &mut dyn Write, text: &str) -> Result<()> {
    log.write_all(text.as_bytes()).and_then(|()| log.flush()).map_err(Error::system)
}

/// Removes what killed runners left on this host.
async fn reap(call: &Call, log: &mut dyn Write) -> Result<()> {
    let own = call.job.id.resource_name();
    for name in sandbox::leftovers(&call.policy.state) {
        if name == own {
            continue; // prepare starts from nothing anyway
        }
        match sandbox::remove(&call.policy.state, &name).await {
            Ok(()) => say(log, &format!("Removed what a dead runner left: {name}.\n"))?,
            Err(error) => tracing::warn!(%error, %name, "cannot remove a leftover"),
        }
    }
    Ok(())
}

/// The job's environment, as its profile grants it.
pub(super) fn spec(call: &Call, profile: &Profile, recipe: Option<&Recipe>) -> environment::Spec {
    let EnvironmentRule::Sandbox(rule) = &profile.environment;
    let protection = if call.job.is_protected { "protected" } else { "open" };
    environment::Spec::Sandbox(sandbox::Spec {
        name: call.job.id.resource_name(),
        folder: call.folder(),
        cache: call
            .policy
            .state
            .join("cache")
            .join(call.job.project_id.to_string())
            .join(protection),
        network: match rule.network {
            NetworkRule::None => sandbox::Network::None,
            NetworkRule::Host => sandbox::Network::Host,
        },
        limits: sandbox::Limits {
            memory: rule.memory,
            processes: rule.processes,
            open_files: rule.open_files,
            grace: rule.grace,
        },
        folders: rule.folders.clone(),
        user: rustix::process::geteuid().is_root().then(|| call.policy.user_for(call.job.id)),
        program: own_program(),
        names: vec!["kubectl".to_owned(), "locust".to_owned()],
        runner: call.parent.runner_program(),
        files: recipe.map(|recipe| recipe.files.clone()).unwrap_or_default(),
        prelude: prelude(recipe),
        owner: call.parent.id(),
    })
}

/// This program, as a path that another process can open.
pub(super) fn own_program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"))
}
