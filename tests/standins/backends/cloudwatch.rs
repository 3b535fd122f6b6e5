//! Amazon `CloudWatch`'s `GetMetricData` in its JSON protocol: signed, paged, with periods that are
//! not any number.

use regex::Regex;
use serde_json::{Value, json};

use super::{Journal, Metric, NONSENSE, Signer, buckets, find, now_ms};
use crate::standins::server::{Request, Response, Server, Site};

/// Values a page: fewer than there, so that every answer of some length has several.
const PAGE: usize = 4;

/// The stand-in.
#[derive(Debug, Clone)]
pub struct CloudWatch {
    /// Who may ask.
    pub signer: Signer,
    /// Of the namespace `Shop`.
    pub metrics: Vec<Metric>,
    /// What it was asked.
    pub journal: Journal,
}

/// A query as meant.
struct Asked {
    id: String,
    label: String,
    period: i64,
    value: Option<f64>,
}

impl CloudWatch {
    /// Starts it on a free port.
    pub fn start(&self) -> std::io::Result<Server> {
        Server::start(0, std::sync::Arc::new(self.clone()))
    }

    fn data(&self, request: &Request) -> Result<Value, (u16, &'static str, String)> {
        self.signer.verify(request).map_err(|(kind, why)| (403, kind, why))?;
        let target = request.header("x-amz-target").unwrap_or_default();
        if target != "GraniteServiceVersion20100801.GetMetricData" {
            return Err((400, "UnknownOperationException", format!("unknown: `{target}`")));
        }
        if request.header("content-type") != Some("application/x-amz-json-1.0") {
            return Err((400, "SerializationException", "the content type is another".to_owned()));
        }
        let body = request.json();
        let invalid = |why: String| (400, "com.amazonaws.cloudwatch#ValidationError", why);
        let time = |key: &str| {
            let seconds = body[key].as_i64().filter(|at| (0..100_000_000_000).contains(at));
            seconds.ok_or_else(|| invalid(format!("The parameter {key} is required.")))
        };
        let (start, end) = (time("StartTime")?, time("EndTime")?);
        if start >= end {
            let why = "The parameter StartTime must be less than the parameter EndTime.";
            return Err(invalid(why.to_owned()));
        }
        let queries = body["MetricDataQueries"].as_array().filter(|all| !all.is_empty());
        let queries = queries
            .ok_or_else(|| invalid("The parameter MetricDataQueries is required.".to_owned()))?;
        let mut asked = Vec::new();
        for query in queries {
            asked.extend(self.meant(query).map_err(invalid)?);
        }
        let token = Some(&body["NextToken"]).filter(|token| !token.is_null());
        let first =
            token.map_or(Some(0), |token| token.as_str()?.strip_prefix("from-")?.parse().ok());
        let first = first
            .ok_or_else(|| invalid("The value for parameter NextToken is invalid".to_owned()))?;
        let is_ascending = body["ScanBy"] == "TimestampAscending";
        Ok(page(&asked, (start, end), first, is_ascending))
    }

    /// An unknown metric has no values, which is no error.
    fn meant(&self, query: &Value) -> Result<Vec<Asked>, String> {
        let id = query["Id"].as_str().unwrap_or_default().to_owned();
        if !id.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(format!("The value {id} for parameter Id is invalid"));
        }
        let (stat, expression) = (&query["MetricStat"], query["Expression"].as_str());
        let (name, period) = match (stat.is_object(), expression) {
            (true, None) => {
                if stat["Metric"]["Namespace"] != "Shop" || !stat["Stat"].is_string() {
                    return Err("MetricStat: Namespace and Stat are required".to_owned());
                }
                (stat["Metric"]["MetricName"].as_str().unwrap_or_default(), &stat["Period"])
            }
            (false, Some(text)) => (selected(&id, text)?, &query["Period"]),
            (true, Some(_)) | (false, None) => {
                return Err("either MetricStat or Expression is required".to_owned());
            }
        };
        let period =
            period.as_i64().filter(|p| [1, 5, 10, 30].contains(p) || (*p > 0 && p % 60 == 0));
        let period = period.ok_or("Period must be 1, 5, 10, 30 or a multiple of 60")?;
        let known =
            find(&self.metrics, name).map(|metric| metric.of.as_slice()).unwrap_or_default();
        Ok(known
            .iter()
            .map(|(host, value)| Asked {
                id: id.clone(),
                label: format!("{host} {name}"),
                period,
                value: *value,
            })
            .chain(known.is_empty().then(|| Asked {
                id: id.clone(),
                label: name.to_owned(),
                period,
                value: None,
            }))
            .collect())
    }
}

/// Metrics Insights, as far as one metric: `SELECT AVG(cpu) FROM "Shop"`.
fn selected<'q>(id: &str, text: &'q str) -> Result<&'q str, String> {
    let grammar = Regex::new(
        r#"^SELECT (?:AVG|SUM|MIN|MAX|COUNT)\((\w+)\) FROM (?:"Shop"|SCHEMA\("Shop", \w+\))(?: GROUP BY \w+)?$"#,
    );
    let found = grammar.expect("a good pattern").captures(text).and_then(|found| found.get(1));
    found
        .map(|found| found.as_str())
        .ok_or_else(|| format!("Error in expression '{id}': Syntax error"))
}

fn page(all: &[Asked], (start, end): (i64, i64), first: usize, is_ascending: bool) -> Value {
    let mut has_more = false;
    let results: Vec<Value> = all
        .iter()
        .map(|asked| {
            let now = now_ms() / 1000;
            let starts = buckets(start, end.min(now + 1), asked.period);
            // A bucket is of the window when its start is.
            let inside = starts.into_iter().filter(|at| start <= *at);
            let mut points: Vec<(i64, f64)> = asked
                .value
                .map(|value| {
                    let of = |at: i64| if at + asked.period <= now { value } else { NONSENSE };
                    inside.map(|at| (at, of(at))).collect()
                })
                .unwrap_or_default();
            if !is_ascending {
                points.reverse();
            }
            let is_partial = points.len() > first + PAGE;
            has_more |= is_partial;
            let here: Vec<(i64, f64)> = points.into_iter().skip(first).take(PAGE).collect();
            json!({
                "Id": asked.id, "Label": asked.label,
                "StatusCode": if is_partial { "PartialData" } else { "Complete" },
                "Timestamps": here.iter().map(|(at, _)| at).collect::<Vec<_>>(),
                "Values": here.iter().map(|(_, value)| value).collect::<Vec<_>>(),
            })
        })
        .collect();
    let mut body = json!({ "MetricDataResults": results, "Messages": [] });
    if has_more {
        body["NextToken"] = json!(format!("from-{}", first + PAGE));
    }
    body
}

#[async_trait::async_trait]
impl Site for CloudWatch {
    async fn answer(&self, request: Request) -> Response {
        let asked = request.json()["MetricDataQueries"].to_string();
        let response = match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/") => match self.data(&request) {
                Ok(body) => Response::json(200, &body),
                Err((status, kind, message)) => {
                    Response::json(status, &json!({ "__type": kind, "message": message }))
                }
            },
            _ => Response::json(404, &json!({ "__type": "UnknownOperationException" })),
        };
        self.journal.note(&asked, response)
    }
}
