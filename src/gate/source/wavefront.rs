//! Wavefront's chart API.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::Kind;
use super::ask::{Api, Ask, Page, Said};
use crate::gate::series::{Point, Query, Series, millis};

/// Windows up to this are asked for by the second, longer ones by the minute.
const BY_SECOND: Duration = Duration::from_hours(2);

/// The chart API.
pub struct Wavefront;

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

impl Api for Wavefront {
    fn kind(&self) -> Kind {
        Kind::Wavefront
    }

    fn ask(&self, query: &Query) -> Result<Ask, String> {
        let granularity = if query.window.span() <= BY_SECOND { "s" } else { "m" };
        // The end is exclusive when strict; a sample at the window's last moment belongs to it.
        let end_ms = query.window.end_ms.saturating_add(1);
        let fixed = [
            ("summarization", "MEAN"),
            ("strict", "true"),
            ("i", "false"),
            ("cached", "false"),
            ("sorted", "true"),
            ("includeObsoleteMetrics", "false"),
        ];
        let mut parameters = vec![
            ("q", query.text.clone()),
            ("s", query.window.start_ms.to_string()),
            ("e", end_ms.to_string()),
            ("g", granularity.to_owned()),
        ];
        parameters.extend(fixed.map(|(key, value)| (key, value.to_owned())));
        Ok(Ask::get("api/v2/chart/api", parameters))
    }

    fn said(&self, body: &[u8]) -> Option<Said> {
        let message = serde_json::from_slice::<ChartFile>(body).ok()?.message()?;
        Some(Said { message, is_about_the_query: true })
    }

    fn read(&self, body: &[u8], _query: &Query) -> Result<Page, String> {
        let chart: ChartFile = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let warnings: Vec<String> =
            chart.warnings.into_iter().filter(|text| !text.trim().is_empty()).collect();
        // Nothing matched: no key at all, and often a warning that says so.
        if chart.timeseries.is_none() && chart.query.is_none() && warnings.is_empty() {
            return Err("neither `timeseries` nor `query`".to_owned());
        }
        let series: Result<_, String> =
            chart.timeseries.into_iter().flatten().map(series).collect();
        Ok(Page { series: series?, warnings, ..Page::default() })
    }
}
