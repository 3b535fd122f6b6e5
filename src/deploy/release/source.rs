//! The manifests of a deploy, read with the rights of whoever runs it; every object knows its file and
//! line.

use serde_json::Value;

use super::locate::{Mistake, Place, Tree};
use crate::deploy::kubectl::{Files, Source, Unfound};
use crate::deploy::manifest::{self, Objects};

/// Lines of a text shown around a mistake.
const AROUND: usize = 2;

/// What was read.
#[derive(Debug, Default)]
pub struct Sources {
    documents: Vec<Document>,
    objects: Vec<Placed>,
    /// What cannot be read, all of it.
    pub problems: Vec<Problem>,
}

#[derive(Debug)]
struct Document {
    file: String,
    first: usize,
    tree: Option<Tree>,
}

#[derive(Debug)]
struct Placed {
    object: Value,
    document: usize,
    /// Its number in the list that the document is.
    item: Option<usize>,
}

/// What cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, the URL, or `STDIN`.
    pub file: String,
    /// Where in it.
    pub place: Option<Place>,
    /// What is wrong.
    pub what: String,
    /// The lines around it, marked.
    pub excerpt: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.place {
            Some(Place { line, column }) => {
                write!(f, "{}:{line}:{column}: {}", self.file, self.what)?;
            }
            None => write!(f, "{}: {}", self.file, self.what)?,
        }
        if self.excerpt.is_empty() { Ok(()) } else { write!(f, "\n{}", self.excerpt) }
    }
}

impl Sources {
    /// Reads files, folders (`recursive`: with what is below), patterns, `-` and URLs.
    pub fn read(
        names: &[String],
        recursive: bool,
        files: &dyn Files,
        stdin: &mut dyn std::io::Read,
    ) -> Self {
        let mut sources = Self::default();
        for name in names {
            let found = match Source::find(files, name, recursive) {
                Ok(found) => found,
                Err(why) => {
                    sources.missing(name, &unfound(why));
                    continue;
                }
            };
            if found.is_empty() {
                sources.missing(name, "it holds no .yaml, .yml or .json file");
            }
            for source in found {
                match source.read(files, stdin) {
                    Ok(content) => sources.add(&source.name(), &content),
                    Err(what) => sources.missing(&source.name(), &what),
                }
            }
        }
        sources
    }

    fn missing(&mut self, name: &str, what: &str) {
        self.problems.push(Problem {
            file: name.to_owned(),
            place: None,
            what: what.to_owned(),
            excerpt: String::new(),
        });
    }

    /// The objects, in order.
    pub fn objects(&self) -> Vec<Value> {
        self.objects.iter().map(|placed| placed.object.clone()).collect()
    }

    /// The file, line and column of a field of an object; `path` is a JSON pointer.
    pub fn locate(&self, object: usize, path: &str) -> Option<(&str, Place)> {
        let placed = self.objects.get(object)?;
        let document = self.documents.get(placed.document)?;
        let item = placed.item.map(|n| n.to_string());
        let unescaped: Vec<String> = path
            .split('/')
            .filter(|step| !step.is_empty())
            .map(|step| step.replace("~1", "/").replace("~0", "~"))
            .collect();
        let steps = item.iter().flat_map(|item| ["items", item.as_str()]);
        let steps = steps.chain(unescaped.iter().map(String::as_str));
        let found = document.tree.as_ref().and_then(|tree| tree.find(steps));
        Some((&document.file, found.unwrap_or(Place { line: document.first, column: 1 })))
    }

    /// Keys that stand twice: the last one counts, silently, with every tool.
    pub fn duplicates(&self) -> impl Iterator<Item = (&str, Place, &str)> {
        self.documents.iter().flat_map(|document| {
            let duplicates = document.tree.iter().flat_map(|tree| &tree.duplicates);
            duplicates.map(|(place, key)| (document.file.as_str(), *place, key.as_str()))
        })
    }

    fn add(&mut self, file: &str, content: &[u8]) {
        for (first, text) in split(content) {
            let (values, error) = manifest::documents(&text);
            let tree = match Tree::read(&text, first) {
                Ok(tree) => Some(tree),
                // A JSON text of several values is no YAML document.
                Err(_) if error.is_none() => None,
                Err(Mistake { place, what }) => {
                    let what = if is_tab(content, place) {
                        "a tab stands here: YAML is indented with spaces".to_owned()
                    } else {
                        what
                    };
                    self.problems.push(Problem {
                        file: file.to_owned(),
                        excerpt: excerpt(content, place),
                        place: Some(place),
                        what: what + &templated(&text, first),
                    });
                    continue;
                }
            };
            if let Some(error) = error {
                let (place, error) = match braces(&text, first) {
                    // A pair of braces in a pair of braces is a mapping as the key of another one.
                    Some(place) if error.contains("invalid map key") => {
                        (place, "what stands in `{{ }}` is not filled in".to_owned())
                    }
                    Some(_) | None => (Place { line: first, column: 1 }, error),
                };
                self.wrong(file, content, place, &(error + &templated(&text, first)));
                continue;
            }
            self.documents.push(Document { file: file.to_owned(), first, tree });
            let document = self.documents.len() - 1;
            for value in values {
                self.take(file, content, value, document);
            }
        }
    }

    fn take(&mut self, file: &str, content: &[u8], value: Value, document: usize) {
        if !value.is_object() {
            let line = self.documents.last().map_or(1, |document| document.first);
            let what = "this is no object: one has at least `apiVersion`, `kind` and `metadata`";
            self.wrong(file, content, Place { line, column: 1 }, what);
            return;
        }
        match manifest::objects(value, file, true) {
            Ok(Objects::One(object)) => {
                self.objects.push(Placed { object, document, item: None });
            }
            Ok(Objects::List(objects)) => {
                for (item, object) in objects.into_iter().enumerate() {
                    self.objects.push(Placed { object, document, item: Some(item) });
                }
            }
            Err(problem) => {
                let line = self.documents.last().map_or(1, |document| document.first);
                let tree = self.documents.last().and_then(|document| document.tree.as_ref());
                let place =
                    tree.and_then(|tree| tree.find([])).unwrap_or(Place { line, column: 1 });
                self.wrong(file, content, place, &problem.text);
            }
        }
    }

    fn wrong(&mut self, file: &str, content: &[u8], place: Place, text: &str) {
        // kubectl's words bring the file and its flags; here both stand elsewhere.
        let text = text.rsplit_once("; if you choose to ignore").map_or(text, |(text, _)| text);
        let text = [
            "error converting YAML to JSON: ",
            &format!("error validating \"{file}\": error validating data: "),
            &format!("unable to decode \"{file}\": "),
        ]
        .iter()
        .fold(text, |text, before| text.strip_prefix(before).unwrap_or(text));
        self.problems.push(Problem {
            file: file.to_owned(),
            place: Some(place),
            what: text.to_owned(),
            excerpt: excerpt(content, place),
        });
    }
}

/// The texts of a file that its separators make, each with the number of its first line.
fn split(content: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let mut texts: Vec<(usize, Vec<u8>)> = Vec::new();
    for (n, line) in content.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let begins = line.strip_prefix(b"---").is_some_and(|rest| {
            let rest = String::from_utf8_lossy(rest);
            rest.trim().is_empty() || rest.trim().starts_with('#')
        });
        match texts.last_mut() {
            Some((_, text)) if !begins => text.extend_from_slice(line),
            _ => texts.push((n + 1, line.to_vec())),
        }
    }
    texts
}

/// True where a line is indented with a tab.
fn is_tab(content: &[u8], place: Place) -> bool {
    let line = content.split(|byte| *byte == b'\n').nth(place.line - 1);
    line.is_some_and(|line| line.get(place.column - 1) == Some(&b'\t'))
}

/// Where a template's first braces stand in a text whose first line is line `first`.
fn braces(text: &[u8], first: usize) -> Option<Place> {
    let text = String::from_utf8_lossy(text);
    text.lines().enumerate().find_map(|(n, line)| {
        let column = line.split_once("{{")?.0.chars().count() + 1;
        Some(Place { line: first + n, column })
    })
}

/// What is added to the trouble with a text that looks like a template.
fn templated(text: &[u8], first: usize) -> String {
    braces(text, first).map_or_else(String::new, |Place { line, .. }| {
        format!(
            " (line {line} looks like a template: have it filled in first, as by `helm template`)"
        )
    })
}

/// The lines around a place, the column marked.
fn excerpt(content: &[u8], place: Place) -> String {
    let text = String::from_utf8_lossy(content);
    let mut shown = String::new();
    let first = place.line.saturating_sub(AROUND).max(1);
    for (n, line) in text.lines().enumerate().skip(first - 1).take(2 * AROUND + 1) {
        let line = line.replace('\t', " ");
        let line: String = line.chars().filter(|c| !c.is_control()).take(120).collect();
        let n = n + 1;
        if n == place.line {
            let before = " ".repeat(place.column.clamp(1, 121) - 1);
            shown.extend([format!("  > {n:4} | {line}\n"), format!("         | {before}^\n")]);
        } else {
            shown.extend([format!("    {n:4} | {line}\n")]);
        }
    }
    shown.trim_end().to_owned()
}

/// Why a name leads to nothing, without the name.
fn unfound(unfound: Unfound) -> String {
    match unfound {
        Unfound::Missing(_) => "there is no such file or folder".to_owned(),
        Unfound::Folder(_, error) | Unfound::Closed(_, error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Sources {
        let mut sources = Sources::default();
        sources.add("f.yaml", text.as_bytes());
        sources
    }

    #[test]
    fn an_object_knows_its_file_and_line_also_in_a_list() {
        let sources = read(
            "# one\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\n\
             kind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: b}\n- apiVersion: v1\n  \
             kind: Secret\n  metadata:\n    name: c\n",
        );
        assert!(sources.problems.is_empty(), "{:?}", sources.problems);
        let names: Vec<Value> =
            sources.objects().iter().map(|object| object["metadata"]["name"].clone()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        let at = |object, path| sources.locate(object, path).map(|(_, place)| place.line);
        assert_eq!(at(0, "/kind"), Some(4));
        assert_eq!(at(1, "/metadata/name"), Some(12));
        assert_eq!(at(2, "/metadata/name"), Some(16));
        assert_eq!(at(2, "/spec/x"), Some(13));
        assert_eq!(at(3, ""), None);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place_and_lines() {
        let sources = read("apiVersion: v1\nkind: ConfigMap\ndata:\n  a: b: c\nx: y\n");
        assert_eq!(
            sources.problems[0].to_string(),
            "f.yaml:4:7: mapping values are not allowed in this context\n       2 | kind: ConfigMap\n       \
             3 | data:\n  >    4 |   a: b: c\n         |       ^\n       5 | x: y"
        );
        let sources = read("apiVersion: v1\nmetadata: {name: a}\n---\nkind: Pod\n");
        let told: Vec<String> = sources.problems.iter().map(ToString::to_string).collect();
        assert!(told[0].starts_with("f.yaml:1:1: kind not set\n"), "{told:?}");
        assert!(told[1].starts_with("f.yaml:4:1: apiVersion not set\n"), "{told:?}");
    }

    #[test]
    fn what_people_write_instead_of_manifests_is_told_as_that() {
        for (text, told) in [
            (
                "kind: ConfigMap\nmetadata:\n\tname: a\n",
                "f.yaml:3:1: a tab stands here: YAML is indented with spaces\n",
            ),
            (
                "kind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n",
                "f.yaml:3:9: what stands in `{{ }}` is not filled in (line 3 looks like a template: \
                 have it filled in first, as by `helm template`)\n",
            ),
            (
                "{{- if .Values.on }}\nkind: ConfigMap\n{{- end }}\n",
                "(line 1 looks like a template: have it filled in first, as by `helm template`)\n",
            ),
            ("just words\n", "f.yaml:1:1: this is no object: one has at least `apiVersion`,"),
            ("- kind: Pod\n", "f.yaml:1:1: this is no object: one has at least `apiVersion`,"),
        ] {
            let told_of_it: Vec<String> =
                read(text).problems.iter().map(ToString::to_string).collect();
            assert!(told_of_it.len() == 1 && told_of_it[0].contains(told), "{told_of_it:?}");
        }
    }

    #[test]
    fn json_is_read_too() {
        let sources = read(
            "{\"apiVersion\": \"v1\", \"kind\": \"Pod\",\n \"metadata\": {\"name\": \"a\"}}\n",
        );
        assert_eq!(sources.objects().len(), 1);
        assert_eq!(sources.locate(0, "/metadata/name").unwrap().1.line, 2);
    }
}
