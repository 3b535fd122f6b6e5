//! Quantities: read in every unit, added up, and written in Kubernetes' own form.

/// A quantity as it is, in billionths: sums are of what was measured, not of what is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub i128);

impl Amount {
    /// In thousandths, rounded up.
    pub fn milli(self) -> i128 {
        self.0.div_euclid(1_000_000) + i128::from(self.0.rem_euclid(1_000_000) > 0)
    }

    /// In ones, rounded up.
    pub fn whole(self) -> i128 {
        self.0.div_euclid(1_000_000_000) + i128::from(self.0.rem_euclid(1_000_000_000) > 0)
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        Self(all.map(|amount| amount.0).fold(0, i128::saturating_add))
    }
}

/// A quantity in any unit that Kubernetes writes; what is none is nothing.
pub fn quantity(text: &str) -> Amount {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let binary = |power: u32| 1_000_000_000 * 1024_i128.pow(power);
    let exponent = unit.strip_prefix(['e', 'E']).and_then(|power| power.parse::<i32>().ok());
    let factor = match (unit, exponent) {
        (_, Some(power)) => match u32::try_from(power + 9) {
            Ok(power) if power <= 27 => 10_i128.pow(power),
            Ok(_) | Err(_) => 0,
        },
        ("n", _) => 1,
        ("u", _) => 1_000,
        ("m", _) => 1_000_000,
        ("", _) => 1_000_000_000,
        ("k", _) => 10_i128.pow(12),
        ("M", _) => 10_i128.pow(15),
        ("G", _) => 10_i128.pow(18),
        ("T", _) => 10_i128.pow(21),
        ("P", _) => 10_i128.pow(24),
        ("E", _) => 10_i128.pow(27),
        ("Ki", _) => binary(1),
        ("Mi", _) => binary(2),
        ("Gi", _) => binary(3),
        ("Ti", _) => binary(4),
        ("Pi", _) => binary(5),
        ("Ei", _) => binary(6),
        _ => 0,
    };
    let (ones, parts) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{ones}{parts}").parse().unwrap_or(0);
    let below = u32::try_from(parts.len()).ok().and_then(|power| 10_i128.checked_pow(power));
    let product = digits.saturating_mul(factor);
    Amount(below.map_or(0, |below| product / below + i128::from(product % below > 0)))
}

/// How a quantity is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Form {
    /// `100m`, `1`, `2k`.
    #[default]
    Decimal,
    /// `1e3`.
    Exponent,
    /// `64Mi`.
    Binary,
}

/// A quantity that keeps its form. What is not nothing gives a sum its form first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quantity {
    amount: Amount,
    form: Form,
}

impl Quantity {
    /// Reads one.
    pub fn read(text: &str) -> Self {
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || "+-.".contains(c));
        let form = match unit {
            _ if unit.ends_with('i') => Form::Binary,
            _ if unit.len() > 1 && unit.starts_with(['e', 'E']) => Form::Exponent,
            _ => Form::Decimal,
        };
        Self { amount: quantity(text), form }
    }

    /// Adds another.
    pub fn add(&mut self, other: Self) {
        if self.amount == Amount::default() {
            self.form = other.form;
        }
        self.amount = [self.amount, other.amount].into_iter().sum();
    }

    /// The larger of two; the first of equal ones.
    pub fn max(self, other: Self) -> Self {
        if other.amount > self.amount { other } else { self }
    }

    /// The amount alone.
    pub fn amount(self) -> Amount {
        self.amount
    }

    /// The shortest way to write it without a fraction.
    pub fn text(self) -> String {
        const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
        const ONE: i128 = 1_000_000_000;
        let Amount(mut left) = self.amount;
        if left == 0 {
            return "0".to_owned();
        }
        if self.form == Form::Binary && left % ONE == 0 && left.abs() >= 1024 * ONE {
            let mut whole = left / ONE;
            let mut power = 0;
            while whole % 1024 == 0 && power + 1 < BINARY.len() {
                whole /= 1024;
                power += 1;
            }
            return format!("{whole}{}", BINARY.get(power).unwrap_or(&""));
        }
        let mut power = 0;
        while left % 1000 == 0 && power + 1 < DECIMAL.len() {
            left /= 1000;
            power += 1;
        }
        if self.form == Form::Exponent {
            let exponent = i64::try_from(power).unwrap_or(0) * 3 - 9;
            return if exponent == 0 { left.to_string() } else { format!("{left}e{exponent}") };
        }
        format!("{left}{}", DECIMAL.get(power).unwrap_or(&""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_in_every_unit() {
        for (text, milli, whole) in [
            ("250m", 250, 1),
            ("1", 1000, 1),
            ("1234567n", 2, 1),
            ("1500u", 2, 1),
            ("0.5", 500, 1),
            ("12Mi", 12_000 << 20, 12 << 20),
            ("1k", 1_000_000, 1000),
            ("1e3", 1_000_000, 1000),
            ("2E", 2_i128 * 10_i128.pow(21), 2_i128 * 10_i128.pow(18)),
            ("", 0, 0),
            ("abc", 0, 0),
        ] {
            let read = quantity(text);
            assert_eq!((read.milli(), read.whole()), (milli, whole), "{text}");
        }
    }

    #[test]
    fn sums_are_written_in_the_form_of_the_first_that_is_something() {
        for (texts, sum) in [
            (&["250m", "250m"][..], "500m"),
            (&["750m", "250m"], "1"),
            (&["0", "64Mi", "64Mi"], "128Mi"),
            (&["64Mi", "1M"], "68108864"),
            (&["512", "512Mi"], "536871424"),
            (&["512Ki", "512Ki"], "1Mi"),
            (&["1k", "1Ki"], "2024"),
            (&["1Ki", "1m"], "1024001m"),
            (&["1e3", "1"], "1001"),
            (&["5e3", "5e3"], "10e3"),
            (&["1500u"], "1500u"),
            (&["100", "900"], "1k"),
            (&["1Ki", "0"], "1Ki"),
            (&[], "0"),
        ] {
            let mut total = Quantity::default();
            for text in texts {
                total.add(Quantity::read(text));
            }
            assert_eq!(total.text(), sum, "{texts:?}");
        }
    }
}
