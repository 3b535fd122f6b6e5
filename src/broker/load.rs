//! Load tasks: names are resolved once, the policy decides on the addresses, the worker is pinned
//! to them.

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::gate::Window;
use crate::job::resolve;
use crate::load::{self, Pins, Plan, Summary};
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
        granted.profile.allow_lookup(&plan)?;
    }
    // Whatever a guest claims, only addresses that are resolved here are connected to.
    plan.pins = pins(&plan).await?;
    let granted = match &desk.rights {
        Rights::Granted(granted) => {
            granted.profile.allow_load(&plan, &plan.pins)?;
            Some(granted)
        }
        Rights::Own(_) => None,
    };
    let note = |standing| granted.map_or(Ok(()), |granted| record(granted, standing));
    note(Standing::running())?;
    let ran = load::run(&plan, &desk.worker, &mut |event| emit(Event::Load(event)), cancel).await;
    note(ran.as_ref().map_or(Standing::Broken, standing))?;
    // A generator that failed itself is never a pass, and not the script's doing.
    Ok(ran.map_err(Error::system)?.outcome())
}

async fn pins(plan: &Plan) -> Result<Pins> {
    let mut pins = Pins::new();
    for origin in plan.origins() {
        let addresses = resolve::resolve(&origin.host).await.map_err(|error| {
            // The target is the job's own word, and no part of the platform.
            Error::job(error)
                .outcome(Outcome::Unreachable)
                .hint(format!("check the target `{}`", origin.url()))
        })?;
        pins.insert(origin.to_string(), addresses);
    }
    Ok(pins)
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
