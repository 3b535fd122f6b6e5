//! The run on a terminal while it goes on: a few lines that are drawn again each second. The
//! terminal is left as it is (no cursor hidden, no mode changed), so nothing has to be restored
//! however the run ends.

use std::collections::VecDeque;
use std::fmt::Write;

use crate::load::{Progress, millis};
use crate::unit::{float, whole};

/// Seconds that the small charts show.
const COURSE: usize = 60;

const BARS: [char; 8] = [
    '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}', '\u{2588}',
];

/// What is drawn.
#[derive(Debug, Default)]
pub struct View {
    rates: VecDeque<f64>,
    p95: VecDeque<f64>,
    failed: VecDeque<f64>,
    /// Lines that stand on the terminal.
    n_lines: usize,
}

impl View {
    /// Returns what draws the run's state in place of the last one. `note` says what is going on;
    /// no line is wider than `width`, since a wrapped one could not be drawn over.
    pub fn draw(&mut self, progress: &Progress, note: &str, width: usize) -> String {
        for (course, value) in [
            (&mut self.rates, progress.rate),
            (&mut self.p95, progress.p95),
            (&mut self.failed, float(progress.failed)),
        ] {
            if course.len() == COURSE {
                course.pop_front();
            }
            course.push_back(value);
        }
        let mut text = self.erase();
        let lines = self.lines(progress, note, width.max(20));
        for line in &lines {
            text.extend(line.chars().take(width.max(20) - 1));
            text.push_str("\u{1b}[K\n");
        }
        self.n_lines = lines.len();
        text
    }

    /// Returns what takes the view away.
    pub fn erase(&mut self) -> String {
        match std::mem::take(&mut self.n_lines) {
            0 => String::new(),
            n => format!("\u{1b}[{n}A\r\u{1b}[J"),
        }
    }

    fn lines(&self, progress: &Progress, note: &str, width: usize) -> Vec<String> {
        let room = width.saturating_sub(46).clamp(8, COURSE);
        let share = float(progress.elapsed) / float(progress.duration.max(1));
        let failed = match progress.total {
            0 => "-".to_owned(),
            total => format!("{:.2}%", float(progress.total_failed) * 100.0 / float(total)),
        };
        vec![
            format!(
                "  {} {:>3.0}%  {} of {}  {note}",
                bar(share, 24),
                (share * 100.0).min(100.0),
                super::table::whole_seconds(progress.elapsed),
                super::table::whole_seconds(progress.duration),
            ),
            format!("  users      {:>10}", progress.users),
            format!("  requests/s {:>10.1}  {}", progress.rate, spark(&self.rates, room)),
            format!("  p95        {:>10}  {}", millis(progress.p95), spark(&self.p95, room)),
            format!(
                "  errors     {failed:>10}  {}  {} of {}",
                spark(&self.failed, room),
                progress.total_failed,
                progress.total
            ),
        ]
    }
}

/// A bar that is filled up to a share.
fn bar(share: f64, width: usize) -> String {
    let filled = whole(share.clamp(0.0, 1.0) * float(u64::try_from(width).unwrap_or(0)));
    let filled = filled.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    format!("[{}{}]", "#".repeat(filled), "-".repeat(width.saturating_sub(filled)))
}

/// The last values as a line of bars, the highest of them as the full one; what is zero has none.
fn spark(values: &VecDeque<f64>, room: usize) -> String {
    let top = values.iter().copied().fold(0.0, f64::max);
    let mut text = String::new();
    for value in values.iter().skip(values.len().saturating_sub(room)) {
        let at = whole((value / top * 8.0).ceil()).and_then(|n| usize::try_from(n).ok());
        let bar = if top > 0.0 { at.unwrap_or(0).checked_sub(1) } else { None };
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", bar.and_then(|at| BARS.get(at)).unwrap_or(&' '));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(rate: f64) -> Progress {
        Progress {
            elapsed: 15_000,
            duration: 60_000,
            users: 25,
            rate,
            p95: rate / 10.0,
            count: 100,
            failed: 1,
            total: 900,
            total_failed: 9,
            ..Progress::default()
        }
    }

    #[test]
    fn a_state_is_drawn_over_the_last_one() {
        let mut view = View::default();
        let first = view.draw(&progress(50.0), "steady", 80);
        assert!(!first.contains("\u{1b}[5A"), "{first}");
        for rate in [100.0, 0.0, 25.0] {
            view.draw(&progress(rate), "steady", 80);
        }
        let last = view.draw(&progress(100.0), "steady", 80);
        let plain = last.replace("\u{1b}[K", "");
        insta::assert_snapshot!(plain.strip_prefix("\u{1b}[5A\r\u{1b}[J").unwrap(), @r"
          [######------------------]  25%  15s of 1m  steady
          users              25
          requests/s      100.0  ▄█ ▂█
          p95            10.0ms  ▄█ ▂█
          errors          1.00%  █████  9 of 900
        ");
        assert_eq!(view.erase(), "\u{1b}[5A\r\u{1b}[J");
        assert_eq!(view.erase(), "");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut view = View::default();
        for width in [0, 20, 40, 79, 200] {
            for _ in 0..70 {
                let text = view.draw(&progress(5.0), "a long note about what is going on", width);
                for line in text.lines() {
                    let line = line.rsplit("\u{1b}[J").next().unwrap().replace("\u{1b}[K", "");
                    assert!(line.chars().count() < width.max(20), "{width}: {line}");
                }
            }
        }
    }
}
