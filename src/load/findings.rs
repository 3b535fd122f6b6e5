//! What a preset looks for: capacity, recovery, drift. Pure arithmetic on what was counted.

use crate::load::gauge::Stretch;

/// A step whose arrivals came in full by less than this was too much for the target.
pub const ACHIEVED: f64 = 0.95;

/// What a stress test found so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Capacity {
    /// The level of the last good step.
    pub good: Option<f64>,
    /// The level of the first bad step, and why it was.
    pub bad: Option<(f64, String)>,
}

/// A second after the spike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Second {
    /// Its start, in microseconds since the spike's end.
    pub from: u64,
    /// 95 % of the response times are below, in milliseconds; `None` without requests.
    pub p95: Option<f64>,
    /// The failed share.
    pub failed: f64,
}

/// So many seconds in a row must be good before the target counts as recovered.
const CALM: usize = 3;

/// Returns after how many milliseconds the target was as before the spike: three seconds in a row
/// in which p95 is within half of what it was (and 5 ms), and errors within a percent.
pub fn recovery(base: &Stretch, seconds: &[Second]) -> Option<f64> {
    let p95 = base.percentile(95.0);
    let most = (p95 * 1.5).max(p95 + 5.0);
    let failed = base.failed_share() + 0.01;
    let is_calm =
        |second: &Second| second.p95.is_some_and(|p95| p95 <= most) && second.failed <= failed;
    let calm = seconds.windows(CALM).find(|window| window.iter().all(is_calm))?;
    let first = calm.first()?;
    Some(crate::load::collect::millis(first.from))
}

/// Fewer buckets tell no trend.
const BUCKETS: usize = 10;

/// Returns by how much a series grew from its start to its end, as a share of its median: the
/// slope that most pairs of points agree on (Theil–Sen), or nothing where chance explains it
/// (Mann–Kendall, 5 %). `None` when there are too few points.
pub fn drift(series: &[f64]) -> Option<f64> {
    let slope = trend(series)?;
    let median = median(series.to_vec());
    let length = crate::unit::float(u64::try_from(series.len()).unwrap_or(0)) - 1.0;
    Some(if median > 0.0 { slope * length / median } else { 0.0 })
}

/// Returns by how much a series grew from its start to its end; zero where chance explains it.
pub fn growth(series: &[f64]) -> Option<f64> {
    let length = crate::unit::float(u64::try_from(series.len()).unwrap_or(0)) - 1.0;
    Some(trend(series)? * length)
}

fn trend(series: &[f64]) -> Option<f64> {
    if series.len() < BUCKETS {
        return None;
    }
    let number = |n: usize| crate::unit::float(u64::try_from(n).unwrap_or(0));
    let mut slopes = Vec::new();
    let mut sum = 0.0;
    for (i, a) in series.iter().enumerate() {
        for (j, b) in series.iter().enumerate().skip(i + 1) {
            slopes.push((b - a) / number(j - i));
            sum += match b.partial_cmp(a) {
                Some(std::cmp::Ordering::Greater) => 1.0,
                Some(std::cmp::Ordering::Less) => -1.0,
                Some(std::cmp::Ordering::Equal) | None => 0.0,
            };
        }
    }
    let n = number(series.len());
    let spread = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let z: f64 = (f64::abs(sum) - 1.0).max(0.0) / spread;
    Some(if z < 1.96 { 0.0 } else { median(slopes) })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (None, _) => 0.0,
        (Some(value), 1) => *value,
        (Some(value), _) => {
            f64::midpoint(*value, values.get(middle.wrapping_sub(1)).copied().unwrap_or(*value))
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn the_target_has_recovered_when_it_stays_as_it_was() {
        let mut base = Stretch { count: 100, ..Stretch::default() };
        for _ in 0..100 {
            base.response.record(10_000);
        }
        let check = |p95: &[f64], expected: Option<f64>| {
            let second = |(n, p95): (usize, &f64)| Second {
                from: u64::try_from(n).unwrap() * 1_000_000,
                p95: Some(*p95).filter(|p95| *p95 > 0.0),
                failed: if *p95 > 900.0 { 0.5 } else { 0.0 },
            };
            let seconds: Vec<Second> = p95.iter().enumerate().map(second).collect();
            assert_eq!(recovery(&base, &seconds), expected, "{p95:?}");
        };
        check(&[11.0, 12.0, 10.0, 9.0], Some(0.0));
        check(&[500.0, 14.0, 300.0, 12.0, 14.9, 10.0], Some(3000.0));
        check(&[500.0, 14.0, 0.0, 12.0, 14.0, 10.0], Some(3000.0));
        check(&[14.0, 14.0, 999.0, 14.0, 14.0], None);
        check(&[], None);
    }

    #[test]
    fn a_trend_is_told_from_noise() {
        let mut rng = SmallRng::seed_from_u64(7);
        let mut noisy = |slope: f64| -> Vec<f64> {
            let point = |n: i32| 100.0 + slope * f64::from(n) + rng.random_range(-10.0..10.0);
            (0..60).map(point).collect()
        };
        let grown = drift(&noisy(1.0)).unwrap();
        assert!((grown - 59.0 / 129.5).abs() < 0.05, "{grown}");
        assert!(drift(&noisy(0.0)).unwrap().abs() < 0.05);
        let mut spiky = noisy(0.0);
        spiky[59] = 10_000.0;
        assert!(drift(&spiky).unwrap().abs() < 0.05);
        assert_eq!(drift(&[1.0; 9]), None);
        assert_eq!(drift(&[1.0; 10]), Some(0.0));
        assert_eq!(growth(&[0.0; 20]), Some(0.0));
    }
}
