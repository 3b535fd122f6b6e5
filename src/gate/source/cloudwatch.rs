//! Amazon's `CloudWatch`: `GetMetricData` in its JSON protocol.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Kind;
use super::ask::{Api, Ask, Body, Page, Said};
use crate::gate::series::{Point, Query, Series, millis};

/// `GetMetricData`.
pub struct CloudWatch;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AnswerFile {
    #[serde(default)]
    metric_data_results: Option<Vec<ResultFile>>,
    #[serde(default)]
    messages: Option<Vec<MessageFile>>,
    #[serde(default)]
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResultFile {
    #[serde(default)]
    id: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    timestamps: Vec<f64>,
    #[serde(default)]
    values: Vec<Option<f64>>,
    #[serde(default)]
    status_code: Option<String>,
    #[serde(default)]
    messages: Option<Vec<MessageFile>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MessageFile {
    #[serde(default)]
    code: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct ErrorFile {
    #[serde(rename = "__type")]
    kind: String,
    #[serde(default, alias = "Message")]
    message: String,
}

impl CloudWatch {
    fn ask_for(query: &Query, token: Option<&str>) -> Result<Ask, String> {
        let period = period(query.step.as_secs());
        let queries = match query.text.trim().strip_prefix('[') {
            Some(_) => serde_json::from_str::<Value>(&query.text)
                .map_err(|error| format!("it is no list of MetricDataQueries: {error}"))?,
            None => json!([{ "Id": "q1", "Expression": query.text.trim(), "Period": period }]),
        };
        let seconds = |ms: i64| Value::from(ms.div_euclid(1000));
        let mut body = json!({
            "StartTime": seconds(query.window.start_ms),
            // Exclusive; a sample at the window's last moment belongs to it.
            "EndTime": seconds(query.window.end_ms + 1000),
            "MetricDataQueries": queries,
            "ScanBy": "TimestampAscending",
        });
        if let (Some(token), Some(body)) = (token, body.as_object_mut()) {
            body.insert("NextToken".to_owned(), Value::from(token));
        }
        let mut ask = Ask::post("", Body::Json(body));
        ask.headers = vec![
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", "GraniteServiceVersion20100801.GetMetricData"),
        ];
        Ok(ask)
    }
}

impl Api for CloudWatch {
    fn kind(&self) -> Kind {
        Kind::CloudWatch
    }

    fn ask(&self, query: &Query) -> Result<Ask, String> {
        Self::ask_for(query, None)
    }

    fn said(&self, body: &[u8]) -> Option<Said> {
        let error: ErrorFile = serde_json::from_slice(body).ok()?;
        let kind = error.kind.rsplit('#').next().unwrap_or_default().to_owned();
        let is_about_the_query = ["Validation", "InvalidParameter", "MissingParameter"]
            .iter()
            .any(|word| kind.contains(word));
        Some(Said { message: format!("{kind}: {}", error.message), is_about_the_query })
    }

    fn read(&self, body: &[u8], query: &Query) -> Result<Page, String> {
        let answer: AnswerFile = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let results = answer.metric_data_results.ok_or("no `MetricDataResults`")?;
        let mut page = Page::default();
        let tell = |message: &MessageFile| format!("{}: {}", message.code, message.value);
        page.warnings.extend(answer.messages.iter().flatten().map(tell));
        let is_last = answer.next_token.is_none();
        for file in results {
            match file.status_code.as_deref() {
                Some("Complete") => {}
                // What is told as partial on a page goes on at the next one.
                Some("PartialData") if !is_last => {}
                Some(other) => page.warnings.push(format!("`{}` is {other}", file.id)),
                None => return Err("a result without `StatusCode`".to_owned()),
            }
            page.warnings.extend(file.messages.iter().flatten().map(tell));
            page.series.push(series(file, query)?);
        }
        if let Some(token) = answer.next_token {
            page.next = Some(Self::ask_for(query, Some(&token))?);
        }
        Ok(page)
    }
}

/// Returns the period for a step: below a minute there are only these, above it whole minutes.
fn period(step: u64) -> u64 {
    match step {
        0..5 => 1,
        5..10 => 5,
        10..30 => 10,
        30..60 => 30,
        _ => step.div_ceil(60) * 60,
    }
}

/// A value stands at its period's start: the last period counts only when it is over.
fn series(file: ResultFile, query: &Query) -> Result<Series, String> {
    if file.timestamps.len() != file.values.len() {
        return Err("as many `Values` as `Timestamps` are promised".to_owned());
    }
    let labels = BTreeMap::from([("id".to_owned(), file.id), ("label".to_owned(), file.label)]);
    let mut series = Series { labels, ..Series::default() };
    for (at, value) in file.timestamps.iter().zip(file.values) {
        let at_ms = millis(*at).ok_or("a timestamp is no time")?;
        match value {
            Some(value) => series.points.push(Point { at_ms, value }),
            None => series.n_absent += 1,
        }
    }
    let moments: Vec<i64> = series.points.iter().map(|point| point.at_ms).collect();
    let interval = moments.windows(2).filter_map(|pair| Some((pair.get(1)? - pair.first()?).abs()));
    let interval = interval.filter(|interval| *interval > 0).min();
    let step = i64::try_from(query.step.as_millis()).unwrap_or(0);
    series.drop_unfinished(interval.unwrap_or(step), query.window);
    Ok(series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_those_that_there_are() {
        for (step, expected) in
            [(0, 1), (1, 1), (4, 1), (5, 5), (15, 10), (29, 10), (45, 30), (60, 60), (61, 120)]
        {
            assert_eq!(period(step), expected, "{step}");
        }
    }
}
