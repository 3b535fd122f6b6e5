//! The job log as GitLab would show it: without time stamps, section marks and colours, masked.

use std::io::Write as _;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_mins(1);

/// A log that several pipes write lines to.
#[derive(Debug, Default)]
pub struct Log {
    text: Mutex<String>,
    grown: Condvar,
    masked: Vec<String>,
    echo: bool,
}

impl Log {
    /// A log that shows `[MASKED]` for each of the values.
    pub fn masking(mut masked: Vec<String>) -> Self {
        masked.retain(|value| !value.is_empty());
        // A value that holds another one is replaced first.
        masked.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { masked, ..Self::default() }
    }

    /// Also prints every line at once.
    #[must_use]
    pub fn echoing(self) -> Self {
        Self { echo: true, ..self }
    }

    /// Adds what came over a pipe; `line` may lack its newline.
    pub fn line(&self, line: &[u8]) {
        let mut shown = without_colours(&String::from_utf8_lossy(line));
        for value in &self.masked {
            shown = shown.replace(value, "[MASKED]");
        }
        if self.echo {
            let mut out = std::io::stdout().lock();
            drop(out.write_all(shown.as_bytes()).and_then(|()| out.flush()));
        }
        self.text.lock().unwrap_or_else(PoisonError::into_inner).push_str(&shown);
        self.grown.notify_all();
    }

    /// Adds a line of the runner's own.
    pub fn say(&self, text: &str) {
        self.line(format!("{text}\n").as_bytes());
    }

    /// Returns all so far.
    pub fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a text is there.
    #[track_caller]
    pub fn until_has(&self, wanted: &str) {
        let end = Instant::now() + PATIENCE;
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        while !text.contains(wanted) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the log never had `{wanted}`:\n{text}");
            text = self.grown.wait_timeout(text, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Drops `ESC [ … letter`.
pub fn without_colours(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut pieces = text.split("\u{1b}[");
    shown.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let end = piece.find(|c: char| c.is_ascii_alphabetic()).map_or(piece.len(), |at| at + 1);
        shown.push_str(piece.get(end..).unwrap_or_default());
    }
    shown
}
