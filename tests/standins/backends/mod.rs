//! Metric services that cannot be had, as servers that look at what they are asked: keys, signature
//! and parameters are checked as theirs are, refusals have their codes and shapes, and data is made
//! for what a query asks. A bucket that is not over yet holds nonsense, as theirs may.

mod cloudwatch;
mod datadog;
mod dynatrace;
mod newrelic;
mod signature;

use std::sync::{Arc, Mutex, PoisonError};

pub use cloudwatch::CloudWatch;
pub use datadog::Datadog;
pub use dynatrace::Dynatrace;
pub use newrelic::NewRelic;
pub use signature::Signer;

use super::server::Response;

/// What a bucket that is not over yet says.
const NONSENSE: f64 = 1e6;

/// A metric of a service.
#[derive(Debug, Clone)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Who it is of, and its value all the time; `None`: the service knows it, but has no value.
    pub of: Vec<(String, Option<f64>)>,
}

impl Metric {
    /// A metric of one or several hosts.
    pub fn new(name: &str, of: &[(&str, Option<f64>)]) -> Self {
        let of = of.iter().map(|(host, value)| ((*host).to_owned(), *value)).collect();
        Self { name: name.to_owned(), of }
    }
}

/// What was asked and how it went.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<Vec<(u16, String)>>>);

impl Journal {
    /// Statuses and what they were about, in order.
    pub fn all(&self) -> Vec<(u16, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, asked: &str, response: Response) -> Response {
        let entry = (response.status, asked.to_owned());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        response
    }
}

fn find<'a>(metrics: &'a [Metric], name: &str) -> Option<&'a Metric> {
    metrics.iter().find(|metric| metric.name == name)
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Starts of the buckets of a length that touch `from..until`, all in the same unit.
fn buckets(from: i64, until: i64, step: i64) -> Vec<i64> {
    let first = from.div_euclid(step) * step;
    std::iter::successors(Some(first), |start| Some(start + step))
        .take_while(|start| *start < until)
        .collect()
}
