//! Any API that answers a GET with JSON: the policy says where series, times and values stand.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Kind;
use super::ask::{Api, Ask, Page, Said};
use super::place::{Words, fill, has_time, rfc3339};
use crate::gate::series::{Point, Query, Series, millis};

/// How times are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Clock {
    /// Seconds since 1970, with a fraction.
    #[default]
    Seconds,
    /// Milliseconds since 1970.
    Millis,
    /// RFC 3339.
    Text,
}

/// Where things stand in an answer, as `JSONPath`s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The series, from the top: `$.series[*]`.
    pub series: Path,
    /// What tells a series from the others, from the series: an object, or one value.
    pub labels: Option<Path>,
    /// The samples, from the series: `$.points[*]`.
    pub points: Path,
    /// The time, from the sample: `$[0]`.
    pub time: Path,
    /// The value, from the sample: `$[1]`.
    pub value: Path,
    /// What the API says of its own failure, from the top: `$.error`.
    pub error: Option<Path>,
    /// How times are written, in questions and in answers.
    pub clock: Clock,
}

/// JSON over HTTP.
pub struct Json {
    /// Where things stand.
    pub shape: Shape,
}

/// A `JSONPath` of names, indices and `[*]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    text: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    At(usize),
    All,
}

impl Path {
    /// Reads a path: `$.a['b c'][0][*]`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no path such as `$.series[*].points`");
        let mut rest = text.trim().strip_prefix('$').ok_or_else(wrong)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                let (name, behind) = after.split_at(end);
                match name {
                    "" => return Err(wrong()),
                    "*" => steps.push(Step::All),
                    name => steps.push(Step::Key(name.to_owned())),
                }
                rest = behind;
                continue;
            }
            let after = rest.strip_prefix('[').ok_or_else(wrong)?;
            let quoted = after.strip_prefix('\'').and_then(|inner| inner.split_once("']"));
            if let Some((name, behind)) = quoted {
                steps.push(Step::Key(name.to_owned()));
                rest = behind;
                continue;
            }
            let (inner, behind) = after.split_once(']').ok_or_else(wrong)?;
            steps.push(match inner {
                "*" => Step::All,
                number => Step::At(number.parse().map_err(|_| wrong())?),
            });
            rest = behind;
        }
        Ok(Self { text: text.trim().to_owned(), steps })
    }

    fn find<'v>(&self, from: &'v Value) -> Vec<&'v Value> {
        self.steps.iter().fold(vec![from], |found, step| {
            found
                .into_iter()
                .flat_map(|value| match (step, value) {
                    (Step::Key(key), Value::Object(map)) => map.get(key).into_iter().collect(),
                    (Step::At(at), Value::Array(list)) => list.get(*at).into_iter().collect(),
                    (Step::All, Value::Array(list)) => list.iter().collect(),
                    (Step::All, Value::Object(map)) => map.values().collect(),
                    _ => Vec::new(),
                })
                .collect()
        })
    }

    fn one<'v>(&self, from: &'v Value) -> Option<&'v Value> {
        self.find(from).into_iter().next()
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Shape {
    fn words(&self) -> Words {
        let moment = match self.clock {
            Clock::Seconds => |ms: i64| ms.div_euclid(1000).to_string(),
            Clock::Millis => |ms: i64| ms.to_string(),
            Clock::Text => rfc3339,
        };
        Words { moment, window: |start, end| format!("from={start}&to={end}") }
    }

    fn moment(&self, value: &Value) -> Option<i64> {
        match self.clock {
            Clock::Seconds => millis(value.as_f64()?),
            Clock::Millis => millis(value.as_f64()? / 1000.0),
            Clock::Text => Some(value.as_str()?.parse::<jiff::Timestamp>().ok()?.as_millisecond()),
        }
    }

    fn series(&self, found: &Value) -> Result<Series, String> {
        let labels = match self.labels.as_ref().and_then(|path| path.one(found)) {
            None | Some(Value::Null) => BTreeMap::new(),
            Some(Value::Object(map)) => {
                map.iter().map(|(key, value)| (key.clone(), text(value))).collect()
            }
            Some(other) => BTreeMap::from([("name".to_owned(), text(other))]),
        };
        let mut series = Series { labels, ..Series::default() };
        for sample in self.points.find(found) {
            let at_ms = self
                .time
                .one(sample)
                .and_then(|time| self.moment(time))
                .ok_or_else(|| format!("a sample has no time at `{}`", self.time))?;
            match self.value.one(sample) {
                None => return Err(format!("a sample has no value at `{}`", self.value)),
                Some(Value::Null) => series.n_absent += 1,
                Some(Value::Number(number)) => {
                    let value = number.as_f64().ok_or("a number that is none")?;
                    series.points.push(Point { at_ms, value });
                }
                Some(Value::String(text)) => {
                    let value: f64 =
                        text.parse().map_err(|_| format!("a value `{text}` that is no number"))?;
                    if value.is_nan() {
                        series.n_absent += 1;
                    } else {
                        series.points.push(Point { at_ms, value });
                    }
                }
                Some(other) => return Err(format!("a value {other} that is no number")),
            }
        }
        Ok(series)
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

impl Api for Json {
    fn kind(&self) -> Kind {
        Kind::Json
    }

    /// The query is a path below the source's URL, its parameters included.
    fn ask(&self, query: &Query) -> Result<Ask, String> {
        if !has_time(&query.text) {
            return Err("it does not say what time it is about: write \
                        `path?from={{ start }}&to={{ end }}`"
                .to_owned());
        }
        let text = fill(query, query.text.trim(), &self.shape.words())?;
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let is_below = !text.starts_with(['/', '\\', '?'])
            && !path.contains([':', '\\', '%'])
            && !path.split('/').any(|part| part == "..");
        if !is_below {
            return Err("it has to be a plain path below the source's URL".to_owned());
        }
        Ok(Ask { headers: vec![("accept", "application/json")], ..Ask::get(&text, Vec::new()) })
    }

    fn said(&self, body: &[u8]) -> Option<Said> {
        let answer: Value = serde_json::from_slice(body).ok()?;
        let is_some = |found: &&&Value| match found {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(list) => !list.is_empty(),
            Value::Bool(true) | Value::Number(_) | Value::Object(_) => true,
        };
        // `$.results[*].error` may find many: the first that says something is told.
        let all = self.shape.error.as_ref()?.find(&answer);
        let found = all.iter().find(is_some)?;
        Some(Said { message: text(found), is_about_the_query: true })
    }

    fn read(&self, body: &[u8], _query: &Query) -> Result<Page, String> {
        let answer: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let found = self.shape.series.find(&answer);
        let series: Result<Vec<Series>, String> =
            found.into_iter().map(|found| self.shape.series(found)).collect();
        Ok(Page { series: series?, ..Page::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_among_many_is_told() {
        let path = |text: &str| Path::parse(text).unwrap();
        let shape = Shape {
            series: path("$.series[*]"),
            labels: None,
            points: path("$.points[*]"),
            time: path("$[0]"),
            value: path("$[1]"),
            error: Some(path("$.series[*].error")),
            clock: Clock::Seconds,
        };
        let said = |body: &str| Json { shape: shape.clone() }.said(body.as_bytes());
        let body = r#"{"series":[{"error":null},{"error":"shard 2 is down"}]}"#;
        assert_eq!(said(body).unwrap().message, "shard 2 is down");
        assert_eq!(said(r#"{"series":[{"error":null},{"error":""}]}"#), None);
    }

    #[test]
    fn paths_find_what_they_say() {
        let value = serde_json::json!({ "a": [{ "b c": [1, 2] }, { "b c": [3] }] });
        for (path, expected) in [
            ("$.a[*]['b c'][0]", "[1,3]"),
            ("$.a[1]['b c'][*]", "[3]"),
            ("$.x", "[]"),
            ("$.a[7]", "[]"),
        ] {
            let found = Path::parse(path).unwrap();
            assert_eq!(serde_json::to_string(&found.find(&value)).unwrap(), expected, "{path}");
        }
        for path in ["a", "$a", "$.", "$[", "$[x]", "$..a"] {
            assert!(Path::parse(path).is_err(), "{path}");
        }
    }
}
