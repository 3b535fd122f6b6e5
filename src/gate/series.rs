//! What is asked of a source and what it answers.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::unit::Told;
use crate::unit::{Span, float};

/// A stretch of time, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its first moment.
    #[serde(rename = "start")]
    pub start_ms: i64,
    /// Its last moment.
    #[serde(rename = "end")]
    pub end_ms: i64,
}

impl Window {
    /// Returns how long it is; zero when it ends before it starts.
    pub fn span(self) -> Duration {
        Duration::from_millis(u64::try_from(self.end_ms.saturating_sub(self.start_ms)).unwrap_or(0))
    }

    /// True for its moments, both ends included.
    pub fn contains(self, at_ms: i64) -> bool {
        self.start_ms <= at_ms && at_ms <= self.end_ms
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = |ms: i64, format: &str| match Timestamp::from_millisecond(ms) {
            Ok(at) => at.strftime(format).to_string(),
            Err(_) => format!("{ms} ms"),
        };
        let day = |ms: i64| clock(ms, "%Y-%m-%d");
        let is_of_a_day = day(self.start_ms) == day(self.end_ms);
        let end = if is_of_a_day { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        write!(
            f,
            "{} – {} UTC ({})",
            clock(self.start_ms, "%Y-%m-%d %H:%M:%S"),
            clock(self.end_ms, end),
            Span(self.span())
        )
    }
}

/// A window with the reason why it is this one, where that has to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The window.
    pub window: Window,
    /// Why: "no load ran: the last 10m".
    pub note: Option<String>,
}

impl From<Window> for Chosen {
    fn from(window: Window) -> Self {
        Self { window, note: None }
    }
}

/// What is asked of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// In the source's own language.
    pub text: String,
    /// For what time.
    pub window: Window,
    /// How often there should be a sample.
    pub step: Duration,
}

/// A sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// May be infinite; is never NaN, which counts as absent.
    pub value: f64,
}

/// Samples of one thing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What tells it from the others.
    pub labels: BTreeMap<String, String>,
    /// In any order; judged in order of time.
    pub points: Vec<Point>,
    /// How many samples were null or NaN: they are no samples.
    pub n_absent: u64,
}

impl Series {
    /// Returns the labels as text: `{pod="web-1", zone="a"}`.
    pub fn name(&self) -> String {
        let labels: Vec<String> =
            self.labels.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
        format!("{{{}}}", labels.join(", "))
    }

    /// Takes away the buckets that reach out of the window: the newest one is nearly always
    /// incomplete. A bucket stands at its start and is `interval_ms` long.
    pub fn drop_unfinished(&mut self, interval_ms: i64, window: Window) {
        let end_ms = window.end_ms;
        self.points.retain(|point| {
            point.at_ms > end_ms || point.at_ms.saturating_add(interval_ms) <= end_ms
        });
    }
}

/// What a source answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// May be empty.
    pub series: Vec<Series>,
    /// What the source itself says is wrong with its answer: it is incomplete.
    pub warnings: Vec<String>,
    /// What the source says its values are in, where it says so.
    pub units: Vec<Told>,
    /// The HTTP status line: `200 OK`.
    pub status: String,
}

impl Answer {
    /// Returns how many samples lie within the window.
    pub fn n_points(&self, window: Window) -> u64 {
        let n_points = self
            .series
            .iter()
            .flat_map(|series| &series.points)
            .filter(|point| window.contains(point.at_ms))
            .count();
        u64::try_from(n_points).unwrap_or(u64::MAX)
    }
}

/// Returns milliseconds for seconds with a fraction; `None` when they are no time.
pub fn millis(seconds: f64) -> Option<i64> {
    let limit = float(1 << 43);
    let seconds = Some(seconds).filter(|seconds| seconds.abs() < limit)?;
    let magnitude = i64::try_from(crate::unit::whole(seconds.abs() * 1000.0)?).ok()?;
    Some(if seconds < 0.0 { -magnitude } else { magnitude })
}
