//! Properties of the judge: what is worse, or less, never makes a verdict better.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::tests::{WINDOW, answer, check, good, judge, results};
use super::*;
use crate::gate::limit::Limit;
use crate::gate::plan::{Quality, Score};
use crate::gate::series::Series;
use crate::gate::summary::Summary;
use crate::unit::Span;

fn passes(verdict: Verdict) -> bool {
    verdict <= Verdict::Warned
}

prop_compose! {
    /// Samples of one value at any times in and around the window.
    fn samples()(
        times in proptest::collection::vec(-20_000..80_000_i64, 0..20),
        value in -100..100_i32,
    ) -> Series {
        let at = |ms: i64| Point { at_ms: WINDOW.start_ms + ms, value: f64::from(value) };
        Series { points: times.into_iter().map(at).collect(), ..Series::default() }
    }
}

prop_compose! {
    /// Several series, told apart by name.
    fn many()(all in proptest::collection::vec(samples(), 1..4)) -> Vec<Series> {
        all.into_iter()
            .enumerate()
            .map(|(n, series)| Series {
                labels: BTreeMap::from([("n".to_owned(), n.to_string())]),
                ..series
            })
            .collect()
    }
}

prop_compose! {
    fn rules()(
        points in 0..6_u32,
        coverage in 0.0..1.0_f64,
        step in 1..30_u64,
        limit in -100..100_i32,
        upper in any::<bool>(),
    ) -> Check {
        let operator = if upper { "<" } else { ">" };
        let mut check = check(&format!("mean {operator} {limit}"), None);
        check.rule.quality =
            Quality { points: Some(points), coverage: Some(coverage), ..Quality::default() };
        check.rule.step = Some(Span::seconds(step));
        check
    }
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    proptest::sample::select(vec![
        Verdict::Passed,
        Verdict::Warned,
        Verdict::Inconclusive,
        Verdict::Error,
        Verdict::Failed,
    ])
}

proptest! {
    /// With and without a score, whatever the weights.
    #[test]
    fn a_worse_check_never_improves_a_gate(
        before in proptest::collection::vec((verdicts(), 0.0..10.0_f64, any::<bool>()), 1..6),
        at in 0..6_usize,
        worse in verdicts(),
        pass in 0.0..1.0_f64,
        warn in 0.0..1.0_f64,
        scored in any::<bool>(),
    ) {
        let score = scored.then_some(Score { pass, warn: warn.min(pass) });
        let at = at % before.len();
        let mut after = before.clone();
        after[at].0 = after[at].0.max(worse);
        let of = |all: &[_]| Summary::of(WINDOW.into(), results(all), score).verdict;
        let (was, is) = (of(&before), of(&after));
        prop_assert!(is >= was, "{was} became {is}");
    }

    /// Whatever a score forgives: `passed` needs every check to hold, `warned` a score that suffices
    /// though nothing was given for what is not known.
    #[test]
    fn no_score_makes_a_pass_of_what_failed_or_is_not_known(
        all in proptest::collection::vec((verdicts(), 0.0..10.0_f64, any::<bool>()), 1..6),
        pass in 0.0..1.0_f64,
        warn in 0.0..1.0_f64,
    ) {
        let score = Score { pass, warn: warn.min(pass) };
        let summary = Summary::of(WINDOW.into(), results(&all), Some(score));
        let worst = all.iter().map(|(verdict, ..)| *verdict).max().unwrap();
        prop_assert!(summary.verdict != Verdict::Passed || passes(worst), "{all:?}");
        prop_assert!(summary.verdict <= worst, "a score accuses nobody: {all:?}");
        let failed: Vec<_> = all.iter().map(|(verdict, share, must_pass)| {
            (if passes(*verdict) { *verdict } else { Verdict::Failed }, *share, *must_pass)
        }).collect();
        let if_failed = Summary::of(WINDOW.into(), results(&failed), Some(score)).verdict;
        prop_assert!(!passes(summary.verdict) || passes(if_failed), "{all:?}");
    }

    #[test]
    fn a_further_check_never_makes_a_pass_where_the_worst_one_counts(
        before in proptest::collection::vec((verdicts(), 0.0..10.0_f64, any::<bool>()), 1..6),
        more in verdicts(),
    ) {
        let mut after = before.clone();
        after.push((more, 1.0, false));
        let of = |all: &[_]| Summary::of(WINDOW.into(), results(all), None).verdict;
        prop_assert!(of(&after) >= of(&before));
    }

    /// The values do not move, so all that taking samples away can change is the data's quality.
    #[test]
    fn removing_samples_never_makes_a_pass(
        check in rules(),
        series in many(),
        keep in proptest::collection::vec(any::<bool>(), 80),
    ) {
        let whole = judge(&check, &answer(series.clone()), WINDOW);
        let mut keep = keep.into_iter();
        let thinned: Vec<Series> = series
            .into_iter()
            .map(|mut series| {
                series.points.retain(|_| keep.next().unwrap_or(true));
                series
            })
            .collect();
        let thinned = judge(&check, &answer(thinned), WINDOW);
        prop_assert!(!passes(thinned.verdict) || passes(whole.verdict), "{thinned:?} {whole:?}");
    }

    #[test]
    fn another_series_never_makes_a_pass(check in rules(), mut series in many(), more in samples()) {
        let before = judge(&check, &answer(series.clone()), WINDOW);
        series.push(Series {
            labels: BTreeMap::from([("n".to_owned(), "more".to_owned())]),
            ..more
        });
        let after = judge(&check, &answer(series), WINDOW);
        prop_assert!(!passes(after.verdict) || passes(before.verdict));
    }

    #[test]
    fn the_order_of_samples_and_series_is_no_matter(check in rules(), series in many()) {
        let mut turned = series.clone();
        turned.reverse();
        for series in &mut turned {
            series.points.reverse();
        }
        let (a, b) =
            (judge(&check, &answer(series), WINDOW), judge(&check, &answer(turned), WINDOW));
        prop_assert_eq!((a.verdict, a.value), (b.verdict, b.value));
    }

    /// The same measurement in any two units of a dimension, against the same limit and warning level.
    #[test]
    fn scaling_units_never_changes_a_verdict(
        values in proptest::array::uniform6(1..100_000_u32),
        (limit, warn) in (1..100_000_u32, 1..100_000_u32),
        upper in any::<bool>(),
        reduce in proptest::sample::select(vec!["mean", "max", "min", "last", "p95", "slope"]),
        units in proptest::sample::select(vec![
            ("us", "ms"), ("ms", "s"), ("s", "h"), ("ns", "min"), ("B", "MiB"), ("kB", "GB"),
            ("KiB", "B"), ("%", "cores"), ("millicores", "cores"), ("m", "k"),
        ]),
    ) {
        let operator = if upper { "<" } else { ">" };
        let per = if reduce == "slope" { "/s" } else { "" };
        let (one, other) = (Unit::find(units.0).unwrap(), Unit::find(units.1).unwrap());
        // The warning level comes before the limit.
        let (near, far) = (limit.min(warn), limit.max(warn));
        let (warn, limit) = if upper { (near, far) } else { (far, near) };
        let judged = |unit: Unit| {
            let text = |amount: u32| format!("{reduce} {operator} {amount}.5{}{per}", one.name);
            let mut check = check(&text(limit), Some(unit.name));
            check.rule.warn = Some(Limit::parse(&text(warn), Some(unit)).unwrap());
            let scale = one.factor / unit.factor;
            judge(&check, &good(values.map(|value| f64::from(value) * scale)), WINDOW)
        };
        let (a, b) = (judged(one), judged(other));
        // On a level itself rounding decides.
        let distance = |level: u32| (a.value.unwrap() - f64::from(level) - 0.5).abs();
        prop_assume!(distance(limit) > 1e-6 && distance(warn) > 1e-6);
        prop_assert_eq!(a.verdict, b.verdict, "{:?} {:?}", a.reason, b.reason);
    }

    #[test]
    fn no_answer_of_any_kind_passes_without_a_finite_value(
        check in rules(),
        times in proptest::collection::vec(any::<i64>(), 0..8),
        values in proptest::collection::vec(any::<f64>(), 8),
    ) {
        let points = times.into_iter().zip(values).map(|(at_ms, value)| Point { at_ms, value });
        let series = Series { points: points.collect(), ..Series::default() };
        let result = judge(&check, &answer(vec![series]), WINDOW);
        prop_assert_eq!(result.value.is_some(), result.verdict != Verdict::Inconclusive);
        prop_assert!(result.value.is_none_or(f64::is_finite));
    }
}
