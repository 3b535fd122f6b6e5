//! Load tasks: names are resolved once, the policy decides on the addresses, the worker is pinned
//! to them.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::gate::Window;
use crate::job::resolve;
use crate::load::push::{self, Labels, Pusher};
use crate::load::{self, Pins, Plan, Summary};
use crate::mistake::suggest;
use crate::outcome::Outcome;

use super::protocol::Event;
use super::records::{Record, Records, Standing};
use super::rights::{Desk, Granted, Rights};

/// Drives the plan's load.
pub(super) async fn perform(
    desk: &Desk<'_>,
    mut plan: Plan,
    emit: &mut (dyn FnMut(Event) + Send),
    cancel: &CancellationToken,
) -> Result<Outcome> {
    if let Rights::Granted(granted) = &desk.rights {
        let most = granted.profile.load.users;
        if plan.model.fit(most) {
            emit(Event::Said(format!(
                "at most {most} users run at a time, as the policy says; arrivals that find none free \
                 are dropped and counted"
            )));
        }
        granted.profile.allow_sinks(&plan)?;
        granted.profile.allow_lookup(&plan)?;
    }
    // Whatever a guest claims, only addresses that are resolved here are connected to.
    (plan.pins, plan.looked_up) = pins(&plan).await?;
    let granted = match &desk.rights {
        Rights::Granted(granted) => {
            granted.profile.allow_load(&plan, &plan.pins)?;
            plan.extra = Some(granted.profile.load.extra);
            Some(granted)
        }
        Rights::Own(_) => None,
    };
    let mut pusher = Pusher::start(sinks(desk, &plan)?, labels(desk));
    let note = |standing| granted.map_or(Ok(()), |granted| record(granted, standing));
    note(Standing::running())?;
    let mut tell = |event: load::Event| {
        pusher.offer(&event);
        // What is for sinks alone need not cross the socket.
        if !matches!(event, load::Event::Endpoints(_)) {
            emit(Event::Load(event));
        }
    };
    let ran = load::run(&plan, &desk.worker, &mut tell, cancel).await;
    for lost in pusher.finish().await {
        emit(Event::Said(lost));
    }
    note(ran.as_ref().map_or(Standing::Broken, standing))?;
    // A generator that failed itself is never a pass, and not the script's doing.
    Ok(ran.map_err(Error::system)?.outcome())
}

/// Returns the sinks that the plan names, with the credentials that stay here.
fn sinks(desk: &Desk<'_>, plan: &Plan) -> Result<Vec<push::Spec>> {
    let find = |name: &String| {
        let entry = desk.policy().and_then(|policy| policy.sinks.get(name)).ok_or_else(|| {
            let sinks = desk.policy().into_iter().flat_map(|policy| policy.sinks.keys());
            let known: Vec<&str> = sinks.map(String::as_str).collect();
            let unknown = Unknown { name: name.clone(), meant: suggest(name, &known) };
            Error::job(unknown).hint("define it under `sinks:` in your policy file")
        })?;
        entry.spec(name).map_err(Error::system)
    };
    plan.push.iter().map(find).collect()
}

/// A sink that nobody defined.
#[derive(Debug, thiserror::Error)]
#[error("there is no sink `{name}` that `push:` or `--push` asks for: {meant}")]
struct Unknown {
    name: String,
    meant: String,
}

/// Returns who pushes: the project and the job, as GitLab says them.
fn labels(desk: &Desk<'_>) -> Labels {
    let mut labels = Labels::default();
    if let Rights::Granted(granted) = &desk.rights {
        labels.add("project", &granted.job.project_path);
        labels.add("job_id", &granted.job.id.to_string());
    }
    labels
}

/// Returns the addresses of everything that the plan connects to, and how long each look-up took,
/// in microseconds.
async fn pins(plan: &Plan) -> Result<(Pins, Vec<u64>)> {
    let mut pins = Pins::new();
    let mut looked_up = Vec::new();
    for origin in plan.origins() {
        let begun = Instant::now();
        let addresses = resolve::resolve(&origin.host).await.map_err(|error| {
            // The target is the job's own word, and no part of the platform.
            Error::job(error)
                .outcome(Outcome::Unreachable)
                .hint(format!("check the target `{}`", origin.url()))
        })?;
        if origin.host.parse::<std::net::IpAddr>().is_err() {
            looked_up.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
        pins.insert(origin.to_string(), addresses);
    }
    Ok((pins, looked_up))
}

fn record(granted: &Granted<'_>, standing: Standing) -> Result<()> {
    let record = Record { job: granted.job.id, name: granted.job.name.clone(), standing };
    Records::of(&granted.policy.state, granted.job).write(&record).map_err(Error::system)
}

/// A load that nobody could measure gives a gate no window.
fn standing(summary: &Summary) -> Standing {
    let steady = Window { start_ms: summary.steady.start, end_ms: summary.steady.end };
    let is_usable = !summary.interrupted
        && summary.requests.count > summary.requests.failed
        && steady.start_ms < steady.end_ms;
    if is_usable { Standing::Ended { steady } } else { Standing::Broken }
}
