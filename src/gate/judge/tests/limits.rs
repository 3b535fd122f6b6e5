//! Good data beside limits, conditions and accepted runs.

use super::*;

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
        let result =
            crate::gate::judge::judge(&check, &data, WINDOW, Past { runs: &past, load: None });
        assert_eq!((result.verdict, result.counts), (verdict, verdict), "{}", result.reason);
        assert_eq!(result.value, Some(10.0), "the absolute value is told all the same");
        let run = result.run.as_ref().unwrap();
        assert_eq!((run.value, run.blocks.len()), (10.0, BLOCKS));
        assert_eq!(run.blocks.iter().flatten().count(), 6, "a sample a part, two parts without");
        let summary = Summary::of(WINDOW.into(), vec![result], None);
        assert_eq!(summary.is_acceptable(), verdict != Verdict::Failed);
    }
    check.rule.limit = Some(Limit::parse("mean < 5", None).unwrap());
    let result = crate::gate::judge::judge(&check, &data, WINDOW, Past::default());
    assert_eq!(result.verdict, Verdict::Failed, "a broken limit is worse than no baseline");
    assert!(!Summary::of(WINDOW.into(), vec![result], None).is_acceptable());
}

#[test]
fn a_crowd_of_pods_is_judged_in_time() {
    let crowd: Vec<Series> = (0..40_000).map(|n| series(&n.to_string(), &[1.0; 6])).collect();
    let result = judge(&check("mean < 2", None), &answer(crowd), WINDOW);
    assert_eq!((result.verdict, result.series), (Verdict::Passed, 40_000));
}
