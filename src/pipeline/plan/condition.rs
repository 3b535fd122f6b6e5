//! `rules: if:` expressions: `$A == "b"`, `!=`, `=~ /re/`, `!~`, `&&`, `||`, parentheses.

use regex::RegexBuilder;

/// An expression that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Something stands where it may not.
    #[error("unexpected `{0}` in the condition")]
    Unexpected(String),
    /// It ends too early.
    #[error("the condition ends too early")]
    Incomplete,
    /// A pattern that is none.
    #[error("`{pattern}` is not a pattern: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why not.
        reason: String,
    },
}

/// What a variable is worth; `None` when it is not defined.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Returns whether a condition holds.
pub fn holds(text: &str, lookup: Lookup<'_>) -> Result<bool, Error> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, lookup };
    let value = parser.either()?;
    match parser.tokens.first() {
        None => Ok(value.is_true()),
        Some(token) => Err(Error::Unexpected(token.to_string())),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Variable(String),
    Text(String),
    Pattern { source: String, flags: String },
    Null,
    Sign(&'static str),
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "${name}"),
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::Pattern { source, flags } => write!(f, "/{source}/{flags}"),
            Self::Null => f.write_str("null"),
            Self::Sign(sign) => f.write_str(sign),
        }
    }
}

const SIGNS: &[&str] = &["==", "!=", "=~", "!~", "&&", "||", "(", ")"];

fn tokens(text: &str) -> Result<Vec<Token>, Error> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '$' => variable(rest)?,
            '"' | '\'' => quoted(rest, first)?,
            '/' => pattern(rest)?,
            _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (Token::Sign(sign), rest.get(sign.len()..).unwrap_or_default()),
                None => word(rest)?,
            },
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

fn variable(text: &str) -> Result<(Token, &str), Error> {
    let after = text.get(1..).unwrap_or_default();
    if let Some((name, after)) = after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
        return Ok((Token::Variable(name.to_owned()), after));
    }
    let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
    let (name, rest) = after.split_at(end);
    if name.is_empty() {
        return Err(Error::Unexpected("$".to_owned()));
    }
    Ok((Token::Variable(name.to_owned()), rest))
}

fn quoted(text: &str, quote: char) -> Result<(Token, &str), Error> {
    let inner = text.get(1..).unwrap_or_default();
    let (text, after) = inner.split_once(quote).ok_or(Error::Incomplete)?;
    Ok((Token::Text(text.to_owned()), after))
}

fn pattern(text: &str) -> Result<(Token, &str), Error> {
    let inner = text.get(1..).unwrap_or_default();
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        if c == '/' && !escaped {
            let source = inner.get(..at).unwrap_or_default().to_owned();
            let after = inner.get(at + 1..).unwrap_or_default();
            let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
            let (flags, after) = after.split_at(end);
            return Ok((Token::Pattern { source, flags: flags.to_owned() }, after));
        }
        escaped = c == '\\' && !escaped;
    }
    Err(Error::Incomplete)
}

fn word(text: &str) -> Result<(Token, &str), Error> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    match text.split_at(end) {
        ("null", after) => Ok((Token::Null, after)),
        ("", _) => Err(Error::Unexpected(text.chars().take(1).collect())),
        (word, _) => Err(Error::Unexpected(word.to_owned())),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Null,
    Text(String),
    Pattern { source: String, flags: String },
    Truth(bool),
}

impl Value {
    fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Text(text) => !text.is_empty(),
            Self::Pattern { .. } => true,
            Self::Truth(truth) => *truth,
        }
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    lookup: Lookup<'a>,
}

impl Parser<'_> {
    fn takes(&mut self, sign: &'static str) -> bool {
        match self.tokens.split_first() {
            Some((Token::Sign(found), rest)) if *found == sign => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }

    fn either(&mut self) -> Result<Value, Error> {
        let mut value = self.both()?;
        while self.takes("||") {
            let other = self.both()?;
            value = Value::Truth(value.is_true() || other.is_true());
        }
        Ok(value)
    }

    fn both(&mut self) -> Result<Value, Error> {
        let mut value = self.comparison()?;
        while self.takes("&&") {
            let other = self.comparison()?;
            value = Value::Truth(value.is_true() && other.is_true());
        }
        Ok(value)
    }

    fn comparison(&mut self) -> Result<Value, Error> {
        let left = self.single()?;
        for sign in ["==", "!=", "=~", "!~"] {
            if self.takes(sign) {
                let right = self.single()?;
                let truth = match sign {
                    "==" => left == right,
                    "!=" => left != right,
                    "=~" => matches(&left, &right)?,
                    _ => !matches(&left, &right)?,
                };
                return Ok(Value::Truth(truth));
            }
        }
        Ok(left)
    }

    fn single(&mut self) -> Result<Value, Error> {
        let Some((token, rest)) = self.tokens.split_first() else { return Err(Error::Incomplete) };
        self.tokens = rest;
        match token {
            Token::Sign("(") => {
                let value = self.either()?;
                if self.takes(")") { Ok(value) } else { Err(Error::Incomplete) }
            }
            Token::Sign(sign) => Err(Error::Unexpected((*sign).to_owned())),
            Token::Variable(name) => Ok((self.lookup)(name).map_or(Value::Null, Value::Text)),
            Token::Text(text) => Ok(Value::Text(text.clone())),
            Token::Null => Ok(Value::Null),
            Token::Pattern { source, flags } => {
                Ok(Value::Pattern { source: source.clone(), flags: flags.clone() })
            }
        }
    }
}

/// `left =~ right`; a variable on the right may hold `/pattern/`.
fn matches(left: &Value, right: &Value) -> Result<bool, Error> {
    let Value::Text(text) = left else { return Ok(false) };
    let (source, flags) = match right {
        Value::Pattern { source, flags } => (source.clone(), flags.clone()),
        Value::Text(held) if held.starts_with('/') => match pattern(held)? {
            (Token::Pattern { source, flags }, _) => (source, flags),
            _ => return Ok(false),
        },
        Value::Text(held) => return Ok(text.contains(held.as_str())),
        Value::Null | Value::Truth(_) => return Ok(false),
    };
    RegexBuilder::new(&source.replace("\\/", "/"))
        .case_insensitive(flags.contains('i'))
        .dot_matches_new_line(flags.contains('m'))
        .multi_line(true)
        .build()
        .map(|regex| regex.is_match(text))
        .map_err(|error| Error::Pattern { pattern: source, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("b".to_owned()),
            "EMPTY" => Some(String::new()),
            "CI_COMMIT_BRANCH" => Some("release/1.2".to_owned()),
            "PATTERN" => Some("/^release/".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn conditions_hold_as_in_gitlab() {
        for (text, expected) in [
            ("$A", true),
            ("$EMPTY", false),
            ("$UNSET", false),
            ("$UNSET == null", true),
            ("$EMPTY == null", false),
            ("$EMPTY == \"\"", true),
            ("$A == \"b\"", true),
            ("$A == 'c'", false),
            ("$A != \"c\"", true),
            ("\"b\" == $A", true),
            ("$A == $A", true),
            ("$CI_COMMIT_BRANCH =~ /^release\\/\\d+\\.\\d+$/", true),
            ("$CI_COMMIT_BRANCH =~ /RELEASE/i", true),
            ("$CI_COMMIT_BRANCH !~ /^main/", true),
            ("$CI_COMMIT_BRANCH =~ $PATTERN", true),
            ("$UNSET =~ /x/", false),
            ("$UNSET && $A || $A", true),
            ("$UNSET && ($A || $A)", false),
            ("$A == \"b\" && $UNSET == null", true),
            ("($A == \"x\" || $A == \"b\") && $EMPTY == \"\"", true),
        ] {
            assert_eq!(holds(text, &lookup), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_condition_that_cannot_be_read_says_what_is_wrong() {
        for (text, expected) in [
            ("", "the condition ends too early"),
            ("$A ==", "the condition ends too early"),
            ("($A", "the condition ends too early"),
            ("$A == b", "unexpected `b` in the condition"),
            ("$A $A", "unexpected `$A` in the condition"),
            ("$A & $B", "unexpected `&` in the condition"),
            ("$A == \"b", "the condition ends too early"),
        ] {
            assert_eq!(holds(text, &lookup).unwrap_err().to_string(), expected, "{text}");
        }
        let told = holds("$A =~ /(/", &lookup).unwrap_err().to_string();
        assert!(told.starts_with("`(` is not a pattern"), "{told}");
    }
}
