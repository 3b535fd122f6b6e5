//! Tables and properties of the judge.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::gate::limit::Limit;
use crate::gate::plan::{Against, Quality, Score, SourceChoice, Weight};
use crate::gate::series::Series;
use crate::gate::summary::Summary;
use crate::gate::unit::Unit;
use crate::unit::Span;

const WINDOW: Window = Window { start_ms: 1_700_000_000_000, end_ms: 1_700_000_060_000 };

fn judge(check: &Check, answer: &Answer, window: Window) -> CheckResult {
    super::judge(check, answer, window, &[])
}

fn check(limit: &str, unit: Option<&str>) -> Check {
    let limit = Limit::parse(limit, unit.and_then(Unit::find)).unwrap();
    let rule = Rule { limit: Some(limit), ..Rule::default() };
    Check {
        name: "cpu".to_owned(),
        source: SourceChoice::Named("w".to_owned()),
        query: "cpu".to_owned(),
        operands: Vec::new(),
        value: None,
        restarts: None,
        weight: Weight::default(),
        unit: unit.map(ToOwned::to_owned),
        rule,
    }
}

/// A series with a sample every 10 s from 5 s into the window on.
fn series(name: &str, values: &[f64]) -> Series {
    let points = (0..)
        .zip(values)
        .map(|(n, value)| Point { at_ms: WINDOW.start_ms + 5000 + n * 10_000, value: *value });
    Series {
        labels: BTreeMap::from([("pod".to_owned(), name.to_owned())]),
        points: points.collect(),
        n_absent: 0,
    }
}

fn answer(series: Vec<Series>) -> Answer {
    Answer { series, ..Answer::default() }
}

fn good(values: [f64; 6]) -> Answer {
    answer(vec![series("a", &values)])
}

#[test]
fn good_data_is_held_against_the_limit() {
    let data = good([10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
    for (limit, value, verdict) in [
        ("mean < 36", 35.0, Verdict::Passed),
        ("mean < 35", 35.0, Verdict::Failed),
        ("mean <= 35", 35.0, Verdict::Passed),
        ("max < 60", 60.0, Verdict::Failed),
        ("min >= 10", 10.0, Verdict::Passed),
        ("min > 10", 10.0, Verdict::Failed),
        ("p50 < 31", 30.0, Verdict::Passed),
        ("last < 60", 60.0, Verdict::Failed),
    ] {
        let result = judge(&check(limit, None), &data, WINDOW);
        assert_eq!((result.verdict, result.value), (verdict, Some(value)), "{limit}");
        assert_eq!((result.points, result.series), (6, 1));
        assert!(result.chart.is_some());
        for part in [limit, "6 samples in 1 series", "(1m)"] {
            assert!(result.reason.contains(part), "{}", result.reason);
        }
    }
}

#[test]
fn a_warning_level_warns_and_a_limit_still_fails() {
    let mut check = check("mean < 40", None);
    check.rule.warn = Some(Limit::parse("mean < 30", None).unwrap());
    for (value, verdict) in
        [(20.0, Verdict::Passed), (35.0, Verdict::Warned), (45.0, Verdict::Failed)]
    {
        assert_eq!(judge(&check, &good([value; 6]), WINDOW).verdict, verdict, "{value}");
    }
}

#[test]
fn across_series_the_worst_one_counts_unless_said_otherwise() {
    let data = answer(vec![series("a", &[10.0; 6]), series("b", &[30.0; 6])]);
    for (across, limit, value) in [
        (Across::Every, "mean < 20", 30.0),
        (Across::Every, "mean > 20", 10.0),
        (Across::Any, "mean < 20", 10.0),
        (Across::Any, "mean > 20", 30.0),
        (Across::Count, "mean > 2", 2.0),
        (Across::Mean, "mean < 20", 20.0),
        (Across::Max, "mean < 20", 30.0),
        (Across::Min, "mean < 20", 10.0),
        (Across::Sum, "mean < 20", 40.0),
    ] {
        let mut check = check(limit, None);
        check.rule.across = across;
        assert_eq!(judge(&check, &data, WINDOW).value, Some(value), "{across:?} {limit}");
    }
    let result = judge(&check("mean < 20", None), &data, WINDOW);
    assert!(result.reason.starts_with("worst mean of 2 series 30 breaks"), "{}", result.reason);
}

#[test]
fn within_a_label_series_are_taken_together_and_every_group_must_hold() {
    let of = |zone: &str, series: Series| {
        let mut series = series;
        series.labels.insert("zone".to_owned(), zone.to_owned());
        series
    };
    let data = answer(vec![
        of("a", series("1", &[10.0; 6])),
        of("a", series("2", &[20.0; 6])),
        of("b", series("3", &[25.0; 6])),
    ]);
    let mut check = check("mean < 28", None);
    check.rule.across = Across::Sum;
    check.rule.by = Some("zone".to_owned());
    let result = judge(&check, &data, WINDOW);
    assert_eq!((result.verdict, result.value), (Verdict::Failed, Some(30.0)), "{}", result.reason);
    assert!(result.reason.contains("worst by zone"), "{}", result.reason);
    check.rule.by = Some("rack".to_owned());
    let result = judge(&check, &data, WINDOW);
    assert_eq!(result.verdict, Verdict::Inconclusive);
    assert!(result.reason.contains("has no label `rack`"), "{}", result.reason);
}

#[test]
fn a_counter_that_went_back_and_a_pod_that_was_replaced_are_no_evidence() {
    let back = good([10.0, 20.0, 30.0, 2.0, 4.0, 6.0]);
    let mut rate = check("rate < 5/s", None);
    let result = judge(&rate, &back, WINDOW);
    assert_eq!(result.verdict, Verdict::Inconclusive);
    assert!(result.reason.contains("went back at 22:13:55 UTC"), "{}", result.reason);
    rate.rule.quality.allow_restarts = true;
    assert_eq!(judge(&rate, &back, WINDOW).value, Some(0.52));
    let gauge = judge(&check("max < 50", None), &back, WINDOW);
    assert_eq!(gauge.verdict, Verdict::Passed, "a gauge may go back");
    let mut new = series("b", &[1.0; 6]);
    new.points.drain(..3);
    let replaced = answer(vec![series("a", &[1.0; 3]), new]);
    let result = judge(&check("mean < 5", None), &replaced, WINDOW);
    assert_eq!(result.verdict, Verdict::Inconclusive);
    let part = "the pod `a` was replaced by `b` within the window, at 22:13:55";
    assert!(result.reason.contains(part), "{}", result.reason);
}

#[test]
fn a_counter_of_restarts_has_to_be_there_and_still() {
    for (values, part) in [
        (&[2.0; 6][..], None),
        (&[2.0, 2.0, 3.0, 3.0, 3.0, 3.0], Some("a restart within the window")),
        (&[2.0], Some("cannot be told")),
        (&[], Some("cannot be told")),
    ] {
        let told = crate::gate::quality::restarted(&answer(vec![series("a", values)]), WINDOW);
        assert_eq!(told.is_some(), part.is_some(), "{values:?}");
        assert!(told.unwrap_or_default().contains(part.unwrap_or_default()), "{values:?}");
    }
    assert!(crate::gate::quality::restarted(&answer(Vec::new()), WINDOW).is_some());
}

#[test]
fn conditions_of_argo_are_judged_where_they_have_a_value() {
    let data = answer(vec![series("a", &[1.0; 6]), series("b", &[3.0; 6])]);
    let argo = |success: Option<&str>, failure: Option<&str>| {
        let mut check = check("mean < 0", None);
        let read = |text: Option<&str>| text.map(|text| Expr::parse(text, &["result"]).unwrap());
        check.rule.limit = None;
        check.rule.argo = Some(Argo {
            text: format!("{success:?} {failure:?}"),
            reduce: Reduce::Mean,
            success: read(success),
            failure: read(failure),
        });
        judge(&check, &data, WINDOW)
    };
    for (success, failure, verdict) in [
        (Some("result[0] < 2"), None, Verdict::Passed),
        (Some("result[1] < 2"), None, Verdict::Failed),
        (None, Some("result[1] > 2"), Verdict::Failed),
        (None, Some("result[1] > 5"), Verdict::Passed),
        (Some("result[0] > 5"), Some("result[0] > 3"), Verdict::Inconclusive),
        (Some("all(result, {# < 9})"), Some("result[0] > 3"), Verdict::Passed),
        (Some("true"), Some("true"), Verdict::Failed),
        (Some("result[5] < 1"), None, Verdict::Inconclusive),
        (Some("result < 1"), None, Verdict::Inconclusive),
        (Some("result[0] / 0 < 1"), None, Verdict::Inconclusive),
        (Some("result[0]"), None, Verdict::Inconclusive),
    ] {
        let result = argo(success, failure);
        assert_eq!(result.verdict, verdict, "{success:?} {failure:?}: {}", result.reason);
        assert_eq!(result.value.is_some(), verdict != Verdict::Inconclusive);
    }
}

#[test]
fn accepted_runs_are_one_more_thing_to_hold() {
    let mut check = check("mean < 100", None);
    check.rule.regression = Some(Against {
        reduce: Reduce::Mean,
        is_upper: true,
        worse_by: 0.1,
        confidence: 0.95,
        at_least: 5,
        last: 20,
    });
    let data = good([10.0, 11.0, 9.0, 10.0, 10.5, 9.5]);
    let quiet = [10.0, 10.1, 9.9, 10.05, 9.95];
    for (past, verdict) in [
        (&quiet[..], Verdict::Passed),
        (&[5.0, 5.1, 4.9, 5.05, 4.95], Verdict::Failed),
        (&quiet[..3], Verdict::Inconclusive),
        (&[], Verdict::Inconclusive),
    ] {
        let result = super::judge(&check, &data, WINDOW, past);
        assert_eq!((result.verdict, result.counts), (verdict, verdict), "{}", result.reason);
        assert_eq!(result.value, Some(10.0), "the absolute value is told all the same");
        assert_eq!(result.run.as_ref().map(|run| run.value), Some(10.0));
        let summary = Summary::of(WINDOW.into(), vec![result], None);
        assert_eq!(summary.is_acceptable(), verdict != Verdict::Failed);
    }
    check.rule.limit = Some(Limit::parse("mean < 5", None).unwrap());
    let result = super::judge(&check, &data, WINDOW, &[]);
    assert_eq!(result.verdict, Verdict::Failed, "a broken limit is worse than no baseline");
    assert!(!Summary::of(WINDOW.into(), vec![result], None).is_acceptable());
}

#[test]
fn a_dry_run_is_told_and_counts_for_nothing() {
    let mut check = check("mean < 0", None);
    check.weight.dry_run = true;
    let result = judge(&check, &good([1.0; 6]), WINDOW);
    assert_eq!((result.verdict, result.counts), (Verdict::Failed, Verdict::Passed));
    assert!(result.reason.contains("a dry run"), "{}", result.reason);
}

/// Results of checks with these verdicts and weights.
fn results(all: &[(Verdict, f64, bool)]) -> Vec<CheckResult> {
    let result = |(verdict, share, must_pass): &(Verdict, f64, bool)| CheckResult {
        verdict: *verdict,
        counts: *verdict,
        weight: Weight { share: *share, must_pass: *must_pass, dry_run: false },
        ..blank(&check("mean < 1", None))
    };
    all.iter().map(result).collect()
}

#[test]
fn a_score_forgives_with_a_warning_and_never_accuses() {
    use Verdict::{Error, Failed, Inconclusive, Passed, Warned};
    let score = Some(Score { pass: 0.9, warn: 0.75 });
    for (all, verdict) in [
        // All that was asked holds.
        (&[(Passed, 9.0, false), (Passed, 1.0, false)][..], Passed),
        (&[(Passed, 8.0, false), (Warned, 2.0, false)], Passed),
        (&[(Passed, 7.0, false), (Warned, 3.0, false)], Warned),
        (&[(Warned, 1.0, false)], Warned),
        // A check that must pass is not forgiven its warning either.
        (&[(Passed, 8.0, false), (Warned, 2.0, true)], Warned),
        // What failed or is not known is forgiven, but is no pass.
        (&[(Passed, 9.0, false), (Failed, 1.0, false)], Warned),
        (&[(Passed, 8.0, false), (Failed, 2.0, false)], Warned),
        (&[(Passed, 9.0, false), (Inconclusive, 1.0, false)], Warned),
        (&[(Passed, 9.0, false), (Error, 1.0, false)], Warned),
        // Not enough, or not to be forgiven: the worst check.
        (&[(Passed, 7.0, false), (Failed, 3.0, false)], Failed),
        (&[(Passed, 7.0, false), (Inconclusive, 3.0, false)], Inconclusive),
        (&[(Passed, 7.0, false), (Error, 3.0, false)], Error),
        (&[(Passed, 9.0, false), (Failed, 1.0, true)], Failed),
        (&[(Passed, 9.0, false), (Inconclusive, 1.0, true)], Inconclusive),
        (&[(Inconclusive, 1.0, false)], Inconclusive),
        (&[(Failed, 0.0, false)], Failed),
        (&[], Inconclusive),
    ] {
        let summary = Summary::of(WINDOW.into(), results(all), score);
        assert_eq!(summary.verdict, verdict, "{all:?}: {:?}", summary.reasons);
    }
}

#[test]
fn a_check_that_the_plan_lets_go_brings_no_points() {
    let score = Some(Score { pass: 0.9, warn: 0.75 });
    let mut all = results(&[(Verdict::Inconclusive, 3.0, false), (Verdict::Failed, 1.0, false)]);
    all[0].counts = Verdict::Passed;
    assert_eq!(Summary::of(WINDOW.into(), all, score).verdict, Verdict::Failed);
}

fn moved(by_ms: i64) -> Answer {
    let mut answer = good([1.0; 6]);
    for point in &mut answer.series[0].points {
        point.at_ms += by_ms;
    }
    answer
}

#[test]
fn poor_data_is_never_held_against_a_limit_and_the_reason_is_said() {
    let only = |points: &[usize]| {
        let mut answer = good([1.0; 6]);
        let all = answer.series[0].points.clone();
        answer.series[0].points = points.iter().map(|at| all[*at]).collect();
        answer
    };
    let nulls = answer(vec![Series { n_absent: 6, ..series("a", &[]) }]);
    let in_seconds = {
        let mut answer = good([1.0; 6]);
        for point in &mut answer.series[0].points {
            point.at_ms *= 1000;
        }
        answer
    };
    let warned = Answer { warnings: vec!["shard 3 is down".to_owned()], ..good([1.0; 6]) };
    for (data, part) in [
        (answer(Vec::new()), "no series"),
        (answer(vec![series("a", &[])]), "no samples: the series is empty"),
        (nulls, "all 6 are null or NaN"),
        (moved(-86_400_000 * 30), "too old: the newest sample is 29 days before the window"),
        (moved(86_400_000), "only outside"),
        (in_seconds, "their times are in another unit"),
        (good([1.0, 1.0, f64::INFINITY, 1.0, 1.0, 1.0]), "not finite (inf)"),
        (good([1.0, 1.0, f64::NEG_INFINITY, 1.0, 1.0, 1.0]), "not finite (-inf)"),
        (good([1.0, 1.0, f64::NAN, 1.0, 1.0, 1.0]), "not finite"),
        (good([f64::MAX; 6]), "is not finite"),
        (only(&[0]), "too old: the newest sample is 55s before the window's end"),
        (only(&[0, 1, 2]), "too old: the newest sample is 35s"),
        (only(&[4, 5]), "too few: 2 samples in 1m, needs 3"),
        (only(&[3, 4, 5]), "too patchy"),
        (only(&[0, 4, 5]), "too patchy"),
        (warned, "incomplete: shard 3 is down"),
        (answer(vec![series("a", &[1.0; 6]), series("a", &[1.0; 6])]), "in the answer twice"),
        (answer(vec![series("a", &[1.0; 6]), series("b", &[])]), "in the series {pod=\"b\"}"),
    ] {
        for limit in ["mean < 1e300", "mean > -1e300"] {
            let result = judge(&check(limit, None), &data, WINDOW);
            assert_eq!(result.verdict, Verdict::Inconclusive, "{part}: {}", result.reason);
            assert_eq!(result.counts, Verdict::Inconclusive);
            assert_eq!(result.value, None);
            assert!(result.reason.contains(part), "{part}: {}", result.reason);
        }
    }
}

#[test]
fn a_window_without_length_is_inconclusive() {
    for end_ms in [WINDOW.start_ms, WINDOW.start_ms - 1] {
        let window = Window { end_ms, ..WINDOW };
        let result = judge(&check("mean < 5", None), &good([1.0; 6]), window);
        assert_eq!(result.verdict, Verdict::Inconclusive);
        assert!(result.reason.contains("the window is empty"), "{}", result.reason);
    }
}

#[test]
fn too_few_series_are_told() {
    let mut check = check("mean < 5", None);
    check.rule.quality.series = Some(3);
    let result = judge(&check, &good([1.0; 6]), WINDOW);
    assert!(result.reason.contains("1 series, needs 3 (quality.series)"), "{}", result.reason);
}

#[test]
fn the_plan_says_what_poor_data_counts() {
    for (rule, counts) in [
        (OnInconclusive::Fail, Verdict::Inconclusive),
        (OnInconclusive::Warn, Verdict::Warned),
        (OnInconclusive::Pass, Verdict::Passed),
    ] {
        let mut check = check("mean < 5", None);
        check.rule.on_inconclusive = rule;
        let result = judge(&check, &answer(Vec::new()), WINDOW);
        assert_eq!((result.verdict, result.counts), (Verdict::Inconclusive, counts));
    }
}

#[test]
fn one_sample_is_enough_for_a_rule_that_says_so() {
    let mut check = check("mean < 5", None);
    check.rule.quality = Quality { points: Some(1), coverage: Some(0.5), ..Quality::default() };
    check.rule.step = Some(Span(Duration::from_mins(1)));
    for at_ms in [0, 30_000, 60_000] {
        let mut data = answer(vec![series("a", &[1.0])]);
        data.series[0].points[0].at_ms = WINDOW.start_ms + at_ms;
        assert_eq!(judge(&check, &data, WINDOW).verdict, Verdict::Passed, "{at_ms}");
    }
    assert_eq!(
        judge(&check, &answer(vec![series("a", &[])]), WINDOW).verdict,
        Verdict::Inconclusive
    );
}

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

    #[test]
    fn scaling_units_never_changes_a_verdict(
        values in proptest::array::uniform6(1..100_000_u32),
        limit in 1..100_000_u32,
    ) {
        // The same measurement in microseconds and in milliseconds, against the same limit.
        let values = values.map(f64::from);
        let micros = judge(
            &check(&format!("mean < {limit}.5us"), Some("us")), &good(values), WINDOW);
        let millis = judge(
            &check(&format!("mean < {limit}.5us"), Some("ms")),
            &good(values.map(|value| value / 1000.0)),
            WINDOW,
        );
        // On the limit itself rounding decides; there is no such case for halves of whole numbers
        // over six samples unless the mean is within rounding of the limit.
        let distance = (micros.value.unwrap() - f64::from(limit) - 0.5).abs();
        prop_assume!(distance > 1e-6);
        prop_assert_eq!(micros.verdict, millis.verdict);
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
