//! Think time: a fixed span or a range, as written `2s` or `0.5s..3s`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::unit::{self, Span};

/// How long a user pauses: uniformly between `lo` and `hi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Think {
    /// The shortest pause.
    pub lo: Span,
    /// The longest pause; never below `lo`.
    pub hi: Span,
}

impl Think {
    /// No pause at all.
    pub const NONE: Self = Self { lo: Span(Duration::ZERO), hi: Span(Duration::ZERO) };

    /// Returns the pause at `share` (0 to 1) of the range.
    pub fn at(&self, share: f64) -> Duration {
        self.lo.0 + self.hi.0.saturating_sub(self.lo.0).mul_f64(share.clamp(0.0, 1.0))
    }

    /// True when the user never pauses.
    pub fn is_none(&self) -> bool {
        self.hi.0.is_zero()
    }
}

/// A text that is no think time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// One of the spans is not one.
    #[error(transparent)]
    Span(#[from] unit::Error),
    /// The range runs backwards.
    #[error("`{0}` begins after it ends")]
    Backwards(String),
}

impl FromStr for Think {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (lo, hi) = if let Some((lo, hi)) = text.split_once("..") {
            (lo.parse()?, hi.parse()?)
        } else {
            let span: Span = text.parse()?;
            (span, span)
        };
        if hi < lo { Err(Error::Backwards(text.to_owned())) } else { Ok(Self { lo, hi }) }
    }
}

impl fmt::Display for Think {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lo == self.hi { self.lo.fmt(f) } else { write!(f, "{}..{}", self.lo, self.hi) }
    }
}

impl serde::Serialize for Think {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Think {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <Cow<'de, str>>::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Think {
    fn schema_name() -> Cow<'static, str> {
        "Think".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^([0-9.]+(us|ms|s|m|h|d))+(\.\.([0-9.]+(us|ms|s|m|h|d))+)?$",
            "examples": ["2s", "0.5s..3s"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_think_time_is_a_span_or_a_range() {
        for (text, lo, hi) in
            [("2s", 2000, 2000), ("0.5s..3s", 500, 3000), ("10ms .. 20ms", 10, 20)]
        {
            let think: Think = text.parse().unwrap();
            let millis = |n| Span(Duration::from_millis(n));
            assert_eq!(think, Think { lo: millis(lo), hi: millis(hi) }, "{text}");
            assert_eq!(think.to_string().parse(), Ok(think));
        }
        for text in ["", "3s..1s", "1..2", "..3s", "1s..", "fast"] {
            assert!(text.parse::<Think>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_pause_stays_within_its_range() {
        let think: Think = "1s..3s".parse().unwrap();
        for (share, millis) in [(0.0, 1000), (0.5, 2000), (1.0, 3000), (7.0, 3000)] {
            assert_eq!(think.at(share), Duration::from_millis(millis));
        }
    }
}
