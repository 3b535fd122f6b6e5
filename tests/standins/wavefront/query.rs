//! As much of Wavefront's query language as gates use: `ts("metric", tag="value" and …)`, alone or
//! inside one aggregate. Whatever else is a failed query, as it is there.

use super::series::Series;

/// A query as meant.
#[derive(Debug)]
pub struct Query {
    aggregate: Option<fn(&[f64]) -> f64>,
    metric: String,
    filters: Vec<(String, String)>,
}

impl Query {
    /// Reads a query.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, inside) = call(text)?;
        if name == "ts" {
            let (metric, filters) = selection(inside)?;
            return Ok(Self { aggregate: None, metric, filters });
        }
        let aggregate: fn(&[f64]) -> f64 = match name {
            "avg" | "rawavg" => |values| values.iter().sum::<f64>() / count(values),
            "sum" | "rawsum" => |values| values.iter().sum(),
            "max" | "rawmax" => |values| values.iter().copied().fold(f64::MIN, f64::max),
            "min" | "rawmin" => |values| values.iter().copied().fold(f64::MAX, f64::min),
            _ => return Err(format!("Unknown function: {name}")),
        };
        let inner = Self::parse(inside)?;
        match inner.aggregate {
            Some(_) => Err("Nested aggregates are more than this stand-in knows".to_owned()),
            None => Ok(Self { aggregate: Some(aggregate), ..inner }),
        }
    }

    /// Returns the series that the query yields.
    pub fn apply(&self, all: &[Series]) -> Vec<Series> {
        let matching: Vec<Series> = all
            .iter()
            .filter(|series| is_like(&series.metric, &self.metric))
            .filter(|series| self.filters.iter().all(|(key, value)| has(series, key, value)))
            .cloned()
            .collect();
        match self.aggregate {
            Some(aggregate) if !matching.is_empty() => vec![Series::merged(&matching, aggregate)],
            Some(_) | None => matching,
        }
    }
}

/// Splits `name(inside)`.
fn call(text: &str) -> Result<(&str, &str), String> {
    let text = text.trim();
    let wrong = || format!("Unable to parse query: {text}");
    let (name, rest) = text.split_once('(').ok_or_else(wrong)?;
    Ok((name.trim(), rest.strip_suffix(')').ok_or_else(wrong)?))
}

fn selection(inside: &str) -> Result<(String, Vec<(String, String)>), String> {
    let (metric, filter) = match inside.split_once(',') {
        Some((metric, filter)) => (metric, Some(filter)),
        None => (inside, None),
    };
    let metric = unquoted(metric);
    if metric.is_empty() {
        return Err("ts() needs a metric".to_owned());
    }
    let filters = filter.map_or(Ok(Vec::new()), |filter| {
        filter.split(" and ").map(comparison).collect::<Result<Vec<_>, _>>()
    })?;
    Ok((metric, filters))
}

fn comparison(text: &str) -> Result<(String, String), String> {
    let (key, value) =
        text.split_once('=').ok_or_else(|| format!("Unable to parse filter: {}", text.trim()))?;
    Ok((unquoted(key), unquoted(value)))
}

fn unquoted(text: &str) -> String {
    text.trim().trim_matches(['"', '\'']).to_owned()
}

fn has(series: &Series, key: &str, value: &str) -> bool {
    match key {
        "source" => is_like(&series.host, value),
        _ => series.tags.get(key).is_some_and(|tag| is_like(tag, value)),
    }
}

/// `*` in the pattern stands for any text.
fn is_like(text: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => text == pattern,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| is_like(rest, after)))
        }),
    }
}

fn count(values: &[f64]) -> f64 {
    u32::try_from(values.len()).map_or(f64::MAX, f64::from)
}
