//! The load's report files: load.json, a JUnit suite, the dotenv entries, and what GitLab's
//! load-performance and metrics widgets read.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;
use serde_json::{Value, json};

use super::chart;
use crate::load::{Latency, LimitResult, Point, Summary};
use crate::report::junit::{Case, Outcome, Suite};
use crate::report::{Error, Folder};
use crate::unit::float;
use crate::verdict::Verdict;

const FILE: &str = "load.json";
const SUITE: &str = "dyno load";

/// Writes a report that says `error`, before anything is driven: a load that is killed must not
/// leave an earlier pass behind.
pub fn begin(folder: &Folder) -> Result<(), Error> {
    let document = json!({
        "schema": Summary::SCHEMA, "tool": "load", "verdict": Verdict::Error,
        "reasons": ["the load has not finished"], "window": null,
    });
    folder.write(FILE, format!("{document:#}\n").as_bytes())
}

/// Writes every file. Returns a warning when an earlier junit.xml could not be kept.
pub fn write(folder: &Folder, summary: &Summary) -> Result<Option<String>, Error> {
    // Every number in it is finite and every key is text: this cannot fail.
    let text = serde_json::to_string_pretty(summary).unwrap_or_default() + "\n";
    folder.write(FILE, text.as_bytes())?;
    folder.write("load-performance.json", format!("{:#}\n", performance(summary)).as_bytes())?;
    folder.write("load.csv", chart::csv(summary).as_bytes())?;
    folder.write("metrics.txt", metrics(summary).as_bytes())?;
    folder.merge_dotenv(&variables(summary))?;
    folder.merge_junit(&suite(summary))
}

/// Returns the steady phase of the load that this folder reports, in milliseconds since 1970;
/// `None` when there is none that a gate could judge.
pub fn steady(folder: &Folder) -> Result<Option<(i64, i64)>, Error> {
    #[derive(Deserialize)]
    struct Report {
        schema: String,
        interrupted: bool,
        requests: Counts,
        steady: Phase,
    }
    #[derive(Deserialize)]
    struct Counts {
        count: u64,
        failed: u64,
    }
    #[derive(Deserialize)]
    struct Phase {
        start: i64,
        end: i64,
    }
    let text = folder.read(FILE)?.unwrap_or_default();
    // What is no report of a finished load, gives no window.
    let report: Option<Report> = serde_json::from_str(&text).ok();
    let is_usable = |report: &Report| {
        report.schema == Summary::SCHEMA
            && !report.interrupted
            && report.requests.count > report.requests.failed
            && report.steady.start < report.steady.end
    };
    Ok(report.filter(is_usable).map(|report| (report.steady.start, report.steady.end)))
}

/// Returns the course of the load that this folder reports; nothing where there is no report.
pub fn course(folder: &Folder) -> Result<Vec<Point>, Error> {
    #[derive(Deserialize)]
    struct Report {
        schema: String,
        #[serde(default)]
        series: Vec<Point>,
    }
    let text = folder.read(FILE)?.unwrap_or_default();
    let report: Option<Report> = serde_json::from_str(&text).ok();
    let is_known = |report: &Report| report.schema == Summary::SCHEMA;
    Ok(report.filter(is_known).map(|report| report.series).unwrap_or_default())
}

/// Says why the samples of the load that this folder reports are no evidence: it was inconclusive
/// itself, its generator being the limit for one, or broke off.
pub fn doubt(folder: &Folder) -> Result<Option<String>, Error> {
    #[derive(Deserialize)]
    struct Report {
        verdict: Verdict,
        #[serde(default)]
        reasons: Vec<String>,
    }
    let text = folder.read(FILE)?.unwrap_or_default();
    let report: Option<Report> = serde_json::from_str(&text).ok();
    Ok(report.and_then(|report| match report.verdict {
        Verdict::Passed | Verdict::Warned | Verdict::Failed => None,
        verdict @ (Verdict::Inconclusive | Verdict::Error) => {
            Some(format!("the load's own verdict is {verdict}: {}", report.reasons.join("; ")))
        }
    }))
}

/// A case a limit; without limits one for the run itself.
fn suite(summary: &Summary) -> Suite {
    let seconds =
        float(u64::try_from(summary.window.end.saturating_sub(summary.window.start)).unwrap_or(0))
            / 1000.0;
    let case = |name: &str, outcome| Case {
        name: name.to_owned(),
        class: summary.plan.clone(),
        seconds: 0.0,
        outcome,
    };
    let outcome = |verdict: Verdict, why: String| match verdict {
        Verdict::Passed | Verdict::Warned => Outcome::Passed,
        Verdict::Inconclusive | Verdict::Error => Outcome::Error(why),
        Verdict::Failed => Outcome::Failed(why),
    };
    let mut cases = vec![Case {
        seconds,
        ..case(
            "the load ran and can be judged",
            outcome(of_run(summary), summary.reasons.join("\n")),
        )
    }];
    for (name, limits) in criteria(&summary.limits) {
        let verdict = limits.iter().map(|limit| limit.verdict).max().unwrap_or(Verdict::Passed);
        let why: Vec<String> = match limits.as_slice() {
            [limit] if limit.criterion.is_empty() => vec![limit.reason.clone()],
            limits => limits.iter().map(|l| format!("{}: {}", l.name, l.reason)).collect(),
        };
        cases.push(case(name, outcome(verdict, why.join("\n"))));
    }
    Suite { name: SUITE.to_owned(), cases }
}

/// The limits by the criterion that they belong to, each other one as its own, in the plan's order.
fn criteria(limits: &[LimitResult]) -> Vec<(&str, Vec<&LimitResult>)> {
    let mut criteria: Vec<(&str, Vec<&LimitResult>)> = Vec::new();
    for limit in limits {
        let is_own = limit.criterion.is_empty();
        let name = if is_own { &limit.name } else { &limit.criterion };
        match criteria.iter_mut().find(|(known, _)| !is_own && known == name) {
            Some((_, limits)) => limits.push(limit),
            None => criteria.push((name, vec![limit])),
        }
    }
    criteria
}

/// The verdict apart from the limits, which have cases of their own.
fn of_run(summary: &Summary) -> Verdict {
    let of_limits = summary.reasons.iter().all(|reason| {
        summary.limits.iter().any(|limit| *reason == format!("{}: {}", limit.name, limit.reason))
    });
    if of_limits { Verdict::Passed } else { summary.verdict }
}

fn variables(summary: &Summary) -> Vec<(String, String)> {
    let steady = &summary.steady;
    let found = &summary.found;
    let found = [
        ("DYNO_CAPACITY_RPS", found.capacity_requests),
        ("DYNO_RECOVERY_MS", found.recovery),
        ("DYNO_DRIFT_PERCENT", found.drift.map(|drift| drift * 100.0)),
    ];
    let found = found.into_iter().filter_map(|(key, value)| Some((key, format!("{:.1}", value?))));
    [
        ("DYNO_VERDICT", summary.verdict.to_string()),
        ("DYNO_P95_MS", rounded(steady.latency.p95).to_string()),
        ("DYNO_REQUESTS_PER_SECOND", rounded(steady.requests.rate).to_string()),
        ("DYNO_LOAD_START_MS", steady.start.to_string()),
        ("DYNO_LOAD_END_MS", steady.end.to_string()),
    ]
    .into_iter()
    .chain(found)
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// Rounds to two figures: GitLab calls every other difference a change.
fn rounded(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 0.0;
    }
    let places = 1.0 - value.log10().floor();
    let grid = 10_f64.powf(places);
    // Twice: a grid like 0.01 has no exact value, its decimal text has.
    let value = (value * grid).round() / grid;
    format!("{value:.6}").parse().unwrap_or(value)
}

/// k6's flat summary, which the load-performance widget reads: of the steady phase, times in
/// milliseconds on a coarse grid.
fn performance(summary: &Summary) -> Value {
    let steady = &summary.steady;
    let (requests, latency, waiting) = if steady.requests.count > 0 {
        (&steady.requests, &steady.latency, &steady.first_byte)
    } else {
        (&summary.requests, &summary.latency, &summary.first_byte)
    };
    let good = requests.count.saturating_sub(requests.failed);
    let (received, sent) = summary.endpoints.iter().fold((0, 0), |(received, sent), endpoint| {
        (received + endpoint.bytes.received, sent + endpoint.bytes.sent)
    });
    let users = summary.series.iter().map(|point| point.users).max().unwrap_or(0);
    let seconds = summary.window.end.saturating_sub(summary.window.start);
    let seconds = float(u64::try_from(seconds).unwrap_or(0)) / 1000.0;
    let of_run = |count: u64| if seconds > 0.0 { float(count) / seconds } else { 0.0 };
    let mut checks = serde_json::Map::new();
    let mut metrics = json!({
        "http_reqs": { "count": requests.count, "rate": rounded(requests.rate) },
        "http_req_duration": trend(latency),
        "http_req_waiting": trend(waiting),
        // In this metric k6 calls the failed requests its passes.
        "http_req_failed": {
            "passes": requests.failed, "fails": good, "value": requests.failed_share(),
        },
        "iterations": { "count": summary.rounds, "rate": rounded(of_run(summary.rounds)) },
        "vus": { "value": users, "min": 0, "max": users },
        "vus_max": { "value": users, "min": users, "max": users },
        "data_sent": { "count": sent, "rate": rounded(of_run(sent)) },
        "data_received": { "count": received, "rate": rounded(of_run(received)) },
    });
    for (metric, thresholds) in thresholds(&summary.limits) {
        metrics[metric]["thresholds"] = Value::Object(thresholds);
    }
    let (mut passes, mut fails) = (0, 0);
    for (name, [own_passes, own_fails]) in checks_of(summary, good, requests.failed) {
        passes += own_passes;
        fails += own_fails;
        let path = format!("::{name}");
        let check = json!({
            "name": name, "path": path, "id": "", "passes": own_passes, "fails": own_fails,
        });
        checks.insert(name, check);
    }
    // Without any the widget would show NaN.
    if passes + fails > 0 {
        let value = float(passes) / float(passes + fails);
        metrics["checks"] = json!({ "passes": passes, "fails": fails, "value": value });
    }
    json!({
        "root_group": { "name": "", "path": "", "id": "", "groups": {}, "checks": checks },
        "metrics": metrics,
    })
}

/// Limits on all requests as k6's thresholds, by metric. A threshold's value says that it was
/// crossed.
fn thresholds(limits: &[LimitResult]) -> BTreeMap<&'static str, serde_json::Map<String, Value>> {
    let mut found: BTreeMap<&'static str, serde_json::Map<String, Value>> = BTreeMap::new();
    for limit in limits {
        let words: Vec<&str> = limit.name.split(' ').collect();
        let [metric, operator, _] = words.as_slice() else { continue };
        if !operator.starts_with(['<', '>']) {
            continue;
        }
        let (of, statistic) = match *metric {
            "errors" => ("http_req_failed", "rate".to_owned()),
            "rate" => ("http_reqs", "rate".to_owned()),
            "max" => ("http_req_duration", "max".to_owned()),
            "mean" | "avg" => ("http_req_duration", "avg".to_owned()),
            other => match other.strip_prefix('p').map(str::parse::<f64>) {
                Some(Ok(percent)) => ("http_req_duration", format!("p({percent})")),
                Some(Err(_)) | None => continue,
            },
        };
        let is_crossed = limit.verdict == Verdict::Failed;
        let text = format!("{statistic}{operator}{}", limit.limit);
        found.entry(of).or_default().insert(text, is_crossed.into());
    }
    found
}

/// Each check's name with how often it held and failed: the plan's own, or that answers are good.
fn checks_of(summary: &Summary, good: u64, failed: u64) -> BTreeMap<String, [u64; 2]> {
    let mut checks: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    for check in &summary.checks {
        let name = format!("{}: {}", check.endpoint, check.name);
        checks.insert(name, [check.passes, check.fails]);
    }
    if checks.is_empty() && good + failed > 0 {
        checks.insert("good answer".to_owned(), [good, failed]);
    }
    checks
}

fn trend(latency: &Latency) -> Value {
    json!({
        "avg": rounded(latency.mean), "min": rounded(latency.min), "med": rounded(latency.p50),
        "max": rounded(latency.max), "p(90)": rounded(latency.p90), "p(95)": rounded(latency.p95),
        "p(99)": rounded(latency.p99),
    })
}

/// The metrics report: names without spaces, quotes or `#`, values on a coarse grid, since GitLab
/// compares them as texts.
fn metrics(summary: &Summary) -> String {
    let mut text = String::new();
    let steady = &summary.steady;
    let mut push = |name: &str, label: &str, value: f64| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "dyno_load_{name}{label} {value}");
    };
    push("requests_per_second", "", rounded(steady.requests.rate));
    push("failed_percent", "", rounded(steady.requests.failed_share() * 100.0));
    push("p50_ms", "", rounded(steady.latency.p50));
    push("p95_ms", "", rounded(steady.latency.p95));
    push("p99_ms", "", rounded(steady.latency.p99));
    for endpoint in summary.endpoints.iter().take(50) {
        let label = format!("{{endpoint={}}}", label(&endpoint.name));
        push("p95_ms", &label, rounded(endpoint.latency.p95));
        push("failed_percent", &label, rounded(endpoint.requests.failed_share() * 100.0));
    }
    text
}

fn label(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "/{}._-:".contains(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::summary::CheckCount;
    use crate::report::load::table::tests::summary;

    fn folder() -> (tempfile::TempDir, Folder) {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::create(root.path()).unwrap();
        (root, folder)
    }

    #[test]
    fn load_json_holds_what_the_contract_names() {
        let (_root, folder) = folder();
        assert_eq!(write(&folder, &summary()).unwrap(), None);
        let text = folder.read(FILE).unwrap().unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        for (pointer, expected) in [
            ("/schema", json!("dyno.load/1")),
            ("/tool", json!("load")),
            ("/verdict", json!("failed")),
            ("/window", json!({ "start": 1_000_000, "end": 1_060_000 })),
            ("/requests", json!({ "count": 1000, "failed": 3, "rate": 16.667 })),
            ("/latency/p95", json!(123.4)),
            ("/service_time/p99", json!(280.0)),
            ("/endpoints/0/name", json!("GET /products/{id}")),
            ("/generator/cpu_seconds", json!(1.5)),
            ("/generator/dropped", json!(0)),
            ("/generator/late", json!(0)),
        ] {
            assert_eq!(value.pointer(pointer), Some(&expected), "{pointer}");
        }
        assert!(value["reasons"].is_array());
        assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary());
    }

    #[test]
    fn the_steady_phase_is_read_back_only_where_a_gate_could_judge_it() {
        let (_root, folder) = folder();
        assert_eq!(steady(&folder).unwrap(), None);
        write(&folder, &summary()).unwrap();
        assert_eq!(steady(&folder).unwrap(), Some((1_010_000, 1_060_000)));
        let with = |change: fn(&mut Summary)| {
            let mut summary = summary();
            change(&mut summary);
            write(&folder, &summary).unwrap();
            steady(&folder).unwrap()
        };
        assert_eq!(with(|summary| summary.interrupted = true), None);
        assert_eq!(with(|summary| summary.requests.failed = 1000), None);
        assert_eq!(with(|summary| summary.steady.end = summary.steady.start), None);
        begin(&folder).unwrap();
        assert_eq!(steady(&folder).unwrap(), None);
    }

    #[test]
    fn the_widget_finds_its_numbers_and_no_nan() {
        let value = performance(&summary());
        for (pointer, expected) in [
            ("/metrics/http_reqs/rate", json!(17.0)),
            ("/metrics/http_req_waiting/p(90)", json!(100.0)),
            ("/metrics/http_req_waiting/p(95)", json!(120.0)),
            ("/metrics/iterations/count", json!(40)),
            ("/metrics/checks/passes", json!(997)),
            ("/metrics/checks/fails", json!(3)),
        ] {
            assert_eq!(value.pointer(pointer), Some(&expected), "{pointer}");
        }
        let mut checked = summary();
        checked.checks = vec![CheckCount {
            endpoint: "GET /a".to_owned(),
            name: "$.ok is true".to_owned(),
            passes: 3,
            fails: 1,
        }];
        let value = performance(&checked);
        assert_eq!(value["metrics"]["checks"], json!({ "passes": 3, "fails": 1, "value": 0.75 }));
        let check = &value["root_group"]["checks"]["GET /a: $.ok is true"];
        assert_eq!((&check["passes"], &check["fails"]), (&json!(3), &json!(1)));
        let mut none = summary();
        none.requests = crate::load::Requests::default();
        none.steady.requests = none.requests;
        assert!(performance(&none)["metrics"].get("checks").is_none());
    }

    #[test]
    fn limits_on_all_requests_are_thresholds_that_say_whether_they_were_crossed() {
        let mut summary = summary();
        let with = |name: &str, limit: f64, verdict| LimitResult {
            name: name.to_owned(),
            limit,
            verdict,
            ..summary.limits[0].clone()
        };
        let limits = [
            with("p95 < 500ms", 500.0, Verdict::Warned),
            with("p99.9 <= 1s", 1000.0, Verdict::Failed),
            with("p95 of GET /a < 1s", 1000.0, Verdict::Failed),
            with("rate > 5/s", 5.0, Verdict::Passed),
        ];
        summary.limits.extend(limits);
        let metrics = &performance(&summary)["metrics"];
        let of = |metric: &str| &metrics[metric]["thresholds"];
        assert_eq!(of("http_req_duration"), &json!({ "p(95)<500": false, "p(99.9)<=1000": true }));
        assert_eq!(of("http_req_failed"), &json!({ "rate<0.001": true }));
        assert_eq!(of("http_reqs"), &json!({ "rate>5": false }));
        assert_eq!(metrics["data_received"], json!({ "count": 2000, "rate": 33.0 }));
    }

    #[test]
    fn a_criterion_is_one_case_with_all_that_shows_it() {
        let mut summary = summary();
        let with = |name: &str, verdict| LimitResult {
            name: name.to_owned(),
            verdict,
            criterion: "products are found fast".to_owned(),
            ..summary.limits[0].clone()
        };
        summary.limits =
            vec![with("p95 < 1s", Verdict::Passed), with("errors < 0.1%", Verdict::Failed)];
        let suite = suite(&summary);
        assert_eq!(suite.cases.len(), 2);
        assert_eq!(suite.cases[1].name, "products are found fast");
        let Outcome::Failed(why) = &suite.cases[1].outcome else { panic!("{suite:?}") };
        assert_eq!(why.lines().count(), 2, "{why}");
    }

    #[test]
    fn what_a_preset_found_is_handed_on() {
        let mut stressed = summary();
        stressed.found.capacity_requests = Some(449.96);
        let variables = variables(&stressed);
        assert!(variables.contains(&("DYNO_CAPACITY_RPS".to_owned(), "450.0".to_owned())));
        assert_eq!(variables.len(), super::variables(&summary()).len() + 1);
    }

    #[test]
    fn values_are_rounded_to_two_figures() {
        for (value, expected) in
            [(0.0, 0.0), (0.1234, 0.12), (1.26, 1.3), (12.6, 13.0), (123.4, 120.0), (f64::NAN, 0.0)]
        {
            assert!((rounded(value) - expected).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn metrics_have_a_name_and_a_value_whatever_an_endpoint_is_called() {
        let mut summary = summary();
        summary.endpoints[0].name = "GET /a b#'\"\n\u{fc}".to_owned();
        let text = metrics(&summary);
        assert!(text.contains("dyno_load_p95_ms 120\n"), "{text}");
        let line = regex::Regex::new(r"^[A-Za-z0-9_/{}=.:-]+ [0-9.]+$").unwrap();
        for written in text.lines() {
            assert!(line.is_match(written), "{written}");
        }
    }

    #[test]
    fn each_limit_is_a_case_and_the_run_is_one() {
        let suite = suite(&summary());
        let outcomes: Vec<(&str, bool)> = suite
            .cases
            .iter()
            .map(|case| (case.name.as_str(), matches!(case.outcome, Outcome::Failed(_))))
            .collect();
        assert_eq!(outcomes, [("the load ran and can be judged", true), ("errors < 0.1%", true)]);
        let mut limited = summary();
        limited.reasons.pop();
        assert_eq!(super::suite(&limited).cases[0].outcome, Outcome::Passed);
    }
}
