//! Performs a task: decide by the rights, add the credential, act, tell.

use tokio_util::sync::CancellationToken;

use crate::error::{Fault, Result};
use crate::outcome::Outcome;
use crate::policy::Task;

use super::protocol::Event;
use super::rights::Desk;

/// Performs a task with the desk's rights and returns how its tool ends.
///
/// # Errors
/// When the policy refuses, or the task cannot be done; a verdict that failed is no error.
pub async fn perform(
    desk: &Desk<'_>,
    task: Task,
    emit: &mut (dyn FnMut(Event) + Send),
    cancel: &CancellationToken,
) -> Result<Outcome> {
    let performed = match task {
        Task::Load(plan) => Box::pin(super::load::perform(desk, *plan, emit, cancel)).await,
        Task::Gate(plan) => super::gate::perform(desk, &plan, emit, cancel).await,
        Task::Baseline(task) => super::baseline::perform(desk, &task, emit).await,
        Task::Watch(watches) => super::watch::perform(desk, &watches, emit, cancel).await,
        Task::Kubectl(mut request) => {
            super::kubectl::perform(desk, &mut request, emit, cancel).await
        }
        Task::Deploy(deploy) => super::deploy::perform(desk, *deploy, emit, cancel).await,
        Task::Variable(write) => super::variable::perform(desk, &write, emit).await,
    };
    if performed.as_ref().is_err_and(|error| error.fault() == Fault::System) {
        desk.note_platform_failure();
    }
    performed
}
