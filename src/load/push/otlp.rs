//! OpenTelemetry's protocol: an `ExportMetricsServiceRequest` in protobuf, the one form that every
//! receiver takes (VictoriaMetrics knows no other).

use super::protobuf::Message;
use super::series::{Batch, Metric, Sample};

/// Sums count from the start, not from the last time.
const CUMULATIVE: u64 = 2;

/// Numbers of the messages' fields (opentelemetry-proto 1, `metrics/v1/metrics.proto`).
mod field {
    /// Of the request and what it holds.
    pub const RESOURCE_METRICS: u8 = 1;
    pub const RESOURCE: u8 = 1;
    pub const SCOPE_METRICS: u8 = 2;
    pub const RESOURCE_ATTRIBUTES: u8 = 1;
    pub const SCOPE: u8 = 1;
    pub const METRICS: u8 = 2;
    pub const SCOPE_NAME: u8 = 1;
    pub const SCOPE_VERSION: u8 = 2;
    /// Of a metric.
    pub const NAME: u8 = 1;
    pub const UNIT: u8 = 3;
    pub const GAUGE: u8 = 5;
    pub const SUM: u8 = 7;
    pub const POINTS: u8 = 1;
    pub const TEMPORALITY: u8 = 2;
    pub const IS_MONOTONIC: u8 = 3;
    /// Of a point.
    pub const STARTED: u8 = 2;
    pub const TIME: u8 = 3;
    pub const AS_DOUBLE: u8 = 4;
    pub const POINT_ATTRIBUTES: u8 = 7;
    /// Of an attribute and its value.
    pub const KEY: u8 = 1;
    pub const VALUE: u8 = 2;
    pub const TEXT: u8 = 1;
}

/// Returns what is posted.
pub fn body(batch: &Batch) -> Vec<u8> {
    let scope = Message::default()
        .with_text(field::SCOPE_NAME, "dyno.load")
        .with_text(field::SCOPE_VERSION, env!("CARGO_PKG_VERSION"));
    let mut scope_metrics = Message::default().with_message(field::SCOPE, &scope);
    for metric in Metric::ALL {
        if let Some(message) = of(metric, batch) {
            scope_metrics.message(field::METRICS, &message);
        }
    }
    let service = attribute("service.name", "dyno");
    let resource = Message::default().with_message(field::RESOURCE_ATTRIBUTES, &service);
    let resource_metrics = Message::default()
        .with_message(field::RESOURCE, &resource)
        .with_message(field::SCOPE_METRICS, &scope_metrics);
    Message::default().with_message(field::RESOURCE_METRICS, &resource_metrics).into_bytes()
}

fn of(metric: Metric, batch: &Batch) -> Option<Message> {
    let mut points = Message::default();
    for sample in batch.samples.iter().filter(|sample| sample.metric == metric) {
        points.message(field::POINTS, &point(sample, batch));
    }
    if points == Message::default() {
        return None;
    }
    let (name, unit) = metric.otlp();
    let mut message = Message::default().with_text(field::NAME, name);
    if !unit.is_empty() {
        message.text(field::UNIT, unit);
    }
    if metric.is_counter() {
        points.number(field::TEMPORALITY, CUMULATIVE);
        points.number(field::IS_MONOTONIC, u64::from(true));
        message.message(field::SUM, &points);
    } else {
        message.message(field::GAUGE, &points);
    }
    Some(message)
}

fn point(sample: &Sample, batch: &Batch) -> Message {
    let mut point = Message::default();
    if sample.metric.is_counter() {
        point.fixed(field::STARTED, nanos(batch.started));
    }
    point.fixed(field::TIME, nanos(batch.at));
    point.double(field::AS_DOUBLE, sample.value);
    for (name, value) in sample.labels.iter() {
        point.message(field::POINT_ATTRIBUTES, &attribute(name, value));
    }
    point
}

fn nanos(millis: i64) -> u64 {
    u64::try_from(millis).unwrap_or(0).saturating_mul(1_000_000)
}

fn attribute(key: &str, value: &str) -> Message {
    let value = Message::default().with_text(field::TEXT, value);
    Message::default().with_text(field::KEY, key).with_message(field::VALUE, &value)
}
