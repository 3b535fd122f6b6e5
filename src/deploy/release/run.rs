//! A deploy from its beginning to its end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::apply::{self, Applied, Refused};
use super::desk::{Desk, Permit};
use super::event::{Action, Change, Ended, Event, State, Summary};
use super::evidence::{self, Last};
use super::follow::{Followed, follow};
use super::inventory::{self, Inventory, Leftover};
use super::lease::{self, Held, Taken};
use super::outcome::{Course, End};
use super::plan::{Mode, OnFailure, Plan, Track, text};
use super::refusal::sentence;
use super::resolve::{Thing, resolve};
use super::survey::{self, Survey};
use super::undo::{remove, undo};
use super::waves::Wave;
use crate::deploy::cluster::{Call, Cluster, Discovery, Failure};
use crate::verdict::Verdict;

/// Requests of one wave that are made side by side; the limiter has the last word.
const WIDTH: usize = 64;
/// The first version whose server-side apply can be relied on.
const OLDEST: (u32, u32) = (1, 22);
/// How long the server may take to establish a kind.
const ESTABLISH: Duration = Duration::from_mins(1);
/// How long what was put back may take to be ready again.
const SETTLE: Duration = Duration::from_mins(2);

/// What checks a deploy that is ready, before it counts as one.
#[async_trait(?Send)]
pub trait Verify {
    /// Verifies.
    async fn verify(&mut self) -> Verified;
}

/// What a verification came to.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The verdict.
    pub verdict: Verdict,
    /// How a deploy ends whose verification does not pass.
    pub ended: Ended,
    /// Why.
    pub reasons: Vec<String>,
}

/// What a deploy has around it.
pub struct World<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// Decides on what the plan does not show: what an inventory prunes.
    pub permit: &'a Permit<'a>,
    /// Verifies, where that is asked for.
    pub verify: Option<&'a mut dyn Verify>,
}

/// Runs a deploy. On cancel it stops between two requests, gives its lease back, and leaves what was
/// applied; the next run goes on from there. When the future is dropped, the lease runs out by itself.
pub async fn run(
    plan: &Plan,
    world: World<'_>,
    emit: &mut (dyn FnMut(Event) + Send),
    cancel: &CancellationToken,
) -> Summary {
    let World { cluster, permit, verify } = world;
    let desk = Desk::new(plan, cluster, permit, emit, cancel);
    let course = Course { start_ms: jiff::Timestamp::now().as_millisecond(), ..Course::default() };
    let mut release = Release {
        desk: &desk,
        course,
        held: Arc::default(),
        survey: Survey::default(),
        inventory: None,
        is_widened: false,
    };
    let end = match release.all(verify).await {
        Ok(end) => end,
        Err(failure) => {
            let mut end = End::by(&failure);
            end.reasons.extend(release.course.applied_so_far());
            end
        }
    };
    let held = std::mem::take(&mut *locked(&release.held));
    lease::release(&desk, held).await;
    release.course.finish(&desk, end)
}

struct Release<'a> {
    desk: &'a Desk<'a>,
    course: Course,
    held: Arc<Mutex<Vec<Held>>>,
    survey: Survey,
    inventory: Option<Inventory>,
    is_widened: bool,
}

impl Release<'_> {
    async fn all(&mut self, verify: Option<&mut dyn Verify>) -> Result<End, Failure> {
        if let Some(end) = self.too_old().await? {
            return Ok(end);
        }
        let discovery = self.desk.discover().await?;
        if let Some(end) = self.preflight(&discovery).await? {
            return Ok(end);
        }
        let leftovers = match &self.inventory {
            Some(inventory) => {
                inventory.leftovers(self.desk, &self.course.things, &discovery).await?
            }
            None => Vec::new(),
        };
        self.tell_changes(&leftovers);
        if self.desk.plan.mode == Mode::Show {
            return Ok(End { ended: Ended::Passed, reasons: Vec::new(), hint: None });
        }
        self.change(verify, leftovers).await
    }

    async fn too_old(&self) -> Result<Option<End>, Failure> {
        let version = self.desk.plain(Call::get("/version")).await?.body;
        let told = text(&version, "/gitVersion").to_owned();
        let number = |pointer: &str| {
            let digits: String =
                text(&version, pointer).chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u32>().ok()
        };
        let (Some(major), Some(minor)) = (number("/major"), number("/minor")) else {
            return Ok(None);
        };
        if (major, minor) >= OLDEST {
            return Ok(None);
        }
        let what = format!(
            "the server is Kubernetes {told}: `dyno deploy` needs 1.22 or newer (server-side apply)"
        );
        Ok(Some(
            End::new(Ended::Failed, what).hint("use `kubectl apply`, or have the cluster upgraded"),
        ))
    }

    /// Finds all that can be known; `Some` when that is the end.
    async fn preflight(&mut self, discovery: &Discovery) -> Result<Option<End>, Failure> {
        let desk = self.desk;
        let (mut things, findings) =
            resolve(&desk.plan.objects, discovery, &desk.namespace, desk.plan.namespace.is_some());
        if let Some(name) = &desk.plan.inventory {
            match Inventory::read(desk, name).await {
                Ok(inventory) => {
                    for thing in &mut things {
                        inventory.mark(&mut thing.object);
                    }
                    self.inventory = Some(inventory);
                }
                Err(inventory::Problem::Told(what)) => {
                    return Ok(Some(End::new(Ended::Input, what)));
                }
                Err(inventory::Problem::Failure(failure)) => return Err(failure),
            }
        }
        self.course.things.clone_from(&things);
        let mut survey = survey::namespaces(desk, &things).await?;
        survey.findings.extend(findings);
        if desk.plan.mode == Mode::Apply {
            let new = survey.new_namespaces.clone();
            let is_missing = |namespace: &str| {
                survey.findings.iter().any(|finding| {
                    finding.path == "/metadata/namespace"
                        && finding.text.contains(&format!("`{namespace}`"))
                })
            };
            let there: Vec<String> = self
                .namespaces()
                .into_iter()
                .filter(|namespace| !new.contains(namespace) && !is_missing(namespace))
                .collect();
            if let Some(end) = self.take(there).await? {
                return Ok(Some(end));
            }
        }
        self.survey = survey::look(desk, &things, survey).await?;
        self.course.findings.clone_from(&self.survey.findings);
        for finding in &self.survey.findings {
            desk.tell(Event::Found(finding.clone()));
        }
        if self.survey.stops() {
            return Ok(Some(End::by_findings(&self.survey.findings)));
        }
        if desk.plan.track == Track::CanaryFirst && !self.course.things.iter().any(is_canary) {
            let what = "--canary: no workload is labelled `track: canary`";
            return Ok(Some(
                End::new(Ended::Input, what).hint(
                    "add a second Deployment with the label `track: canary` to the manifests",
                ),
            ));
        }
        Ok(None)
    }

    fn namespaces(&self) -> Vec<String> {
        let mut namespaces: Vec<String> = self
            .course
            .things
            .iter()
            .map(|thing| thing.namespace.clone())
            .filter(|namespace| !namespace.is_empty())
            .collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        namespaces
    }

    /// Takes the leases of namespaces; `Some` when another deploy has one.
    async fn take(&mut self, namespaces: Vec<String>) -> Result<Option<End>, Failure> {
        for namespace in namespaces {
            match lease::acquire(self.desk, &namespace).await {
                Ok(held) => locked(&self.held).extend(held),
                Err(Taken::Failure(failure)) => return Err(failure),
                Err(Taken::By(who)) => {
                    let what = format!("another deploy holds namespace `{namespace}`: {who}");
                    return Ok(Some(End::new(Ended::Taken, what).hint(
                        "wait for its end, or give --wait a longer time; resource_group in .gitlab-ci.yml keeps jobs apart",
                    )));
                }
            }
        }
        Ok(None)
    }

    fn tell_changes(&self, leftovers: &[Leftover]) {
        let mut changes = Vec::new();
        for thing in &self.course.things {
            let live = self.survey.live.get(&thing.index);
            let predicted = self.survey.predicted.get(&thing.index).unwrap_or(&thing.object);
            let diff = super::diff::diff(live, Some(predicted));
            let action = match live {
                None => Action::Created,
                Some(_) if diff.is_empty() => Action::Unchanged,
                Some(_) => Action::Configured,
            };
            changes.push(Change { name: thing.told(), action, diff });
        }
        for (name, leftover) in inventory::told(leftovers) {
            let diff = super::diff::diff(Some(&leftover.object), None);
            changes.push(Change { name, action: Action::Pruned, diff });
        }
        self.desk.tell(Event::Changes(changes));
    }

    /// Everything that changes the cluster, with the leases renewed beside it.
    async fn change(
        &mut self,
        verify: Option<&mut dyn Verify>,
        leftovers: Vec<Leftover>,
    ) -> Result<End, Failure> {
        let desk = self.desk;
        let held = Arc::clone(&self.held);
        let lost = async {
            let namespace = lease::renew(desk, &held).await;
            desk.say(format!(
                "warning: the lease of namespace `{namespace}` was taken by another deploy; going on"
            ));
            std::future::pending::<()>().await;
        };
        tokio::select! {
            end = self.stages(verify, leftovers) => end,
            () = lost => Err(Failure::Cancelled),
        }
    }

    async fn stages(
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
                }
                Wave::Rights | Wave::Config | Wave::Workloads | Wave::Edges | Wave::Custom => {}
            }
        }
        let timeout = Duration::from_millis(self.desk.plan.timeout_ms);
        let followed = self.follow(stage, timeout).await;
        self.judge(stage, followed, timeout).await
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
        let applied: BTreeMap<usize, Value> = self
            .course
            .applied
            .iter()
            .map(|(index, (object, _))| (*index, object.clone()))
            .collect();
        follow(self.desk, things, &applied, timeout).await
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
        if followed.is_ready() {
            return Ok(None);
        }
        let applied = self.course.applied.values().map(|(object, _)| object);
        let last = Last::new(&followed.last, applied);
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

    /// The end of a deploy that failed: it stays, or goes back.
    async fn failed(&mut self, things: &[&Thing], mut end: End) -> End {
        if self.desk.plan.on_failure == OnFailure::Keep || self.desk.cancel.is_cancelled() {
            return end;
        }
        self.desk.say("rolling back");
        let applied = self.course.applied.clone();
        let undone = undo(self.desk, things, &self.survey.live, &applied).await;
        let n_kept = undone.values().filter(|one| !is_back(one)).count();
        let restored: BTreeMap<usize, Value> = self.as_they_were(things, &undone).await;
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
        undone: &BTreeMap<usize, super::event::Undone>,
    ) -> BTreeMap<usize, Value> {
        let mut restored = BTreeMap::new();
        for thing in things {
            if undone.get(&thing.index) == Some(&super::event::Undone::Restored)
                && let Ok(Some(object)) = self.desk.get(&thing.target()).await
            {
                restored.insert(thing.index, object);
            }
        }
        restored
    }

    /// The canary has done its work: the rest carries the same version now.
    async fn remove_canary(&mut self, things: &[Thing]) {
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

    async fn prune(&mut self, things: &[Thing], leftovers: Vec<Leftover>) -> Result<End, Failure> {
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

fn locked(held: &Mutex<Vec<Held>>) -> std::sync::MutexGuard<'_, Vec<Held>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_back(undone: &super::event::Undone) -> bool {
    use super::event::Undone;
    match undone {
        Undone::Restored | Undone::Deleted => true,
        Undone::Kept(_) | Undone::Failed(_) => false,
    }
}

/// True for a workload of the second track.
fn is_canary(thing: &Thing) -> bool {
    thing.wave == Wave::Workloads && text(&thing.object, "/metadata/labels/track") == "canary"
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
