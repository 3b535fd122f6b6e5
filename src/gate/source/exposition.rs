//! The text that programs expose their metrics in: Prometheus' format and OpenMetrics.

use std::collections::BTreeMap;

use super::selector::NAME;
use crate::gate::series::{Point, Series, millis};

/// Reads a page of metrics. A sample is of `now_ms`, unless it says its own time: a page may show what
/// was pushed to it long ago.
pub fn read(text: &str, now_ms: i64) -> Result<Vec<Series>, String> {
    let mut all: BTreeMap<BTreeMap<String, String>, Series> = BTreeMap::new();
    // OpenMetrics has seconds, the older format milliseconds; only the former has an end.
    let is_open = text.trim_end().ends_with("# EOF");
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let told = || format!("line {} is no sample", n + 1);
        let (labels, value, time) = sample(line).ok_or_else(told)?;
        let at_ms = match time {
            None => now_ms,
            Some(time) if is_open => millis(time).ok_or_else(told)?,
            Some(time) => millis(time / 1000.0).ok_or_else(told)?,
        };
        let series = Series {
            n_absent: u64::from(value.is_nan()),
            points: Some(Point { at_ms, value })
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

fn sample(line: &str) -> Option<(BTreeMap<String, String>, f64, Option<f64>)> {
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
    // What follows a `#` is an example of what was measured.
    let rest = rest.split(" # ").next().unwrap_or_default();
    let mut words = rest.split_whitespace();
    let value = match words.next()? {
        "+Inf" | "Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().ok()?,
    };
    let time = match words.next() {
        None => None,
        Some(time) => Some(time.parse().ok()?),
    };
    words.next().is_none().then_some((labels, value, time))
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
        let times = |text: &str| -> Vec<i64> {
            let series = read(text, 7).unwrap();
            series.iter().flat_map(|series| &series.points).map(|point| point.at_ms).collect()
        };
        assert_eq!(times("a 1\nb{c=\"d\"} 2\n"), [7, 7]);
        assert_eq!(times("a 1 1700000000000\n"), [1_700_000_000_000], "pushed long ago");
        assert_eq!(times("a 1 1700000000.5\n# EOF\n"), [1_700_000_000_500]);
    }

    #[test]
    fn what_is_no_page_of_metrics_is_told() {
        for text in
            ["<html></html>", "x", "x{a=\"b} 1", "x abc", "{} 1", "x 1 abc", "x 1 2 3", "x 1\nx 2"]
        {
            assert!(read(text, 0).is_err(), "{text}");
        }
    }
}
