//! Dynatrace: the metrics API, version 2.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Kind;
use super::ask::{Api, Ask, Page, Said};
use crate::gate::series::{Point, Query, Series};

/// The metrics API.
pub struct Dynatrace;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerFile {
    #[serde(default)]
    next_page_key: Option<String>,
    #[serde(default)]
    result: Option<Vec<MetricFile>>,
    #[serde(default)]
    warnings: Option<Vec<String>>,
    #[serde(default)]
    error: Option<ErrorFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetricFile {
    #[serde(default)]
    metric_id: String,
    data: Vec<SeriesFile>,
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeriesFile {
    #[serde(default)]
    dimensions: Vec<String>,
    #[serde(default)]
    dimension_map: BTreeMap<String, Option<String>>,
    timestamps: Vec<i64>,
    values: Vec<Option<f64>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorFile {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    message: String,
    #[serde(default)]
    constraint_violations: Option<Vec<ViolationFile>>,
}

#[derive(Deserialize)]
struct ViolationFile {
    #[serde(default)]
    message: String,
}

const PATH: &str = "api/v2/metrics/query";

impl Api for Dynatrace {
    fn kind(&self) -> Kind {
        Kind::Dynatrace
    }

    fn ask(&self, query: &Query) -> Result<Ask, String> {
        // Its finest resolution is a minute; without one it takes what makes 120 points.
        let minutes = query.step.as_secs().div_ceil(60).max(1);
        Ok(Ask::get(
            PATH,
            vec![
                ("metricSelector", query.text.trim().to_owned()),
                ("from", query.window.start_ms.to_string()),
                ("to", query.window.end_ms.to_string()),
                ("resolution", format!("{minutes}m")),
            ],
        ))
    }

    fn said(&self, body: &[u8]) -> Option<Said> {
        let error = serde_json::from_slice::<AnswerFile>(body).ok()?.error?;
        let more = error.constraint_violations.into_iter().flatten().map(|one| one.message);
        let all: Vec<String> = std::iter::once(error.message).chain(more).collect();
        Some(Said { message: all.join(": "), is_about_the_query: error.code == 400 })
    }

    fn read(&self, body: &[u8], query: &Query) -> Result<Page, String> {
        let answer: AnswerFile = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let mut page = Page { warnings: answer.warnings.unwrap_or_default(), ..Page::default() };
        for metric in answer.result.ok_or("no `result`")? {
            page.warnings.extend(metric.warnings.into_iter().flatten());
            for file in metric.data {
                page.series.push(series(&metric.metric_id, file, query)?);
            }
        }
        if let Some(key) = answer.next_page_key {
            page.next = Some(Ask::get(PATH, vec![("nextPageKey", key)]));
        }
        Ok(page)
    }
}

/// A value stands at its slot's end: the first slot counts only when it began inside the window.
fn series(metric: &str, file: SeriesFile, query: &Query) -> Result<Series, String> {
    if file.timestamps.len() != file.values.len() {
        return Err("as many `values` as `timestamps` are promised".to_owned());
    }
    let mut labels = BTreeMap::from([("metric".to_owned(), metric.to_owned())]);
    if file.dimension_map.is_empty() && !file.dimensions.is_empty() {
        labels.insert("dimensions".to_owned(), file.dimensions.join("/"));
    }
    let named = file.dimension_map.into_iter();
    labels.extend(named.map(|(key, value)| (key, value.unwrap_or_default())));
    if file.timestamps.windows(2).any(|pair| pair.first() >= pair.get(1)) {
        return Err("`timestamps` that are not in order: how long a slot is cannot be told".into());
    }
    let interval = file
        .timestamps
        .windows(2)
        .filter_map(|pair| Some(pair.get(1)?.saturating_sub(*pair.first()?)))
        .min()
        .unwrap_or(60_000);
    let mut series = Series { labels, ..Series::default() };
    for (end_ms, value) in file.timestamps.into_iter().zip(file.values) {
        match value {
            None => series.n_absent += 1,
            Some(value) => {
                let at_ms = end_ms.saturating_sub(interval);
                series.points.push(Point { at_ms, value });
            }
        }
    }
    series.drop_unfinished(interval, query.window);
    Ok(series)
}
