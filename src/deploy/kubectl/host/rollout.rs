//! `kubectl rollout`: following, restarting, pausing, resuming.

use std::time::Duration;

use serde_json::{Value, json};

use super::apply::{operation, options};
use super::info::Info;
use super::select::{Read, find};
use super::session::Session;
use super::trouble::Trouble;
use super::watch::{self, Followed, Step};
use super::{Outcome, undo};
use crate::deploy::cluster::Patch;
use crate::deploy::kubectl::print::print_object;
use crate::deploy::kubectl::request::{DryRun, Rollout, RolloutAction, Validate};
use crate::deploy::manifest;

/// Runs `kubectl rollout …`.
pub async fn run(session: &mut Session<'_>, rollout: &Rollout) -> Outcome {
    let (infos, mut troubles) = find(session, &rollout.selection, Read::Latest).await?;
    if infos.is_empty() && troubles.is_empty() {
        let namespace = session.namespace().to_owned();
        if !matches!(rollout.action, RolloutAction::Undo { .. } | RolloutAction::History { .. }) {
            session.err(format!("No resources found in {namespace} namespace.\n"));
        }
        return Ok(());
    }
    for info in infos {
        let outcome = match &rollout.action {
            RolloutAction::Status { watch, timeout_ms, revision } => {
                let limit = (*timeout_ms > 0).then(|| Duration::from_millis(*timeout_ms));
                let asked = Asked { watch: *watch, limit, revision: *revision };
                status(session, &info, &asked).await
            }
            RolloutAction::Undo { to_revision } => {
                undo::run(session, rollout, &info, *to_revision).await
            }
            RolloutAction::History { revision } => {
                undo::history(session, &info, *revision, &rollout.output).await
            }
            RolloutAction::Restart => restart(session, rollout, &info).await,
            RolloutAction::Pause => pause(session, rollout, &info, true).await,
            RolloutAction::Resume => pause(session, rollout, &info, false).await,
        };
        match outcome {
            Ok(()) => {}
            Err(stop @ Trouble::Network(_)) => return Err(stop),
            Err(trouble) => troubles.push(trouble),
        }
    }
    Trouble::all(troubles)
}

struct Asked {
    watch: bool,
    limit: Option<Duration>,
    revision: i64,
}

async fn status(session: &mut Session<'_>, info: &Info, asked: &Asked) -> Outcome {
    let kind = info.mapping.kind.as_str();
    if !is_workload(info) || kind == "ReplicaSet" {
        return Err(Trouble::text(format!(
            "no status viewer has been implemented for {}",
            kind_and_group(info)
        )));
    }
    let deadline = watch::deadline(asked.limit);
    let followed = watch::follow(session, info, deadline, |session, object| {
        match progress(kind, object, asked.revision) {
            Progress::Failed(text) => Err(Trouble::text(text)),
            Progress::Done(text) => {
                session.out(text);
                Ok(Step::Done(()))
            }
            Progress::Waiting(text) => {
                session.out(text);
                Ok(if asked.watch { Step::Wait } else { Step::Done(()) })
            }
        }
    })
    .await?;
    match followed {
        Followed::Done(()) => Ok(()),
        Followed::Deleted => Err(Trouble::text("object has been deleted")),
        Followed::TimedOut => Err(Trouble::text("timed out waiting for the condition")),
    }
}

fn is_workload(info: &Info) -> bool {
    info.mapping.group == "apps"
        && ["Deployment", "DaemonSet", "StatefulSet", "ReplicaSet"]
            .contains(&info.mapping.kind.as_str())
}

/// `{apps Deployment}`, Go's print of a group and kind.
fn kind_and_group(info: &Info) -> String {
    if info.mapping.group.is_empty() {
        info.mapping.kind.clone()
    } else {
        format!("{}.{}", info.mapping.kind, info.mapping.group)
    }
}

/// How far a rollout is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Not there yet; the line that says why.
    Waiting(String),
    /// There.
    Done(String),
    /// It will not get there.
    Failed(String),
}

/// How far the rollout of one object is, in kubectl's words. Pure.
pub fn progress(kind: &str, object: &Value, revision: i64) -> Progress {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    match kind {
        "Deployment" => deployment(name, object, revision),
        "DaemonSet" => daemon_set(name, object),
        _ => stateful_set(object),
    }
}

fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn deployment(name: &str, object: &Value, revision: i64) -> Progress {
    if revision > 0 {
        let annotations = object.pointer("/metadata/annotations");
        let running = annotations
            .and_then(|annotations| annotations.get("deployment.kubernetes.io/revision"))
            .and_then(Value::as_str)
            .and_then(|revision| revision.parse().ok())
            .unwrap_or(0_i64);
        if running != revision {
            return Progress::Failed(format!(
                "desired revision ({revision}) is different from the running revision ({running})"
            ));
        }
    }
    if number(object, "/metadata/generation") > number(object, "/status/observedGeneration") {
        return Progress::Waiting(
            "Waiting for deployment spec update to be observed...\n".to_owned(),
        );
    }
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let exceeded = conditions.into_iter().flatten().any(|condition| {
        text(condition, "/type") == "Progressing"
            && text(condition, "/reason") == "ProgressDeadlineExceeded"
    });
    if exceeded {
        return Progress::Failed(format!("deployment \"{name}\" exceeded its progress deadline"));
    }
    let updated = number(object, "/status/updatedReplicas");
    let waiting = |rest: String| {
        Progress::Waiting(format!(
            "Waiting for deployment \"{name}\" rollout to finish: {rest}...\n"
        ))
    };
    if let Some(wanted) = object.pointer("/spec/replicas").and_then(Value::as_i64)
        && updated < wanted
    {
        return waiting(format!("{updated} out of {wanted} new replicas have been updated"));
    }
    let all = number(object, "/status/replicas");
    if all > updated {
        return waiting(format!("{} old replicas are pending termination", all - updated));
    }
    let available = number(object, "/status/availableReplicas");
    if available < updated {
        return waiting(format!("{available} of {updated} updated replicas are available"));
    }
    Progress::Done(format!("deployment \"{name}\" successfully rolled out\n"))
}

const ON_DELETE: &str = "rollout status is only available for RollingUpdate strategy type";

fn daemon_set(name: &str, object: &Value) -> Progress {
    if text(object, "/spec/updateStrategy/type") != "RollingUpdate" {
        return Progress::Failed(ON_DELETE.to_owned());
    }
    if number(object, "/metadata/generation") > number(object, "/status/observedGeneration") {
        return Progress::Waiting(
            "Waiting for daemon set spec update to be observed...\n".to_owned(),
        );
    }
    let wanted = number(object, "/status/desiredNumberScheduled");
    let updated = number(object, "/status/updatedNumberScheduled");
    let available = number(object, "/status/numberAvailable");
    let waiting = |rest: String| {
        Progress::Waiting(format!(
            "Waiting for daemon set \"{name}\" rollout to finish: {rest}...\n"
        ))
    };
    if updated < wanted {
        return waiting(format!("{updated} out of {wanted} new pods have been updated"));
    }
    if available < wanted {
        return waiting(format!("{available} of {wanted} updated pods are available"));
    }
    Progress::Done(format!("daemon set \"{name}\" successfully rolled out\n"))
}

fn stateful_set(object: &Value) -> Progress {
    if text(object, "/spec/updateStrategy/type") != "RollingUpdate" {
        return Progress::Failed(ON_DELETE.to_owned());
    }
    let observed = number(object, "/status/observedGeneration");
    if observed == 0 || number(object, "/metadata/generation") > observed {
        return Progress::Waiting(
            "Waiting for statefulset spec update to be observed...\n".to_owned(),
        );
    }
    let wanted = object.pointer("/spec/replicas").and_then(Value::as_i64);
    let ready = number(object, "/status/readyReplicas");
    if let Some(wanted) = wanted
        && ready < wanted
    {
        return Progress::Waiting(format!("Waiting for {} pods to be ready...\n", wanted - ready));
    }
    let updated = number(object, "/status/updatedReplicas");
    if let Some(rolling) = object.pointer("/spec/updateStrategy/rollingUpdate") {
        let partition = rolling.get("partition").and_then(Value::as_i64);
        if let (Some(wanted), Some(partition)) = (wanted, partition)
            && updated < wanted - partition
        {
            return Progress::Waiting(format!(
                "Waiting for partitioned roll out to finish: {updated} out of {} new pods have \
                 been updated...\n",
                wanted - partition
            ));
        }
        return Progress::Done(format!(
            "partitioned roll out complete: {updated} new pods have been updated...\n"
        ));
    }
    let (new, current) =
        (text(object, "/status/updateRevision"), text(object, "/status/currentRevision"));
    if new != current {
        return Progress::Waiting(format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision \
             {new}...\n"
        ));
    }
    Progress::Done(format!(
        "statefulset rolling update complete {} pods at revision {current}...\n",
        number(object, "/status/currentReplicas")
    ))
}

/// `deployments.apps "x"`.
fn resource_and_name(info: &Info) -> String {
    format!("{} \"{}\"", info.mapping.resource(), info.name)
}

async fn change(
    session: &mut Session<'_>,
    rollout: &Rollout,
    info: &Info,
    patch: &Value,
    done: &str,
) -> Outcome {
    let query: Vec<_> = options(&rollout.field_manager, DryRun::None, Validate::Ignore)
        .into_iter()
        .filter(|(name, _)| *name == "fieldManager")
        .collect();
    let mut object = session
        .patch(Patch::Strategic, &info.target(), query, manifest::compact(patch))
        .await
        .map_err(|failure| match Trouble::from(failure) {
            stop @ Trouble::Network(_) => stop,
            trouble @ (Trouble::Status(_)
            | Trouble::Text(_)
            | Trouble::Many(_)
            | Trouble::Exit(..)) => {
                Trouble::text(format!("failed to patch: {}", trouble.message()))
            }
        })?;
    super::get::hide_managed_fields(&mut object);
    let done = operation(done, DryRun::None);
    let text = print_object(&object, &rollout.output, &done, true).map_err(Trouble::text)?;
    session.out(text);
    Ok(())
}

async fn restart(session: &mut Session<'_>, rollout: &Rollout, info: &Info) -> Outcome {
    if !is_workload(info) || info.mapping.kind == "ReplicaSet" {
        return Err(Trouble::text(format!(
            "{} restarting is not supported",
            resource_and_name(info)
        )));
    }
    if info.object.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        return Err(Trouble::text(format!(
            "{} can't restart paused deployment (run rollout resume first)",
            resource_and_name(info)
        )));
    }
    let now =
        jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string().replace("+00:00", "Z");
    let annotations = json!({"kubectl.kubernetes.io/restartedAt": now});
    let patch = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
    change(session, rollout, info, &patch, "restarted").await
}

async fn pause(session: &mut Session<'_>, rollout: &Rollout, info: &Info, pause: bool) -> Outcome {
    let verb = if pause { "pausing" } else { "resuming" };
    if info.mapping.kind != "Deployment" {
        return Err(Trouble::text(format!("{} {verb} is not supported", resource_and_name(info))));
    }
    let paused = info.object.pointer("/spec/paused") == Some(&Value::Bool(true));
    match (pause, paused) {
        (true, true) => {
            Err(Trouble::text(format!("{} is already paused", resource_and_name(info))))
        }
        (false, false) => Err(Trouble::text(format!("{} is not paused", resource_and_name(info)))),
        (true, false) => {
            change(session, rollout, info, &json!({"spec": {"paused": true}}), "paused").await
        }
        (false, true) => {
            change(session, rollout, info, &json!({"spec": {"paused": null}}), "resumed").await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "the tests hand in literals")]
    fn object(generation: i64, spec: Value, status: Value) -> Value {
        json!({"metadata": {"name": "x", "generation": generation}, "spec": spec, "status": status})
    }

    #[test]
    fn a_deployments_progress_is_told_in_kubectls_words() {
        let of =
            |status: Value| progress("Deployment", &object(2, json!({"replicas": 3}), status), 0);
        let waiting = |text: &str| Progress::Waiting(format!("Waiting for deployment {text}...\n"));
        assert_eq!(of(json!({"observedGeneration": 1})), waiting("spec update to be observed"));
        assert_eq!(
            of(json!({"observedGeneration": 2, "updatedReplicas": 1})),
            waiting("\"x\" rollout to finish: 1 out of 3 new replicas have been updated")
        );
        assert_eq!(
            of(json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 4})),
            waiting("\"x\" rollout to finish: 1 old replicas are pending termination")
        );
        assert_eq!(
            of(
                json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 2})
            ),
            waiting("\"x\" rollout to finish: 2 of 3 updated replicas are available")
        );
        assert_eq!(
            of(
                json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 3})
            ),
            Progress::Done("deployment \"x\" successfully rolled out\n".to_owned())
        );
        let late = json!({"observedGeneration": 2, "conditions": [
            {"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]});
        assert_eq!(
            of(late),
            Progress::Failed("deployment \"x\" exceeded its progress deadline".to_owned())
        );
    }

    #[test]
    fn a_stateful_sets_progress_knows_partitions() {
        let spec = json!({"replicas": 2, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}});
        let of = |status: Value| progress("StatefulSet", &object(1, spec.clone(), status), 0);
        assert_eq!(
            of(json!({"observedGeneration": 1, "readyReplicas": 1})),
            Progress::Waiting("Waiting for 1 pods to be ready...\n".to_owned())
        );
        assert_eq!(
            of(json!({"observedGeneration": 1, "readyReplicas": 2})),
            Progress::Waiting("Waiting for partitioned roll out to finish: 0 out of 1 new pods have been updated...\n".to_owned())
        );
        assert_eq!(
            of(json!({"observedGeneration": 1, "readyReplicas": 2, "updatedReplicas": 1})),
            Progress::Done(
                "partitioned roll out complete: 1 new pods have been updated...\n".to_owned()
            )
        );
        let on_delete = object(1, json!({"updateStrategy": {"type": "OnDelete"}}), json!({}));
        assert_eq!(progress("DaemonSet", &on_delete, 0), Progress::Failed(ON_DELETE.to_owned()));
    }
}
