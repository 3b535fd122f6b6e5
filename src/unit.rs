//! Durations, rates, sizes and ratios as people write them: never bare numbers in a file.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// A text that is not the quantity it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}{}", self.hint())]
pub struct Error {
    text: String,
    expected: &'static str,
}

impl Error {
    /// A bare number lacks its unit only.
    fn hint(&self) -> String {
        let text = self.text.trim();
        let is_number = text.parse::<f64>().is_ok_and(|number| number > 0.0);
        let is_span = self.expected.contains("duration");
        if is_number && is_span {
            format!(": it has no unit, as `{text}s` has")
        } else {
            String::new()
        }
    }
}

fn split_number(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    number.is_finite().then_some((number, unit.trim()))
}

macro_rules! as_text {
    ($name:ident, $pattern:literal, $example:literal) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <Cow<'de, str>>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "examples": [$example] })
            }
        }
    };
}

/// A span of time: `250ms`, `0.5s`, `1m`, `1m30s`, `2h`, `1d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub Duration);

as_text!(Span, r"^([0-9.]+(us|ms|s|m|h|d))+$", "1m30s");

impl Span {
    /// A span of whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl FromStr for Span {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let error = || Error {
            text: text.to_owned(),
            expected: "a duration such as `250ms`, `30s` or `1m30s`",
        };
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(error());
        }
        let mut seconds = 0.0;
        while !rest.is_empty() {
            let (number, after) = split_number(rest).ok_or_else(error)?;
            let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
            let (unit, next) = after.split_at(end);
            seconds += number
                * match unit.trim() {
                    "us" | "µs" => 1e-6,
                    "ms" => 1e-3,
                    "s" => 1.0,
                    "m" | "min" => 60.0,
                    "h" => 3600.0,
                    "d" => 86400.0,
                    _ => return Err(error()),
                };
            rest = next;
        }
        Duration::try_from_secs_f64(seconds).map(Self).map_err(|_| error())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        if micros == 0 {
            return f.write_str("0s");
        }
        if !micros.is_multiple_of(1000) && micros < 1_000_000 {
            return write!(f, "{micros}us");
        }
        let millis = self.0.as_millis();
        if !millis.is_multiple_of(1000) {
            if millis < 1000 {
                return write!(f, "{millis}ms");
            }
            return write!(f, "{}s", self.0.as_secs_f64());
        }
        let seconds = self.0.as_secs();
        let parts = [(seconds / 3600, "h"), (seconds % 3600 / 60, "m"), (seconds % 60, "s")];
        for (number, unit) in parts {
            if number != 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        Ok(())
    }
}

/// A rate of events: `200/s`, `50/m`, `1000/h`; kept per second.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate(pub f64);

as_text!(Rate, r"^[0-9.]+(/(s|m|h))?$", "200/s");

impl FromStr for Rate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let error =
            || Error { text: text.to_owned(), expected: "a rate such as `200/s` or `50/m`" };
        let (number, unit) = split_number(text).ok_or_else(error)?;
        match unit {
            "/s" | "" => Ok(Self(number)),
            "/m" | "/min" => Ok(Self(number / 60.0)),
            "/h" => Ok(Self(number / 3600.0)),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

/// A share of a whole: `5%`; kept as 0.05.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(pub f64);

as_text!(Share, r"^[0-9.]+ *%$", "5%");

impl FromStr for Share {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match split_number(text) {
            Some((number, "%")) => Ok(Self(number / 100.0)),
            Some(_) | None => {
                Err(Error { text: text.to_owned(), expected: "a share such as `5%`" })
            }
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded: 0.07 × 100 is not quite 7.
        write!(f, "{}%", (self.0 * 1e8).round() / 1e6)
    }
}

/// A size in bytes: `512MiB`, `4GiB`, `10MB`, `100k`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

as_text!(Size, r"^[0-9.]+ *(B|[kKMGT]i?B?)?$", "4GiB");

impl FromStr for Size {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let error =
            || Error { text: text.to_owned(), expected: "a size such as `512MiB` or `4GiB`" };
        let (number, unit) = split_number(text).ok_or_else(error)?;
        let factor: f64 = match unit {
            "" | "B" => 1.0,
            "k" | "K" | "kB" | "KB" => 1e3,
            "M" | "MB" => 1e6,
            "G" | "GB" => 1e9,
            "T" | "TB" => 1e12,
            "Ki" | "KiB" => 1024.0,
            "Mi" | "MiB" => 1_048_576.0,
            "Gi" | "GiB" => 1_073_741_824.0,
            "Ti" | "TiB" => 1_099_511_627_776.0,
            _ => return Err(error()),
        };
        whole(number * factor).map(Self).ok_or_else(error)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (factor, unit) in [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        write!(f, "{}B", self.0)
    }
}

/// Returns the nearest whole number, when there is one that fits.
pub fn whole(number: f64) -> Option<u64> {
    let number = number.round();
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked in the same line"
    )]
    (0.0..=9.0e15).contains(&number).then_some(number as u64)
}

/// Returns a count as a float: exact below 2^53, which no count here reaches.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "the one place where a count becomes a float"
)]
pub fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_read_as_written_and_write_back() {
        for (text, share) in [("5%", 0.05), ("7 %", 0.07), ("99.9%", 0.999)] {
            let read: Share = text.parse().unwrap();
            assert!((read.0 - share).abs() < 1e-12, "{text}");
            assert_eq!(read.to_string(), text.replace(' ', ""));
        }
        assert!("5".parse::<Share>().is_err() && "-5%".parse::<Share>().is_err());
    }

    #[test]
    fn spans_read_as_written_and_write_back() {
        for (text, millis, back) in [
            ("250ms", 250, "250ms"),
            ("0.5s", 500, "500ms"),
            ("1m", 60_000, "1m"),
            ("1m30s", 90_000, "1m30s"),
            ("2h", 7_200_000, "2h"),
            ("1.5s", 1500, "1.5s"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.0, Duration::from_millis(millis), "{text}");
            assert_eq!(span.to_string(), back);
            assert_eq!(back.parse::<Span>().unwrap(), span);
        }
        for text in ["", "5", "m", "1y", "-1s", "1s2", "1..5s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn rates_and_sizes_read_as_written() {
        assert_eq!("20000/s".parse(), Ok(Rate(20000.0)));
        assert_eq!("60/m".parse(), Ok(Rate(1.0)));
        assert!("20000/d".parse::<Rate>().is_err());
        assert_eq!("4GiB".parse(), Ok(Size(4 << 30)));
        assert_eq!("10MB".parse(), Ok(Size(10_000_000)));
        assert_eq!("4GiB".parse::<Size>().unwrap().to_string(), "4GiB");
        assert!("4GX".parse::<Size>().is_err());
    }
}
