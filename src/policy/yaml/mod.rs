//! YAML files that people write, read so that every mistake is told, not only the first.
//!
//! serde stops at the first mistake. So a file is read into a tree that knows its lines; a wrong
//! part is told and left out, and the rest is read again, until nothing is wrong with what is left.

mod mistake;
mod tree;
mod de;
mod access;

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

pub use tree::{Kind, Node};

use super::problem::Problem;
#[cfg(test)]
use super::problem::Problems;

/// A file as a tree, with what was left out of it.
#[derive(Debug, Clone)]
pub struct Document {
    file: PathBuf,
    root: Node,
    left_out: HashSet<String>,
}

/// A file as far as it could be read, and every mistake in it.
#[derive(Debug)]
pub struct Parsed<T> {
    /// The value without its wrong parts; `None` when what is left is no `T`.
    pub value: Option<T>,
    /// Where things stand.
    pub document: Document,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Reads a text whose every part must be right.
#[cfg(test)]
pub fn read<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, Problems> {
    let parsed = parse(file, text);
    match parsed.value {
        Some(value) if parsed.problems.is_empty() => Ok(value),
        _ => Err(Problems(sorted(parsed.problems))),
    }
}

/// Reads a text as far as it goes.
pub fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Parsed<T> {
    let (root, mistakes) = tree::parse(text);
    let mut document = Document { file: file.to_owned(), root, left_out: HashSet::new() };
    let mut problems: Vec<Problem> =
        mistakes.into_iter().map(|mistake| mistake.into_problem(file)).collect();
    let is_yaml = problems.iter().all(|problem| !problem.key.is_empty());
    if !is_yaml {
        return Parsed { value: None, document, problems };
    }
    let mut told = BTreeSet::new();
    // Every turn leaves something out, so there are never more turns than nodes.
    for _ in 0..=document.root.size() {
        let run = de::Run::new(&document.left_out);
        let result = T::deserialize(de::At::root(&document.root, &run));
        for mistake in run.into_mistakes() {
            if told.insert((mistake.key().to_owned(), mistake.message().to_owned())) {
                problems.push(mistake.into_problem(file));
            }
        }
        match result {
            Ok(value) => return Parsed { value: Some(value), document, problems },
            Err(mistake) => {
                let key = mistake.key().to_owned();
                if !mistake.is_consequence()
                    && told.insert((key.clone(), mistake.message().to_owned()))
                {
                    problems.push(mistake.into_problem(file));
                }
                if key.is_empty() || !document.left_out.insert(key) {
                    break;
                }
            }
        }
    }
    Parsed { value: None, document, problems }
}

/// Sorts by place, as a reader goes through a file.
pub fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    problems.dedup();
    problems
}

impl Document {
    /// Returns the node at a key's path.
    pub fn at(&self, key: &str) -> Option<&Node> {
        self.root.at(key)
    }

    /// True when a key was left out for a mistake.
    pub fn is_left_out(&self, key: &str) -> bool {
        self.left_out.contains(key)
    }

    /// True when nothing was left out at, above or below a key.
    pub fn is_whole(&self, key: &str) -> bool {
        !self.left_out.iter().any(|left| {
            left.strip_prefix(key)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                || key.strip_prefix(left.as_str()).is_some_and(|rest| rest.starts_with(['.', '[']))
        })
    }

    /// Returns a mistake at a key, or at the nearest key above it that is there.
    pub fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        let mut above = key;
        let place = loop {
            if let Some(place) = self.root.place(above) {
                break place;
            }
            above = above.rfind(['.', '[']).map_or("", |end| &above[..end]);
        };
        Problem {
            file: self.file.clone(),
            line: place.line,
            column: place.column,
            key: key.to_owned(),
            message: message.into(),
            hint: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Write;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::unit::Span;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Top {
        name: String,
        #[serde(default)]
        wait: Option<Span>,
        #[serde(default)]
        sources: BTreeMap<String, Source>,
        #[serde(default)]
        items: Vec<Item>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Source {
        Plain,
        Remote(Remote),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Remote {
        url: String,
        token_file: Option<String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Item {
        n_users: u32,
        #[serde(default)]
        is_on: bool,
    }

    #[track_caller]
    fn problems(text: &str) -> Vec<String> {
        read::<Top>(Path::new("f.yaml"), text)
            .unwrap_err()
            .0
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_right_file_reads_as_written() {
        let top: Top = read(
            Path::new("f.yaml"),
            "name: 1.10\nwait: 1m\nsources:\n  a: plain\n  b: { remote: { url: x } }\n\
             items:\n  - &one { n-users: 5 }\n  - *one\n  - { <<: *one, is-on: true }\n",
        )
        .unwrap();
        assert_eq!(top.name, "1.10");
        assert_eq!(top.wait, Some(Span::seconds(60)));
        assert_eq!(top.sources["a"], Source::Plain);
        assert_eq!(top.items.len(), 3);
        assert_eq!(top.items[2], Item { n_users: 5, is_on: true });
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_key() {
        let told = problems(
            "name: [a]\n\
             wiat: 1m\n\
             wait: soon\n\
             sources:\n\
             \x20 a: { remote: { url: x, token: abc } }\n\
             \x20 b: { remot: { url: x } }\n\
             \x20 c: { remote: { token-file: x } }\n\
             items:\n\
             \x20 - { n-users: -5 }\n\
             \x20 - { n-users: 5, is-on: maybe }\n\
             \x20 - { n-users: 5, n-users: 6 }\n",
        );
        assert_eq!(
            told,
            [
                "f.yaml:1:7: name: must be a text, not a list",
                "f.yaml:2:1: wiat: unknown key `wiat` (did you mean `wait`?)",
                "f.yaml:3:7: wait: `soon` is not a duration such as `250ms`, `30s` or `1m30s`",
                "f.yaml:5:26: sources.a.remote.token: unknown key `token` (secrets are never written here: put it into a file and name that by `token-file`)",
                "f.yaml:6:8: sources.b: unknown key `remot` (did you mean `remote`?)",
                "f.yaml:7:16: sources.c.remote: `url` is missing",
                "f.yaml:9:16: items[0].n-users: must be a whole number from 0 to 4294967295, not `-5`",
                "f.yaml:10:26: items[1].is-on: must be `true` or `false`, not `maybe`",
                "f.yaml:11:19: items[2].n-users: `n-users` is there twice",
            ]
        );
    }

    #[test]
    fn what_is_no_yaml_is_told_once() {
        let told = problems("name: [a\nb: }");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("f.yaml:2:"), "{told:?}");
        assert_eq!(
            problems("name: a\n---\nname: b\n"),
            ["f.yaml:2:1: a second document: a file holds one"]
        );
        assert_eq!(problems(""), ["f.yaml:1:1: `name` is missing"]);
        assert_eq!(problems("- a"), ["f.yaml:1:1: must be a map of keys, not a list"]);
    }

    #[test]
    fn aliases_do_not_grow_without_bound() {
        let mut text = "name: a\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let one = format!("*a{}", n - 1);
            _ = writeln!(text, "a{n}: &a{n} [{}]", [one.as_str(); 10].join(", "));
        }
        let told = problems(&text);
        assert!(told.iter().any(|told| told.contains("too large")), "{told:?}");
    }

    #[test]
    fn what_was_left_out_is_known() {
        let parsed = parse::<Top>(Path::new("f.yaml"), "name: a\nsources: { a: { remote: 5 } }\n");
        assert!(parsed.value.is_some());
        assert!(!parsed.document.is_whole("sources"));
        assert!(!parsed.document.is_whole("sources.a.remote.url"));
        assert!(parsed.document.is_whole("name"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_told_with_a_line(text in "[a-z:&*<{}\\[\\],'\"#~!0-9 \n-]{0,80}") {
            if let Err(problems) = read::<Top>(Path::new("f.yaml"), &text) {
                prop_assert!(!problems.0.is_empty());
                prop_assert!(problems.0.iter().all(|problem| problem.line > 0), "{problems}");
            }
        }

        #[test]
        fn a_broken_file_is_told_and_never_a_panic(at in 0_usize..400, with in "[a-z:{}\\[\\], \n-]{0,3}") {
            let mut text = "name: a\nwait: 1m\nsources:\n  a: plain\n  b: { remote: { url: x } }\n\
                            items:\n  - &one { n-users: 5 }\n  - *one\n  - { <<: *one, is-on: true }\n"
                .to_owned();
            let at = at % text.len();
            text.replace_range(at..=at, &with);
            if let Err(problems) = read::<Top>(Path::new("f.yaml"), &text) {
                prop_assert!(problems.0.iter().all(|problem| problem.line > 0), "{problems}");
            }
        }
    }
}
