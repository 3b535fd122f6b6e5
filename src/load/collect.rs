//! The coordinator's books: snapshots merged exactly, for the whole run, its steady phase, and the
//! stretches that are told while it goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::load::error::Error;
use crate::load::event::Progress;
use crate::load::failure::Kind;
use crate::load::findings::{ACHIEVED, Capacity, Second};
use crate::load::gauge::{Gauge, Stretch, Tags, micros};
use crate::load::histogram::Histogram;
use crate::load::limit::Limit;
use crate::load::model::Preset;
use crate::load::plan::Plan;
use crate::load::protocol::{Delta, Snapshot};
use crate::load::record::OTHER;
use crate::load::stages::{Part, Stage, parts};
use crate::load::summary::{Bytes, ErrorCount, Latency, Point, Requests};
use crate::unit::{float, whole};

/// Counts and histograms of some requests.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Requests.
    pub count: u64,
    /// Failed ones.
    pub failed: u64,
    /// Bytes of bodies.
    pub bytes: Bytes,
    /// From the meant start to the last byte.
    pub response: Histogram,
    /// From the write to the last byte.
    pub service: Histogram,
    /// From the write to the answer's head.
    pub first_byte: Histogram,
    /// Failures by text.
    pub failures: BTreeMap<String, (Kind, u64)>,
}

/// At most so many kinds of failures are kept.
const FAILURES: usize = 100;

impl Tally {
    fn add_delta(&mut self, delta: &Delta) -> Result<(), Error> {
        self.count += delta.count;
        self.failed += delta.failed;
        self.bytes.sent += delta.sent;
        self.bytes.received += delta.received;
        delta.response.add_to(&mut self.response)?;
        delta.service.add_to(&mut self.service)?;
        delta.first_byte.add_to(&mut self.first_byte)?;
        for (text, kind, count) in &delta.failures {
            self.add_failure(text, *kind, *count);
        }
        Ok(())
    }

    fn add_failure(&mut self, text: &str, kind: Kind, count: u64) {
        let has_room = self.failures.len() < FAILURES || self.failures.contains_key(text);
        let text = if has_room { text } else { "(further kinds of failures)" };
        self.failures.entry(text.to_owned()).or_insert((kind, 0)).1 += count;
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.failed += other.failed;
        self.bytes.sent += other.bytes.sent;
        self.bytes.received += other.bytes.received;
        self.response.add(&other.response);
        self.service.add(&other.service);
        self.first_byte.add(&other.first_byte);
        for (text, (kind, count)) in &other.failures {
            self.add_failure(text, *kind, *count);
        }
    }

    /// Returns the counts, with a rate over `span`.
    pub fn requests(&self, span: Duration) -> Requests {
        Requests { count: self.count, failed: self.failed, rate: rate(self.count, span) }
    }

    /// Returns the failures, most frequent first.
    pub fn errors(&self) -> Vec<ErrorCount> {
        let mut errors: Vec<ErrorCount> = self
            .failures
            .iter()
            .map(|(text, (_, count))| ErrorCount { text: text.clone(), count: *count })
            .collect();
        errors.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.text.cmp(&b.text)));
        errors
    }

    /// Returns how many failures were of this kind.
    pub fn n_of(&self, wanted: Kind) -> u64 {
        self.failures.values().filter(|(kind, _)| *kind == wanted).map(|(_, count)| count).sum()
    }
}

/// Returns events a second, to a tenth of a percent.
pub fn rate(count: u64, span: Duration) -> f64 {
    let seconds = span.as_secs_f64();
    if seconds > 0.0 { round(float(count) / seconds) } else { 0.0 }
}

/// Rounds to three decimals: more is noise in a report.
pub fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Returns the percentiles in milliseconds.
pub fn latency(histogram: &Histogram) -> Latency {
    let at = |percent: f64| millis(histogram.value_at_percentile(percent));
    if histogram.is_empty() {
        return Latency::default();
    }
    Latency {
        min: millis(histogram.min()),
        mean: round(histogram.mean() / 1000.0),
        p50: at(50.0),
        p90: at(90.0),
        p95: at(95.0),
        p99: at(99.0),
        max: millis(histogram.max()),
    }
}

/// Microseconds as milliseconds.
pub fn millis(micros: u64) -> f64 {
    float(micros) / 1000.0
}

/// An endpoint's tallies.
#[derive(Debug, Default)]
pub struct EndpointTally {
    /// Its name.
    pub name: String,
    /// Where limits are not judged: while users start, say.
    pub ramp: Tally,
    /// Where they are.
    pub steady: Tally,
}

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
    /// What a stress test found so far.
    pub capacity: Capacity,
    started: i64,
    steady: (u64, u64),
    duration: u64,
    plan_tags: Tags,
    preset: Option<Preset>,
    is_open: bool,
    threads: Vec<ThreadTally>,
    open: BTreeMap<u32, Open>,
    interval: Stretch,
    point: Stretch,
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
            capacity: Capacity::default(),
            started,
            steady,
            duration: micros(duration),
            plan_tags: plan.tags.clone(),
            preset: plan.model.preset,
            is_open: plan.rate().is_some(),
            threads: vec![ThreadTally::default(); usize::try_from(n_threads).unwrap_or(1)],
            open: BTreeMap::new(),
            interval: Stretch::new(0),
            point: Stretch::new(0),
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
        let mut stretch = Stretch::new(snapshot.from);
        let mut gauges = vec![Stretch::new(snapshot.from); self.gauges.len()];
        let is_steady = self.is_steady(snapshot.from);
        for delta in &snapshot.endpoints {
            let mut seen =
                Stretch { count: delta.count, failed: delta.failed, ..Stretch::new(snapshot.from) };
            delta.response.add_to(&mut seen.response)?;
            stretch.add(&seen);
            for (gauge, sum) in self.gauges.iter().zip(&mut gauges) {
                if gauge.looks_at(snapshot.from) && gauge.is_of(&delta.name, &self.plan_tags) {
                    sum.add(&seen);
                }
            }
            let tally = self.endpoint(&delta.name);
            let tally = if is_steady { &mut tally.steady } else { &mut tally.ramp };
            tally.add_delta(delta)?;
        }
        if stretch.count > 0 {
            self.last = self.last.max(snapshot.to);
        }
        self.total += stretch.count;
        self.total_failed += stretch.failed;
        Ok(self.close(snapshot, &stretch, &gauges))
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
        let name = if self.endpoints.len() < CAP { name } else { OTHER };
        let at = find(&self.endpoints, name).unwrap_or(self.endpoints.len());
        if at == self.endpoints.len() {
            self.endpoints.push(EndpointTally { name: name.to_owned(), ..Default::default() });
        }
        &mut self.endpoints[at]
    }

    /// Puts the threads' parts of an interval together; tells it when the last one is there.
    fn close(&mut self, snapshot: &Snapshot, stretch: &Stretch, gauges: &[Stretch]) -> Told {
        let n_threads = self.threads.len();
        let new = || Open {
            n_threads: 0,
            to: 0,
            dropped: 0,
            rounds: 0,
            all: Stretch::new(snapshot.from),
            gauges: vec![Stretch::new(snapshot.from); gauges.len()],
        };
        let open = self.open.entry(snapshot.number).or_insert_with(new);
        open.n_threads += 1;
        open.to = open.to.max(snapshot.to);
        open.dropped += snapshot.dropped;
        open.rounds += snapshot.rounds;
        open.all.add(stretch);
        for (sum, own) in open.gauges.iter_mut().zip(gauges) {
            sum.add(own);
        }
        if open.n_threads < n_threads {
            return Told::default();
        }
        match self.open.remove(&snapshot.number) {
            Some(open) => self.tell(&open),
            None => Told::default(),
        }
    }

    /// Notes an interval that all threads have closed.
    fn note(&mut self, open: &Open) {
        let from = open.all.from;
        self.interval.add(&open.all);
        self.point.add(&open.all);
        for (gauge, seen) in self.gauges.iter_mut().zip(&open.gauges) {
            gauge.close(open.to, seen);
        }
        if let Some(stage) = self.stages.iter_mut().find(|stage| from < stage.end) {
            stage.seen.add(&open.all);
            stage.dropped += open.dropped;
            stage.rounds += open.rounds;
        }
        let recovery = self.stages.last().map_or(u64::MAX, |stage| stage.seen.from);
        if self.preset == Some(Preset::Spike) && recovery <= from && from < self.duration {
            let p95 = (open.all.count > 0).then(|| open.all.percentile(95.0));
            self.after.push(Second { from: from - recovery, p95, failed: open.all.failed_share() });
        }
    }

    /// Ends a step of a stress test; returns why it is the last one, when it is.
    fn end_step(&mut self, to: u64) -> Option<String> {
        let stage = self.stages.iter().find(|stage| stage.end == to)?;
        let (level, due) = (stage.stage.to, stage.stage.due());
        let achieved = float(stage.rounds) / due;
        let mut why = Vec::new();
        for gauge in self.gauges.iter_mut().filter(|gauge| gauge.limit.metric.preset().is_none()) {
            let Some(value) = gauge.end_window() else { continue };
            if !gauge.limit.operator.holds(value, gauge.limit.value) {
                why.push(format!(
                    "{}: it was {}",
                    gauge.limit.condition(),
                    gauge.limit.show(value)
                ));
            }
        }
        if stage.seen.count == 0 {
            why.push("no request was answered".to_owned());
        }
        if self.is_open && achieved < ACHIEVED {
            why.push(format!("only {} % of the journeys were finished in time", percent(achieved)));
        }
        if why.is_empty() {
            self.capacity.good = Some(level);
            return None;
        }
        let why = why.join("; ");
        self.capacity.bad = Some((level, why.clone()));
        Some(why)
    }

    fn tell(&mut self, open: &Open) -> Told {
        let (to, second) = (open.to, &open.all);
        self.note(open);
        let stop = match self.preset {
            Some(Preset::Stress) => self.end_step(to),
            Some(Preset::Smoke | Preset::Load | Preset::Spike | Preset::Soak) | None => {
                self.gauges.iter().find_map(|gauge| gauge.broken(to))
            }
        };
        let mut told = Told { stop, second: Some(self.progress(to, second)), interval: None };
        // A line every 5 s, every 30 s after 5 min: an hour's log stays short, a cancel prompt.
        let length = if to <= 300 * SECOND { 5 } else { 30 } * SECOND;
        if to.is_multiple_of(length) {
            let interval = std::mem::replace(&mut self.interval, Stretch::new(to));
            told.interval = Some(self.progress(to, &interval));
        }
        if to.is_multiple_of(self.point_seconds * SECOND) {
            let point = std::mem::replace(&mut self.point, Stretch::new(to));
            self.push_point(to, &point);
        }
        told
    }

    fn users(&self) -> u32 {
        self.threads.iter().map(|thread| thread.users).sum()
    }

    fn progress(&self, to: u64, stretch: &Stretch) -> Progress {
        let span = Duration::from_micros(to.saturating_sub(stretch.from));
        Progress {
            elapsed: to / 1000,
            duration: self.duration / 1000,
            users: self.users(),
            count: stretch.count,
            failed: stretch.failed,
            rate: rate(stretch.count, span),
            p50: millis(stretch.response.value_at_percentile(50.0)),
            p95: millis(stretch.response.value_at_percentile(95.0)),
            total: self.total,
            total_failed: self.total_failed,
        }
    }

    fn push_point(&mut self, to: u64, point: &Stretch) {
        let span = to.saturating_sub(point.from);
        self.points.push(Point {
            start: self.at(point.from),
            span: span / 1000,
            users: self.users(),
            rate: rate(point.count, Duration::from_micros(span)),
            failed: point.failed,
            p50: millis(point.response.value_at_percentile(50.0)),
            p95: millis(point.response.value_at_percentile(95.0)),
        });
    }

    /// Closes what is open; returns the last stretch of the log, when it holds something.
    pub fn finish(&mut self) -> Option<Progress> {
        let mut end = 0;
        for (_, open) in std::mem::take(&mut self.open) {
            end = open.to;
            self.note(&open);
        }
        let end = end.max(self.last).max(self.interval.from);
        if self.point.count > 0 {
            let point = std::mem::replace(&mut self.point, Stretch::new(end));
            self.push_point(end, &point);
        }
        let interval = std::mem::replace(&mut self.interval, Stretch::new(end));
        (interval.count > 0).then(|| self.progress(end, &interval))
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

/// Returns the share as whole percents, for people.
pub fn percent(share: f64) -> u64 {
    whole(share * 100.0).unwrap_or(0)
}
