//! The `[[runners]]` entries of gitlab-runner's configuration, however they are written in TOML.

use std::collections::BTreeMap;

use toml_edit::{Document, Item, TableLike, Value};

/// One `[[runners]]` entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// The line that it starts on, from 1.
    pub line: usize,
    /// Its own keys.
    pub keys: BTreeMap<String, Vec<String>>,
    /// Those of `[runners.custom]`.
    pub custom: BTreeMap<String, Vec<String>>,
}

/// A configuration that is no TOML; nothing of its content, which holds tokens, is in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no valid TOML (line {line}, column {column}): {problem}")]
pub struct Broken {
    line: usize,
    column: usize,
    problem: String,
}

impl Entry {
    /// Returns a key of the entry itself.
    pub fn text(&self, key: &str) -> &str {
        first(&self.keys, key)
    }

    /// Returns a key of `[runners.custom]`.
    pub fn custom(&self, key: &str) -> &str {
        first(&self.custom, key)
    }
}

fn first<'a>(keys: &'a BTreeMap<String, Vec<String>>, key: &str) -> &'a str {
    keys.get(key).and_then(|values| values.first()).map_or("", String::as_str)
}

/// Reads the `[[runners]]` entries of a configuration.
pub fn entries(text: &str) -> Result<Vec<Entry>, Broken> {
    let document = Document::parse(text).map_err(|error| {
        let (line, column) = place(text, error.span().map_or(0, |span| span.start));
        let problem = error.message().lines().next().unwrap_or_default().to_owned();
        Broken { line, column, problem }
    })?;
    let line =
        |span: Option<std::ops::Range<usize>>| place(text, span.map_or(0, |span| span.start)).0;
    Ok(match document.as_table().get("runners") {
        Some(Item::ArrayOfTables(tables)) => {
            tables.iter().map(|table| entry(line(table.span()), table)).collect()
        }
        Some(Item::Value(Value::Array(tables))) => tables
            .iter()
            .filter_map(|value| Some(entry(line(value.span()), value.as_inline_table()?)))
            .collect(),
        Some(Item::None | Item::Value(_) | Item::Table(_)) | None => Vec::new(),
    })
}

fn entry(line: usize, table: &dyn TableLike) -> Entry {
    let custom = table.get("custom").and_then(Item::as_table_like);
    Entry { line, keys: keys(table), custom: custom.map(keys).unwrap_or_default() }
}

/// The keys that hold texts, lists of them, numbers or truth values.
fn keys(table: &dyn TableLike) -> BTreeMap<String, Vec<String>> {
    table
        .iter()
        .filter_map(|(key, item)| Some((key.to_owned(), values(item.as_value()?))))
        .collect()
}

fn values(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.value().clone()],
        Value::Integer(number) => vec![number.value().to_string()],
        Value::Float(number) => vec![number.value().to_string()],
        Value::Boolean(truth) => vec![truth.value().to_string()],
        Value::Datetime(moment) => vec![moment.value().to_string()],
        Value::Array(list) => list.iter().flat_map(values).collect(),
        Value::InlineTable(_) => Vec::new(),
    }
}

/// Line and column of a place in a text, both from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entries_of_a_configuration_are_found_with_their_keys() {
        let text = r#"
concurrent = 4   # at the same time
[session_server]
  session_timeout = 1800

[[runners]]
  name = "perf # one"
  executor = "custom"
  [runners.custom]
    config_exec = "/usr/local/bin/dyno"
    config_args = ["config", "--policy", "/etc/dyno/dyno.yaml", # where
      "--tags", 'Dedicated',
    ]
    graceful_kill_timeout = 45
  [runners.cache]
    config_exec = "other"
[[runners]]
  name = "say \"two\""
  executor = "shell"
"#;
        let entries = entries(text).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].line, 6);
        assert_eq!(entries[0].text("name"), "perf # one");
        assert_eq!(entries[0].custom("config_exec"), "/usr/local/bin/dyno");
        assert_eq!(
            entries[0].custom["config_args"],
            ["config", "--policy", "/etc/dyno/dyno.yaml", "--tags", "Dedicated"]
        );
        assert_eq!(entries[0].custom("graceful_kill_timeout"), "45");
        assert_eq!(entries[1].text("name"), "say \"two\"");
        assert_eq!(entries[1].custom("config_exec"), "");
    }

    #[test]
    fn an_entry_is_found_however_it_is_written() {
        let dotted = "[[runners]]\nname = 'a'\ncustom.config_exec = \"/bin/dyno\"\n\
                      custom.config_args = ['config']\n";
        let inline = "[[runners]]\nname = \"\"\"\na\"\"\"\n\
                      custom = { config_exec = '''/bin/dyno''', config_args = [\"config\"] }\n";
        let quoted = "[[\"runners\"]]\nname = \"\\u0061\"\n[\"runners\".custom]\n\
                      \"config_exec\" = \"/bin/dyno\"\nconfig_args = [\n'config', # [x]\n]\n";
        let list = "runners = [{ name = 'a', custom = { config_exec = '/bin/dyno', \
                    config_args = ['config'] } }]\n";
        for text in [dotted, inline, quoted, list] {
            let entries = entries(text).unwrap();
            assert_eq!(entries.len(), 1, "{text}");
            assert_eq!((entries[0].line, entries[0].text("name")), (1, "a"), "{text}");
            assert_eq!(entries[0].custom("config_exec"), "/bin/dyno", "{text}");
            assert_eq!(entries[0].custom["config_args"], ["config"], "{text}");
        }
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_place_and_without_its_content() {
        for (text, line) in [
            ("[[runners]]\n  token = \"SUPERSECRET\n", 2),
            ("concurrent = 4\n[[runners]\n", 2),
            ("[[runners]]\ntoken = 'SUPERSECRET'\ntoken = 'SUPERSECRET'\n", 3),
            ("[[runners]]\ntoken = SUPERSECRET\n", 2),
        ] {
            let error = entries(text).unwrap_err();
            let told = format!("{error} {error:?}");
            assert!(told.starts_with(&format!("is no valid TOML (line {line}, ")), "{told}");
            assert!(!told.contains("SUPERSECRET"), "{told}");
        }
    }
}
