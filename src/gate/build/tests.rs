//! Plans as written, and every mistake in them.

use super::*;
use crate::gate::plan::{Across, OnInconclusive};

/// Reads a plan file's two keys as the plan file does.
#[derive(serde::Deserialize)]
struct File {
    #[serde(default)]
    checks: Vec<CheckFile>,
    gate: Option<GateFile>,
}

fn build(text: &str) -> Result<Plan, Mistakes> {
    let file: File = serde_saphyr::from_str(text).unwrap();
    let written = Written { checks: file.checks, gate: file.gate };
    let vars = BTreeMap::from([("pod".to_owned(), "web-1".to_owned())]);
    Plan::build(written, Overrides::default(), &vars)
}

#[test]
fn a_plan_as_the_design_shows_it_is_built() {
    let plan = build(
        r#"
checks:
  - name: frontend CPU
    source: wavefront
    query: ts("cpu.usage_rate", pod_name="${pod}")
    limit: "mean < 800"
"#,
    )
    .unwrap();
    assert_eq!(plan.checks[0].query, r#"ts("cpu.usage_rate", pod_name="web-1")"#);
    assert_eq!(plan.checks[0].source, SourceChoice::Named("wavefront".to_owned()));
    assert_eq!(plan.window, WindowChoice::Load { otherwise: None });
    assert_eq!(plan.checks[0].rule.on_inconclusive, OnInconclusive::Fail);
    assert_eq!((plan.variable, plan.settle), (None, None));
}

#[test]
fn every_key_is_read_and_a_check_comes_before_the_gate() {
    let plan = build(
        r"
checks:
  - name: a
    source: p
    query: up
    limit: p95 < 250ms
    warn: p95 < 0.2s
    unit: ms
    across: sum
    step: 15s
    quality: { points: 5, coverage: 0.9, max-gap: 1m }
    on-inconclusive: warn
  - { name: b, source: p, query: up, limit: max < 1 }
gate:
  window: { explicit: { start: 2026-03-01T12:00:00Z, end: 2026-03-01T12:01:00Z } }
  settle: 5s
  quality: { points: 9, max-age: 30s, series: 2 }
  on-inconclusive: pass
  variable: abc
",
    )
    .unwrap();
    let (a, b) = (&plan.checks[0].rule, &plan.checks[1].rule);
    assert_eq!((a.limit.as_ref().unwrap().threshold, a.across), (250.0, Across::Sum));
    assert_eq!((a.quality.points, a.quality.coverage), (Some(5), Some(0.9)));
    assert_eq!((a.quality.max_age, a.quality.series), (Some(Span::seconds(30)), Some(2)));
    assert_eq!((b.quality.points, b.quality.coverage), (Some(9), None));
    assert_eq!(a.on_inconclusive, OnInconclusive::Warn);
    assert_eq!(b.on_inconclusive, OnInconclusive::Pass);
    assert_eq!(plan.variable.unwrap().key, "abc");
    let WindowChoice::Explicit(window) = plan.window else { panic!("{:?}", plan.window) };
    assert_eq!(window.span(), Duration::from_mins(1));
}

#[test]
fn all_mistakes_are_told_at_once_with_their_place() {
    let error = build(
        r#"
checks:
  - { name: a, source: "", query: "up == $nothing", limit: mean < , unit: parsec }
  - { name: a, source: p, query: up, limit: mean < 1, warn: mean > 0 }
  - { name: b, source: p, query: up, limit: mean < 1, warn: mean < 2 }
  - { name: "", source: p, query: "", limit: mean < 1, step: 1ms, quality: { coverage: 80 } }
gate: { window: { explicit: { start: yesterday, end: today } } }
"#,
    )
    .unwrap_err();
    let text = error.to_string();
    for part in [
        "checks[0].source: is empty",
        "checks[0].query: the variable `nothing` is not set",
        "checks[0].limit: `` is not a number",
        "checks[0].unit: `parsec` is no unit",
        "checks[1].name: another check is called `a`, too",
        "checks[1].warn: `mean > 0` looks the other way",
        "checks[2].warn: `mean < 2` lies beyond the limit",
        "checks[3].name: is empty",
        "checks[3].query: is empty",
        "checks[3].step: must be at least 1s",
        "checks[3].quality.coverage: `80` is no share",
        "gate.window.explicit.start: `yesterday` is no time",
        "gate.window.explicit.end: `today` is no time",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

#[test]
fn a_plan_without_a_check_and_a_name_that_comes_twice_are_told() {
    assert!(build("gate: {}").unwrap_err().to_string().contains("checks: is empty"));
    let twice = "checks: [{ name: a, source: p, query: up, limit: mean < 1 }, \
                 { name: a, source: p, query: up, limit: mean < 1 }]";
    assert!(build(twice).unwrap_err().to_string().contains("another check is called `a`"));
}

#[test]
fn a_misspelt_key_is_an_error() {
    for text in [
        "checks: [{ name: a, source: p, query: up, limit: mean < 1, querry: x }]",
        "gate: { windw: load }",
        "gate: { window: lod }",
        "gate: { quality: { point: 1 } }",
    ] {
        assert!(serde_saphyr::from_str::<File>(text).is_err(), "{text}");
    }
}

#[test]
fn several_queries_conditions_scores_and_regressions_are_built() {
    let plan = build(
        r#"
checks:
  - name: error ratio
    source: p
    queries: { errors: "sum(rate(x{code=\"500\"}[1m]))", all: "rate" }
    sources: { all: load }
    value: errors / all
    limit: mean < 1%
    weight: 2
    must-pass: true
    by: pod
    regression: { worse-by: 5%, at-least: 6, last: 10, confidence: 90% }
  - name: argo
    source: p
    query: up
    argo: { success-condition: "result[0] >= 1", failure-condition: "result[0] < 1", reduce: last }
    dry-run: true
  - { name: only against, source: p, query: up, regression: { worse: less } }
gate: { score: { pass: 90%, warn: 75% } }
"#,
    )
    .unwrap();
    let [ratio, argo, only] = plan.checks.as_slice() else { panic!("{plan:?}") };
    assert_eq!(ratio.operands[0].source, SourceChoice::Named("load".to_owned()));
    assert!(ratio.operands[0].source.is_load());
    assert_eq!(ratio.query, "errors / all");
    assert_eq!(ratio.weight, Weight { share: 2.0, must_pass: true, dry_run: false });
    let against = ratio.rule.regression.unwrap();
    assert_eq!((against.worse_by, against.at_least, against.last), (0.05, 6, 10));
    assert!(against.is_upper && (against.confidence - 0.9).abs() < 1e-12);
    assert_eq!(argo.rule.argo.as_ref().unwrap().reduce, Reduce::Last);
    assert!(argo.rule.limit.is_none() && argo.weight.dry_run);
    assert!(!only.rule.regression.unwrap().is_upper);
    assert_eq!(plan.score, Some(Score { pass: 0.9, warn: 0.75 }));
}

#[test]
fn mistakes_in_the_newer_keys_are_told_too() {
    for (check, part) in [
        ("query: up", "limit: is missing"),
        ("query: up, limit: mean < 1, weight: 1.0e308", "at most 1000000"),
        ("query: up, limit: mean < 1, must-pass: true, dry-run: true", "cannot be `must-pass`"),
        ("query: up, argo: { success-condition: 'true' }", "does not look at `result`"),
        ("query: up, argo: { success-condition: '1 < 2' }", "does not look at `result`"),
        ("queries: { a: up, b: x }, value: a, limit: mean < 1", "queries.b: `value` makes nothing"),
        ("queries: { a: up }, value: '1', limit: mean < 1", "queries.a: `value` makes nothing"),
        ("query: up, queries: { a: up }, value: a, limit: mean < 1", "exclude each other"),
        ("queries: { a: up }, limit: mean < 1", "value: is missing; it says what is made"),
        ("queries: { a: up }, value: b, limit: mean < 1", "`b` is none of a"),
        ("query: up, value: a, limit: mean < 1", "there are none"),
        ("queries: { a: up }, sources: { b: p }, value: a, limit: mean < 1", "sources.b"),
        ("query: up, argo: {}", "checks[0].argo: neither `success-condition`"),
        ("query: up, argo: { success-condition: x < 1 }", "`x` is none of result"),
        (
            "query: up, argo: { success-condition: 'result < 1' }, limit: mean < 1",
            "exclude each other",
        ),
        ("query: up, regression: { worse-by: 10 }", "`10` is no share"),
        ("query: up, regression: { at-least: 2 }", "3 or more"),
        ("query: up, regression: { confidence: 20% }", "between 50% and 100%"),
        ("query: up, limit: mean < 1, weight: -1", "weight: must be 0 or more"),
        ("query: up, warn: mean < 1, regression: {}", "nothing to warn before"),
    ] {
        let error = build(&format!("checks: [{{ name: a, source: p, {check} }}]")).unwrap_err();
        assert!(error.to_string().contains(part), "{check}: {error}");
    }
    for (score, part) in [
        ("pass: 0%", "forgives everything"),
        ("pass: 90%, warn: 0%", "forgives everything"),
        ("pass: 90", "no share"),
        ("pass: 90%, warn: 95%", "above `pass`"),
    ] {
        let text = format!(
            "checks: [{{ name: a, source: p, query: up, limit: mean < 1 }}]\ngate: {{ score: {{ {score} }} }}"
        );
        assert!(build(&text).unwrap_err().to_string().contains(part), "{score}");
    }
    for more in ["weight: 0", "dry-run: true"] {
        let text = format!(
            "checks: [{{ name: a, source: p, query: up, limit: mean < 1, {more} }}]\ngate: {{ score: {{ pass: 90% }} }}"
        );
        assert!(build(&text).unwrap_err().to_string().contains("no check has a weight"), "{more}");
    }
}
