//! The job log: lines as GitLab gets them into a file, and as a person reads them on the console.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

use crate::pipeline::runner::console::Console;
use crate::pipeline::runner::mask::{self, Masker};

/// A line longer than this is broken, as the runner does.
const MAX_LINE: usize = 16 * 1024;

/// GitLab keeps no more of a log: the runner's `output_limit`.
const OUTPUT_LIMIT: usize = 4 * 1024 * 1024;

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The runner itself, and the driver's config and prepare on stdout.
    Runner,
    /// The driver's config and prepare on stderr.
    RunnerErrors,
    /// A script's stdout.
    Work,
    /// A script's stderr.
    WorkErrors,
}

impl Source {
    fn mark(self) -> &'static str {
        match self {
            Self::Runner => "00O",
            Self::RunnerErrors => "00E",
            Self::Work => "01O",
            Self::WorkErrors => "01E",
        }
    }
}

/// A job's log.
#[derive(Debug)]
pub struct Trace {
    name: String,
    number: usize,
    console: Console,
    file: Option<File>,
    masker: Masker,
    streams: BTreeMap<Source, Stream>,
    /// Bytes of the log so far, as GitLab would keep it.
    n_bytes: usize,
    /// The last line was a section mark: the next one of the runner continues it.
    after_mark: bool,
}

/// A stream with what is not a whole line yet.
#[derive(Debug)]
struct Stream {
    masker: Masker,
    partial: Vec<u8>,
    continued: bool,
}

impl Trace {
    /// A log of the job `name`; `number` is its place in the pipeline.
    pub fn new(name: &str, number: usize, console: Console, masker: Masker) -> Self {
        Self {
            name: name.to_owned(),
            number,
            console,
            file: None,
            masker,
            streams: BTreeMap::new(),
            n_bytes: 0,
            after_mark: false,
        }
    }

    /// Writes the log into a file as well.
    #[must_use]
    pub fn into_file(mut self, file: Option<File>) -> Self {
        self.file = file;
        self
    }

    /// A line of the runner itself.
    pub fn say(&mut self, text: &str) {
        let text = mask::line(&self.masker.text(text));
        let continued = std::mem::take(&mut self.after_mark);
        self.emit(Source::Runner, &text, continued);
    }

    /// A line of the runner that starts anew, also after a section's mark.
    pub fn say_anew(&mut self, text: &str) {
        self.after_mark = false;
        self.say(text);
    }

    /// Opens a section with its title.
    pub fn open(&mut self, section: &str, title: &str) {
        let now = jiff::Timestamp::now().as_second();
        self.say(&format!("section_start:{now}:{section}\r\u{1b}[0K"));
        self.after_mark = true;
        self.say(&format!("\u{1b}[0K\u{1b}[36;1m{title}\u{1b}[0;m\u{1b}[0;m"));
    }

    /// Closes a section.
    pub fn close(&mut self, section: &str) {
        let now = jiff::Timestamp::now().as_second();
        self.say(&format!("section_end:{now}:{section}\r\u{1b}[0K"));
        self.after_mark = true;
    }

    /// Takes output in; whole lines are printed, the rest waits for its newline.
    pub fn output(&mut self, source: Source, bytes: &[u8]) {
        let stream = self.streams.entry(source).or_insert_with(|| Stream {
            masker: self.masker.clone(),
            partial: Vec::new(),
            continued: false,
        });
        let masked = stream.masker.push(bytes);
        stream.partial.extend(masked);
        self.lines(source);
    }

    /// Prints what waits for a newline: the call has ended.
    pub fn flush(&mut self) {
        for source in [Source::Runner, Source::RunnerErrors, Source::Work, Source::WorkErrors] {
            let Some(stream) = self.streams.get_mut(&source) else { continue };
            let rest = stream.masker.finish();
            stream.partial.extend(rest);
            self.lines(source);
            let Some(mut stream) = self.streams.remove(&source) else { continue };
            if !stream.partial.is_empty() {
                let text = readable(&std::mem::take(&mut stream.partial));
                self.emit(source, &text, stream.continued);
            }
        }
    }

    /// Prints a line on the console only: it is not in the job log of a real runner.
    pub fn aside(&self, text: &str) {
        let text = mask::line(&self.masker.text(text));
        self.console.job_line(&self.name, self.number, &text);
    }

    fn lines(&mut self, source: Source) {
        loop {
            let Some(stream) = self.streams.get_mut(&source) else { return };
            let end = stream.partial.iter().position(|&byte| byte == b'\n');
            let (line, is_part) = match end {
                Some(end) => {
                    let mut line: Vec<u8> = stream.partial.drain(..=end).collect();
                    line.pop();
                    (line, false)
                }
                None if stream.partial.len() >= MAX_LINE => {
                    (stream.partial.drain(..MAX_LINE).collect(), true)
                }
                None => return,
            };
            let continued = std::mem::replace(&mut stream.continued, is_part);
            self.emit(source, &readable(&line), continued);
        }
    }

    fn emit(&mut self, source: Source, text: &str, continued: bool) {
        if source != Source::Runner {
            self.after_mark = false;
        }
        let plus = if continued { '+' } else { ' ' };
        self.keep(&format!("{}{plus}{text}", source.mark()));
        self.console.job_line(&self.name, self.number, text);
    }

    /// Adds a line to the log that GitLab keeps; at its limit that is told once. The console goes
    /// on: nobody has to pay for it.
    fn keep(&mut self, line: &str) {
        if OUTPUT_LIMIT <= self.n_bytes {
            return;
        }
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ");
        let line = format!("{now} {line}\n");
        self.n_bytes += line.len();
        // A full disk must not end the job; the console still has the line.
        if let Some(file) = &mut self.file {
            let _full = file.write_all(line.as_bytes());
        }
        if self.n_bytes < OUTPUT_LIMIT {
            return;
        }
        let limit = format!("Job's log exceeded limit of {OUTPUT_LIMIT} bytes.");
        if let Some(file) = &mut self.file {
            let end = "Job execution will continue but no more output will be collected.";
            let _full = writeln!(file, "\n\u{1b}[33;1m{limit}\n{end}\u{1b}[0;m");
        }
        self.console.job_line(
            &self.name,
            self.number,
            &format!("\u{1b}[33;1m{limit} GitLab keeps nothing of what follows.\u{1b}[0;m"),
        );
    }
}

fn readable(bytes: &[u8]) -> String {
    mask::line(&String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<u8>>>);

    impl Write for Seen {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn trace(masked: &[&str]) -> (Trace, Seen, tempfile::NamedTempFile) {
        let seen = Seen::default();
        let console = Console::new(Box::new(seen.clone()), false).aligned(&["job", "other job"]);
        let file = tempfile::NamedTempFile::new().unwrap();
        let trace = Trace::new("job", 0, console, Masker::new(masked.iter().copied()))
            .into_file(Some(file.reopen().unwrap()));
        (trace, seen, file)
    }

    fn without_times(file: &tempfile::NamedTempFile) -> Vec<String> {
        let text = std::fs::read_to_string(file.path()).unwrap();
        text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    #[test]
    fn a_secret_is_masked_where_two_chunks_meet() {
        let (mut trace, seen, _file) = trace(&["hunter2hunter2"]);
        trace.output(Source::Work, b"secret hunter2");
        trace.output(Source::WorkErrors, b"beside\n");
        trace.output(Source::Work, b"hunter2 end\nhunt");
        trace.flush();
        let told = String::from_utf8(seen.0.lock().unwrap().clone()).unwrap();
        assert_eq!(told, "job       | beside\njob       | secret [MASKED] end\njob       | hunt\n");
    }

    #[test]
    fn the_file_has_the_runners_marks() {
        let (mut trace, _seen, file) = trace(&[]);
        trace.open("get_sources", "Getting source from Git repository");
        trace.output(Source::Work, b"no newline");
        trace.flush();
        trace.close("get_sources");
        trace.open("step_script", "Title");
        trace.close("step_script");
        trace.say_anew("Job succeeded");
        let lines: Vec<String> = without_times(&file)
            .iter()
            .map(|line| {
                let digits = line.find("section_").map(|at| at..line.len());
                match digits {
                    Some(range) => {
                        let mut parts: Vec<&str> = line[range.clone()].split(':').collect();
                        parts[1] = "0";
                        format!("{}{}", &line[..range.start], parts.join(":"))
                    }
                    None => line.clone(),
                }
            })
            .collect();
        assert_eq!(
            lines,
            [
                "00O section_start:0:get_sources\r\u{1b}[0K",
                "00O+\u{1b}[0K\u{1b}[36;1mGetting source from Git repository\u{1b}[0;m\u{1b}[0;m",
                "01O no newline",
                "00O section_end:0:get_sources\r\u{1b}[0K",
                "00O+section_start:0:step_script\r\u{1b}[0K",
                "00O+\u{1b}[0K\u{1b}[36;1mTitle\u{1b}[0;m\u{1b}[0;m",
                "00O section_end:0:step_script\r\u{1b}[0K",
                "00O Job succeeded",
            ]
        );
    }

    #[test]
    fn the_limit_of_the_log_is_told_once_and_the_console_goes_on() {
        let (mut trace, seen, file) = trace(&[]);
        let line = format!("{}\n", "x".repeat(1023));
        for _ in 0..5000 {
            trace.output(Source::Work, line.as_bytes());
        }
        trace.say("Job succeeded");
        let kept = std::fs::read_to_string(file.path()).unwrap();
        assert!(OUTPUT_LIMIT <= kept.len() && kept.len() < OUTPUT_LIMIT + 2048, "{}", kept.len());
        assert!(kept.ends_with(
            "\n\u{1b}[33;1mJob's log exceeded limit of 4194304 bytes.\nJob execution will continue \
             but no more output will be collected.\u{1b}[0;m\n"
        ));
        let told = String::from_utf8(seen.0.lock().unwrap().clone()).unwrap();
        assert_eq!(told.matches("exceeded limit of 4194304 bytes").count(), 1);
        assert_eq!((told.lines().count(), told.ends_with("Job succeeded\n")), (5002, true));
    }

    #[test]
    fn a_very_long_line_is_broken_and_continued() {
        let (mut trace, _seen, file) = trace(&[]);
        trace.output(Source::Work, &vec![b'x'; 20_000]);
        trace.output(Source::Work, b"\n\xff\n");
        let lines = without_times(&file);
        let told: Vec<(usize, &str)> = lines.iter().map(|line| (line.len(), &line[..4])).collect();
        assert_eq!(told, [(16_388, "01O "), (3620, "01O+"), (7, "01O ")]);
        assert!(lines.iter().any(|line| line == "01O \u{fffd}"));
    }
}
