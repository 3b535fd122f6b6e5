//! The text that programs expose their metrics in: Prometheus' format and OpenMetrics.

use std::collections::BTreeMap;

use super::selector::NAME;
use crate::gate::series::{Point, Series};

/// Reads a page of metrics; every sample is taken as of `now_ms`.
pub fn read(text: &str, now_ms: i64) -> Result<Vec<Series>, String> {
    let mut all: BTreeMap<BTreeMap<String, String>, Series> = BTreeMap::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (labels, value) = sample(line).ok_or_else(|| format!("line {} is no sample", n + 1))?;
        let series = Series {
            n_absent: u64::from(value.is_nan()),
            points: Some(Point { at_ms: now_ms, value })
                .filter(|point| !point.value.is_nan())
                .into_iter()
                .collect(),
            labels: labels.clone(),
        };
        if all.insert(labels, series).is_some() {
            return Err(format!("line {} has a series for the second time", n + 1));
        }
    }
    Ok(all.into_values().collect())
}

fn sample(line: &str) -> Option<(BTreeMap<String, String>, f64)> {
    let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::from([(NAME.to_owned(), name.to_owned())]);
    if name.is_empty() {
        return None;
    }
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner.trim_start();
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once('=')?;
            let (value, behind) = quoted(after.trim_start())?;
            labels.insert(label.trim().to_owned(), value);
            let behind = behind.trim_start();
            rest = behind.strip_prefix(',').unwrap_or(behind).trim_start();
        }
        rest = rest.strip_prefix('}')?;
    }
    let value = match rest.split_whitespace().next()? {
        "+Inf" | "Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().ok()?,
    };
    Some((labels, value))
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.strip_prefix('"')?.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                c => c,
            }),
            '"' => return Some((value, text.get(at + 2..)?)),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_their_labels() {
        let text = "# HELP x y\n# TYPE x counter\nx_total{a=\"b\\\"c\",d=\"e\"} 5 1700000000\n\
                    up 1\nnan NaN\ninf +Inf\nx_bucket{le=\"0.1\"} 3 # {trace=\"1\"} 0.05\n# EOF\n";
        let series = read(text, 7).unwrap();
        let values: Vec<(String, Option<f64>)> = series
            .iter()
            .map(|series| (series.name(), series.points.first().map(|point| point.value)))
            .collect();
        assert_eq!(values.len(), 5);
        assert!(values.contains(&("{__name__=\"up\"}".to_owned(), Some(1.0))));
        assert!(values.contains(&("{__name__=\"nan\"}".to_owned(), None)));
        assert!(values.contains(&("{__name__=\"inf\"}".to_owned(), Some(f64::INFINITY))));
        assert!(series.iter().any(|series| series.labels.get("a").is_some_and(|a| a == "b\"c")));
        assert!(series.iter().all(|series| series.points.iter().all(|point| point.at_ms == 7)));
    }

    #[test]
    fn what_is_no_page_of_metrics_is_told() {
        for text in ["<html></html>", "x", "x{a=\"b} 1", "x abc", "{} 1", "x 1\nx 2"] {
            assert!(read(text, 0).is_err(), "{text}");
        }
    }
}
