//! Graphite's render API.

use std::collections::BTreeMap;

use reqwest::Url;
use serde::Deserialize;

use super::Kind;
use super::ask::{Api, Ask, Body, Page, Said};
use crate::gate::series::{Point, Query, Series, millis};

/// The render API.
pub struct Graphite;

#[derive(Deserialize)]
struct SeriesFile {
    target: String,
    #[serde(default)]
    tags: Option<BTreeMap<String, serde_json::Value>>,
    datapoints: Vec<(Option<f64>, Option<f64>)>,
}

impl Api for Graphite {
    fn kind(&self) -> Kind {
        Kind::Graphite
    }

    /// Whole seconds; `from` is exclusive. Without `maxDataPoints`, which consolidates silently.
    fn ask(&self, query: &Query) -> Result<Ask, String> {
        let from = query.window.start_ms.div_euclid(1000) - 1;
        let until = query.window.end_ms.div_euclid(1000);
        Ok(Ask::post(
            "render",
            Body::Form(vec![
                ("target", query.text.trim().to_owned()),
                ("from", from.to_string()),
                ("until", until.to_string()),
                ("format", "json".to_owned()),
            ]),
        ))
    }

    /// It has no shape for errors: a syntax error is `[]` or a page of HTML.
    fn said(&self, _body: &[u8]) -> Option<Said> {
        None
    }

    fn read(&self, body: &[u8], query: &Query) -> Result<Page, String> {
        let all: Vec<SeriesFile> =
            serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let series: Result<Vec<Series>, String> =
            all.into_iter().map(|file| series(file, query)).collect();
        Ok(Page { series: series?, ..Page::default() })
    }

    fn link(&self, base: &Url, query: &Query) -> Option<String> {
        let mut url = base.join("render").ok()?;
        url.query_pairs_mut()
            .append_pair("target", &query.text)
            .append_pair("from", &query.window.start_ms.div_euclid(1000).to_string())
            .append_pair("until", &query.window.end_ms.div_euclid(1000).to_string());
        Some(url.to_string())
    }
}

/// A datapoint stands at its bucket's start: the last bucket counts only when it is over.
fn series(file: SeriesFile, query: &Query) -> Result<Series, String> {
    let mut labels = BTreeMap::from([("target".to_owned(), file.target)]);
    for (key, value) in file.tags.into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        labels.insert(key, text);
    }
    let mut series = Series { labels, ..Series::default() };
    let mut moments = Vec::with_capacity(file.datapoints.len());
    for (value, at) in file.datapoints {
        let at_ms = at.and_then(millis).ok_or("a datapoint has no time")?;
        moments.push(at_ms);
        match value {
            Some(value) => series.points.push(Point { at_ms, value }),
            None => series.n_absent += 1,
        }
    }
    let interval = moments.windows(2).filter_map(|pair| Some(pair.get(1)? - pair.first()?)).min();
    series.drop_unfinished(interval.unwrap_or(0), query.window);
    Ok(series)
}
