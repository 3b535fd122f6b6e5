//! Where a field stands in a manifest's text: line and column, for messages that an editor can jump to.

use libyaml_safer::{EventData, Mark};

use crate::deploy::manifest::{Events, Text};

/// Deeper documents are not looked into; the reader of manifests refuses them anyway.
const MAX_DEPTH: usize = 200;

/// A place in a text, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// A mistake of syntax, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// The parser's words.
    pub what: String,
}

/// One document with the places of its nodes.
#[derive(Debug)]
pub struct Tree {
    root: Option<Node>,
    /// Keys that stand twice in one mapping: the place of the later one, and the key.
    pub duplicates: Vec<(Place, String)>,
}

#[derive(Debug)]
struct Node {
    place: Place,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Leaf,
    List(Vec<Node>),
    Map(Vec<(String, Place, Node)>),
}

impl Tree {
    /// Reads the first document of a text whose first line is line `first` of its file.
    pub fn read(text: &[u8], first: usize) -> Result<Self, Mistake> {
        let text = Text::of(text);
        let mut rest: &[u8] = &[];
        let events = Events::new(&text, &mut rest);
        let mut reader = Reader { events, first, duplicates: Vec::new() };
        let root = reader.document()?;
        Ok(Self { root, duplicates: reader.duplicates })
    }

    /// The place of the field that a path leads to, or of the deepest part of the path that is
    /// there. A step is a key, or a number in a list.
    pub fn find<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Option<Place> {
        let mut node = self.root.as_ref()?;
        let mut place = node.place;
        for step in path {
            match &node.kind {
                Kind::Leaf => break,
                Kind::List(items) => {
                    let Some(item) = step.parse::<usize>().ok().and_then(|n| items.get(n)) else {
                        break;
                    };
                    node = item;
                    place = node.place;
                }
                Kind::Map(entries) => {
                    let Some((_, at, value)) = entries.iter().rev().find(|(key, ..)| key == step)
                    else {
                        break;
                    };
                    node = value;
                    // A value on its key's line is pointed at itself; what is below, by its key.
                    place = match value.kind {
                        Kind::Leaf if value.place.line == at.line => value.place,
                        Kind::Leaf | Kind::List(_) | Kind::Map(_) => *at,
                    };
                }
            }
        }
        Some(place)
    }
}

struct Reader<'a> {
    events: Events<'a>,
    first: usize,
    duplicates: Vec<(Place, String)>,
}

impl Reader<'_> {
    fn place(&self, mark: Mark) -> Place {
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX - 1);
        Place {
            line: number(mark.line).saturating_add(self.first),
            column: number(mark.column).saturating_add(1),
        }
    }

    fn next(&mut self) -> Result<(Place, EventData), Mistake> {
        match self.events.next() {
            Ok(event) => Ok((self.place(event.start_mark), event.data)),
            Err(problem) => {
                let what = match problem.context {
                    Some(context) => format!("{} {context}", problem.what),
                    None => problem.what,
                };
                Err(Mistake { place: self.place(problem.mark), what })
            }
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Mistake> {
        loop {
            let (place, event) = self.next()?;
            match event {
                EventData::StreamStart { .. } | EventData::DocumentStart { .. } => {}
                EventData::StreamEnd | EventData::DocumentEnd { .. } => return Ok(None),
                event @ (EventData::Alias { .. }
                | EventData::Scalar { .. }
                | EventData::SequenceStart { .. }
                | EventData::SequenceEnd
                | EventData::MappingStart { .. }
                | EventData::MappingEnd) => {
                    let root = self.node(place, &event, 0)?;
                    // What is wrong behind the document is a mistake, too.
                    self.next()?;
                    return Ok(Some(root));
                }
            }
        }
    }

    fn node(&mut self, place: Place, event: &EventData, depth: usize) -> Result<Node, Mistake> {
        if depth > MAX_DEPTH {
            return Err(Mistake { place, what: "it is nested too deeply".to_owned() });
        }
        let kind = match event {
            EventData::SequenceStart { .. } => self.list(depth)?,
            EventData::MappingStart { .. } => self.map(depth)?,
            EventData::Scalar { .. }
            | EventData::Alias { .. }
            | EventData::StreamStart { .. }
            | EventData::StreamEnd
            | EventData::DocumentStart { .. }
            | EventData::DocumentEnd { .. }
            | EventData::SequenceEnd
            | EventData::MappingEnd => Kind::Leaf,
        };
        Ok(Node { place, kind })
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Mistake> {
        let mut items = Vec::new();
        loop {
            let (place, event) = self.next()?;
            if matches!(event, EventData::SequenceEnd | EventData::StreamEnd) {
                return Ok(Kind::List(items));
            }
            items.push(self.node(place, &event, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Mistake> {
        let mut entries: Vec<(String, Place, Node)> = Vec::new();
        loop {
            let (at, event) = self.next()?;
            if matches!(event, EventData::MappingEnd | EventData::StreamEnd) {
                return Ok(Kind::Map(entries));
            }
            let key = match &event {
                EventData::Scalar { value, .. } => value.clone(),
                EventData::Alias { .. }
                | EventData::StreamStart { .. }
                | EventData::StreamEnd
                | EventData::DocumentStart { .. }
                | EventData::DocumentEnd { .. }
                | EventData::SequenceStart { .. }
                | EventData::SequenceEnd
                | EventData::MappingStart { .. }
                | EventData::MappingEnd => {
                    // No manifest has keys that are no text; the reader says so.
                    self.node(at, &event, depth + 1)?;
                    String::new()
                }
            };
            if key != "<<" && !key.is_empty() && entries.iter().any(|(known, ..)| *known == key) {
                self.duplicates.push((at, key.clone()));
            }
            let (place, event) = self.next()?;
            let value = self.node(place, &event, depth + 1)?;
            entries.push((key, at, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
kind: Deployment
spec:
  replicas: 3
  template:
    spec:
      containers:
        - name: a
          image: x
        - name: b
          env: [{name: K, value: v}]
          name: c
";

    #[track_caller]
    fn check(path: &str, line: usize, column: usize) {
        let tree = Tree::read(TEXT.as_bytes(), 11).unwrap();
        let found = tree.find(path.split('/').filter(|step| !step.is_empty()));
        assert_eq!(found, Some(Place { line: line + 10, column }), "{path}");
    }

    #[test]
    fn a_field_is_found_or_what_is_there_of_its_path() {
        check("kind", 1, 7);
        check("spec/replicas", 3, 13);
        check("spec/template/spec/containers/0/image", 8, 18);
        check("spec/template/spec/containers/1", 9, 11);
        check("spec/template/spec/containers/1/env/0/value", 10, 34);
        check("spec/template/spec/volumes/0", 5, 5);
        check("", 1, 1);
    }

    #[test]
    fn a_key_that_stands_twice_is_told() {
        let tree = Tree::read(TEXT.as_bytes(), 1).unwrap();
        assert_eq!(tree.duplicates, [(Place { line: 11, column: 11 }, "name".to_owned())]);
    }

    #[test]
    fn a_mistake_has_its_place() {
        for (text, line, column, what) in [
            ("a: 1\nb: c: d\n", 2, 5, "mapping values are not allowed"),
            ("a: [1, 2\nb: 3\n", 2, 2, "did not find expected ',' or ']'"),
            ("a:\n\t- b\n", 2, 1, "found character that cannot start any token"),
            ("a: \"x\n", 2, 1, "found unexpected end of stream"),
        ] {
            let mistake = Tree::read(text.as_bytes(), 1).unwrap_err();
            assert_eq!(mistake.place, Place { line, column }, "{text:?}: {mistake:?}");
            assert!(mistake.what.contains(what), "{mistake:?}");
        }
    }
}
