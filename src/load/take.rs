//! What a step saves from its answer: `$.token`, `regex csrf=(\w+)`, `css a.next @href`, …

use regex::Regex;
use serde_json::Value;

use crate::load::check::{Seen, regex};
use crate::load::css::Css;
use crate::load::failure::Failure;
use crate::load::jsonpath::JsonPath;

/// Where a variable's value is taken from.
#[derive(Debug)]
pub enum Take {
    /// A path into a JSON body.
    Json(JsonPath, String),
    /// The first match of a regular expression in the body: its first group, or all of it.
    First(Regex),
    /// The same of every match, as a list.
    All(Regex),
    /// The first element of a page that a selector matches: an attribute or its text.
    Css(Css, String),
    /// The same of every such element, as a list.
    CssAll(Css, String),
    /// A header.
    Header(String),
    /// A cookie that the user has now.
    Cookie(String),
}

const WAYS: &str = "use `$.path`, `regex PATTERN`, `all PATTERN`, `css SELECTOR`, `css-all SELECTOR`, \
                    `header NAME` or `cookie NAME`";

impl Take {
    /// Reads where from.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.starts_with('$') {
            let path = JsonPath::parse(text).map_err(|error| error.to_string())?;
            return Ok(Self::Json(path, text.to_owned()));
        }
        match text.split_once(char::is_whitespace).map(|(way, what)| (way, what.trim())) {
            Some(("regex", pattern)) => Ok(Self::First(regex(pattern)?)),
            Some(("all", pattern)) => Ok(Self::All(regex(pattern)?)),
            Some(("css", what)) => Ok(Self::Css(Css::parse(what)?, text.to_owned())),
            Some(("css-all", what)) => Ok(Self::CssAll(Css::parse(what)?, text.to_owned())),
            Some(("header", name)) => Ok(Self::Header(name.to_lowercase())),
            Some(("cookie", name)) => Ok(Self::Cookie(name.to_owned())),
            Some(_) | None => Err(format!("`{text}` says not where from: {WAYS}")),
        }
    }

    /// True when it looks at the body.
    pub fn wants_body(&self) -> bool {
        match self {
            Self::Json(..) | Self::First(_) | Self::All(_) | Self::Css(..) | Self::CssAll(..) => {
                true
            }
            Self::Header(_) | Self::Cookie(_) => false,
        }
    }

    /// True when it looks at headers.
    pub fn wants_headers(&self) -> bool {
        matches!(self, Self::Header(_))
    }

    /// The text of a path into a JSON body.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Json(_, text) => Some(text),
            Self::First(_)
            | Self::All(_)
            | Self::Css(..)
            | Self::CssAll(..)
            | Self::Header(_)
            | Self::Cookie(_) => None,
        }
    }

    /// Takes the value; `cookie` finds one by its name.
    pub fn from<'a>(
        &self,
        seen: &Seen<'_>,
        cookie: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Value, Failure> {
        let found = match self {
            Self::Json(path, _) => match seen.json {
                Some(document) => path.find(document),
                None => path.find_in(seen.body.as_bytes()).map_err(|_| Failure::NotJson)?,
            },
            Self::First(regex) => regex.captures(seen.body).map(|captures| group(&captures)),
            Self::All(regex) => {
                let list: Vec<Value> =
                    regex.captures_iter(seen.body).map(|captures| group(&captures)).collect();
                (!list.is_empty()).then_some(Value::Array(list))
            }
            Self::Css(css, _) => css.find(seen.body, 1).into_iter().next().map(Value::from),
            Self::CssAll(css, _) => {
                let list = css.find(seen.body, usize::MAX);
                (!list.is_empty()).then(|| list.into())
            }
            Self::Header(name) => seen.header(name).next().map(Value::from),
            Self::Cookie(name) => cookie(name).map(Value::from),
        };
        found.ok_or_else(|| Failure::Save(self.text()))
    }

    /// What it is told as.
    fn text(&self) -> String {
        match self {
            Self::Json(_, text) | Self::Css(_, text) | Self::CssAll(_, text) => text.clone(),
            Self::First(regex) => format!("regex {regex}"),
            Self::All(regex) => format!("all {regex}"),
            Self::Header(name) => format!("header {name}"),
            Self::Cookie(name) => format!("cookie {name}"),
        }
    }
}

fn group(captures: &regex::Captures<'_>) -> Value {
    let found = captures.get(1).or_else(|| captures.get(0));
    found.map_or(Value::Null, |found| found.as_str().into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::load::tests::mutants::{changed, changes};

    #[test]
    fn values_come_from_where_the_plan_says() {
        let body = r#"{"a":1} <a href="/p/1"><a href="/p/2"> csrf: x9"#;
        let json = json!({ "a": 1 });
        let headers = [("location".to_owned(), "/home".to_owned())];
        let seen = Seen {
            is_status_fine: true,
            headers: &headers,
            body,
            json: Some(&json),
            elapsed: Duration::ZERO,
        };
        let cookie = |name: &str| (name == "sid").then_some("s1");
        for (text, value) in [
            ("$.a", Some(json!(1))),
            ("$.b", None),
            (r"regex csrf: \w+", Some(json!("csrf: x9"))),
            (r"regex  /p/(\d+)", Some(json!("1"))),
            (r"all /p/(\d+)", Some(json!(["1", "2"]))),
            ("all nothing", None),
            ("css a @href", Some(json!("/p/1"))),
            ("css-all a @href", Some(json!(["/p/1", "/p/2"]))),
            ("css p", None),
            ("header Location", Some(json!("/home"))),
            ("header x", None),
            ("cookie sid", Some(json!("s1"))),
            ("cookie other", None),
        ] {
            let found = Take::parse(text).unwrap().from(&seen, cookie);
            assert_eq!(found.ok(), value, "{text}");
        }
        for text in ["", "data", "regex", "css", "css a[", "$[", "regex ("] {
            assert!(Take::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_body_breaks_what_is_saved_of_it(
            noise in "[ -~\\n\u{e9}]{0,60}",
            changes in changes(),
            text in prop::sample::select(vec![
                "$.data[*].id", "$.data[-1]", "$.*", "regex id\":\"(\\w+)", "all (\\d*)", "css li", "css-all a @href",
                "header x", "cookie sid",
            ]),
        ) {
            let body = r#"{"data":[{"id":"p1"},{"id":2}]}<ul><li>a<li>b</ul><a href=/x>"#;
            let body = changed(format!("{noise}{body}").as_bytes(), &changes);
            let body = String::from_utf8_lossy(&body);
            let json = serde_json::from_str(&body).ok();
            let headers = [("x".to_owned(), noise)];
            let elapsed = Duration::ZERO;
            let seen = Seen { is_status_fine: true, headers: &headers, body: &body, json: json.as_ref(), elapsed };
            drop(Take::parse(text).unwrap().from(&seen, |_| None));
        }
    }
}
