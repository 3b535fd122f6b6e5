//! What an expression comes to with the values of its names.

use super::{Binary, Expr, Unary, Value};
use crate::unit::{float, whole};

impl Expr {
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
