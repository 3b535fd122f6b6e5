//! Conditions on variables: `token`, `n < 3`, `not done and user.role == 'admin'`.

use std::cmp::Ordering;

use rand::rngs::SmallRng;
use serde_json::Value;

use crate::load::template::expression::{Expression, Parser};
use crate::load::template::{Error, Names, Scope, text_of};

/// A condition, its names resolved: one of several conjunctions holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition(Vec<Vec<Term>>);

#[derive(Debug, Clone, PartialEq)]
struct Term {
    is_negated: bool,
    left: Expression,
    right: Option<(Compare, Expression)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    Same,
    Other,
    Below,
    AtMost,
    Above,
    AtLeast,
}

const COMPARISONS: [(&str, Compare); 6] = [
    ("==", Compare::Same),
    ("!=", Compare::Other),
    ("<=", Compare::AtMost),
    (">=", Compare::AtLeast),
    ("<", Compare::Below),
    (">", Compare::Above),
];

impl Condition {
    /// Reads a condition; every name in it must be among `names`.
    pub fn parse(text: &str, names: &Names) -> Result<Self, Error> {
        let mut parser = Parser::new(text, names);
        let mut any = Vec::new();
        loop {
            let mut all = vec![term(&mut parser)?];
            while parser.eat_word("and") {
                all.push(term(&mut parser)?);
            }
            any.push(all);
            if !parser.eat_word("or") {
                break;
            }
        }
        if parser.rest.is_empty() {
            Ok(Self(any))
        } else {
            Err(Error(format!(
                "`{}` is not understood: conditions are made of values, ==, !=, <, <=, >, >=, \
                 `not`, `and`, `or`",
                parser.rest
            )))
        }
    }

    /// True when it holds now. What is not known is false, and like nothing else.
    pub fn holds(&self, scope: Scope<'_>, rng: &mut SmallRng) -> bool {
        self.0.iter().any(|all| all.iter().all(|term| term.holds(scope, rng)))
    }
}

fn term(parser: &mut Parser<'_>) -> Result<Term, Error> {
    let mut is_negated = false;
    while parser.eat_word("not") {
        is_negated = !is_negated;
    }
    let left = parser.expression(0)?;
    let compare = COMPARISONS.iter().find(|(sign, _)| parser.rest.starts_with(sign));
    let right = match compare {
        Some((sign, compare)) => {
            parser.rest = parser.rest[sign.len()..].trim_start();
            Some((*compare, parser.expression(0)?))
        }
        None => None,
    };
    Ok(Term { is_negated, left, right })
}

impl Term {
    fn holds(&self, scope: Scope<'_>, rng: &mut SmallRng) -> bool {
        let left = self.left.eval(scope, rng).ok().map(std::borrow::Cow::into_owned);
        let holds = match &self.right {
            None => left.as_ref().is_some_and(is_true),
            Some((compare, right)) => {
                let right = right.eval(scope, rng).ok().map(std::borrow::Cow::into_owned);
                compare.holds(left.as_ref(), right.as_ref())
            }
        };
        holds != self.is_negated
    }
}

/// Known, and neither null, false nor an empty text.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is_true) => *is_true,
        Value::String(text) => !text.is_empty(),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => true,
    }
}

impl Compare {
    fn holds(self, left: Option<&Value>, right: Option<&Value>) -> bool {
        let order = match (left, right) {
            (Some(left), Some(right)) => order(left, right),
            _ => None,
        };
        match self {
            Self::Same => order == Some(Ordering::Equal),
            Self::Other => order != Some(Ordering::Equal),
            Self::Below => order == Some(Ordering::Less),
            Self::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::Above => order == Some(Ordering::Greater),
            Self::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

/// Numbers, also those in texts, by size; the rest by their texts.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    let number = |value: &Value| match value {
        Value::String(text) => text.trim().parse::<f64>().ok(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.as_f64()
        }
    };
    match (number(left), number(right)) {
        (Some(left), Some(right)) => left.partial_cmp(&right),
        _ => Some(text_of(left).cmp(&text_of(right))),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_hold_as_they_read() {
        let mut names = Names::default();
        for name in ["token", "n", "user", "unset", "no"] {
            names.variable(name);
        }
        let variables = [
            Some(json!("t")),
            Some(json!("10")),
            Some(json!({ "role": "admin", "age": 9 })),
            None,
            Some(json!(false)),
        ];
        let variables = variables.map(|value| value.map(Arc::new));
        let scope = Scope { variables: &variables, ..Scope::default() };
        for (text, holds) in [
            ("token", true),
            ("unset", false),
            ("no", false),
            ("not unset", true),
            ("not not token", true),
            ("n > 9", true),
            ("n == 10", true),
            ("n < user.age", false),
            ("n>=10 and n<=10", true),
            ("user.role == 'admin'", true),
            ("user.role != \"admin\"", false),
            ("user.nothing", false),
            ("unset == 1 or no or token", true),
            ("unset != 1", true),
            ("token and unset or n == 10 and user.age == 9", true),
            ("random(1, 1) == 1", true),
        ] {
            let condition = Condition::parse(text, &names).unwrap();
            assert_eq!(condition.holds(scope, &mut SmallRng::seed_from_u64(1)), holds, "{text}");
        }
        for text in ["", "n <", "other", "n = 1", "n 1", "and n", "n and"] {
            assert!(Condition::parse(text, &names).is_err(), "{text}");
        }
    }
}
