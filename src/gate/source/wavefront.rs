//! Wavefront's chart API.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Url;
use serde::Deserialize;

use super::exchange::{Exchange, Patience, Reply, shown};
use super::{Error, Kind, MetricSource};
use crate::gate::series::{Answer, Point, Query, Series, millis};
use crate::secret::Secret;

/// Windows up to this are asked for by the second, longer ones by the minute.
const BY_SECOND: Duration = Duration::from_hours(2);

/// A Wavefront instance.
pub struct Wavefront {
    exchange: Exchange,
    token: Option<Secret>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChartFile {
    #[serde(default)]
    timeseries: Option<Vec<SeriesFile>>,
    #[serde(default)]
    warnings: Option<String>,
    #[serde(default)]
    error_type: Option<String>,
    #[serde(default)]
    error_message: Option<String>,
    /// The shape of errors outside of queries; seen in answers of other codes, and behind proxies.
    #[serde(default)]
    status: Option<StatusFile>,
    /// What every answer to a query has; its absence shows an answer of something else.
    #[serde(default)]
    query: Option<String>,
}

#[derive(Deserialize)]
struct StatusFile {
    #[serde(default)]
    result: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct SeriesFile {
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    tags: Option<BTreeMap<String, String>>,
    #[serde(default)]
    data: Option<Vec<Vec<Option<f64>>>>,
}

impl Wavefront {
    /// Prepares the connection; sends nothing.
    pub fn new(url: &str, token: Option<Secret>, ca_file: Option<&Path>) -> Result<Self, Error> {
        Self::with_patience(url, token, ca_file, Patience::LIVE)
    }

    /// The same with other limits.
    pub fn with_patience(
        url: &str,
        token: Option<Secret>,
        ca_file: Option<&Path>,
        patience: Patience,
    ) -> Result<Self, Error> {
        let exchange = Exchange::new(url, ca_file, patience)?.hiding(token.clone());
        Ok(Self { exchange, token })
    }

    fn chart(&self, query: &Query) -> Url {
        let mut url = self.exchange.url("api/v2/chart/api");
        let granularity = if query.window.span() <= BY_SECOND { "s" } else { "m" };
        // The end is exclusive when strict; a sample at the window's last moment belongs to it.
        let end_ms = query.window.end_ms.saturating_add(1);
        url.query_pairs_mut()
            .append_pair("q", &query.text)
            .append_pair("s", &query.window.start_ms.to_string())
            .append_pair("e", &end_ms.to_string())
            .append_pair("g", granularity)
            .append_pair("summarization", "MEAN")
            .append_pair("strict", "true")
            .append_pair("i", "false")
            .append_pair("cached", "false")
            .append_pair("sorted", "true")
            .append_pair("includeObsoleteMetrics", "false");
        url
    }

    fn read(&self, url: &Url, reply: &Reply) -> Result<Answer, Error> {
        let (shown, status) = (shown(url), reply.status.clone());
        let chart: Result<ChartFile, _> = serde_json::from_slice(&reply.body);
        if !reply.code.is_success() {
            let message = chart.ok().and_then(|chart| chart.message());
            let is_query = message.is_some();
            return Err(self.exchange.refusal(url, reply, message, is_query));
        }
        let malformed = |why: String| {
            let why = self.exchange.told(&why);
            Error::Malformed { url: shown.clone(), status: status.clone(), why }
        };
        let chart = chart.map_err(|error| malformed(error.to_string()))?;
        if let Some(message) = chart.message() {
            return Err(self.exchange.refusal(url, reply, Some(message), true));
        }
        let warnings = chart.warnings.into_iter().filter(|text| !text.trim().is_empty());
        let warnings: Vec<String> = warnings.map(|text| self.exchange.told(&text)).collect();
        // Nothing matched: no key at all, and often a warning that says so.
        if chart.timeseries.is_none() && chart.query.is_none() && warnings.is_empty() {
            return Err(malformed("neither `timeseries` nor `query`".to_owned()));
        }
        let series: Result<Vec<Series>, String> =
            chart.timeseries.into_iter().flatten().map(series).collect();
        let series = self.exchange.masked(series.map_err(malformed)?);
        Ok(Answer { series, warnings, status })
    }
}

impl ChartFile {
    fn message(&self) -> Option<String> {
        let of_query = match (&self.error_type, &self.error_message) {
            (None, None) => None,
            (kind, message) => Some(
                [kind.as_deref(), message.as_deref()]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(": "),
            ),
        };
        let of_status = self
            .status
            .as_ref()
            .filter(|status| status.result != "OK")
            .map(|status| status.message.clone());
        of_query.or(of_status)
    }
}

fn series(file: SeriesFile) -> Result<Series, String> {
    let mut labels = file.tags.unwrap_or_default();
    labels.extend(file.label.map(|label| ("label".to_owned(), label)));
    labels.extend(file.host.map(|host| ("host".to_owned(), host)));
    let mut series = Series { labels, ..Series::default() };
    for pair in file.data.unwrap_or_default() {
        let [at, value] = pair.as_slice() else {
            return Err("a sample in `data` is not a pair of time and value".to_owned());
        };
        let at_ms = at.and_then(millis).ok_or("a sample in `data` has no time")?;
        match value {
            Some(value) => series.points.push(Point { at_ms, value: *value }),
            None => series.n_absent += 1,
        }
    }
    Ok(series)
}

#[async_trait]
impl MetricSource for Wavefront {
    fn kind(&self) -> Kind {
        Kind::Wavefront
    }

    fn url(&self, query: &Query) -> String {
        self.chart(query).to_string()
    }

    async fn query(&self, query: &Query) -> Result<Answer, Error> {
        let url = self.chart(query);
        let reply = self
            .exchange
            .ask(&url, |client| {
                let request = client.get(url.clone());
                match &self.token {
                    Some(token) => request.bearer_auth(token.reveal()),
                    None => request,
                }
            })
            .await?;
        self.read(&url, &reply)
    }
}
