//! Expressions: a value of several queries (`errors / all`), and conditions as Argo Rollouts writes
//! them (`result[0] < 0.95`). Whatever has no value is an error, never a pass.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::unit::{float, whole};

/// An expression as read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Expr {
    /// `0.95`
    Number(f64),
    /// `true`
    Truth(bool),
    /// `result`
    Name(String),
    /// `#`, the item at hand inside `all(result, { # < 1 })`.
    Item,
    /// `result[0]`
    At(Box<Expr>, Box<Expr>),
    /// `len(result)`
    Call(String, Vec<Expr>),
    /// `-a`, `!a`
    Unary(Unary, Box<Expr>),
    /// `a + b`
    Binary(Binary, Box<Expr>, Box<Expr>),
}

/// An operator before its operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unary {
    /// `-`
    Minus,
    /// `!`
    Not,
}

/// An operator between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Binary {
    /// `||`
    Or,
    /// `&&`
    And,
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `<=`
    LessOrEqual,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `>`
    Greater,
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Times,
    /// `/`
    Over,
}

/// What an expression comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number; always finite.
    Number(f64),
    /// True or false.
    Truth(bool),
    /// Numbers.
    List(Vec<f64>),
}

/// Operators that bind alike, loosest first; longer signs before their beginnings.
const LEVELS: &[&[(&str, Binary)]] = &[
    &[("||", Binary::Or), ("or ", Binary::Or)],
    &[("&&", Binary::And), ("and ", Binary::And)],
    &[
        ("==", Binary::Equal),
        ("!=", Binary::Unequal),
        ("<=", Binary::LessOrEqual),
        (">=", Binary::GreaterOrEqual),
        ("<", Binary::Less),
        (">", Binary::Greater),
    ],
    &[("+", Binary::Plus), ("-", Binary::Minus)],
    &[("*", Binary::Times), ("/", Binary::Over)],
];
const FUNCTIONS: &[(&str, usize)] = &[
    ("len", 1),
    ("all", 2),
    ("any", 2),
    ("none", 2),
    ("isNaN", 1),
    ("isInf", 1),
    ("default", 2),
    ("asFloat", 1),
    ("asInt", 1),
    ("abs", 1),
    ("max", 1),
    ("min", 1),
    ("sum", 1),
    ("mean", 1),
];
/// More are nobody's expression.
const OPERATORS: usize = 200;
/// Deeper is nobody's expression; it also has to fit into what is sent to the driver, where each of
/// them is two deep.
const DEPTH: usize = 40;

impl Expr {
    /// Reads an expression that may use these names.
    pub fn parse(text: &str, names: &[&str]) -> Result<Self, String> {
        let mut reader = Reader { text, rest: text.trim_start(), names, depth: 0, n_operators: 0 };
        let expr = reader.level(0)?;
        if !reader.rest.is_empty() {
            return Err(reader.wrong("an operator"));
        }
        if expr.height() > DEPTH { Err(too_deep()) } else { Ok(expr) }
    }

    /// How many expressions stand inside each other.
    fn height(&self) -> usize {
        let inner = self.inner().into_iter().map(Self::height).max();
        inner.map_or(0, |inner| inner + 1)
    }

    fn inner(&self) -> Vec<&Self> {
        match self {
            Self::Number(_) | Self::Truth(_) | Self::Name(_) | Self::Item => Vec::new(),
            Self::At(a, b) | Self::Binary(_, a, b) => vec![a, b],
            Self::Unary(_, a) => vec![a],
            Self::Call(_, all) => all.iter().collect(),
        }
    }

    /// Returns the names that it looks at.
    pub fn names(&self) -> BTreeSet<&str> {
        match self {
            Self::Name(name) => BTreeSet::from([name.as_str()]),
            Self::Number(_)
            | Self::Truth(_)
            | Self::Item
            | Self::At(..)
            | Self::Call(..)
            | Self::Unary(..)
            | Self::Binary(..) => self.inner().into_iter().flat_map(Self::names).collect(),
        }
    }

    /// Reckons the expression with the names' values.
    pub fn value(&self, names: &dyn Fn(&str) -> Option<Value>) -> Result<Value, String> {
        self.within(names, None)
    }

    fn within(
        &self,
        names: &dyn Fn(&str) -> Option<Value>,
        item: Option<f64>,
    ) -> Result<Value, String> {
        match self {
            Self::Number(number) => finite(*number),
            Self::Truth(truth) => Ok(Value::Truth(*truth)),
            Self::Name(name) => names(name).ok_or_else(|| format!("`{name}` has no value")),
            Self::Item => item.map(Value::Number).ok_or_else(|| "`#` outside of `{ }`".to_owned()),
            Self::At(list, at) => {
                let at = number(&at.within(names, item)?)?;
                match list.within(names, item)? {
                    Value::List(all) => {
                        let found = whole(at)
                            .filter(|whole| float(*whole).total_cmp(&at).is_eq())
                            .and_then(|at| usize::try_from(at).ok())
                            .and_then(|at| all.get(at));
                        let n = all.len();
                        found
                            .copied()
                            .map(Value::Number)
                            .ok_or_else(|| format!("there is no [{at}] in a result of {n} values"))
                    }
                    Value::Number(value) if at.total_cmp(&0.0).is_eq() => Ok(Value::Number(value)),
                    Value::Number(_) | Value::Truth(_) => Err("[…] of what is no list".to_owned()),
                }
            }
            Self::Call(name, arguments) => call(name, arguments, names, item),
            Self::Unary(Unary::Minus, of) => finite(-number(&of.within(names, item)?)?),
            Self::Unary(Unary::Not, of) => Ok(Value::Truth(!truth(&of.within(names, item)?)?)),
            Self::Binary(Binary::Or, a, b) => {
                Ok(Value::Truth(truth(&a.within(names, item)?)? || truth(&b.within(names, item)?)?))
            }
            Self::Binary(Binary::And, a, b) => {
                Ok(Value::Truth(truth(&a.within(names, item)?)? && truth(&b.within(names, item)?)?))
            }
            Self::Binary(operator, a, b) => {
                let a = number(&a.within(names, item)?)?;
                let b = number(&b.within(names, item)?)?;
                binary(*operator, a, b)
            }
        }
    }
}

fn binary(operator: Binary, a: f64, b: f64) -> Result<Value, String> {
    let order = a.total_cmp(&b);
    match operator {
        Binary::Equal => Ok(Value::Truth(order.is_eq())),
        Binary::Unequal => Ok(Value::Truth(order.is_ne())),
        Binary::LessOrEqual => Ok(Value::Truth(a <= b)),
        Binary::GreaterOrEqual => Ok(Value::Truth(a >= b)),
        Binary::Less => Ok(Value::Truth(a < b)),
        Binary::Greater => Ok(Value::Truth(a > b)),
        Binary::Plus => finite(a + b),
        Binary::Minus => finite(a - b),
        Binary::Times => finite(a * b),
        Binary::Over if b.abs() > 0.0 => finite(a / b),
        Binary::Over => Err("division by 0".to_owned()),
        Binary::Or | Binary::And => Err("no numbers there".to_owned()),
    }
}

fn finite(number: f64) -> Result<Value, String> {
    if number.is_finite() {
        Ok(Value::Number(number))
    } else {
        Err("it comes to a number that is not finite".to_owned())
    }
}

/// A list of one is a number, too: a query with one series.
fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Number(number) => Ok(*number),
        Value::List(all) => match all.as_slice() {
            [one] => Ok(*one),
            all => Err(format!("a result of {} values where one is needed", all.len())),
        },
        Value::Truth(_) => Err("true or false where a number is needed".to_owned()),
    }
}

fn truth(value: &Value) -> Result<bool, String> {
    match value {
        Value::Truth(truth) => Ok(*truth),
        Value::Number(_) | Value::List(_) => Err("a number where a condition is needed".to_owned()),
    }
}

fn call(
    name: &str,
    arguments: &[Expr],
    names: &dyn Fn(&str) -> Option<Value>,
    item: Option<f64>,
) -> Result<Value, String> {
    let first = || match arguments.first() {
        Some(expr) => expr.within(names, item),
        None => Err(format!("`{name}` of nothing")),
    };
    let list = || {
        first().and_then(|value| match value {
            Value::List(all) if !all.is_empty() => Ok(all),
            Value::List(_) => Err(format!("`{name}` of an empty result")),
            Value::Number(one) => Ok(vec![one]),
            Value::Truth(_) => Err(format!("`{name}` of what is no list")),
        })
    };
    let each = |wanted: bool| -> Result<(usize, usize), String> {
        let all = list()?;
        let body = arguments.get(1).ok_or("a condition in `{ }` is missing")?;
        let mut n = 0;
        for one in &all {
            n += usize::from(truth(&body.within(names, Some(*one))?)? == wanted);
        }
        Ok((n, all.len()))
    };
    match name {
        "len" => finite(float(u64::try_from(list()?.len()).unwrap_or(u64::MAX))),
        "all" => each(true).map(|(n, all)| Value::Truth(n == all)),
        "any" => each(true).map(|(n, _)| Value::Truth(n > 0)),
        "none" => each(true).map(|(n, _)| Value::Truth(n == 0)),
        // What is not finite was told before any condition is looked at.
        "isNaN" | "isInf" => number(&first()?).map(|_| Value::Truth(false)),
        // A default would be a pass for want of data: the value is there, or there is none.
        "default" | "asFloat" => first(),
        "asInt" => finite(number(&first()?)?.trunc()),
        "abs" => finite(number(&first()?)?.abs()),
        "max" => finite(list()?.into_iter().fold(f64::NEG_INFINITY, f64::max)),
        "min" => finite(list()?.into_iter().fold(f64::INFINITY, f64::min)),
        "sum" => finite(list()?.iter().sum()),
        "mean" => finite(crate::statistics::mean(&list()?)),
        _ => Err(format!("`{name}` is no function")),
    }
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    names: &'a [&'a str],
    depth: usize,
    n_operators: usize,
}

fn too_deep() -> String {
    "the expression is too deep".to_owned()
}

impl Reader<'_> {
    fn wrong(&self, expected: &str) -> String {
        let at = match self.rest.chars().take(12).collect::<String>() {
            rest if rest.is_empty() => "its end".to_owned(),
            rest => format!("`{rest}`"),
        };
        format!("`{}` cannot be read: {expected} is expected at {at}", self.text)
    }

    fn skip(&mut self, n: usize) {
        self.rest = self.rest.get(n..).unwrap_or_default().trim_start();
    }

    fn take(&mut self, sign: &str) -> bool {
        let is_there = self.rest.starts_with(sign);
        if is_there {
            self.skip(sign.len());
        }
        is_there
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.take(sign) { Ok(()) } else { Err(self.wrong(&format!("`{sign}`"))) }
    }

    fn level(&mut self, n: usize) -> Result<Expr, String> {
        let Some(operators) = LEVELS.get(n) else { return self.unary() };
        let mut left = self.level(n + 1)?;
        loop {
            let found = operators.iter().find(|(sign, _)| self.rest.starts_with(sign));
            let Some((sign, operator)) = found else { return Ok(left) };
            self.skip(sign.len());
            self.n_operators += 1;
            if self.n_operators > OPERATORS {
                return Err(format!("the expression is too long: {OPERATORS} operators at most"));
            }
            let right = self.level(n + 1)?;
            left = Expr::Binary(*operator, Box::new(left), Box::new(right));
        }
    }

    fn unary(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(too_deep());
        }
        let expr = if self.take("-") {
            Expr::Unary(Unary::Minus, Box::new(self.unary()?))
        } else if self.take("!") || self.take("not ") {
            Expr::Unary(Unary::Not, Box::new(self.unary()?))
        } else {
            self.postfix()?
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn postfix(&mut self) -> Result<Expr, String> {
        let mut expr = self.primary()?;
        while self.take("[") {
            self.n_operators += 1;
            if self.n_operators > OPERATORS {
                return Err(too_deep());
            }
            let at = self.level(0)?;
            self.expect("]")?;
            expr = Expr::At(Box::new(expr), Box::new(at));
        }
        Ok(expr)
    }

    fn primary(&mut self) -> Result<Expr, String> {
        if self.take("(") {
            let inner = self.level(0)?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.take("#") {
            return Ok(Expr::Item);
        }
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.')))
            .unwrap_or(self.rest.len());
        let (word, _) = self.rest.split_at(end);
        if word.is_empty() {
            return Err(self.wrong("a value"));
        }
        if word.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            let number: f64 = word.parse().map_err(|_| self.wrong("a number"))?;
            self.skip(end);
            return Ok(Expr::Number(number));
        }
        if matches!(word, "true" | "false") {
            self.skip(end);
            return Ok(Expr::Truth(word == "true"));
        }
        // A query may have the name of a function: only the brackets make it one.
        let is_call = self.rest.get(end..).is_some_and(|after| after.trim_start().starts_with('('));
        let function = FUNCTIONS.iter().find(|(name, _)| is_call && *name == word);
        if let Some((name, n_arguments)) = function {
            self.skip(end);
            return self.arguments(name, *n_arguments);
        }
        if !self.names.contains(&word) {
            return Err(format!(
                "`{}` cannot be read: `{word}` is none of {}",
                self.text,
                self.names.join(", ")
            ));
        }
        self.skip(end);
        Ok(Expr::Name(word.to_owned()))
    }

    fn arguments(&mut self, name: &str, n_arguments: usize) -> Result<Expr, String> {
        self.expect("(")?;
        let mut arguments = Vec::new();
        while !self.take(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            if self.take("{") {
                arguments.push(self.level(0)?);
                self.expect("}")?;
            } else {
                arguments.push(self.level(0)?);
            }
        }
        if arguments.len() == n_arguments {
            Ok(Expr::Call(name.to_owned(), arguments))
        } else {
            Err(format!("`{name}` takes {n_arguments} of what is in its brackets"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reckon(text: &str, result: &[f64]) -> Result<Value, String> {
        let expr = Expr::parse(text, &["result", "a", "b"])?;
        expr.value(&|name| match name {
            "a" => Some(Value::Number(6.0)),
            "b" => Some(Value::Number(0.0)),
            _ => Some(Value::List(result.to_vec())),
        })
    }

    #[test]
    fn expressions_come_to_what_argo_says() {
        let (yes, no) = (Value::Truth(true), Value::Truth(false));
        for (text, expected) in [
            ("result[0] >= 0.95", yes.clone()),
            ("result[1] > result[0]", yes.clone()),
            ("len(result) == 2 && result[0] < 2", yes.clone()),
            ("all(result, {# > 0.5})", yes.clone()),
            ("any(result, { # >= 2 })", yes.clone()),
            ("none(result, {# > 9}) and !(len(result) > 5)", yes.clone()),
            ("not (1 < 2) or false", no.clone()),
            ("isNaN(result[0]) || isInf(result[0])", no),
            ("default(result[0], 0) < 2", yes),
            ("1 + 2 * 3 - -4 / 2", Value::Number(9.0)),
            ("(a + 2) / 4", Value::Number(2.0)),
            ("mean(result) + max(result) + min(result) + sum(result)", Value::Number(7.5)),
        ] {
            assert_eq!(reckon(text, &[1.0, 2.0]), Ok(expected), "{text}");
        }
        assert_eq!(reckon("result < 2", &[1.0]), Ok(Value::Truth(true)), "one series is a number");
    }

    #[test]
    fn what_has_no_value_is_an_error() {
        for (text, part) in [
            ("a / b", "division by 0"),
            ("result[7] < 1", "no [7] in a result of 2"),
            ("result < 1", "a result of 2 values"),
            ("result[0] && true", "a number where a condition"),
            ("all(result, {#})", "a number where a condition"),
            ("1e999", "not finite"),
            ("a <", "a value is expected at its end"),
            ("a b", "an operator is expected at `b`"),
            ("c > 1", "`c` is none of result, a, b"),
            ("len()", "`len` takes 1"),
            ("max(result", "`,` is expected"),
            ("# > 1", "`#` outside"),
        ] {
            let error = reckon(text, &[1.0, 2.0]).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(reckon("all(result, {# > 0})", &[]).unwrap_err().contains("an empty result"));
        let deep = format!("{}1{}", "(".repeat(500), ")".repeat(500));
        assert!(reckon(&deep, &[]).unwrap_err().contains("too deep"));
        let long = vec!["a"; 60_000].join(" + ");
        assert!(reckon(&long, &[]).unwrap_err().contains("too long"));
        for chain in [["a"; 60].join(" + "), format!("result{}", "[0]".repeat(60))] {
            assert!(reckon(&chain, &[]).unwrap_err().contains("too deep"), "{chain}");
        }
    }
}
