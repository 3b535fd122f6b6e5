//! `$NAME` and `${NAME}` in values, as gitlab-runner (Go's `os.Expand`) reads them: once.

/// Replaces `$NAME` and `${NAME}` by what `lookup` gives; `$$` becomes `$`.
///
/// Not recursive: what a value brings is not looked at again.
pub fn expand(text: &str, lookup: &dyn Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let after = from.get(1..).unwrap_or_default();
        let (name, length) = name_of(after);
        match name {
            Some("$") => out.push('$'),
            Some(name) => out.push_str(&lookup(name)),
            // A lone `$` stays; a malformed `${` is eaten, as Go does.
            None if length == 0 => out.push('$'),
            None => (),
        }
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
}
