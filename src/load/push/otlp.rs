//! OpenTelemetry's protocol: an `ExportMetricsServiceRequest` in its JSON form.

use serde_json::{Value, json};

use super::series::{Batch, Labels, Metric, Sample};

/// Sums count from the start, not from the last time.
const CUMULATIVE: u8 = 2;

/// Returns what is posted.
pub fn body(batch: &Batch) -> Vec<u8> {
    let metrics: Vec<Value> =
        Metric::ALL.into_iter().filter_map(|metric| of(metric, batch)).collect();
    let resource = json!({ "attributes": [attribute("service.name", "dyno")] });
    let scope = json!({ "name": "dyno.load", "version": env!("CARGO_PKG_VERSION") });
    let message = json!({
        "resourceMetrics": [{
            "resource": resource,
            "scopeMetrics": [{ "scope": scope, "metrics": metrics }],
        }],
    });
    message.to_string().into_bytes()
}

fn of(metric: Metric, batch: &Batch) -> Option<Value> {
    let own = batch.samples.iter().filter(|sample| sample.metric == metric);
    let points: Vec<Value> = own.map(|sample| point(sample, batch)).collect();
    if points.is_empty() {
        return None;
    }
    let (name, unit) = metric.otlp();
    let mut value = json!({ "name": name });
    if !unit.is_empty() {
        value["unit"] = unit.into();
    }
    if metric.is_counter() {
        value["sum"] = json!({
            "aggregationTemporality": CUMULATIVE, "isMonotonic": true, "dataPoints": points,
        });
    } else {
        value["gauge"] = json!({ "dataPoints": points });
    }
    Some(value)
}

fn point(sample: &Sample, batch: &Batch) -> Value {
    let mut point = json!({
        "attributes": attributes(&sample.labels),
        "timeUnixNano": nanos(batch.at),
        "asDouble": sample.value,
    });
    if sample.metric.is_counter() {
        point["startTimeUnixNano"] = nanos(batch.started).into();
    }
    point
}

/// 64-bit numbers are texts in protobuf's JSON.
fn nanos(millis: i64) -> String {
    format!("{millis}000000")
}

fn attributes(labels: &Labels) -> Vec<Value> {
    labels.iter().map(|(name, value)| attribute(name, value)).collect()
}

fn attribute(name: &str, value: &str) -> Value {
    json!({ "key": name, "value": { "stringValue": value } })
}
