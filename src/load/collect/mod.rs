//! The coordinator's books: snapshots merged exactly, for the whole run, its steady phase, and the
//! stretches that are told while it goes on.

mod tally;
mod course;
mod links;
mod recent;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::load::compare::Blocks;
use crate::load::error::Error;
use crate::load::event::{EndpointsProgress, Progress};
use crate::load::findings::{Capacity, Second};
use crate::load::gauge::{Gauge, Stretch, Tags, is_of, micros};
use crate::load::histogram::Histogram;
use crate::load::limit::Limit;
use crate::load::model::Preset;
use crate::load::plan::Plan;
use crate::load::protocol::Snapshot;
use crate::load::record::OTHER;
use crate::load::regression::Side;
use crate::load::stages::{Part, Stage, parts};
use crate::load::summary::Point;
use crate::unit::float;
use links::LinkTally;
pub use tally::{EndpointTally, Tally, latency, millis, percent, rate, round};

/// A thread's own figures.
#[derive(Debug, Default, Clone, Copy)]
struct ThreadTally {
    users: u32,
    cpu: u64,
    closed: u64,
    /// CPU time and moment at the start of the steady phase.
    steady_from: Option<(u64, u64)>,
    share: f64,
}

/// The books.
#[derive(Debug)]
pub struct Books {
    /// By endpoint, in order of first use.
    pub endpoints: Vec<EndpointTally>,
    /// Starts that were too late.
    pub late: u64,
    /// Arrivals that found no free user.
    pub dropped: u64,
    /// Steps left out.
    pub skipped: u64,
    /// How far starts were behind their meant moments.
    pub lag: Histogram,
    /// The end of the last interval that held a request, in microseconds since the start.
    pub last: u64,
    /// The course of the run.
    pub points: Vec<Point>,
    /// The limits, each with what was counted for it.
    pub gauges: Vec<Gauge>,
    /// What each stage saw.
    pub stages: Vec<StageTally>,
    /// The seconds of the last stage, when it is one in which the target recovers.
    pub after: Vec<Second>,
    /// Rounds of journeys that were finished.
    pub rounds: u64,
    /// How often a feed had no row any more, and how often one was used again.
    pub used_up: [u64; 2],
    /// How often each check held and failed.
    pub checks: Vec<[u64; 2]>,
    /// What both sides of a regression test saw.
    pub blocks: Option<Blocks>,
    /// What a stress test found so far.
    pub capacity: Capacity,
    started: i64,
    steady: (u64, u64),
    duration: u64,
    plan_tags: Tags,
    preset: Option<Preset>,
    is_open: bool,
    threads: Vec<ThreadTally>,
    /// How many users ran when the load was last looked at before its end.
    running: u32,
    open: BTreeMap<u32, Open>,
    /// Since when endpoints' recent figures are counted; `None`: nobody wants them.
    recent_from: Option<u64>,
    interval: Stretch,
    point: Stretch,
    /// How the requests of the point came to their connections.
    links: LinkTally,
    point_seconds: u64,
    total: u64,
    total_failed: u64,
}

/// A stage and what it saw.
#[derive(Debug)]
pub struct StageTally {
    /// The stage.
    pub stage: Stage,
    /// Its end, in microseconds since the run's start.
    pub end: u64,
    /// Its requests.
    pub seen: Stretch,
    /// Arrivals that found no free user.
    pub dropped: u64,
    /// Rounds that were finished.
    pub rounds: u64,
}

/// An interval that not all threads have closed yet.
#[derive(Debug)]
struct Open {
    n_threads: usize,
    to: u64,
    dropped: u64,
    rounds: u64,
    all: Stretch,
    links: LinkTally,
    gauges: Vec<Stretch>,
}

/// What is to be told after a snapshot.
#[derive(Debug, Default)]
pub struct Told {
    /// Why the run ends now, when it does.
    pub stop: Option<String>,
    /// The last second.
    pub second: Option<Progress>,
    /// The last 5 or 30 seconds, when they are over.
    pub interval: Option<Progress>,
    /// What each endpoint did in the last 5 seconds, when sinks want to know.
    pub endpoints: Option<EndpointsProgress>,
}

const SECOND: u64 = 1_000_000;

impl Books {
    /// Opens the books of a run of a plan that began at `started` (milliseconds since 1970).
    pub fn new(n_threads: u32, started: i64, plan: &Plan) -> Self {
        let duration = plan.duration().0;
        let part = |(begin, end): Part| {
            // The last answers to what was asked in time count too.
            (micros(begin), if end >= duration { u64::MAX } else { micros(end) })
        };
        // Without a part that is judged the whole run is all there is.
        let steady = plan.model.judged().map_or((0, u64::MAX), part);
        let gauge = |limit: &Limit| {
            let parts = match &limit.during {
                Some(name) => plan.model.during(name).into_iter().map(part).collect(),
                // Between the blocks of a regression test the target has no load.
                None if plan.baseline.is_some() => {
                    plan.model.holds().into_iter().map(part).collect()
                }
                None => vec![steady],
            };
            Gauge::new(limit.clone(), parts)
        };
        let ends = parts(&plan.model.stages);
        let stage = |(stage, (begin, end)): (&Stage, Part)| StageTally {
            stage: stage.clone(),
            end: micros(end),
            seen: Stretch::new(micros(begin)),
            dropped: 0,
            rounds: 0,
        };
        Self {
            endpoints: Vec::new(),
            late: 0,
            dropped: 0,
            skipped: 0,
            lag: Histogram::default(),
            last: 0,
            points: Vec::new(),
            gauges: plan.limits.iter().map(gauge).collect(),
            stages: plan.model.stages.iter().zip(ends).map(stage).collect(),
            after: Vec::new(),
            rounds: 0,
            used_up: [0; 2],
            checks: vec![[0; 2]; plan.checks.len()],
            blocks: Blocks::of(plan),
            capacity: Capacity::default(),
            started,
            steady,
            duration: micros(duration),
            plan_tags: plan.tags.clone(),
            preset: plan.model.preset,
            is_open: plan.rate().is_some(),
            threads: vec![ThreadTally::default(); usize::try_from(n_threads).unwrap_or(1)],
            running: 0,
            open: BTreeMap::new(),
            recent_from: (!plan.push.is_empty()).then_some(0),
            interval: Stretch::new(0),
            point: Stretch::new(0),
            links: LinkTally::default(),
            point_seconds: (duration.as_secs() / 300).max(1),
            total: 0,
            total_failed: 0,
        }
    }

    /// How many threads generate.
    pub fn n_threads(&self) -> usize {
        self.threads.len()
    }

    /// From when until when limits are judged, in microseconds since the start.
    pub fn steady(&self) -> (u64, u64) {
        self.steady
    }

    /// How long the parts that limits are judged on lasted until `end`, the gaps between them left out.
    pub fn held(&self, end: u64) -> Duration {
        let judged = self.stages.iter().filter(|stage| stage.stage.is_judged);
        let part = |stage: &StageTally| stage.end.min(end).saturating_sub(stage.seen.from);
        Duration::from_micros(judged.map(part).sum())
    }

    /// True when the run looks for the level that breaks the target.
    pub fn is_stress(&self) -> bool {
        self.preset == Some(Preset::Stress)
    }

    fn is_steady(&self, from: u64) -> bool {
        self.steady.0 <= from && from < self.steady.1
    }

    /// Returns the busiest thread's share of a core in the steady phase.
    pub fn cpu_share(&self) -> f64 {
        self.threads.iter().map(|thread| thread.share).fold(0.0, f64::max)
    }

    /// Returns when the run that began at `started` was so many microseconds old.
    pub fn at(&self, micros: u64) -> i64 {
        self.started.saturating_add(i64::try_from(micros / 1000).unwrap_or(i64::MAX))
    }

    /// Adds a thread's interval.
    pub fn add(&mut self, snapshot: &Snapshot) -> Result<Told, Error> {
        self.late += snapshot.late;
        self.dropped += snapshot.dropped;
        self.skipped += snapshot.skipped;
        for (sum, own) in self.checks.iter_mut().zip(&snapshot.checks) {
            sum[0] += own[0];
            sum[1] += own[1];
        }
        self.rounds += snapshot.rounds;
        self.used_up[0] += snapshot.used_up[0];
        self.used_up[1] += snapshot.used_up[1];
        snapshot.lag.add_to(&mut self.lag)?;
        self.note_thread(snapshot);
        if let Some(blocks) = &mut self.blocks {
            blocks.add(Side::Target, snapshot.from, &snapshot.endpoints)?;
            blocks.add(Side::Baseline, snapshot.from, &snapshot.baseline)?;
        }
        let mut links = LinkTally::default();
        let mut stretch = Stretch::new(snapshot.from);
        let mut gauges = vec![Stretch::new(snapshot.from); self.gauges.len()];
        let is_steady = self.is_steady(snapshot.from);
        for delta in &snapshot.endpoints {
            let mut seen =
                Stretch { count: delta.count, failed: delta.failed, ..Stretch::new(snapshot.from) };
            delta.response.add_to(&mut seen.response)?;
            stretch.add(&seen);
            links.add_delta(delta)?;
            for (gauge, sum) in self.gauges.iter().zip(&mut gauges) {
                if gauge.looks_at(snapshot.from)
                    && is_of(&gauge.limit, &delta.name, &self.plan_tags)
                {
                    sum.add(&seen);
                }
            }
            let is_pushed = self.recent_from.is_some();
            let tally = self.endpoint(&delta.name);
            if is_pushed {
                tally.recent.add(&seen);
            }
            let tally = if is_steady { &mut tally.steady } else { &mut tally.ramp };
            tally.add_delta(delta)?;
        }
        if stretch.count > 0 {
            self.last = self.last.max(snapshot.to);
        }
        self.total += stretch.count;
        self.total_failed += stretch.failed;
        Ok(self.close(snapshot, (&stretch, &links), &gauges))
    }

    fn note_thread(&mut self, snapshot: &Snapshot) {
        let is_steady = self.is_steady(snapshot.from) && snapshot.from < self.duration;
        let at = usize::try_from(snapshot.thread).unwrap_or(usize::MAX);
        let Some(thread) = self.threads.get_mut(at) else { return };
        thread.users = snapshot.users;
        // The drain at the end is idle time, and so is no part of the share.
        if is_steady {
            let (cpu, from) = *thread.steady_from.get_or_insert((thread.cpu, thread.closed));
            let wall = snapshot.closed.saturating_sub(from);
            // A thread that is done within a blink was busy in it, and no limit to anything.
            if wall >= SECOND / 10 {
                thread.share = float(snapshot.cpu.saturating_sub(cpu)) / float(wall);
            }
        }
        thread.cpu = snapshot.cpu;
        thread.closed = snapshot.closed;
    }

    fn endpoint(&mut self, name: &str) -> &mut EndpointTally {
        const CAP: usize = 250;
        let find = |endpoints: &[EndpointTally], name: &str| {
            endpoints.iter().position(|endpoint| endpoint.name == name)
        };
        // One that is known stays itself, however many have come since.
        let known = find(&self.endpoints, name);
        let name = if self.endpoints.len() < CAP { name } else { OTHER };
        let at = known.or_else(|| find(&self.endpoints, name)).unwrap_or(self.endpoints.len());
        if at == self.endpoints.len() {
            self.endpoints.push(EndpointTally { name: name.to_owned(), ..Default::default() });
        }
        &mut self.endpoints[at]
    }

    /// Returns the end of the load's window in microseconds: the last answer, at least the asked
    /// duration unless the run was cut.
    pub fn end(&self, is_cut: bool) -> u64 {
        if is_cut { self.last } else { self.last.max(self.duration) }
    }

    /// Returns all counts of a part: of one endpoint or of all.
    pub fn sum<'a>(&'a self, pick: impl Fn(&'a EndpointTally) -> Vec<&'a Tally>) -> Tally {
        let mut sum = Tally::default();
        for endpoint in &self.endpoints {
            for tally in pick(endpoint) {
                sum.add(tally);
            }
        }
        sum
    }
}
