//! Objects followed until they are ready, doomed, or out of time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::Value;
use tokio::time::Instant;

use super::desk::{Desk, known};
use super::event::{Action, Event, State};
use super::plan::text;
use super::pods::Cause;
use super::resolve::Thing;
use super::scene::{Newness, Scene, Standing, Suspect};
use super::store::{Scope, Store, keep};
use crate::deploy::cluster::Failure;

/// How objects came out.
#[derive(Debug, Default)]
pub struct Followed {
    /// Each object's last state, and the seconds until then.
    pub states: BTreeMap<usize, (State, f64)>,
    /// The pod that shows an object's failure, by the object's number.
    pub pods: BTreeMap<usize, String>,
    /// Objects, pods and events in the end: what evidence is taken from.
    pub last: Vec<BTreeMap<String, Value>>,
    /// True when time was up.
    pub timed_out: bool,
    /// Why the server could no longer be followed.
    pub lost: Option<Failure>,
}

impl Followed {
    /// True when every object is ready.
    pub fn is_ready(&self) -> bool {
        self.lost.is_none()
            && self.states.values().all(|(state, _)| matches!(state, State::Ready(_)))
    }
}

/// Others may be doomed as well: so long is looked for them after the first.
const GATHER: Duration = Duration::from_secs(3);
/// How long changes are gathered before they are judged.
const SETTLE: Duration = Duration::from_millis(150);
/// How often time alone is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often the log is told what is waited for.
const TELL: Duration = Duration::from_secs(10);
/// What is quickly ready needs no word.
const QUIET: Duration = Duration::from_millis(1500);
/// How often one object's reason is told anew.
const AGAIN: Duration = Duration::from_secs(3);

/// What may never come is not waited for where nothing changed: it did not come after the last deploy.
fn borne(standing: Standing, action: Action) -> Standing {
    let mut standing = standing;
    if let (Standing::Waiting { patience: Some(patience), .. }, Action::Unchanged) =
        (&mut standing, action)
    {
        *patience = Duration::ZERO;
    }
    standing
}

/// A pod with a readiness probe is watched for so long after it is ready.
const PROBED: Duration = Duration::from_secs(2);

/// Number of the scopes that are about no object of the deploy itself.
const BESIDE: usize = 3;

/// Follows objects. `applied` holds them as the server answered, and what became of them.
pub async fn follow<'a>(
    desk: &'a Desk<'_>,
    things: &[&'a Thing],
    applied: &'a BTreeMap<usize, (Value, Action)>,
    timeout: Duration,
) -> Followed {
    let since = (jiff::Timestamp::now() - Duration::from_secs(5)).strftime("%Y-%m-%dT%H:%M:%SZ");
    let mut follower = Follower {
        desk,
        since: since.to_string(),
        began: Instant::now(),
        pending: BTreeMap::new(),
        followed: Followed::default(),
        suspected: BTreeMap::new(),
        first_doom: None,
        up: BTreeMap::new(),
        told: BTreeMap::new(),
        told_all: Instant::now(),
    };
    for thing in things {
        if let Some((object, action)) = applied.get(&thing.index) {
            let pending = Pending { thing, object, action: *action, since: Instant::now() };
            follower.pending.insert(thing.index, pending);
        }
    }
    // What is ready by the server's own answer needs no watch.
    follower.judge(&[], &Store::default());
    if follower.pending.is_empty() {
        return follower.followed;
    }
    let scopes = follower.scopes();
    let store = Store::new(scopes.len());
    let mut keepers: FuturesUnordered<_> =
        scopes.iter().enumerate().map(|(n, scope)| keep(desk, &store, n, scope)).collect();
    let watching = async {
        while keepers.next().await.is_some() {}
        std::future::pending::<()>().await;
    };
    let judging = follower.run(&store, &scopes, timeout);
    tokio::select! {
        followed = judging => followed,
        () = watching => Followed::default(),
    }
}

struct Pending<'a> {
    thing: &'a Thing,
    object: &'a Value,
    action: Action,
    since: Instant,
}

struct Follower<'a, 'd> {
    desk: &'a Desk<'d>,
    since: String,
    began: Instant,
    pending: BTreeMap<usize, Pending<'a>>,
    followed: Followed,
    /// Since when something has been wrong: object, pod, cause.
    suspected: BTreeMap<(usize, String, Cause), Instant>,
    first_doom: Option<Instant>,
    /// Objects that are up and still watched: restarts so far, and since when.
    up: BTreeMap<usize, (i64, Instant)>,
    told: BTreeMap<usize, (String, Instant)>,
    told_all: Instant,
}

impl Follower<'_, '_> {
    /// The scopes of what is pending, after those of pods, their makers and events.
    fn scopes(&self) -> Vec<Scope> {
        let mut scopes = Vec::new();
        let namespaces: BTreeSet<&str> = self
            .pending
            .values()
            .map(|pending| pending.thing.namespace.as_str())
            .filter(|namespace| !namespace.is_empty())
            .collect();
        for namespace in namespaces {
            let mut push = |mapping, fields| {
                let namespace = namespace.to_owned();
                scopes.push(Scope { mapping, namespace, name: String::new(), fields });
            };
            push(known("", "v1", "Pod", "pods"), "");
            push(known("apps", "v1", "ReplicaSet", "replicasets"), "");
            push(known("", "v1", "Event", "events"), "type=Warning");
        }
        let n_beside = scopes.len();
        debug_assert_eq!(n_beside % BESIDE, 0);
        for Pending { thing, .. } in self.pending.values() {
            let is_alone = thing.namespace.is_empty();
            let scope = Scope {
                mapping: thing.mapping.clone(),
                namespace: thing.namespace.clone(),
                name: if is_alone { thing.name.clone() } else { String::new() },
                fields: "",
            };
            if !scopes.iter().any(|known| {
                known.mapping.resource() == scope.mapping.resource()
                    && known.namespace == scope.namespace
                    && known.name == scope.name
            }) {
                scopes.push(scope);
            }
        }
        scopes
    }

    async fn run(mut self, store: &Store, scopes: &[Scope], timeout: Duration) -> Followed {
        let end = self.began + timeout;
        loop {
            let wake = (Instant::now() + TICK).min(end);
            tokio::select! {
                () = store.changed() => {
                    let gathered = self.desk.pause(SETTLE).await;
                    drop(gathered);
                }
                () = tokio::time::sleep_until(wake) => {}
                () = self.desk.cancel.cancelled() => {}
            }
            self.judge(scopes, store);
            let is_doomed = self.first_doom.is_some_and(|first| first.elapsed() >= GATHER);
            let is_over = self.pending.is_empty() || is_doomed;
            let failure = store.failure();
            let is_late = Instant::now() >= end;
            if is_over || is_late || failure.is_some() || self.desk.cancel.is_cancelled() {
                self.followed.timed_out = is_late && !is_over;
                self.followed.lost = failure;
                return self.end(store);
            }
            self.tell_all();
        }
    }

    /// What is still pending has its last reason.
    fn end(mut self, store: &Store) -> Followed {
        let seconds = self.began.elapsed().as_secs_f64();
        for (index, _) in std::mem::take(&mut self.pending) {
            let why = self.told.remove(&index).map(|(why, _)| why);
            let why = why.unwrap_or_else(|| "it is not ready".to_owned());
            self.followed.states.insert(index, (State::Waiting(why), seconds));
        }
        self.followed.last = store.snapshot();
        self.followed
    }

    /// Judges all that is pending by what is known now.
    fn judge(&mut self, scopes: &[Scope], store: &Store) {
        let known = store.snapshot();
        let of = |kind: &str| {
            let wanted =
                scopes.iter().zip(&known).filter(move |(scope, _)| scope.mapping.kind == kind);
            wanted.flat_map(|(_, objects)| objects.values()).collect::<Vec<&Value>>()
        };
        let (pods, sets, warnings) = (of("Pod"), of("ReplicaSet"), of("Event"));
        let kinds: BTreeMap<usize, Value> = self
            .pending
            .iter()
            .filter_map(|(index, pending)| Some((*index, current(pending, scopes, &known, store)?)))
            .collect();
        // Lists leave the kind of their items out.
        let pods: Vec<Value> = pods.into_iter().map(|pod| typed(pod, "v1", "Pod")).collect();
        let scene = Scene::new(&pods, sets, warnings);
        let workloads: BTreeSet<usize> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.thing.pod().is_some())
            .map(|(index, _)| *index)
            .collect();
        let mut verdicts = Vec::new();
        let mut news = Vec::new();
        for (index, pending) in &self.pending {
            let others_come =
                workloads.iter().any(|other| other != index && !self.up.contains_key(other));
            let standing = match kinds.get(index) {
                Some(object) => {
                    let standing = scene.standing(object, &self.since, others_come);
                    let newness = scene.newness(object, &self.since);
                    match (&standing, newness) {
                        (Standing::Ready(_), Some(newness)) => {
                            let suspects = scene.suspects(object, &self.since, others_come);
                            news.push((*index, newness, suspects));
                        }
                        (Standing::Ready(_), None)
                        | (Standing::Waiting { .. } | Standing::Failed(..), _) => {}
                    }
                    standing
                }
                None => Standing::Failed("it was deleted by somebody".to_owned(), None),
            };
            verdicts.push((*index, pending.since, borne(standing, pending.action)));
        }
        self.up.retain(|index, _| news.iter().any(|(up, ..)| up == index));
        let mut watched = BTreeMap::new();
        for (index, newness, suspects) in news {
            if let Some(why) = self.watch(index, newness) {
                watched.insert(index, Standing::Waiting { why, patience: None, suspects });
            }
        }
        for (index, since, standing) in verdicts {
            let standing = watched.remove(&index).unwrap_or(standing);
            self.settle(index, since, standing);
        }
    }

    /// How long an object that is up is still watched, as a sentence; `None` when that is over.
    fn watch(&mut self, index: usize, newness: Newness) -> Option<String> {
        let settle = Duration::from_millis(self.desk.plan.settle_ms);
        let window = if newness.is_probed { settle.min(PROBED) } else { settle };
        let now = (newness.restarts, Instant::now());
        let (restarts, since) = self.up.entry(index).or_insert(now);
        if *restarts != newness.restarts {
            (*restarts, *since) = now;
        }
        let left = window.checked_sub(since.elapsed()).filter(|left| !left.is_zero())?;
        let why = if newness.is_probed { "" } else { ", since it has no readiness probe" };
        Some(format!("it is up, and watched for {} s{why}", left.as_secs() + 1))
    }

    fn settle(&mut self, index: usize, since: Instant, standing: Standing) {
        let (state, pod) = match standing {
            Standing::Ready(note) => (State::Ready(note), None),
            Standing::Failed(why, pod) => (State::Failed(why), pod),
            Standing::Waiting { why, patience, suspects } => {
                if patience.is_some_and(|patience| since.elapsed() >= patience) {
                    (State::Ready(Some(why)), None)
                } else if let Some(doom) = self.doom(index, &suspects) {
                    (
                        State::Failed(match &doom.pod {
                            Some(pod) => format!("pod {pod}: {}", doom.reason),
                            None => doom.reason.clone(),
                        }),
                        doom.pod,
                    )
                } else {
                    self.wait(index, why);
                    return;
                }
            }
        };
        if matches!(state, State::Failed(_)) {
            self.first_doom.get_or_insert_with(Instant::now);
        }
        if let Some(pod) = pod {
            self.followed.pods.insert(index, pod);
        }
        self.pending.remove(&index);
        self.desk.tell(Event::Progress { object: index, state: state.clone() });
        self.followed.states.insert(index, (state, self.began.elapsed().as_secs_f64()));
    }

    /// The suspect whose grace is over. One that is gone is forgotten.
    fn doom(&mut self, index: usize, suspects: &[Suspect]) -> Option<Suspect> {
        self.suspected.retain(|(object, who, cause), _| {
            *object != index
                || suspects.iter().any(|suspect| suspect.who == *who && suspect.cause == *cause)
        });
        let mut doomed = None;
        for suspect in suspects {
            let key = (index, suspect.who.clone(), suspect.cause);
            let since = *self.suspected.entry(key).or_insert_with(Instant::now);
            if since.elapsed() >= suspect.grace && doomed.is_none() {
                doomed = Some(suspect.clone());
            }
        }
        doomed
    }

    fn wait(&mut self, index: usize, why: String) {
        let is_watched = why.starts_with("it is up");
        let told_so = self.told.get(&index).is_some_and(|(told, _)| told.starts_with("it is up"));
        if (is_watched && told_so) || self.began.elapsed() < QUIET {
            return;
        }
        let is_news =
            self.told.get(&index).is_none_or(|(told, at)| *told != why && at.elapsed() >= AGAIN);
        if is_news {
            let state = State::Waiting(why.clone());
            self.desk.tell(Event::Progress { object: index, state });
            self.told.insert(index, (why, Instant::now()));
        } else if let Some((told, _)) = self.told.get_mut(&index) {
            *told = why;
        }
    }

    fn tell_all(&mut self) {
        if self.told_all.elapsed() < TELL {
            return;
        }
        self.told_all = Instant::now();
        let names: Vec<String> =
            self.pending.values().take(3).map(|pending| pending.thing.told()).collect();
        let more = self.pending.len().saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let seconds = self.began.elapsed().as_secs();
        self.desk.say(format!("after {seconds} s still waiting for {}{more}", names.join(", ")));
    }
}

/// The object as it is now: what the watch knows, or what the server answered when it was applied.
/// `None` when it was there and is gone.
fn current(
    pending: &Pending<'_>,
    scopes: &[Scope],
    known: &[BTreeMap<String, Value>],
    store: &Store,
) -> Option<Value> {
    let Pending { thing, object, .. } = pending;
    let at = scopes.iter().position(|scope| {
        scope.mapping.resource() == thing.mapping.resource()
            && scope.namespace == thing.namespace
            && (scope.name.is_empty() || scope.name == thing.name)
    });
    let Some(at) = at.filter(|at| store.is_listed(*at)) else { return Some((*object).clone()) };
    let found = known.get(at)?.get(text(object, "/metadata/uid"));
    found.map(|found| typed(found, &thing.mapping.api_version(), &thing.mapping.kind))
}

/// An object out of a list, with its kind.
fn typed(object: &Value, version: &str, kind: &str) -> Value {
    let mut object = object.clone();
    object["apiVersion"] = Value::String(version.to_owned());
    object["kind"] = Value::String(kind.to_owned());
    object
}
