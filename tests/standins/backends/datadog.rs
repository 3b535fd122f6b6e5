//! Datadog's query API, version 1: two keys, seconds in requests, milliseconds in answers.

use regex::Regex;
use serde_json::{Value, json};

use super::{Journal, Metric, NONSENSE, buckets, find, now_ms};
use crate::standins::server::{Request, Response, Server, Site};

/// The stand-in.
#[derive(Debug, Clone)]
pub struct Datadog {
    /// The organisation's key.
    pub api_key: String,
    /// The user's key.
    pub application_key: String,
    /// What it has.
    pub metrics: Vec<Metric>,
    /// What it was asked.
    pub journal: Journal,
}

impl Datadog {
    /// Starts it on a free port.
    pub fn start(&self) -> std::io::Result<Server> {
        Server::start(0, std::sync::Arc::new(self.clone()))
    }

    fn query(&self, request: &Request) -> Response {
        let key = |name: &str| request.header(name).unwrap_or_default();
        if key("dd-api-key") != self.api_key || key("dd-application-key") != self.application_key {
            return refused(403, "Forbidden");
        }
        let seconds = |name: &str| match request.parameter(name) {
            None => Err(format!("Missing required parameter: {name}")),
            Some(text) => text
                .parse::<i64>()
                .ok()
                .filter(|at| (0..100_000_000_000).contains(at))
                .ok_or_else(|| format!("Invalid {name}: {text} is no POSIX timestamp")),
        };
        let text = request.parameter("query").unwrap_or_default();
        let asked = seconds("from").and_then(|from| Ok((from, seconds("to")?)));
        let (from, to) = match asked {
            Ok((from, to)) if from < to => (from, to),
            Ok(_) => return refused(400, "from must be before to"),
            Err(message) => return refused(400, &message),
        };
        // One aggregation over one metric: more is not asked here.
        let grammar = Regex::new(
            r"^(avg|sum|min|max):([a-zA-Z][\w.]*)\{(\*|[\w.:\-, ]+)\}(?: by \{([\w.:\-, ]+)\})?$",
        );
        let grammar = grammar.expect("a good pattern");
        let Some(found) = grammar.captures(text) else {
            let message = format!(
                "Error parsing query: unable to parse {text}: Rule 'scope_expr' didn't match"
            );
            return refused(400, &message);
        };
        let part = |n: usize| found.get(n).map_or("", |found| found.as_str());
        let series = self.series(&found[2], part(3), part(4), (from, to));
        Response::json(
            200,
            &json!({
                "status": "ok", "res_type": "time_series", "resp_version": 1, "query": text,
                "from_date": from * 1000, "to_date": to * 1000, "message": "", "values": [],
                "times": [], "group_by": [], "series": series,
            }),
        )
    }

    /// An unknown metric is no series, and no error.
    fn series(&self, name: &str, scope: &str, by: &str, (from, to): (i64, i64)) -> Vec<Value> {
        const INTERVAL: i64 = 10;
        let wanted = scope.strip_prefix("host:");
        let all = find(&self.metrics, name).map(|metric| metric.of.clone()).unwrap_or_default();
        let all = all.into_iter().filter(|(host, _)| wanted.is_none_or(|wanted| wanted == host));
        let points = |value: Option<f64>| -> Vec<Value> {
            let starts = buckets(from, to.min(now_ms() / 1000 + 1), INTERVAL);
            let is_over = |start: i64| (start + INTERVAL) * 1000 <= now_ms();
            starts
                .into_iter()
                .map(|start| {
                    let value = if is_over(start) { value } else { value.map(|_| NONSENSE) };
                    json!([start * 1000, value])
                })
                .collect()
        };
        let one = |scope: String, value: Option<f64>| {
            json!({
                "metric": name, "display_name": name, "scope": scope, "aggr": null,
                "expression": format!("avg:{name}{{{scope}}}"), "interval": INTERVAL,
                "start": from * 1000, "end": to * 1000, "unit": null, "pointlist": points(value),
            })
        };
        if by == "host" {
            return all.map(|(host, value)| one(format!("host:{host}"), value)).collect();
        }
        all.take(1).map(|(_, value)| one(scope.to_owned(), value)).collect()
    }
}

fn refused(status: u16, message: &str) -> Response {
    Response::json(status, &json!({ "errors": [message] }))
}

#[async_trait::async_trait]
impl Site for Datadog {
    async fn answer(&self, request: Request) -> Response {
        let response = match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/api/v1/query") => self.query(&request),
            _ => refused(404, "Not found"),
        };
        self.journal.note(request.parameter("query").unwrap_or_default(), response)
    }
}
