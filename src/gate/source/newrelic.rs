//! New Relic: NRQL through `NerdGraph`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::Kind;
use super::ask::{Api, Ask, Body, Page, Said};
use crate::gate::series::{Point, Query, Series, millis};

/// NRQL of one account.
pub struct NewRelic {
    /// Its number.
    pub account: u64,
}

const DOCUMENT: &str = "query($account: Int!, $nrql: Nrql!) { actor { account(id: $account) { \
                        nrql(query: $nrql, timeout: 60) { results metadata { facets } } } } }";

#[derive(Deserialize)]
struct AnswerFile {
    #[serde(default)]
    data: Option<Value>,
    #[serde(default)]
    errors: Option<Vec<ErrorFile>>,
}

#[derive(Deserialize)]
struct ErrorFile {
    #[serde(default)]
    message: String,
    #[serde(default)]
    extensions: Option<Value>,
}

impl Api for NewRelic {
    fn kind(&self) -> Kind {
        Kind::NewRelic
    }

    /// The time is the gate's: a query that says its own could be about any other.
    fn ask(&self, query: &Query) -> Result<Ask, String> {
        let words: Vec<String> =
            query.text.split_whitespace().map(str::to_ascii_uppercase).collect();
        for word in ["SINCE", "UNTIL", "TIMESERIES", "COMPARE"] {
            if words.iter().any(|other| other == word) {
                return Err(format!("`{word}` is the gate's to say: leave it out"));
            }
        }
        // Ten facets are shown unless said otherwise, and nothing tells of the others.
        let has = |word: &str| words.iter().any(|other| other == word);
        let limit = if has("FACET") && !has("LIMIT") { " LIMIT MAX" } else { "" };
        let text = format!(
            "{}{limit} SINCE {} UNTIL {} TIMESERIES {} seconds",
            query.text.trim(),
            query.window.start_ms,
            query.window.end_ms,
            query.step.as_secs().max(1)
        );
        let variables = json!({ "account": self.account, "nrql": text });
        Ok(Ask::post("", Body::Json(json!({ "query": DOCUMENT, "variables": variables }))))
    }

    fn said(&self, body: &[u8]) -> Option<Said> {
        let answer: AnswerFile = serde_json::from_slice(body).ok()?;
        let errors = answer.errors.filter(|errors| !errors.is_empty())?;
        let is_about_the_query = errors.iter().all(|error| {
            let class = error.extensions.as_ref().and_then(|more| more.get("errorClass"));
            let class = class.and_then(Value::as_str).unwrap_or_default();
            class.contains("INVALID") || error.message.contains("NRQL Syntax")
        });
        let message = errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>();
        Some(Said { message: message.join("; "), is_about_the_query })
    }

    fn read(&self, body: &[u8], query: &Query) -> Result<Page, String> {
        let answer: AnswerFile = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let nrql = answer
            .data
            .as_ref()
            .and_then(|data| data.pointer("/actor/account/nrql"))
            .filter(|nrql| !nrql.is_null())
            .ok_or("no `data.actor.account.nrql`")?;
        let results =
            nrql.get("results").and_then(Value::as_array).ok_or("`results` is no list")?;
        let mut all: BTreeMap<BTreeMap<String, String>, Series> = BTreeMap::new();
        for bucket in results {
            push(&mut all, bucket, query)?;
        }
        let cut = cut_off(&query.text, &all);
        Ok(Page {
            series: all.into_values().collect(),
            warnings: cut.into_iter().collect(),
            ..Page::default()
        })
    }
}

/// As many facets as `LIMIT` lets through: whether there are others cannot be seen.
fn cut_off(query: &str, all: &BTreeMap<BTreeMap<String, String>, Series>) -> Option<String> {
    let words: Vec<String> = query.split_whitespace().map(str::to_ascii_uppercase).collect();
    let at = words.iter().position(|word| word == "LIMIT")?;
    let limit: usize = words.get(at + 1)?.parse().ok()?;
    let facets: BTreeSet<&String> = all.keys().filter_map(|labels| labels.get("facet")).collect();
    (facets.len() >= limit && !facets.is_empty())
        .then(|| format!("LIMIT {limit} is reached: other facets may be cut off"))
}

/// One series a field and facet. A bucket that reaches over the window's edge is left out.
fn push(
    all: &mut BTreeMap<BTreeMap<String, String>, Series>,
    bucket: &Value,
    query: &Query,
) -> Result<(), String> {
    let fields = bucket.as_object().ok_or("a bucket that is none")?;
    let moment = |key: &str| fields.get(key).and_then(Value::as_f64).and_then(millis);
    let begin = moment("beginTimeSeconds").ok_or("a bucket without `beginTimeSeconds`")?;
    let end = moment("endTimeSeconds").ok_or("a bucket without `endTimeSeconds`")?;
    if end <= begin {
        return Err("a bucket that ends before it begins".to_owned());
    }
    // One outside altogether is kept: the judge says what is wrong with it.
    let straddles = |edge: i64| begin < edge && edge < end;
    let is_whole = !straddles(query.window.start_ms) && !straddles(query.window.end_ms);
    let facet = fields.get("facet").map(|facet| match facet.as_array() {
        Some(all) => all.iter().map(text).collect::<Vec<_>>().join("/"),
        None => text(facet),
    });
    let is_told = |key: &str| {
        !matches!(key, "beginTimeSeconds" | "endTimeSeconds" | "facet" | "inspectedCount")
    };
    for (key, value) in fields.iter().filter(|(key, _)| is_told(key)) {
        if let Value::String(said) = value {
            if facet.as_deref() == Some(said) {
                continue;
            }
            return Err(format!("`{key}` is a text where a number is expected"));
        }
        // `percentile(duration, 95)` is a map of its own.
        let parts: Vec<(String, &Value)> = match value.as_object() {
            Some(map) => map.iter().map(|(part, value)| (format!("{key}.{part}"), value)).collect(),
            None => vec![(key.clone(), value)],
        };
        for (name, value) in parts {
            let mut labels = BTreeMap::from([("field".to_owned(), name)]);
            labels.extend(facet.clone().map(|facet| ("facet".to_owned(), facet)));
            let series =
                all.entry(labels.clone()).or_insert_with(|| Series { labels, ..Series::default() });
            match value {
                Value::Null => series.n_absent += 1,
                Value::Number(number) if is_whole => {
                    let value = number.as_f64().ok_or("a number that is none")?;
                    series.points.push(Point { at_ms: begin.midpoint(end), value });
                }
                Value::Number(_) => {}
                other
                @ (Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) => {
                    return Err(format!("`{key}` is {other}, which is no number"));
                }
            }
        }
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::series::Window;

    #[test]
    fn no_facet_is_cut_off_unseen() {
        let window = Window { start_ms: 1_700_000_000_000, end_ms: 1_700_000_060_000 };
        let query = |text: &str| Query {
            text: text.to_owned(),
            window,
            step: std::time::Duration::from_secs(15),
        };
        let api = NewRelic { account: 1 };
        for (text, expected) in [
            ("SELECT average(v) FROM Cpu FACET host", "FACET host LIMIT MAX SINCE"),
            ("SELECT average(v) FROM Cpu facet host limit 5", "facet host limit 5 SINCE"),
            ("SELECT average(v) FROM Cpu", "FROM Cpu SINCE"),
        ] {
            let Body::Json(body) = api.ask(&query(text)).unwrap().body else { panic!("no JSON") };
            assert!(body.to_string().contains(expected), "{body}");
        }
        let buckets: Vec<String> = (0..5)
            .map(|n| {
                format!(
                    r#"{{"beginTimeSeconds":1700000000,"endTimeSeconds":1700000010,"facet":"{n}","v":1}}"#
                )
            })
            .collect();
        let body = format!(
            r#"{{"data":{{"actor":{{"account":{{"nrql":{{"results":[{}]}}}}}}}}}}"#,
            buckets.join(",")
        );
        for (text, is_cut) in [("x FACET h LIMIT 5", true), ("x FACET h LIMIT 6", false)] {
            let page = api.read(body.as_bytes(), &query(text)).unwrap();
            assert_eq!(page.series.len(), 5);
            assert_eq!(!page.warnings.is_empty(), is_cut, "{text}: {:?}", page.warnings);
        }
    }
}
