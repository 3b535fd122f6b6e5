//! What changes the cluster: waves applied and followed, a stage after the other.

use std::time::Duration;

use super::apply::{self, Applied, Refused};
use super::event::{Action, Ended, Event, State};
use super::evidence::{self, Last};
use super::follow::{Followed, follow};
use super::inventory::Leftover;
use super::outcome::End;
use super::plan::Track;
use super::resolve::{Thing, definitions};
use super::run::{Release, Verified, Verify, is_canary};
use super::waves::Wave;
use crate::deploy::cluster::Failure;
use crate::verdict::Verdict;
use futures_util::stream::{self, StreamExt};

/// Requests of one wave that are made side by side; the limiter has the last word.
const WIDTH: usize = 64;
/// How long the server may take to establish a kind.
const ESTABLISH: Duration = Duration::from_mins(1);
/// How often, and how many times, it is asked whether it serves what it established.
const SERVE: (Duration, u32) = (Duration::from_millis(250), 40);

impl Release<'_> {
    pub(super) async fn stages(
        &mut self,
        verify: Option<&mut dyn Verify>,
        leftovers: Vec<Leftover>,
    ) -> Result<End, Failure> {
        let things = self.course.things.clone();
        let is_first = |thing: &&Thing| match self.desk.plan.track {
            Track::One => true,
            Track::CanaryFirst => is_canary(thing) || thing.wave < Wave::Workloads,
        };
        let (first, second): (Vec<&Thing>, Vec<&Thing>) = things.iter().partition(is_first);
        let mut stages = vec![first];
        if !second.is_empty() {
            stages.push(second);
        }
        let mut verify = verify;
        let mut done: Vec<&Thing> = Vec::new();
        for (n, stage) in stages.iter().enumerate() {
            if stages.len() > 1 {
                let word = if n == 0 { "the canary" } else { "the rest" };
                self.desk.say(format!("stage {} of 2: {word}", n + 1));
            }
            done.extend(stage);
            let mut end = self.bring_up(stage).await?;
            if end.is_none()
                && n == 0
                && let Some(verify) = verify.take()
            {
                self.desk.say("all is ready; verifying");
                end = rejected(verify.verify().await);
            }
            if let Some(end) = end {
                return Ok(self.failed(&done, end).await);
            }
        }
        if self.desk.plan.track == Track::CanaryFirst {
            self.remove_canary(&things).await;
        }
        self.prune(&things, leftovers).await
    }

    /// Applies a stage and follows it; `Some` when it failed.
    async fn bring_up(&mut self, stage: &[&Thing]) -> Result<Option<End>, Failure> {
        for wave in Wave::ALL {
            let wanted: Vec<&Thing> =
                stage.iter().filter(|thing| thing.wave == wave).copied().collect();
            if wanted.is_empty() {
                continue;
            }
            self.apply_wave(wave, &wanted).await?;
            if !self.course.refused.is_empty() {
                return Ok(Some(self.refused()));
            }
            match wave {
                Wave::Namespaces => {
                    let new = self.survey.new_namespaces.clone();
                    if let Some(end) = self.take(new).await? {
                        return Ok(Some(end));
                    }
                }
                Wave::Definitions => {
                    let followed = self.follow(&wanted, ESTABLISH).await;
                    if let Some(end) = self.judge(&wanted, followed, ESTABLISH).await? {
                        return Ok(Some(end));
                    }
                    self.await_kinds(&wanted).await?;
                }
                Wave::Rights | Wave::Config | Wave::Workloads | Wave::Edges | Wave::Custom => {}
            }
        }
        let timeout = Duration::from_millis(self.desk.plan.timeout_ms);
        let followed = self.follow(stage, timeout).await;
        self.judge(stage, followed, timeout).await
    }

    /// Waits until the server tells everybody of the kinds that it established: that comes a little
    /// later, and who comes before, in this job or the next, would hear that there is no such kind.
    async fn await_kinds(&self, wanted: &[&Thing]) -> Result<(), Failure> {
        let is_new = |thing: &&Thing| {
            let applied = self.course.applied.get(&thing.index);
            applied.is_none_or(|(_, action)| *action != Action::Unchanged)
        };
        let kinds = definitions(wanted.iter().copied().filter(is_new).map(|thing| &thing.object));
        if kinds.is_empty() {
            return Ok(());
        }
        for _ in 0..SERVE.1 {
            let served = self.desk.discover().await?;
            if kinds.iter().all(|kind| served.by_kind(&kind.api_version(), &kind.kind).is_some()) {
                return Ok(());
            }
            self.desk.pause(SERVE.0).await?;
        }
        self.desk.say("warning: the server does not list every kind that it established; going on");
        Ok(())
    }

    /// Writes the inventory before the first object that could be one of its members.
    async fn widen(&self) -> Result<(), Failure> {
        match &self.inventory {
            Some(inventory) => inventory.widen(self.desk, &self.course.things).await,
            None => Ok(()),
        }
    }

    async fn apply_wave(&mut self, wave: Wave, wanted: &[&Thing]) -> Result<(), Failure> {
        if wave > Wave::Namespaces && !self.is_widened {
            self.widen().await?;
            self.is_widened = true;
        }
        let desk = self.desk;
        let survey = &self.survey;
        let mut sent = stream::iter(wanted.iter().copied())
            .map(|thing| async move {
                let live = survey.live.get(&thing.index);
                if let (true, Some(live)) = (survey.is_unchanged(thing.index), live) {
                    let action = Action::Unchanged;
                    return (thing, Ok(Applied { object: live.clone(), action, took: Vec::new() }));
                }
                (thing, apply::apply(desk, thing, live).await)
            })
            .buffer_unordered(WIDTH);
        let mut lost = None;
        while let Some((thing, answer)) = sent.next().await {
            match answer {
                Ok(Applied { object, action, .. }) => {
                    desk.tell(Event::Applied { object: thing.index, action });
                    self.course.applied.insert(thing.index, (object, action));
                }
                Err(Refused::Failure(failure))
                    if failure == Failure::Cancelled || failure.is_unreachable() =>
                {
                    lost = Some(failure);
                }
                Err(refused) => {
                    let told = refused.findings(thing, survey.live.get(&thing.index));
                    let why: Vec<String> = told.into_iter().map(|finding| finding.text).collect();
                    let why = if why.is_empty() {
                        "its fields are contended".to_owned()
                    } else {
                        why.join("; ")
                    };
                    desk.tell(Event::Applied { object: thing.index, action: Action::Refused });
                    self.course.refused.insert(thing.index, why);
                }
            }
        }
        drop(sent);
        lost.map_or(Ok(()), Err)
    }

    fn refused(&self) -> End {
        let mut end = End::new(
            Ended::Failed,
            match self.course.refused.len() {
                1 => "the server refused 1 object".to_owned(),
                n => format!("the server refused {n} objects"),
            },
        );
        for thing in &self.course.things {
            if let Some(why) = self.course.refused.get(&thing.index) {
                end.reasons.push(format!("{}: {why}", thing.told()));
            }
        }
        end.reasons.extend(self.course.applied_so_far());
        end
    }

    async fn follow(&self, things: &[&Thing], timeout: Duration) -> Followed {
        follow(self.desk, things, &self.course.applied, timeout).await
    }

    /// Takes over what following came to; `Some` when that is the end. Evidence is told first.
    async fn judge(
        &mut self,
        things: &[&Thing],
        followed: Followed,
        timeout: Duration,
    ) -> Result<Option<End>, Failure> {
        for (index, state) in &followed.states {
            self.course.states.insert(*index, state.clone());
        }
        if let Some(failure) = followed.lost {
            return Err(failure);
        }
        if self.desk.cancel.is_cancelled() {
            return Err(Failure::Cancelled);
        }
        let applied = self.course.applied.values().map(|(object, _)| object);
        let last = Last::new(&followed.last, applied);
        if followed.is_ready() {
            self.course.ready = last.objects;
            return Ok(None);
        }
        let mut reasons = Vec::new();
        for thing in things {
            let why = match followed.states.get(&thing.index) {
                Some((State::Failed(why), _)) => why.clone(),
                Some((State::Waiting(why), _)) if followed.timed_out => {
                    format!("not ready after {} s: {why}", timeout.as_secs())
                }
                Some((State::Ready(_) | State::Waiting(_), _)) | None => continue,
            };
            let pod = followed.pods.get(&thing.index).map(String::as_str);
            let told = evidence::gather(self.desk, thing, &why, pod, &last).await;
            self.desk.tell(Event::Evidence(told));
            reasons.push(format!("{}: {why}", thing.told()));
        }
        Ok(Some(End { ended: Ended::Failed, reasons, hint: None }))
    }
}

/// The end that a verification makes of a deploy; `None` when it passes.
fn rejected(verified: Verified) -> Option<End> {
    if verified.verdict <= Verdict::Warned {
        return None;
    }
    let mut reasons = vec![format!("verification: {}", verified.verdict)];
    reasons.extend(verified.reasons);
    Some(End { ended: verified.ended, reasons, hint: None })
}
