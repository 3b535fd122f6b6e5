//! Limits on what the client saw: `p95 < 300ms`, `errors < 1%`, `p99 GET /products < 1s`.

mod parse;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use parse::parse_measure;

use crate::load::model::Preset;
use crate::unit::Span;
use crate::verdict::Verdict;

/// A limit as meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// As written, spaces squeezed.
    pub text: String,
    /// What is measured.
    pub metric: Metric,
    /// Of which endpoint, with or without its method; `None`: of all.
    pub endpoint: Option<String>,
    /// Of the endpoints with this tag; `None`: of all.
    pub tag: Option<String>,
    /// How it is compared.
    pub operator: Operator,
    /// With what: milliseconds, a share of 1, or a rate per second.
    pub value: f64,
    /// Must hold in each stretch of this length; `None`: over the whole.
    pub over: Option<Span>,
    /// During which stage; `None`: where limits are judged.
    pub during: Option<String>,
    /// True when a value too near the bound to be sure is not good enough.
    #[serde(default)]
    pub is_sure: bool,
    /// Ends the run once it is broken by so many requests at least.
    pub abort: Option<u64>,
    /// The criterion that it belongs to; empty: it is one of its own.
    #[serde(default)]
    pub criterion: String,
}

/// What a limit measures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Mean response time.
    Mean,
    /// A percentile of the response time.
    Percentile(f64),
    /// The longest response time.
    Max,
    /// The share of failed requests.
    Errors,
    /// Requests a second.
    Rate,
    /// The highest level that a stress test found to be good, a second or in users.
    Capacity,
    /// How long after a spike it took until the target was as before.
    Recovery,
    /// By how much the response time grew over a soak, as a share.
    Drift,
}

impl Metric {
    /// Returns the preset that finds it.
    pub fn preset(self) -> Option<Preset> {
        match self {
            Self::Capacity => Some(Preset::Stress),
            Self::Recovery => Some(Preset::Spike),
            Self::Drift => Some(Preset::Soak),
            Self::Mean | Self::Percentile(_) | Self::Max | Self::Errors | Self::Rate => None,
        }
    }
}

/// How a limit compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// `<`.
    #[serde(rename = "<")]
    Below,
    /// `<=`.
    #[serde(rename = "<=")]
    AtMost,
    /// `>`.
    #[serde(rename = ">")]
    Above,
    /// `>=`.
    #[serde(rename = ">=")]
    AtLeast,
}

impl Operator {
    /// True when `value` stands to `bound` as the operator says.
    pub fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Below => value < bound,
            Self::AtMost => value <= bound,
            Self::Above => value > bound,
            Self::AtLeast => value >= bound,
        }
    }
}

/// A limit with its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitResult {
    /// The limit as written.
    pub name: String,
    /// Passed, failed, or inconclusive.
    pub verdict: Verdict,
    /// What was measured: milliseconds, a share of 1, or a rate per second; none without data.
    pub value: Option<f64>,
    /// What it was compared with, in the same unit.
    pub limit: f64,
    /// How many requests it rests on.
    pub samples: u64,
    /// In words.
    pub reason: String,
    /// The criterion that it belongs to; empty: it is one of its own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub criterion: String,
    /// Where the limit is near: between which values the true one lies at 95 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
}

/// A text that is no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Limit {
    /// True when the limit speaks of the endpoint (`GET /products`), tags left aside.
    pub fn is_of(&self, endpoint: &str) -> bool {
        self.endpoint.as_deref().is_none_or(|name| {
            name == endpoint || endpoint.split_once(' ').is_some_and(|(_, path)| name == path)
        })
    }

    /// The limit as written, without what follows from breaking it.
    pub fn condition(&self) -> &str {
        self.text.split(" or abort").next().unwrap_or_default()
    }

    /// Writes a measured value in the limit's unit.
    pub fn show(&self, value: f64) -> String {
        match self.metric {
            Metric::Mean | Metric::Percentile(_) | Metric::Max | Metric::Recovery => millis(value),
            Metric::Errors | Metric::Drift => format!("{:.2}%", value * 100.0),
            Metric::Rate => format!("{value:.1}/s"),
            Metric::Capacity => format!("{value:.1}"),
        }
    }
}

/// Writes milliseconds with about three figures.
pub fn millis(value: f64) -> String {
    if value >= 10_000.0 {
        format!("{:.1}s", value / 1000.0)
    } else if value >= 100.0 {
        format!("{value:.0}ms")
    } else if value >= 10.0 {
        format!("{value:.1}ms")
    } else if value >= 0.01 || value <= 0.0 {
        format!("{value:.2}ms")
    } else {
        format!("{:.0}us", value * 1000.0)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_shown_in_a_unit_in_which_it_is_something() {
        for (value, text) in [
            (0.0, "0.00ms"),
            (0.001, "1us"),
            (0.0123, "0.01ms"),
            (5.88, "5.88ms"),
            (12_345.0, "12.3s"),
        ] {
            assert_eq!(millis(value), text);
        }
    }

    #[test]
    fn an_endpoint_is_named_with_or_without_its_method() {
        let limit = |text: &str| text.parse::<Limit>().unwrap();
        assert!(limit("p95 < 1s").is_of("GET /a"));
        assert!(limit("p95 GET /a < 1s").is_of("GET /a"));
        assert!(limit("p95 /a < 1s").is_of("POST /a"));
        assert!(!limit("p95 POST /a < 1s").is_of("GET /a"));
    }
}
