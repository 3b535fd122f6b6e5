//! Statistics of few, dear numbers: one a run, a block or a slice, never one a request. Pure,
//! deterministic, shared by the tools.

use std::cmp::Ordering;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::unit::{float, whole};

/// Returns a length as a number to reckon with.
fn number(n: usize) -> f64 {
    float(u64::try_from(n).unwrap_or(u64::MAX))
}

/// Returns the value in the middle; zero of nothing.
pub fn median(mut values: Vec<f64>) -> f64 {
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

/// Returns the median distance from the median, scaled so that it is the standard deviation where
/// values are normally spread: noise that an outlier or two do not change.
#[cfg_attr(not(test), expect(dead_code, reason = "for what is compared with stored runs"))]
pub fn spread(values: &[f64]) -> f64 {
    const NORMAL: f64 = 1.4826;
    let middle = median(values.to_vec());
    NORMAL * median(values.iter().map(|value| (value - middle).abs()).collect())
}

/// Returns the arithmetic mean; zero of nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / number(values.len()) }
}

/// Fewer points tell no trend.
const TREND: usize = 10;

/// Returns by how much a series grew from its start to its end: the slope that most pairs of points
/// agree on (Theil–Sen), or zero where chance explains it (Mann–Kendall, 5 %). `None` when there
/// are too few points.
pub fn growth(series: &[f64]) -> Option<f64> {
    if series.len() < TREND {
        return None;
    }
    let mut slopes = Vec::new();
    let mut sum = 0.0;
    for (i, a) in series.iter().enumerate() {
        for (j, b) in series.iter().enumerate().skip(i + 1) {
            slopes.push((b - a) / number(j - i));
            sum += match b.partial_cmp(a) {
                Some(Ordering::Greater) => 1.0,
                Some(Ordering::Less) => -1.0,
                Some(Ordering::Equal) | None => 0.0,
            };
        }
    }
    let n = number(series.len());
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let z: f64 = (f64::abs(sum) - 1.0).max(0.0) / deviation;
    Some(if z < 1.96 { 0.0 } else { median(slopes) * (n - 1.0) })
}

/// As [`growth`], as a share of the series' median.
pub fn drift(series: &[f64]) -> Option<f64> {
    let growth = growth(series)?;
    let median = median(series.to_vec());
    Some(if median > 0.0 { growth / median } else { 0.0 })
}

/// What pairs of measurements say of the difference between two things: its one-sided bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// The mean difference.
    pub mean: f64,
    /// The true difference is above this, at the confidence asked for.
    pub low: f64,
    /// The true difference is below this, at the confidence asked for.
    pub high: f64,
    /// How likely differences like these are when there is no increase (sign-flip test).
    pub p: f64,
}

/// Pairs up to this many are tried in every combination; of more, combinations are drawn.
const EXACT: usize = 14;
const DRAWN: usize = 20_000;

/// Judges the differences of pairs. Under no true difference each could as well have had the other
/// sign: how many of all sign patterns have a mean at least as great is the test's p. The pattern
/// that flips a subset has such a mean just when the subset's own mean is not above zero, so the
/// sorted means of all subsets are at once the exact confidence bounds (Hartigan 1969). No spread
/// is assumed. `None` when there are too few pairs for any bound at this confidence.
pub fn shift(differences: &[f64], confidence: f64) -> Option<Shift> {
    let alpha = 1.0 - confidence;
    let means = subset_means(differences);
    let n_patterns = number(means.len() + 1);
    // So many patterns, the unflipped one among them, may be as great without being too likely.
    let allowed = whole((alpha * n_patterns + 1e-9).floor())?;
    let at = usize::try_from(allowed.checked_sub(1)?).ok()?;
    let not_above = means.partition_point(|mean| *mean <= 0.0);
    Some(Shift {
        mean: mean(differences),
        low: *means.get(at)?,
        high: *means.get(means.len().checked_sub(at + 1)?)?,
        p: number(not_above + 1) / n_patterns,
    })
}

/// Returns the means of the non-empty subsets, ascending.
fn subset_means(values: &[f64]) -> Vec<f64> {
    let mut means = Vec::new();
    if values.len() <= EXACT {
        for pattern in 1_usize..1 << values.len() {
            let picked = values.iter().enumerate().filter(|(n, _)| pattern >> n & 1 == 1);
            let picked: Vec<f64> = picked.map(|(_, value)| *value).collect();
            means.push(mean(&picked));
        }
    } else {
        let mut rng = SmallRng::seed_from_u64(1);
        while means.len() < DRAWN {
            let picked: Vec<f64> =
                values.iter().filter(|_| rng.random::<bool>()).copied().collect();
            if !picked.is_empty() {
                means.push(mean(&picked));
            }
        }
    }
    means.sort_by(f64::total_cmp);
    means
}

/// Returns how many pairs are needed until the test can find anything at all, when so many things
/// are compared at once.
pub fn least_pairs(n_compared: usize, confidence: f64) -> usize {
    let alpha = (1.0 - confidence) / number(n_compared.max(1));
    (1..64).find(|n| 0.5_f64.powi(*n) <= alpha).and_then(|n| usize::try_from(n).ok()).unwrap_or(64)
}

/// Returns which of several tests found something, given their p, so that all of them together err
/// no more often than one alone may (Holm).
pub fn holm(p: &[f64], confidence: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    let at = |n: usize| p.get(n).copied().unwrap_or(1.0);
    order.sort_by(|a, b| at(*a).total_cmp(&at(*b)));
    let mut found = vec![false; p.len()];
    for (rank, n) in order.into_iter().enumerate() {
        if at(n) > (1.0 - confidence) / number(p.len() - rank) + 1e-12 {
            break;
        }
        if let Some(found) = found.get_mut(n) {
            *found = true;
        }
    }
    found
}

/// Resamples of a bootstrap.
const RESAMPLES: usize = 200;

/// Returns the interval in which a statistic of `n` slices lies at 95 %: it is measured again and
/// again on slices drawn with replacement. `measure` gets how often each slice was drawn. Slices,
/// not single values: what follows closely on each other is alike.
pub fn bootstrap(n: usize, mut measure: impl FnMut(&[u32]) -> Option<f64>) -> Option<(f64, f64)> {
    /// With fewer slices the interval would promise too much.
    const LEAST: usize = 10;
    if n < LEAST {
        return None;
    }
    let mut rng = SmallRng::seed_from_u64(1);
    let mut values = Vec::with_capacity(RESAMPLES);
    let mut drawn = vec![0; n];
    for _ in 0..RESAMPLES {
        drawn.fill(0);
        for _ in 0..n {
            if let Some(times) = drawn.get_mut(rng.random_range(0..n)) {
                *times += 1;
            }
        }
        values.extend(measure(&drawn));
    }
    values.sort_by(f64::total_cmp);
    let cut = RESAMPLES / 40;
    let high = values.len().checked_sub(cut + 1)?;
    Some((*values.get(cut)?, *values.get(high)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_moves_neither_median_nor_spread() {
        let is = |values: Vec<f64>, middle: f64| (median(values) - middle).abs() < 1e-12;
        assert!(is(vec![3.0, 1.0, 2.0], 2.0) && is(Vec::new(), 0.0));
        assert!(is(vec![4.0, 1.0, 2.0, 3.0], 2.5));
        assert!((spread(&[1.0, 2.0, 3.0, 4.0, 900.0]) - 1.4826).abs() < 1e-9);
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

    /// What trying every sign pattern says, by the book.
    fn by_the_book(differences: &[f64]) -> f64 {
        let own: f64 = differences.iter().sum();
        let as_great = (0_usize..1 << differences.len()).filter(|pattern| {
            let sign = |n: usize| if pattern >> n & 1 == 1 { -1.0 } else { 1.0 };
            let sum: f64 = differences.iter().enumerate().map(|(n, d)| sign(n) * d).sum();
            sum >= own - 1e-12
        });
        number(as_great.count()) / number(1 << differences.len())
    }

    #[test]
    fn the_bounds_are_those_of_the_sign_flip_test() {
        let differences = [0.1, 0.3, -0.05, 0.2, 0.15, 0.08, 0.21];
        let found = shift(&differences, 0.95).unwrap();
        assert!((found.p - by_the_book(&differences)).abs() < 1e-9, "{found:?}");
        let less = |by: f64| differences.map(|difference| difference - by);
        // Just inside the bounds the test does not reject, just outside it does.
        assert!(by_the_book(&less(found.low + 1e-6)) > 0.05);
        assert!(by_the_book(&less(found.low - 1e-6)) <= 0.05);
        let greater = |by: f64| differences.map(|difference| by - difference);
        assert!(by_the_book(&greater(found.high - 1e-6)) > 0.05);
        assert!(by_the_book(&greater(found.high + 1e-6)) <= 0.05);
        assert_eq!(shift(&[0.1, 0.2, 0.3, 0.4], 0.95), None, "too few pairs for any bound");
        assert!(shift(&[0.1, 0.2, 0.3, 0.4, 0.5], 0.95).unwrap().low > 0.0);
    }

    #[test]
    fn many_pairs_are_judged_as_few_are() {
        let differences: Vec<f64> = (0..30).map(|n| f64::from(n % 7) - 2.5).collect();
        let found = shift(&differences, 0.95).unwrap();
        // By the normal approximation: mean 0.33, standard error 0.37.
        assert!((found.low + 0.28).abs() < 0.08 && (found.high - 0.95).abs() < 0.08, "{found:?}");
        assert!((0.1..0.25).contains(&found.p), "{found:?}");
    }

    /// How often identical things are called worse, and a real difference is found.
    #[test]
    fn the_test_errs_as_seldom_as_it_promises_and_sees_what_it_should() {
        let mut rng = SmallRng::seed_from_u64(3);
        let mut found = |by: f64| {
            (0..1000)
                .filter(|_| {
                    let noise =
                        |_| by + rng.random_range(-0.05..0.05) + rng.random_range(-0.05..0.05);
                    let pairs: Vec<f64> = (0..8).map(noise).collect();
                    shift(&pairs, 0.95).is_some_and(|found| found.p <= 0.05)
                })
                .count()
        };
        let (none, some) = (found(0.0), found(0.1));
        assert!(none <= 65, "{none} of 1000 false alarms");
        assert!(some >= 990, "{some} of 1000 found");
    }

    #[test]
    fn several_tests_together_err_as_seldom_as_one() {
        assert_eq!(holm(&[0.04, 0.01, 0.03], 0.95), [false, true, false]);
        assert_eq!(holm(&[0.04, 0.01, 0.02], 0.95), [true, true, true]);
        assert_eq!(holm(&[], 0.95), Vec::<bool>::new());
        for (n_compared, pairs) in [(1, 5), (3, 6), (4, 7), (200, 12)] {
            assert_eq!(least_pairs(n_compared, 0.95), pairs, "{n_compared}");
        }
    }

    #[test]
    fn the_bootstrap_holds_the_truth_as_often_as_it_says() {
        let mut rng = SmallRng::seed_from_u64(5);
        let mut n_held = 0;
        for _ in 0..200 {
            let values: Vec<f64> = (0..40).map(|_| rng.random_range(0.0..1.0)).collect();
            let measure = |drawn: &[u32]| {
                let sum: f64 = values.iter().zip(drawn).map(|(v, n)| v * f64::from(*n)).sum();
                Some(sum / 40.0)
            };
            let (low, high) = bootstrap(40, measure).unwrap();
            assert!(low < high && high - low < 0.3);
            n_held += usize::from(low <= 0.5 && 0.5 <= high);
        }
        assert!((180..=198).contains(&n_held), "{n_held} of 200");
        assert_eq!(bootstrap(9, |_| Some(1.0)), None);
    }
}
