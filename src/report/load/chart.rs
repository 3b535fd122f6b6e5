//! The response times of a run as a picture of text, and its course as CSV.

use std::fmt::Write;

use crate::load::{Links, Middle, Point, Summary, millis};

const WIDTH: usize = 60;
const HEIGHT: usize = 8;
/// Eighths of a row.
const BLOCKS: [char; 9] = [
    ' ', '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}',
    '\u{2588}',
];

/// Draws p95 over the run, a column a stretch; nothing for a run too short to have a course.
pub fn p95(summary: &Summary) -> String {
    let columns = columns(&summary.series);
    let top = columns.iter().copied().fold(0.0, f64::max);
    if columns.len() < 5 || top <= 0.0 {
        return String::new();
    }
    let mut text = format!("p95 over the run, up to {}\n", millis(top));
    for row in (0..HEIGHT).rev() {
        let label = match row {
            0 => millis(0.0),
            row if row + 1 == HEIGHT => millis(top),
            _ => String::new(),
        };
        let bars: String = columns.iter().map(|value| bar(*value / top, row)).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{label:>9} |{}", bars.trim_end());
    }
    let seconds = (summary.window.end - summary.window.start) / 1000;
    let _ = writeln!(text, "{:>9} +{} {seconds}s", "", "-".repeat(columns.len()));
    text
}

/// The part of a bar that stands in a row.
fn bar(share: f64, row: usize) -> char {
    let count = |n: usize| crate::unit::float(u64::try_from(n).unwrap_or(0));
    let filled = (share * count(HEIGHT) - count(row)).clamp(0.0, 1.0);
    let eighths = crate::unit::whole(filled * 8.0).and_then(|n| usize::try_from(n).ok());
    BLOCKS.get(eighths.unwrap_or(0)).copied().unwrap_or(' ')
}

/// The worst of each group of points, so that no peak is lost.
fn columns(points: &[Point]) -> Vec<f64> {
    let group = points.len().div_ceil(WIDTH).max(1);
    let worst = |points: &[Point]| points.iter().map(|point| point.p95).fold(0.0, f64::max);
    points.chunks(group).map(worst).collect()
}

/// The columns of the course: what is not here may come behind, what is stays where it is.
const COLUMNS: &str = "time_ms,span_ms,users,requests_per_second,failed,p50_ms,p95_ms,\
    first_byte_p50_ms,first_byte_p95_ms,connections_opened,connections_reused,connections_failed,\
    connect_p50_ms,connect_p95_ms,tls_p50_ms,tls_p95_ms,dns_ms";

/// The course as CSV: one line a point, times in milliseconds since 1970. What was not measured is
/// an empty cell, never a zero.
pub fn csv(summary: &Summary) -> String {
    let mut text = format!("{COLUMNS}\n");
    // Names are looked up once, before the first point.
    let lookups = Some(summary.connections.dns.max).filter(|slowest| *slowest > 0.0);
    for (n, point) in summary.series.iter().enumerate() {
        let Point { start, span, users, rate, failed, p50, p95, first_byte, connections } = point;
        let Links { opened, reused, failed: unconnected, connect, tls } = connections;
        let [first_byte, connect, tls] = [*first_byte, *connect, *tls].map(cells);
        let dns =
            lookups.filter(|_| n == 0).map_or_else(String::new, |slowest| slowest.to_string());
        let _ = writeln!(
            text,
            "{start},{span},{users},{rate},{failed},{p50},{p95},{first_byte},\
             {opened},{reused},{unconnected},{connect},{tls},{dns}"
        );
    }
    text
}

/// Two cells.
fn cells(of: Option<Middle>) -> String {
    of.map_or_else(|| ",".to_owned(), |Middle { p50, p95 }| format!("{p50},{p95}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::load::table::tests::summary;

    fn with(p95: impl IntoIterator<Item = f64>) -> Summary {
        let mut summary = summary();
        let first = summary.series[0];
        let points = p95.into_iter().zip(0..).map(|(p95, n)| Point {
            p95,
            start: first.start + 1000 * n,
            ..first
        });
        summary.series = points.collect();
        summary
    }

    #[test]
    fn a_run_is_drawn_and_no_peak_is_lost() {
        let text = p95(&with([10.0, 20.0, 80.0, 40.0, 5.0, 0.0]));
        insta::assert_snapshot!(text, @r"
        p95 over the run, up to 80.0ms
           80.0ms |  █
                  |  █
                  |  █
                  |  █
                  |  ██
                  |  ██
                  | ███
           0.00ms |████▄
                  +------ 60s
        ");
        let long = p95(&with((0..600).map(|n| if n == 301 { 99.0 } else { 1.0 })));
        assert!(long.contains("up to 99.0ms"), "{long}");
        assert!(long.lines().all(|line| line.chars().count() < 90), "{long}");
        assert_eq!(p95(&with([1.0; 3])), "");
        assert_eq!(p95(&with([0.0; 9])), "");
    }

    #[test]
    fn the_course_is_a_table() {
        let text = csv(&with([10.0, 20.5]));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[2], "1001000,1000,25,16,0,10,20.5,,,0,0,0,,,,,");
        for line in &lines {
            assert_eq!(line.split(',').count(), 17, "{line}");
        }
    }

    #[test]
    fn connections_have_columns_of_their_own() {
        let mut summary = with([10.0, 20.0]);
        let middle = |p50, p95| Some(Middle { p50, p95 });
        for point in &mut summary.series {
            point.first_byte = middle(2.0, 3.5);
        }
        summary.series[0].connections = Links {
            opened: 4,
            reused: 12,
            failed: 1,
            connect: middle(0.1, 0.2),
            tls: middle(7.0, 9.0),
        };
        summary.series[1].connections.reused = 16;
        summary.connections.dns.max = 12.5;
        let text = csv(&summary);
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        let row = |n: usize| rows[0].iter().zip(&rows[n]).skip(7).map(|(a, b)| format!("{a}={b}"));
        assert_eq!(
            row(1).collect::<Vec<_>>().join(" "),
            "first_byte_p50_ms=2 first_byte_p95_ms=3.5 connections_opened=4 connections_reused=12 \
             connections_failed=1 connect_p50_ms=0.1 connect_p95_ms=0.2 tls_p50_ms=7 tls_p95_ms=9 \
             dns_ms=12.5"
        );
        assert_eq!(
            row(2).collect::<Vec<_>>().join(" "),
            "first_byte_p50_ms=2 first_byte_p95_ms=3.5 connections_opened=0 connections_reused=16 \
             connections_failed=0 connect_p50_ms= connect_p95_ms= tls_p50_ms= tls_p95_ms= dns_ms="
        );
    }
}
