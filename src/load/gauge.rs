//! How a limit stands while the run goes on: what it speaks of, counted second by second.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::load::collect::{millis, rate, round};
use crate::load::histogram::Histogram;
use crate::load::limit::{Limit, LimitResult, Metric, Operator};
use crate::load::slices::Slices;
use crate::unit::float;
use crate::verdict::Verdict;

/// Tag → the endpoints that carry it.
pub type Tags = BTreeMap<String, Vec<String>>;

/// What a stretch of the run saw.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stretch {
    /// Its start, in microseconds since the run's.
    pub from: u64,
    /// Requests.
    pub count: u64,
    /// Failed ones.
    pub failed: u64,
    /// From the meant start to the last byte.
    pub response: Histogram,
}

impl Stretch {
    /// An empty one.
    pub fn new(from: u64) -> Self {
        Self { from, ..Self::default() }
    }

    /// Adds another one's counts.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.failed += other.failed;
        self.response.add(&other.response);
    }

    /// Returns the failed share, 0 to 1.
    pub fn failed_share(&self) -> f64 {
        if self.count == 0 { 0.0 } else { float(self.failed) / float(self.count) }
    }

    /// Returns a percentile of the response time in milliseconds.
    pub fn percentile(&self, percent: f64) -> f64 {
        millis(self.response.value_at_percentile(percent))
    }
}

/// Returns what a metric is over a stretch of this length; `None` without a request.
pub fn measure(metric: Metric, of: &Stretch, span: Duration) -> Option<f64> {
    if of.count == 0 {
        return None;
    }
    Some(match metric {
        Metric::Mean => of.response.mean() / 1000.0,
        Metric::Percentile(percent) => of.percentile(percent),
        Metric::Max => millis(of.response.max()),
        Metric::Errors => of.failed_share(),
        Metric::Rate => rate(of.count, span),
        // Found by the preset, not measured on requests.
        Metric::Capacity | Metric::Recovery | Metric::Drift => return None,
    })
}

/// True when the limit speaks of the endpoint.
pub fn is_of(limit: &Limit, endpoint: &str, tags: &Tags) -> bool {
    let has_tag = |tag: &String| {
        tags.get(tag).is_some_and(|tagged| tagged.iter().any(|name| name == endpoint))
    };
    limit.is_of(endpoint) && limit.tag.as_ref().is_none_or(has_tag)
}

/// A limit and what was counted for it.
#[derive(Debug)]
pub struct Gauge {
    /// The limit.
    pub limit: Limit,
    /// Where it looks, in microseconds since the run's start.
    parts: Vec<(u64, u64)>,
    total: Stretch,
    window: Stretch,
    window_span: u64,
    worst: Option<f64>,
    slices: Slices,
}

impl Gauge {
    /// Begins to watch a limit over some parts of the run.
    pub fn new(limit: Limit, parts: Vec<(u64, u64)>) -> Self {
        Self {
            limit,
            parts,
            total: Stretch::default(),
            window: Stretch::default(),
            window_span: 0,
            worst: None,
            slices: Slices::default(),
        }
    }

    /// True when the limit looks at what happens from this moment on.
    pub fn looks_at(&self, from: u64) -> bool {
        self.parts.iter().any(|(begin, end)| *begin <= from && from < *end)
    }

    /// Adds an interval.
    pub fn close(&mut self, to: u64, seen: &Stretch) {
        if !self.looks_at(seen.from) {
            return;
        }
        self.total.add(seen);
        self.window.add(seen);
        if self.limit.over.is_none() {
            let metric = self.limit.metric;
            self.slices.add(metric, seen, Duration::from_micros(to.saturating_sub(seen.from)));
        }
        self.window_span += to.saturating_sub(seen.from);
        let length = self.limit.over.map(|span| micros(span.0));
        if length.is_some_and(|length| self.window_span >= length) {
            let value = self.end_window();
            self.note(value);
        }
    }

    /// Ends the current window and returns what it measured.
    pub fn end_window(&mut self) -> Option<f64> {
        let span = Duration::from_micros(std::mem::take(&mut self.window_span));
        let window = std::mem::take(&mut self.window);
        let value = measure(self.limit.metric, &window, span);
        // A window in which nothing came is the worst for a rate, and nothing for the rest.
        value.or((self.limit.metric == Metric::Rate).then_some(0.0))
    }

    fn note(&mut self, value: Option<f64>) {
        let Some(value) = value else { return };
        let worse = |known: f64| match self.limit.operator {
            Operator::Below | Operator::AtMost => known.max(value),
            Operator::Above | Operator::AtLeast => known.min(value),
        };
        self.worst = Some(self.worst.map_or(value, worse));
    }

    /// Returns why the run is to be ended now, when it is.
    pub fn broken(&self, now: u64) -> Option<String> {
        let least = self.limit.abort?;
        let value = self.value(now)?;
        let is_broken =
            self.total.count >= least && !self.limit.operator.holds(value, self.limit.value);
        is_broken.then(|| format!("{}: it was {}", self.limit.text, self.limit.show(value)))
    }

    fn value(&self, end: u64) -> Option<f64> {
        if self.limit.over.is_some() && self.worst.is_some() {
            return self.worst;
        }
        measure(self.limit.metric, &self.total, self.span(end))
    }

    /// How much of the parts was over at `end`.
    fn span(&self, end: u64) -> Duration {
        let part = |(begin, until): &(u64, u64)| (*until).min(end).saturating_sub(*begin);
        Duration::from_micros(self.parts.iter().map(part).sum())
    }

    /// Judges the limit at the run's end.
    pub fn judge(&self, end: u64) -> LimitResult {
        let value = self.value(end);
        let mut result = judge(&self.limit, value, "no request to judge it on");
        result.samples = self.total.count;
        if let Some(value) = value {
            self.add_doubt(value, &mut result);
        }
        result
    }

    /// Says how far the value may be chance, where the bound is near.
    fn add_doubt(&self, value: f64, result: &mut LimitResult) {
        let limit = &self.limit;
        if !limit.is_sure && !(value / 3.0..=value * 3.0).contains(&limit.value) {
            return;
        }
        let Some((low, high)) = self.slices.interval(limit.metric) else {
            if limit.is_sure && result.verdict == Verdict::Passed {
                result.verdict = Verdict::Inconclusive;
                let text = "too short a time to be sure, ten seconds are needed at least";
                result.reason = format!("{}: {text}", result.reason);
            }
            return;
        };
        result.interval = Some([round(low), round(high)]);
        let width = (high - value).max(value - low);
        let shown = format!("{} \u{b1} {}", limit.show(value), limit.show(width));
        result.reason = result.reason.replacen(&limit.show(value), &shown, 1);
        let holds = |value: f64| limit.operator.holds(value, limit.value);
        match (result.verdict, holds(low) && holds(high)) {
            (Verdict::Passed, false) => {
                result.verdict =
                    if limit.is_sure { Verdict::Inconclusive } else { Verdict::Warned };
                result.reason.push_str(", too near the limit to be sure that it holds");
            }
            (Verdict::Failed, _) if holds(low) || holds(high) => {
                result.reason.push_str(", so near the limit that it may be chance");
            }
            _ => {}
        }
    }
}

/// Judges a value; without one the verdict is open, and `none` says why.
pub fn judge(limit: &Limit, value: Option<f64>, none: &str) -> LimitResult {
    let bound = limit.show(limit.value);
    let (verdict, reason) = match value {
        None => (Verdict::Inconclusive, none.to_owned()),
        Some(value) if limit.operator.holds(value, limit.value) => {
            (Verdict::Passed, limit.show(value))
        }
        Some(value) => (Verdict::Failed, format!("it was {}, not {bound}", limit.show(value))),
    };
    LimitResult {
        name: limit.text.clone(),
        verdict,
        value: value.map(round),
        limit: limit.value,
        samples: 0,
        reason,
        criterion: limit.criterion.clone(),
        interval: None,
    }
}

/// A span in microseconds.
pub fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn second(n: u64, count: u64, failed: u64, ms: u64) -> Stretch {
        let mut stretch = Stretch { count, failed, ..Stretch::new(n * SECOND) };
        for _ in 0..count {
            stretch.response.record(ms * 1000);
        }
        stretch
    }

    /// Ten seconds, the sixth and seventh slow and bad.
    #[track_caller]
    fn check(text: &str, parts: &[(u64, u64)], verdict: Verdict, value: Option<f64>) -> Gauge {
        let parts = parts.iter().map(|(a, b)| (a * SECOND, b * SECOND)).collect();
        let mut gauge = Gauge::new(text.parse().unwrap(), parts);
        for n in 0..10 {
            let (count, failed, ms) = if n == 5 || n == 6 { (10, 5, 200) } else { (20, 0, 10) };
            gauge.close((n + 1) * SECOND, &second(n, count, failed, ms));
        }
        let result = gauge.judge(10 * SECOND);
        assert_eq!(result.verdict, verdict, "{text}: {result:?}");
        match (result.value, value) {
            (Some(found), Some(value)) => {
                assert!((found - value).abs() <= value * 0.01, "{text}: {found}");
            }
            (found, value) => assert_eq!(found, value, "{text}"),
        }
        gauge
    }

    #[test]
    fn a_limit_looks_at_its_part_as_a_whole_or_in_windows() {
        let all = &[(0, 10)];
        check("p50 < 20ms", all, Verdict::Passed, Some(10.0));
        check("p95 < 20ms over 2s", all, Verdict::Failed, Some(200.0));
        check("errors < 17%", all, Verdict::Passed, Some(10.0 / 180.0));
        check("errors < 10%", all, Verdict::Warned, Some(10.0 / 180.0));
        check("errors < 10% over 1s", all, Verdict::Failed, Some(0.5));
        check("rate > 15/s", all, Verdict::Passed, Some(18.0));
        check("rate > 15/s over 1s", all, Verdict::Failed, Some(10.0));
        check("max < 20ms", &[(0, 5), (7, 10)], Verdict::Passed, Some(10.0));
        check("rate > 15/s", &[(5, 7)], Verdict::Failed, Some(10.0));
        check("p95 < 1s", &[(20, 30)], Verdict::Inconclusive, None);
        // No window is over: the whole is one.
        check("p50 < 20ms over 1m", all, Verdict::Passed, Some(10.0));
    }

    /// A minute whose errors come in bursts.
    #[track_caller]
    fn near(text: &str, verdict: Verdict, says: &str) {
        let mut gauge = Gauge::new(text.parse().unwrap(), vec![(0, u64::MAX)]);
        for n in 0..60 {
            let failed = if n % 12 == 5 { 10 } else { 0 };
            gauge.close((n + 1) * SECOND, &second(n, 20, failed, 10 + n % 3));
        }
        let result = gauge.judge(60 * SECOND);
        assert_eq!(result.verdict, verdict, "{result:?}");
        assert!(result.reason.contains(says), "{}", result.reason);
    }

    #[test]
    fn a_limit_that_is_near_is_told_with_its_uncertainty() {
        near("errors < 5%", Verdict::Warned, "4.17% \u{b1} ");
        near("errors < 5%", Verdict::Warned, "too near the limit to be sure");
        near("errors < 5% surely", Verdict::Inconclusive, "too near the limit to be sure");
        near("errors < 4%", Verdict::Failed, "so near the limit that it may be chance");
        near("errors < 0.1%", Verdict::Failed, "it was 4.17%, not 0.10%");
        near("errors < 50%", Verdict::Passed, "4.17%");
        near("errors < 12%", Verdict::Passed, "4.17% \u{b1} ");
        near("p95 < 14ms surely", Verdict::Passed, "12.0ms \u{b1} 0.00ms");
        near("rate > 19/s surely", Verdict::Passed, "20.0/s \u{b1} 0.0/s");
        let mut short = Gauge::new("errors < 5% surely".parse().unwrap(), vec![(0, u64::MAX)]);
        short.close(SECOND, &second(0, 20, 0, 10));
        assert_eq!(short.judge(SECOND).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_run_is_ended_only_on_enough_requests() {
        let broken = |text: &str| check_abort(text);
        assert_eq!(broken("errors < 1%"), None);
        assert_eq!(
            broken("errors < 1% or abort"),
            Some("errors < 1% or abort: it was 5.56%".into())
        );
        assert_eq!(broken("errors < 1% or abort after 1000"), None);
        assert_eq!(broken("errors < 10% or abort"), None);
    }

    fn check_abort(text: &str) -> Option<String> {
        let mut gauge = Gauge::new(text.parse().unwrap(), vec![(0, u64::MAX)]);
        for n in 0..10 {
            let failed = if n == 5 || n == 6 { 5 } else { 0 };
            let count = if failed > 0 { 10 } else { 20 };
            gauge.close((n + 1) * SECOND, &second(n, count, failed, 10));
        }
        gauge.broken(10 * SECOND)
    }

    #[test]
    fn a_tag_stands_for_its_endpoints() {
        let tags = Tags::from([("buy".to_owned(), vec!["POST /cart".to_owned()])]);
        let is_of = |text: &str, name: &str| is_of(&text.parse().unwrap(), name, &tags);
        assert!(is_of("p95 tagged buy < 1s", "POST /cart"));
        assert!(!is_of("p95 tagged buy < 1s", "GET /cart"));
        assert!(!is_of("p95 tagged sell < 1s", "POST /cart"));
        assert!(is_of("p95 < 1s", "GET /cart"));
    }
}
