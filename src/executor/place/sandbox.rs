//! The sandbox as a profile grants it.

use std::fmt::Write as _;

use crate::environment::{self, sandbox};
use crate::executor::call::{Call, own_program};
use crate::executor::prelude::{prelude, programs};
use crate::policy::recipe::Recipe;
use crate::policy::{NetworkRule, SandboxRule};

/// The job's sandbox.
pub fn spec(call: &Call, rule: &SandboxRule, recipe: Option<&Recipe>) -> environment::Spec {
    let protection = if call.job.is_protected { "protected" } else { "open" };
    environment::Spec::Sandbox(Box::new(sandbox::Spec {
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
        user: rustix::process::geteuid().is_root().then(|| call.policy.user_for(&call.job)),
        program: own_program(),
        names: vec!["kubectl".to_owned(), "locust".to_owned()],
        runner: call.parent.runner_program(),
        files: recipe.map(|recipe| recipe.files.clone()).unwrap_or_default(),
        programs: recipe.map(programs).unwrap_or_default(),
        prelude: prelude(recipe),
        owner: call.parent.id(),
        runner_folder: call.contract.runners_folder(),
    }))
}

/// What the job log says of it.
pub fn describe(call: &Call, rule: &SandboxRule, recipe: Option<&Recipe>) -> String {
    let mut text = String::new();
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
    let network = match rule.network {
        NetworkRule::None => "no network",
        NetworkRule::Host => "the host's network",
    };
    let memory = rule.memory.map(|memory| format!(", {memory} memory")).unwrap_or_default();
    let processes =
        rule.processes.map(|processes| format!(", {processes} processes")).unwrap_or_default();
    _ = writeln!(text, "Sandbox: {network}{memory}{processes}.");
    text
}
