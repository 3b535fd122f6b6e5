//! What a step wants of its answer beside the status: each check has a name that reports use.

use std::time::Duration;

use rand::rngs::SmallRng;
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::load::file::CheckFile;
use crate::load::jsonpath::JsonPath;
use crate::load::template::{Escape, Names, Scope, Template, Tree, text_of};
use crate::unit::Span;

/// A check as meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What reports call it.
    pub name: String,
    /// What is wanted.
    pub what: What,
}

/// What a check wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The status is one of the step's.
    Status,
    /// The body holds a text; a template.
    Contains(String),
    /// The body matches a regular expression.
    Matches(String),
    /// A JSON body has a value at a path; the value may hold templates.
    Json(String, Value),
    /// A header's value holds a text; a template.
    Header(String, String),
    /// The answer is complete so soon after the meant start.
    Time(Span),
}

impl What {
    /// Its key below `check:`.
    pub fn key(&self) -> String {
        match self {
            Self::Status => "status".to_owned(),
            Self::Contains(_) => "contains".to_owned(),
            Self::Matches(_) => "matches".to_owned(),
            Self::Json(path, _) => format!("json.{path}"),
            Self::Header(name, _) => format!("header.{name}"),
            Self::Time(_) => "time".to_owned(),
        }
    }
}

/// Returns the checks of a step, each under the step's own name for it.
pub fn checks(file: &CheckFile) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut add = |text: String, what: What| {
        let name = match &file.name {
            Some(name) => format!("{name}: {text}"),
            None => text,
        };
        checks.push(Check { name, what });
    };
    if let Some(status) = &file.status {
        add(format!("status {}", status.0.join(" or ")), What::Status);
    }
    for text in &file.contains {
        add(format!("body contains `{text}`"), What::Contains(text.clone()));
    }
    if let Some(pattern) = &file.matches {
        add(format!("body matches `{pattern}`"), What::Matches(pattern.clone()));
    }
    for (path, value) in &file.json {
        add(format!("{path} is {}", text_of(value)), What::Json(path.clone(), value.clone()));
    }
    for (name, text) in &file.header {
        let name = name.to_lowercase();
        add(format!("{name} contains `{text}`"), What::Header(name.clone(), text.clone()));
    }
    if let Some(span) = file.time {
        add(format!("within {span}"), What::Time(span));
    }
    checks
}

/// A check, ready to be made.
#[derive(Debug)]
pub struct CompiledCheck {
    /// What reports call it.
    pub name: String,
    /// Its number among the script's checks.
    pub number: usize,
    what: CompiledWhat,
}

#[derive(Debug)]
enum CompiledWhat {
    Status,
    Contains(Template),
    Matches(Regex),
    Json(JsonPath, Tree),
    Header(String, Template),
    Time(Duration),
}

/// What checks and variables look at.
pub struct Seen<'a> {
    /// True when the status is one that the step wants.
    pub is_status_fine: bool,
    /// Header names in lower case with their values; empty where nobody asked for them.
    pub headers: &'a [(String, String)],
    /// The body as text; empty where nobody asked for it.
    pub body: &'a str,
    /// The body as JSON, when it is.
    pub json: Option<&'a Value>,
    /// From the meant start to the last byte.
    pub elapsed: Duration,
}

impl Seen<'_> {
    /// Returns the values of a header.
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let is_it = move |(known, _): &&(String, String)| known == name;
        self.headers.iter().filter(is_it).map(|(_, value)| value.as_str())
    }
}

/// Compiles a regular expression of a plan.
pub fn regex(pattern: &str) -> Result<Regex, String> {
    const SIZE: usize = 1 << 20;
    regex::RegexBuilder::new(pattern).size_limit(SIZE).build().map_err(|error| {
        if matches!(error, regex::Error::CompiledTooBig(_)) {
            return format!("`{pattern}` is too large");
        }
        let text = error.to_string();
        let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("`{pattern}` is no regular expression: {why}")
    })
}

impl CompiledCheck {
    /// Compiles a check.
    pub fn new(check: &Check, number: usize, names: &Names) -> Result<Self, String> {
        let template = |text: &str| Template::parse(text, names).map_err(|error| error.to_string());
        let what = match &check.what {
            What::Status => CompiledWhat::Status,
            What::Contains(text) => CompiledWhat::Contains(template(text)?),
            What::Matches(pattern) => CompiledWhat::Matches(regex(pattern)?),
            What::Json(path, value) => CompiledWhat::Json(
                JsonPath::parse(path).map_err(|error| error.to_string())?,
                Tree::parse(value, names).map_err(|error| error.to_string())?,
            ),
            What::Header(name, text) => CompiledWhat::Header(name.clone(), template(text)?),
            What::Time(span) => CompiledWhat::Time(span.0),
        };
        Ok(Self { name: check.name.clone(), number, what })
    }

    /// True when it looks at the body.
    pub fn wants_body(&self) -> bool {
        match self.what {
            CompiledWhat::Contains(_) | CompiledWhat::Matches(_) | CompiledWhat::Json(..) => true,
            CompiledWhat::Status | CompiledWhat::Header(..) | CompiledWhat::Time(_) => false,
        }
    }

    /// True when it looks at the body as JSON.
    pub fn wants_json(&self) -> bool {
        matches!(self.what, CompiledWhat::Json(..))
    }

    /// True when it looks at headers.
    pub fn wants_headers(&self) -> bool {
        matches!(self.what, CompiledWhat::Header(..))
    }

    /// True when the answer is as wanted. A template without a value is not.
    pub fn holds(&self, seen: &Seen<'_>, scope: Scope<'_>, rng: &mut SmallRng) -> bool {
        match &self.what {
            CompiledWhat::Status => seen.is_status_fine,
            CompiledWhat::Contains(text) => {
                rendered(text, scope, rng).is_some_and(|text| seen.body.contains(&text))
            }
            CompiledWhat::Matches(regex) => regex.is_match(seen.body),
            CompiledWhat::Json(path, value) => {
                let Some(json) = seen.json else { return false };
                // What is not there is null.
                let found = path.find(json).unwrap_or(Value::Null);
                value.value(scope, rng).is_ok_and(|wanted| is_same(&found, &wanted))
            }
            CompiledWhat::Header(name, text) => rendered(text, scope, rng)
                .is_some_and(|text| seen.header(name).any(|value| value.contains(&text))),
            CompiledWhat::Time(span) => seen.elapsed <= *span,
        }
    }
}

/// 1, 1.0 and `1` are the same: what was saved from a text is compared with a number.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() < f64::EPSILON,
        _ => a == b || text_of(a) == text_of(b),
    }
}

fn rendered(template: &Template, scope: Scope<'_>, rng: &mut SmallRng) -> Option<String> {
    let mut text = String::new();
    template.render(scope, rng, Escape::None, &mut text).ok().map(|()| text)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use serde_json::json;

    use super::*;

    #[test]
    fn checks_hold_or_not() {
        let mut names = Names::default();
        names.variable("id");
        let variables = [Some(json!(7).into())];
        let scope = Scope { variables: &variables, ..Scope::default() };
        let body = r#"{"id":7,"ok":true,"n":1.0,"list":[{"a":"x"}],"gone":null}"#;
        let json: Value = serde_json::from_str(body).unwrap();
        let headers = [("content-type".to_owned(), "application/json; charset=utf-8".to_owned())];
        let seen = Seen {
            is_status_fine: true,
            headers: &headers,
            body,
            json: Some(&json),
            elapsed: Duration::from_millis(250),
        };
        for (yaml, name, holds) in [
            ("contains: ['\"ok\"']", "body contains `\"ok\"`", true),
            ("contains: ['id\":{{ id }},']", "body contains `id\":{{ id }},`", true),
            ("contains: [nothing]", "body contains `nothing`", false),
            ("matches: 'id.:\\d+'", "body matches `id.:\\d+`", true),
            ("matches: '^x'", "body matches `^x`", false),
            ("json: { $.id: '{{ id }}' }", "$.id is {{ id }}", true),
            ("json: { '$.list[0].a': x }", "$.list[0].a is x", true),
            ("json: { '$.list[*].a': [x] }", "$.list[*].a is [\"x\"]", true),
            ("json: { $.ok: false }", "$.ok is false", false),
            ("json: { $.n: 1 }", "$.n is 1", true),
            ("json: { $.n: '1.0' }", "$.n is 1.0", true),
            ("json: { $.gone: null }", "$.gone is null", true),
            ("header: { Content-Type: json }", "content-type contains `json`", true),
            ("header: { x-other: '' }", "x-other contains ``", false),
            ("time: 250ms", "within 250ms", true),
            ("time: 200ms", "within 200ms", false),
            ("{ status: [200, 2xx], name: login }", "login: status 200 or 2xx", true),
        ] {
            let file: CheckFile = serde_saphyr::from_str(yaml).unwrap();
            let checks = checks(&file);
            assert_eq!(checks.len(), 1, "{yaml}");
            let check = CompiledCheck::new(&checks[0], 0, &names).unwrap();
            let mut rng = SmallRng::seed_from_u64(1);
            assert_eq!((check.name.as_str(), check.holds(&seen, scope, &mut rng)), (name, holds));
        }
    }

    #[test]
    fn a_wrong_pattern_is_told() {
        assert_eq!(regex("a(").unwrap_err(), "`a(` is no regular expression: unclosed group");
        assert!(regex(r"\w{1000}{1000}").unwrap_err().ends_with("is too large"));
    }
}
