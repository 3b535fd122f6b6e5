//! As much TOML as gitlab-runner's own configuration has: tables, texts, lists of texts, numbers.

use std::collections::BTreeMap;

/// One `[[runners]]` entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Line of its `[[runners]]`, from 1.
    pub line: usize,
    /// Its own keys.
    pub keys: BTreeMap<String, Vec<String>>,
    /// Those of `[runners.custom]`.
    pub custom: BTreeMap<String, Vec<String>>,
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    Entry,
    Custom,
    Other,
}

/// Reads the `[[runners]]` entries of a configuration; what is not understood is passed over.
pub fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut table = Table::Other;
    for (line, statement) in statements(text) {
        let statement = statement.trim();
        if statement.starts_with('[') {
            let header: String = statement.chars().filter(|c| !c.is_whitespace()).collect();
            table = match header.as_str() {
                "[[runners]]" => {
                    entries.push(Entry { line, ..Entry::default() });
                    Table::Entry
                }
                "[runners.custom]" => Table::Custom,
                _ => Table::Other,
            };
            continue;
        }
        let (Some((key, value)), Some(entry)) = (statement.split_once('='), entries.last_mut())
        else {
            continue;
        };
        let key = key.trim().trim_matches(['"', '\'']).to_owned();
        match table {
            Table::Entry => entry.keys.insert(key, values(value)),
            Table::Custom => entry.custom.insert(key, values(value)),
            Table::Other => None,
        };
    }
    entries
}

/// Splits into statements, with the line that each starts on: a list may go over several lines.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut statements = Vec::new();
    let mut open = String::new();
    let (mut start, mut line, mut depth) = (1, 1, 0_usize);
    let mut quote: Option<char> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('"'), '\\') => {
                open.push(c);
                open.extend(chars.next());
                continue;
            }
            (Some(mark), _) if mark == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') => {
                chars.by_ref().find(|c| *c == '\n');
                line += 1;
                if depth == 0 {
                    statements.push((start, std::mem::take(&mut open)));
                    start = line;
                }
                continue;
            }
            (None, '[') => depth += 1,
            (None, ']') => depth = depth.saturating_sub(1),
            (_, '\n') => {
                line += 1;
                quote = None;
                if depth == 0 {
                    statements.push((start, std::mem::take(&mut open)));
                    start = line;
                    continue;
                }
            }
            (Some(_) | None, _) => {}
        }
        open.push(c);
    }
    statements.push((start, open));
    statements.retain(|(_, statement)| !statement.trim().is_empty());
    statements
}

/// The texts in a value; a number or a truth value is its own text.
fn values(value: &str) -> Vec<String> {
    let value = value.trim();
    let mut found = Vec::new();
    let mut chars = value.chars();
    while let Some(mark) = chars.next() {
        if mark != '"' && mark != '\'' {
            continue;
        }
        let mut text = String::new();
        while let Some(c) = chars.next() {
            match c {
                c if c == mark => break,
                '\\' if mark == '"' => text.extend(chars.next()),
                c => text.push(c),
            }
        }
        found.push(text);
    }
    if found.is_empty() && !value.starts_with('[') {
        found.push(value.to_owned());
    }
    found
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
        let entries = entries(text);
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
}
