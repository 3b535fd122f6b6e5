//! What a person sees: lines of several jobs beside each other, without the marks for GitLab.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use regex::Regex;

/// Where all jobs of a pipeline print.
#[derive(Clone)]
pub struct Console {
    out: Arc<Mutex<Box<dyn Write + Send>>>,
    is_terminal: bool,
    /// Width of the job names, where lines carry one.
    width: usize,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").field("width", &self.width).finish_non_exhaustive()
    }
}

const COLOURS: &[&str] = &["36", "33", "32", "35", "34", "31"];

impl Console {
    /// A console; colours are kept on a terminal only.
    pub fn new(out: Box<dyn Write + Send>, is_terminal: bool) -> Self {
        Self { out: Arc::new(Mutex::new(out)), is_terminal, width: 0 }
    }

    /// The same console with a job's name before each line, aligned to the longest of them.
    #[must_use]
    pub fn aligned(mut self, names: &[&str]) -> Self {
        self.width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        self
    }

    /// Prints a line that belongs to no job.
    pub fn say(&self, text: &str) {
        self.write(&if self.is_terminal { text.to_owned() } else { without_colours(text) });
    }

    /// Prints a line of a job; `number` chooses its colour.
    pub fn job_line(&self, name: &str, number: usize, text: &str) {
        let Some(text) = humane(text, self.is_terminal) else { return };
        if self.width == 0 {
            self.write(&text);
            return;
        }
        let padding = " ".repeat(self.width.saturating_sub(name.chars().count()));
        if self.is_terminal {
            let colour = COLOURS.get(number % COLOURS.len()).copied().unwrap_or("0");
            self.write(&format!("\u{1b}[{colour}m{name}{padding} |\u{1b}[0m {text}"));
        } else {
            self.write(format!("{name}{padding} | {text}").trim_end());
        }
    }

    fn write(&self, line: &str) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody is left to read when the terminal is gone; the jobs go on.
        let _gone = writeln!(out, "{line}");
        let _gone = out.flush();
    }
}

/// A line as a person reads it; `None` for one that is for GitLab only.
fn humane(text: &str, keep_colours: bool) -> Option<String> {
    let marked = text.contains("section_start:") || text.contains("section_end:");
    let mut text = text.replace("\u{1b}[0K", "");
    if marked {
        if let Ok(marks) = Regex::new(r"section_(start|end):\d+:[^\r\[]+(\[[^\]]*\])?\r?") {
            text = marks.replace_all(&text, "").into_owned();
        }
        if without_colours(&text).trim().is_empty() {
            return None;
        }
    }
    if text.contains("the 'build_script' stage will be replaced") {
        return None;
    }
    // A progress bar's last state is what a terminal would have shown.
    let last = text.rsplit('\r').find(|part| !part.is_empty()).map(str::to_owned);
    let text = last.unwrap_or(text);
    Some(if keep_colours { text } else { without_colours(&text) })
}

/// Takes escape sequences out.
pub fn without_colours(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            out.push(c);
            continue;
        }
        if chars.next() == Some('[') {
            for c in chars.by_ref() {
                if ('\u{40}'..='\u{7e}').contains(&c) {
                    break;
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_for_gitlab_are_not_shown() {
        for (text, expected) in [
            ("section_start:1704164645:get_sources\r\u{1b}[0K", None),
            ("section_end:1704164645:mine\r\u{1b}[0K", None),
            ("section_start:17:mine[collapsed=true]\r\u{1b}[0KMy section", Some("My section")),
            ("\u{1b}[0K\u{1b}[36;1mGetting source\u{1b}[0;m\u{1b}[0;m", Some("Getting source")),
            ("\u{1b}[31mred\u{1b}[0m", Some("red")),
            ("10%\r50%\r100%", Some("100%")),
            ("", Some("")),
        ] {
            assert_eq!(humane(text, false).as_deref(), expected, "{text:?}");
        }
        assert_eq!(humane("\u{1b}[31mred", true).as_deref(), Some("\u{1b}[31mred"));
    }
}
