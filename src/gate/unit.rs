//! Units of limits and of what a query returns: a limit is converted, never guessed.

use crate::mistake::suggest;

/// What a unit measures. Two units can be compared only within one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// A count, a share or a number of cores: `m`, `k`, `%`, `cores`.
    Number,
    /// Seconds.
    Time,
    /// Bytes.
    Bytes,
}

/// A unit: how many base units one of it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    /// How it is written.
    pub name: &'static str,
    /// What it measures.
    pub dimension: Dimension,
    /// One of it in base units.
    pub factor: f64,
}

const UNITS: &[Unit] = &[
    number("%", 0.01),
    number("m", 1e-3),
    number("millicores", 1e-3),
    number("cores", 1.0),
    number("k", 1e3),
    number("M", 1e6),
    number("G", 1e9),
    time("ns", 1e-9),
    time("us", 1e-6),
    time("µs", 1e-6),
    time("ms", 1e-3),
    time("s", 1.0),
    time("min", 60.0),
    time("h", 3600.0),
    time("d", 86_400.0),
    bytes("B", 1.0),
    bytes("kB", 1e3),
    bytes("KB", 1e3),
    bytes("MB", 1e6),
    bytes("GB", 1e9),
    bytes("TB", 1e12),
    bytes("Ki", 1024.0),
    bytes("KiB", 1024.0),
    bytes("Mi", 1_048_576.0),
    bytes("MiB", 1_048_576.0),
    bytes("Gi", 1_073_741_824.0),
    bytes("GiB", 1_073_741_824.0),
    bytes("Ti", 1_099_511_627_776.0),
    bytes("TiB", 1_099_511_627_776.0),
];

const fn number(name: &'static str, factor: f64) -> Unit {
    Unit { name, dimension: Dimension::Number, factor }
}

const fn time(name: &'static str, factor: f64) -> Unit {
    Unit { name, dimension: Dimension::Time, factor }
}

const fn bytes(name: &'static str, factor: f64) -> Unit {
    Unit { name, dimension: Dimension::Bytes, factor }
}

impl Unit {
    /// Returns the unit of that name.
    pub fn find(name: &str) -> Option<Self> {
        UNITS.iter().copied().find(|unit| unit.name == name)
    }

    /// Returns the unit of that name, or what is to be told where there is none.
    pub fn named(name: &str) -> Result<Self, String> {
        Self::find(name).ok_or_else(|| {
            let names: Vec<&str> = UNITS.iter().map(|unit| unit.name).collect();
            format!("`{name}` is no unit; {}", suggest(name, &names))
        })
    }
}

/// What a source says its values are in.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// In words: `milliseconds`.
    name: String,
    dimension: Dimension,
    factor: f64,
}

impl Told {
    /// In that many base units of a dimension.
    pub fn of(name: &str, dimension: Dimension, factor: f64) -> Self {
        Self { name: name.to_owned(), dimension, factor }
    }

    /// True for a time.
    pub fn is_time(&self) -> bool {
        self.dimension == Dimension::Time
    }

    /// Says what is wrong with the unit that a check gives its values, or else its limits.
    pub fn mistake(&self, given: Option<Unit>, of_limits: &[Unit]) -> Option<String> {
        let says = format!("the source says that its values are in {}", self.name);
        if let Some(unit) = given {
            let is_alike =
                unit.dimension == self.dimension && (unit.factor / self.factor - 1.0).abs() < 1e-9;
            return (!is_alike).then(|| format!("{says}, and not in {} (unit)", unit.name));
        }
        if let Some(unit) = of_limits.iter().find(|unit| unit.dimension != self.dimension) {
            return Some(format!("{says}: a limit in {} cannot be compared with it", unit.name));
        }
        let is_base = (self.factor - 1.0).abs() < 1e-9;
        (!of_limits.is_empty() && !is_base)
            .then(|| format!("{says}: say so with `unit`, else limits are in base units"))
    }
}

/// Returns the share that a text gives: `80%` or `0.8`.
pub fn share(text: &str) -> Option<f64> {
    let text = text.trim();
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    (0.0..=1.0).contains(&share).then_some(share)
}

/// Returns a number for people: six significant digits, no trailing zeros.
pub fn show(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor();
    if !(-5.0..15.0).contains(&magnitude) {
        return format!("{value:.5e}");
    }
    let decimals = crate::unit::whole((5.0 - magnitude).clamp(0.0, 12.0)).unwrap_or(0);
    let text = format!("{value:.*}", usize::try_from(decimals).unwrap_or(0));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_short_and_true() {
        for (value, text) in [
            (0.0, "0"),
            (72.029_412, "72.0294"),
            (800.0, "800"),
            (0.678_301, "0.678301"),
            (1_610_612_736.0, "1610612736"),
            (-0.25, "-0.25"),
            (1e20, "1.00000e20"),
        ] {
            assert_eq!(show(value), text);
        }
    }

    #[test]
    fn shares_are_between_none_and_all() {
        assert_eq!(share("80%"), Some(0.8));
        assert_eq!(share("0.5"), Some(0.5));
        for text in ["80", "-1%", "NaN", "", "a%"] {
            assert_eq!(share(text), None, "{text}");
        }
    }
}
