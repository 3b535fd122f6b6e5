//! The broker's side: a request performed on a cluster, told as kubectl tells it.

mod trouble;
mod session;
mod info;
mod select;
mod abreast;
mod present;
mod apply;
mod server_side;
mod prune;
mod create;
mod get;
mod table;
mod watching;
mod delete;
mod watch;
mod rollout;
mod undo;
mod workload;
mod set_env;
mod mark;
mod patch;
mod pods;
mod exec;
mod forward;
mod token;
mod diff;
mod access;
mod kinds;
mod explain;
mod describe;
mod quantity;
mod top;
mod wait;
mod logs;

use tokio_util::sync::CancellationToken;

pub use forward::carry;
pub use prune::kinds as pruned_kinds;

use super::print::{client_version, version_skew, version_text};
use super::{Ended, Event, Operation, Output, Request};
use crate::deploy::cluster::{Call, Cluster, Failure};

use session::Session;
use trouble::Trouble;

/// How an operation ends: well, or with what is to be told.
type Outcome = Result<(), Trouble>;

/// Performs a request; what it was to bring may be gone from it then. On cancel it stops between two requests to the server: what was applied
/// stays applied. When the future is dropped the same is true.
pub async fn perform(
    request: &mut Request,
    cluster: &Cluster,
    emit: &mut (dyn FnMut(Event) + Send),
    cancel: &CancellationToken,
) -> Ended {
    for note in &request.notes {
        emit(Event::Stderr(note.clone()));
    }
    let mut session = Session::new(request, cluster, emit, cancel);
    let outcome = match &mut request.operation {
        Operation::Apply(apply) => apply::run(&mut session, apply).await,
        Operation::Create(create) => create::run(&mut session, create).await,
        Operation::Replace(create) => create::replace(&mut session, create).await,
        Operation::Get(get) => get::run(&mut session, get).await,
        Operation::Delete(delete) => delete::run(&mut session, delete).await,
        Operation::Rollout(rollout) => rollout::run(&mut session, rollout).await,
        Operation::SetImage(set) => workload::set_image(&mut session, set).await,
        Operation::SetEnv(set) => set_env::run(&mut session, set).await,
        Operation::Mark(mark) => mark::run(&mut session, mark).await,
        Operation::Patch(with) => patch::run(&mut session, with).await,
        Operation::Exec(exec) => exec::run(&mut session, exec).await,
        Operation::Forward(forward) => forward::run(&mut session, forward).await,
        Operation::Tunnel(_) => Err(Trouble::text("a connection is carried, not performed")),
        Operation::Token(token) => token::run(&mut session, token).await,
        Operation::Diff(diff) => diff::run(&mut session, diff).await,
        Operation::CanI(ask) => access::can_i(&mut session, ask).await,
        Operation::WhoAmI { output } => access::who_am_i(&mut session, output).await,
        Operation::Kinds(kinds) => kinds::run(&mut session, kinds).await,
        Operation::Explain(explain) => explain::run(&mut session, explain).await,
        Operation::Describe(describe) => describe::run(&mut session, describe).await,
        Operation::Raw(path) => access::raw(&mut session, path).await,
        Operation::CanIList { no_headers } => access::list(&mut session, *no_headers).await,
        Operation::Versions => kinds::versions(&mut session).await,
        Operation::Top(top) => top::run(&mut session, top).await,
        Operation::Scale(scale) => workload::scale(&mut session, scale).await,
        Operation::Wait(wait) => wait::run(&mut session, wait).await,
        Operation::Logs(logs) => logs::run(&mut session, logs).await,
        Operation::Version { output } => version(&mut session, output).await,
        Operation::ClusterInfo => cluster_info(&mut session, request.namespace.clone()).await,
    };
    let cluster_unreachable = session.unreachable();
    let code = match outcome {
        Ok(()) => 0,
        Err(Trouble::Network(Failure::Cancelled)) => 130,
        Err(trouble) => {
            session.err(trouble.told());
            match (trouble, &request.operation) {
                (Trouble::Exit(code, _), _) => code,
                // 1 says that there are differences.
                (_, Operation::Diff(_)) => 2,
                (_, _) => 1,
            }
        }
    };
    Ended { code, cluster_unreachable }
}

async fn version(session: &mut Session<'_>, output: &Output) -> Outcome {
    let client = client_version();
    match session.plain(Call::get("/version")).await {
        Ok(server) => {
            session.out(version_text(&client, Some(&server), output));
            if let Some(warning) = version_skew(&client, &server) {
                session.err(warning);
            }
            Ok(())
        }
        Err(failure) => {
            session.out(version_text(&client, None, output));
            Err(failure.into())
        }
    }
}

async fn cluster_info(session: &mut Session<'_>, home: Option<String>) -> Outcome {
    // Parts of the control plane that say of themselves that they are services are looked for; who
    // may not look there is told so.
    if !session.is_guarded() {
        let path = "/api/v1/namespaces/kube-system/services?labelSelector=kubernetes.io%2Fcluster-service%3Dtrue";
        let path = path.replace("kube-system", home.as_deref().unwrap_or("kube-system"));
        session.plain(Call::get(&path)).await?;
    }
    let asked = session.plain(Call::get("/version")).await;
    if asked.is_ok() {
        let server = session.server().to_owned();
        session.out(format!("Kubernetes control plane is running at {server}\n"));
    }
    session.out(
        "\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.\n",
    );
    asked?;
    Ok(())
}
