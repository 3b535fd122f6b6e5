//! The dotenv report, under GitLab's exact rules: one wrong line and the whole upload fails the job.

use std::fmt::Write;

/// GitLab's limit of the file is 5120 bytes, not reached itself.
pub const MAX_BYTES: usize = 5119;

/// The smallest limit of variables that any GitLab has.
pub const MAX_LINES: usize = 20;

/// Why GitLab would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A key that is no variable name.
    #[error("`{0}` is not a variable name: letters, digits and underscores only")]
    Key(String),
    /// A value that would break the file or be expanded.
    #[error("the value of `{0}` may hold neither a line break nor `$`")]
    Value(String),
    /// More variables than GitLab takes.
    #[error("{0} variables are more than the {MAX_LINES} that GitLab takes")]
    TooMany(usize),
    /// More bytes than GitLab takes.
    #[error("{0} bytes are more than the {MAX_BYTES} that GitLab takes")]
    TooLong(usize),
}

/// True for what GitLab takes as a key.
pub fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Returns `before` with the entries set by key; lines of `before` that GitLab would refuse are
/// dropped.
pub fn merge(before: &str, entries: &[(String, String)]) -> Result<String, Error> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for line in before.trim_start_matches('\u{feff}').lines() {
        if let Some((key, value)) = line.split_once('=')
            && is_key(key.trim())
            && is_value(value.trim())
        {
            set(&mut lines, key.trim(), value.trim());
        }
    }
    for (key, value) in entries {
        if !is_key(key) {
            return Err(Error::Key(key.clone()));
        }
        if !is_value(value) {
            return Err(Error::Value(key.clone()));
        }
        set(&mut lines, key, value.trim());
    }
    if lines.len() > MAX_LINES {
        return Err(Error::TooMany(lines.len()));
    }
    let mut text = String::new();
    for (key, value) in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key}={value}");
    }
    if text.len() > MAX_BYTES { Err(Error::TooLong(text.len())) } else { Ok(text) }
}

fn is_value(value: &str) -> bool {
    !value.contains(|c: char| c == '$' || (c.is_control() && c != '\t') || is_line_end(c))
}

/// What some reader takes for the end of a line.
fn is_line_end(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{85}')
}

fn set(lines: &mut Vec<(String, String)>, key: &str, value: &str) {
    match lines.iter_mut().find(|(known, _)| known == key) {
        Some((_, old)) => value.clone_into(old),
        None => lines.push((key.to_owned(), value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[track_caller]
    fn check(before: &str, list: &[(&str, &str)], after: &str) {
        assert_eq!(merge(before, &entries(list)).as_deref(), Ok(after));
    }

    #[test]
    fn entries_are_set_by_key_and_what_gitlab_refuses_is_dropped() {
        check("", &[("A", "1")], "A=1\n");
        check("A=1\nB=2\n", &[("A", "3"), ("C", "")], "A=3\nB=2\nC=\n");
        check("\u{feff}A=1\n\n# note\nno line\nB C=2\n=x\nA=2", &[], "A=2\n");
        check("X=a=b \r\n", &[("Q", " \"q\" ")], "X=a=b\nQ=\"q\"\n");
        check("HOSTILE=$(id)\n", &[("A", "1")], "A=1\n");
    }

    #[test]
    fn what_gitlab_would_refuse_is_an_error() {
        let one = |key: &str, value: &str| merge("", &entries(&[(key, value)])).unwrap_err();
        assert_eq!(one("a-b", ""), Error::Key("a-b".to_owned()));
        assert_eq!(one("", ""), Error::Key(String::new()));
        assert_eq!(one("A", "1\nB=2"), Error::Value("A".to_owned()));
        assert_eq!(one("A", "$PATH"), Error::Value("A".to_owned()));
        assert_eq!(one("A", &"x".repeat(5118)), Error::TooLong(5121));
        let many: Vec<_> = (0..21).map(|n| (format!("K{n}"), String::new())).collect();
        assert_eq!(merge("", &many), Err(Error::TooMany(21)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_always_what_gitlab_takes(
            before in "(?s).{0,200}",
            key in "[A-Z_]{1,8}",
            value in "(?s).{0,60}",
        ) {
            let line = regex::Regex::new(r"^[A-Za-z0-9_]+=[^\n]*$").unwrap();
            if let Ok(text) = merge(&before, &[(key.clone(), value.clone())]) {
                prop_assert!(text.len() < 5120);
                prop_assert!(text.ends_with('\n'));
                for written in text.trim_end_matches('\n').split('\n') {
                    prop_assert!(line.is_match(written), "{written:?}");
                    prop_assert!(!written.contains('$'));
                }
                let expected = format!("{key}={}", value.trim());
                prop_assert!(text.lines().any(|written| written == expected.trim_end()));
                prop_assert_eq!(merge(&text, &[]), Ok(text.clone()));
            } else {
                prop_assert!(!is_value(&value));
            }
        }
    }
}
