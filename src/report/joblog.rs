//! What a job log understands: collapsible sections, plain lines; how wide a terminal is.

use std::io::{self, Write};

use crate::job::Vars;

/// Where the output is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A GitLab job log: sections fold.
    GitLab,
    /// A terminal: a live view.
    Terminal,
    /// Anything else: lines only.
    Plain,
}

impl Place {
    /// Decides by the variables and by whether the output is a terminal.
    pub fn of(vars: &dyn Vars, is_terminal: bool) -> Self {
        if vars.filled("GITLAB_CI").is_some() {
            Self::GitLab
        } else if is_terminal && vars.get("TERM").as_deref() != Some("dumb") {
            Self::Terminal
        } else {
            Self::Plain
        }
    }
}

/// Returns how many columns the terminal has.
pub fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|width| *width > 0).unwrap_or(80)
}

/// Begins a section that GitLab shows folded; elsewhere only its title is written.
pub fn begin_section(
    to: &mut dyn Write,
    place: Place,
    name: &str,
    title: &str,
    unix_seconds: i64,
) -> io::Result<()> {
    match place {
        Place::GitLab => writeln!(
            to,
            "section_start:{unix_seconds}:{}[collapsed=true]\r\u{1b}[0K{title}",
            section_name(name)
        ),
        Place::Terminal | Place::Plain => writeln!(to, "{title}"),
    }
}

/// Ends the section.
pub fn end_section(
    to: &mut dyn Write,
    place: Place,
    name: &str,
    unix_seconds: i64,
) -> io::Result<()> {
    match place {
        Place::GitLab => {
            writeln!(to, "section_end:{unix_seconds}:{}\r\u{1b}[0K", section_name(name))
        }
        Place::Terminal | Place::Plain => Ok(()),
    }
}

/// GitLab takes letters, digits, dots, dashes and underscores.
fn section_name(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' })
        .collect()
}

/// Makes text from outside fit for a log line: control characters are shown, not sent.
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            c.is_control().then(|| c.escape_default()).map_or_else(|| vec![c], Iterator::collect)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn sections_fold_in_gitlab_only() {
        let written = |place| {
            let mut to = Vec::new();
            begin_section(&mut to, place, "dyno load", "Load", 7).unwrap();
            end_section(&mut to, place, "dyno load", 9).unwrap();
            String::from_utf8(to).unwrap()
        };
        assert_eq!(
            written(Place::GitLab),
            "section_start:7:dyno_load[collapsed=true]\r\u{1b}[0KLoad\nsection_end:9:dyno_load\r\u{1b}[0K\n"
        );
        assert_eq!(written(Place::Plain), "Load\n");
    }

    #[test]
    fn the_place_is_gitlab_wherever_gitlab_says_so() {
        let none = BTreeMap::new();
        let gitlab = BTreeMap::from([("GITLAB_CI".to_owned(), "true".to_owned())]);
        assert_eq!(Place::of(&gitlab, true), Place::GitLab);
        assert_eq!(Place::of(&none, true), Place::Terminal);
        assert_eq!(Place::of(&none, false), Place::Plain);
        let dumb = BTreeMap::from([("TERM".to_owned(), "dumb".to_owned())]);
        assert_eq!(Place::of(&dumb, true), Place::Plain);
    }

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(printable("a\u{1b}[31m\nü"), "a\\u{1b}[31m\\nü");
    }
}
