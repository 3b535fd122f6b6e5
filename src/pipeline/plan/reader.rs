//! Reading values out of the tree: every mistake is noted and the reading goes on.

use std::time::Duration;

use crate::pipeline::yaml::{Node, Place, Remark, Value};

/// Collects what is wrong and what is worth a word.
#[derive(Debug, Default)]
pub struct Reader {
    /// Mistakes: the pipeline is not run.
    pub wrong: Vec<Remark>,
    /// Warnings.
    pub warnings: Vec<Remark>,
}

impl Reader {
    /// Notes a mistake.
    pub fn wrong(&mut self, place: &Place, text: impl Into<String>) {
        self.wrong.push(Remark::new(place, text));
    }

    /// Notes a warning.
    pub fn warn(&mut self, place: &Place, text: impl Into<String>) {
        self.warnings.push(Remark::new(place, text));
    }

    /// A single value as text.
    pub fn text(&mut self, node: &Node, what: &str) -> String {
        let Some(text) = node.text() else {
            let told = format!("{what} must be a single value, this is {}", node.kind());
            self.wrong(&node.place, told);
            return String::new();
        };
        text.to_owned()
    }

    /// A single value or a list; lists inside of lists are flattened.
    pub fn texts(&mut self, node: &Node, what: &str) -> Vec<String> {
        match &node.value {
            Value::Null => Vec::new(),
            Value::Scalar { text, .. } => vec![text.clone()],
            Value::List(items) => {
                let mut out = Vec::with_capacity(items.len());
                for item in items {
                    if item.is_null() {
                        self.wrong(&item.place, format!("{what} has an empty entry"));
                    } else {
                        out.extend(self.texts(item, what));
                    }
                }
                out
            }
            Value::Map(_) | Value::Reference(_) => {
                let text = format!(
                    "{what} must be text or a list of texts, this is {}; quote a line with `: ` in it",
                    node.kind()
                );
                self.wrong(&node.place, text);
                Vec::new()
            }
        }
    }

    /// `true` or `false`.
    pub fn truth(&mut self, node: &Node, what: &str) -> bool {
        match node.text() {
            Some("true" | "yes" | "on") => true,
            Some("false" | "no" | "off") => false,
            _ => {
                self.wrong(&node.place, format!("{what} must be true or false"));
                false
            }
        }
    }

    /// A whole number.
    pub fn number<T: std::str::FromStr + Default>(&mut self, node: &Node, what: &str) -> T {
        let Some(number) = node.text().and_then(|text| text.parse().ok()) else {
            self.wrong(&node.place, format!("{what} must be a whole number"));
            return T::default();
        };
        number
    }

    /// Whole numbers: one or a list.
    pub fn codes(&mut self, node: &Node, what: &str) -> Vec<i32> {
        match &node.value {
            Value::List(items) => items.iter().map(|item| self.number(item, what)).collect(),
            Value::Null | Value::Scalar { .. } | Value::Map(_) | Value::Reference(_) => {
                vec![self.number(node, what)]
            }
        }
    }

    /// True for a map; nothing at all is none, and no mistake either.
    pub fn is_map(&mut self, node: &Node, what: &str) -> bool {
        match &node.value {
            Value::Map(_) => true,
            Value::Null => false,
            Value::Scalar { .. } | Value::List(_) | Value::Reference(_) => {
                let text = format!("{what} must be a map, this is {}", node.kind());
                self.wrong(&node.place, text);
                false
            }
        }
    }

    /// One of the words that are allowed.
    pub fn word(&mut self, node: &Node, what: &str, allowed: &[&str]) -> String {
        let text = self.text(node, what);
        if !text.is_empty() && !allowed.contains(&text.as_str()) {
            let text = format!("{what} is `{text}`, expected one of {}", allowed.join(", "));
            self.wrong(&node.place, text);
        }
        text
    }

    /// A span of time as GitLab reads it: `1h 30m`, `3 hours`, `90` (seconds).
    pub fn span(&mut self, node: &Node, what: &str) -> Duration {
        let text = self.text(node, what);
        span(&text).unwrap_or_else(|| {
            if !text.is_empty() {
                let text = format!("{what} is `{text}`, expected a time such as `1h 30m`");
                self.wrong(&node.place, text);
            }
            Duration::from_hours(1)
        })
    }

    /// Warns about the keys that are not in `known`.
    pub fn known(&mut self, node: &Node, what: &str, known: &[&str]) {
        for entry in node.entries() {
            if !known.contains(&entry.key.as_str()) {
                self.warn(&entry.place, format!("unknown keyword `{what}{}`: ignored", entry.key));
            }
        }
    }
}

/// Reads `1h 30m`, `3 hours 20 minutes`, `1.5 days`, `90`.
pub fn span(text: &str) -> Option<Duration> {
    let mut total = 0.0_f64;
    let mut rest = text.trim().trim_start_matches("and ");
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let number: f64 = number.parse().ok()?;
        let after = after.trim_start();
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        let seconds = match unit {
            "" | "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            "w" | "week" | "weeks" => 604_800.0,
            "mo" | "mon" | "mos" | "month" | "months" => 2_592_000.0,
            "y" | "yr" | "yrs" | "year" | "years" => 31_536_000.0,
            _ => return None,
        };
        total += number * seconds;
        rest = next.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        rest = rest.strip_prefix("and ").unwrap_or(rest);
    }
    Duration::try_from_secs_f64(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_gitlab_reads_them() {
        for (text, seconds) in [
            ("90", Some(90)),
            ("10 minutes", Some(600)),
            ("1h 30m", Some(5400)),
            ("3 hours and 20 min", Some(12_000)),
            ("1 week", Some(604_800)),
            ("1d12h", Some(129_600)),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(span(text), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
