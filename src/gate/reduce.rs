//! Many samples to one value.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::unit::{float, whole};

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
}

impl Reduce {
    /// Returns the value of samples in order of time; `None` when there are none.
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
        };
        Some(reduced)
    }
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
            _ => text
                .strip_prefix('p')
                .and_then(|p| p.parse::<f64>().ok())
                .filter(|p| *p > 0.0 && *p <= 100.0)
                .map(Self::Percentile)
                .ok_or_else(|| format!("`{text}` is none of mean, max, min, last, p50 … p99")),
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
    fn a_mean_survives_great_and_small_samples_together() {
        assert_eq!(Reduce::Mean.over(&[1e16, 1.0, -1e16, 1.0]), Some(0.5));
    }
}
