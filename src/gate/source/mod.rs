//! Metric sources: a trait, a file for each kind, one `match` in `connect`.

mod error;
mod exchange;
mod prometheus;
mod wavefront;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use error::{Error, told};

use super::series::{Answer, Query, Window};
use crate::secret::Secret;

/// The longest that one question takes, all tries in.
pub const LONGEST: std::time::Duration = exchange::Patience::LIVE.in_all;

/// The kinds of sources there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Wavefront, later Tanzu Observability and Aria Operations for Applications.
    Wavefront,
    /// Prometheus and what speaks its API.
    Prometheus,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wavefront => "wavefront",
            Self::Prometheus => "prometheus",
        })
    }
}

/// A source as meant.
#[derive(Debug, Clone, PartialEq)]
pub enum Spec {
    /// The chart API of Wavefront.
    Wavefront {
        /// `https://example.wavefront.com`
        url: String,
        /// API token.
        token: Option<Secret>,
        /// Certificates to trust beside the system's.
        ca_file: Option<PathBuf>,
    },
    /// The query API of Prometheus, Thanos, Mimir, `VictoriaMetrics` …
    Prometheus {
        /// Base URL: what stands before `/api/v1`.
        url: String,
        /// Bearer token.
        token: Option<Secret>,
        /// User and password.
        basic: Option<(String, Secret)>,
        /// Further headers: `X-Scope-OrgID`.
        headers: BTreeMap<String, Secret>,
        /// Certificates to trust beside the system's.
        ca_file: Option<PathBuf>,
    },
}

impl Spec {
    /// Lets the job's own token stand where the policy gives none; a token in the policy wins.
    #[must_use]
    pub fn or_token(mut self, own: Option<&Secret>) -> Self {
        match &mut self {
            Self::Wavefront { token, .. } => *token = token.take().or_else(|| own.cloned()),
            Self::Prometheus { token, basic, .. } => {
                if basic.is_none() {
                    *token = token.take().or_else(|| own.cloned());
                }
            }
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

    /// Asks. No series is an answer, too; what the source says of its own failure is an error.
    async fn query(&self, query: &Query) -> Result<Answer, Error>;
}

/// Makes a source ready to be asked; sends nothing.
pub fn connect(spec: &Spec) -> Result<Box<dyn MetricSource>, Error> {
    Ok(match spec {
        Spec::Wavefront { url, token, ca_file } => {
            Box::new(wavefront::Wavefront::new(url, token.clone(), ca_file.as_deref())?)
        }
        Spec::Prometheus { url, token, basic, headers, ca_file } => {
            let credentials = prometheus::Credentials {
                token: token.clone(),
                basic: basic.clone(),
                headers: headers.clone(),
            };
            Box::new(prometheus::Prometheus::new(url, credentials, ca_file.as_deref())?)
        }
    })
}

/// Asks a source something harmless: can it be reached, is the token good? Returns what it said.
pub async fn probe(spec: &Spec) -> Result<String, Error> {
    let source = connect(spec)?;
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let text = match source.kind() {
        Kind::Wavefront => "ts(\"~sample.cpu.usage.user.percentage\")",
        Kind::Prometheus => "vector(1)",
    };
    let query = Query {
        text: text.to_owned(),
        window: Window { start_ms: now_ms - 60_000, end_ms: now_ms },
        step: std::time::Duration::from_secs(15),
    };
    let answer = source.query(&query).await?;
    Ok(answer.status)
}

#[cfg(test)]
mod tests;
