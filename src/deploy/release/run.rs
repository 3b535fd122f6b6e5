//! A deploy from its beginning to its end.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::desk::{Desk, Permit};
use super::event::{Action, Change, Ended, Event, Summary};
use super::inventory::{self, Inventory, Leftover};
use super::lease::{self, Held, Taken};
use super::outcome::{Course, End};
use super::plan::{Mode, Plan, Track, text};
use super::resolve::{Thing, resolve};
use super::survey::{self, Survey};
use super::waves::Wave;
use crate::deploy::cluster::{Call, Cluster, Discovery, Failure};
use crate::verdict::Verdict;

/// The first version whose server-side apply can be relied on.
const OLDEST: (u32, u32) = (1, 22);
/// The last version that dyno's kinds and rules are known to fit: kubectl's own, and one more.
const NEWEST: (u32, u32) = (1, 37);

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

/// A deploy that runs.
pub(super) struct Release<'a> {
    pub(super) desk: &'a Desk<'a>,
    pub(super) course: Course,
    held: Arc<Mutex<Vec<Held>>>,
    pub(super) survey: Survey,
    pub(super) inventory: Option<Inventory>,
    pub(super) is_widened: bool,
}

impl Release<'_> {
    async fn all(&mut self, verify: Option<&mut dyn Verify>) -> Result<End, Failure> {
        if let Some(end) = self.unfit_server().await? {
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

    /// Whether the server is one that dyno can deploy to; `Some` when it is not.
    async fn unfit_server(&self) -> Result<Option<End>, Failure> {
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
        if (major, minor) > NEWEST {
            self.desk.say(format!(
                "The server is Kubernetes {told}, newer than what this dyno was made for ({}.{}): \
                 where it refuses what looks right, try a newer dyno.",
                NEWEST.0, NEWEST.1
            ));
        }
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
    pub(super) async fn take(&mut self, namespaces: Vec<String>) -> Result<Option<End>, Failure> {
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
}

fn locked(held: &Mutex<Vec<Held>>) -> std::sync::MutexGuard<'_, Vec<Held>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// True for a workload of the second track.
pub(super) fn is_canary(thing: &Thing) -> bool {
    thing.wave == Wave::Workloads && text(&thing.object, "/metadata/labels/track") == "canary"
}
