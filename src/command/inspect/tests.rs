//! The inspector's contract against the lines of the original.

use std::collections::BTreeMap;

use super::*;
use crate::gate::{CheckResult, Window};

fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn inspection() -> Inspection {
    read(&vars(&[("POD_NAME", "frontend-1"), ("CI_PROJECT_NAME", "vmworld2019")])).unwrap()
}

fn summary(verdict: Verdict, value: Option<f64>) -> Summary {
    let check = CheckResult {
        name: METRIC.to_owned(),
        verdict,
        counts: verdict,
        value,
        limit: "mean <= 1".to_owned(),
        warn: None,
        points: 3,
        series: 1,
        reason: "no series".to_owned(),
        query: String::new(),
        source: "wavefront".to_owned(),
        unit: None,
        chart: None,
        link: None,
        weight: Weight::default(),
        run: None,
        regression: None,
    };
    Summary::of(Window { start_ms: 0, end_ms: 60_000 }.into(), vec![check], None)
}

fn written(value: Value) -> Told {
    Told::Written(Written {
        url: "https://gitlab.example/api/v4/projects/1/variables/abc".to_owned(),
        value: value.to_string(),
        status: "200 OK".to_owned(),
        steps: Vec::new(),
        warning: None,
    })
}

struct Printed {
    out: String,
    err: String,
    outcome: Outcome,
    has_alert: bool,
}

fn print(events: &[Event], summary: &Summary, told: &Told) -> Printed {
    let folder = tempfile::tempdir().unwrap();
    let inspection = inspection();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut printer = Printer::new(&inspection, &mut out, &mut err);
    for event in events {
        printer.event(event).unwrap();
    }
    printer.variable(value(summary, None), told).unwrap();
    let outcome = printer.finish(summary, told, folder.path()).unwrap();
    Printed {
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
        outcome,
        has_alert: folder.path().join("alert").exists(),
    }
}

fn asked_and_answered() -> [Event; 3] {
    [
        Event::Window { window: Window { start_ms: 0, end_ms: 60_000 }, note: None },
        Event::Asked {
            check: METRIC.to_owned(),
            source: "wavefront".to_owned(),
            url: "https://wavefront.example/api/v2/chart/api?q=x".to_owned(),
        },
        Event::Answered {
            check: METRIC.to_owned(),
            status: "200 OK".to_owned(),
            series: 1,
            points: 3,
        },
    ]
}

#[test]
fn a_pass_reads_byte_for_byte_as_the_original() {
    let summary = summary(Verdict::Passed, Some(0.678_301));
    let printed = print(&asked_and_answered(), &summary, &written(Value::Passed));
    assert_eq!(
        printed.out,
        "--- Configuration Settings ---\n\
         Wavefront Variable: abc\n\
         Metric            : kubernetes.pod_container.cpu.usage_rate\n\
         Cluster           : acmefitness-aks-02\n\
         Pod               : frontend-1\n\
         Threshold         : 1.000000\n\
         GitLab Project    : vmworld2019\n\
         \n\
         ---  Calling Wavefront on  ---\n\
         https://wavefront.example/api/v2/chart/api?q=x\n\
         Wavefront response: 200 OK\n\
         \n\
         ---   Calling GitLab on    ---\n\
         https://gitlab.example/api/v4/projects/1/variables/abc\n\
         Setting abc to passed \n\
         GitLab response: 200 OK\n\
         \n\
         --- Wavefront Check Result ---\n\
         No worries, the avg kubernetes.pod_container.cpu.usage_rate is 0.678301 (which is less than 1.000000)"
    );
    assert_eq!((printed.err.as_str(), printed.outcome), ("", Outcome::Passed));
    assert!(!printed.has_alert);
}

#[test]
fn an_alert_sets_the_variable_makes_the_file_and_ends_with_0() {
    let summary = summary(Verdict::Failed, Some(72.029_412));
    let printed = print(&asked_and_answered(), &summary, &written(Value::Failed));
    assert!(printed.out.contains("Setting abc to failed \n"), "{}", printed.out);
    assert!(
        printed.out.ends_with("\nALERT! avg kubernetes.pod_container.cpu.usage_rate: 72.029412"),
        "{}",
        printed.out
    );
    assert_eq!(printed.outcome, Outcome::Passed);
    assert!(printed.has_alert);
}

#[test]
fn without_a_verdict_the_variable_is_failed_and_the_code_tells_why() {
    for (verdict, is_platforms_fault, outcome) in [
        (Verdict::Inconclusive, false, Outcome::Inconclusive),
        (Verdict::Error, true, Outcome::Unreachable),
        (Verdict::Error, false, Outcome::Usage),
    ] {
        let summary = Summary { is_platforms_fault, ..summary(verdict, None) };
        let printed = print(&asked_and_answered(), &summary, &written(Value::Failed));
        assert!(printed.out.contains("Setting abc to failed \n"), "{}", printed.out);
        assert!(!printed.out.contains("No worries"), "{}", printed.out);
        assert!(printed.err.contains("error: "), "{}", printed.err);
        assert_eq!(printed.outcome, outcome);
    }
}

#[test]
fn a_pass_that_gitlab_did_not_take_is_no_pass() {
    let told = Told::Refused {
        url: "https://gitlab.example/x".to_owned(),
        status: Some("403 Forbidden".to_owned()),
        why: "GitLab answered 403 Forbidden".to_owned(),
    };
    let printed = print(&asked_and_answered(), &summary(Verdict::Passed, Some(0.5)), &told);
    assert!(printed.out.contains("Setting abc to passed \nGitLab response: 403 Forbidden\n"));
    assert!(!printed.out.contains("No worries"), "{}", printed.out);
    assert!(printed.err.contains("`abc` is `failed`"), "{}", printed.err);
    assert_eq!(printed.outcome, Outcome::Unreachable);
    assert!(printed.err.contains("403 Forbidden"));
}

#[test]
fn a_window_without_a_load_is_told_before_the_block() {
    let note = Event::Window {
        window: Window { start_ms: 0, end_ms: 600_000 },
        note: Some("no load ran: the window is the last 10m".to_owned()),
    };
    let printed = print(&[note], &summary(Verdict::Inconclusive, None), &written(Value::Failed));
    assert!(printed.err.starts_with("dyno: no load ran: the window is the last 10m"));
}

#[test]
fn the_plan_asks_for_the_pod_over_the_load() {
    let plan = inspection().plan().unwrap();
    let check = &plan.checks[0];
    assert_eq!(
        check.query,
        r#"ts("kubernetes.pod_container.cpu.usage_rate", cluster="acmefitness-aks-02" and pod_name="frontend-1")"#
    );
    assert_eq!(check.unit.as_deref(), Some("millicores"));
    let limit = check.rule.limit.as_ref().unwrap();
    assert!(limit.holds(1.0) && !limit.holds(1.000_001));
    assert!(plan.window.wants_load());
}

#[test]
fn values_cannot_leave_their_place_in_the_query() {
    let hostile = r#"x" or cluster="*"#;
    let plan = read(&vars(&[("POD_NAME", hostile)])).unwrap().plan().unwrap();
    assert!(plan.checks[0].query.contains(r#"pod_name="x\" or cluster=\"*")"#));
    assert!(matches!(read(&vars(&[("POD_NAME", "a\nb")])), Err(Error::Query(_))));
}

#[test]
fn a_pod_that_is_not_named_has_to_be_found() {
    let mut inspection = read(&vars(&[("POD_NAME", "")])).unwrap();
    assert!(inspection.needs_pod());
    assert!(matches!(inspection.found_pod(" \n"), Err(Error::NoPod)));
    inspection.found_pod("frontend-7").unwrap();
    assert!(inspection.plan().unwrap().checks[0].query.contains(r#"pod_name="frontend-7""#));
}

#[test]
fn variables_that_cannot_be_used_are_told() {
    for threshold in ["a", "NaN", "inf", "1,5"] {
        let error = read(&vars(&[("THRESHOLD", threshold)])).unwrap_err();
        assert!(matches!(error, Error::Threshold(_)), "{threshold}");
    }
    let error = read(&vars(&[("WAVEFRONT_VARIABLE", "LD_PRELOAD")])).unwrap_err();
    assert!(matches!(error, Error::Variable(_)));
}
