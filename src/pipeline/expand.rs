//! `$NAME` and `${NAME}` in values: once, as gitlab-runner (Go's `os.Expand`) reads them, or through
//! and through, as GitLab does.

use crate::pipeline::response::Variable;

/// References nest no deeper: those that go in a circle end here.
const MAX_DEPTH: usize = 10;

/// Replaces `$NAME` and `${NAME}` by what `lookup` gives; `$$` becomes `$`.
///
/// Not recursive: what a value brings is not looked at again.
pub fn expand(text: &str, lookup: &dyn Fn(&str) -> String) -> String {
    replaced(text, &|name, written| match name {
        Some("$") => "$".to_owned(),
        Some(name) => lookup(name),
        // A lone `$` stays; a malformed `${` is eaten, as Go does.
        None if written == "$" => "$".to_owned(),
        None => String::new(),
    })
}

/// Replaces references to variables and those in their values, the last one of a name counts.
///
/// As in GitLab what is not among them stays as it is written, for the runner to expand: it alone
/// knows where a variable of type file lies.
pub fn expand_nested(text: &str, variables: &[Variable]) -> String {
    nested(text, variables, 0)
}

fn nested(text: &str, variables: &[Variable], depth: usize) -> String {
    expand_known(text, &|name| {
        let variable = variables.iter().rev().find(|variable| variable.key == name)?;
        if variable.file {
            return None;
        }
        let is_done = variable.raw || depth == MAX_DEPTH;
        Some(if is_done {
            variable.value.clone()
        } else {
            nested(&variable.value, variables, depth + 1)
        })
    })
}

/// Replaces the references that `lookup` knows; all else stays as it is written.
fn expand_known(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> String {
    replaced(text, &|name, written| {
        name.filter(|name| *name != "$").and_then(lookup).unwrap_or_else(|| written.to_owned())
    })
}

/// Replaces every reference by what `with` makes of its name and of how it is written.
fn replaced(text: &str, with: &dyn Fn(Option<&str>, &str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let after = from.get(1..).unwrap_or_default();
        let (name, length) = name_of(after);
        out.push_str(&with(name, from.get(..=length).unwrap_or(from)));
        rest = after.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Returns the name that follows a `$`, and how many bytes it takes.
fn name_of(text: &str) -> (Option<&str>, usize) {
    if let Some(inner) = text.strip_prefix('{') {
        return match inner.find('}') {
            Some(0) => (None, 2),
            Some(end) => (inner.get(..end), end + 2),
            None => (None, 1),
        };
    }
    let special =
        |c: char| matches!(c, '*' | '#' | '$' | '@' | '!' | '?' | '-') || c.is_ascii_digit();
    if text.starts_with(special) {
        return (text.get(..1), 1);
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    if end == 0 { (None, 0) } else { (text.get(..end), end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_expanded_once_as_go_does() {
        let lookup = |name: &str| match name {
            "A" => "1".to_owned(),
            "B" => "$A".to_owned(),
            _ => String::new(),
        };
        for (text, expected) in [
            ("plain", "plain"),
            ("$A", "1"),
            ("${A}b", "1b"),
            ("$Ab", ""),
            ("$B", "$A"),
            ("$$A", "$A"),
            ("$UNSET-$$LITERAL", "-$LITERAL"),
            ("100%$", "100%$"),
            ("$.x", "$.x"),
            ("${A", "A"),
            ("${}x", "x"),
            ("λ$A é", "λ1 é"),
            ("$1x", "x"),
        ] {
            assert_eq!(expand(text, &lookup), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_known_stays_as_it_is_written() {
        let lookup = |name: &str| (name == "A").then(|| "1".to_owned());
        for (text, expected) in
            [("$A-${A}", "1-1"), ("$B/${B}x", "$B/${B}x"), ("$$A ${ $", "$$A ${ $")]
        {
            assert_eq!(expand_known(text, &lookup), expected, "{text}");
        }
    }
}
