//! Wavefront's chart API, faithful in what clients trip over: seconds in answers and milliseconds
//! in requests, no `timeseries` key where nothing matched, a failed query inside a 200.

mod query;
mod series;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::server::{Request, Response, Server, Site};
pub use series::{Feed, Series};

/// How the API answers; can be changed while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// As it should.
    #[default]
    Right,
    /// Nothing matches any query.
    NoSeries,
    /// Series without a point.
    EmptyData,
    /// Series whose points are null.
    Nulls,
    /// A failed query: 200 with `errorType`.
    QueryFails,
    /// 429, with Wavefront's text.
    Throttled,
    /// 503.
    Down,
}

impl Behaviour {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "right" => Self::Right,
            "no-series" => Self::NoSeries,
            "empty-data" => Self::EmptyData,
            "nulls" => Self::Nulls,
            "query-fails" => Self::QueryFails,
            "throttled" => Self::Throttled,
            "down" => Self::Down,
            _ => return None,
        })
    }
}

#[derive(Debug, Default)]
struct State {
    behaviour: Behaviour,
    series: Vec<Series>,
    asked: Vec<String>,
}

/// The stand-in.
#[derive(Debug, Clone, Default)]
pub struct Wavefront {
    token: String,
    state: Arc<Mutex<State>>,
}

impl Wavefront {
    /// Starts the API; port 0 takes a free one. Only `token` may ask.
    pub fn start(port: u16, token: &str, series: Vec<Series>) -> std::io::Result<(Self, Server)> {
        let state = State { series, ..State::default() };
        let wavefront = Self { token: token.to_owned(), state: Arc::new(Mutex::new(state)) };
        let server = Server::start(port, Arc::new(wavefront.clone()))?;
        Ok((wavefront, server))
    }

    /// Changes how it answers.
    pub fn behave(&self, behaviour: Behaviour) {
        self.state().behaviour = behaviour;
    }

    /// Queries so far, as asked.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dial(&self, request: &Request) -> Response {
        let wanted = request.json();
        match wanted["behaviour"].as_str().map(Behaviour::parse) {
            Some(Some(behaviour)) => {
                self.behave(behaviour);
                Response::json(200, &wanted)
            }
            Some(None) | None => error(400, "no such behaviour"),
        }
    }

    fn chart(&self, request: &Request) -> Response {
        if request.header("authorization") != Some(&format!("Bearer {}", self.token)) {
            return error(401, "Unauthorized");
        }
        let asked = match Asked::parse(request) {
            Ok(asked) => asked,
            Err(message) => return error(400, &message),
        };
        let mut state = self.state();
        state.asked.push(asked.query.clone());
        match state.behaviour {
            Behaviour::Throttled => Response::text(429, "Customer concurrent query limit exceeded"),
            Behaviour::Down => error(503, "Service Unavailable"),
            Behaviour::QueryFails => failed_query("the query could not be executed"),
            Behaviour::NoSeries => nothing(&asked),
            behaviour @ (Behaviour::Right | Behaviour::EmptyData | Behaviour::Nulls) => {
                match query::Query::parse(&asked.query) {
                    Ok(query) => answer(&asked, &query.apply(&state.series), behaviour),
                    Err(message) => failed_query(&message),
                }
            }
        }
    }
}

#[async_trait::async_trait]
impl Site for Wavefront {
    async fn answer(&self, request: Request) -> Response {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/api/v2/chart/api") => self.chart(&request),
            ("PUT", "/dial") => self.dial(&request),
            _ => error(404, "HTTP 404 Not Found"),
        }
    }
}

/// A chart request as meant.
struct Asked {
    query: String,
    name: String,
    start: u64,
    end: u64,
    granularity: u64,
    summarization: String,
    /// `i`: also a series whose points all lie outside the window.
    outside: bool,
    strict: bool,
}

impl Asked {
    fn parse(request: &Request) -> Result<Self, String> {
        let must = |name: &str| {
            request.parameter(name).ok_or(format!("query parameter `{name}` is required"))
        };
        let milliseconds = |name: &str, text: &str| {
            text.parse::<u64>().map_err(|_| format!("`{name}` is no time in milliseconds: {text}"))
        };
        let granularity = match must("g")? {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86400,
            other => return Err(format!("unknown granularity: {other}")),
        };
        let flag = |name: &str, default: bool| {
            request.parameter(name).map_or(default, |value| value == "true")
        };
        let end = request.parameter("e").map(|text| milliseconds("e", text)).transpose()?;
        Ok(Self {
            query: must("q")?.to_owned(),
            name: request
                .parameter("n")
                .unwrap_or_else(|| must("q").unwrap_or_default())
                .to_owned(),
            start: milliseconds("s", must("s")?)?,
            end: end.unwrap_or_else(|| now() * 1000),
            granularity,
            summarization: request.parameter("summarization").unwrap_or("MEAN").to_owned(),
            outside: flag("i", true),
            strict: flag("strict", false),
        })
    }

    /// First second and the one after the last; without `strict` the buckets at both ends count whole.
    fn seconds(&self) -> (u64, u64) {
        let (start, end) = (self.start.div_ceil(1000), self.end.div_ceil(1000));
        if self.strict {
            return (start, end);
        }
        let step = self.granularity;
        (start / step * step, end.div_ceil(step) * step + step)
    }
}

fn answer(asked: &Asked, matching: &[Series], behaviour: Behaviour) -> Response {
    let (start, end) = asked.seconds();
    let mut series = Vec::new();
    let mut n_points = 0;
    for one in matching {
        let mut points = one.points(start, end.min(now() + 1));
        if points.is_empty() && asked.outside {
            points = one.last_before(start).into_iter().collect();
        }
        if points.is_empty() {
            continue;
        }
        let points = series::summarized(&points, asked.granularity, &asked.summarization);
        n_points += points.len();
        let data = match behaviour {
            Behaviour::EmptyData => json!([]),
            Behaviour::Nulls => points.iter().map(|(at, _)| json!([at, null])).collect(),
            Behaviour::Right
            | Behaviour::NoSeries
            | Behaviour::QueryFails
            | Behaviour::Throttled
            | Behaviour::Down => points.iter().map(|(at, value)| json!([at, value])).collect(),
        };
        series
            .push(json!({ "label": one.metric, "host": one.host, "tags": one.tags, "data": data }));
    }
    if series.is_empty() {
        return nothing(asked);
    }
    let mut body = head(asked);
    body.insert(
        "stats".to_owned(),
        json!({ "keys": series.len(), "points": n_points, "latency": 3 }),
    );
    body.insert(
        "hostsUsed".to_owned(),
        json!(matching.iter().map(|one| &one.host).collect::<Vec<_>>()),
    );
    body.insert("timeseries".to_owned(), Value::Array(series));
    Response::json(200, &Value::Object(body))
}

fn head(asked: &Asked) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("query".to_owned(), json!(asked.query));
    body.insert("name".to_owned(), json!(asked.name));
    body.insert("granularity".to_owned(), json!(asked.granularity));
    body
}

/// Nothing matched: no `timeseries` key at all, a text instead.
fn nothing(asked: &Asked) -> Response {
    let mut body = head(asked);
    body.insert("warnings".to_owned(), json!("No metrics matching the query"));
    body.insert("stats".to_owned(), json!({ "keys": 0, "points": 0, "latency": 1 }));
    Response::json(200, &Value::Object(body))
}

fn failed_query(message: &str) -> Response {
    Response::json(200, &json!({ "errorType": "QueryExecutionFailed", "errorMessage": message }))
}

fn error(code: u16, message: &str) -> Response {
    Response::json(
        code,
        &json!({ "status": { "result": "ERROR", "message": message, "code": code } }),
    )
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
