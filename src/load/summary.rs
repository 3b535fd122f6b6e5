//! What a run found: the fields of `load.json`. Times in milliseconds, rates per second.

use serde::{Deserialize, Serialize};

use crate::load::limit::LimitResult;
use crate::outcome::Outcome;
use crate::verdict::Verdict;

/// The result of a run; serialises to `load.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// `dyno.load/1`.
    pub schema: String,
    /// `load`.
    pub tool: String,
    /// The judgement.
    pub verdict: Verdict,
    /// Why it is not better, and what should be known beside it.
    pub reasons: Vec<String>,
    /// The plan's name.
    pub plan: String,
    /// Where the load went.
    pub target: String,
    /// True when the run was ended before its time.
    pub interrupted: bool,
    /// True when not one connection to the target could be made.
    pub unreachable: bool,
    /// The whole run, from the first start to the last answer.
    pub window: Window,
    /// The part that limits are judged on: after the ramp.
    pub steady: Steady,
    /// Counts over the whole run.
    pub requests: Requests,
    /// How many rounds of journeys were finished.
    #[serde(default)]
    pub rounds: u64,
    /// Response time from the meant start, over the whole run.
    pub latency: Latency,
    /// From the write of the request to the last byte of the answer.
    pub service_time: Latency,
    /// From the write of the request to the answer's head.
    pub first_byte: Latency,
    /// What it took to connect.
    #[serde(default)]
    pub connections: Connections,
    /// What each endpoint did, in order of first use.
    pub endpoints: Vec<Endpoint>,
    /// How often each check held and failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckCount>,
    /// What each stage did, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageSummary>,
    /// What a preset was looking for.
    #[serde(default, skip_serializing_if = "Found::is_empty")]
    pub found: Found,
    /// What a regression test found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// Every kind of failure, most frequent first.
    pub errors: Vec<ErrorCount>,
    /// What the generator itself did.
    pub generator: Generator,
    /// Each limit with its result.
    pub limits: Vec<LimitResult>,
    /// The course of the run; at most some hundred points.
    pub series: Vec<Point>,
}

impl Summary {
    /// The schema's name and version.
    pub const SCHEMA: &'static str = "dyno.load/1";

    /// Returns how `dyno load` ends.
    pub fn outcome(&self) -> Outcome {
        if self.interrupted {
            Outcome::Interrupted
        } else if self.unreachable {
            Outcome::Unreachable
        } else {
            Outcome::from(self.verdict)
        }
    }
}

/// A span on the calendar, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Window {
    /// The first moment.
    pub start: i64,
    /// The last moment.
    pub end: i64,
}

/// The steady phase: all users run, nothing ramps.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Steady {
    /// The first moment, in milliseconds since 1970.
    pub start: i64,
    /// The last moment.
    pub end: i64,
    /// Counts within it.
    pub requests: Requests,
    /// Response time from the meant start.
    pub latency: Latency,
    /// From the write to the last byte.
    pub service_time: Latency,
    /// From the write to the answer's head.
    pub first_byte: Latency,
}

/// How many requests.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Requests {
    /// All that were made.
    pub count: u64,
    /// Those that failed.
    pub failed: u64,
    /// How many a second.
    pub rate: f64,
}

impl Requests {
    /// Returns the failed share, 0 to 1; 0 without requests.
    pub fn failed_share(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            crate::unit::float(self.failed) / crate::unit::float(self.count)
        }
    }
}

/// Percentiles of an exact merged histogram, in milliseconds; all zero without samples.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// The smallest.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// Half are below.
    pub p50: f64,
    /// 90 % are below.
    pub p90: f64,
    /// 95 % are below.
    pub p95: f64,
    /// 99 % are below.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

/// What it took to connect; part of the response time of whatever had to wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Connections {
    /// How many were made.
    pub count: u64,
    /// Looking up the names of the targets, once before the run.
    pub dns: Latency,
    /// From the first packet to the connection.
    pub connect: Latency,
    /// From the connection to the end of TLS's handshake.
    pub tls: Latency,
}

/// What one endpoint did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `GET /products/{id}`.
    pub name: String,
    /// Counts over the whole run.
    pub requests: Requests,
    /// Response time from the meant start, over the whole run.
    pub latency: Latency,
    /// From the write to the last byte.
    pub service_time: Latency,
    /// From the write to the answer's head.
    pub first_byte: Latency,
    /// What it took to connect, where its requests did.
    #[serde(default)]
    pub connections: Connections,
    /// Bytes on the wire, heads left out.
    pub bytes: Bytes,
    /// Every kind of failure, most frequent first.
    pub errors: Vec<ErrorCount>,
}

/// How often a check held and failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckCount {
    /// The endpoint whose answers it looks at.
    pub endpoint: String,
    /// Its name.
    pub name: String,
    /// How often it held.
    pub passes: u64,
    /// How often it failed.
    pub fails: u64,
}

/// What one stage did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageSummary {
    /// Its name; empty for a ramp.
    pub name: String,
    /// The first moment, in milliseconds since 1970.
    pub start: i64,
    /// The last moment.
    pub end: i64,
    /// The level at its start: users, or arrivals a second.
    pub from: f64,
    /// The level at its end.
    pub to: f64,
    /// Counts within it.
    pub requests: Requests,
    /// Response time from the meant start.
    pub latency: Latency,
    /// Arrivals that found no free user.
    pub dropped: u64,
}

/// What a preset was looking for.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Found {
    /// The highest level that was good, in arrivals a second or in users; 0 when none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<f64>,
    /// Requests a second at that level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_requests: Option<f64>,
    /// How long after a spike the target needed to be as before, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<f64>,
    /// By which share p95 grew over a soak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<f64>,
}

impl Found {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The target beside its baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Where the baseline is.
    pub baseline: String,
    /// How sure bounds and verdicts are, as a share.
    pub confidence: f64,
    /// What was asked of the baseline.
    pub requests: Requests,
    /// Its response times, over the whole run.
    pub latency: Latency,
    /// What was compared.
    pub compared: Vec<Compared>,
}

/// One thing that was compared. Changes are shares of the baseline's value, of errors shares of the
/// requests; above zero the target is worse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// `p95 at most 5% above the baseline`.
    pub name: String,
    /// The judgement.
    pub verdict: Verdict,
    /// The mean change; none with too few pairs.
    pub change: Option<f64>,
    /// The true change is above this.
    pub low: Option<f64>,
    /// The true change is below this.
    pub high: Option<f64>,
    /// The smallest change that could have been seen.
    pub smallest: Option<f64>,
    /// How likely such a change is by chance.
    pub p: Option<f64>,
    /// The values of each pair of blocks: the baseline's, the target's.
    pub pairs: Vec<[f64; 2]>,
}

/// Bytes of bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bytes {
    /// Sent.
    pub sent: u64,
    /// Received.
    pub received: u64,
}

/// One kind of failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCount {
    /// What went wrong: `connection refused by 127.0.0.1:81`, `status 503`.
    pub text: String,
    /// How often.
    pub count: u64,
}

/// What the generator itself did: whether it was the limit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Generator {
    /// CPU time of the worker, in seconds.
    pub cpu_seconds: f64,
    /// The busiest thread's share of one core in the steady phase, 0 to 1.
    pub cpu_share: f64,
    /// How many threads generated.
    pub threads: u32,
    /// Arrivals that found no free user.
    pub dropped: u64,
    /// Starts more than 10 ms, and after a pause more than a twentieth of it, behind their moment.
    pub late: u64,
    /// Steps left out because an earlier one had not given what they need.
    pub skipped: u64,
    /// How far arrivals started behind their meant moments: what the generator itself adds.
    #[serde(default)]
    pub lag: Latency,
}

/// A point of the run's course.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Its start, in milliseconds since 1970.
    pub start: i64,
    /// Its length in milliseconds.
    pub span: u64,
    /// Users at its end.
    pub users: u32,
    /// Requests a second.
    pub rate: f64,
    /// Failed requests.
    pub failed: u64,
    /// Median response time.
    pub p50: f64,
    /// 95 % of the response times are below.
    pub p95: f64,
    /// From the write to the answer's head; none where no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Middle>,
    /// How its requests came to their connections.
    #[serde(default)]
    pub connections: Links,
}

/// The middle and the upper end of some spans, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Middle {
    /// Half are below.
    pub p50: f64,
    /// 95 % are below.
    pub p95: f64,
}

/// How the requests of a point came to their connections.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Links {
    /// Connections made.
    pub opened: u64,
    /// Requests sent without making one.
    pub reused: u64,
    /// Requests that got none.
    pub failed: u64,
    /// From the first packet to the connection; none where none was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Middle>,
    /// From the connection to the end of TLS's handshake; none where none was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Middle>,
}
