//! When things start: pure arithmetic on the time since the run's start, never on the last wake.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// A worker's or thread's part of the load: every `of`-th user or arrival, from `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Which part, from 0.
    pub index: u32,
    /// How many parts there are; never zero.
    pub of: u32,
}

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Returns a part of this part.
    pub fn part(self, index: u32, of: u32) -> Self {
        Self {
            index: self.index.saturating_mul(of).saturating_add(index),
            of: self.of.saturating_mul(of),
        }
    }

    /// Returns the `n`-th number of this part.
    pub fn nth(self, n: u64) -> u64 {
        n * u64::from(self.of) + u64::from(self.index)
    }

    /// Returns how many of `total` belong to this part.
    pub fn of_total(self, total: u32) -> u32 {
        total / self.of + u32::from(self.index < total % self.of)
    }
}

/// Returns the end of the interval that begins at `from`: the next whole second, or the next of the
/// `cuts` when that comes first, so that no interval mixes two stages.
pub fn next_boundary(from: Duration, cuts: &[Duration]) -> Duration {
    let second = Duration::from_secs(from.as_secs() + 1);
    cuts.iter().copied().find(|cut| *cut > from).map_or(second, |cut| cut.min(second))
}

/// Returns the order in which journeys are handed out: each as often as its weight says, spread
/// evenly.
pub fn pattern(weights: &[u32]) -> Vec<usize> {
    const LONGEST: i64 = 10_000;
    let divisor = weights.iter().fold(0, |a, b| gcd(a, u64::from(*b))).max(1);
    let mut weights: Vec<i64> = weights
        .iter()
        .map(|weight| i64::try_from(u64::from(*weight) / divisor).unwrap_or(i64::MAX))
        .collect();
    let total: i64 = weights.iter().sum();
    if total > LONGEST {
        for weight in &mut weights {
            *weight = (*weight * LONGEST / total).max(1);
        }
    }
    let total: i64 = weights.iter().sum();
    // Smooth weighted round robin: whoever is most behind its share comes next.
    let mut credit = vec![0_i64; weights.len()];
    let mut pattern = Vec::new();
    for _ in 0..total {
        for (credit, weight) in credit.iter_mut().zip(&weights) {
            *credit += weight;
        }
        let mut next = 0;
        for (n, candidate) in credit.iter().enumerate() {
            if *candidate > credit[next] {
                next = n;
            }
        }
        credit[next] -= total;
        pattern.push(next);
    }
    pattern
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// What of a late start counts as the timer's own grain.
const GRAIN: Duration = Duration::from_millis(2);

/// Starts later than this are counted as late.
const LATE: Duration = Duration::from_millis(10);

/// After a pause also a small part of the pause is no matter: the load is the same.
const LATE_PART: u32 = 20;

/// A start that was meant for one moment and happened at another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// How much before the actual start its response time begins.
    pub owed: Duration,
    /// True when the generator was too late.
    pub is_late: bool,
}

/// Moments at which pauses end are this far apart at least and at most.
const SLOTS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(8)];

/// No pause is put off by more than this part of the mean one.
const SLOT_PART: u32 = 100;

/// Returns how far apart the moments are at which so many users' pauses end: about one ends at each,
/// so that some share a wake-up and no crowd starts at once. Few users have nothing to share.
pub fn slot(mean: Duration, n_users: u32) -> Duration {
    let [least, most] = SLOTS;
    let gap = mean / n_users.max(1);
    if gap > 4 * most { least } else { gap.min(mean / SLOT_PART).clamp(least, most) }
}

/// Returns the first of the moments, `slot` apart from `start` on, that is not before `moment`.
pub fn put_off(start: Instant, moment: Instant, slot: Duration) -> Instant {
    let since = moment.saturating_duration_since(start).as_nanos();
    let by = since.next_multiple_of(slot.as_nanos().max(1)) - since;
    moment + Duration::from_nanos(u64::try_from(by).unwrap_or(0))
}

/// Judges a user's start after its think time: nobody waits for the millisecond of a timer, so only
/// what goes beyond it is owed.
pub fn after_think(late_by: Duration, pause: Duration) -> Start {
    let owed = if late_by > GRAIN { late_by } else { Duration::ZERO };
    Start { owed, is_late: late_by > LATE.max(pause / LATE_PART) }
}

/// Judges an arrival of the open model: it has its moment, and every delay is owed.
pub fn arrival(late_by: Duration) -> Start {
    Start { owed: late_by, is_late: late_by > LATE }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn intervals_end_on_seconds_and_where_a_stage_ends() {
        let ms = Duration::from_millis;
        let cuts = [ms(9960), ms(12_000), ms(12_100)];
        for (from, end) in
            [(0, 1000), (9000, 9960), (9960, 10_000), (11_000, 12_000), (12_000, 12_100)]
        {
            assert_eq!(next_boundary(ms(from), &cuts), ms(end), "{from}");
        }
        assert_eq!(next_boundary(ms(0), &[]), ms(1000));
    }

    #[test]
    fn journeys_are_spread_by_weight() {
        assert_eq!(pattern(&[1]), [0]);
        assert_eq!(pattern(&[2, 1]), [0, 1, 0]);
        assert_eq!(pattern(&[500, 250]), [0, 1, 0]);
        let long = pattern(&[1_000_000, 1]);
        assert!(long.contains(&1) && long.len() <= 10_001);
    }

    #[test]
    fn only_what_goes_beyond_the_timers_grain_is_owed() {
        let ms = Duration::from_millis;
        for (late, pause, owed, is_late) in [
            (0, 100, 0, false),
            (2, 100, 0, false),
            (5, 100, 5, false),
            (11, 100, 11, true),
            (11, 1000, 11, false),
            (51, 1000, 51, true),
        ] {
            assert_eq!(after_think(ms(late), ms(pause)), Start { owed: ms(owed), is_late });
        }
        assert_eq!(arrival(ms(1)), Start { owed: ms(1), is_late: false });
    }

    #[test]
    fn pauses_of_many_end_together_and_none_is_cut() {
        let ms = Duration::from_millis;
        for (mean, n_users, expected) in [
            (1750, 250, 7),
            (1750, 100, 8),
            (1750, 50, 1),
            (300, 100, 3),
            (300, 10, 3),
            (1000, 10_000, 1),
            (10, 1, 1),
            (0, 0, 1),
        ] {
            assert_eq!(slot(ms(mean), n_users), ms(expected), "{mean} {n_users}");
        }
        let start = Instant::now();
        for (at, end) in [(0, 0), (1, 7), (7, 7), (8, 14)] {
            assert_eq!(put_off(start, start + ms(at), ms(7)), start + ms(end));
        }
        assert_eq!(put_off(start + ms(5), start, ms(7)), start);
    }

    proptest! {
        #[test]
        fn every_user_belongs_to_exactly_one_thread(
            workers in 1_u32..5, threads in 1_u32..9, total in 0_u32..200,
        ) {
            let mut seen = vec![0; usize::try_from(total).unwrap()];
            for worker in 0..workers {
                for thread in 0..threads {
                    let share = Share { index: worker, of: workers }.part(thread, threads);
                    for n in 0..share.of_total(total) {
                        seen[usize::try_from(share.nth(n.into())).unwrap()] += 1;
                    }
                }
            }
            prop_assert!(seen.iter().all(|n| *n == 1));
        }
    }
}
