//! What a policy leads to: sources, sinks, clusters, GitLab. Each is asked something harmless.

use std::fmt::Write;
use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Finding;
use crate::deploy::cluster::{self, Access, ClusterSpec, Whose};
use crate::deploy::kubectl::{self, ClusterChoice, Operation, Output, Request};
use crate::gate::source;
use crate::job::gitlab::Gitlab;
use crate::load::push;
use crate::policy::{ClusterEntry, GitlabSpec, Policy, SourceEntry, secrets};
use crate::secret::Secret;

const LONGEST: Duration = Duration::from_secs(20);

pub(super) async fn look(policy: &Policy) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &policy.gitlab {
        Some(spec) => findings.push(bounded("gitlab", gitlab(spec)).await),
        None => findings.push(no_gitlab(policy)),
    }
    for (name, entry) in &policy.sources {
        let part = format!("source `{name}`");
        // A secret that cannot be read has been told with the files.
        if let Ok(spec) = entry.spec() {
            findings.push(bounded(&part, probe(&part, entry, &spec)).await);
        }
    }
    for (name, entry) in &policy.sinks {
        let part = format!("sink `{name}`");
        if let Ok(spec) = entry.spec(name) {
            findings.push(bounded(&part, takes(&part, &spec)).await);
        }
    }
    for (name, entry) in &policy.clusters {
        let part = format!("cluster `{name}`");
        if secrets::check(&entry.kubeconfig).is_err() {
            continue;
        }
        findings.push(bounded(&part, reach(&part, entry)).await);
    }
    findings
}

/// A job without network fetches its sources through the driver, which must know from where.
fn no_gitlab(policy: &Policy) -> Finding {
    let cut_off: Vec<&str> = policy
        .profiles
        .iter()
        .filter(|profile| profile.environment.is_cut_off())
        .map(|profile| profile.name.as_str())
        .collect();
    if cut_off.is_empty() {
        return Finding::ok("gitlab", "the policy names none: nothing asks it");
    }
    Finding::warn(
        "gitlab",
        format!(
            "the policy names none, so jobs without network cannot fetch their sources (profiles {})",
            cut_off.join(", ")
        ),
        "add `gitlab: { url: … }` to the policy",
    )
}

async fn bounded(part: &str, look: impl Future<Output = Finding>) -> Finding {
    tokio::time::timeout(LONGEST, look).await.unwrap_or_else(|_| {
        Finding::fail(part, "does not answer", "check the address, the network and the proxy")
    })
}

/// GitLab is reached when it refuses a token that is none: nothing secret is sent.
async fn gitlab(spec: &GitlabSpec) -> Finding {
    let client = match Gitlab::new(&spec.url, spec.ca_file.as_deref()) {
        Ok(client) => client,
        Err(error) => {
            return Finding::fail("gitlab", chain(&error), "mend `gitlab` in the policy");
        }
    };
    match client.identity(&Secret::new("dyno-doctor".to_owned())).await {
        Ok(_) => Finding::ok("gitlab", format!("{} answers", spec.url)),
        Err(error) => match error.status() {
            Some(status) if ["401", "403", "404"].iter().any(|code| status.starts_with(code)) => {
                Finding::ok("gitlab", format!("{} answers", spec.url))
            }
            Some(_) | None => Finding::fail(
                "gitlab",
                chain(&error),
                "check `gitlab.url` and `gitlab.ca-file`, the network and the proxy",
            ),
        },
    }
}

async fn probe(part: &str, entry: &SourceEntry, spec: &source::Spec) -> Finding {
    match source::probe(spec).await {
        Ok(status) => Finding::ok(part, format!("{} answers {status}", entry.place())),
        Err(error) if entry.secret_files().is_empty() && is_refusal(&error) => Finding::ok(
            part,
            format!("{} answers; it wants a token, which jobs bring themselves", entry.place()),
        ),
        Err(error) => {
            Finding::fail(part, chain(&error), "check its URL, its token and the network")
        }
    }
}

async fn takes(part: &str, spec: &push::Spec) -> Finding {
    match push::probe(spec).await {
        Ok(()) => Finding::ok(part, "takes figures"),
        Err(why) => Finding::fail(
            part,
            format!("does not take figures: {why}"),
            "check its URL, its token and the network",
        ),
    }
}

fn is_refusal(error: &source::Error) -> bool {
    let told = error.to_string();
    ["401", "403"].iter().any(|code| told.contains(code))
}

/// The connection is made as the platform, not as whom a job's requests act: GitLab says who.
async fn reach(part: &str, entry: &ClusterEntry) -> Finding {
    let mend = "check the kubeconfig, its credential and the network";
    let spec = ClusterSpec {
        access: Access::Kubeconfig {
            path: entry.kubeconfig.clone(),
            context: entry.context.clone(),
            whose: Whose::Readers,
        },
        impersonate: None,
        namespace: None,
        fenced: false,
        guarded: false,
    };
    let live = match cluster::connect(&spec).await {
        Ok(live) => live,
        Err(error) => return Finding::fail(part, chain(&error), mend),
    };
    let mut request = Request {
        cluster: ClusterChoice::Default,
        namespace: None,
        timeout_ms: 10_000,
        notes: Vec::new(),
        record: None,
        operation: Operation::Version { output: Output::Default },
    };
    let (mut said, mut refused) = (String::new(), String::new());
    let mut emit = |event| match event {
        kubectl::Event::Stdout(text) => said.push_str(&text),
        kubectl::Event::Stderr(text) => refused.push_str(&text),
        kubectl::Event::Bytes(_) | kubectl::Event::Pair(_) | kubectl::Event::Ports(_) => {}
    };
    let ended = kubectl::perform(&mut request, &live, &mut emit, &CancellationToken::new()).await;
    let server = said.lines().find(|line| line.starts_with("Server Version"));
    match server {
        Some(server) if ended.code == 0 => Finding::ok(part, format!("answers: {server}")),
        Some(_) | None => {
            let what = refused.lines().next().unwrap_or("did not tell its version").to_owned();
            Finding::fail(part, what, mend)
        }
    }
}

/// An error with its causes in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        _ = write!(text, ": {next}");
        cause = next.source();
    }
    text
}
