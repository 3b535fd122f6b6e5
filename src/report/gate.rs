//! The gate as it is told: lines and a verdict block in the job log, gate.json, a JUnit suite.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;
use serde_json::json;

use super::joblog::printable;
use super::junit::{Case, Outcome, Suite};
use super::{Error, Folder, chart};
use crate::gate::source::{LOAD, Recording};
use crate::gate::{CheckResult, Event, Point, Summary, Window};
use crate::load;
use crate::unit::{Span, float};
use crate::verdict::Verdict;

const FILE: &str = "gate.json";
const SAMPLES: &str = "samples.json";
const SUITE: &str = "dyno gate";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    tool: &'static str,
    verdict: Verdict,
    reasons: &'a [String],
    window: Option<Window>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    checks: &'a [CheckResult],
}

/// Writes a report that says `error`, before anything is asked: a gate that is killed must not
/// leave an earlier pass behind.
pub fn begin(folder: &Folder) -> Result<(), Error> {
    let reason = "the gate has not finished";
    write(folder, &Summary::without_checks(Verdict::Error, reason)).map(drop)
}

/// Writes gate.json and the suite in junit.xml. Returns a warning when an earlier junit.xml could
/// not be kept.
pub fn write(folder: &Folder, summary: &Summary) -> Result<Option<String>, Error> {
    folder.write(FILE, json_text(summary).as_bytes())?;
    folder.merge_junit(&suite(summary))
}

/// Writes annotations.json, which GitLab shows beside the job: the report, and where a person can look
/// at each query.
pub fn annotate(folder: &Folder, summary: &Summary, job_url: Option<&str>) -> Result<(), Error> {
    let link =
        |label: String, url: &str| json!({ "external_link": { "label": label, "url": url } });
    let report = job_url.map(|url| {
        link("the gate's report".to_owned(), &format!("{url}/artifacts/file/dyno-report/{FILE}"))
    });
    let checks = summary.checks.iter().filter_map(|check| {
        let label = format!("{}: {}", printable(&check.name), check.verdict);
        Some(link(label, check.link.as_deref()?))
    });
    let all: Vec<serde_json::Value> = report.into_iter().chain(checks).collect();
    let document = json!({ format!("dyno gate: {}", summary.verdict): all });
    folder.write("annotations.json", format!("{document:#}\n").as_bytes())
}

/// Writes what was sampled while the load ran, for the gate that comes after it.
pub fn write_samples(folder: &Folder, all: &BTreeMap<String, Recording>) -> Result<(), Error> {
    // An earlier run's samples are none of this one's.
    let text = serde_json::to_string(all).unwrap_or_default() + "\n";
    if all.is_empty() && folder.read(SAMPLES)?.is_none() {
        return Ok(());
    }
    folder.write(SAMPLES, text.as_bytes())
}

/// Reads what was sampled while the load ran, and what the load itself measured. What cannot be read
/// is as if it were not there: the checks that need it are then inconclusive.
pub fn recordings(folder: &Folder) -> Result<BTreeMap<String, Recording>, Error> {
    let text = folder.read(SAMPLES)?.unwrap_or_default();
    let mut all: BTreeMap<String, Recording> = serde_json::from_str(&text).unwrap_or_default();
    let course = super::load::course(folder)?;
    if !course.is_empty() {
        all.insert(LOAD.to_owned(), of_load(&course, super::load::doubt(folder)?));
    }
    Ok(all)
}

/// The load's course as series: `rate`, `errors` (a share), `p50` and `p95` (seconds), `users`.
fn of_load(course: &[load::Point], doubt: Option<String>) -> Recording {
    let series = |value: fn(&load::Point) -> f64| -> Vec<Point> {
        let at = |point: &load::Point| {
            point.start.saturating_add(i64::try_from(point.span / 2).unwrap_or(0))
        };
        course.iter().map(|point| Point { at_ms: at(point), value: value(point) }).collect()
    };
    let errors = |point: &load::Point| {
        let count = point.rate * float(point.span) / 1000.0;
        if count > 0.0 { (float(point.failed) / count).min(1.0) } else { 0.0 }
    };
    let mut courses = vec![
        ("rate", series(|point| point.rate)),
        ("users", series(|point| f64::from(point.users))),
        ("p50", series(|point| point.p50 / 1000.0)),
        ("p95", series(|point| point.p95 / 1000.0)),
        ("errors", series(errors)),
    ];
    // Where nothing was asked there is no share of errors and no response time.
    let is_idle: Vec<i64> = courses
        .iter()
        .filter(|(name, _)| *name == "rate")
        .flat_map(|(_, points)| points)
        .filter(|point| point.value <= 0.0)
        .map(|point| point.at_ms)
        .collect();
    for (name, points) in &mut courses {
        if !matches!(*name, "rate" | "users") {
            points.retain(|point| !is_idle.contains(&point.at_ms));
        }
    }
    Recording::of_load(courses, doubt)
}

/// Returns gate.json.
pub fn json_text(summary: &Summary) -> String {
    let document = Document {
        schema: "dyno.gate/1",
        tool: "gate",
        verdict: summary.verdict,
        reasons: &summary.reasons,
        window: summary.window,
        score: summary.score,
        checks: &summary.checks,
    };
    // Every number in it is finite or absent and every key is text: this cannot fail.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

/// Returns one case a check.
fn suite(summary: &Summary) -> Suite {
    let mut cases: Vec<Case> = summary.checks.iter().map(case).collect();
    if cases.is_empty() {
        let outcome = Outcome::Error(summary.reasons.join("; "));
        cases.push(Case { name: "gate".into(), class: SUITE.into(), seconds: 0.0, outcome });
    }
    Suite { name: SUITE.to_owned(), cases }
}

fn case(check: &CheckResult) -> Case {
    let why = || format!("{}\nsource: {}\nquery: {}", check.reason, check.source, check.query);
    let outcome = match (check.verdict, check.counts) {
        (Verdict::Passed | Verdict::Warned, _) => Outcome::Passed,
        (Verdict::Failed, _) => Outcome::Failed(why()),
        (Verdict::Inconclusive, Verdict::Passed | Verdict::Warned) => Outcome::Skipped(why()),
        (Verdict::Inconclusive | Verdict::Error, _) => Outcome::Error(why()),
    };
    Case {
        name: format!("{}: {}", check.name, check.limit),
        class: SUITE.to_owned(),
        seconds: 0.0,
        outcome,
    }
}

/// Returns the line that tells an event while the gate works; `None` where the block tells it.
pub fn line(event: &Event) -> Option<String> {
    let line = match event {
        Event::Window { window, note } => match note {
            Some(note) => format!("gate: {note} ({window})"),
            None => format!("gate: window {window}"),
        },
        Event::Settling { check, why, at_most_ms } => format!(
            "gate: {check}: waiting for the source, at most {}: {why}",
            Span::seconds(at_most_ms.div_ceil(1000))
        ),
        Event::Asked { check, source, .. } => format!("gate: {check}: asking {source}"),
        Event::Unanswered { check, why, .. } => format!("gate: {check}: {why}"),
        Event::Answered { .. } | Event::Judged(_) | Event::Sampled { .. } | Event::Finished(_) => {
            return None;
        }
    };
    Some(printable(&line))
}

/// Returns the verdict block of the job log.
pub fn block(summary: &Summary) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "--- gate: {} ---", summary.verdict);
    if let Some(window) = summary.window {
        let _ = writeln!(text, "window: {window}");
    }
    let of_checks = |reason: &&String| {
        !summary.checks.iter().any(|check| **reason == format!("{}: {}", check.name, check.reason))
    };
    for reason in summary.reasons.iter().filter(of_checks) {
        let label = if reason.starts_with("WARNING: ") { "" } else { "note: " };
        let _ = writeln!(text, "{label}{}", printable(reason));
    }
    for check in &summary.checks {
        push_check(&mut text, check);
    }
    text
}

fn push_check(text: &mut String, check: &CheckResult) {
    let _ = writeln!(
        text,
        "[{}] {}: {}",
        check.verdict,
        printable(&check.name),
        printable(&check.reason)
    );
    let _ = writeln!(text, "    {}: {}", printable(&check.source), printable(&check.query));
    if let Some(link) = &check.link {
        let _ = writeln!(text, "    {}", printable(link));
    }
    if let Some(chart) = &check.chart {
        for row in chart::rows(&chart.columns, chart.threshold) {
            let _ = writeln!(text, "    {row}");
        }
        if let Some(row) = chart::strip("load req/s", &chart.load) {
            let _ = writeln!(text, "    {row}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Chart;

    fn check(verdict: Verdict, counts: Verdict) -> CheckResult {
        CheckResult {
            name: "frontend CPU".to_owned(),
            verdict,
            counts,
            value: Some(72.5),
            limit: "mean < 60".to_owned(),
            warn: None,
            points: 4,
            series: 1,
            reason: "mean 72.5 breaks `mean < 60`; 4 samples in 1 series".to_owned(),
            query: "ts(\"cpu\")".to_owned(),
            source: "wavefront".to_owned(),
            unit: None,
            chart: Some(Chart {
                columns: vec![Some(60.0), Some(70.0), None, Some(90.0)],
                threshold: Some(60.0),
                load: vec![Some(50.0), Some(100.0), None, Some(100.0)],
            }),
            link: None,
            weight: crate::gate::Weight::default(),
            run: None,
            regression: None,
        }
    }

    fn summary(check: CheckResult) -> Summary {
        let window = Window { start_ms: 1_700_000_000_000, end_ms: 1_700_000_060_000 };
        Summary::of(window.into(), vec![check], None)
    }

    #[test]
    fn the_report_of_a_gate_that_never_ended_says_error() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::create(root.path()).unwrap();
        write(&folder, &summary(check(Verdict::Passed, Verdict::Passed))).unwrap();
        begin(&folder).unwrap();
        let json: serde_json::Value =
            serde_json::from_str(&folder.read(FILE).unwrap().unwrap()).unwrap();
        assert_eq!(json["verdict"], "error");
        assert_eq!(json["schema"], "dyno.gate/1");
        let junit = folder.read("junit.xml").unwrap().unwrap();
        assert!(junit.contains("errors=\"1\""), "{junit}");
    }

    #[test]
    fn the_report_holds_what_a_reader_needs() {
        let json: serde_json::Value =
            serde_json::from_str(&json_text(&summary(check(Verdict::Failed, Verdict::Failed))))
                .unwrap();
        assert_eq!(json["tool"], "gate");
        assert_eq!(json["verdict"], "failed");
        assert_eq!(json["window"]["start"], 1_700_000_000_000_i64);
        assert_eq!(json["window"]["end"], 1_700_000_060_000_i64);
        let check = &json["checks"][0];
        for (key, value) in
            [("name", "frontend CPU"), ("verdict", "failed"), ("limit", "mean < 60")]
        {
            assert_eq!(check[key], value);
        }
        assert_eq!(check["value"], 72.5);
        assert_eq!(check["points"], 4);
        assert_eq!(
            json["reasons"][0],
            "frontend CPU: mean 72.5 breaks `mean < 60`; 4 samples in 1 series"
        );
    }

    #[test]
    fn annotations_link_the_report_and_every_query_that_has_a_page() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::create(root.path()).unwrap();
        let linked = CheckResult {
            link: Some("http://p/graph?x".to_owned()),
            ..check(Verdict::Failed, Verdict::Failed)
        };
        annotate(&folder, &summary(linked), Some("https://g/-/jobs/1")).unwrap();
        let text = folder.read("annotations.json").unwrap().unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let all = json["dyno gate: failed"].as_array().unwrap();
        let url = "https://g/-/jobs/1/artifacts/file/dyno-report/gate.json";
        assert_eq!(all[0]["external_link"]["url"], url);
        assert_eq!(all[1]["external_link"]["label"], "frontend CPU: failed");
    }

    #[test]
    fn junit_tells_a_failure_from_an_error_from_what_was_let_pass() {
        for (verdict, counts, element) in [
            (Verdict::Passed, Verdict::Passed, "failures=\"0\" errors=\"0\" skipped=\"0\""),
            (Verdict::Warned, Verdict::Warned, "failures=\"0\" errors=\"0\" skipped=\"0\""),
            (Verdict::Failed, Verdict::Failed, "failures=\"1\" errors=\"0\" skipped=\"0\""),
            (Verdict::Error, Verdict::Error, "failures=\"0\" errors=\"1\" skipped=\"0\""),
            (Verdict::Inconclusive, Verdict::Inconclusive, "errors=\"1\" skipped=\"0\""),
            (Verdict::Inconclusive, Verdict::Passed, "errors=\"0\" skipped=\"1\""),
        ] {
            let suite = suite(&summary(check(verdict, counts)));
            let text = crate::report::junit::merge("", &suite).text;
            assert!(text.contains(element), "{verdict}: {text}");
        }
    }

    #[test]
    fn the_block_shows_value_limit_window_and_chart() {
        insta::assert_snapshot!(block(&summary(check(Verdict::Failed, Verdict::Failed))), @r#"
        --- gate: failed ---
        window: 2023-11-14 22:13:20 – 22:14:20 UTC (1m)
        [failed] frontend CPU: mean 72.5 breaks `mean < 60`; 4 samples in 1 series
            wavefront: ts("cpu")
                        90 │      ██
                  limit 60 │▃▃▇▇┈┈██
                           │████  ██
                           │████  ██
                         0 │████  ██
            load req/s 100 │▄▄██  ██
        "#);
    }

    #[test]
    fn warnings_of_the_gate_stand_at_a_lines_start() {
        let mut summary = summary(check(Verdict::Failed, Verdict::Failed));
        summary.reasons.push("WARNING: `a` is not known".to_owned());
        summary.reasons.push("score 90 %".to_owned());
        let block = block(&summary);
        assert!(block.contains("\nWARNING: `a` is not known\nnote: score 90 %\n"), "{block}");
    }

    #[test]
    fn a_hostile_name_cannot_write_into_the_log() {
        let hostile = CheckResult {
            name: "a\u{1b}[2J\nsection_end:1:x\r".to_owned(),
            ..check(Verdict::Passed, Verdict::Passed)
        };
        let text = block(&summary(hostile));
        assert!(!text.contains(['\u{1b}', '\r']), "{text}");
        assert!(!text.contains("\nsection_end"), "{text}");
    }
}
