//! Label selectors, as `-l` filters what files hold.

use serde_json::Value;

use super::mistake;
use crate::deploy::kubectl::Usage;

/// Requirements that all must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Above(i64),
    Below(i64),
}

impl Selector {
    /// Reads `a=b,c!=d,e in (f, g),h notin (i),j,!k`.
    pub fn parse(text: &str) -> Result<Self, Usage> {
        let mut requirements = Vec::new();
        for part in split(text) {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            let requirement = requirement(part).ok_or_else(|| {
                mistake(format!("the provided selector \"{text}\" is not valid: unable to parse requirement: found '{part}'"))
            })?;
            requirements.push(requirement);
        }
        Ok(Self(requirements))
    }

    /// True when an object's labels hold all requirements.
    pub fn matches(&self, labels: Option<&Value>) -> bool {
        self.0.iter().all(|Requirement { key, test }| {
            let value = labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
            let number = || value.and_then(|value| value.parse::<i64>().ok());
            match test {
                Test::In(values) => {
                    value.is_some_and(|value| values.iter().any(|known| known == value))
                }
                Test::NotIn(values) => {
                    value.is_none_or(|value| values.iter().all(|known| known != value))
                }
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
                Test::Above(limit) => number().is_some_and(|number| number > *limit),
                Test::Below(limit) => number().is_some_and(|number| number < *limit),
            }
        })
    }
}

/// Splits at commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    let mut start = 0;
    let mut parts = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(text.get(start..));
    parts
}

fn requirement(part: &str) -> Option<Requirement> {
    let key = |key: &str| {
        let key = key.trim();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        (!key.is_empty() && key.chars().all(plain)).then(|| key.to_owned())
    };
    let made = |name: &str, test: Test| Some(Requirement { key: key(name)?, test });
    if let Some(name) = part.strip_prefix('!') {
        return made(name, Test::Absent);
    }
    for (word, absent) in [(" notin ", true), (" in ", false), (" notin(", true), (" in(", false)] {
        if let Some((name, values)) = part.split_once(word) {
            let values = values.trim().trim_start_matches('(').strip_suffix(')')?;
            let values = values.split(',').map(|value| value.trim().to_owned()).collect();
            return made(name, if absent { Test::NotIn(values) } else { Test::In(values) });
        }
    }
    if let Some((name, value)) = part.split_once("!=") {
        return made(name, Test::NotIn(vec![value.trim().to_owned()]));
    }
    if let Some((name, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return made(name, Test::In(vec![value.trim().to_owned()]));
    }
    if let Some((name, value)) = part.split_once('>') {
        return made(name, Test::Above(value.trim().parse().ok()?));
    }
    if let Some((name, value)) = part.split_once('<') {
        return made(name, Test::Below(value.trim().parse().ok()?));
    }
    made(part, Test::Exists)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_choose_by_labels() {
        let labels = json!({"app": "web", "tier": "front", "n": "5"});
        for (selector, matches) in [
            ("app=web", true),
            ("app==web,tier!=back", true),
            ("app=api", false),
            ("app in (web, api),tier", true),
            ("app notin (web)", false),
            ("!gone,missing!=x", true),
            ("!app", false),
            ("n>4,n<6", true),
            ("", true),
        ] {
            assert_eq!(
                Selector::parse(selector).unwrap().matches(Some(&labels)),
                matches,
                "{selector}"
            );
        }
        assert!(Selector::parse("a b").is_err());
    }
}
