//! Dynatrace's metrics API, version 2: a token with a scope, resolutions of minutes, values at the
//! end of their slots, a page a series.

use regex::Regex;
use serde_json::{Value, json};

use super::{Journal, Metric, NONSENSE, buckets, find, now_ms};
use crate::standins::server::{Request, Response, Server, Site};

/// The stand-in.
#[derive(Debug, Clone)]
pub struct Dynatrace {
    /// May read metrics.
    pub token: String,
    /// A good token without that scope.
    pub other_token: String,
    /// What it has.
    pub metrics: Vec<Metric>,
    /// What it was asked.
    pub journal: Journal,
}

impl Dynatrace {
    /// Starts it on a free port.
    pub fn start(&self) -> std::io::Result<Server> {
        Server::start(0, std::sync::Arc::new(self.clone()))
    }

    fn query(&self, request: &Request) -> Response {
        let token = request.header("authorization").and_then(|v| v.strip_prefix("Api-Token "));
        match token {
            None => return refused(401, "Missing authorization parameter.", None),
            Some(token) if token == self.token => {}
            Some(token) if token == self.other_token => {
                let why =
                    "Token is missing required scope. Use one of: metrics.read (Read metrics)";
                return refused(403, why, None);
            }
            Some(_) => return refused(401, "Token Authentication failed", None),
        }
        let next = request.parameter("nextPageKey");
        let key = match next {
            None => None,
            Some(_) if request.query.len() > 1 => {
                return violated("nextPageKey", "must be the only parameter");
            }
            Some(key) => match key_of(key) {
                Some(key) => Some(key),
                None => return violated("nextPageKey", "is not valid"),
            },
        };
        let (asked, at) = match key {
            Some((asked, at)) => (asked, at),
            None => match asked(request) {
                Ok(asked) => (asked, 0),
                Err((path, why)) => return violated(path, &why),
            },
        };
        self.page(&asked, at)
    }

    fn page(&self, asked: &Asked, at: usize) -> Response {
        let step = asked.minutes * 60_000;
        let name = asked.selector.split(':').next().unwrap_or_default();
        let all = find(&self.metrics, name).map(|metric| metric.of.clone()).unwrap_or_default();
        let starts = buckets(asked.from, asked.to, step);
        let data: Vec<Value> = all
            .iter()
            .skip(at)
            .take(1)
            .map(|(host, value)| {
                let of = |start: i64| {
                    let is_over = start + step <= now_ms();
                    let is_whole = asked.from <= start && start + step <= asked.to;
                    if is_over && is_whole { *value } else { value.map(|_| NONSENSE) }
                };
                json!({
                    "dimensions": [host], "dimensionMap": { "host": host },
                    "timestamps": starts.iter().map(|start| start + step).collect::<Vec<_>>(),
                    "values": starts.iter().map(|start| of(*start)).collect::<Vec<_>>(),
                })
            })
            .collect();
        let next = (at + 1 < all.len()).then(|| {
            let Asked { selector, from, to, minutes } = asked;
            format!("{selector}|{from}|{to}|{minutes}|{}", at + 1)
        });
        Response::json(
            200,
            &json!({
                "totalCount": all.len(), "nextPageKey": next,
                "resolution": format!("{}m", asked.minutes),
                "result": [{ "metricId": asked.selector, "data": data }],
            }),
        )
    }
}

struct Asked {
    selector: String,
    from: i64,
    to: i64,
    minutes: i64,
}

fn key_of(key: &str) -> Option<(Asked, usize)> {
    let parts: Vec<&str> = key.split('|').collect();
    let [selector, from, to, minutes, at] = parts.as_slice() else { return None };
    let asked = Asked {
        selector: (*selector).to_owned(),
        from: from.parse().ok()?,
        to: to.parse().ok()?,
        minutes: minutes.parse().ok()?,
    };
    Some((asked, at.parse().ok()?))
}

fn asked(request: &Request) -> Result<Asked, (&'static str, String)> {
    let selector = request.parameter("metricSelector").unwrap_or_default();
    if selector.is_empty() {
        return Err(("metricSelector", "must not be null".to_owned()));
    }
    let grammar = Regex::new(r"^[a-z][\w.\-]*(:(avg|max|min|sum|splitBy\([\w, ]*\)))*$");
    if !grammar.expect("a good pattern").is_match(selector) {
        return Err(("metricSelector", format!("could not be parsed: `{selector}`")));
    }
    let moment = |path: &'static str| {
        let text = request.parameter(path).unwrap_or_default();
        // Seconds would be a time in 1970, which nobody means.
        let at = text.parse::<i64>().ok().filter(|ms| *ms > 100_000_000_000);
        at.ok_or((path, format!("`{text}` is no timeframe in UTC milliseconds")))
    };
    let (from, to) = (moment("from")?, moment("to")?);
    if from >= to {
        return Err(("from", "must be before `to`".to_owned()));
    }
    let resolution = request.parameter("resolution").unwrap_or_default();
    let minutes = resolution.strip_suffix('m').and_then(|minutes| minutes.parse().ok());
    let minutes = minutes
        .filter(|minutes| *minutes > 0)
        .ok_or_else(|| ("resolution", format!("`{resolution}` is not supported")))?;
    Ok(Asked { selector: selector.to_owned(), from, to, minutes })
}

fn violated(path: &str, why: &str) -> Response {
    let violation = json!([{ "path": path, "message": why, "parameterLocation": "QUERY" }]);
    refused(400, "Constraints violated.", Some(violation))
}

fn refused(code: u16, message: &str, violations: Option<Value>) -> Response {
    let mut error = json!({ "code": code, "message": message });
    if let Some(violations) = violations {
        error["constraintViolations"] = violations;
    }
    Response::json(code, &json!({ "error": error }))
}

#[async_trait::async_trait]
impl Site for Dynatrace {
    async fn answer(&self, request: Request) -> Response {
        let response = match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/api/v2/metrics/query") => self.query(&request),
            _ => refused(404, "HTTP 404 Not Found", None),
        };
        let asked = request.parameter("metricSelector").unwrap_or("a further page");
        self.journal.note(asked, response)
    }
}
