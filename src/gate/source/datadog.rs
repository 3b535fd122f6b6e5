//! Datadog's query API, version 1.

use std::collections::BTreeMap;

use reqwest::Url;
use serde::Deserialize;

use super::Kind;
use super::ask::{Api, Ask, Page, Said};
use crate::gate::series::{Point, Query, Series, millis};
use crate::gate::unit::{Dimension, Told};

/// The query API.
pub struct Datadog;

#[derive(Deserialize)]
struct AnswerFile {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    errors: Option<Vec<String>>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    series: Option<Vec<SeriesFile>>,
}

#[derive(Deserialize)]
struct SeriesFile {
    #[serde(default)]
    metric: String,
    #[serde(default)]
    expression: Option<String>,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    interval: Option<u32>,
    pointlist: Vec<(Option<f64>, Option<f64>)>,
    /// Of the value, and of what it is divided by.
    #[serde(default)]
    unit: Option<Vec<Option<UnitFile>>>,
}

#[derive(Deserialize)]
struct UnitFile {
    #[serde(default)]
    family: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    scale_factor: f64,
}

/// Returns what the values of a series are in, where it is a time or bytes and nothing else.
fn unit(file: &SeriesFile) -> Option<Told> {
    let [Some(unit), rest @ ..] = file.unit.as_deref()? else { return None };
    let dimension = match unit.family.as_str() {
        "time" => Dimension::Time,
        // Bits have the same family, and another factor.
        "bytes" => Dimension::Bytes,
        _ => return None,
    };
    let is_simple = rest.iter().all(Option::is_none) && unit.scale_factor > 0.0;
    is_simple.then(|| Told::of(&format!("`{}`", unit.name), dimension, unit.scale_factor))
}

impl Api for Datadog {
    fn kind(&self) -> Kind {
        Kind::Datadog
    }

    fn ask(&self, query: &Query) -> Result<Ask, String> {
        // Whole seconds; the window's last second belongs to it.
        let until = query.window.end_ms.div_euclid(1000) + 1;
        Ok(Ask::get(
            "api/v1/query",
            vec![
                ("from", query.window.start_ms.div_euclid(1000).to_string()),
                ("to", until.to_string()),
                ("query", query.text.trim().to_owned()),
            ],
        ))
    }

    fn said(&self, body: &[u8]) -> Option<Said> {
        let answer: AnswerFile = serde_json::from_slice(body).ok()?;
        let message = match (answer.error, answer.errors, answer.status.as_deref()) {
            (Some(error), ..) if !error.trim().is_empty() => error,
            (_, Some(errors), _) if !errors.is_empty() => errors.join("; "),
            (.., Some("error")) => {
                answer.message.unwrap_or_else(|| "an error without a reason".to_owned())
            }
            _ => return None,
        };
        Some(Said { message, is_about_the_query: true })
    }

    fn read(&self, body: &[u8], query: &Query) -> Result<Page, String> {
        let answer: AnswerFile = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if answer.status.as_deref() != Some("ok") {
            return Err("`status` is not `ok`".to_owned());
        }
        let all = answer.series.ok_or("no `series`")?;
        let units = all.iter().filter_map(unit).collect();
        let series: Result<Vec<Series>, String> =
            all.into_iter().map(|file| series(file, query)).collect();
        // Remarks on a query that was answered all the same.
        let remarks = answer.message.filter(|text| !text.trim().is_empty());
        Ok(Page { series: series?, warnings: remarks.into_iter().collect(), units, next: None })
    }

    fn link(&self, base: &Url, query: &Query) -> Option<String> {
        let mut url = base.clone();
        let host = base.host_str()?.replacen("api.", "app.", 1);
        url.set_host(Some(&host)).ok()?;
        url.set_path("metric/explorer");
        url.query_pairs_mut()
            .append_pair("exp_query", &query.text)
            .append_pair("start", &query.window.start_ms.to_string())
            .append_pair("end", &query.window.end_ms.to_string());
        Some(url.to_string())
    }
}

fn series(file: SeriesFile, query: &Query) -> Result<Series, String> {
    let labels =
        [("metric", Some(file.metric)), ("expression", file.expression), ("scope", file.scope)];
    let labels: BTreeMap<String, String> = labels
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value.filter(|value| !value.is_empty())?)))
        .collect();
    let mut series = Series { labels, ..Series::default() };
    for (at, value) in file.pointlist {
        let at_ms = at.and_then(|ms| millis(ms / 1000.0)).ok_or("a point has no time")?;
        match value {
            Some(value) => series.points.push(Point { at_ms, value }),
            None => series.n_absent += 1,
        }
    }
    let interval = i64::from(file.interval.unwrap_or(0)).saturating_mul(1000);
    series.drop_unfinished(interval, query.window);
    Ok(series)
}
