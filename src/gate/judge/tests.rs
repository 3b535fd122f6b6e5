//! Tables of the judge.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::gate::limit::Limit;
use crate::gate::plan::{Against, Quality, Score, SourceChoice, Weight};
use crate::gate::series::Series;
use crate::gate::summary::Summary;
use crate::gate::unit::Unit;
use crate::unit::Span;

pub(super) const WINDOW: Window = Window { start_ms: 1_700_000_000_000, end_ms: 1_700_000_060_000 };

pub(super) fn judge(check: &Check, answer: &Answer, window: Window) -> CheckResult {
    super::judge(check, answer, window, Past::default())
}

pub(super) fn check(limit: &str, unit: Option<&str>) -> Check {
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
pub(super) fn series(name: &str, values: &[f64]) -> Series {
    let points = (0..)
        .zip(values)
        .map(|(n, value)| Point { at_ms: WINDOW.start_ms + 5000 + n * 10_000, value: *value });
    Series {
        labels: BTreeMap::from([("pod".to_owned(), name.to_owned())]),
        points: points.collect(),
        n_absent: 0,
    }
}

pub(super) fn answer(series: Vec<Series>) -> Answer {
    Answer { series, ..Answer::default() }
}

pub(super) fn good(values: [f64; 6]) -> Answer {
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
    let rule = Rule::default();
    let of = |answer: &Answer| crate::gate::quality::restarted(&rule, answer, WINDOW);
    for (values, part) in [
        (&[2.0; 6][..], None),
        (&[2.0, 2.0], Some("45s at an end of the window without a sample")),
        (&[2.0, f64::INFINITY, 2.0, 2.0, 2.0, 2.0], Some("not finite")),
        (&[2.0, 2.0, 3.0, 3.0, 3.0, 3.0], Some("a restart within the window")),
        (&[2.0], Some("cannot be told")),
        (&[], Some("cannot be told")),
    ] {
        let told = of(&answer(vec![series("a", values)]));
        assert_eq!(told.is_some(), part.is_some(), "{values:?}");
        assert!(told.unwrap_or_default().contains(part.unwrap_or_default()), "{values:?}");
    }
    assert!(of(&answer(Vec::new())).is_some());
    let incomplete = Answer { warnings: vec!["store down".to_owned()], ..good([2.0; 6]) };
    assert!(of(&incomplete).unwrap().contains("incomplete: store down"));
    let absent = Series { n_absent: 6, ..series("b", &[]) };
    let told = of(&answer(vec![series("a", &[2.0; 6]), absent])).unwrap();
    assert!(told.contains("all 6 are null or NaN, in {pod=\"b\"}"), "{told}");
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
        let blocks = vec![None; BLOCKS];
        let run = |value: &f64| Measured { value: *value, blocks: blocks.clone(), load: None };
        let past: Vec<Measured> = past.iter().map(run).collect();
        let result = super::judge(&check, &data, WINDOW, Past { runs: &past, load: None });
        assert_eq!((result.verdict, result.counts), (verdict, verdict), "{}", result.reason);
        assert_eq!(result.value, Some(10.0), "the absolute value is told all the same");
        let run = result.run.as_ref().unwrap();
        assert_eq!((run.value, run.blocks.len()), (10.0, BLOCKS));
        assert_eq!(run.blocks.iter().flatten().count(), 6, "a sample a part, two parts without");
        let summary = Summary::of(WINDOW.into(), vec![result], None);
        assert_eq!(summary.is_acceptable(), verdict != Verdict::Failed);
    }
    check.rule.limit = Some(Limit::parse("mean < 5", None).unwrap());
    let result = super::judge(&check, &data, WINDOW, Past::default());
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
pub(super) fn results(all: &[(Verdict, f64, bool)]) -> Vec<CheckResult> {
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

#[test]
fn what_the_source_says_of_its_unit_is_held_against_the_plan() {
    use crate::gate::unit::{Dimension, Told};
    let seconds = Told::of("seconds", Dimension::Time, 1.0);
    let millis = Told::of("milliseconds", Dimension::Time, 1e-3);
    let bytes = Told::of("bytes", Dimension::Bytes, 1.0);
    let cores = Told::of("cores", Dimension::Number, 1.0);
    for (told, limit, unit, mistake) in [
        (&seconds, "mean < 300ms", None, None),
        (&seconds, "mean < 300ms", Some("ms"), Some("in seconds, and not in ms (unit)")),
        (&seconds, "mean < 300", Some("ms"), Some("in seconds, and not in ms (unit)")),
        (&seconds, "mean < 300", None, None),
        (&seconds, "mean < 1GiB", None, Some("a limit in GiB cannot be compared")),
        (&seconds, "rate < 800m", None, None),
        (&millis, "mean > 250ms", None, Some("say so with `unit`")),
        (&millis, "mean > 250ms", Some("ms"), None),
        (&millis, "mean > 250", None, None),
        (&bytes, "slope < 10MiB/h", None, None),
        (&bytes, "max < 10", Some("MiB"), Some("in bytes, and not in MiB")),
        (&cores, "mean < 80", Some("%"), Some("in cores, and not in %")),
        (&cores, "mean < 800m", None, None),
        (&cores, "count < 800", Some("%"), None),
    ] {
        let data = Answer { units: vec![told.clone()], ..good([2.0; 6]) };
        let result = judge(&check(limit, unit), &data, WINDOW);
        let told = result.verdict == Verdict::Inconclusive;
        assert_eq!(told, mistake.is_some(), "{limit} {unit:?}: {}", result.reason);
        assert!(result.reason.contains(mistake.unwrap_or_default()), "{}", result.reason);
    }
}

#[test]
fn a_crowd_of_pods_is_judged_in_time() {
    let crowd: Vec<Series> = (0..40_000).map(|n| series(&n.to_string(), &[1.0; 6])).collect();
    let result = judge(&check("mean < 2", None), &answer(crowd), WINDOW);
    assert_eq!((result.verdict, result.series), (Verdict::Passed, 40_000));
}

#[test]
fn a_replaced_pod_is_found_among_pods_that_only_pause() {
    let at = |name: &str, from: usize, to: usize| {
        let mut series = series(name, &[1.0; 6]);
        series.points = series.points.get(from..to).unwrap().to_vec();
        series
    };
    let told = |all: Vec<Series>| judge(&check("mean < 5", None), &answer(all), WINDOW).reason;
    // The same name ends earliest, and it is another one that was replaced.
    let all = vec![at("a", 0, 1), at("b", 0, 2), at("c", 0, 3), at("a", 4, 6)];
    assert!(told(all).contains("the pod `b` was replaced by `a`"));
    let all = vec![at("a", 0, 6), at("b", 0, 6)];
    assert!(!told(all).contains("replaced"));
}

#[test]
fn what_a_score_forgives_though_it_is_not_known_is_told_loudly() {
    let of = |verdict: Verdict, share: f64| CheckResult {
        name: format!("{verdict}"),
        verdict,
        counts: verdict,
        reason: "too old".to_owned(),
        weight: Weight { share, ..Weight::default() },
        ..blank(&check("mean < 1", None))
    };
    for unknown in [Verdict::Inconclusive, Verdict::Error] {
        let checks = vec![of(Verdict::Passed, 9.0), of(unknown, 1.0)];
        let score = Some(Score { pass: 0.9, warn: 0.8 });
        let summary = Summary::of(WINDOW.into(), checks.clone(), score);
        assert_eq!(summary.verdict, Verdict::Warned);
        let told = format!(
            "WARNING: `{unknown}` is not known, and the score forgives it as one that failed: too old"
        );
        assert!(summary.reasons.contains(&told), "{:?}", summary.reasons);
        let all = Summary::of(WINDOW.into(), checks, None);
        assert!(!all.reasons.iter().any(|why| why.starts_with("WARNING")), "nothing is forgiven");
    }
}

#[test]
fn a_gate_that_judged_nothing_has_not_passed() {
    let of = |verdict, dry_run| CheckResult {
        verdict,
        counts: Verdict::Passed,
        weight: Weight { dry_run, ..Weight::default() },
        ..blank(&check("mean < 1", None))
    };
    for (checks, expected) in [
        (vec![of(Verdict::Inconclusive, false)], Verdict::Warned),
        (vec![of(Verdict::Failed, true), of(Verdict::Passed, true)], Verdict::Warned),
        (vec![of(Verdict::Inconclusive, false), of(Verdict::Passed, false)], Verdict::Passed),
    ] {
        let summary = Summary::of(WINDOW.into(), checks, None);
        assert_eq!(summary.verdict, expected, "{:?}", summary.reasons);
        let is_told = summary.reasons.iter().any(|why| why.contains("no check was judged"));
        assert_eq!(is_told, expected == Verdict::Warned);
    }
}
