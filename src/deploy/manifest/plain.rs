//! YAML as most manifests are written, read in one pass: block mappings and sequences of scalars that
//! stand on one line. Of whatever else a document holds nothing is decided here; the whole of it is left
//! to the real parser, whose answer this one's is always equal to.

use serde_json::{Map, Value};

use super::scalar;
use super::yaml;

/// No manifest is nested deeper.
const MAX_DEPTH: usize = 40;
/// A key that is longer is not a simple one to YAML.
const MAX_KEY: usize = 1000;

/// Reads a document; `None` where it is more than plain.
pub fn read(text: &[u8]) -> Option<Value> {
    // A block whose last line has no end is a case of its own.
    let is_ended = text.ends_with(b"\n");
    if !is_ended || !text.iter().all(|byte| matches!(byte, b'\n' | b' '..=b'~')) {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let rest = text.strip_prefix("---\n").unwrap_or(text);
    let mut reader = Reader { rest, next: None };
    let line = reader.peek()?;
    if line.indent != 0 || is_item(line.text) {
        return None;
    }
    let map = reader.mapping(0, None, 0)?;
    reader.peek().is_none().then_some(Value::Object(map))
}

/// A line that says something.
#[derive(Clone, Copy)]
struct Line<'a> {
    indent: usize,
    /// What stands on it, without the blanks around it.
    text: &'a str,
    /// What follows it.
    rest: &'a str,
}

struct Reader<'a> {
    rest: &'a str,
    /// What comes next, where that is known.
    next: Option<Line<'a>>,
}

impl<'a> Reader<'a> {
    /// The next line that is neither empty nor a comment, which is not used up by that.
    fn peek(&mut self) -> Option<Line<'a>> {
        while self.next.is_none() && !self.rest.is_empty() {
            let (line, rest) = first_line(self.rest);
            let text = line.trim_start_matches(' ');
            if text.is_empty() || text.starts_with('#') {
                self.rest = rest;
                continue;
            }
            let indent = line.len() - text.len();
            self.next = Some(Line { indent, text: text.trim_end_matches(' '), rest });
        }
        self.next
    }

    /// Goes on behind a line.
    fn go_on(&mut self, rest: &'a str) {
        self.rest = rest;
        self.next = None;
    }

    /// True when what comes next is no part of something at this indentation: a scalar that goes on, or a
    /// mistake.
    fn is_over(&mut self, indent: usize) -> bool {
        self.peek().is_none_or(|line| line.indent <= indent)
    }

    /// The entries at an indentation; the first may stand behind a dash.
    fn mapping(
        &mut self,
        indent: usize,
        mut first: Option<&'a str>,
        depth: usize,
    ) -> Option<Map<String, Value>> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut map = Map::new();
        loop {
            let entry = if let Some(entry) = first.take() {
                entry
            } else {
                let Some(line) = self.peek().filter(|line| line.indent >= indent) else { break };
                if line.indent > indent || is_item(line.text) {
                    return None;
                }
                self.go_on(line.rest);
                line.text
            };
            let (key, rest) = key(entry)?;
            let value = match rest.trim_start_matches(' ') {
                "" => self.below(indent, depth)?,
                text => self.scalar(text, indent)?,
            };
            map.insert(key.to_owned(), value);
        }
        Some(map)
    }

    /// What stands below a key.
    fn below(&mut self, indent: usize, depth: usize) -> Option<Value> {
        let Some(line) = self.peek() else { return Some(Value::Null) };
        let is_item = is_item(line.text);
        if line.indent < indent || (line.indent == indent && !is_item) {
            return Some(Value::Null);
        }
        if is_item {
            return self.sequence(line.indent, depth + 1).map(Value::Array);
        }
        self.mapping(line.indent, None, depth + 1).map(Value::Object)
    }

    fn sequence(&mut self, indent: usize, depth: usize) -> Option<Vec<Value>> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut items = Vec::new();
        while let Some(line) = self.peek().filter(|line| line.indent >= indent) {
            if line.indent > indent {
                return None;
            }
            if !is_item(line.text) {
                break;
            }
            self.go_on(line.rest);
            let item = line.text.get(1..)?.trim_start_matches(' ');
            if item.is_empty() || is_item(item) {
                return None;
            }
            items.push(if key(item).is_some() {
                let column = indent + line.text.len() - item.len();
                Value::Object(self.mapping(column, Some(item), depth + 1)?)
            } else {
                self.scalar(item, indent)?
            });
        }
        Some(items)
    }

    fn scalar(&mut self, text: &'a str, indent: usize) -> Option<Value> {
        let value = match text.as_bytes() {
            b"|" => return self.literal(indent, "\n"),
            b"|-" => return self.literal(indent, ""),
            b"{}" => Value::Object(Map::new()),
            b"[]" => Value::Array(Vec::new()),
            [b'"', inner @ .., b'"'] if !inner.iter().any(|byte| matches!(byte, b'"' | b'\\')) => {
                Value::String(text.get(1..text.len() - 1)?.to_owned())
            }
            [b'\'', inner @ .., b'\''] if !inner.contains(&b'\'') => {
                Value::String(text.get(1..text.len() - 1)?.to_owned())
            }
            bytes if is_plain(bytes) => yaml::json(scalar::resolve("", text).ok()?).ok()?,
            _ => return None,
        };
        self.is_over(indent).then_some(value)
    }

    /// A text of several lines, each as it stands, with `end` behind the last.
    fn literal(&mut self, indent: usize, end: &str) -> Option<Value> {
        let blanks = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let own = blanks(first_line(self.rest).0);
        let mut text = String::new();
        let mut n_ends = 0;
        while !self.rest.is_empty() {
            let (line, rest) = first_line(self.rest);
            let before = blanks(line);
            if before == line.len() {
                // Blanks of its own would be text, and an empty one at first says nothing of the rest.
                if before > own || text.is_empty() {
                    return None;
                }
                n_ends += 1;
            } else if before < own {
                break;
            } else {
                text.extend(std::iter::repeat_n('\n', n_ends));
                text.push_str(line.get(own..)?);
                n_ends = 1;
            }
            self.go_on(rest);
        }
        if own <= indent || text.is_empty() {
            return None;
        }
        text.push_str(end);
        self.is_over(indent).then_some(Value::String(text))
    }
}

fn first_line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

fn is_item(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

/// A plain key that means text, and what stands behind its colon.
fn key(entry: &str) -> Option<(&str, &str)> {
    let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./".contains(byte);
    let length = entry.bytes().position(|byte| !is_inner(&byte))?;
    let (key, rest) = entry.split_at_checked(length)?;
    let rest = rest.strip_prefix(':').filter(|rest| rest.is_empty() || rest.starts_with(' '))?;
    let is_key = length <= MAX_KEY && !key.is_empty() && !key.starts_with('-');
    (is_key && scalar::means_text(key)).then_some((key, rest))
}

/// True for text without quotes that is a scalar to its end.
fn is_plain(text: &[u8]) -> bool {
    let begins = match text {
        [b'-', next, ..] => next.is_ascii_alphanumeric() || *next == b'-',
        [first, ..] => first.is_ascii_alphanumeric() || b"_./~$+(".contains(first),
        [] => false,
    };
    begins
        && !text.ends_with(b":")
        && !text.windows(2).any(|pair| matches!(pair, [b':', b' '] | [b' ', b'#']))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_manifests_are_made_of_is_read_here() {
        let manifest = "---\n# of an app\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: \"web\"\n  \
                        labels: {}\n  annotations:\n    example.com/at: '2001-01-01'\n\nspec:\n  replicas: 3\n  \
                        paused: false\n  template:\n    spec:\n      containers:\n      - name: main\n        \
                        image: registry:5000/web:1.0\n        args: []\n        command:\n        - -c\n        - \
                        --port=80\n      -  name: other\n         env:\n           - name: A\n             value: |\n               \
                        # no comment\n               x: 1\n\n                 y\n         stdin:\n  \
                        text: |-\n    one  \n\n  last: ~\n";
        let expected = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "labels": {}, "annotations": {"example.com/at": "2001-01-01"}},
        "spec": {"replicas": 3, "paused": false, "text": "one  ", "last": null, "template": {"spec": {
            "containers": [
                {"name": "main", "image": "registry:5000/web:1.0", "args": [],
                    "command": ["-c", "--port=80"]},
                {"name": "other", "stdin": null,
                    "env": [{"name": "A", "value": "# no comment\nx: 1\n\n  y\n"}]},
            ]}}}});
        assert_eq!(read(manifest.as_bytes()), Some(expected));
    }

    #[test]
    fn what_is_more_is_left_to_the_real_parser() {
        for text in [
            "",
            "a",
            "- a\n",
            " a: 1\n",
            "a: b: c\n",
            "a: b #c\n",
            "a: b\n  c\n",
            "a: &x b\n",
            "a: *x\n",
            "a: !!str 1\n",
            "? a\n",
            "<<: {}\n",
            "a: {b: c}\n",
            "a: [b]\n",
            "a: \"\\n\"\n",
            "a: 'it''s'\n",
            "a: \"b\n  c\"\n",
            "a: >\n  b\n",
            "a: |2\n    b\n",
            "a: |\n\n  b\n",
            "a:\tb\n",
            "a: \u{e9}\n",
            "a:\n- - b\n",
            "a:\n  -\n    b: c\n",
            "a:\n  b: 1\n c: 2\n",
            "on: 1\n",
            "1: 1\n",
            "\"a\": 1\n",
            "a: \"b\" c\n",
            "a: |\n  b\n c\n",
            "a: .inf\n",
            "a: 1\n...\n",
            "a: ]\n",
            "a: -\n",
            "a: |\n",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text:?}");
        }
    }

    fn piece() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            4 => "[a-z]{1,3}",
            1 => "[-~0-9a-z_./:+$(#'\"{}\\[\\]|>&*!?,%@<= ]{0,6}",
            1 => prop::sample::select(vec![
                "yes", "1.0", "0x1f", "~", "null", "{}", "[]", "|", "|-", "\"q q\"", "'s'", "a: b", "- a",
                "1e400", "2001-01-01", "-1", "--x", "# c", "a #c", "a:", "''", "\"\"", "|+", "> ",
            ]).prop_map(str::to_owned),
        ];
        let line = (word.clone(), word, 0..6).prop_map(|(key, value, form)| match form {
            0 => format!("{key}:"),
            1 | 2 => format!("{key}: {value}"),
            3 => format!("- {key}: {value}"),
            4 => format!("- {value}"),
            _ => value,
        });
        (0..5_usize, line, prop::bool::weighted(0.1)).prop_map(|(depth, line, is_blank)| {
            let blanks = if depth == 4 { 3 } else { depth * 2 };
            format!("{}{line}\n{}", " ".repeat(blanks), if is_blank { "\n" } else { "" })
        })
    }

    /// Documents that are right more often: each line at most one step deeper than the one before.
    fn nested() -> impl Strategy<Value = String> {
        prop::collection::vec((piece(), 0..4_usize), 1..12).prop_map(|lines| {
            let mut indent = 0_usize;
            let mut text = String::new();
            for (line, step) in lines {
                let line = line.trim_start_matches(' ');
                text.push_str(&" ".repeat(indent));
                text.push_str(line);
                let is_open = line.trim_end().ends_with([':', '|', '-']);
                let is_item = line.starts_with("- ");
                indent = match step {
                    0 if is_open => indent + 2,
                    1 if is_item => indent + 2,
                    2 => indent.saturating_sub(2),
                    _ => indent,
                };
            }
            text
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn what_is_read_here_is_what_the_real_parser_reads(
            text in prop_oneof![
                nested(),
                prop::collection::vec(piece(), 0..9).prop_map(|lines| lines.concat()),
            ]
        ) {
            if let Some(value) = read(text.as_bytes()) {
                prop_assert_eq!(yaml::parse_any(text.as_bytes()), Ok(value), "{:?}", text);
            }
        }
    }
}
