//! The lines and tables of a run, as text.

use std::fmt::Write;
use std::time::Duration;

use crate::load::{
    CheckCount, Latency, LimitResult, Progress, Requests, StageSummary, Summary, millis,
};
use crate::report::joblog::printable;
use crate::unit::{Span, float};
use crate::verdict::Verdict;

/// The head over the course's lines.
pub fn course_head() -> String {
    format!(
        "{:>8} {:>7} {:>10} {:>9} {:>9} {:>8}",
        "time", "users", "requests/s", "p50", "p95", "errors"
    )
}

/// A line of the course.
pub fn course_line(progress: &Progress) -> String {
    format!(
        "{:>8} {:>7} {:>10.1} {:>9} {:>9} {:>8}",
        whole_seconds(progress.elapsed),
        progress.users,
        progress.rate,
        millis(progress.p50),
        millis(progress.p95),
        share(progress.failed, progress.count),
    )
}

/// A span in seconds, without the rest.
pub fn whole_seconds(millis: u64) -> String {
    Span(Duration::from_secs(millis / 1000)).to_string()
}

fn share(failed: u64, count: u64) -> String {
    if count == 0 {
        "-".to_owned()
    } else {
        format!("{:.2}%", float(failed) * 100.0 / float(count))
    }
}

/// The table, limits, errors and verdict at the end.
pub fn block(summary: &Summary) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "--- load: {} ---", summary.verdict);
    if summary.requests.count > 0 {
        push_table(&mut text, summary);
        text.push_str(&super::chart::p95(summary));
    }
    for error in summary.errors.iter().take(10) {
        let _ = writeln!(text, "{:>8} x {}", error.count, printable(&error.text));
    }
    if summary.errors.len() > 10 {
        let _ =
            writeln!(text, "{:>8} more kinds of errors in load.json", summary.errors.len() - 10);
    }
    push_stages(&mut text, summary);
    push_checks(&mut text, summary);
    for limit in &summary.limits {
        let _ = writeln!(text, "{}", limit_line(limit));
    }
    if let Some(comparison) = &summary.comparison {
        let _ = writeln!(
            text,
            "baseline {}: {} requests, {} failed, p50 {}, p95 {}; bounds at {:.1}%",
            printable(&comparison.baseline),
            comparison.requests.count,
            share(comparison.requests.failed, comparison.requests.count),
            millis(comparison.latency.p50),
            millis(comparison.latency.p95),
            comparison.confidence * 100.0,
        );
    }
    let generator = &summary.generator;
    let _ = writeln!(
        text,
        "generator: {:.2} s CPU, busiest thread {:.0}%, {} late, {} dropped, {} steps left out",
        generator.cpu_seconds,
        generator.cpu_share * 100.0,
        generator.late,
        generator.dropped,
        generator.skipped,
    );
    let of_limits = |reason: &&String| {
        !summary.limits.iter().any(|limit| **reason == format!("{}: {}", limit.name, limit.reason))
    };
    for reason in summary.reasons.iter().filter(of_limits) {
        let _ = writeln!(text, "note: {}", printable(reason));
    }
    let _ = writeln!(text, "load {}", summary.verdict);
    text
}

fn limit_line(limit: &LimitResult) -> String {
    let mark = match limit.verdict {
        Verdict::Passed | Verdict::Warned => "\u{2713}",
        Verdict::Inconclusive => "?",
        Verdict::Error | Verdict::Failed => "\u{2717}",
    };
    let criterion = match &*limit.criterion {
        "" => String::new(),
        name => format!("{}: ", printable(name)),
    };
    let (name, reason) = (printable(&limit.name), printable(&limit.reason));
    format!("{mark} {}: {criterion}{name} ({reason})", limit.verdict)
}

fn push_table(text: &mut String, summary: &Summary) {
    let names: Vec<String> =
        summary.endpoints.iter().map(|endpoint| shorten(&printable(&endpoint.name))).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(9);
    let _ = writeln!(
        text,
        "{:<width$} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "endpoint", "requests", "failed", "per s", "p50", "p90", "p95", "p99", "max"
    );
    for (endpoint, name) in summary.endpoints.iter().zip(&names) {
        let _ = writeln!(text, "{}", row(name, width, &endpoint.requests, &endpoint.latency));
    }
    let _ = writeln!(text, "{}", row("all", width, &summary.requests, &summary.latency));
    let (service, steady) = (&summary.service_time, &summary.steady);
    // Where nothing was written there is no such time, and none of zero.
    if service.max > 0.0 {
        let _ = writeln!(
            text,
            "service time (from the write): p50 {}, p95 {}, p99 {}, max {}",
            millis(service.p50),
            millis(service.p95),
            millis(service.p99),
            millis(service.max)
        );
    }
    push_connections(text, summary);
    let _ = writeln!(
        text,
        "steady phase, {}: {} requests, {:.1}/s, {} failed, p95 {}",
        whole_seconds(u64::try_from(steady.end - steady.start).unwrap_or(0)),
        steady.requests.count,
        steady.requests.rate,
        share(steady.requests.failed, steady.requests.count),
        millis(steady.latency.p95)
    );
}

/// Where time went before and after the target worked.
fn push_connections(text: &mut String, summary: &Summary) {
    let told =
        |latency: &Latency| format!("p50 {}, p95 {}", millis(latency.p50), millis(latency.p95));
    if summary.first_byte.max > 0.0 {
        let _ = writeln!(text, "first byte (from the write): {}", told(&summary.first_byte));
    }
    let made = &summary.connections;
    if made.count == 0 {
        return;
    }
    let s = if made.count == 1 { "" } else { "s" };
    let _ = write!(text, "{} connection{s} made: {}", made.count, told(&made.connect));
    if made.tls.max > 0.0 {
        let _ = write!(text, "; TLS {}", told(&made.tls));
    }
    if made.dns.max > 0.0 {
        let _ = write!(text, "; names looked up within {}", millis(made.dns.max));
    }
    text.push('\n');
}

/// The checks that failed, and how many never did.
fn push_checks(text: &mut String, summary: &Summary) {
    let made = summary.checks.iter().filter(|check| check.passes + check.fails > 0);
    let (failed, good): (Vec<&CheckCount>, Vec<&CheckCount>) =
        made.partition(|check| check.fails > 0);
    for check in &failed {
        let (all, name) = (check.passes + check.fails, printable(&check.name));
        let endpoint = printable(&check.endpoint);
        let _ =
            writeln!(text, "\u{2717} check {endpoint}: {name}: {} of {all} failed", check.fails);
    }
    if !good.is_empty() {
        let s = if good.len() == 1 { "" } else { "s" };
        let _ = writeln!(text, "\u{2713} {} check{s} always held", good.len());
    }
}

/// A row for each stage that has a name, where there are several.
fn push_stages(text: &mut String, summary: &Summary) {
    let named: Vec<&StageSummary> =
        summary.stages.iter().filter(|stage| !stage.name.is_empty()).collect();
    if named.len() < 2 {
        return;
    }
    let names: Vec<String> = named.iter().map(|stage| shorten(&printable(&stage.name))).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(9);
    let _ = writeln!(
        text,
        "{:<width$} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "stage", "requests", "failed", "per s", "p50", "p90", "p95", "p99", "max"
    );
    for (stage, name) in named.iter().zip(&names) {
        let _ = writeln!(text, "{}", row(name, width, &stage.requests, &stage.latency));
    }
}

fn row(name: &str, width: usize, requests: &Requests, latency: &Latency) -> String {
    format!(
        "{name:<width$} {:>9} {:>8} {:>8.1} {:>8} {:>8} {:>8} {:>8} {:>8}",
        requests.count,
        requests.failed,
        requests.rate,
        millis(latency.p50),
        millis(latency.p90),
        millis(latency.p95),
        millis(latency.p99),
        millis(latency.max)
    )
}

fn shorten(name: &str) -> String {
    const LONGEST: usize = 50;
    if name.chars().count() <= LONGEST {
        name.to_owned()
    } else {
        let mut short: String = name.chars().take(LONGEST - 1).collect();
        short.push('\u{2026}');
        short
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::load::Endpoint;
    use crate::load::summary::{
        Bytes, Connections, ErrorCount, Found, Generator, Links, Point, Steady, Window,
    };

    /// A run of a minute with one endpoint, one limit and three failed requests.
    #[expect(clippy::too_many_lines, reason = "every field of a summary is named once")]
    pub fn summary() -> Summary {
        let requests = Requests { count: 1000, failed: 3, rate: 16.667 };
        let latency = Latency {
            min: 0.5,
            mean: 12.0,
            p50: 10.4,
            p90: 100.26,
            p95: 123.4,
            p99: 280.0,
            max: 12_345.0,
        };
        Summary {
            schema: Summary::SCHEMA.to_owned(),
            tool: "load".to_owned(),
            verdict: Verdict::Failed,
            reasons: vec!["errors < 0.1%: it was 0.30%, not 0.10%".to_owned(), "note".to_owned()],
            plan: "shop".to_owned(),
            target: "http://shop".to_owned(),
            interrupted: false,
            unreachable: false,
            window: Window { start: 1_000_000, end: 1_060_000 },
            steady: Steady {
                start: 1_010_000,
                end: 1_060_000,
                requests,
                latency,
                service_time: latency,
                first_byte: latency,
            },
            requests,
            rounds: 40,
            latency,
            service_time: latency,
            first_byte: latency,
            connections: Connections { count: 40, connect: latency, ..Connections::default() },
            endpoints: vec![Endpoint {
                name: "GET /products/{id}".to_owned(),
                requests,
                latency,
                service_time: latency,
                first_byte: latency,
                connections: Connections::default(),
                bytes: Bytes { sent: 10, received: 2000 },
                errors: Vec::new(),
            }],
            checks: Vec::new(),
            stages: Vec::new(),
            found: Found::default(),
            comparison: None,
            errors: vec![ErrorCount { text: "status 503".to_owned(), count: 3 }],
            generator: Generator {
                cpu_seconds: 1.5,
                cpu_share: 0.02,
                threads: 2,
                ..Generator::default()
            },
            limits: vec![LimitResult {
                name: "errors < 0.1%".to_owned(),
                verdict: Verdict::Failed,
                value: Some(0.003),
                limit: 0.001,
                samples: 1000,
                reason: "it was 0.30%, not 0.10%".to_owned(),
                criterion: String::new(),
                interval: None,
            }],
            series: vec![Point {
                start: 1_000_000,
                span: 1000,
                users: 25,
                rate: 16.0,
                failed: 0,
                p50: 10.0,
                p95: 123.0,
                first_byte: None,
                connections: Links::default(),
            }],
        }
    }

    #[test]
    fn what_was_never_measured_has_no_line() {
        let mut summary = summary();
        (summary.service_time, summary.first_byte) = (Latency::default(), Latency::default());
        let text = block(&summary);
        assert!(!text.contains("from the write"), "{text}");
    }

    #[test]
    fn the_block_at_the_end_reads_as_meant() {
        insta::assert_snapshot!(block(&summary()), @r"
        --- load: failed ---
        endpoint            requests   failed    per s      p50      p90      p95      p99      max
        GET /products/{id}      1000        3     16.7   10.4ms    100ms    123ms    280ms    12.3s
        all                     1000        3     16.7   10.4ms    100ms    123ms    280ms    12.3s
        service time (from the write): p50 10.4ms, p95 123ms, p99 280ms, max 12.3s
        first byte (from the write): p50 10.4ms, p95 123ms
        40 connections made: p50 10.4ms, p95 123ms
        steady phase, 50s: 1000 requests, 16.7/s, 0.30% failed, p95 123ms
               3 x status 503
        ✗ failed: errors < 0.1% (it was 0.30%, not 0.10%)
        generator: 1.50 s CPU, busiest thread 2%, 0 late, 0 dropped, 0 steps left out
        note: note
        load failed
        ");
    }

    #[test]
    fn the_course_reads_as_meant() {
        let progress =
            Progress { elapsed: 65_000, users: 250, rate: 281.2, count: 10, ..Progress::default() };
        insta::assert_snapshot!(
            format!("{}\n{}", course_head(), course_line(&progress)),
            @r"
            time   users requests/s       p50       p95   errors
            1m5s     250      281.2    0.00ms    0.00ms    0.00%
        "
        );
    }
}
