//! Deploy tasks: the policy decides on every object, the cluster gets its credential, and what is
//! deployed is verified by the other tools before it counts.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::deploy::cluster::{self, Access, ClusterSpec};
use crate::deploy::kubectl::Touch;
use crate::deploy::release::{
    self, Ended, Finding, Severity, Summary, Topic, Verified, Verify, World,
};
use crate::error::{Error, Result};
use crate::gate::{self, Window, WindowChoice};
use crate::load;
use crate::outcome::Outcome;
use crate::policy::{DeniedObject, Deploy};
use crate::verdict::Verdict;

use super::kubectl::{own_spec, spec_of};
use super::protocol::Event;
use super::rights::{Desk, Granted, Rights};

type Emit<'a> = Mutex<&'a mut (dyn FnMut(Event) + Send)>;

/// Deploys, verifies, and keeps or rolls back.
pub(super) async fn perform(
    desk: &Desk<'_>,
    mut deploy: Deploy,
    emit: &mut (dyn FnMut(Event) + Send),
    cancel: &CancellationToken,
) -> Result<Outcome> {
    let spec = match &desk.rights {
        Rights::Granted(granted) => {
            deploy.plan.who = format!("job {} of {}", granted.job.id.0, granted.job.project_path);
            granted_spec(granted, &deploy, emit)?
        }
        Rights::Own(own) => own_spec(own, &deploy.plan.cluster)?,
    };
    let cluster = cluster::connect(&spec).await.map_err(|error| match &spec.access {
        Access::Kubeconfig { .. } => Error::system(error),
        Access::Own(_) => Error::job(error),
    })?;
    let choice = deploy.plan.cluster.clone();
    let permit = |touch: &Touch| match &desk.rights {
        Rights::Own(_) => Ok(()),
        Rights::Granted(granted) => {
            let asks = (granted.job, &granted.who);
            let allowed = granted.profile.allow_touch(granted.policy, asks, &choice, touch);
            allowed.map_err(|denied| denied.to_string())
        }
    };
    let emit = Mutex::new(emit);
    let mut verifier = Verifier { desk, deploy: &deploy, emit: &emit, cancel };
    let is_verified = deploy.load.is_some() || deploy.gate.is_some();
    let world = World {
        cluster: &cluster,
        permit: &permit,
        verify: if is_verified { Some(&mut verifier) } else { None },
    };
    let tell = &mut |event| locked(&emit)(Event::Deploy(event));
    let summary = release::run(&deploy.plan, world, tell, cancel).await;
    if summary.ended == Ended::Unreachable && matches!(spec.access, Access::Kubeconfig { .. }) {
        desk.note_platform_failure();
    }
    Ok(outcome(&summary))
}

fn outcome(summary: &Summary) -> Outcome {
    match summary.ended {
        Ended::Passed => Outcome::Passed,
        Ended::Failed => Outcome::Failed,
        Ended::Inconclusive => Outcome::Inconclusive,
        Ended::Input => Outcome::Usage,
        Ended::Refused => Outcome::Refused,
        Ended::Unreachable | Ended::Taken => Outcome::Unreachable,
        Ended::Interrupted => Outcome::Interrupted,
    }
}

fn locked<'a, 'e>(emit: &'a Emit<'e>) -> MutexGuard<'a, &'e mut (dyn FnMut(Event) + Send)> {
    emit.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks the policy for everything before anything happens, the verification included.
fn granted_spec(
    granted: &Granted<'_>,
    deploy: &Deploy,
    emit: &mut (dyn FnMut(Event) + Send),
) -> Result<ClusterSpec> {
    if let Some(plan) = &deploy.load {
        granted.profile.allow_lookup(plan)?;
    }
    if let Some(plan) = &deploy.gate {
        granted.profile.allow_gate(granted.policy, plan)?;
    }
    let plan = &deploy.plan;
    let allowed = granted.profile.allow_deploy(granted.policy, granted.job, &granted.who, plan);
    let grant = allowed.map_err(|refusals| refused(refusals, emit))?;
    spec_of(granted, &plan.cluster, grant)
}

/// Tells each refusal with its object, and returns one error for all.
fn refused(refusals: Vec<DeniedObject>, emit: &mut (dyn FnMut(Event) + Send)) -> Error {
    let n = refusals.len();
    let mut first = None;
    for (object, denied) in refusals {
        let finding = Finding {
            severity: Severity::Error,
            topic: Topic::Policy,
            object,
            path: String::new(),
            text: denied.to_string(),
            hint: denied.hint(),
        };
        if n > 1 {
            emit(Event::Deploy(release::Event::Found(finding)));
        }
        first.get_or_insert(denied);
    }
    match first {
        Some(denied) if n == 1 => denied.into(),
        Some(denied) => {
            let hint = denied.hint();
            let error =
                Error::refused(format!("refused by policy: {n} objects; nothing was changed"));
            match hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        }
        None => Error::refused("refused by policy"),
    }
}

/// Load and gate, as what a deploy is verified by.
struct Verifier<'a, 'e> {
    desk: &'a Desk<'a>,
    deploy: &'a Deploy,
    emit: &'a Emit<'e>,
    cancel: &'a CancellationToken,
}

#[async_trait(?Send)]
impl Verify for Verifier<'_, '_> {
    async fn verify(&mut self) -> Verified {
        let mut reasons = Vec::new();
        let mut steady = None;
        let mut worst = Outcome::Passed;
        if let Some(plan) = &self.deploy.load {
            let tell = &mut |event| {
                if let Event::Load(load::Event::Finished(summary)) = &event {
                    steady = Some((summary.steady.start, summary.steady.end));
                    reasons.extend(summary.reasons.iter().map(|reason| format!("load: {reason}")));
                }
                locked(self.emit)(event);
            };
            let ended = super::load::perform(self.desk, plan.clone(), tell, self.cancel).await;
            worst = ended.unwrap_or_else(|error| {
                reasons.push(format!("load: {error}"));
                error.as_outcome()
            });
        }
        // A gate says more than a load that failed already: both are asked.
        if let (Some(plan), false) = (&self.deploy.gate, self.cancel.is_cancelled()) {
            let mut plan = plan.clone();
            if let (Some((start_ms, end_ms)), true) = (steady, plan.window.wants_load()) {
                plan.window = WindowChoice::Explicit(Window { start_ms, end_ms });
            }
            let tell = &mut |event| {
                if let Event::Gate(gate::Event::Finished(summary)) = &event {
                    reasons.extend(summary.reasons.iter().map(|reason| format!("gate: {reason}")));
                }
                locked(self.emit)(event);
            };
            let ended = super::gate::perform(self.desk, &plan, tell, self.cancel).await;
            let ended = ended.unwrap_or_else(|error| {
                reasons.push(format!("gate: {error}"));
                error.as_outcome()
            });
            if verdict(ended) > verdict(worst) {
                worst = ended;
            }
        }
        Verified { verdict: verdict(worst), ended: ended(worst), reasons }
    }
}

fn verdict(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Passed => Verdict::Passed,
        Outcome::Inconclusive => Verdict::Inconclusive,
        Outcome::Unreachable | Outcome::Interrupted | Outcome::Usage | Outcome::Code(_) => {
            Verdict::Error
        }
        Outcome::Refused | Outcome::Failed => Verdict::Failed,
    }
}

fn ended(outcome: Outcome) -> Ended {
    match outcome {
        Outcome::Passed => Ended::Passed,
        Outcome::Failed | Outcome::Code(_) => Ended::Failed,
        Outcome::Inconclusive => Ended::Inconclusive,
        // The target or a source is not the cluster.
        Outcome::Unreachable => Ended::Taken,
        Outcome::Refused => Ended::Refused,
        Outcome::Usage => Ended::Input,
        Outcome::Interrupted => Ended::Interrupted,
    }
}
