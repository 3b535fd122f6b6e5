//! What results count for, alone and together.

use super::*;

#[test]
fn a_dry_run_is_told_and_counts_for_nothing() {
    let mut check = check("mean < 0", None);
    check.weight.dry_run = true;
    let result = judge(&check, &good([1.0; 6]), WINDOW);
    assert_eq!((result.verdict, result.counts), (Verdict::Failed, Verdict::Passed));
    assert!(result.reason.contains("a dry run"), "{}", result.reason);
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
