//! Metric sources: a trait, a file for each kind, one `match` in `connect`.

mod error;
mod auth;
mod sigv4;
mod ask;
mod exchange;
mod place;
mod wavefront;
mod prometheus;
mod influx1;
mod influx2;
mod graphite;
mod datadog;
mod cloudwatch;
mod newrelic;
mod dynatrace;
mod json;
mod selector;
mod recorded;
mod exposition;
mod pods;
mod sample;
mod bucket;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use auth::{Auth, Grant, GrantKind, Key};
pub use bucket::{Bucket, Last, Wrote};
pub use error::{Error, told};
pub use json::{Clock, Path, Shape};
pub use pods::read as read_pod_metrics;
pub use recorded::{LOAD, Recorded, Recording};
pub use sample::{Sample, Sampler, Scrape, Watched, watch};
pub use sigv4::Signer;

use self::ask::{Api, Asked};
use self::exchange::{Exchange, Patience};
use super::series::{Answer, Query, Window};
use crate::secret::Secret;

/// The longest that one question takes, all tries in.
pub const LONGEST: Duration = Patience::LIVE.in_all;

/// The kinds of sources there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Wavefront, later Tanzu Observability and Aria Operations for Applications.
    Wavefront,
    /// Prometheus and what speaks its API.
    Prometheus,
    /// `InfluxDB` 1, in `InfluxQL`.
    Influx1,
    /// `InfluxDB` 2, in Flux.
    Influx2,
    /// Graphite.
    Graphite,
    /// Datadog.
    Datadog,
    /// Amazon `CloudWatch`.
    CloudWatch,
    /// New Relic.
    NewRelic,
    /// Dynatrace.
    Dynatrace,
    /// Any API of JSON.
    Json,
    /// A page of metrics, sampled while the load runs.
    OpenMetrics,
    /// `metrics.k8s.io`, sampled while the load runs.
    Pods,
    /// What the load itself measured.
    Load,
}

impl Kind {
    /// Every kind, for tests that hold all of them to the same.
    #[cfg(test)]
    pub const ASKED: [Self; 10] = [
        Self::Wavefront,
        Self::Prometheus,
        Self::Influx1,
        Self::Influx2,
        Self::Graphite,
        Self::Datadog,
        Self::CloudWatch,
        Self::NewRelic,
        Self::Dynatrace,
        Self::Json,
    ];

    /// True for sources that have no history: they are sampled while the load runs.
    pub fn is_sampled(self) -> bool {
        matches!(self, Self::OpenMetrics | Self::Pods)
    }

    /// Returns how long after the window's end data may still come in.
    pub fn settle(self) -> Duration {
        match self {
            Self::CloudWatch => Duration::from_mins(10),
            Self::Datadog | Self::NewRelic | Self::Dynatrace => Duration::from_mins(5),
            Self::OpenMetrics | Self::Pods | Self::Load => Duration::ZERO,
            Self::Wavefront
            | Self::Prometheus
            | Self::Influx1
            | Self::Influx2
            | Self::Graphite
            | Self::Json => Duration::from_mins(2),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Wavefront => "wavefront",
            Self::Prometheus => "prometheus",
            Self::Influx1 => "influxdb1",
            Self::Influx2 => "influxdb2",
            Self::Graphite => "graphite",
            Self::Datadog => "datadog",
            Self::CloudWatch => "cloudwatch",
            Self::NewRelic => "newrelic",
            Self::Dynatrace => "dynatrace",
            Self::Json => "json",
            Self::OpenMetrics => "openmetrics",
            Self::Pods => "pod-metrics",
            Self::Load => LOAD,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A source as meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// What is spoken, with what only that kind needs.
    pub dialect: Dialect,
    /// Base URL; for Prometheus what stands before `/api/v1`.
    pub url: String,
    /// How it knows who asks.
    pub auth: Auth,
    /// Further headers: `X-Scope-OrgID`.
    pub headers: BTreeMap<String, Secret>,
    /// Certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// What a source speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialect {
    /// The chart API of Wavefront.
    Wavefront,
    /// The query API of Prometheus, Thanos, Mimir, `VictoriaMetrics` …
    Prometheus,
    /// `InfluxQL`.
    Influx1 {
        /// The database.
        database: String,
    },
    /// Flux.
    Influx2 {
        /// The organisation.
        org: String,
    },
    /// Graphite's render API.
    Graphite,
    /// Datadog's query API.
    Datadog,
    /// `GetMetricData`.
    CloudWatch,
    /// NRQL.
    NewRelic {
        /// The account's number.
        account: u64,
    },
    /// Dynatrace's metrics API.
    Dynatrace,
    /// JSON over HTTP.
    Json(Box<Shape>),
    /// A page of metrics.
    OpenMetrics,
    /// `metrics.k8s.io` of a cluster of the policy.
    Pods {
        /// The cluster's name in the policy.
        cluster: String,
        /// The namespaces that may be looked at.
        namespaces: Vec<String>,
    },
}

impl Dialect {
    /// Returns the kind of source.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Wavefront => Kind::Wavefront,
            Self::Prometheus => Kind::Prometheus,
            Self::Influx1 { .. } => Kind::Influx1,
            Self::Influx2 { .. } => Kind::Influx2,
            Self::Graphite => Kind::Graphite,
            Self::Datadog => Kind::Datadog,
            Self::CloudWatch => Kind::CloudWatch,
            Self::NewRelic { .. } => Kind::NewRelic,
            Self::Dynatrace => Kind::Dynatrace,
            Self::Json(_) => Kind::Json,
            Self::OpenMetrics => Kind::OpenMetrics,
            Self::Pods { .. } => Kind::Pods,
        }
    }

    /// Returns the header that a single token of such a source goes into, and what stands before it;
    /// `None` where one token is not enough.
    pub fn token_header(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Wavefront
            | Self::Prometheus
            | Self::Graphite
            | Self::Json(_)
            | Self::OpenMetrics => Some(("authorization", "Bearer ")),
            Self::Influx1 { .. } | Self::Influx2 { .. } => Some(("authorization", "Token ")),
            Self::Dynatrace => Some(("authorization", "Api-Token ")),
            Self::NewRelic { .. } => Some(("api-key", "")),
            Self::Datadog | Self::CloudWatch | Self::Pods { .. } => None,
        }
    }

    /// Returns something harmless to ask.
    fn probe(&self) -> &'static str {
        match self {
            Self::Wavefront => "ts(\"~sample.cpu.usage.user.percentage\")",
            Self::Prometheus => "vector(1)",
            Self::Influx1 { .. } => "SELECT * FROM dyno_probe WHERE {{ window }} LIMIT 1",
            Self::Influx2 { .. } => {
                "import \"array\"\n// v.timeRangeStart\narray.from(rows: [{_time: now(), _value: 1.0}])"
            }
            Self::Graphite => "constantLine(1)",
            Self::Datadog => "avg:system.load.1{*}",
            Self::CloudWatch => "SELECT COUNT(CPUUtilization) FROM \"AWS/EC2\"",
            Self::NewRelic { .. } => "SELECT count(*) FROM Transaction",
            Self::Dynatrace => "builtin:host.cpu.usage:avg",
            Self::Json(_) => "?{{ window }}",
            Self::OpenMetrics | Self::Pods { .. } => "",
        }
    }

    fn api(&self) -> Option<Box<dyn Api>> {
        Some(match self {
            Self::Wavefront => Box::new(wavefront::Wavefront),
            Self::Prometheus => Box::new(prometheus::Prometheus),
            Self::Influx1 { database } => Box::new(influx1::Influx1 { database: database.clone() }),
            Self::Influx2 { org } => Box::new(influx2::Influx2 { org: org.clone() }),
            Self::Graphite => Box::new(graphite::Graphite),
            Self::Datadog => Box::new(datadog::Datadog),
            Self::CloudWatch => Box::new(cloudwatch::CloudWatch),
            Self::NewRelic { account } => Box::new(newrelic::NewRelic { account: *account }),
            Self::Dynatrace => Box::new(dynatrace::Dynatrace),
            Self::Json(shape) => Box::new(json::Json { shape: (**shape).clone() }),
            Self::OpenMetrics | Self::Pods { .. } => return None,
        })
    }
}

impl Spec {
    /// Lets the job's own token stand where the policy gives none; a token in the policy wins.
    #[must_use]
    pub fn or_token(mut self, own: Option<&Secret>) -> Self {
        if let (Auth::None, Some((header, prefix)), Some(own)) =
            (&self.auth, self.dialect.token_header(), own)
        {
            self.auth = Auth::Keys(vec![Key { header, prefix, secret: own.clone() }]);
        }
        self
    }
}

/// A source that can be asked.
#[async_trait]
pub trait MetricSource: Send + Sync {
    /// Returns what kind of source it is.
    fn kind(&self) -> Kind;

    /// Returns where a query goes, for people; holds no token.
    fn url(&self, query: &Query) -> String;

    /// Returns where a person can look at the query, if there is such a page.
    fn link(&self, _query: &Query) -> Option<String> {
        None
    }

    /// Asks. No series is an answer, too; what the source says of its own failure is an error.
    async fn query(&self, query: &Query) -> Result<Answer, Error>;
}

/// Makes a source ready to be asked; sends nothing.
pub fn connect(spec: &Spec) -> Result<Box<dyn MetricSource>, Error> {
    connect_with(spec, Patience::LIVE)
}

/// The same with other limits.
fn connect_with(spec: &Spec, patience: Patience) -> Result<Box<dyn MetricSource>, Error> {
    let Some(api) = spec.dialect.api() else {
        return Err(Error::Spec {
            what: "kind".to_owned(),
            why: "it has no history: it is sampled while the load runs".to_owned(),
        });
    };
    Ok(Box::new(Asked { exchange: Exchange::new(spec, patience)?, api }))
}

/// Asks a source something harmless: can it be reached, is the token good? Returns what it said.
pub async fn probe(spec: &Spec) -> Result<String, Error> {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    match &spec.dialect {
        Dialect::OpenMetrics => {
            let series = Scrape::new(spec)?.sample().await?;
            return Ok(format!("200 OK, {} series", series.len()));
        }
        Dialect::Pods { cluster, .. } => return Ok(format!("asked through cluster `{cluster}`")),
        Dialect::Wavefront
        | Dialect::Prometheus
        | Dialect::Influx1 { .. }
        | Dialect::Influx2 { .. }
        | Dialect::Graphite
        | Dialect::Datadog
        | Dialect::CloudWatch
        | Dialect::NewRelic { .. }
        | Dialect::Dynatrace
        | Dialect::Json(_) => {}
    }
    let query = Query {
        text: spec.dialect.probe().to_owned(),
        window: Window { start_ms: now_ms - 60_000, end_ms: now_ms },
        step: Duration::from_secs(15),
    };
    Ok(connect(spec)?.query(&query).await?.status)
}

#[cfg(test)]
mod tests;
