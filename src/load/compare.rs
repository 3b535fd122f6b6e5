//! The comparison of a target with its baseline: one value a block, never one a request, and what
//! the pairs of blocks say together. Pure.

use std::time::Duration;

use crate::load::collect::Tally;
use crate::load::collect::{latency, round};
use crate::load::error::Error;
use crate::load::gauge::{Stretch, Tags, is_of, measure, micros};
use crate::load::limit::{Limit, LimitResult, Metric};
use crate::load::plan::{Baseline, Plan};
use crate::load::protocol::Delta;
use crate::load::regression::{FEWEST_PAIRS, Side};
use crate::load::stages::{Stage, parts};
use crate::load::summary::{Compared, Comparison, Requests};
use crate::statistics::{Shift, holm, shift};
use crate::verdict::Verdict;

/// What both sides' blocks saw.
#[derive(Debug)]
pub struct Blocks {
    baseline: Baseline,
    tags: Tags,
    target: Vec<Block>,
    others: Vec<Block>,
    /// All that was asked of the baseline.
    whole: Tally,
}

/// A block that is compared.
#[derive(Debug)]
struct Block {
    /// From when until when its side's requests are counted for it, in microseconds since the
    /// run's start: also those that are answered while the other side has its turn.
    part: (u64, u64),
    /// How long its load was held.
    held: Duration,
    /// For each thing that is compared.
    seen: Vec<Stretch>,
}

/// The compared blocks of a side.
fn blocks(stages: &[Stage], n_compared: usize) -> Vec<Block> {
    let parts = parts(stages);
    let judged: Vec<usize> = (0..stages.len()).filter(|n| stages[*n].is_judged).collect();
    let block = |(k, n): (usize, &usize)| {
        let (begin, end) = parts.get(*n).copied().unwrap_or_default();
        // The next block of the same side begins with the ramp before its hold.
        let next = judged.get(k + 1).and_then(|next| parts.get(next.checked_sub(1)?));
        Block {
            part: (micros(begin), next.map_or(u64::MAX, |(begin, _)| micros(*begin))),
            held: end.saturating_sub(begin),
            seen: vec![Stretch::default(); n_compared],
        }
    };
    judged.iter().enumerate().map(block).collect()
}

impl Blocks {
    /// Opens the books of a regression test; `None` for any other plan.
    pub fn of(plan: &Plan) -> Option<Self> {
        let baseline = plan.baseline.clone()?;
        let n = baseline.compared.len();
        Some(Self {
            tags: plan.tags.clone(),
            target: blocks(&plan.model.stages, n),
            others: blocks(&baseline.stages, n),
            whole: Tally::default(),
            baseline,
        })
    }

    /// Adds what one side saw from this moment on.
    pub fn add(&mut self, side: Side, from: u64, deltas: &[Delta]) -> Result<(), Error> {
        let blocks = match side {
            Side::Target => &mut self.target,
            Side::Baseline => {
                for delta in deltas {
                    self.whole.add_delta(delta)?;
                }
                &mut self.others
            }
        };
        let is_inside = |block: &&mut Block| block.part.0 <= from && from < block.part.1;
        let Some(block) = blocks.iter_mut().find(is_inside) else { return Ok(()) };
        for delta in deltas {
            let mut seen =
                Stretch { count: delta.count, failed: delta.failed, ..Stretch::default() };
            delta.response.add_to(&mut seen.response)?;
            for (limit, sum) in self.baseline.compared.iter().zip(&mut block.seen) {
                if is_of(limit, &delta.name, &self.tags) {
                    sum.add(&seen);
                }
            }
        }
        Ok(())
    }

    /// Compares the sides.
    pub fn judge(&self) -> (Comparison, Vec<LimitResult>) {
        let baseline = &self.baseline;
        let found: Vec<Found> = (0..baseline.compared.len()).map(|n| self.compare(n)).collect();
        let p: Vec<f64> =
            found.iter().map(|found| found.shift.map_or(1.0, |shift| shift.p)).collect();
        let real = holm(&p, baseline.confidence);
        let mut compared = Vec::new();
        let mut results = Vec::new();
        for ((limit, found), is_real) in baseline.compared.iter().zip(found).zip(real) {
            let (verdict, reason) = found.verdict(limit, is_real, self.silence());
            let change = found.shift.map(|shift| round4(found.share(shift.mean)));
            results.push(LimitResult {
                name: limit.text.clone(),
                verdict,
                value: change,
                limit: limit.value,
                samples: u64::try_from(found.pairs.len()).unwrap_or(0),
                reason,
                criterion: String::new(),
                interval: None,
            });
            compared.push(Compared {
                name: limit.text.clone(),
                verdict,
                change,
                low: found.shift.map(|shift| round4(found.share(shift.low))),
                high: found.shift.map(|shift| round4(found.share(shift.high))),
                smallest: found.shift.map(|shift| round4(found.smallest(&shift))),
                p: found.shift.map(|shift| round4(shift.p)),
                pairs: found.pairs.iter().map(|pair| pair.map(round)).collect(),
            });
        }
        let comparison = Comparison {
            baseline: baseline.target.to_string(),
            confidence: baseline.confidence,
            requests: Requests { count: self.whole.count, failed: self.whole.failed, rate: 0.0 },
            latency: latency(&self.whole.response),
            compared,
        };
        (comparison, results)
    }

    /// Says why the baseline is none, when it is none.
    fn silence(&self) -> Option<String> {
        let error = || {
            self.whole
                .errors()
                .first()
                .map_or_else(String::new, |error| format!(": {}", error.text))
        };
        match (self.whole.count, self.whole.failed) {
            (0, _) => Some("nothing was asked of the baseline".to_owned()),
            (count, failed) if count == failed => {
                Some(format!("every request to the baseline failed{}", error()))
            }
            _ => None,
        }
    }

    fn compare(&self, n: usize) -> Found {
        let metric = self.baseline.compared.get(n).map_or(Metric::Errors, |limit| limit.metric);
        let value = |block: &Block| measure(metric, block.seen.get(n)?, block.held);
        let pairs: Vec<[f64; 2]> = self
            .others
            .iter()
            .zip(&self.target)
            .filter_map(|(other, own)| Some([value(other)?, value(own)?]))
            .collect();
        let differences: Vec<f64> =
            pairs.iter().filter_map(|pair| difference(metric, *pair)).collect();
        let is_enough = u32::try_from(differences.len()).is_ok_and(|n| n >= FEWEST_PAIRS);
        let shift = if is_enough { shift(&differences, self.baseline.confidence) } else { None };
        Found { metric, pairs, shift }
    }
}

/// By how much the target is worse than the baseline in a pair: the logarithm of their ratio, and
/// of errors the difference of their shares.
fn difference(metric: Metric, [baseline, target]: [f64; 2]) -> Option<f64> {
    match metric {
        Metric::Errors => Some(target - baseline),
        Metric::Rate => (baseline > 0.0 && target > 0.0).then(|| (baseline / target).ln()),
        Metric::Mean
        | Metric::Percentile(_)
        | Metric::Max
        | Metric::Capacity
        | Metric::Recovery
        | Metric::Drift => (baseline > 0.0 && target > 0.0).then(|| (target / baseline).ln()),
    }
}

/// What the pairs say of one thing.
struct Found {
    metric: Metric,
    pairs: Vec<[f64; 2]>,
    shift: Option<Shift>,
}

impl Found {
    /// A difference as a share of the baseline, or of the requests.
    fn share(&self, difference: f64) -> f64 {
        match self.metric {
            Metric::Errors => difference,
            // What is lost of the rate, where the ratio is that of the baseline to the target.
            Metric::Rate => 1.0 - (-difference).exp(),
            Metric::Mean
            | Metric::Percentile(_)
            | Metric::Max
            | Metric::Capacity
            | Metric::Recovery
            | Metric::Drift => difference.exp() - 1.0,
        }
    }

    /// The smallest change that pairs as noisy as these would have shown.
    fn smallest(&self, shift: &Shift) -> f64 {
        self.share((shift.mean - shift.low).max(0.0))
    }

    fn verdict(&self, limit: &Limit, is_real: bool, silence: Option<String>) -> (Verdict, String) {
        let n = self.pairs.len();
        if let Some(silence) = silence {
            return (Verdict::Inconclusive, silence);
        }
        let Some(shift) = self.shift else {
            let text =
                format!("{n} usable pairs of blocks, and {FEWEST_PAIRS} are needed at least");
            return (Verdict::Inconclusive, text);
        };
        let signed = |difference: f64| {
            // The rate is told by what became of it, the rest by what was added.
            let sign = if self.metric == Metric::Rate { -1.0 } else { 1.0 };
            format!("{:+.1}%", sign * self.share(difference) * 100.0)
        };
        let smallest = percent(self.smallest(&shift));
        let bounds = format!(
            "{} ({} to {}, {n} pairs; could have seen {smallest})",
            signed(shift.mean),
            signed(shift.low),
            signed(shift.high),
        );
        if is_real && self.share(shift.mean) > limit.value {
            (Verdict::Failed, format!("worse than the baseline: {bounds}"))
        } else if self.share(shift.high) <= limit.value {
            (Verdict::Passed, bounds)
        } else if self.share(shift.mean) > limit.value {
            let why = "perhaps worse, and perhaps chance";
            (
                Verdict::Inconclusive,
                format!("{why}: {bounds}; more pairs or longer blocks tell more"),
            )
        } else {
            let why = "no such change was seen, but it would be too small to be seen";
            (
                Verdict::Inconclusive,
                format!("{why}: {bounds}; more pairs or longer blocks tell more"),
            )
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

fn round4(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs in which the target is worse by `by` and noise is up to `noise`, both as logarithms.
    fn found(metric: Metric, n: usize, by: f64, noise: f64) -> Found {
        let wave = [0.9, -0.7, 0.3, -1.0, 0.6, -0.2, 1.0, -0.5, 0.1, -0.6];
        let pair = |n: usize| {
            let base = 0.1 * (1.0 + 0.2 * wave[(n + 3) % 10]);
            let change = by + noise * wave[n % 10];
            if metric == Metric::Errors {
                [base, base + change]
            } else {
                [base, base * change.exp()]
            }
        };
        let pairs: Vec<[f64; 2]> = (0..n).map(pair).collect();
        let differences: Vec<f64> =
            pairs.iter().filter_map(|pair| difference(metric, *pair)).collect();
        Found { metric, pairs, shift: shift(&differences, 0.95) }
    }

    #[track_caller]
    fn check(text: &str, (by, noise): (f64, f64), verdict: Verdict, says: &str) {
        let limit = parse(text);
        let found = found(limit.metric, 10, by, noise);
        let is_real = found.shift.unwrap().p <= 0.05;
        let (judged, reason) = found.verdict(&limit, is_real, None);
        assert_eq!(judged, verdict, "{text} {by} {noise}: {reason}");
        assert!(reason.contains(says), "{reason}");
    }

    fn parse(text: &str) -> Limit {
        let value = if text == "errors" { 0.01 } else { 0.05 };
        Limit { value, ..crate::load::limit::parse_measure(text).unwrap() }
    }

    #[test]
    fn the_verdict_says_what_the_pairs_can_carry() {
        check("p95", (0.0, 0.02), Verdict::Passed, "could have seen");
        check("p95", (0.20, 0.05), Verdict::Failed, "worse than the baseline: +2");
        check("p95", (-0.30, 0.05), Verdict::Passed, "-2");
        check("p95", (0.0, 0.60), Verdict::Inconclusive, "too small to be seen");
        check("p95", (0.15, 0.60), Verdict::Inconclusive, "perhaps worse, and perhaps chance");
        // A small change that is surely there does not matter.
        check("p95", (0.02, 0.005), Verdict::Passed, "+2.0%");
        check("errors", (0.0, 0.001), Verdict::Passed, "");
        check("errors", (0.05, 0.01), Verdict::Failed, "+5.0%");
        check("rate", (-0.20, 0.02), Verdict::Failed, "-18");
        check("rate", (0.20, 0.02), Verdict::Passed, "+2");
    }

    #[test]
    fn no_pair_is_no_verdict() {
        let limit = parse("p95");
        let none = Found { metric: limit.metric, pairs: vec![[1.0, 1.0]; 5], shift: None };
        assert_eq!(none.verdict(&limit, false, None).0, Verdict::Inconclusive);
        let some = found(limit.metric, 10, 0.0, 0.01);
        let silent = Some("every request to the baseline failed".to_owned());
        assert_eq!(some.verdict(&limit, false, silent).0, Verdict::Inconclusive);
    }
}
