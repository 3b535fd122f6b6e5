//! A run's statistics as Locust prints them and writes them to CSV files.

use std::fmt::Write;

use crate::load::{Endpoint, Latency, Requests, Summary};
use crate::report::joblog::printable;
use crate::unit::float;

/// Returns the tables at the end of a run.
pub fn tables(summary: &Summary) -> String {
    let names: Vec<(String, String)> = summary.endpoints.iter().map(split).collect();
    let width = names.iter().map(|(_, name)| name.chars().count()).max().unwrap_or(0).max(20);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{:<8} {:<width$} {:>9} {:>14} | {:>8} {:>8} {:>8} {:>8} | {:>9} {:>11}",
        "Type", "Name", "# reqs", "# fails", "Avg", "Min", "Max", "Med", "req/s", "failures/s"
    );
    let line = rule(width);
    let _ = writeln!(text, "{line}");
    for (endpoint, (kind, name)) in summary.endpoints.iter().zip(&names) {
        push_row(&mut text, (kind, name, width), &endpoint.requests, &endpoint.latency);
    }
    let _ = writeln!(text, "{line}");
    push_row(&mut text, ("", "Aggregated", width), &summary.requests, &summary.latency);
    let _ = writeln!(text, "\nResponse time percentiles (ms)");
    let _ = writeln!(
        text,
        "{:<8} {:<width$} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "Type", "Name", "50%", "90%", "95%", "99%", "100%", "# reqs"
    );
    let _ = writeln!(text, "{line}");
    for (endpoint, (kind, name)) in summary.endpoints.iter().zip(&names) {
        push_percentiles(&mut text, (kind, name, width), &endpoint.requests, &endpoint.latency);
    }
    let _ = writeln!(text, "{line}");
    push_percentiles(&mut text, ("", "Aggregated", width), &summary.requests, &summary.latency);
    if summary.requests.failed > 0 {
        let _ = writeln!(text, "\nError report\n{:<18} Error", "# occurrences");
        let _ = writeln!(text, "{line}");
        for (endpoint, (kind, name)) in summary.endpoints.iter().zip(&names) {
            for error in &endpoint.errors {
                let what = printable(&error.text);
                let _ = writeln!(text, "{:<18} {kind} {name}: {what}", error.count);
            }
        }
        let _ = writeln!(text, "{line}");
    }
    text
}

fn rule(width: usize) -> String {
    format!("{}|{}", "-".repeat(8), "-".repeat(width + 80))
}

fn split(endpoint: &Endpoint) -> (String, String) {
    let name = printable(&endpoint.name);
    match name.split_once(' ') {
        Some((kind, name)) => (kind.to_owned(), name.to_owned()),
        None => (String::new(), name),
    }
}

fn push_row(
    text: &mut String,
    (kind, name, width): (&str, &str, usize),
    requests: &Requests,
    latency: &Latency,
) {
    let fails = format!("{}({:.2}%)", requests.failed, requests.failed_share() * 100.0);
    let _ = writeln!(
        text,
        "{kind:<8} {name:<width$} {:>9} {fails:>14} | {:>8.0} {:>8.0} {:>8.0} {:>8.0} | {:>9.2} {:>11.2}",
        requests.count,
        latency.mean,
        latency.min,
        latency.max,
        latency.p50,
        requests.rate,
        failures_per_second(requests)
    );
}

fn push_percentiles(
    text: &mut String,
    (kind, name, width): (&str, &str, usize),
    requests: &Requests,
    latency: &Latency,
) {
    let _ = writeln!(
        text,
        "{kind:<8} {name:<width$} {:>9.0} {:>9.0} {:>9.0} {:>9.0} {:>9.0} {:>9}",
        latency.p50, latency.p90, latency.p95, latency.p99, latency.max, requests.count
    );
}

fn failures_per_second(requests: &Requests) -> f64 {
    if requests.count == 0 {
        0.0
    } else {
        requests.rate * float(requests.failed) / float(requests.count)
    }
}

/// Returns `PREFIX_stats.csv`.
pub fn stats_csv(summary: &Summary) -> String {
    let mut text = String::from(
        "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,\
         Min Response Time,Max Response Time,Average Content Size,Requests/s,Failures/s,\
         50%,90%,95%,99%,100%\n",
    );
    let mut push = |kind: &str, name: &str, (requests, latency, received): Row<'_>| {
        let size = if requests.count == 0 { 0.0 } else { float(received) / float(requests.count) };
        let _ = writeln!(
            text,
            "{},{},{},{},{},{},{},{},{size:.1},{:.3},{:.3},{},{},{},{},{}",
            field(kind),
            field(name),
            requests.count,
            requests.failed,
            latency.p50,
            latency.mean,
            latency.min,
            latency.max,
            requests.rate,
            failures_per_second(requests),
            latency.p50,
            latency.p90,
            latency.p95,
            latency.p99,
            latency.max
        );
    };
    let mut total = 0;
    for endpoint in &summary.endpoints {
        let (kind, name) = split(endpoint);
        total += endpoint.bytes.received;
        push(&kind, &name, (&endpoint.requests, &endpoint.latency, endpoint.bytes.received));
    }
    push("", "Aggregated", (&summary.requests, &summary.latency, total));
    text
}

type Row<'a> = (&'a Requests, &'a Latency, u64);

/// Returns `PREFIX_failures.csv`.
pub fn failures_csv(summary: &Summary) -> String {
    let mut text = String::from("Method,Name,Error,Occurrences\n");
    for endpoint in &summary.endpoints {
        let (kind, name) = split(endpoint);
        for error in &endpoint.errors {
            let what = printable(&error.text);
            let _ = writeln!(
                text,
                "{},{},{},{}",
                field(&kind),
                field(&name),
                field(&what),
                error.count
            );
        }
    }
    text
}

/// Quotes what would break a row, and what a spreadsheet would take for a formula.
fn field(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@']);
    if is_formula || text.contains([',', '"']) {
        let guard = if is_formula { "'" } else { "" };
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::load::table::tests::summary;

    #[test]
    fn the_tables_hold_a_row_an_endpoint_and_the_sum() {
        let mut summary = summary();
        summary.endpoints[0].errors.clone_from(&summary.errors);
        let text = tables(&summary);
        for expected in [
            "GET      /products/{id}",
            "3(0.30%)",
            "         Aggregated",
            "3                  GET /products/{id}: status 503",
        ] {
            assert!(text.contains(expected), "{expected} in\n{text}");
        }
    }

    #[test]
    fn csv_rows_have_as_many_fields_as_their_head() {
        let mut summary = summary();
        summary.endpoints[0].name = "GET =cmd()".to_owned();
        summary.endpoints[0].errors.clone_from(&summary.errors);
        for text in [stats_csv(&summary), failures_csv(&summary)] {
            let fields = |line: &str| line.split(',').count();
            let head = fields(text.lines().next().unwrap());
            assert!(text.lines().all(|line| fields(line) == head), "{text}");
            assert!(text.contains("\"'=cmd()\""), "{text}");
        }
    }
}
