//! A moment's figures as series: their names and labels are an interface, told in `docs/plans.md`.

use crate::load::event::{EndpointProgress, EndpointsProgress};
use crate::unit::float;

/// What every series carries, in order of the names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(Vec<(String, String)>);

impl Labels {
    /// Adds one; an empty value is none.
    pub fn add(&mut self, name: &str, value: &str) {
        if !value.is_empty() && !self.0.iter().any(|(known, _)| known == name) {
            self.0.push((name.to_owned(), value.to_owned()));
            self.0.sort();
        }
    }

    /// Returns them with one more.
    fn with(&self, name: &str, value: &str) -> Self {
        let mut labels = self.clone();
        labels.add(name, value);
        labels
    }

    /// Returns name and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// What a series counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Requests since the start.
    Requests,
    /// Failed ones since the start.
    Failed,
    /// Requests a second, in the last seconds.
    Rate,
    /// A percentile of the response time in the last seconds, from the meant start.
    Response,
    /// Users that run.
    Users,
}

impl Metric {
    /// All, in the order in which they are sent.
    pub const ALL: [Self; 5] =
        [Self::Requests, Self::Failed, Self::Rate, Self::Response, Self::Users];

    /// Its name at Prometheus.
    pub fn prometheus(self) -> &'static str {
        match self {
            Self::Requests => "dyno_load_requests_total",
            Self::Failed => "dyno_load_failed_total",
            Self::Rate => "dyno_load_requests_per_second",
            Self::Response => "dyno_load_response_seconds",
            Self::Users => "dyno_load_users",
        }
    }

    /// Its name and unit at OpenTelemetry; Prometheus makes its own name of them again.
    pub fn otlp(self) -> (&'static str, &'static str) {
        match self {
            Self::Requests => ("dyno.load.requests", ""),
            Self::Failed => ("dyno.load.failed", ""),
            Self::Rate => ("dyno.load.requests_per_second", ""),
            Self::Response => ("dyno.load.response", "s"),
            Self::Users => ("dyno.load.users", ""),
        }
    }

    /// True when it only grows.
    pub fn is_counter(self) -> bool {
        matches!(self, Self::Requests | Self::Failed)
    }
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What it counts.
    pub metric: Metric,
    /// Of what.
    pub labels: Labels,
    /// Times in seconds.
    pub value: f64,
}

/// A moment's values.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// When counters were zero, in milliseconds since 1970.
    pub started: i64,
    /// Which moment.
    pub at: i64,
    /// The values.
    pub samples: Vec<Sample>,
}

/// The endpoint that stands for all of them together.
const ALL: &str = "all";

/// Returns what is pushed of a moment.
pub fn batch(state: &EndpointsProgress, labels: &Labels, started: i64) -> Batch {
    let mut samples = vec![Sample {
        metric: Metric::Users,
        labels: labels.clone(),
        value: f64::from(state.users),
    }];
    push(&mut samples, &state.all, &labels.with("endpoint", ALL));
    for endpoint in &state.endpoints {
        push(&mut samples, endpoint, &labels.with("endpoint", &endpoint.name));
    }
    Batch { started, at: state.at, samples }
}

fn push(samples: &mut Vec<Sample>, of: &EndpointProgress, labels: &Labels) {
    let mut add = |metric, labels: &Labels, value| {
        samples.push(Sample { metric, labels: labels.clone(), value });
    };
    add(Metric::Requests, labels, float(of.total));
    add(Metric::Failed, labels, float(of.failed));
    add(Metric::Rate, labels, of.rate);
    // Without a request there is no response time, and none is told.
    if of.rate > 0.0 {
        for (quantile, millis) in [("0.5", of.p50), ("0.95", of.p95), ("0.99", of.p99)] {
            add(Metric::Response, &labels.with("quantile", quantile), millis / 1000.0);
        }
    }
}
