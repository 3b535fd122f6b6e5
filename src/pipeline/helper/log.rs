//! The helper's own log lines, as a real runner prints them into the job log.

use std::fmt::Write as _;
use std::io::Write;

/// Where they go.
pub struct Log<'a> {
    err: &'a mut (dyn Write + Send),
}

impl<'a> Log<'a> {
    /// Lines go to `err`: a real runner's helper writes to stderr.
    pub fn new(err: &'a mut (dyn Write + Send)) -> Self {
        Self { err }
    }

    /// The line that each helper command starts with.
    pub fn platform(&mut self) {
        let fields = [
            ("arch", "amd64".to_owned()),
            ("os", "linux".to_owned()),
            ("pid", std::process::id().to_string()),
            ("revision", "dyno".to_owned()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        self.line("", "", "Runtime platform", &fields);
    }

    /// A plain line.
    pub fn info(&mut self, text: &str, fields: &[(&str, String)]) {
        self.line("", "", text, fields);
    }

    /// A warning.
    pub fn warn(&mut self, text: &str, fields: &[(&str, String)]) {
        self.line("\u{1b}[0;33m", "WARNING: ", text, fields);
    }

    /// An error that is not the end.
    pub fn error(&mut self, text: &str) {
        self.line("\u{1b}[31;1m", "ERROR: ", text, &[]);
    }

    /// The end.
    pub fn fatal(&mut self, text: &str) {
        self.line("\u{1b}[31;1m", "FATAL: ", text, &[]);
    }

    fn line(&mut self, colour: &str, prefix: &str, text: &str, fields: &[(&str, String)]) {
        let text = format!("{prefix}{text}");
        let mut line = format!("{colour}{text:<50}\u{1b}[0;m ");
        for (key, value) in fields {
            // Writing to a string cannot fail.
            _ = write!(line, " {colour}{key}\u{1b}[0;m={value}");
        }
        // Nobody is left to read when stderr is gone.
        let _gone = writeln!(self.err, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_as_recorded() {
        let mut out: Vec<u8> = Vec::new();
        let mut log = Log::new(&mut out);
        log.warn("Cache file does not exist", &[]);
        log.error("No files to upload");
        log.info("out/: found 2 matching artifact files and directories", &[]);
        log.warn("Retrying...", &[("context", "artifacts-uploader".to_owned())]);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\u{1b}[0;33mWARNING: Cache file does not exist                \u{1b}[0;m \n\
             \u{1b}[31;1mERROR: No files to upload                         \u{1b}[0;m \n\
             out/: found 2 matching artifact files and directories\u{1b}[0;m \n\
             \u{1b}[0;33mWARNING: Retrying...                              \u{1b}[0;m  \
             \u{1b}[0;33mcontext\u{1b}[0;m=artifacts-uploader\n"
        );
    }
}
