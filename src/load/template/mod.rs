//! Templates in paths, headers and bodies: `{{ pick(ids) }}`, `{{ user.id }}`, `{{ random(1,2) }}`.
//!
//! Compiled once, variables resolved to slots; a template that is one expression keeps its type.

mod expression;
mod tree;
mod condition;

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use rand::rngs::SmallRng;
use serde_json::Value;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
pub use condition::Condition;
pub use expression::{Expression, at};
pub use tree::Tree;

/// A template that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

/// Why a template has no value now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// A variable that no step has set yet.
    #[error("`{0}` is not known")]
    Variable(String),
    /// Nothing to pick from, or nothing at this key.
    #[error("`{0}` holds nothing to take")]
    Nothing(String),
}

/// The names that templates may use, each with its place; grows while a journey is compiled.
#[derive(Debug, Default)]
pub struct Names {
    data: Vec<String>,
    variables: Vec<String>,
    env: Vec<String>,
}

/// Where a name's value is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Among the journey's lists.
    Data(usize),
    /// Among the user's variables.
    Variable(usize),
    /// Among the variables of whoever runs the plan.
    Env(usize),
}

impl Names {
    /// Starts with a journey's lists.
    pub fn new(data: impl Iterator<Item = String>) -> Self {
        Self { data: data.collect(), ..Self::default() }
    }

    /// Adds the variables that `env.NAME` may name.
    pub fn with_env(mut self, env: impl Iterator<Item = String>) -> Self {
        self.env = env.collect();
        self
    }

    /// Returns the variables that `env.NAME` may name.
    pub fn env(&self) -> impl Iterator<Item = String> + use<> {
        self.env.clone().into_iter()
    }

    /// Returns where the value of `env.NAME` is.
    pub fn find_env(&self, name: &str) -> Option<Place> {
        self.env.iter().position(|known| known == name).map(Place::Env)
    }

    /// Returns the variable's slot, made when it is new.
    pub fn variable(&mut self, name: &str) -> usize {
        self.variables.iter().position(|known| known == name).unwrap_or_else(|| {
            self.variables.push(name.to_owned());
            self.variables.len() - 1
        })
    }

    /// Returns where the name's value is; a user's variable hides a list of the same name.
    pub fn find(&self, name: &str) -> Option<Place> {
        let at = |names: &[String]| names.iter().position(|known| known == name);
        at(&self.variables).map(Place::Variable).or_else(|| at(&self.data).map(Place::Data))
    }

    /// Returns how many slots a user needs.
    pub fn n_variables(&self) -> usize {
        self.variables.len()
    }

    /// Returns the variables' names by slot.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(String::as_str)
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().chain(&self.data).map(String::as_str)
    }
}

/// What a template is evaluated with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    /// The journey's lists, each an array.
    pub data: &'a [Value],
    /// The user's variables.
    pub variables: &'a [Option<Arc<Value>>],
    /// The user's number, from 1.
    pub user: u32,
    /// The variables of whoever runs the plan.
    pub env: &'a [Value],
    /// What `counter()` counts by.
    pub counter: Option<&'a Counter>,
}

/// Counts so that no two threads ever give the same number.
#[derive(Debug)]
pub struct Counter {
    next: Cell<u64>,
    step: u64,
}

impl Counter {
    /// Begins at a number and goes on in steps.
    pub fn new(first: u64, step: u64) -> Self {
        Self { next: Cell::new(first), step }
    }

    /// Returns the next number.
    pub fn next(&self) -> u64 {
        self.next.replace(self.next.get().saturating_add(self.step))
    }
}

/// A text with expressions in it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Expression(Expression),
    /// A text that is packed before it is written.
    Base64(Template),
}

/// How values are written into the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// As they are.
    None,
    /// As parts of a URL's path and query: what cannot stand there is percent-encoded.
    Url,
    /// As a form's value.
    Form,
    /// As the inside of a JSON string.
    Json,
}

impl Template {
    /// Reads a text; every name in it must be among `names`.
    pub fn parse(text: &str, names: &Names) -> Result<Self, Error> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("{{") {
            if at > 0 {
                parts.push(Part::Text(rest[..at].to_owned()));
            }
            let inside = &rest[at + 2..];
            let end = inside
                .find("}}")
                .ok_or_else(|| Error(format!("`{}` is not closed by `}}}}`", rest[at..].trim())))?;
            parts.push(Part::Expression(Expression::parse(&inside[..end], names)?));
            rest = &inside[end + 2..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// Makes the value of an `authorization` header from a name and a password.
    pub fn basic(user: &str, password: &str, names: &Names) -> Result<Self, Error> {
        let mut parts = Self::parse(user, names)?.parts;
        parts.push(Part::Text(":".to_owned()));
        parts.extend(Self::parse(password, names)?.parts);
        Ok(Self { parts: vec![Part::Text("Basic ".to_owned()), Part::Base64(Self { parts })] })
    }

    /// The text, when there is no expression in it.
    pub fn as_fixed(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    fn as_expression(&self) -> Option<&Expression> {
        match self.parts.as_slice() {
            [Part::Expression(expression)] => Some(expression),
            _ => None,
        }
    }

    /// Appends the text to `to`.
    pub fn render(
        &self,
        scope: Scope<'_>,
        rng: &mut SmallRng,
        escape: Escape,
        to: &mut String,
    ) -> Result<(), Missing> {
        for part in &self.parts {
            match part {
                Part::Text(text) => match escape {
                    // Fixed parts of a path are the author's own: only what breaks a URL changes.
                    Escape::None => to.push_str(text),
                    Escape::Url | Escape::Form | Escape::Json => push_escaped(to, text, escape),
                },
                Part::Base64(template) => {
                    let mut text = String::new();
                    template.render(scope, rng, Escape::None, &mut text)?;
                    push_escaped(to, &STANDARD.encode(text), escape);
                }
                Part::Expression(expression) => {
                    let value = expression.eval(scope, rng)?;
                    push_escaped(to, &text_of(&value), escape);
                }
            }
        }
        Ok(())
    }
}

/// Writes a value as text: strings as they are, the rest as JSON.
pub fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Cow::Owned(value.to_string())
        }
    }
}

/// Appends `text`, escaped.
pub fn push_escaped(to: &mut String, text: &str, escape: Escape) {
    match escape {
        Escape::None => to.push_str(text),
        Escape::Url => {
            percent(to, text, |byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte));
        }
        Escape::Form => {
            percent(to, text, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
        }
        Escape::Json => push_json_string(to, text),
    }
}

fn percent(to: &mut String, text: &str, stays: impl Fn(u8) -> bool) {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    if text.bytes().all(&stays) {
        to.push_str(text);
        return;
    }
    for &byte in text.as_bytes() {
        if stays(byte) {
            to.push(char::from(byte));
        } else {
            to.push('%');
            to.push(HEX[usize::from(byte >> 4)]);
            to.push(HEX[usize::from(byte & 15)]);
        }
    }
}

fn push_json_string(to: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        to.push_str(text);
        return;
    }
    for character in text.chars() {
        match character {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            control if control < ' ' => {
                to.extend(["\\u", &format!("{:04x}", u32::from(control))]);
            }
            other => to.push(other),
        }
    }
}

/// Returns the text with each expression as `{expression}`: the name of an endpoint.
pub fn squeeze(text: &str) -> String {
    let mut name = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inside, next) = after.split_once("}}").unwrap_or((after, ""));
        name.push_str(before);
        name.push('{');
        name.extend(inside.chars().filter(|c| !c.is_whitespace()));
        name.push('}');
        rest = next;
    }
    name.push_str(rest);
    name
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use serde_json::json;

    use super::*;

    fn names() -> Names {
        let mut names = Names::new(["users".to_owned()].into_iter());
        for name in ["ids", "user", "unset"] {
            names.variable(name);
        }
        names.with_env(["TOKEN".to_owned()].into_iter())
    }

    fn render(text: &str, escape: Escape) -> Result<String, Missing> {
        let template = Template::parse(text, &names()).unwrap();
        let data = [json!([{ "id": 7, "name": "eric" }])];
        let variables =
            [Some(json!(["a b"])), Some(json!({ "id": 7, "tags": ["x", "y"], "n": "ü\"" })), None];
        let variables = variables.map(|value| value.map(Arc::new));
        let env = [json!("s3cret")];
        let counter = Counter::new(3, 4);
        let scope = Scope {
            data: &data,
            variables: &variables,
            user: 3,
            env: &env,
            counter: Some(&counter),
        };
        let mut to = String::new();
        template.render(scope, &mut SmallRng::seed_from_u64(1), escape, &mut to).map(|()| to)
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(render(text, Escape::None).as_deref(), Ok(expected), "{text}");
    }

    #[test]
    fn templates_render_as_written() {
        check("", "");
        check("/plain", "/plain");
        check("/{{ pick(ids) }}/x", "/a b/x");
        check("{{user.id}}", "7");
        check("{{ user.tags[1] }}-{{ user.tags[-1] }}", "y-y");
        check("{{ user.tags }}", r#"["x","y"]"#);
        check("{{ pick(users).name }}", "eric");
        check("{{ random(5, 5) }}", "5");
        check("{{ 'it' }}{{ \"q\" }}{{ 1.5 }}{{ -2 }}", "itq1.5-2");
        check("{{ vu() }}", "3");
        check("{ {x} } }}", "{ {x} } }}");
        check("{{ upper(user.n) }}", "Ü\"");
        check("{{ env.TOKEN }}", "s3cret");
        check("{{ counter() }}-{{ counter() }}", "3-7");
        check("{{ base64('a:b') }}", "YTpi");
        check("{{ plus(user.id, 1) }} {{ plus('1', 0.5) }}", "8 1.5");
        let text = render("{{ random_text(8) }}", Escape::None).unwrap();
        assert!(text.len() == 8 && text.bytes().all(|b| b.is_ascii_alphanumeric()), "{text}");
        let date = render("{{ now('%Y-%m-%d') }}", Escape::None).unwrap();
        assert!(date.len() == 10 && date.starts_with("20"), "{date}");
        let seconds = render("{{ timestamp() }}", Escape::None).unwrap();
        assert_eq!(seconds.len(), 10);
        let basic = Template::basic("eric", "{{ env.TOKEN }}", &names()).unwrap();
        let mut to = String::new();
        let env = [json!("x")];
        let scope = Scope { env: &env, ..Scope::default() };
        basic.render(scope, &mut SmallRng::seed_from_u64(1), Escape::None, &mut to).unwrap();
        assert_eq!(to, "Basic ZXJpYzp4");
    }

    #[test]
    fn values_are_escaped_for_their_place() {
        assert_eq!(render("/p/{{ pick(ids) }}?q=ü", Escape::Url).unwrap(), "/p/a%20b?q=%C3%BC");
        assert_eq!(render("{{ user.n }}", Escape::Json).unwrap(), "ü\\\"");
        assert_eq!(render("{{ pick(ids) }}&", Escape::Form).unwrap(), "a%20b%26");
    }

    #[test]
    fn a_value_that_is_not_there_is_told_by_name() {
        assert_eq!(render("{{ unset }}", Escape::None), Err(Missing::Variable("unset".into())));
        assert_eq!(
            render("{{ user.nothing }}", Escape::None),
            Err(Missing::Nothing("user.nothing".into()))
        );
        assert_eq!(
            render("{{ pick(user.id) }}", Escape::None),
            Err(Missing::Nothing("pick(user.id)".into()))
        );
    }

    #[test]
    fn a_template_that_cannot_be_read_says_why() {
        for (text, says) in [
            ("{{ id", "not closed"),
            ("{{ }}", "empty"),
            ("{{ other }}", "`other` is not set anywhere"),
            ("{{ pik(ids) }}", "did you mean `pick`?"),
            ("{{ now(1, 2) }}", "`now` takes 0 or 1 argument"),
            ("{{ env }}", "`env` needs the name"),
            ("{{ env.OTHER }}", "the variable `OTHER` is not set"),
            ("{{ pick() }}", "takes 1 argument"),
            ("{{ random(1) }}", "takes 2 arguments"),
            ("{{ pick(ids }}", "`)`"),
            ("{{ user. }}", "name"),
            ("{{ user[x] }}", "number"),
            ("{{ 'open }}", "quote"),
            ("{{ ids ids }}", "after"),
            ("{{ ? }}", "`?`"),
        ] {
            let error = Template::parse(text, &names()).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn nesting_has_a_bound() {
        let deep = format!("{{{{ {}1{} }}}}", "upper(".repeat(5000), ")".repeat(5000));
        assert!(Template::parse(&deep, &names()).unwrap_err().to_string().contains("nested"));
    }

    #[test]
    fn endpoint_names_are_squeezed() {
        for (text, name) in [
            ("/products/{{ pick(ids) }}", "/products/{pick(ids)}"),
            ("/a", "/a"),
            ("{{ x }}/{{y.z}}", "{x}/{y.z}"),
        ] {
            assert_eq!(squeeze(text), name);
        }
    }
}
