//! Limits on what the client saw: `p95 < 300ms`, `errors < 1%`, `p99 GET /products < 1s`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::unit::{Rate, Span};
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
    /// How it is compared.
    pub operator: Operator,
    /// With what: milliseconds, a share of 1, or a rate per second.
    pub value: f64,
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
}

/// A text that is no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

const METRICS: &str = "mean, p50, p90, p95, p99 (any pN), max, errors, rate";

impl FromStr for Limit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let squeezed = words.join(" ");
        let at = squeezed.rfind(['<', '>']).ok_or_else(|| {
            Error(format!("`{squeezed}` compares nothing: write it as `p95 < 300ms`"))
        })?;
        let (left, right) = squeezed.split_at(at);
        let (operator, value) = match (right.strip_prefix("<="), right.strip_prefix(">=")) {
            (Some(value), _) => (Operator::AtMost, value),
            (_, Some(value)) => (Operator::AtLeast, value),
            _ if right.starts_with('<') => (Operator::Below, &right[1..]),
            _ => (Operator::Above, &right[1..]),
        };
        let (metric, endpoint) = left.trim().split_once(' ').unwrap_or((left.trim(), ""));
        let metric = parse_metric(metric)?;
        let endpoint = Some(endpoint.trim()).filter(|name| !name.is_empty()).map(str::to_owned);
        let value = parse_value(metric, value.trim())?;
        Ok(Self { text: squeezed, metric, endpoint, operator, value })
    }
}

fn parse_metric(word: &str) -> Result<Metric, Error> {
    let unknown = || Error(format!("`{word}` is not a metric: use one of {METRICS}"));
    match word {
        "mean" | "avg" => Ok(Metric::Mean),
        "median" => Ok(Metric::Percentile(50.0)),
        "max" => Ok(Metric::Max),
        "errors" => Ok(Metric::Errors),
        "rate" => Ok(Metric::Rate),
        _ => {
            let number: f64 =
                word.strip_prefix('p').and_then(|n| n.parse().ok()).ok_or_else(unknown)?;
            if 0.0 < number && number <= 100.0 {
                Ok(Metric::Percentile(number))
            } else {
                Err(unknown())
            }
        }
    }
}

fn parse_value(metric: Metric, text: &str) -> Result<f64, Error> {
    match metric {
        Metric::Mean | Metric::Percentile(_) | Metric::Max => text
            .parse::<Span>()
            .map(|span| span.0.as_secs_f64() * 1000.0)
            .map_err(|error| Error(error.to_string())),
        Metric::Errors => text
            .strip_suffix('%')
            .and_then(|number| number.trim().parse::<f64>().ok())
            .filter(|number| (0.0..=100.0).contains(number))
            .map(|number| number / 100.0)
            .ok_or_else(|| Error(format!("`{text}` is not a share such as `1%`"))),
        Metric::Rate => {
            text.parse::<Rate>().map(|rate| rate.0).map_err(|error| Error(error.to_string()))
        }
    }
}

impl Limit {
    /// True when the limit speaks of the endpoint (`GET /products`).
    pub fn is_of(&self, endpoint: &str) -> bool {
        self.endpoint.as_deref().is_none_or(|name| {
            name == endpoint || endpoint.split_once(' ').is_some_and(|(_, path)| name == path)
        })
    }

    /// Writes a measured value in the limit's unit.
    pub fn show(&self, value: f64) -> String {
        match self.metric {
            Metric::Mean | Metric::Percentile(_) | Metric::Max => millis(value),
            Metric::Errors => format!("{:.2}%", value * 100.0),
            Metric::Rate => format!("{value:.1}/s"),
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
    } else {
        format!("{value:.2}ms")
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
    fn limits_read_as_written() {
        for (text, metric, endpoint, operator, value) in [
            ("p95 < 300ms", Metric::Percentile(95.0), None, Operator::Below, 300.0),
            ("p99.9<=1.5s", Metric::Percentile(99.9), None, Operator::AtMost, 1500.0),
            ("errors < 1%", Metric::Errors, None, Operator::Below, 0.01),
            ("rate > 100/s", Metric::Rate, None, Operator::Above, 100.0),
            ("rate >= 600/m", Metric::Rate, None, Operator::AtLeast, 10.0),
            ("max  <  2s", Metric::Max, None, Operator::Below, 2000.0),
            ("mean /a < 5ms", Metric::Mean, Some("/a"), Operator::Below, 5.0),
            (
                "p99 GET /products/{id} < 1s",
                Metric::Percentile(99.0),
                Some("GET /products/{id}"),
                Operator::Below,
                1000.0,
            ),
        ] {
            let limit: Limit = text.parse().unwrap();
            assert_eq!(
                (limit.metric, limit.endpoint.as_deref(), limit.operator, limit.value),
                (metric, endpoint, operator, value),
                "{text}"
            );
        }
    }

    #[test]
    fn a_wrong_limit_says_what_would_be_right() {
        for (text, says) in [
            ("p95", "compares nothing"),
            ("p95 < 300", "duration"),
            ("p95 < 1%", "duration"),
            ("p0 < 1s", "not a metric"),
            ("p101 < 1s", "not a metric"),
            ("speed < 1s", "not a metric"),
            ("errors < 5", "share"),
            ("errors < 101%", "share"),
            ("rate > fast", "rate"),
            ("< 5ms", "not a metric"),
            ("p95 <", "duration"),
        ] {
            let error = text.parse::<Limit>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
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
