//! Scripts for a shell that does not read `$'…'`, such as dash: gitlab-runner writes every value in
//! these quotes, and twice where a value stands in the body.

/// Rewrites a script's `$'…'` words into plain quotes.
///
/// Words within other quotes, comments and here-documents stay as they are.
pub fn rewrite(script: &[u8]) -> Vec<u8> {
    let mut writer = Writer { text: script, at: 0, out: Vec::with_capacity(script.len()) };
    writer.run(true);
    writer.out
}

struct Writer<'a> {
    text: &'a [u8],
    at: usize,
    out: Vec<u8>,
}

impl Writer<'_> {
    /// `is_frame`: an `eval` word is a script, too.
    fn run(&mut self, is_frame: bool) {
        let mut documents = Vec::new();
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'\\' => self.copy(2),
                b'\'' => self.copy_to(b'\'', false),
                b'"' => self.copy_to(b'"', true),
                b'#' if self.is_word_start() => self.copy_line(),
                b'$' if self.text.get(self.at + 1) == Some(&b'\'') => {
                    let is_eval = is_frame && self.out.ends_with(b"eval ");
                    self.at += 2;
                    let mut word = self.decode();
                    if is_eval {
                        let mut inner = Writer { text: &word, at: 0, out: Vec::new() };
                        inner.run(false);
                        word = inner.out;
                    }
                    quote(&word, &mut self.out);
                }
                b'<' if self.text[self.at..].starts_with(b"<<")
                    && !self.text[self.at..].starts_with(b"<<<") =>
                {
                    documents.extend(self.document());
                }
                b'\n' => {
                    self.copy(1);
                    for end in documents.drain(..) {
                        self.copy_document(&end);
                    }
                }
                _ => self.copy(1),
            }
        }
    }

    fn copy(&mut self, n_bytes: usize) {
        let end = (self.at + n_bytes).min(self.text.len());
        self.out.extend_from_slice(&self.text[self.at..end]);
        self.at = end;
    }

    /// Copies a quoted word with its quotes.
    fn copy_to(&mut self, quote: u8, has_escapes: bool) {
        self.copy(1);
        while let Some(&byte) = self.text.get(self.at) {
            if has_escapes && byte == b'\\' {
                self.copy(2);
                continue;
            }
            self.copy(1);
            if byte == quote {
                return;
            }
        }
    }

    fn copy_line(&mut self) {
        while self.text.get(self.at).is_some_and(|byte| *byte != b'\n') {
            self.copy(1);
        }
    }

    fn is_word_start(&self) -> bool {
        self.out.last().is_none_or(|byte| byte.is_ascii_whitespace() || b";&|(".contains(byte))
    }

    /// Copies `<<-WORD` and returns the line that ends the document.
    fn document(&mut self) -> Option<Vec<u8>> {
        self.copy(2);
        while self.text.get(self.at).is_some_and(|byte| b"- \t".contains(byte)) {
            self.copy(1);
        }
        let from = self.at;
        while self
            .text
            .get(self.at)
            .is_some_and(|byte| !byte.is_ascii_whitespace() && !b";&|<>()".contains(byte))
        {
            self.copy(1);
        }
        let word = &self.text[from..self.at];
        let bare: Vec<u8> = word.iter().copied().filter(|byte| !b"'\"\\".contains(byte)).collect();
        (!bare.is_empty()).then_some(bare)
    }

    fn copy_document(&mut self, end: &[u8]) {
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            let length = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |n| n + 1);
            let is_end = rest[..length].trim_ascii() == end;
            self.copy(length);
            if is_end {
                return;
            }
        }
    }

    /// Reads the rest of a `$'…'` word, and over its end.
    fn decode(&mut self) -> Vec<u8> {
        let mut word = Vec::new();
        while let Some(&byte) = self.text.get(self.at) {
            self.at += 1;
            match byte {
                b'\'' => break,
                b'\\' => {
                    let Some(&escape) = self.text.get(self.at) else { break };
                    self.at += 1;
                    self.escape(escape, &mut word);
                }
                byte => word.push(byte),
            }
        }
        word
    }

    fn escape(&mut self, escape: u8, word: &mut Vec<u8>) {
        match escape {
            b'a' => word.push(7),
            b'b' => word.push(8),
            b't' => word.push(b'\t'),
            b'n' => word.push(b'\n'),
            b'v' => word.push(11),
            b'f' => word.push(12),
            b'r' => word.push(b'\r'),
            b'e' => word.push(27),
            b'x' => {
                let digits: Vec<u8> = self.text[self.at..]
                    .iter()
                    .copied()
                    .take(2)
                    .take_while(u8::is_ascii_hexdigit)
                    .collect();
                self.at += digits.len();
                let digits = String::from_utf8_lossy(&digits).into_owned();
                word.extend(u8::from_str_radix(&digits, 16).ok());
            }
            other => {
                if !b"\\'\"?".contains(&other) {
                    word.push(b'\\');
                }
                word.push(other);
            }
        }
    }
}

fn quote(word: &[u8], out: &mut Vec<u8>) {
    out.push(b'\'');
    for &byte in word {
        if byte == b'\'' {
            out.extend_from_slice(b"'\\''");
        } else {
            out.push(byte);
        }
    }
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[track_caller]
    fn check(script: &str, expected: &str) {
        assert_eq!(String::from_utf8_lossy(&rewrite(script.as_bytes())), expected);
    }

    #[test]
    fn only_words_that_the_shell_would_read_are_rewritten() {
        check(r"export A=$'a\'b\n'", "export A='a'\\''b\n'");
        check(r"echo '$'\''x' $'y'", r"echo '$'\''x' 'y'");
        check(r#"echo "costs $'5'" \$'x'"#, r#"echo "costs $'5'" \$'x'"#);
        check("# it's $'a'\necho $'b'", "# it's $'a'\necho 'b'");
        check("cat <<E\n$'a'\nE\necho $'b'", "cat <<E\n$'a'\nE\necho 'b'");
        check("cat <<-'E F'\n", "cat <<-'E F'\n");
        check(r"echo $'\x1b[32;1m\x41'", "echo '\x1b[32;1mA'");
        check("echo a#b $'c'", "echo a#b 'c'");
    }

    #[test]
    fn a_body_within_an_eval_is_rewritten_too() {
        check(
            r"(trap 'exit 1' TERM; eval $'export A=$\'b c\'\necho \'d\'\n') < /dev/null",
            "(trap 'exit 1' TERM; eval 'export A='\\''b c'\\''\necho '\\''d'\\''\n') < /dev/null",
        );
    }

    /// dash and bash say the same of a script and of its rewriting.
    #[test]
    fn dash_runs_what_was_written_for_bash() {
        let script = "set -o errexit\n(trap 'exit 1' TERM; eval $'export A=$\\'it\\\\\\'s \\\\x24B\\\\n\\'\\necho $\\'$ echo \"$A\"\\'\\necho \"$A\"\\ncat <<E\\n$A\\nE\\n') < /dev/null\nexit 0\n";
        let run = |shell: &str, script: &[u8]| {
            let mut child =
                Command::new(shell).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(script).unwrap();
            let output = child.wait_with_output().unwrap();
            (output.status.success(), String::from_utf8(output.stdout).unwrap())
        };
        let expected = run("bash", script.as_bytes());
        assert!(expected.0 && expected.1.contains("it's $B"), "{expected:?}");
        assert_eq!(run("dash", &rewrite(script.as_bytes())), expected);
    }

    #[test]
    fn a_broken_script_ends_where_it_ends() {
        for text in ["$'", "'", "\"", "\\", "<<", "$'\\", "$'\\x", "cat <<E\nx"] {
            rewrite(text.as_bytes());
        }
    }
}
