//! `InfluxDB` 2: Flux over `/api/v2/query`, annotated CSV back.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::Kind;
use super::ask::{Api, Ask, Body, Page, Said};
use super::place::{Words, fill, rfc3339};
use crate::gate::series::{Point, Query, Series};

/// The query API of one organisation.
pub struct Influx2 {
    /// Its name.
    pub org: String,
}

#[derive(Deserialize)]
struct ErrorFile {
    #[serde(default)]
    code: String,
    message: String,
}

const WORDS: Words =
    Words { moment: rfc3339, window: |start, end| format!("start: {start}, stop: {end}") };

impl Api for Influx2 {
    fn kind(&self) -> Kind {
        Kind::Influx2
    }

    fn ask(&self, query: &Query) -> Result<Ask, String> {
        let text = &query.text;
        let says = text.contains("v.timeRangeStart") || super::place::has_time(text);
        if !says {
            return Err("it does not say what time it is about: write \
                        `|> range(start: v.timeRangeStart, stop: v.timeRangeStop)`"
                .to_owned());
        }
        if writes(text) {
            return Err("`to()` writes: a gate only reads".to_owned());
        }
        let text = with_option(query, &fill(query, text, &WORDS)?);
        let mut ask = Ask::post(
            "api/v2/query",
            Body::Json(json!({
                "query": text,
                "type": "flux",
                "dialect": {
                    "header": true, "delimiter": ",", "commentPrefix": "#",
                    "annotations": ["datatype", "group", "default"],
                },
            })),
        );
        ask.query = vec![("org", self.org.clone())];
        ask.headers = vec![("accept", "application/csv")];
        Ok(ask)
    }

    fn said(&self, body: &[u8]) -> Option<Said> {
        if let Ok(error) = serde_json::from_slice::<ErrorFile>(body) {
            let is_about_the_query = matches!(error.code.as_str(), "invalid" | "not found");
            return Some(Said { message: error.message, is_about_the_query });
        }
        let text = std::str::from_utf8(body).ok()?;
        let message = error_table(text)?;
        Some(Said { message, is_about_the_query: true })
    }

    fn read(&self, body: &[u8], _query: &Query) -> Result<Page, String> {
        let text = std::str::from_utf8(body).map_err(|_| "it is no text".to_owned())?;
        if text.trim_start().starts_with(['<', '{', '[']) {
            return Err("it is no CSV".to_owned());
        }
        Ok(Page { series: tables(text)?, ..Page::default() })
    }
}

/// True where rows are piped into a function that stores them: `|> to(…)`, `|> experimental.to(…)`.
fn writes(text: &str) -> bool {
    text.split("|>").skip(1).any(|call| {
        let name = call.split('(').next().unwrap_or_default().trim();
        name.rsplit('.').next() == Some("to")
    })
}

/// Defines `v` as dashboards do, so that their queries work as they are; imports come first.
fn with_option(query: &Query, text: &str) -> String {
    let option = format!(
        "option v = {{timeRangeStart: {}, timeRangeStop: {}, windowPeriod: {}s}}\n",
        rfc3339(query.window.start_ms),
        // The stop is exclusive; a sample at the window's last moment belongs to it.
        rfc3339(query.window.end_ms.saturating_add(1)),
        query.step.as_secs().max(1),
    );
    let is_head = |line: &str| {
        let line = line.trim();
        line.is_empty() || line.starts_with("import ") || line.starts_with("//")
    };
    let n_head = text.lines().take_while(|line| is_head(line)).count();
    let lines: Vec<&str> = text.lines().collect();
    let (head, body) = lines.split_at(n_head.min(lines.len()));
    format!("{}\n{option}{}", head.join("\n"), body.join("\n")).trim_start().to_owned()
}

/// Finds the table that tells of an error, alone or after good ones.
fn error_table(text: &str) -> Option<String> {
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let fields = fields(line);
        let Some(at) = fields.iter().position(|field| field == "error") else { continue };
        if !fields.iter().any(|field| field == "reference") {
            continue;
        }
        let message = lines.next().map(self::fields).and_then(|row| row.get(at).cloned());
        return Some(message.unwrap_or_else(|| "an error without a reason".to_owned()));
    }
    None
}

fn tables(text: &str) -> Result<Vec<Series>, String> {
    let mut all: BTreeMap<BTreeMap<String, String>, Series> = BTreeMap::new();
    let mut header: Vec<String> = Vec::new();
    let mut defaults: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.trim().is_empty() {
            header.clear();
            continue;
        }
        if let Some(row) = line.strip_prefix("#default") {
            defaults = fields(&format!("d{row}"));
        }
        if line.starts_with('#') {
            header.clear();
            continue;
        }
        let row = fields(line);
        if header.is_empty() {
            // The first column is the annotations'.
            if row.len() < 2 || row.first().is_some_and(|name| !name.is_empty()) {
                return Err("it is no annotated CSV".to_owned());
            }
            header = row;
            continue;
        }
        if row.len() != header.len() {
            return Err("a row that is not as long as its header: the answer is cut off".to_owned());
        }
        push(&mut all, (&header, &defaults), &row)?;
    }
    Ok(all.into_values().collect())
}

fn push(
    all: &mut BTreeMap<BTreeMap<String, String>, Series>,
    (header, defaults): (&[String], &[String]),
    row: &[String],
) -> Result<(), String> {
    let (mut time, mut value, mut labels) = (None, None, BTreeMap::new());
    for (at, (name, cell)) in header.iter().zip(row).enumerate() {
        let cell = match (cell.as_str(), defaults.get(at)) {
            ("", Some(default)) => default,
            _ => cell,
        };
        match name.as_str() {
            "_time" => time = Some(cell.clone()),
            "_value" => value = Some(cell.clone()),
            "" | "table" | "_start" | "_stop" => {}
            // `yield(name: "max")` beside another one: two answers, and not one.
            "result" if cell == "_result" => {}
            _ => {
                labels.insert(name.clone(), cell.clone());
            }
        }
    }
    let time = time.ok_or("no column `_time`: an aggregate has none, use `aggregateWindow`")?;
    let value = value.ok_or("no column `_value`")?;
    let at_ms = time
        .parse::<jiff::Timestamp>()
        .map_err(|_| format!("`{time}` in `_time` is no time"))?
        .as_millisecond();
    let series =
        all.entry(labels.clone()).or_insert_with(|| Series { labels, ..Series::default() });
    if value.is_empty() {
        series.n_absent += 1;
        return Ok(());
    }
    let value: f64 = value.parse().map_err(|_| format!("`{value}` in `_value` is no number"))?;
    if value.is_nan() {
        series.n_absent += 1;
    } else {
        series.points.push(Point { at_ms, value });
    }
    Ok(())
}

/// The fields of a line of CSV; a quote inside quotes is doubled.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.trim_end_matches('\r').chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quoted) {
            ('"', true) if chars.peek() == Some(&'"') => {
                chars.next();
                fields.last_mut().into_iter().for_each(|field| field.push('"'));
            }
            ('"', _) => quoted = !quoted,
            (',', false) => fields.push(String::new()),
            _ => fields.last_mut().into_iter().for_each(|field| field.push(c)),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_split_outside_of_quotes() {
        assert_eq!(fields(r#",a,"b,""c""",,"#), ["", "a", "b,\"c\"", "", ""]);
    }

    #[test]
    fn two_results_of_a_query_are_not_mixed() {
        let table = |name: &str, value: u8| {
            format!(
                "#datatype,string,long,dateTime:RFC3339,double\r\n#group,false,false,false,false\r\n\
                 #default,{name},,,\r\n,result,table,_time,_value\r\n\
                 ,,0,2023-11-14T22:13:25Z,{value}\r\n\r\n"
            )
        };
        let series = tables(&(table("mean", 0) + &table("max", 1))).unwrap();
        let names: Vec<&str> =
            series.iter().map(|series| series.labels["result"].as_str()).collect();
        assert_eq!(names, ["max", "mean"]);
        assert!(tables(&table("_result", 0)).unwrap()[0].labels.is_empty());
    }

    #[test]
    fn an_error_after_good_tables_is_seen() {
        let text = "#datatype,string\n,result,table,_time,_value\n,,0,2023-11-14T22:13:25Z,1\n\n\
                    ,error,reference\n,query terminated: memory,897\n";
        assert_eq!(error_table(text).unwrap(), "query terminated: memory");
    }
}
