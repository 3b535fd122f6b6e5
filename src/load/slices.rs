//! What a limit saw, slice by slice of a few seconds: how far its value may be chance. Constant
//! memory: when there are too many slices, neighbours become one.

use std::time::Duration;

use crate::load::collect::millis;
use crate::load::gauge::Stretch;
use crate::load::histogram::{highest, middle};
use crate::load::limit::Metric;
use crate::statistics::bootstrap;
use crate::unit::float;

/// More slices are not kept.
const MOST: usize = 120;

/// The slices.
#[derive(Debug)]
pub struct Slices {
    kept: Vec<Slice>,
    /// How many intervals a slice holds.
    length: u32,
    /// How many the last one holds.
    filled: u32,
}

#[derive(Debug, Default, Clone)]
struct Slice {
    count: u64,
    failed: u64,
    span: Duration,
    /// Bucket and count, ascending.
    buckets: Vec<(usize, u64)>,
}

impl Slice {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.failed += other.failed;
        self.span += other.span;
        self.buckets.extend(other.buckets);
        self.buckets.sort_unstable_by_key(|(bucket, _)| *bucket);
        self.buckets.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            if is_same {
                kept.1 += next.1;
            }
            is_same
        });
    }
}

impl Default for Slices {
    fn default() -> Self {
        Self { kept: Vec::new(), length: 1, filled: 1 }
    }
}

impl Slices {
    /// Adds an interval, as far as the metric's interval needs it.
    pub fn add(&mut self, metric: Metric, seen: &Stretch, span: Duration) {
        let buckets = match metric {
            Metric::Max | Metric::Capacity | Metric::Recovery | Metric::Drift => return,
            Metric::Errors | Metric::Rate => Vec::new(),
            Metric::Mean | Metric::Percentile(_) => seen.response.buckets().collect(),
        };
        let slice = Slice { count: seen.count, failed: seen.failed, span, buckets };
        match self.kept.last_mut() {
            Some(last) if self.filled < self.length => {
                last.add(slice);
                self.filled += 1;
                return;
            }
            Some(_) | None => {}
        }
        if self.kept.len() == MOST {
            self.halve();
        }
        self.kept.push(slice);
        self.filled = 1;
    }

    fn halve(&mut self) {
        let mut kept = Vec::with_capacity(MOST);
        let mut slices = std::mem::take(&mut self.kept).into_iter();
        while let Some(mut one) = slices.next() {
            if let Some(two) = slices.next() {
                one.add(two);
            }
            kept.push(one);
        }
        self.kept = kept;
        self.length = self.length.saturating_mul(2);
    }

    /// Returns between which values the metric lies at 95 %; `None` where there are too few slices
    /// to say so, or the metric has no such interval.
    pub fn interval(&self, metric: Metric) -> Option<(f64, f64)> {
        let n = self.kept.len();
        let weighted = |drawn: &[u32], of: &dyn Fn(&Slice) -> f64| -> f64 {
            self.kept.iter().zip(drawn).map(|(slice, times)| of(slice) * f64::from(*times)).sum()
        };
        let count = |slice: &Slice| float(slice.count);
        match metric {
            Metric::Errors => bootstrap(n, |drawn| {
                let all = weighted(drawn, &count);
                (all > 0.0).then(|| weighted(drawn, &|slice| float(slice.failed)) / all)
            }),
            Metric::Rate => bootstrap(n, |drawn| {
                let span = weighted(drawn, &|slice| slice.span.as_secs_f64());
                (span > 0.0).then(|| weighted(drawn, &count) / span)
            }),
            Metric::Mean => {
                let sum = |slice: &Slice| -> f64 {
                    slice.buckets.iter().map(|(at, count)| middle(*at) * float(*count)).sum()
                };
                let sums: Vec<f64> = self.kept.iter().map(sum).collect();
                bootstrap(n, |drawn| {
                    let all = weighted(drawn, &count);
                    let sum: f64 =
                        sums.iter().zip(drawn).map(|(sum, times)| sum * f64::from(*times)).sum();
                    (all > 0.0).then(|| sum / all / 1000.0)
                })
            }
            Metric::Percentile(percent) => self.percentile(percent / 100.0),
            Metric::Max | Metric::Capacity | Metric::Recovery | Metric::Drift => None,
        }
    }

    fn percentile(&self, share: f64) -> Option<(f64, f64)> {
        let mut entries: Vec<(usize, usize, u64)> = Vec::new();
        for (n, slice) in self.kept.iter().enumerate() {
            entries.extend(slice.buckets.iter().map(|(bucket, count)| (*bucket, n, *count)));
        }
        entries.sort_unstable();
        bootstrap(self.kept.len(), |drawn| {
            let times = |n: usize| u64::from(drawn.get(n).copied().unwrap_or(0));
            let all: u64 =
                self.kept.iter().enumerate().map(|(n, slice)| slice.count * times(n)).sum();
            let wanted = share * float(all);
            let mut seen = 0;
            let found = entries.iter().find(|(_, n, count)| {
                seen += count * times(*n);
                seen > 0 && float(seen) >= wanted
            });
            found.map(|(bucket, _, _)| millis(highest(*bucket)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(values: &[u64], failed: u64) -> Stretch {
        let count = u64::try_from(values.len()).unwrap();
        let mut stretch = Stretch { count, failed, ..Stretch::default() };
        for ms in values {
            stretch.response.record(ms * 1000);
        }
        stretch
    }

    fn filled(seconds: impl IntoIterator<Item = Stretch>) -> Slices {
        let mut slices = Slices::default();
        for second in seconds {
            slices.add(Metric::Mean, &second, Duration::from_secs(1));
        }
        slices
    }

    #[test]
    fn what_is_always_the_same_has_a_narrow_interval_and_a_stall_a_wide_one() {
        let p95 = Metric::Percentile(95.0);
        let even = filled((0..60).map(|_| second(&[10; 20], 0)));
        let (low, high) = even.interval(p95).unwrap();
        assert!((low - 10.0).abs() < 0.1 && (high - 10.0).abs() < 0.1, "{low} {high}");
        assert_eq!(even.interval(Metric::Errors), Some((0.0, 0.0)));
        assert_eq!(even.interval(Metric::Rate), Some((20.0, 20.0)));
        // Two bad seconds of sixty: chance decides whether they are 5 % of all.
        let stall = (0..60).map(|n| second(&[if n % 30 == 7 { 900 } else { 10 }; 20], 0));
        let (low, high) = filled(stall).interval(p95).unwrap();
        assert!(low < 11.0 && high > 800.0, "{low} {high}");
        assert_eq!(filled((0..9).map(|_| second(&[10], 0))).interval(p95), None);
        assert_eq!(even.interval(Metric::Max), None);
    }

    #[test]
    fn hours_need_no_more_memory_than_minutes() {
        let slices = filled((0..4 * 3600).map(|n| second(&[10, 20 + n % 7], n % 2)));
        assert!(slices.kept.len() <= MOST && slices.kept.len() > MOST / 2 - 1);
        let sum: u64 = slices.kept.iter().map(|slice| slice.count).sum();
        assert_eq!(sum, 2 * 4 * 3600);
        assert!(slices.kept.iter().all(|slice| slice.buckets.len() <= 8));
        let (low, high) = slices.interval(Metric::Errors).unwrap();
        assert!((low - 0.25).abs() < 0.01 && (high - 0.25).abs() < 0.01);
    }
}
