//! Stages: how the load's level goes over time, and when each user or arrival is due by it. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::unit::Span;

/// A stretch of the run over which the level goes in a straight line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// For people and for limits that are aimed at it; empty for a ramp.
    pub name: String,
    /// How long.
    pub duration: Span,
    /// The level at its start: users, or arrivals a second.
    pub from: f64,
    /// The level at its end.
    pub to: f64,
    /// True when limits are judged on it.
    pub is_judged: bool,
}

impl Stage {
    /// A ramp from one level to another.
    pub fn ramp(duration: Duration, from: f64, to: f64) -> Self {
        Self { name: String::new(), duration: Span(duration), from, to, is_judged: false }
    }

    /// A level that is held.
    pub fn hold(name: &str, duration: Duration, level: f64) -> Self {
        let name = name.to_owned();
        Self { name, duration: Span(duration), from: level, to: level, is_judged: false }
    }

    /// True when the level does not change.
    pub fn is_hold(&self) -> bool {
        (self.from - self.to).abs() < f64::EPSILON
    }

    /// Returns how many arrivals are due within it.
    pub fn due(&self) -> f64 {
        (self.from + self.to).max(0.0) / 2.0 * self.duration.0.as_secs_f64()
    }
}

/// From one moment of the run to another.
pub type Part = (Duration, Duration);

/// Returns how long all stages take together.
pub fn duration(stages: &[Stage]) -> Duration {
    stages.iter().fold(Duration::ZERO, |sum, stage| sum.saturating_add(stage.duration.0))
}

/// Returns the highest level.
pub fn peak(stages: &[Stage]) -> f64 {
    stages.iter().flat_map(|stage| [stage.from, stage.to]).fold(0.0, f64::max)
}

/// Returns each stage's part of the run.
pub fn parts(stages: &[Stage]) -> Vec<Part> {
    let mut begin = Duration::ZERO;
    let part = |stage: &Stage| {
        let end = begin.saturating_add(stage.duration.0);
        (std::mem::replace(&mut begin, end), end)
    };
    stages.iter().map(part).collect()
}

/// Returns the part on which limits are judged: from the first stage that says so to the last one.
/// `None` when none does.
pub fn judged(stages: &[Stage]) -> Option<Part> {
    let parts = parts(stages);
    let mut judged = stages.iter().zip(parts).filter(|(stage, _)| stage.is_judged);
    let (_, first) = judged.next()?;
    Some((first.0, judged.next_back().map_or(first.1, |(_, last)| last.1)))
}

/// Marks the stages that hold the highest level as those that limits are judged on.
pub fn judge_the_top(stages: &mut [Stage]) {
    let top = stages.iter().filter(|stage| stage.is_hold()).map(|stage| stage.to);
    let top = top.fold(0.0, f64::max);
    for stage in stages {
        stage.is_judged = stage.is_hold() && stage.to > 0.0 && stage.to >= top;
    }
}

/// Returns when user `n` (from 0) runs: while the level is above its number.
pub fn user_parts(stages: &[Stage], n: u32) -> Vec<Part> {
    let number = f64::from(n);
    let mut found: Vec<Part> = Vec::new();
    for (stage, (begin, end)) in stages.iter().zip(parts(stages)) {
        let (from, to) = (stage.from, stage.to);
        // Where the line crosses the user's number.
        let crossing = || {
            let share = ((number - from) / (to - from)).clamp(0.0, 1.0);
            begin + stage.duration.0.mul_f64(share)
        };
        let part = match (from > number, to > number) {
            (true, true) => (begin, end),
            (true, false) => (begin, crossing()),
            (false, true) => (crossing(), end),
            (false, false) => continue,
        };
        match found.last_mut() {
            Some(last) if last.1 >= part.0 => last.1 = part.1,
            Some(_) | None => found.push(part),
        }
    }
    found.retain(|(begin, end)| begin < end);
    found
}

/// Tells when arrivals are due, in their order.
#[derive(Debug, Clone)]
pub struct Arrivals<'a> {
    stages: &'a [Stage],
    /// Where the current stage begins.
    begin: Duration,
    /// Arrivals due before it.
    before: f64,
}

impl<'a> Arrivals<'a> {
    /// Begins at the start of the run.
    pub fn new(stages: &'a [Stage]) -> Self {
        Self { stages, begin: Duration::ZERO, before: 0.0 }
    }

    /// Returns when so many arrivals were due; `None` after the last one. Never asked for fewer
    /// than before.
    pub fn at(&mut self, count: f64) -> Option<Duration> {
        loop {
            let stage = self.stages.first()?;
            let due = stage.due();
            let rest = (count - self.before).max(0.0);
            if rest < due {
                let seconds = solve(stage, rest);
                let within = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                return Some(self.begin.saturating_add(within.min(stage.duration.0)));
            }
            self.before += due;
            self.begin = self.begin.saturating_add(stage.duration.0);
            self.stages = &self.stages[1..];
        }
    }
}

/// Returns after how many seconds of the stage `count` arrivals were due: the root of
/// `from·t + (to - from)/(2·D)·t² = count`, in the form that holds for a level line too.
fn solve(stage: &Stage, count: f64) -> f64 {
    let seconds = stage.duration.0.as_secs_f64();
    let from = stage.from.max(0.0);
    let slope = (stage.to.max(0.0) - from) / seconds;
    let root = (from * from + 2.0 * slope * count).max(0.0).sqrt();
    let sum = from + root;
    if sum > 0.0 { 2.0 * count / sum } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::unit::float;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Returns how many arrivals of even spacing are due before the end.
    fn n_due(stages: &[Stage]) -> u64 {
        let mut arrivals = Arrivals::new(stages);
        let mut n = 0;
        while arrivals.at(float(n)).is_some() {
            n += 1;
        }
        n
    }

    fn hill() -> Vec<Stage> {
        vec![
            Stage::ramp(ms(10_000), 0.0, 100.0),
            Stage::hold("top", ms(20_000), 100.0),
            Stage::ramp(ms(10_000), 100.0, 0.0),
        ]
    }

    #[test]
    fn users_run_while_the_level_is_above_their_number() {
        let mut stages = hill();
        stages.push(Stage::hold("again", ms(5000), 1.0));
        for (n, parts) in [
            (0, vec![(ms(0), ms(45_000))]),
            (50, vec![(ms(5000), ms(35_000))]),
            (99, vec![(ms(9900), ms(30_100))]),
            (100, vec![]),
        ] {
            assert_eq!(user_parts(&stages, n), parts, "{n}");
        }
        stages.push(Stage::hold("peak", ms(1000), 60.0));
        let twice = vec![(ms(5000), ms(35_000)), (ms(45_000), ms(46_000))];
        assert_eq!(user_parts(&stages, 50), twice);
    }

    #[test]
    fn arrivals_are_due_by_the_integral_of_the_level() {
        let stages = hill();
        let mut arrivals = Arrivals::new(&stages);
        // 500 in the ramp up, 2000 at the top, 500 in the ramp down.
        for (count, at) in
            [(0.0, 0), (125.0, 5000), (500.0, 10_000), (1500.0, 20_000), (2500.0, 30_000)]
        {
            let found = arrivals.at(count).unwrap();
            assert!(found.abs_diff(ms(at)) < ms(1), "{count}: {found:?}");
        }
        assert!(arrivals.at(2875.0).unwrap().abs_diff(ms(35_000)) < ms(1));
        assert_eq!(arrivals.at(3000.0), None);
        assert_eq!(n_due(&stages), 3000);
    }

    #[test]
    fn limits_look_at_the_highest_level_that_is_held() {
        let mut stages = hill();
        stages.insert(0, Stage::hold("warm", ms(5000), 10.0));
        judge_the_top(&mut stages);
        assert_eq!(judged(&stages), Some((ms(15_000), ms(35_000))));
        let mut ramp = vec![Stage::ramp(ms(1000), 0.0, 5.0)];
        judge_the_top(&mut ramp);
        assert_eq!(judged(&ramp), None);
    }

    fn stages() -> impl Strategy<Value = Vec<Stage>> {
        let stage = (0_u64..5000, 0_u32..200, 0_u32..200, any::<bool>());
        prop::collection::vec(stage, 1..6).prop_map(|stages| {
            let stage = |(millis, from, to, is_hold): (u64, u32, u32, bool)| {
                let to = if is_hold { from } else { to };
                Stage::ramp(ms(millis), f64::from(from), f64::from(to))
            };
            stages.into_iter().map(stage).collect()
        })
    }

    proptest! {
        #[test]
        fn arrivals_come_in_order_and_as_many_as_are_due(stages in stages()) {
            let total: f64 = stages.iter().map(Stage::due).sum();
            let n = n_due(&stages);
            prop_assert!((float(n) - total).abs() <= 1.0 + total * 1e-9, "{n} {total}");
            let mut arrivals = Arrivals::new(&stages);
            let mut last = Duration::ZERO;
            for n in 0..n {
                let at = arrivals.at(float(n)).unwrap();
                prop_assert!(last <= at && at <= duration(&stages));
                last = at;
            }
        }

        #[test]
        fn as_many_users_run_as_the_level_says(stages in stages(), share in 0.0_f64..1.0) {
            let at = duration(&stages).mul_f64(share);
            let here = stages.iter().zip(parts(&stages)).find(|(_, (a, b))| *a <= at && at < *b);
            if let Some((stage, (begin, _))) = here {
                let along = at.abs_diff(begin).as_secs_f64() / stage.duration.0.as_secs_f64();
                let level = stage.from + (stage.to - stage.from) * along;
                let runs = |n: &u32| user_parts(&stages, *n).iter().any(|(a, b)| *a <= at && at < *b);
                let n = u32::try_from((0..200).filter(runs).count()).unwrap();
                prop_assert!((f64::from(n) - level).abs() <= 1.01, "{n} {level}");
            }
        }
    }
}
