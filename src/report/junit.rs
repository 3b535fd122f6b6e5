//! `junit.xml`: one suite a tool, replaced by name; the suites of others are kept as they are.

use std::fmt::Write;

/// The cases of one tool.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Suite {
    /// `dyno load`, `dyno gate`, `dyno deploy`: what it is replaced by.
    pub name: String,
    /// Its cases. GitLab takes only the first of equal names.
    pub cases: Vec<Case>,
}

/// One case: a criterion.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The criterion, never a measured value: GitLab compares runs by it.
    pub name: String,
    /// Its class: the plan's name, say.
    pub class: String,
    /// How long it took.
    pub seconds: f64,
    /// How it went.
    pub outcome: Outcome,
}

/// How a case went; the text is shown in the merge request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not hold.
    Failed(String),
    /// It could not be told, and that fails the job.
    Error(String),
    /// It could not be told, and that is let pass.
    Skipped(String),
}

/// A merged file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Its text.
    pub text: String,
    /// What could not be kept.
    pub warning: Option<String>,
}

/// Returns the file `before` with the suite put in place of the one with its name.
pub fn merge(before: &str, suite: &Suite) -> Merged {
    let (kept, warning) = match scan(before) {
        Ok(suites) => (suites, None),
        Err(why) => (
            Vec::new(),
            Some(format!("the JUnit file that was there could not be read ({why}): replaced")),
        ),
    };
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for Found { text: raw, .. } in kept.iter().filter(|found| found.name != suite.name) {
        text.push_str("  ");
        text.push_str(raw);
        text.push('\n');
    }
    push_suite(&mut text, suite);
    text.push_str("</testsuites>\n");
    Merged { text, warning }
}

fn push_suite(text: &mut String, suite: &Suite) {
    let count =
        |what: fn(&Outcome) -> bool| suite.cases.iter().filter(|case| what(&case.outcome)).count();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
        escape(&suite.name),
        suite.cases.len(),
        count(|outcome| matches!(outcome, Outcome::Failed(_))),
        count(|outcome| matches!(outcome, Outcome::Error(_))),
        count(|outcome| matches!(outcome, Outcome::Skipped(_))),
        suite.cases.iter().map(|case| case.seconds).sum::<f64>(),
    );
    for case in &suite.cases {
        let _ = write!(
            text,
            "    <testcase name=\"{}\" classname=\"{}\" time=\"{:.3}\"",
            escape(&case.name),
            escape(&case.class),
            case.seconds
        );
        let _ = match &case.outcome {
            Outcome::Passed => writeln!(text, "/>"),
            Outcome::Failed(why) => push_child(text, "failure", why),
            Outcome::Error(why) => push_child(text, "error", why),
            Outcome::Skipped(why) => push_child(text, "skipped", why),
        };
    }
    text.push_str("  </testsuite>\n");
}

fn push_child(text: &mut String, element: &str, why: &str) -> std::fmt::Result {
    let why = escape(why);
    let first = why.lines().next().unwrap_or_default();
    writeln!(text, "><{element} message=\"{first}\">{why}</{element}></testcase>")
}

/// Escapes for text and attributes; what XML cannot hold is left out.
fn escape(text: &str) -> String {
    let mut to = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '"' => to.push_str("&quot;"),
            '\n' | '\t' => to.push(character),
            '\u{fffe}' | '\u{ffff}' => {}
            control if control.is_control() => {}
            other => to.push(other),
        }
    }
    to
}

struct Found<'a> {
    name: String,
    text: &'a str,
}

/// A piece of markup.
enum Token<'a> {
    Open { name: &'a str, attributes: &'a str, is_closed: bool },
    Close(&'a str),
    Other,
}

/// Finds the suites at the top of the file: those in `<testsuites>`, or a lone root. Each one is
/// well-formed as far as its tags go, so it can stand in another file as it is.
fn scan(text: &str) -> Result<Vec<Found<'_>>, &'static str> {
    const OUTSIDE: &str = "text outside of its elements";
    const SPACE: [char; 5] = ['\u{feff}', ' ', '\r', '\n', '\t'];
    if text.chars().any(|c| c.is_control() && !SPACE.contains(&c)) {
        return Err("control characters");
    }
    let mut found = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    let mut suite: Option<(usize, usize, String)> = None;
    let mut at = 0;
    while let Some(begin) = text[at..].find('<').map(|n| at + n) {
        if open.is_empty() && !text[at..begin].trim_matches(SPACE).is_empty() {
            return Err(OUTSIDE);
        }
        let (token, end) = token(text, begin)?;
        match token {
            Token::Other => {}
            Token::Open { name, attributes, is_closed } => {
                let is_top = open.is_empty() || open == ["testsuites"];
                if open.is_empty() && !["testsuites", "testsuite"].contains(&name) {
                    return Err("its root is no test suite");
                }
                if is_top && name == "testsuite" {
                    let name = attribute(attributes, "name").unwrap_or_default();
                    if is_closed {
                        found.push(Found { name, text: &text[begin..end] });
                    } else {
                        suite = Some((open.len(), begin, name));
                    }
                }
                if !is_closed {
                    open.push(name);
                }
            }
            Token::Close(name) => {
                if open.pop() != Some(name) {
                    return Err("its tags do not match");
                }
                if let Some((depth, begin, name)) =
                    suite.take_if(|(depth, ..)| *depth == open.len())
                {
                    debug_assert_eq!(depth, open.len());
                    found.push(Found { name, text: &text[begin..end] });
                }
            }
        }
        at = end;
    }
    if !open.is_empty() {
        Err("it ends early")
    } else if text[at..].trim_matches(SPACE).is_empty() {
        Ok(found)
    } else {
        Err(OUTSIDE)
    }
}

/// Reads the markup at `begin`; returns it and where it ends.
fn token(text: &str, begin: usize) -> Result<(Token<'_>, usize), &'static str> {
    const EARLY: &str = "it ends early";
    let rest = &text[begin..];
    for (start, end) in [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")] {
        if let Some(inside) = rest.strip_prefix(start) {
            let length = inside.find(end).ok_or(EARLY)?;
            return Ok((Token::Other, begin + start.len() + length + end.len()));
        }
    }
    if rest.starts_with("<!") {
        return Err("it declares a document type");
    }
    let length = tag_length(rest).ok_or(EARLY)?;
    let inside = &rest[1..length - 1];
    let end = begin + length;
    if let Some(name) = inside.strip_prefix('/') {
        return Ok((Token::Close(name.trim_end()), end));
    }
    let is_closed = inside.ends_with('/');
    let inside = inside.strip_suffix('/').unwrap_or(inside);
    let (name, attributes) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
    let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || "-_.:".contains(c));
    if !is_name || inside.contains('<') {
        return Err("a tag has no name");
    }
    Ok((Token::Open { name, attributes, is_closed }, end))
}

/// Returns the length of the tag up to its `>`, which may also stand in quotes.
fn tag_length(tag: &str) -> Option<usize> {
    let mut quote = None;
    for (at, character) in tag.char_indices() {
        match (quote, character) {
            (None, '>') => return Some(at + 1),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    None
}

fn attribute(attributes: &str, wanted: &str) -> Option<String> {
    let mut rest = attributes;
    loop {
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| ['"', '\''].contains(c))?;
        let (value, next) = after[1..].split_once(quote)?;
        if name.trim() == wanted {
            return Some(
                value
                    .replace("&lt;", "<")
                    .replace("&gt;", ">")
                    .replace("&quot;", "\"")
                    .replace("&apos;", "'")
                    .replace("&amp;", "&"),
            );
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn suite(name: &str, outcome: Outcome) -> Suite {
        let case = Case {
            name: "p95 < 300ms".to_owned(),
            class: "shop".to_owned(),
            seconds: 1.5,
            outcome,
        };
        Suite { name: name.to_owned(), cases: vec![case] }
    }

    fn names(text: &str) -> Vec<String> {
        scan(text).unwrap().into_iter().map(|found| found.name).collect()
    }

    #[test]
    fn a_suite_reads_as_gitlab_reads_it() {
        let merged = merge("", &suite("dyno load", Outcome::Failed("312 > 300\n\u{1b}[0m".into())));
        assert_eq!(
            merged.text,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  \
             <testsuite name=\"dyno load\" tests=\"1\" failures=\"1\" errors=\"0\" skipped=\"0\" time=\"1.500\">\n    \
             <testcase name=\"p95 &lt; 300ms\" classname=\"shop\" time=\"1.500\">\
             <failure message=\"312 &gt; 300\">312 &gt; 300\n[0m</failure></testcase>\n  \
             </testsuite>\n</testsuites>\n"
        );
        assert_eq!(merged.warning, None);
    }

    #[test]
    fn a_suite_replaces_the_one_with_its_name_and_keeps_the_others() {
        let first = merge("", &suite("dyno load", Outcome::Passed));
        let second = merge(&first.text, &suite("dyno gate", Outcome::Error("no data".into())));
        let third = merge(&second.text, &suite("dyno load", Outcome::Skipped("later".into())));
        assert_eq!(names(&third.text), ["dyno gate", "dyno load"]);
        assert_eq!(third.warning, None);
        assert!(third.text.contains("<skipped") && third.text.contains("<error"));
    }

    #[test]
    fn suites_of_other_tools_are_kept_as_they_are() {
        let lone = "\u{feff}<?xml version='1.0'?><!-- x --><testsuite name='a &amp; b'>\
                    <testcase name=\"x>y\"/><testsuite name=\"inner\"></testsuite>\
                    <system-out><![CDATA[</testsuite>]]></system-out></testsuite>";
        let merged = merge(lone, &suite("dyno load", Outcome::Passed));
        assert_eq!(names(&merged.text), ["a & b", "dyno load"]);
        assert!(merged.text.contains("<![CDATA[</testsuite>]]>"), "{}", merged.text);
    }

    #[test]
    fn hostile_files_are_replaced_with_a_warning() {
        for before in [
            "<testsuites>",
            "<testsuites><testsuite name='a'></testsuites>",
            "</testsuites>",
            "<html></html>",
            "just text",
            "<!DOCTYPE x [<!ENTITY a 'b'>]><testsuites/>",
            "<testsuite name='",
            "<testsuite name=\"a\"><!-- </testsuite>",
            "<testsuites><testsuite name='a'><></testsuite></testsuites>",
            "<testsuite><a <b></a></testsuite>",
            "<testsuite name='a\u{1}'/>",
            "<testsuite/>rest",
        ] {
            let merged = merge(before, &suite("dyno load", Outcome::Passed));
            assert!(merged.warning.is_some(), "{before}");
            assert_eq!(names(&merged.text), ["dyno load"], "{before}");
        }
        assert_eq!(merge(" \n", &suite("a", Outcome::Passed)).warning, None);
    }

    proptest! {
        #[test]
        fn whatever_was_there_the_result_can_be_read_again(
            before in "(<testsuites>|<testsuite name='a'>|</testsuite>|</testsuites>|<b/>|<!--|-->|[<>&'\" x=/\n]){0,12}",
            why in "(?s).{0,40}",
        ) {
            let merged = merge(&before, &suite("dyno load", Outcome::Failed(why)));
            let found = scan(&merged.text);
            prop_assert!(found.is_ok(), "{}", merged.text);
            let n = found.unwrap().iter().filter(|found| found.name == "dyno load").count();
            prop_assert_eq!(n, 1);
        }
    }
}
