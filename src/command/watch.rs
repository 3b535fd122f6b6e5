//! What `dyno load` does for the gate: it has sources without history sampled while it runs.

use std::collections::BTreeMap;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::guest::Guest;
use crate::broker::Event;
use crate::gate::source::Recording;
use crate::gate::{self, Check, Overrides, Plan, Watch};
use crate::job::Vars;
use crate::policy::{self, Task};

/// Returns what the plan's checks ask; nothing where there are none, or none that can be read: that
/// is for the gate to tell.
pub(super) fn watches(plan: Option<&Path>, vars: &dyn Vars) -> Vec<Watch> {
    let Some(sheet) = plan.and_then(|path| policy::plan::read_checks(path, vars).ok()) else {
        return Vec::new();
    };
    let plan = Plan::build(sheet.gate(), Overrides::default(), vars);
    plan.map(|plan| plan.checks.iter().flat_map(Check::questions).collect()).unwrap_or_default()
}

/// Records until cancelled. A watch that is refused records its reason, which the gate then tells.
pub(super) async fn record(
    guest: &Guest,
    watches: Vec<Watch>,
    cancel: &CancellationToken,
) -> BTreeMap<String, Recording> {
    let mut recordings: BTreeMap<String, Recording> = BTreeMap::new();
    if watches.is_empty() {
        return recordings;
    }
    let mut note = |event| {
        if let Event::Gate(gate::Event::Sampled { source, sample }) = event {
            recordings.entry(source).or_default().note(sample);
        }
    };
    let watched = guest.perform(Task::Watch(watches), &mut note, cancel).await;
    if let Err(error) = watched
        && !cancel.is_cancelled()
    {
        tracing::warn!(%error, "nothing is sampled beside the load");
    }
    recordings
}
