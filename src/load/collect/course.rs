//! What the books tell while the run goes on: the last second, the last stretch of the log, the
//! course, and the end of a stress test's step.

use std::time::Duration;

use super::{Books, LinkTally, Open, SECOND, StageTally, Told, millis, percent, rate};
use crate::load::event::Progress;
use crate::load::findings::{ACHIEVED, Second};
use crate::load::gauge::Stretch;
use crate::load::model::Preset;
use crate::load::protocol::Snapshot;
use crate::load::summary::Point;
use crate::unit::float;

impl Books {
    /// Puts the threads' parts of an interval together; tells it when the last one is there.
    pub(super) fn close(
        &mut self,
        snapshot: &Snapshot,
        (stretch, links): (&Stretch, &LinkTally),
        gauges: &[Stretch],
    ) -> Told {
        let n_threads = self.threads.len();
        let new = || Open {
            n_threads: 0,
            to: 0,
            dropped: 0,
            rounds: 0,
            all: Stretch::new(snapshot.from),
            links: LinkTally::default(),
            gauges: vec![Stretch::new(snapshot.from); gauges.len()],
        };
        let open = self.open.entry(snapshot.number).or_insert_with(new);
        open.n_threads += 1;
        open.to = open.to.max(snapshot.to);
        open.dropped += snapshot.dropped;
        open.rounds += snapshot.rounds;
        open.all.add(stretch);
        open.links.add(links);
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
        self.links.add(&open.links);
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
        if to < self.duration {
            self.running = self.users();
        }
        let stop = match self.preset {
            Some(Preset::Stress) => self.end_step(to),
            Some(
                Preset::Smoke
                | Preset::Load
                | Preset::Spike
                | Preset::Soak
                | Preset::Regression
                | Preset::Acceptance,
            )
            | None => self.gauges.iter().find_map(|gauge| gauge.broken(to)),
        };
        let mut told = Told { stop, second: Some(self.progress(to, second)), ..Told::default() };
        told.endpoints = self.recent_at(to);
        // A line every 5 s, every 30 s after 5 min: an hour's log stays short, a cancel prompt.
        let length = if to <= 300 * SECOND { 5 } else { 30 } * SECOND;
        if to.is_multiple_of(length) || (to > self.interval.from && self.ends_stage(to)) {
            let interval = std::mem::replace(&mut self.interval, Stretch::new(to));
            told.interval = Some(self.progress(to, &interval));
        }
        if to.is_multiple_of(self.point_seconds * SECOND) {
            let point = std::mem::replace(&mut self.point, Stretch::new(to));
            self.push_point(to, &point);
        }
        told
    }

    /// True where a stage ends whose line would otherwise speak of the next one too. The short ramps
    /// of a regression test's blocks have no line of their own.
    fn ends_stage(&self, to: u64) -> bool {
        let has_line = |stage: &StageTally| self.blocks.is_none() || !stage.stage.name.is_empty();
        self.stages.iter().any(|stage| stage.end == to && has_line(stage))
    }

    /// How many users run.
    pub fn users(&self) -> u32 {
        self.threads.iter().map(|thread| thread.users).sum()
    }

    /// How many users a stretch that ends here had: when the load is over they have gone, and what
    /// is left of them says nothing.
    pub(super) fn users_until(&self, to: u64) -> u32 {
        if to >= self.duration { self.running.max(self.users()) } else { self.users() }
    }

    fn progress(&self, to: u64, stretch: &Stretch) -> Progress {
        let span = Duration::from_micros(to.saturating_sub(stretch.from));
        Progress {
            elapsed: to / 1000,
            duration: self.duration / 1000,
            users: self.users_until(to),
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
        let links = std::mem::take(&mut self.links);
        self.points.push(Point {
            start: self.at(point.from),
            span: span / 1000,
            users: self.users_until(to),
            rate: rate(point.count, Duration::from_micros(span)),
            failed: point.failed,
            p50: millis(point.response.value_at_percentile(50.0)),
            p95: millis(point.response.value_at_percentile(95.0)),
            first_byte: links.first_byte(),
            connections: links.links(),
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
}
