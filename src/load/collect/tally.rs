//! Counts and histograms of some requests, and the figures that are read from them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::load::error::Error;
use crate::load::failure::Kind;
use crate::load::gauge::Stretch;
use crate::load::histogram::Histogram;
use crate::load::protocol::Delta;
use crate::load::summary::{Bytes, ErrorCount, Latency, Requests};
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
    /// Connecting, where that was done.
    pub connect: Histogram,
    /// TLS after that.
    pub tls: Histogram,
    /// Failures by text.
    pub failures: BTreeMap<String, (Kind, u64)>,
}

/// At most so many kinds of failures are kept.
const FAILURES: usize = 100;

impl Tally {
    /// Adds what a thread counted in an interval.
    pub fn add_delta(&mut self, delta: &Delta) -> Result<(), Error> {
        self.count += delta.count;
        self.failed += delta.failed;
        self.bytes.sent += delta.sent;
        self.bytes.received += delta.received;
        delta.response.add_to(&mut self.response)?;
        delta.service.add_to(&mut self.service)?;
        delta.first_byte.add_to(&mut self.first_byte)?;
        delta.connect.add_to(&mut self.connect)?;
        delta.tls.add_to(&mut self.tls)?;
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
        self.connect.add(&other.connect);
        self.tls.add(&other.tls);
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
    /// What came since sinks were told last.
    pub recent: Stretch,
}

/// Returns the share as whole percents, for people.
pub fn percent(share: f64) -> u64 {
    whole(share * 100.0).unwrap_or(0)
}
