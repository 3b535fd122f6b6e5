//! Containers as a profile grants them and a job asks for them.

use std::collections::BTreeMap;

use crate::environment::{self, docker};
use crate::error::{Error, Result};
use crate::executor::call::{Call, own_program};
use crate::executor::prelude::prelude;
use crate::job::{Credential, Image, Job, Service, Variable};
use crate::policy::{DockerRule, GitlabSpec, Glob, Profile, PullRule, secrets};

/// Variables within variables are followed so far: one that holds itself ends.
const DEEPEST: usize = 8;

/// The variable in which GitLab's users hand over logins for registries.
const LOGINS: &str = "DOCKER_AUTH_CONFIG";

/// The job's containers.
pub fn spec(call: &Call, rule: &DockerRule, image: &str) -> Result<environment::Spec> {
    let job = &call.job;
    let protection = if job.is_protected { "protected" } else { "open" };
    let named = job.image.clone().unwrap_or_default();
    Ok(environment::Spec::Docker(Box::new(docker::Spec {
        name: job.id.resource_name(),
        folder: call.folder(),
        socket: rule.socket.clone(),
        cache: format!("dyno-cache-{}-{protection}", job.project_id),
        image: docker::Image {
            name: image.to_owned(),
            entrypoint: some(&named.entrypoint),
            command: None,
            user: filled(&named.executor_opts.docker.user),
            platform: filled(&named.executor_opts.docker.platform),
            pull: pulls(rule, image, &named)?,
        },
        services: job
            .services
            .iter()
            .map(|service| self::service(rule, service, &job.variables))
            .collect::<Result<_>>()?,
        network: if rule.has_network { docker::Network::Bridge } else { docker::Network::None },
        limits: docker::Limits {
            memory: rule.memory,
            cpus: rule.cpus,
            processes: rule.processes,
            disk: rule.disk,
            grace: rule.grace,
        },
        tmpfs: rule.tmpfs.clone(),
        services_tmpfs: rule.services_tmpfs.clone(),
        labels: labels(job),
        patience: rule.wait_for_services,
        auths: auths(rule, &job.variables, &job.credentials)?,
        gitlab: call.policy.gitlab.as_ref().and_then(GitlabSpec::address).map(|(host, _)| host),
        owner: call.parent.id(),
        runner_folder: call.contract.runners_folder(),
        program: own_program(),
        names: vec!["kubectl".to_owned(), "locust".to_owned()],
        runner: call.parent.runner_program(),
        prelude: prelude(None),
    })))
}

/// What the job log says of it.
pub fn describe(rule: &DockerRule) -> String {
    let network = if rule.has_network { "Docker's network" } else { "no network" };
    let cpus = rule.cpus.map(|cpus| format!(", {cpus} cores")).unwrap_or_default();
    let disk = rule.disk.map(|disk| format!(", {disk} disk")).unwrap_or_default();
    format!(
        "Docker: {network}, {} memory, {} processes{cpus}{disk}.\n",
        rule.memory, rule.processes
    )
}

/// What an administrator looks for at the daemon.
fn labels(job: &Job) -> BTreeMap<String, String> {
    [
        ("dyno.job.id", job.id.to_string()),
        ("dyno.job.name", job.name.clone()),
        ("dyno.pipeline.id", job.pipeline_id.to_string()),
        ("dyno.project.id", job.project_id.to_string()),
        ("dyno.project.path", job.project_path.clone()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// A refusal of an image by the rule of that key.
pub fn refused(profile: &Profile, key: &str, allowed: &[Glob], image: &str) -> Error {
    let allowed: Vec<&str> = allowed.iter().map(Glob::text).collect();
    let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
    Error::refused(format!(
        "profile `{}` does not allow image `{image}` ({}.environment.docker.{key}: {allowed})",
        profile.name, profile.key
    ))
    .hint(format!(
        "choose an allowed one, or ask the platform team to change `{key}` in {}",
        profile.file.display()
    ))
}

fn some(words: &[String]) -> Option<Vec<String>> {
    (!words.is_empty()).then(|| words.to_vec())
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The job's own order of policies, where the profile allows each; else the profile's.
fn allowed_pulls(rule: &DockerRule, image: &str, asked: &[String]) -> Result<Vec<docker::Pull>> {
    let pull = |pull: PullRule| match pull {
        PullRule::Always => docker::Pull::Always,
        PullRule::IfNotPresent => docker::Pull::IfNotPresent,
        PullRule::Never => docker::Pull::Never,
    };
    if asked.is_empty() {
        return Ok(rule.pull.iter().copied().map(pull).collect());
    }
    let allowed: Vec<docker::Pull> = asked
        .iter()
        .filter_map(|name| rule.pull.iter().find(|allowed| allowed.as_str() == name))
        .copied()
        .map(pull)
        .collect();
    if allowed.is_empty() {
        let names: Vec<&str> = rule.pull.iter().map(|pull| pull.as_str()).collect();
        return Err(Error::refused(format!(
            "the pull policy of image `{image}` ({}) is not allowed here ({})",
            asked.join(", "),
            names.join(", ")
        ))
        .hint("leave `pull_policy:` out, or choose an allowed one"));
    }
    Ok(allowed)
}

fn pulls(rule: &DockerRule, image: &str, named: &Image) -> Result<Vec<docker::Pull>> {
    allowed_pulls(rule, image, &named.pull_policy)
}

fn service(
    rule: &DockerRule,
    service: &Service,
    variables: &[Variable],
) -> Result<docker::Service> {
    if !rule.services.iter().any(|glob| glob.matches(&service.name)) {
        let allowed: Vec<&str> = rule.services.iter().map(Glob::text).collect();
        let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
        return Err(Error::refused(format!(
            "service `{}` is not allowed here (allowed: {allowed})",
            service.name
        ))
        .hint("ask the platform team to add it to the profile's `services`"));
    }
    Ok(docker::Service {
        image: docker::Image {
            name: service.name.clone(),
            entrypoint: some(&service.entrypoint),
            command: some(&service.command),
            user: filled(&service.executor_opts.docker.user),
            platform: filled(&service.executor_opts.docker.platform),
            pull: allowed_pulls(rule, &service.name, &service.pull_policy)?,
        },
        aliases: service
            .alias
            .split([',', ' '])
            .filter(|alias| !alias.is_empty())
            .map(str::to_owned)
            .collect(),
        environment: environment(service, variables),
    })
}

/// A service gets what the pipeline's files say, and what the job hands it by name. Project
/// variables stay with the job: whoever may look at a container may read its environment.
fn environment(service: &Service, variables: &[Variable]) -> Vec<String> {
    let public = variables
        .iter()
        .filter(|variable| variable.public && !variable.masked && !variable.file)
        .filter(|variable| {
            !variable.key.starts_with("CI_") && !variable.key.starts_with("GITLAB_")
        });
    public
        .chain(&service.variables)
        .map(|variable| {
            let value = if variable.raw {
                variable.value.clone()
            } else {
                expand(&variable.value, variables, DEEPEST)
            };
            format!("{}={value}", variable.key)
        })
        .collect()
}

/// Replaces `$NAME` and `${NAME}`; a later variable of a name outranks an earlier one.
fn expand(text: &str, variables: &[Variable], depth: usize) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let braced = after.strip_prefix('{').and_then(|after| after.split_once('}'));
        let (name, tail) = braced.unwrap_or_else(|| {
            let is_over = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            after.split_at(after.find(is_over).unwrap_or(after.len()))
        });
        rest = tail;
        if name.is_empty() {
            out.push('$');
            // `$$` is a dollar.
            rest = rest.strip_prefix('$').unwrap_or(rest);
            continue;
        }
        if let Some(variable) = variables.iter().rev().find(|variable| variable.key == name) {
            if variable.raw || depth == 0 {
                out.push_str(&variable.value);
            } else {
                out.push_str(&expand(&variable.value, variables, depth - 1));
            }
        }
    }
    out.push_str(rest);
    out
}

/// Who is asked first: the job's own file, the platform's, GitLab's login for its own registry.
fn auths(
    rule: &DockerRule,
    variables: &[Variable],
    credentials: &[Credential],
) -> Result<docker::Auths> {
    let mut auths = docker::Auths::default();
    if let Some(variable) = variables.iter().rev().find(|variable| variable.key == LOGINS) {
        auths.add_config(docker::Whose::Job, &variable.value).map_err(|error| {
            Error::job(error).hint(format!(
                "mend the variable {LOGINS}: {{\"auths\": {{\"HOST\": {{\"auth\": \"…\"}}}}}}"
            ))
        })?;
    }
    if let Some(file) = &rule.auth_file {
        let text = secrets::read(file).map_err(Error::system)?;
        auths
            .add_config(docker::Whose::Platform, text.reveal())
            .map_err(|error| Error::system(error).hint(format!("mend {}", file.display())))?;
    }
    for credential in credentials.iter().filter(|credential| credential.kind == "registry") {
        let password = crate::secret::Secret::new(credential.password.clone());
        auths.add_login(&credential.url, &credential.username, &password);
    }
    Ok(auths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(key: &str, value: &str) -> Variable {
        Variable {
            key: key.to_owned(),
            value: value.to_owned(),
            public: true,
            file: false,
            masked: false,
            raw: false,
        }
    }

    #[test]
    fn variables_are_expanded_and_one_that_holds_itself_ends() {
        let variables = [
            variable("A", "old"),
            variable("A", "1"),
            variable("B", "${A}2"),
            variable("LOOP", "x$LOOP"),
            Variable { raw: true, ..variable("RAW", "$A") },
        ];
        for (text, expected) in [
            ("plain", "plain"),
            ("$A-${B}-$NONE.", "1-12-."),
            ("$$A $ ${A", "$A $ ${A"),
            ("$RAW", "$A"),
            ("é$A", "é1"),
        ] {
            let expanded = expand(text, &variables, DEEPEST);
            if text == "$$A $ ${A" {
                assert!(expanded.starts_with("$A $ "), "{expanded}");
            } else {
                assert_eq!(expanded, expected, "{text}");
            }
        }
        assert!(expand("$LOOP", &variables, DEEPEST).len() < 20);
    }

    #[test]
    fn a_service_gets_no_secret_but_by_name() {
        let mut secret = variable("DB_PASSWORD", "s3cret");
        secret.public = false;
        let mut token = variable("CI_JOB_TOKEN", "t");
        token.masked = true;
        let variables = [variable("POSTGRES_DB", "shop"), secret, token];
        let service = Service {
            variables: vec![variable("POSTGRES_PASSWORD", "$DB_PASSWORD")],
            ..Service::default()
        };
        assert_eq!(
            environment(&service, &variables),
            ["POSTGRES_DB=shop", "POSTGRES_PASSWORD=s3cret"]
        );
    }
}
