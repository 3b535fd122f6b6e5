//! What a run tells while it goes on.

use serde::{Deserialize, Serialize};

use crate::load::summary::Summary;
use crate::load::trace::Traced;

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The worker is there and the load begins.
    Started {
        /// The plan's name.
        plan: String,
        /// Where the load goes.
        target: String,
        /// The load in words: `250 users, 25/s, for 1m`.
        load: String,
        /// How many threads generate.
        threads: u32,
        /// When, in milliseconds since 1970.
        at: i64,
    },
    /// Another phase begins.
    Phase(Phase),
    /// Another stage begins; its name, empty for a ramp. Only where there are several.
    Stage(String),
    /// The last second, for a live view.
    Progress(Progress),
    /// What a job log shows: the last 5 s, or 30 s after 5 minutes; its percentiles are its own.
    Interval(Progress),
    /// What each endpoint did in the last seconds, for sinks; it goes no further.
    Endpoints(Box<EndpointsProgress>),
    /// Something of a walk through the plan.
    Traced(Box<Traced>),
    /// Something the user should know.
    Warning(String),
    /// The end.
    Finished(Box<Summary>),
}

/// The phases of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Users are starting.
    Ramp,
    /// All users run: what limits are judged on.
    Steady,
    /// Nothing new starts; the last answers are waited for.
    Drain,
}

/// A stretch of the run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Since the start, in milliseconds.
    pub elapsed: u64,
    /// How long the run is to last, in milliseconds.
    pub duration: u64,
    /// Users running at its end.
    pub users: u32,
    /// Requests of this stretch.
    pub count: u64,
    /// Failed ones of this stretch.
    pub failed: u64,
    /// Requests a second in this stretch.
    pub rate: f64,
    /// Median response time of this stretch, in milliseconds.
    pub p50: f64,
    /// 95 % of the response times of this stretch are below, in milliseconds.
    pub p95: f64,
    /// Requests since the start.
    pub total: u64,
    /// Failed ones since the start.
    pub total_failed: u64,
}

/// What the endpoints did in the last seconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EndpointsProgress {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Users running then.
    pub users: u32,
    /// All endpoints together.
    pub all: EndpointProgress,
    /// Each of them.
    pub endpoints: Vec<EndpointProgress>,
}

/// What an endpoint did. Times in milliseconds, of the last seconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EndpointProgress {
    /// Its name.
    pub name: String,
    /// Requests since the start.
    pub total: u64,
    /// Failed ones since the start.
    pub failed: u64,
    /// Requests a second.
    pub rate: f64,
    /// Median response time from the meant start.
    pub p50: f64,
    /// 95 % are below.
    pub p95: f64,
    /// 99 % are below.
    pub p99: f64,
}
