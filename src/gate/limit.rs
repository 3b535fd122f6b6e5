//! Limits as people write them: `mean < 800`, `p95 <= 250ms`, `max < 1.5GiB`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::reduce::Reduce;
use super::unit::{Dimension, Unit};

/// How a value is held against a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// `<`
    #[serde(rename = "<")]
    Less,
    /// `<=`
    #[serde(rename = "<=")]
    LessOrEqual,
    /// `>`
    #[serde(rename = ">")]
    Greater,
    /// `>=`
    #[serde(rename = ">=")]
    GreaterOrEqual,
}

impl Operator {
    const ALL: [(&str, Self); 4] = [
        ("<=", Self::LessOrEqual),
        (">=", Self::GreaterOrEqual),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    /// True where great values are the bad ones.
    pub fn is_upper(self) -> bool {
        match self {
            Self::Less | Self::LessOrEqual => true,
            Self::Greater | Self::GreaterOrEqual => false,
        }
    }

    /// True when the value is within the limit; never true of a value that is not a number.
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Less => value < limit,
            Self::LessOrEqual => value <= limit,
            Self::Greater => value > limit,
            Self::GreaterOrEqual => value >= limit,
        }
    }
}

/// A limit as meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// As it was written, for people.
    pub text: String,
    /// How samples become the value.
    pub reduce: Reduce,
    /// How the value is compared.
    pub operator: Operator,
    /// What with, in the unit of the query's values.
    pub threshold: f64,
}

impl Limit {
    /// Reads a limit. `unit` is what the query's values are in; without it they are in base units
    /// (seconds, bytes, cores, shares of one).
    pub fn parse(text: &str, unit: Option<Unit>) -> Result<Self, String> {
        let (symbol, operator) = Operator::ALL
            .into_iter()
            .filter_map(|(symbol, operator)| text.find(symbol).map(|at| (at, symbol, operator)))
            .min_by_key(|(at, symbol, _)| (*at, std::cmp::Reverse(symbol.len())))
            .map(|(_, symbol, operator)| (symbol, operator))
            .ok_or_else(|| format!("`{text}` has no `<`, `<=`, `>` or `>=`: write `mean < 800`"))?;
        let (left, right) = text.split_once(symbol).unwrap_or((text, ""));
        let (left, right) = (left.trim(), right.trim());
        if left.is_empty() {
            return Err(format!(
                "`{text}` does not say how samples become one value: write `p95 {symbol} {right}` or \
                 `mean {symbol} {right}`"
            ));
        }
        let reduce: Reduce = left.parse()?;
        let threshold = match right.rsplit_once('/') {
            None => quantity(right, unit)?,
            Some((amount, time)) if reduce.is_per_second() => {
                let time = Unit::find(time.trim())
                    .filter(|unit| unit.dimension == Dimension::Time)
                    .ok_or_else(|| format!("`{right}`: after the `/` stands s, min, h or d"))?;
                quantity(amount.trim(), unit)? / time.factor
            }
            Some(_) => return Err(format!("`{right}`: only a rate or a slope is one a time")),
        };
        Ok(Self { text: text.trim().to_owned(), reduce, operator, threshold })
    }

    /// Returns the unit that is written behind the threshold.
    pub fn unit(&self) -> Option<Unit> {
        let (_, right) = self.text.split_once(['<', '>'])?;
        let amount = right.trim_start_matches('=').split('/').next()?.trim();
        let (_, suffix) = split(amount);
        Unit::find(suffix.trim())
    }

    /// True when the value is within the limit.
    pub fn holds(&self, value: f64) -> bool {
        self.operator.holds(value, self.threshold)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Splits a quantity into its number and its unit.
fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | '_')))
        .unwrap_or(text.len());
    // `1e3` is a number too; no unit starts with e.
    let end = match text[end..].strip_prefix(['e', 'E']) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            let digits = rest[1..].find(|c: char| !c.is_ascii_digit());
            digits.map_or(text.len(), |digits| end + 2 + digits)
        }
        _ => end,
    };
    text.split_at(end)
}

fn quantity(text: &str, unit: Option<Unit>) -> Result<f64, String> {
    let quantity = in_unit(text, unit)?;
    let is_finite = quantity.is_finite();
    is_finite.then_some(quantity).ok_or_else(|| format!("`{text}` is beyond all numbers"))
}

fn in_unit(text: &str, unit: Option<Unit>) -> Result<f64, String> {
    let (number, suffix) = split(text);
    let number: f64 = number
        .replace('_', "")
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
        .ok_or_else(|| format!("`{text}` is not a number with an optional unit"))?;
    let suffix = suffix.trim();
    if suffix.is_empty() {
        return Ok(number);
    }
    let written = Unit::named(suffix)?;
    let Some(unit) = unit else { return Ok(number * written.factor) };
    if written.dimension != unit.dimension {
        let advice = match (suffix, unit.dimension) {
            ("m", Dimension::Time) => "; minutes are written `min`",
            _ => "",
        };
        return Err(format!("`{text}` cannot be compared with values in {}{advice}", unit.name));
    }
    Ok(if written.name == unit.name { number } else { number * written.factor / unit.factor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, unit: Option<&str>, expected: Result<(&str, Operator, f64), &str>) {
        let unit = unit.map(|name| Unit::find(name).unwrap());
        match (Limit::parse(text, unit), expected) {
            (Ok(limit), Ok((reduce, operator, threshold))) => {
                assert_eq!(limit.reduce.to_string(), reduce, "{text}");
                assert_eq!(limit.operator, operator, "{text}");
                assert!((limit.threshold - threshold).abs() <= threshold.abs() * 1e-12, "{text}");
            }
            (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
            (given, expected) => panic!("{text}: {given:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn limits_read_as_written() {
        check("mean < 800", None, Ok(("mean", Operator::Less, 800.0)));
        check("mean<800m", None, Ok(("mean", Operator::Less, 0.8)));
        check("max <= 1.5GiB", None, Ok(("max", Operator::LessOrEqual, 1_610_612_736.0)));
        check("p95 < 250ms", None, Ok(("p95", Operator::Less, 0.25)));
        check("p95 < 0.25s", Some("ms"), Ok(("p95", Operator::Less, 250.0)));
        check("last >= 99.5%", None, Ok(("last", Operator::GreaterOrEqual, 0.995)));
        check("last >= 99.5%", Some("%"), Ok(("last", Operator::GreaterOrEqual, 99.5)));
        check("min > -1e3", None, Ok(("min", Operator::Greater, -1000.0)));
        check("rate < 60/min", None, Ok(("rate", Operator::Less, 1.0)));
        check("slope < 36KiB/h", Some("KiB"), Ok(("slope", Operator::Less, 0.01)));
        check("increase <= 5", None, Ok(("increase", Operator::LessOrEqual, 5.0)));
        check("mean < 0.8cores", Some("millicores"), Ok(("mean", Operator::Less, 800.0)));
    }

    #[test]
    fn what_is_no_limit_says_why() {
        check("mean 800", None, Err("has no `<`"));
        check("mean < ", None, Err("not a number"));
        check("mean < 1e308G", None, Err("beyond all numbers"));
        check("mean < NaN", None, Err("not a number"));
        check("mean < inf", None, Err("not a number"));
        check("mean < 1x", None, Err("`x` is no unit"));
        check("avrg < 1", None, Err("none of mean, max"));
        check("mean < 5m", Some("s"), Err("minutes are written `min`"));
        check("mean < 5ms", Some("B"), Err("cannot be compared"));
        check("mean < 5 < 6", None, Err("is no unit"));
        check("mean < 5/s", None, Err("only a rate or a slope"));
        check("rate < 5/x", None, Err("after the `/` stands"));
        check("", None, Err("has no `<`"));
    }
}
