//! YAML's events of a text, from a library that panics at a few rare texts.

use std::borrow::Cow;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use libyaml_safer::{ErrorKind, Event, EventData, Mark, Parser, ScalarStyle};

/// A text as the library can bear it.
pub struct Text<'a> {
    bytes: Cow<'a, [u8]>,
    /// Whether its last line break is not its own.
    is_ended: bool,
}

impl<'a> Text<'a> {
    /// The library panics at a block whose last line has no end, so it gets one. The others stay
    /// as they are, for what is told of their ends.
    pub fn of(bytes: &'a [u8]) -> Self {
        let own = Self { bytes: Cow::Borrowed(bytes), is_ended: false };
        let may_be_block = bytes.iter().any(|byte| b"|>".contains(byte));
        if bytes.ends_with(b"\n") || !may_be_block || own.is_read_to_its_end() {
            return own;
        }
        let ended = Self { bytes: [bytes, b"\n"].concat().into(), is_ended: true };
        if ended.is_read_to_its_end() { ended } else { own }
    }

    /// Whether the library ends with an event or a mistake, and without a panic.
    fn is_read_to_its_end(&self) -> bool {
        let mut rest: &[u8] = &[];
        let mut events = Events::new(self, &mut rest);
        loop {
            match events.next() {
                Ok(event) if matches!(event.data, EventData::StreamEnd) => return true,
                Ok(_) => {}
                Err(problem) => return !problem.is_panic,
            }
        }
    }
}

/// The events of a text, up to its first mistake.
pub struct Events<'a> {
    text: &'a Text<'a>,
    parser: Parser<&'a mut &'a [u8]>,
    /// The end of the last event.
    reached: Mark,
}

/// Why a text has no further event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub what: String,
    /// What was being read there.
    pub context: Option<String>,
    /// Where it is wrong.
    pub mark: Mark,
    /// Where that began which was being read.
    pub context_mark: Mark,
    /// Whether already the characters make no sense.
    pub is_of_scanner: bool,
    is_panic: bool,
}

impl<'a> Events<'a> {
    /// Of `text`; `rest` is what the parser has not read yet, in the end.
    pub fn new(text: &'a Text<'a>, rest: &'a mut &'a [u8]) -> Self {
        *rest = &text.bytes;
        let mut parser = Parser::new();
        parser.set_input_string(rest);
        Self { text, parser, reached: Mark::default() }
    }

    /// The next event.
    pub fn next(&mut self) -> Result<Event, Problem> {
        // A parser that has panicked is not asked again.
        let read = quietly(AssertUnwindSafe(|| self.parser.parse()));
        match read {
            Some(Ok(mut event)) => {
                self.reached = event.end_mark;
                let end = usize::try_from(self.reached.index).unwrap_or(usize::MAX);
                if self.text.is_ended && end >= self.text.bytes.len() {
                    unbreak(&mut event.data);
                }
                Ok(event)
            }
            Some(Err(error)) => Err(Problem {
                what: error.problem().to_owned(),
                context: error.context().filter(|context| !context.is_empty()).map(str::to_owned),
                mark: error.problem_mark().unwrap_or_default(),
                context_mark: error.context_mark().unwrap_or_default(),
                is_of_scanner: error.kind() == ErrorKind::Scanner,
                is_panic: false,
            }),
            None => Err(self.unbearable()),
        }
    }

    /// Where the library panics: behind a backslash that ends a text within double quotes, which
    /// go-yaml calls an unknown escape; and at a tag right before a comma.
    fn unbearable(&self) -> Problem {
        let mut mark = self.reached;
        let what = if self.text.bytes.ends_with(b"\\") {
            let lines = self.text.bytes.split(|&byte| byte == b'\n').skip(1).count();
            mark.line = u64::try_from(lines).unwrap_or(u64::MAX);
            "found unknown escape character"
        } else {
            "cannot read on here (a tag needs a value, or a space behind it)"
        };
        Problem {
            what: what.to_owned(),
            context: None,
            mark,
            context_mark: Mark::default(),
            is_of_scanner: true,
            is_panic: true,
        }
    }
}

/// Takes the line break that is not the text's own off a block.
fn unbreak(event: &mut EventData) {
    if let EventData::Scalar { value, style: ScalarStyle::Literal | ScalarStyle::Folded, .. } =
        event
        && value.ends_with('\n')
    {
        value.pop();
    }
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What `read` gives, or nothing where it panics, of which nobody hears.
fn quietly<T>(read: impl FnOnce() -> T + panic::UnwindSafe) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            if !IS_QUIET.get() {
                told(what);
            }
        }));
    });
    IS_QUIET.set(true);
    let read = panic::catch_unwind(read);
    IS_QUIET.set(false);
    read.ok()
}

#[cfg(test)]
mod tests {
    use crate::deploy::manifest::parse;

    #[test]
    fn a_text_that_ends_within_an_escape_is_refused_as_kubectl_does() {
        for (text, end) in [
            ("\"\\", "yaml: found unknown escape character"),
            ("a:\n  \"b\n\n  \\", "yaml: line 4: found unknown escape character"),
            ("a: 1\nb:\n- c\n- \"\\", "yaml: line 4: found unknown escape character"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.ends_with(end), "{text}: {error}");
        }
        assert_eq!(parse(b"a: b\\").unwrap()["a"], "b\\");

        assert_eq!(parse(b"a: \"b\" # \\").unwrap()["a"], "b");
    }

    #[test]
    fn a_block_ends_with_a_line_break_only_where_its_text_does() {
        for (text, value) in [
            ("a: |\n  b\\", "b\\"),
            ("a: |\n  b\n", "b\n"),
            ("a: |+\n  b", "b"),
            ("a: |-\n  b", "b"),
            ("a: >\n  b\n  c", "b c"),
            ("a: |\n  b\n ", "b\n"),
            ("a: |\n  b\nc: d", "b\n"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap()["a"], value, "{text:?}");
        }
    }

    #[test]
    fn what_the_library_cannot_read_is_refused_with_its_line() {
        let error = parse(b"a: 1\nb: [!!str, c]").unwrap_err();
        assert!(error.contains("yaml: line 2: cannot read on here"), "{error}");
    }
}
