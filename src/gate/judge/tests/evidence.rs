//! What is no evidence is never held against a limit.

use super::*;

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
