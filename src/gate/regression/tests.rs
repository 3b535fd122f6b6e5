//! The comparison with accepted runs, and what comparisons of several kinds do to identical and to
//! slower builds, by simulation.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::gate::reduce::Reduce;
use crate::gate::summary::BLOCKS;
use crate::statistics::shift;

const AGAINST: Against = Against {
    reduce: Reduce::Mean,
    is_upper: true,
    worse_by: 0.1,
    confidence: 0.95,
    at_least: 5,
    last: 20,
};

#[test]
fn quantiles_are_those_of_the_tables() {
    for (share, degrees, t) in [
        (0.95, 4.0, 2.132),
        (0.95, 9.0, 1.833),
        (0.95, 19.0, 1.729),
        (0.99, 9.0, 2.821),
        (0.8, 9.0, 0.883),
        (0.95, 1e6, 1.645),
    ] {
        let found = quantile(share, degrees);
        assert!((found - t).abs() < 0.01, "{share} {degrees}: {found}, in tables {t}");
    }
}

/// Runs of which only what they come to is known.
fn runs(values: &[f64]) -> Vec<Measured> {
    values
        .iter()
        .map(|value| Measured { value: *value, blocks: vec![None; BLOCKS], load: None })
        .collect()
}

fn compared(against: &Against, value: f64, past: &[f64]) -> Compared {
    compare(against, &Measured { value, blocks: Vec::new(), load: None }, &runs(past))
}

/// A run by its parts.
fn parted(blocks: &[f64]) -> Measured {
    let of = blocks.iter().copied().map(Some).collect();
    Measured { value: mean(blocks), blocks: of, load: None }
}

#[test]
fn a_run_is_told_from_the_noise_of_the_accepted_ones() {
    let quiet = [100.0, 101.0, 99.0, 100.5, 99.5, 100.2];
    let loud = [100.0, 140.0, 75.0, 120.0, 80.0, 110.0];
    let less = Against { is_upper: false, ..AGAINST };
    for (against, value, past, verdict, part) in [
        (AGAINST, 100.3, &quiet[..], Verdict::Passed, "within the noise"),
        (AGAINST, 125.0, &quiet, Verdict::Failed, "worse than 6 accepted runs"),
        (AGAINST, 105.0, &quiet, Verdict::Passed, "a change, but below +10 %"),
        (AGAINST, 70.0, &quiet, Verdict::Passed, "within the noise"),
        (less, 70.0, &quiet, Verdict::Failed, "worse than 6"),
        (AGAINST, 115.0, &loud, Verdict::Inconclusive, "+10 % may be there unseen"),
        (AGAINST, 400.0, &loud, Verdict::Failed, "worse than 6"),
        (AGAINST, 100.0, &[], Verdict::Inconclusive, "no baseline yet"),
        (AGAINST, 100.0, &quiet[..4], Verdict::Inconclusive, "4 accepted, the comparison begins"),
        (AGAINST, 0.0, &quiet, Verdict::Inconclusive, "cannot be compared"),
        (AGAINST, 100.0, &[1.0, 0.0, 1.0, 1.0, 1.0], Verdict::Inconclusive, "cannot be compared"),
        (AGAINST, 5.0, &[5.0; 5], Verdict::Passed, "could have seen +0 %"),
    ] {
        let compared = compared(&against, value, past);
        assert_eq!(compared.verdict, verdict, "{value}: {}", compared.reason);
        assert!(compared.reason.contains(part), "{value}: {}", compared.reason);
    }
    assert!(compared(&AGAINST, 115.0, &loud).smallest.unwrap() > 0.5);
}

proptest::proptest! {
    /// Whatever the noise: where a run is worse, its verdict is not better.
    #[test]
    fn a_worse_run_never_has_a_better_verdict(
        past in proptest::collection::vec(50.0..200.0_f64, 5..20),
        value in 50.0..200.0_f64,
        worse in 1.0..3.0_f64,
        worse_by in 0.0..1.0_f64,
    ) {
        let against = Against { worse_by, ..AGAINST };
        let (was, is) = (compared(&against, value, &past), compared(&against, value * worse, &past));
        proptest::prop_assert!(is.verdict >= was.verdict, "{} / {}", was.reason, is.reason);
        let less = Against { is_upper: false, ..against };
        let (was, is) = (compared(&less, value, &past), compared(&less, value / worse, &past));
        proptest::prop_assert!(is.verdict >= was.verdict, "{} / {}", was.reason, is.reason);
    }
}

#[test]
fn a_run_that_is_restless_in_itself_does_not_pass_for_its_mean() {
    let climb = [60.0, 70.0, 85.0, 95.0, 105.0, 115.0, 130.0, 140.0];
    let past: Vec<Measured> = [100.0, 101.0, 99.0, 100.5, 99.5, 100.2]
        .iter()
        .map(|level| parted(&climb.map(|value| value * level / 100.0)))
        .collect();
    let restless = [20.0, 180.0, 40.0, 160.0, 30.0, 170.0, 150.0, 50.0];
    let late = [None, None, None, None, None, Some(115.0), Some(130.0), Some(140.0)];
    for (run, verdict, part) in [
        (parted(&climb), Verdict::Passed, "within the noise"),
        (parted(&climb.map(|value| value * 1.3)), Verdict::Failed, "worse than 6"),
        (parted(&restless), Verdict::Inconclusive, "this run is more restless in itself"),
        (parted(&restless.map(|value| value * 1.5)), Verdict::Failed, "worse than 6"),
        (
            Measured { value: 100.0, blocks: late.to_vec(), load: None },
            Verdict::Inconclusive,
            "no samples in most parts of the window",
        ),
        (
            Measured { value: 130.0, blocks: late.to_vec(), load: None },
            Verdict::Failed,
            "worse than 6",
        ),
    ] {
        let compared = compare(&AGAINST, &run, &past);
        assert_eq!(compared.verdict, verdict, "{}", compared.reason);
        assert!(compared.reason.contains(part), "{}", compared.reason);
    }
    let without = runs(&[100.0, 101.0, 99.0, 100.5, 99.5, 100.2]);
    let compared = compare(&AGAINST, &parted(&restless), &without);
    assert_eq!(compared.verdict, Verdict::Passed, "they show no course: {}", compared.reason);
}

proptest::proptest! {
    /// Parts of the window say what could have been seen; they never take a failure away, and
    /// fewer of them never make a pass.
    #[test]
    fn parts_only_ever_take_a_pass_away(
        past in proptest::collection::vec(proptest::collection::vec(50.0..200.0_f64, BLOCKS), 5..12),
        run in proptest::collection::vec(50.0..200.0_f64, BLOCKS),
        worse in 1.0..3.0_f64,
        worse_by in 0.0..2.0_f64,
        lost in proptest::collection::vec(proptest::bool::ANY, BLOCKS),
    ) {
        let against = Against { worse_by, ..AGAINST };
        let past: Vec<Measured> = past.iter().map(|blocks| parted(blocks)).collect();
        let run = parted(&run);
        let bare: Vec<f64> = past.iter().map(|run| run.value).collect();
        let (with, without) = (compare(&against, &run, &past), compared(&against, run.value, &bare));
        proptest::prop_assert!(with.verdict >= without.verdict);
        proptest::prop_assert_eq!(with.verdict == Verdict::Failed, without.verdict == Verdict::Failed);
        let blocks: Vec<Option<f64>> =
            run.blocks.iter().map(|block| block.map(|value| value * worse)).collect();
        let slower = Measured { value: run.value * worse, blocks, load: None };
        proptest::prop_assert!(compare(&against, &slower, &past).verdict >= with.verdict);
        if lost.iter().filter(|lost| **lost).count() > BLOCKS / 2 {
            let kept = |(block, lost): (&Option<f64>, &bool)| block.filter(|_| !lost);
            let blocks = run.blocks.iter().zip(&lost).map(kept).collect();
            let thin = compare(&against, &Measured { blocks, ..run }, &past);
            proptest::prop_assert!(thin.verdict >= Verdict::Inconclusive, "{}", thin.reason);
        }
    }
}

#[test]
fn only_runs_under_the_same_load_are_compared() {
    let under = |load: Option<f64>, values: &[f64]| -> Vec<Measured> {
        runs(values).into_iter().map(|run| Measured { load, ..run }).collect()
    };
    let quiet = [100.0, 101.0, 99.0, 100.5, 99.5, 100.2];
    for (now, then, expected) in [
        (Some(50.0), Some(50.0), Ok(6)),
        (Some(50.0), Some(60.0), Ok(6)),
        (None, None, Ok(6)),
        (
            Some(25.0),
            Some(50.0),
            Err("0 accepted with a load like this one's (25 requests/s), 6 with another"),
        ),
        (Some(63.0), Some(50.0), Err("(63 requests/s), 6 with another")),
        (None, Some(50.0), Err("0 accepted with a load like this one's (unknown), 6 with another")),
        (Some(50.0), None, Err("6 with another")),
    ] {
        // Half of the load needs half of the machine: that is no better build.
        let run = Measured { value: 50.0, blocks: Vec::new(), load: now };
        let compared = compare(&AGAINST, &run, &under(then, &quiet));
        match expected {
            Ok(runs) => assert_eq!((compared.verdict, compared.runs), (Verdict::Passed, runs)),
            Err(part) => {
                assert_eq!(compared.verdict, Verdict::Inconclusive);
                assert!(compared.reason.contains(part), "{}", compared.reason);
            }
        }
    }
}

#[test]
fn only_the_newest_runs_count() {
    let mut past = vec![10.0; 30];
    past.extend([100.0, 101.0, 99.0, 100.5, 99.5]);
    let against = Against { last: 5, ..AGAINST };
    let compared = compared(&against, 100.0, &past);
    assert_eq!((compared.verdict, compared.runs), (Verdict::Passed, 5));
}

/// Normal noise (Box and Muller).
fn noise(rng: &mut SmallRng) -> f64 {
    let (a, b): (f64, f64) = (rng.random_range(1e-12..1.0), rng.random());
    (-2.0 * a.ln()).sqrt() * (2.0 * std::f64::consts::PI * b).cos()
}

/// The samples of a run: a level that drifts from run to run, and requests of which each is much
/// like the one before.
fn samples(rng: &mut SmallRng, level: f64) -> Vec<f64> {
    const ALIKE: f64 = 0.9;
    let mut state = noise(rng);
    (0..200)
        .map(|_| {
            state = ALIKE * state + (1.0 - ALIKE * ALIKE).sqrt() * noise(rng);
            level * (0.1 * state).exp()
        })
        .collect()
}

/// How often each way of comparing calls a build regressed that is slower by a share.
#[derive(Debug, Default, PartialEq)]
struct Called {
    pairs: u32,
    naive: u32,
    threshold: u32,
    any_change: u32,
}

fn simulate(n: u32, slower_by: f64) -> Called {
    let mut rng = SmallRng::seed_from_u64(2026);
    let mut called = Called::default();
    for _ in 0..n {
        let mut differences = Vec::new();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for _ in 0..6 {
            // Both halves of a pair see the same machine on the same day.
            let level = 100.0 * (0.05 * noise(&mut rng)).exp();
            let a = samples(&mut rng, level);
            let b = samples(&mut rng, level * (1.0 + slower_by));
            differences.push((mean(&b) / mean(&a)).ln());
            first.push(a);
            second.push(b);
        }
        called.pairs += u32::from(shift(&differences, 0.95).is_some_and(|shift| shift.p <= 0.05));
        // What others do: two runs, one after the other on machines of their own.
        let a = first.remove(0);
        let b = second.remove(1);
        called.naive += u32::from(welch(&a, &b));
        called.threshold += u32::from(mean(&b) > mean(&a) * 1.1);
        called.any_change += u32::from(mean(&b) > mean(&a));
    }
    called
}

/// The test that takes every request for a measurement of its own.
fn welch(a: &[f64], b: &[f64]) -> bool {
    let of = |values: &[f64]| {
        let middle = mean(values);
        let n = float(u64::try_from(values.len()).unwrap());
        let squares: f64 = values.iter().map(|value| (value - middle) * (value - middle)).sum();
        (middle, squares / (n - 1.0) / n)
    };
    let ((a, of_a), (b, of_b)) = (of(a), of(b));
    (b - a) / (of_a + of_b).sqrt() > 1.645
}

#[test]
fn identical_builds_are_seldom_called_regressed_and_slower_ones_are_found() {
    let identical = simulate(2000, 0.0);
    let slower = simulate(2000, 0.1);
    println!("of 2000: identical {identical:?}, slower by 10 % {slower:?}");
    let share = |n: u32| f64::from(n) / 2000.0;
    assert!(share(identical.pairs) <= 0.06, "{identical:?}");
    assert!(share(slower.pairs) >= 0.9, "{slower:?}");
    // The others, on the same noise: they cry wolf, or miss.
    assert!(share(identical.naive) > 0.2, "{identical:?}");
    assert!(share(identical.threshold) > 0.06, "{identical:?}");
    assert!(share(identical.any_change) > 0.4, "{identical:?}");
}

#[test]
fn against_stored_runs_the_gate_errs_as_seldom_as_it_says() {
    let mut rng = SmallRng::seed_from_u64(7);
    let mut run = |level: f64| {
        let level = level * (0.05 * noise(&mut rng)).exp();
        let samples = samples(&mut rng, level);
        let blocks: Vec<f64> = samples.chunks(samples.len() / BLOCKS).map(mean).collect();
        parted(&blocks)
    };
    let (mut false_alarms, mut found, mut passed_unseen) = (0, 0, 0);
    for _ in 0..2000 {
        let past: Vec<Measured> = (0..10).map(|_| run(100.0)).collect();
        let same = compare(&AGAINST, &run(100.0), &past);
        let slower = compare(&AGAINST, &run(125.0), &past);
        false_alarms += u32::from(same.verdict == Verdict::Failed);
        found += u32::from(slower.verdict == Verdict::Failed);
        let unseen = same.smallest.is_some_and(|smallest| smallest > AGAINST.worse_by);
        passed_unseen += u32::from(unseen && same.verdict == Verdict::Passed);
    }
    println!("of 2000: {false_alarms} false alarms, {found} of 25 % found");
    assert!(false_alarms <= 120, "{false_alarms}");
    assert!(found >= 1800, "{found}");
    assert_eq!(passed_unseen, 0, "what could not have been seen is no pass");
}
