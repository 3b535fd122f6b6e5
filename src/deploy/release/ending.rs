//! How a deploy ends: it stays or goes back, and what it no longer has is pruned.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::event::{Action, Ended, Undone};
use super::follow::follow;
use super::inventory::Leftover;
use super::outcome::End;
use super::plan::OnFailure;
use super::refusal::sentence;
use super::resolve::Thing;
use super::run::{Release, is_canary};
use super::undo::{remove, undo};
use crate::deploy::cluster::Failure;

/// How long what was put back may take to be ready again.
const SETTLE: Duration = Duration::from_mins(2);

impl Release<'_> {
    /// The end of a deploy that failed: it stays, or goes back.
    pub(super) async fn failed(&mut self, things: &[&Thing], mut end: End) -> End {
        if self.desk.plan.on_failure == OnFailure::Keep || self.desk.cancel.is_cancelled() {
            return end;
        }
        self.desk.say("rolling back");
        let applied = self.course.applied.clone();
        let undone = undo(self.desk, things, &self.survey.live, &applied).await;
        let n_kept = undone.values().filter(|one| !is_back(one)).count();
        let restored = self.as_they_were(things, &undone).await;
        self.course.undone = undone;
        let back: Vec<&Thing> =
            things.iter().filter(|thing| restored.contains_key(&thing.index)).copied().collect();
        let followed = follow(self.desk, &back, &restored, SETTLE).await;
        end.reasons.push(match (n_kept, followed.is_ready()) {
            (0, true) => "rolled back: all is as it was before".to_owned(),
            (0, false) => "rolled back, but not all of it is ready again".to_owned(),
            (1, _) => "rolled back, except 1 object that stays (named above)".to_owned(),
            (n, _) => format!("rolled back, except {n} objects that stay (named above)"),
        });
        end
    }

    async fn as_they_were(
        &self,
        things: &[&Thing],
        undone: &BTreeMap<usize, Undone>,
    ) -> BTreeMap<usize, (Value, Action)> {
        let mut restored = BTreeMap::new();
        for thing in things {
            if undone.get(&thing.index) == Some(&Undone::Restored)
                && let Ok(Some(object)) = self.desk.get(&thing.target()).await
            {
                restored.insert(thing.index, (object, Action::Configured));
            }
        }
        restored
    }

    /// The canary has done its work: the rest carries the same version now.
    pub(super) async fn remove_canary(&mut self, things: &[Thing]) {
        for thing in things.iter().filter(|thing| is_canary(thing)) {
            let Some((applied, _)) = self.course.applied.get(&thing.index) else { continue };
            match remove(self.desk, thing, applied).await {
                Ok(()) => self.desk.say(format!("{} is removed: it was the canary", thing.told())),
                Err(failure) => {
                    self.desk.say(format!(
                        "warning: {} stays: {}",
                        thing.told(),
                        sentence(&failure)
                    ));
                }
            }
        }
    }

    pub(super) async fn prune(
        &mut self,
        things: &[Thing],
        leftovers: Vec<Leftover>,
    ) -> Result<End, Failure> {
        let mut is_clean = true;
        for Leftover { thing, object } in leftovers {
            let trouble = remove(self.desk, &thing, &object).await.err();
            if let Some(failure) = &trouble {
                is_clean = false;
                self.desk.say(format!(
                    "warning: {} is not pruned: {}",
                    thing.told(),
                    sentence(failure)
                ));
            } else {
                self.desk.say(format!("{} pruned", thing.told()));
            }
            self.course.pruned.push((thing, trouble.as_ref().map(sentence)));
        }
        if let (Some(inventory), true) = (&self.inventory, is_clean) {
            inventory.narrow(self.desk, things).await?;
        }
        Ok(End { ended: Ended::Passed, reasons: Vec::new(), hint: None })
    }
}

fn is_back(undone: &Undone) -> bool {
    match undone {
        Undone::Restored | Undone::Deleted => true,
        Undone::Kept(_) | Undone::Failed(_) => false,
    }
}
