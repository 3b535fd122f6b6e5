//! Writing bash the way gitlab-runner writes it: quoting, indentation, the frame around a stage.

use std::fmt::Write as _;

const GREEN: &str = "\u{1b}[32;1m";
const YELLOW: &str = "\u{1b}[0;33m";
const RESET: &str = "\u{1b}[0;m";

/// The lines of one stage.
#[derive(Debug, Default)]
pub struct Shell {
    body: String,
    indent: usize,
}

impl Shell {
    /// Adds a line as it is; an inner newline stays inside.
    pub fn line(&mut self, text: &str) {
        for _ in 0..self.indent {
            self.body.push_str("  ");
        }
        self.body.push_str(text);
        self.body.push('\n');
    }

    /// Adds a command with quoted arguments.
    pub fn command(&mut self, program: &str, arguments: &[&str]) {
        let line = command_line(program, arguments);
        self.line(&line);
    }

    /// Says something in green.
    pub fn notice(&mut self, text: &str) {
        self.line(&format!("echo {}", quote(&format!("{GREEN}{text}{RESET}"))));
    }

    /// Says something in yellow.
    pub fn warning(&mut self, text: &str) {
        self.line(&format!("echo {}", quote(&format!("{YELLOW}{text}{RESET}"))));
    }

    /// Exports a variable.
    pub fn export(&mut self, key: &str, value: &str) {
        self.line(&format!("export {}={}", quote(key), quote(value)));
    }

    /// Writes a file variable's file and exports its path.
    pub fn file_variable(&mut self, temp_dir: &str, key: &str, content: &str) {
        self.line(&format!("mkdir -p \"{temp_dir}\""));
        self.line(&format!("printf '%s' {} > \"{temp_dir}/{key}\"", quote(content)));
        self.line(&format!("export {}=\"{temp_dir}/{key}\"", quote(key)));
    }

    /// `if COMMAND; then YES else NO fi`; the command's output is dropped.
    pub fn if_quiet(
        &mut self,
        condition: &str,
        yes: impl FnOnce(&mut Self),
        no: impl FnOnce(&mut Self),
    ) {
        self.when(&format!("{condition} >/dev/null 2>&1 "), yes, no);
    }

    /// `if CONDITION; then YES else NO fi`; an empty NO leaves the `else` out.
    pub fn when(
        &mut self,
        condition: &str,
        yes: impl FnOnce(&mut Self),
        no: impl FnOnce(&mut Self),
    ) {
        self.line(&format!("if {condition}; then"));
        self.indent += 1;
        yes(self);
        let before = self.body.len();
        no(self);
        let otherwise = self.body.split_off(before);
        self.indent -= 1;
        if !otherwise.is_empty() {
            self.line("else");
            self.body.push_str(&otherwise);
        }
        self.line("fi");
    }

    /// The whole script: the frame with the lines in one quoted `eval`.
    pub fn finish(self, traced: bool) -> String {
        let xtrace = if traced { "set -o xtrace\n" } else { "" };
        let body = quote(&self.body);
        format!(
            "#!/usr/bin/env bash\n\ntrap 'exit 1' TERM\n\n{xtrace}case \"$(set -o)\" in \
             *\"pipefail\"*) set -o pipefail;; esac; set -o errexit\nset +o noclobber\n\
             (trap 'exit 1' TERM; eval {body}) < /dev/null\nexit 0\n"
        )
    }
}

/// A command with quoted arguments.
pub fn command_line(program: &str, arguments: &[&str]) -> String {
    let mut line = program.to_owned();
    for argument in arguments {
        line.push(' ');
        line.push_str(&quote(argument));
    }
    line
}

/// Quotes a word for bash as gitlab-runner does.
pub fn quote(text: &str) -> String {
    if text.is_empty() {
        return "''".to_owned();
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_@,./-".contains(&b);
    if text.bytes().all(plain) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 3);
    out.push_str("$'");
    for byte in text.bytes() {
        match byte {
            0x07 => out.push_str("\\a"),
            0x08 => out.push_str("\\b"),
            b'\t' => out.push_str("\\t"),
            b'\n' => out.push_str("\\n"),
            0x0b => out.push_str("\\v"),
            0x0c => out.push_str("\\f"),
            b'\r' => out.push_str("\\r"),
            b'\'' => out.push_str("\\'"),
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(byte)),
            other => {
                // Writing to a string cannot fail.
                let _ignored = write!(out, "\\x{other:02x}");
            }
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_the_runner_quotes_them() {
        for (text, expected) in [
            ("", "''"),
            ("plain-1.2/x,@_", "plain-1.2/x,@_"),
            ("a b", "$'a b'"),
            ("it's", r"$'it\'s'"),
            ("a\\b\n\tc", r"$'a\\b\n\tc'"),
            ("\u{1b}[0m", r"$'\x1b[0m'"),
            ("λ", r"$'\xce\xbb'"),
            ("$HOME \"x\"", r#"$'$HOME "x"'"#),
            ("http://h", "$'http://h'"),
            ("\u{7}\u{8}\u{b}\u{c}\r\u{7f}", r"$'\a\b\v\f\r\x7f'"),
        ] {
            assert_eq!(quote(text), expected, "{text:?}");
        }
    }
}
