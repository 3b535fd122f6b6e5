//! What stands between `{{` and `}}`.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::Rng;
use rand::rngs::SmallRng;
use serde_json::Value;

use crate::load::error::suggest;
use crate::load::template::{Error, Missing, Names, Place, Scope, text_of};
use crate::near::nearest;

/// An expression, its names resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    text: String,
    root: Root,
    keys: Vec<Key>,
}

#[derive(Debug, Clone, PartialEq)]
enum Root {
    Literal(Value),
    Name { name: String, place: Place },
    Call { function: Function, arguments: Vec<Expression> },
}

#[derive(Debug, Clone, PartialEq)]
enum Key {
    Name(String),
    Index(i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Pick,
    Random,
    RandomText,
    Uuid,
    Now,
    Timestamp,
    Counter,
    Vu,
    Upper,
    Lower,
    Base64,
    Plus,
}

/// Name, function, and how many arguments it takes.
const FUNCTIONS: [(&str, Function, RangeInclusive<usize>); 12] = [
    ("pick", Function::Pick, 1..=1),
    ("random", Function::Random, 2..=2),
    ("random_text", Function::RandomText, 1..=1),
    ("uuid", Function::Uuid, 0..=0),
    ("now", Function::Now, 0..=1),
    ("timestamp", Function::Timestamp, 0..=0),
    ("counter", Function::Counter, 0..=0),
    ("vu", Function::Vu, 0..=0),
    ("upper", Function::Upper, 1..=1),
    ("lower", Function::Lower, 1..=1),
    ("base64", Function::Base64, 1..=1),
    ("plus", Function::Plus, 2..=2),
];

/// A random text is not longer than this.
const LONGEST_TEXT: i64 = 1 << 20;

const DEPTH: usize = 16;

impl Expression {
    /// Reads an expression; every name in it must be among `names`.
    pub fn parse(text: &str, names: &Names) -> Result<Self, Error> {
        let mut parser = Parser::new(text, names);
        if parser.rest.is_empty() {
            return Err(Error("an empty `{{ }}`: name a variable or a function".to_owned()));
        }
        let expression = parser.expression(0)?;
        if parser.rest.is_empty() {
            Ok(expression)
        } else {
            Err(Error(format!("`{}` after `{}` is not understood", parser.rest, expression.text)))
        }
    }

    /// Returns the value now.
    pub fn eval<'a>(
        &'a self,
        scope: Scope<'a>,
        rng: &mut SmallRng,
    ) -> Result<Cow<'a, Value>, Missing> {
        let value = match &self.root {
            Root::Literal(value) => Cow::Borrowed(value),
            Root::Name { name, place } => {
                let found = match place {
                    Place::Data(at) => scope.data.get(*at),
                    Place::Env(at) => scope.env.get(*at),
                    Place::Variable(at) => scope.variables.get(*at).and_then(Option::as_deref),
                };
                Cow::Borrowed(found.ok_or_else(|| Missing::Variable(name.clone()))?)
            }
            Root::Call { function, arguments } => self.call(*function, arguments, scope, rng)?,
        };
        self.keys
            .iter()
            .try_fold(value, |value, key| match value {
                Cow::Borrowed(value) => key.of(value).map(Cow::Borrowed),
                Cow::Owned(value) => key.of(&value).cloned().map(Cow::Owned),
            })
            .ok_or_else(|| self.nothing())
    }

    fn nothing(&self) -> Missing {
        Missing::Nothing(self.text.clone())
    }

    fn call<'a>(
        &'a self,
        function: Function,
        arguments: &'a [Self],
        scope: Scope<'a>,
        rng: &mut SmallRng,
    ) -> Result<Cow<'a, Value>, Missing> {
        // The most frequent one by far needs no list of its arguments.
        if let (Function::Pick, [list]) = (function, arguments) {
            let picked = match list.eval(scope, rng)? {
                Cow::Borrowed(list) => pick(list, rng).map(Cow::Borrowed),
                Cow::Owned(list) => pick(&list, rng).cloned().map(Cow::Owned),
            };
            return picked.ok_or_else(|| self.nothing());
        }
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(argument.eval(scope, rng)?);
        }
        let mut values = values.into_iter();
        let mut next = || values.next().ok_or_else(|| self.nothing());
        Ok(match function {
            Function::Pick => return Err(self.nothing()),
            Function::Random => {
                let (lo, hi) = (next()?.as_i64(), next()?.as_i64());
                let (Some(lo), Some(hi)) = (lo, hi) else { return Err(self.nothing()) };
                Cow::Owned(rng.random_range(lo.min(hi)..=hi.max(lo)).into())
            }
            Function::RandomText => {
                let length = next()?.as_i64().ok_or_else(|| self.nothing())?;
                Cow::Owned(random_text(length.clamp(0, LONGEST_TEXT), rng).into())
            }
            Function::Uuid => Cow::Owned(uuid(rng.random()).into()),
            Function::Now => Cow::Owned(match next() {
                Ok(format) => date(&text_of(&format)).ok_or_else(|| self.nothing())?.into(),
                Err(_) => now().into(),
            }),
            Function::Timestamp => Cow::Owned((now() / 1000).into()),
            Function::Counter => {
                let counter = scope.counter.ok_or_else(|| self.nothing())?;
                Cow::Owned(counter.next().into())
            }
            Function::Vu => Cow::Owned(scope.user.into()),
            Function::Upper => Cow::Owned(text_of(next()?.as_ref()).to_uppercase().into()),
            Function::Base64 => Cow::Owned(STANDARD.encode(&*text_of(next()?.as_ref())).into()),
            Function::Plus => {
                let (a, b) = (next()?, next()?);
                Cow::Owned(plus(&a, &b).ok_or_else(|| self.nothing())?)
            }
            Function::Lower => Cow::Owned(text_of(next()?.as_ref()).to_lowercase().into()),
        })
    }
}

impl Key {
    fn of<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        match self {
            Self::Name(name) => value.get(name),
            Self::Index(index) => at(value.as_array()?, *index),
        }
    }
}

/// Returns the element; negative indices count from the end.
pub fn at(list: &[Value], index: i64) -> Option<&Value> {
    let index = if index < 0 {
        list.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
    } else {
        usize::try_from(index).ok()?
    };
    list.get(index)
}

fn pick<'a>(list: &'a Value, rng: &mut SmallRng) -> Option<&'a Value> {
    let list = list.as_array().filter(|list| !list.is_empty())?;
    list.get(rng.random_range(0..list.len()))
}

fn uuid(random: u128) -> String {
    let bits = random & !(0xf << 76) & !(0x3 << 62) | (4 << 76) | (2 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn random_text(length: i64, rng: &mut SmallRng) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..length).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect()
}

/// Whole numbers stay whole; numbers in texts count as numbers.
fn plus(a: &Value, b: &Value) -> Option<Value> {
    let whole = |value: &Value| value.as_i64().or_else(|| text_of(value).trim().parse().ok());
    let float = |value: &Value| value.as_f64().or_else(|| text_of(value).trim().parse().ok());
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.saturating_add(b).into()),
        _ => serde_json::Number::from_f64(float(a)? + float(b)?).map(Value::Number),
    }
}

/// The moment as `strftime` writes it, in UTC.
fn date(format: &str) -> Option<String> {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    jiff::fmt::strtime::format(format, &now).ok()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Reads from the front of a text.
pub struct Parser<'a> {
    /// What is left.
    pub rest: &'a str,
    names: &'a Names,
}

impl<'a> Parser<'a> {
    /// Begins to read a text.
    pub fn new(text: &'a str, names: &'a Names) -> Self {
        Self { rest: text.trim(), names }
    }

    /// Takes a word of its own, when it comes next.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(word) else { return false };
        let is_whole = !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if is_whole {
            self.rest = rest.trim_start();
        }
        is_whole
    }

    /// Takes an expression and the space behind it.
    pub fn expression(&mut self, depth: usize) -> Result<Expression, Error> {
        if depth > DEPTH {
            return Err(Error(format!("calls are nested deeper than {DEPTH}")));
        }
        let before = self.rest;
        let root = self.root(depth)?;
        let mut keys = Vec::new();
        loop {
            if self.eat('.') {
                let name = self.word();
                if name.is_empty() {
                    return Err(Error(format!("a name is missing after `.` in `{before}`")));
                }
                keys.push(Key::Name(name.to_owned()));
            } else if self.eat('[') {
                let inside = self.until(']')?;
                let index = inside.trim().parse().map_err(|_| {
                    Error(format!("`[{inside}]` is not a number in square brackets"))
                })?;
                keys.push(Key::Index(index));
            } else {
                break;
            }
        }
        let text = before[..before.len() - self.rest.len()].trim().to_owned();
        self.rest = self.rest.trim_start();
        Ok(Expression { text, root, keys })
    }

    fn root(&mut self, depth: usize) -> Result<Root, Error> {
        for quote in ['\'', '"'] {
            if self.eat(quote) {
                return Ok(Root::Literal(self.until(quote)?.into()));
            }
        }
        if self.rest.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            return self.number();
        }
        let name = self.word();
        if name.is_empty() {
            let character = self.rest.chars().next().unwrap_or(' ');
            return Err(Error(format!("`{character}` is not understood in a template")));
        }
        if self.eat('(') {
            return self.call(name, depth);
        }
        match name {
            "true" => return Ok(Root::Literal(true.into())),
            "false" => return Ok(Root::Literal(false.into())),
            "null" => return Ok(Root::Literal(Value::Null)),
            _ => {}
        }
        if name == "env" && self.names.find(name).is_none() {
            return self.env();
        }
        let place = self.names.find(name).ok_or_else(|| {
            let known: Vec<&str> = self.names.all().collect();
            Error(match nearest(name, known.iter().copied()) {
                Some(meant) => {
                    format!("`{name}` is not set anywhere: did you mean `{meant}`?")
                }
                None => format!(
                    "`{name}` is not set anywhere: save it from an answer or list it under \
                     `data`; known here: {}",
                    known.join(", ")
                ),
            })
        })?;
        Ok(Root::Name { name: name.to_owned(), place })
    }

    /// `env.NAME`: a variable of whoever runs the plan.
    fn env(&mut self) -> Result<Root, Error> {
        let name = if self.eat('.') { self.word() } else { "" };
        if name.is_empty() {
            return Err(Error("`env` needs the name of a variable: `env.API_TOKEN`".to_owned()));
        }
        let place = self.names.find_env(name);
        let unset = || Error(format!("the variable `{name}` is not set"));
        Ok(Root::Name { name: format!("env.{name}"), place: place.ok_or_else(unset)? })
    }

    fn number(&mut self) -> Result<Root, Error> {
        let end = self
            .rest
            .char_indices()
            .find(|(at, c)| !(c.is_ascii_digit() || *c == '.' || (*c == '-' && *at == 0)))
            .map_or(self.rest.len(), |(at, _)| at);
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        let number: Value =
            serde_json::from_str(text).map_err(|_| Error(format!("`{text}` is not a number")))?;
        Ok(Root::Literal(number))
    }

    fn call(&mut self, name: &str, depth: usize) -> Result<Root, Error> {
        let (_, function, n_arguments) =
            FUNCTIONS.iter().find(|(known, _, _)| *known == name).ok_or_else(|| {
                let known: Vec<&str> = FUNCTIONS.iter().map(|(name, _, _)| *name).collect();
                Error(format!("there is no function `{name}`: {}", suggest(name, &known)))
            })?;
        let mut arguments = Vec::new();
        self.rest = self.rest.trim_start();
        while !self.eat(')') {
            if !arguments.is_empty() && !self.eat(',') {
                return Err(Error(format!("`{name}(` is not closed by `)`")));
            }
            self.rest = self.rest.trim_start();
            if self.rest.is_empty() {
                return Err(Error(format!("`{name}(` is not closed by `)`")));
            }
            arguments.push(self.expression(depth + 1)?);
        }
        if n_arguments.contains(&arguments.len()) {
            Ok(Root::Call { function: *function, arguments })
        } else {
            let (least, most) = (n_arguments.start(), n_arguments.end());
            let s = if *most == 1 { "" } else { "s" };
            let range = if least == most { String::new() } else { format!("{least} or ") };
            let found = arguments.len();
            Err(Error(format!("`{name}` takes {range}{most} argument{s}, not {found}")))
        }
    }

    fn eat(&mut self, character: char) -> bool {
        self.rest.strip_prefix(character).is_some_and(|rest| {
            self.rest = rest;
            true
        })
    }

    fn word(&mut self) -> &'a str {
        let end =
            self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn until(&mut self, end: char) -> Result<&'a str, Error> {
        let (inside, rest) = self.rest.split_once(end).ok_or_else(|| {
            let what = if end == ']' { "bracket" } else { "quote" };
            Error(format!("a {what} is not closed by `{end}` in `{}`", self.rest))
        })?;
        self.rest = rest;
        Ok(inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_version_and_variant() {
        for random in [0, u128::MAX, 0x1234_5678_9abc_def0_1122_3344_5566_7788] {
            let text = uuid(random);
            assert_eq!(text.len(), 36);
            assert_eq!(&text[14..15], "4", "{text}");
            assert!("89ab".contains(&text[19..20]), "{text}");
        }
    }
}
