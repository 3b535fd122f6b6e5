//! kubectl tasks: a platform's cluster through the profile, or a job's own where it allows.

use tokio_util::sync::CancellationToken;

use crate::deploy::cluster::{self, Access, Cluster, ClusterSpec, Impersonate, Whose};
use crate::deploy::kubectl::{self, ClusterChoice, Operation, Request};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::policy::{KubectlGrant, secrets};

use super::protocol::Event;
use super::rights::{Desk, Granted, Own, Rights};

/// Performs the request and returns kubectl's exit code.
pub(super) async fn perform(
    desk: &Desk<'_>,
    request: &mut Request,
    emit: &mut (dyn FnMut(Event) + Send),
    cancel: &CancellationToken,
) -> Result<Outcome> {
    let spec = match &desk.rights {
        Rights::Granted(granted) => {
            let decided =
                granted.profile.allow_kubectl(granted.policy, granted.job, &granted.who, request);
            match (decided, &request.operation) {
                // What the policy refuses cannot be done, whatever the cluster would say.
                (Err(denied), Operation::CanI(ask)) => {
                    if !ask.quiet {
                        let told = format!("no - {denied}\n");
                        emit(Event::Kubectl(kubectl::Event::Stdout(told)));
                    }
                    return Ok(Outcome::Code(1));
                }
                (decided, _) => spec_of(granted, &request.cluster, decided?)?,
            }
        }
        Rights::Own(own) => own_spec(own, &request.cluster)?,
    };
    let cluster = connect(&spec).await?;
    let ended = Box::pin(kubectl::perform(
        request,
        &cluster,
        &mut |event| emit(Event::Kubectl(event)),
        cancel,
    ))
    .await;
    if ended.cluster_unreachable {
        desk.note_platform_failure();
    }
    Ok(Outcome::Code(ended.code))
}

/// Connects to the cluster of a request, where the rights allow it.
pub(super) async fn connected(desk: &Desk<'_>, request: &Request) -> Result<Cluster> {
    let spec = match &desk.rights {
        Rights::Granted(granted) => {
            let Granted { policy, profile, job, who } = granted.as_ref();
            let grant = profile.allow_kubectl(policy, job, who, request)?;
            spec_of(granted, &request.cluster, grant)?
        }
        Rights::Own(own) => own_spec(own, &request.cluster)?,
    };
    connect(&spec).await
}

async fn connect(spec: &ClusterSpec) -> Result<Cluster> {
    cluster::connect(spec).await.map_err(|error| match &spec.access {
        Access::Kubeconfig { .. } => Error::system(error),
        // What a job brought itself is no part of the platform.
        Access::Own(_) => Error::job(error),
    })
}

/// How a granted cluster is reached, and as whom.
pub(super) fn spec_of(
    granted: &Granted<'_>,
    choice: &ClusterChoice,
    grant: KubectlGrant,
) -> Result<ClusterSpec> {
    let access = match (choice, grant.cluster.as_deref()) {
        (ClusterChoice::Own(own), _) => Access::Own(own.clone()),
        (ClusterChoice::Default | ClusterChoice::Named(_), Some(name)) => {
            let entry = granted
                .policy
                .clusters
                .get(name)
                .ok_or_else(|| Error::system(format!("the policy has no cluster `{name}`")))?;
            secrets::check(&entry.kubeconfig)?;
            Access::Kubeconfig {
                path: entry.kubeconfig.clone(),
                context: entry.context.clone(),
                whose: Whose::Platforms(name.to_owned()),
            }
        }
        (ClusterChoice::Default | ClusterChoice::Named(_), None) => {
            return Err(Error::refused("the profile grants no cluster"));
        }
    };
    Ok(ClusterSpec {
        access,
        impersonate: grant
            .impersonate
            .map(|user| Impersonate { user, groups: grant.impersonate_groups }),
        namespace: grant.namespace,
        fenced: true,
        guarded: grant.guarded,
    })
}

/// A person's own kubeconfig, as kubectl would find it.
pub(super) fn own_spec(own: &Own, choice: &ClusterChoice) -> Result<ClusterSpec> {
    let access = match choice {
        ClusterChoice::Own(own) => Access::Own(own.clone()),
        ClusterChoice::Default => first_kubeconfig(own, None)?,
        ClusterChoice::Named(context) => first_kubeconfig(own, Some(context.clone()))?,
    };
    Ok(ClusterSpec { access, impersonate: None, namespace: None, fenced: false, guarded: false })
}

fn first_kubeconfig(own: &Own, context: Option<String>) -> Result<Access> {
    let path = own.kubeconfigs.iter().find(|path| path.exists()).ok_or_else(|| {
        Error::job("there is no kubeconfig").hint("set KUBECONFIG, or write ~/.kube/config")
    })?;
    Ok(Access::Kubeconfig { path: path.clone(), context, whose: Whose::Readers })
}
