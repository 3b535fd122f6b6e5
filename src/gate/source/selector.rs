//! A selector in Prometheus' words, for series that dyno holds itself: `name{label="x", a=~"b.*"}`.

use std::collections::BTreeMap;

use regex::Regex;

use crate::gate::series::Series;
use crate::gate::unit::{Dimension, Told};

/// Where a series' name stands among its labels.
pub const NAME: &str = "__name__";

/// Which series are meant.
#[derive(Debug, Clone)]
pub struct Selector {
    matchers: Vec<(String, Matcher)>,
}

#[derive(Debug, Clone)]
enum Matcher {
    Is(String),
    IsNot(String),
    Like(Regex),
    Unlike(Regex),
}

impl Selector {
    /// Reads a selector.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let name = text
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
            .unwrap_or(text.len());
        let (name, rest) = text.split_at(name);
        let mut matchers = Vec::new();
        if !name.is_empty() {
            matchers.push((NAME.to_owned(), Matcher::Is(name.to_owned())));
        }
        let mut rest = rest.trim();
        if rest.is_empty() && !matchers.is_empty() {
            return Ok(Self { matchers });
        }
        let wrong = || format!("`{text}` is no selector: write `name{{label=\"value\"}}`");
        rest = rest.strip_prefix('{').ok_or_else(wrong)?.trim_start();
        while !rest.starts_with('}') {
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .filter(|end| *end > 0)
                .ok_or_else(wrong)?;
            let (label, after) = rest.split_at(end);
            let after = after.trim_start();
            let operator = ["=~", "!~", "!=", "="]
                .into_iter()
                .find(|operator| after.starts_with(operator))
                .ok_or_else(wrong)?;
            let (value, behind) =
                string(after.get(operator.len()..).unwrap_or_default().trim_start())
                    .ok_or_else(wrong)?;
            let like = |value: &str| {
                Regex::new(&format!("^(?:{value})$"))
                    .map_err(|_| format!("`{value}` is no regular expression"))
            };
            let matcher = match operator {
                "=~" => Matcher::Like(like(&value)?),
                "!~" => Matcher::Unlike(like(&value)?),
                "!=" => Matcher::IsNot(value),
                _ => Matcher::Is(value),
            };
            matchers.push((label.to_owned(), matcher));
            let behind = behind.trim_start();
            rest = behind.strip_prefix(',').unwrap_or(behind).trim_start();
        }
        match rest.strip_prefix('}') {
            Some(behind) if behind.trim().is_empty() && !matchers.is_empty() => {
                Ok(Self { matchers })
            }
            _ => Err(wrong()),
        }
    }

    /// True for labels that are meant; a label that is not there is empty.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matchers
            .iter()
            .all(|(label, matcher)| matcher.holds(labels.get(label).map_or("", String::as_str)))
    }

    /// True for labels of which one says that another series is meant; one that is not there says
    /// nothing: stores leave labels out that tell replicas apart.
    pub fn is_contradicted_by(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matchers
            .iter()
            .any(|(label, matcher)| labels.get(label).is_some_and(|value| !matcher.holds(value)))
    }
}

impl Matcher {
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::Is(wanted) => value == wanted,
            Self::IsNot(unwanted) => value != unwanted,
            Self::Like(pattern) => pattern.is_match(value),
            Self::Unlike(pattern) => !pattern.is_match(value),
        }
    }
}

/// Returns what a series' values are in, by the ending of its name, where Prometheus' custom is kept:
/// `_seconds`, `_bytes`, also before `_total`, `_sum` and `_max`.
pub fn unit_of(series: &Series) -> Option<Told> {
    let name = series.labels.get(NAME)?;
    let stem = ["_total", "_sum", "_max"].iter().find_map(|more| name.strip_suffix(more));
    let (_, last) = stem.unwrap_or(name).rsplit_once('_')?;
    let (dimension, factor) = match last {
        "seconds" => (Dimension::Time, 1.0),
        "milliseconds" | "ms" => (Dimension::Time, 1e-3),
        "microseconds" => (Dimension::Time, 1e-6),
        "nanoseconds" => (Dimension::Time, 1e-9),
        "bytes" => (Dimension::Bytes, 1.0),
        _ => return None,
    };
    Some(Told::of(if last == "ms" { "milliseconds" } else { last }, dimension, factor))
}

fn string(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, c)| if c == 'n' { '\n' } else { c })),
            c if c == quote => return Some((value, text.get(at + 1..)?)),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_match_as_prometheus_matches() {
        let labels: BTreeMap<String, String> = [(NAME, "cpu"), ("pod", "web-1"), ("q", "a\"b")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        for (selector, expected) in [
            ("cpu", true),
            ("mem", false),
            ("cpu{}", true),
            (r#"cpu{pod="web-1"}"#, true),
            (r#"{pod=~"web-.*", zone=""}"#, true),
            (r#"cpu{pod=~"web"}"#, false),
            (r#"cpu{pod!~"api-.*",pod!="x",}"#, true),
            (r#"cpu{q="a\"b"}"#, true),
        ] {
            assert_eq!(Selector::parse(selector).unwrap().matches(&labels), expected, "{selector}");
        }
        let asked = Selector::parse(r#"cpu{pod="web-1",replica="a"}"#).unwrap();
        assert!(!asked.matches(&labels) && !asked.is_contradicted_by(&labels));
        assert!(Selector::parse(r#"cpu{pod="web-2"}"#).unwrap().is_contradicted_by(&labels));
        let unit = |name: &str| {
            let labels = BTreeMap::from([(NAME.to_owned(), name.to_owned())]);
            unit_of(&Series { labels, ..Series::default() })
        };
        let seconds = Some(Told::of("seconds", Dimension::Time, 1.0));
        for (name, expected) in [
            ("latency_seconds", seconds.clone()),
            ("latency_seconds_sum", seconds.clone()),
            ("latency_seconds_bucket", None),
            ("latency_seconds_count", None),
            ("heap_bytes", Some(Told::of("bytes", Dimension::Bytes, 1.0))),
            ("took_ms", Some(Told::of("milliseconds", Dimension::Time, 1e-3))),
            ("seconds", None),
            ("up", None),
        ] {
            assert_eq!(unit(name), expected, "{name}");
        }
        for text in ["", "{}", "cpu{", "cpu{a}", "cpu{a=b}", "rate(cpu[1m])", r#"cpu{a=~"("}"#] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }
}
