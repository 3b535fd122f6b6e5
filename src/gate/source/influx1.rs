//! `InfluxDB` 1: `InfluxQL` over `/query`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::Kind;
use super::ask::{Api, Ask, Body, Page, Said};
use super::place::{Words, fill, has_time};
use crate::gate::series::{Point, Query, Series};

/// The query API of one database.
pub struct Influx1 {
    /// Its name.
    pub database: String,
}

#[derive(Deserialize)]
struct AnswerFile {
    #[serde(default)]
    results: Option<Vec<ResultFile>>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
struct ResultFile {
    #[serde(default)]
    series: Option<Vec<SeriesFile>>,
    #[serde(default)]
    messages: Option<Vec<MessageFile>>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    partial: bool,
}

#[derive(Deserialize)]
struct MessageFile {
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct SeriesFile {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    tags: Option<BTreeMap<String, String>>,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    values: Option<Vec<Vec<Value>>>,
    #[serde(default)]
    partial: bool,
}

const WORDS: Words = Words {
    moment: |ms| format!("{ms}ms"),
    window: |start, end| format!("time >= {start} AND time <= {end}"),
};

impl Api for Influx1 {
    fn kind(&self) -> Kind {
        Kind::Influx1
    }

    fn ask(&self, query: &Query) -> Result<Ask, String> {
        if !has_time(&query.text) {
            return Err(
                "it does not say what time it is about: write `WHERE {{ window }}`".to_owned()
            );
        }
        if query.text.contains(';') {
            return Err("one statement, without `;`".to_owned());
        }
        if query.text.split_whitespace().any(|word| word.eq_ignore_ascii_case("into")) {
            return Err("`INTO` writes: a gate only reads".to_owned());
        }
        let text = fill(query, &query.text, &WORDS)?;
        if !text.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("select")) {
            return Err("it has to start with SELECT".to_owned());
        }
        let mut ask = Ask::post("query", Body::Form(vec![("q", text)]));
        ask.query = vec![("db", self.database.clone()), ("epoch", "ms".to_owned())];
        Ok(ask)
    }

    fn said(&self, body: &[u8]) -> Option<Said> {
        let answer: AnswerFile = serde_json::from_slice(body).ok()?;
        let of_results = || answer.results.iter().flatten().find_map(|result| result.error.clone());
        let message = answer.error.clone().or_else(of_results)?;
        let own = ["timeout", "unavailable", "max-concurrent", "authorization", "authenticate"];
        let is_about_the_query = !own.iter().any(|word| message.contains(word));
        Some(Said { message, is_about_the_query })
    }

    fn read(&self, body: &[u8], _query: &Query) -> Result<Page, String> {
        let answer: AnswerFile = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let results = answer.results.ok_or("no `results`")?;
        let mut page = Page::default();
        for result in results {
            let said = result.messages.into_iter().flatten().map(|message| message.text);
            page.warnings.extend(said.filter(|text| !text.is_empty()));
            for file in result.series.into_iter().flatten() {
                if result.partial || file.partial {
                    page.warnings.push("`partial` is true: a limit cut the rows off".to_owned());
                }
                page.series.extend(series(file)?);
            }
        }
        Ok(page)
    }
}

/// One series a column: `SELECT mean(a), max(b)` has two.
fn series(file: SeriesFile) -> Result<Vec<Series>, String> {
    let at = file.columns.iter().position(|name| name == "time").ok_or("no column `time`")?;
    let tags = file.tags.unwrap_or_default();
    let name = file.name.map(|name| ("measurement".to_owned(), name));
    let fields: Vec<(usize, &String)> =
        file.columns.iter().enumerate().filter(|(column, _)| *column != at).collect();
    if fields.is_empty() {
        return Err("no column beside `time`".to_owned());
    }
    let mut all: Vec<Series> = fields
        .iter()
        .map(|(_, field)| {
            let mut labels = tags.clone();
            labels.extend(name.clone());
            labels.insert("field".to_owned(), (*field).clone());
            Series { labels, ..Series::default() }
        })
        .collect();
    for row in file.values.into_iter().flatten() {
        if row.len() != file.columns.len() {
            return Err("a row that is not as long as `columns`".to_owned());
        }
        let at_ms = row.get(at).and_then(Value::as_i64).ok_or("a row whose time is no number")?;
        for ((column, field), series) in fields.iter().zip(&mut all) {
            match row.get(*column) {
                Some(Value::Null) => series.n_absent += 1,
                Some(Value::Number(number)) => {
                    let value = number.as_f64().ok_or("a number that is none")?;
                    series.points.push(Point { at_ms, value });
                }
                other => {
                    let other = other.map_or_else(String::new, Value::to_string);
                    return Err(format!("`{other}` in the column `{field}` is no number"));
                }
            }
        }
    }
    Ok(all)
}
