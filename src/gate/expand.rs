//! Variables in queries: a value fills its place and can never become a part of the query.

use crate::job::Vars;

/// Fills `$NAME` and `${NAME}` in a query; `$$` is a dollar sign, any other `$` stays.
///
/// Inside a string of the query, quotes and backslashes of the value are escaped, as Wavefront and
/// Prometheus both read them. Outside a string only a plain name or number may stand.
pub fn expand(query: &str, vars: &dyn Vars) -> Result<String, String> {
    let mut out = String::with_capacity(query.len());
    let mut quote: Option<char> = None;
    let mut rest = query;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match (c, quote) {
            ('$', _) => dollar(after, quote, vars, &mut out)?,
            ('\\', Some('"' | '\'')) => {
                out.push(c);
                let next = after.chars().next();
                out.extend(next);
                &after[next.map_or(0, char::len_utf8)..]
            }
            ('"' | '\'' | '`', None) => {
                quote = Some(c);
                out.push(c);
                after
            }
            _ => {
                if quote == Some(c) {
                    quote = None;
                }
                out.push(c);
                after
            }
        };
    }
    match quote {
        Some(quote) => Err(format!("a string that starts with {quote} does not end: `{query}`")),
        None => Ok(out),
    }
}

/// Deals with what follows a dollar sign; returns what is left of the query.
fn dollar<'q>(
    after: &'q str,
    quote: Option<char>,
    vars: &dyn Vars,
    out: &mut String,
) -> Result<&'q str, String> {
    if let Some(rest) = after.strip_prefix('$') {
        out.push('$');
        return Ok(rest);
    }
    let (name, rest) = if let Some(braced) = after.strip_prefix('{') {
        let (name, rest) =
            braced.split_once('}').ok_or_else(|| format!("`${{{braced}` has no closing `}}`"))?;
        if name_length(name) != name.len() || name.is_empty() {
            return Err(format!("`${{{name}}}` is not the name of a variable"));
        }
        (name, rest)
    } else {
        after.split_at(name_length(after))
    };
    if name.is_empty() {
        out.push('$');
        return Ok(rest);
    }
    let value = vars.get(name).ok_or_else(|| format!("the variable `{name}` is not set"))?;
    out.push_str(&quoted(name, &value, quote)?);
    Ok(rest)
}

fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())
}

fn quoted(name: &str, value: &str, quote: Option<char>) -> Result<String, String> {
    if value.chars().any(char::is_control) {
        return Err(format!("the variable `{name}` holds a line break or a control character"));
    }
    match quote {
        Some('`') if value.contains('`') => {
            Err(format!("the variable `{name}` holds a backtick; use \"…\" around `${name}`"))
        }
        Some('`') => Ok(value.to_owned()),
        Some(_) => Ok(value.chars().fold(String::new(), |mut out, c| {
            if matches!(c, '\\' | '"' | '\'') {
                out.push('\\');
            }
            out.push(c);
            out
        })),
        None if value.is_empty() => Err(format!("the variable `{name}` is empty")),
        None if value.chars().all(|c| c.is_ascii_alphanumeric() || "_.:".contains(c)) => {
            Ok(value.to_owned())
        }
        None => Err(format!(
            "`{value}` (from `{name}`) is more than a name or a number; put quotes around `${name}`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn variables_fill_their_places() {
        let vars = vars(&[("pod", "web-1"), ("METRIC", "cpu.usage_rate"), ("n", "5")]);
        for (query, expected) in [
            (r#"ts("$METRIC", pod_name="${pod}")"#, r#"ts("cpu.usage_rate", pod_name="web-1")"#),
            ("up == $n", "up == 5"),
            (r#"x{a=~"^b$"}"#, r#"x{a=~"^b$"}"#),
            (r#"x{a="$$pod"}"#, r#"x{a="$pod"}"#),
            (r#"x{a="\"$pod"}"#, r#"x{a="\"web-1"}"#),
            ("rate(x[1m]) $", "rate(x[1m]) $"),
        ] {
            assert_eq!(expand(query, &vars).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_cannot_be_filled_is_told_by_name() {
        let vars = vars(&[("pod", "web-1"), ("bad", "a\nb"), ("tick", "a`b"), ("empty", "")]);
        for (query, part) in [
            (r#""$nothing""#, "`nothing` is not set"),
            ("up - $pod", "put quotes around `$pod`"),
            (r#""$bad""#, "control character"),
            ("x{a=`$tick`}", "backtick"),
            ("x > $empty", "is empty"),
            (r#""${pod""#, "no closing"),
            (r#""${p-d}""#, "not the name"),
            (r#"ts("x"#, "does not end"),
        ] {
            let error = expand(query, &vars).unwrap_err();
            assert!(error.contains(part), "{query}: {error}");
        }
    }

    /// Reads one string literal as Go and Wavefront do; returns what follows it.
    fn after_literal(text: &str) -> Option<&str> {
        let quote = text.chars().next()?;
        let mut escaped = false;
        for (at, c) in text.char_indices().skip(1) {
            match (escaped, c) {
                (true, _) => escaped = false,
                (false, '\\') => escaped = true,
                (false, c) if c == quote => return text.get(at + 1..),
                (false, _) => {}
            }
        }
        None
    }

    proptest! {
        #[test]
        fn a_value_never_leaves_its_string(value in ".*", single in any::<bool>()) {
            let template = if single { "'$v' and tail" } else { "\"$v\" and tail" };
            let vars = vars(&[("v", &value)]);
            if let Ok(query) = expand(template, &vars) {
                prop_assert_eq!(after_literal(&query), Some(" and tail"));
            }
        }

        #[test]
        fn a_bare_value_is_one_word(value in ".*") {
            if let Ok(query) = expand("up > $v", &vars(&[("v", &value)])) {
                prop_assert_eq!(query.split_whitespace().count(), 3);
                let is_word = !query.contains(['"', '(', ')', '-', '*', '{']);
                prop_assert!(is_word, "{}", query);
            }
        }
    }
}
