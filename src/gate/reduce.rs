//! Many samples to one value.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::series::Point;
use crate::near::nearest;
use crate::unit::{float, whole};

/// What a misspelt name may have been meant for.
const NAMES: [&str; 11] =
    ["mean", "max", "min", "last", "median", "p95", "p99", "increase", "rate", "slope", "count"];

/// How the samples of one series become one value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduce {
    /// Arithmetic mean.
    Mean,
    /// Greatest.
    Max,
    /// Least.
    Min,
    /// Newest.
    Last,
    /// Nearest-rank percentile, 0 < p <= 100.
    Percentile(f64),
    /// Of a counter: what it grew by.
    Increase,
    /// Of a counter: what it grew by, a second.
    Rate,
    /// The line through the samples (least squares): what it climbs, a second.
    Slope,
    /// How many samples there are.
    Count,
}

impl Reduce {
    /// True for counters, which only grow while their process lives.
    pub fn is_of_counter(self) -> bool {
        matches!(self, Self::Increase | Self::Rate)
    }

    /// True where the value is one a second, and a limit may say `/h`.
    pub fn is_per_second(self) -> bool {
        matches!(self, Self::Rate | Self::Slope)
    }

    /// Returns the value of samples in order of time; `None` when there are not enough. A counter
    /// that went back began anew at 0.
    pub fn of(self, points: &[Point]) -> Option<f64> {
        let values: Vec<f64> = points.iter().map(|point| point.value).collect();
        let seconds = || {
            let (first, last) = (points.first()?, points.last()?);
            let millis = u64::try_from(last.at_ms - first.at_ms).ok().filter(|ms| *ms > 0)?;
            Some(float(millis) / 1000.0)
        };
        match self {
            Self::Increase => {
                seconds()?;
                Some(increase(&values))
            }
            Self::Rate => Some(increase(&values) / seconds()?),
            Self::Slope => {
                seconds()?;
                slope(points)
            }
            Self::Count => Some(float(u64::try_from(points.len()).ok()?)),
            Self::Mean | Self::Max | Self::Min | Self::Last | Self::Percentile(_) => {
                self.over(&values)
            }
        }
    }

    /// Returns the value of numbers where no time matters; `None` when there are none.
    pub fn over(self, values: &[f64]) -> Option<f64> {
        if values.is_empty() {
            return None;
        }
        let reduced = match self {
            Self::Mean => mean(values),
            Self::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Self::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
            Self::Last => values.last().copied()?,
            Self::Percentile(p) => percentile(values, p)?,
            Self::Count => float(u64::try_from(values.len()).ok()?),
            Self::Increase | Self::Rate | Self::Slope => return None,
        };
        Some(reduced)
    }
}

fn increase(values: &[f64]) -> f64 {
    let steps = values.windows(2).filter_map(|pair| Some((*pair.first()?, *pair.get(1)?)));
    steps.map(|(a, b)| if b < a { b } else { b - a }).sum()
}

fn slope(points: &[Point]) -> Option<f64> {
    let start = points.first()?.at_ms;
    let seconds = |point: &Point| {
        u64::try_from(point.at_ms - start).map_or(0.0, |millis| float(millis) / 1000.0)
    };
    let times: Vec<f64> = points.iter().map(seconds).collect();
    let values: Vec<f64> = points.iter().map(|point| point.value).collect();
    let (middle, height) = (mean(&times), mean(&values));
    let (mut rise, mut run) = (0.0, 0.0);
    for (time, value) in times.iter().zip(&values) {
        rise += (time - middle) * (value - height);
        run += (time - middle) * (time - middle);
    }
    (run > 0.0).then_some(rise / run)
}

/// Adds up what is left of rounding too (Neumaier), so that the order of samples is no matter.
fn mean(values: &[f64]) -> f64 {
    let (mut sum, mut rest) = (0.0_f64, 0.0_f64);
    for &value in values {
        let next = sum + value;
        rest += if sum.abs() >= value.abs() { (sum - next) + value } else { (value - next) + sum };
        sum = next;
    }
    let n_values = float(u64::try_from(values.len()).unwrap_or(u64::MAX));
    (sum + rest) / n_values
}

fn percentile(values: &[f64], p: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n_values = float(u64::try_from(sorted.len()).ok()?);
    let rank = whole((p / 100.0 * n_values).ceil().clamp(1.0, n_values))?;
    sorted.get(usize::try_from(rank - 1).ok()?).copied()
}

impl FromStr for Reduce {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mean" | "avg" => Ok(Self::Mean),
            "max" => Ok(Self::Max),
            "min" => Ok(Self::Min),
            "last" => Ok(Self::Last),
            "median" => Ok(Self::Percentile(50.0)),
            "increase" => Ok(Self::Increase),
            "rate" => Ok(Self::Rate),
            "slope" => Ok(Self::Slope),
            "count" => Ok(Self::Count),
            _ => text
                .strip_prefix('p')
                .and_then(|p| p.parse::<f64>().ok())
                .filter(|p| *p > 0.0 && *p <= 100.0)
                .map(Self::Percentile)
                .ok_or_else(|| match nearest(text, NAMES) {
                    Some(meant) => {
                        format!("`{text}` is no way to make one value; did you mean `{meant}`?")
                    }
                    None => format!(
                        "`{text}` is none of mean, max, min, last, p50 … p99, increase, rate, \
                         slope, count"
                    ),
                }),
        }
    }
}

impl fmt::Display for Reduce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mean => f.write_str("mean"),
            Self::Max => f.write_str("max"),
            Self::Min => f.write_str("min"),
            Self::Last => f.write_str("last"),
            Self::Percentile(p) => write!(f, "p{p}"),
            Self::Increase => f.write_str("increase"),
            Self::Rate => f.write_str("rate"),
            Self::Slope => f.write_str("slope"),
            Self::Count => f.write_str("count"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reduction_gives_its_value() {
        let values = [4.0, 1.0, 3.0, 2.0, 10.0];
        for (text, value) in [
            ("mean", 4.0),
            ("max", 10.0),
            ("min", 1.0),
            ("last", 10.0),
            ("p50", 3.0),
            ("p99", 10.0),
        ] {
            let reduce: Reduce = text.parse().unwrap();
            assert_eq!(reduce.over(&values), Some(value), "{text}");
            assert_eq!(reduce.over(&[]), None, "{text} of nothing is nothing");
            assert_eq!(reduce.to_string(), text);
        }
        for text in ["p0", "p101", "p", "sum", "pNaN"] {
            assert!(text.parse::<Reduce>().is_err(), "{text}");
        }
    }

    #[test]
    fn counters_and_trends_are_reduced_over_time() {
        let points = |values: &[f64]| -> Vec<Point> {
            (0..).zip(values).map(|(n, value)| Point { at_ms: n * 10_000, value: *value }).collect()
        };
        for (text, values, value) in [
            ("increase", &[10.0, 20.0, 40.0][..], Some(30.0)),
            ("increase", &[10.0, 20.0, 5.0], Some(15.0)),
            ("rate", &[10.0, 20.0, 40.0], Some(1.5)),
            ("slope", &[1.0, 3.0, 5.0], Some(0.2)),
            ("slope", &[7.0, 7.0, 7.0], Some(0.0)),
            ("count", &[7.0, 7.0, 7.0], Some(3.0)),
            ("rate", &[10.0], None),
            ("slope", &[10.0], None),
            ("increase", &[], None),
        ] {
            let reduce: Reduce = text.parse().unwrap();
            assert_eq!(reduce.of(&points(values)), value, "{text} {values:?}");
            assert_eq!(
                reduce.over(values).is_none(),
                text != "count",
                "{text} has no value without time"
            );
            assert_eq!(reduce.to_string(), text);
        }
    }

    #[test]
    fn a_mean_survives_great_and_small_samples_together() {
        assert_eq!(Reduce::Mean.over(&[1e16, 1.0, -1e16, 1.0]), Some(0.5));
    }
}
