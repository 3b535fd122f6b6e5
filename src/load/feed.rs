//! Feeds: rows of a CSV or JSON file, one for each round or user.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::load::file::{AtEnd, FeedOrder, FeedPer};

/// A feed as meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feed {
    /// The variable that holds the row.
    pub name: String,
    /// The rows; never empty.
    pub rows: Vec<Value>,
    /// In which order they are taken.
    pub order: FeedOrder,
    /// When one is taken.
    pub per: FeedPer,
    /// What happens after the last one.
    pub at_end: AtEnd,
}

/// Which row comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This one.
    Row(usize),
    /// This one, and all were used before.
    Again(usize),
    /// None: all were used.
    None,
}

impl Feed {
    /// Returns the row for the `n`-th taking over all threads.
    pub fn next(&self, n: u64) -> Next {
        let length = u64::try_from(self.rows.len()).unwrap_or(1).max(1);
        let row = usize::try_from(n % length).unwrap_or(0);
        match (n < length, self.order, self.at_end) {
            (true, _, _) | (false, FeedOrder::Sequential | FeedOrder::Random, _) => Next::Row(row),
            (false, FeedOrder::Unique, AtEnd::Recycle) => Next::Again(row),
            (false, FeedOrder::Unique, AtEnd::Stop) => Next::None,
        }
    }
}

/// Reads the rows of a file: by its name as JSON, else as CSV.
pub fn rows(name: &str, text: &str) -> Result<Vec<Value>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rows = if name.to_lowercase().ends_with(".json") {
        serde_json::from_str::<Vec<Value>>(text)
            .map_err(|error| format!("`{name}` is no JSON list: {error}"))?
    } else {
        csv(text).map_err(|error| format!("`{name}` {error}"))?
    };
    if rows.is_empty() { Err(format!("`{name}` has no row")) } else { Ok(rows) }
}

/// Reads CSV with a head: each row an object of texts.
fn csv(text: &str) -> Result<Vec<Value>, String> {
    let mut records = records(text)?.into_iter();
    let head = records.next().map(|(_, fields)| fields).unwrap_or_default();
    if let [only] = head.as_slice()
        && let Some(mark) = [";", "\t", "|"].into_iter().find(|mark| only.contains(mark))
    {
        let (head, mark) = (only.escape_debug(), mark.escape_debug());
        return Err(format!(
            "has the one name `{head}` in its head: fields are parted by `,`, not `{mark}`"
        ));
    }
    let mut rows = Vec::new();
    for (line, fields) in records {
        if fields.len() != head.len() {
            let (found, wanted) = (fields.len(), head.len());
            return Err(format!("has {found} fields in line {line}, its head has {wanted}"));
        }
        let pairs = head.iter().cloned().zip(fields.into_iter().map(Value::from));
        rows.push(Value::Object(pairs.collect::<Map<_, _>>()));
    }
    Ok(rows)
}

/// The records of CSV (RFC 4180), each with its first line; empty lines are none.
fn records(text: &str) -> Result<Vec<(usize, Vec<String>)>, String> {
    let mut records = Vec::new();
    let mut fields: Vec<String> = Vec::new();
    let (mut field, mut is_quoted, mut was_quoted) = (String::new(), false, false);
    let (mut line, mut first) = (1, 1);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        line += usize::from(c == '\n');
        match c {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if is_quoted => is_quoted = false,
            c if is_quoted => field.push(c),
            '"' if field.is_empty() => (is_quoted, was_quoted) = (true, true),
            ',' => {
                fields.push(std::mem::take(&mut field));
                was_quoted = false;
            }
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' => {
                if !fields.is_empty() || !field.is_empty() || was_quoted {
                    fields.push(std::mem::take(&mut field));
                    records.push((first, std::mem::take(&mut fields)));
                }
                (first, was_quoted) = (line, false);
            }
            c => field.push(c),
        }
    }
    if is_quoted {
        return Err(format!("has a quote in line {first} that is not closed"));
    }
    if !fields.is_empty() || !field.is_empty() || was_quoted {
        fields.push(field);
        records.push((first, fields));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn files_become_rows() {
        let csv = "\u{feff}name,note\r\neric,\"a, \"\"b\"\"\nc\"\r\n\r\nphoebe,\"\"\n";
        assert_eq!(
            rows("a.csv", csv).unwrap(),
            [
                json!({ "name": "eric", "note": "a, \"b\"\nc" }),
                json!({ "name": "phoebe", "note": "" })
            ]
        );
        assert_eq!(rows("a.JSON", "[1, {\"a\": 2}]").unwrap(), [json!(1), json!({ "a": 2 })]);
        for (name, text, says) in [
            ("a.csv", "a,b\n1,2\n3\n", "`a.csv` has 1 fields in line 3, its head has 2"),
            ("a.csv", "a\n\"x\n", "`a.csv` has a quote in line 2 that is not closed"),
            ("a.csv", "a,b\n", "`a.csv` has no row"),
            (
                "a.csv",
                "a;b\n1;2\n",
                "`a.csv` has the one name `a;b` in its head: fields are parted by `,`, not `;`",
            ),
            ("a.json", "{}", "`a.json` is no JSON list"),
        ] {
            let error = rows(name, text).unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
    }

    proptest! {
        #[test]
        fn csv_reads_back_what_was_written(
            table in prop::collection::vec(prop::collection::vec("[a-z\",\n é]{0,6}", 2..3), 1..8),
        ) {
            let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",");
            let text: Vec<String> = table.iter().map(line).collect();
            let read = records(&text.join("\n")).unwrap();
            let read: Vec<Vec<String>> = read.into_iter().map(|(_, fields)| fields).collect();
            prop_assert_eq!(read, table);
        }
    }

    #[test]
    fn rows_are_taken_in_their_order_and_what_comes_after_the_last_is_told() {
        let feed = |order, at_end| Feed {
            name: "a".to_owned(),
            rows: vec![json!(1), json!(2)],
            order,
            per: FeedPer::Round,
            at_end,
        };
        let sequential = feed(FeedOrder::Sequential, AtEnd::Stop);
        assert_eq!(
            [0, 1, 2].map(|n| sequential.next(n)),
            [Next::Row(0), Next::Row(1), Next::Row(0)]
        );
        let unique = feed(FeedOrder::Unique, AtEnd::Stop);
        assert_eq!([1, 2].map(|n| unique.next(n)), [Next::Row(1), Next::None]);
        let recycled = feed(FeedOrder::Unique, AtEnd::Recycle);
        assert_eq!([1, 3].map(|n| recycled.next(n)), [Next::Row(1), Next::Again(1)]);
    }
}
