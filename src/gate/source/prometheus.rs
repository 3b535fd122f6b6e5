//! The query API of the Prometheus family.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use super::Kind;
use super::ask::{Api, Ask, Body, Page, Said};
use super::selector::{Selector, unit_of};
use crate::gate::series::{Point, Query, Series, millis};

/// The query API.
pub struct Prometheus;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EnvelopeFile {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    data: Option<DataFile>,
    #[serde(default)]
    error_type: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    warnings: Option<Vec<String>>,
    /// Thanos and `VictoriaMetrics` clusters say it this way, too.
    #[serde(default)]
    is_partial: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataFile {
    #[serde(default)]
    result_type: Option<String>,
    #[serde(default)]
    result: Option<Vec<SeriesFile>>,
}

#[derive(Deserialize)]
struct SeriesFile {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Option<Vec<(f64, String)>>,
    #[serde(default)]
    histograms: Option<Vec<serde::de::IgnoredAny>>,
    #[serde(default)]
    histogram: Option<serde::de::IgnoredAny>,
}

impl EnvelopeFile {
    /// True when the server says what is wrong, and it is not the server itself.
    fn is_about_the_query(&self) -> bool {
        const OWN: [&str; 4] = ["timeout", "canceled", "internal", "unavailable"];
        let kind = self.error_type.as_deref().unwrap_or_default();
        self.message().is_some() && !OWN.contains(&kind)
    }

    fn message(&self) -> Option<String> {
        let is_told =
            self.error.is_some() || self.error_type.as_deref().is_some_and(|kind| !kind.is_empty());
        if self.status.as_deref() != Some("error") && !is_told {
            return None;
        }
        let parts = [self.error_type.as_deref(), self.error.as_deref()];
        let text = parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
        Some(if text.is_empty() { "an error without a reason".to_owned() } else { text })
    }
}

fn series(file: SeriesFile) -> Result<Series, String> {
    if file.histogram.is_some() || file.histograms.is_some_and(|list| !list.is_empty()) {
        return Err("native histograms; use `histogram_quantile(…)` in the query".to_owned());
    }
    let values = file.values.ok_or("a series without `values`")?;
    let mut series = Series { labels: file.metric, ..Series::default() };
    for (seconds, text) in values {
        let at_ms = millis(seconds).ok_or("a sample whose time is none")?;
        let value: f64 =
            text.parse().map_err(|_| format!("a sample `{text}` that is no number"))?;
        if value.is_nan() {
            series.n_absent += 1;
        } else {
            series.points.push(Point { at_ms, value });
        }
    }
    Ok(series)
}

/// True for a plain selector: a name, matchers, or both. Such a query is asked for its raw samples
/// with their own times, which no lookback can fill up.
fn is_selector(query: &str) -> bool {
    let query = query.trim();
    let name = query
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .unwrap_or(query.len());
    if query.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let matchers = query[name..].trim_start();
    if matchers.is_empty() {
        // A bare word may be a number in disguise.
        return name > 0 && query.parse::<f64>().is_err();
    }
    let Some(mut rest) = matchers.strip_prefix('{') else { return false };
    let mut quote = None;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match (c, quote) {
            ('\\', Some('"' | '\'')) => &after[after.chars().next().map_or(0, char::len_utf8)..],
            (c, Some(open)) => {
                quote = Some(open).filter(|open| *open != c);
                after
            }
            ('"' | '\'' | '`', None) => {
                quote = Some(c);
                after
            }
            ('}', None) => return after.trim().is_empty(),
            (_, None) => after,
        };
    }
    false
}

/// Finds a series that a plain selector does not ask for: the answer is one to another question.
fn foreign(query: &Query, all: &[Series]) -> Option<String> {
    if !is_selector(&query.text) {
        return None;
    }
    // What dyno's own reader does not know (another notation) it cannot hold an answer to.
    let selector = Selector::parse(&query.text).ok()?;
    let other = all.iter().find(|series| selector.is_contradicted_by(&series.labels))?;
    Some(format!("the series {}, which the query does not ask for", other.name()))
}

/// Returns seconds with three decimals.
fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

impl Api for Prometheus {
    fn kind(&self) -> Kind {
        Kind::Prometheus
    }

    /// Always a POST, so that no query is too long, and always with explicit times, since servers
    /// differ in what they take for now.
    fn ask(&self, query: &Query) -> Result<Ask, String> {
        Ok(if is_selector(&query.text) {
            Ask::post("api/v1/query", Body::Form(raw(query)))
        } else {
            Ask::post("api/v1/query_range", Body::Form(range(query)))
        })
    }

    fn said(&self, body: &[u8]) -> Option<Said> {
        let envelope: EnvelopeFile = serde_json::from_slice(body).ok()?;
        let is_about_the_query = envelope.is_about_the_query();
        Some(Said { message: envelope.message()?, is_about_the_query })
    }

    fn read(&self, body: &[u8], query: &Query) -> Result<Page, String> {
        let envelope: EnvelopeFile =
            serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if envelope.status.as_deref() != Some("success") {
            return Err("`status` is not `success`".to_owned());
        }
        let data = envelope.data.ok_or("no `data`")?;
        match data.result_type.as_deref() {
            Some("matrix") => {}
            Some(kind) => return Err(format!("a `{kind}` where a matrix was asked for")),
            None => return Err("no `resultType`".to_owned()),
        }
        let result = data.result.ok_or("no `result`")?;
        let series: Result<Vec<Series>, String> = result.into_iter().map(series).collect();
        let series = series?;
        if let Some(other) = foreign(query, &series) {
            return Err(other);
        }
        let mut warnings = envelope.warnings.unwrap_or_default();
        if envelope.is_partial == Some(true) {
            warnings.push("`isPartial` is true".to_owned());
        }
        Ok(Page {
            units: series.iter().filter_map(unit_of).collect(),
            series,
            warnings,
            ..Page::default()
        })
    }

    /// The expression browser, which Prometheus, Thanos and Mimir have at the same place.
    fn link(&self, base: &Url, query: &Query) -> Option<String> {
        let mut url = base.join("graph").ok()?;
        let end = jiff::Timestamp::from_millisecond(query.window.end_ms).ok()?;
        url.query_pairs_mut()
            .append_pair("g0.expr", &query.text)
            .append_pair("g0.tab", "0")
            .append_pair("g0.range_input", &format!("{}s", query.window.span().as_secs().max(1)))
            .append_pair("g0.end_input", &end.strftime("%Y-%m-%d %H:%M:%S").to_string());
        Some(url.to_string())
    }
}

/// The raw samples of the window: a range selector at its end.
fn raw(query: &Query) -> Vec<(&'static str, String)> {
    let millis = query.window.span().as_millis().max(1);
    vec![
        ("query", format!("{}[{millis}ms]", query.text.trim())),
        ("time", seconds(query.window.end_ms)),
    ]
}

/// The expression at every step of the window. The steps lie on whole multiples: servers that align
/// them for their cache then move nothing.
fn range(query: &Query) -> Vec<(&'static str, String)> {
    let step = query.step.max(Duration::from_secs(1)).as_secs();
    let step_ms = i64::try_from(step.saturating_mul(1000)).unwrap_or(i64::MAX);
    let (start, end) = (query.window.start_ms, query.window.end_ms);
    let first = start.div_euclid(step_ms).saturating_add(i64::from(start.rem_euclid(step_ms) > 0));
    let last = end.div_euclid(step_ms).max(first);
    vec![
        ("query", query.text.clone()),
        ("start", seconds(first.saturating_mul(step_ms))),
        ("end", seconds(last.saturating_mul(step_ms))),
        ("step", step.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::series::Window;

    #[test]
    fn only_plain_selectors_are_asked_for_raw_samples() {
        for (query, selector) in [
            ("up", true),
            (" up ", true),
            ("job:up:sum", true),
            (r#"up{a="b"}"#, true),
            (r#"up {a=~"}\"x", b='y'}"#, true),
            (r#"{__name__="up"}"#, true),
            ("up{a=`\\`}", true),
            ("sum(up)", false),
            ("up[5m]", false),
            ("up + up", false),
            (r#"up{a="b"} > 1"#, false),
            (r#"up{a="b"}[5m]"#, false),
            ("up offset 5m", false),
            ("1", false),
            ("NaN", false),
            ("inf", false),
            (r#"up{a="b""#, false),
            ("", false),
        ] {
            assert_eq!(is_selector(query), selector, "{query}");
        }
    }

    #[test]
    fn a_range_lies_on_whole_steps_inside_the_window() {
        let query = Query {
            text: "sum(up)".to_owned(),
            window: Window { start_ms: 1_000_001, end_ms: 1_059_999 },
            step: Duration::from_secs(15),
        };
        let form = range(&query);
        assert_eq!(
            form.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&"),
            "query=sum(up)&start=1005.000&end=1050.000&step=15"
        );
    }
}
