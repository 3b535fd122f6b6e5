//! YAML as a tree with places: a pipeline file is merged as a tree before it has a shape.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle};

/// Aliases may repeat what they name, but not without end.
const MAX_NODES: usize = 200_000;

/// Where a node was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as the user would name it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Something to tell the author of a pipeline file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Where.
    pub place: Place,
    /// What.
    pub text: String,
}

impl Remark {
    /// A remark on a node.
    pub fn new(place: &Place, text: impl Into<String>) -> Self {
        Self { place: place.clone(), text: text.into() }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// A node of the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it was written.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, `~`, `null`.
    Null,
    /// A text, a number or a truth value, as written; quoted ones are always text.
    Scalar {
        /// The text.
        text: String,
        /// True without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<Entry>),
    /// `!reference [job, key, …]`.
    Reference(Vec<String>),
}

/// An entry of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where its key was written.
    pub place: Place,
    /// Its key.
    pub key: String,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// The value of a key; `None` also when this is no map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The entries of a map; none when this is no map.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Null | Value::Scalar { .. } | Value::List(_) | Value::Reference(_) => &[],
        }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) | Value::Reference(_) => None,
        }
    }

    /// True for nothing, `~`, `null`.
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// The word for what this is.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Reference(_) => "a reference",
        }
    }
}

/// A text that was read.
#[derive(Debug)]
pub struct Document {
    /// The document before it, where that is a `spec:`.
    pub header: Option<Node>,
    /// Its tree.
    pub root: Node,
    /// What its author should know.
    pub remarks: Vec<Remark>,
}

/// Reads a text. Several documents are an error unless the first is a `spec:` header.
pub fn read(file: &str, text: &str) -> Result<Document, Remark> {
    let mut reader =
        Reader { file: Arc::from(file), anchors: HashMap::new(), n_nodes: 0, remarks: Vec::new() };
    let mut documents = reader.documents(text)?;
    let is_spec = documents.first().is_some_and(|first| first.get("spec").is_some());
    let header = (documents.len() > 1 && is_spec).then(|| documents.remove(0));
    let nothing = Node { place: reader.place(1), value: Value::Null };
    match documents.len() {
        0 => Ok(Document { header, root: nothing, remarks: reader.remarks }),
        1 => Ok(Document { header, root: documents.remove(0), remarks: reader.remarks }),
        _ => Err(Remark::new(
            &documents.swap_remove(1).place,
            "a second document in one file; only a `spec:` header may come first",
        )),
    }
}

struct Reader {
    file: Arc<str>,
    anchors: HashMap<usize, Node>,
    n_nodes: usize,
    remarks: Vec<Remark>,
}

/// A collection that is being read.
enum Open {
    List { place: Place, anchor: usize, reference: bool, items: Vec<Node> },
    Map { place: Place, anchor: usize, entries: Vec<Entry>, key: Option<(Place, String)> },
}

impl Reader {
    fn place(&self, line: usize) -> Place {
        Place { file: Arc::clone(&self.file), line }
    }

    fn documents(&mut self, text: &str) -> Result<Vec<Node>, Remark> {
        let mut documents = Vec::new();
        let mut open: Vec<Open> = Vec::new();
        for event in Parser::new_from_str(text) {
            let (event, span) = event
                .map_err(|error| Remark::new(&self.place(error.marker().line()), error.info()))?;
            let place = self.place(span.start.line());
            if let Some(node) = self.take(event, place, &mut open)? {
                Self::put(node, &mut open, &mut documents)?;
            }
        }
        Ok(documents)
    }

    /// Takes one event in; returns the node that it completes.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the parser's own events: what is not listed carries no content"
    )]
    fn take(
        &mut self,
        event: Event<'_>,
        place: Place,
        open: &mut Vec<Open>,
    ) -> Result<Option<Node>, Remark> {
        let is_reference = |tag: Option<&str>| tag == Some("reference");
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let node = Node { place, value: scalar(text.into_owned(), plain) };
                self.name(anchor, &node);
                Ok(Some(node))
            }
            Event::SequenceStart(_, anchor, tag) => {
                let reference = is_reference(tag.as_ref().map(|tag| tag.suffix()));
                open.push(Open::List { place, anchor, reference, items: Vec::new() });
                Ok(None)
            }
            Event::MappingStart(_, anchor, _) => {
                open.push(Open::Map { place, anchor, entries: Vec::new(), key: None });
                Ok(None)
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(open) => self.close(open).map(Some),
                None => Ok(None),
            },
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err(Remark::new(&place, "an alias inside of what it names"));
                };
                self.n_nodes += size(node);
                if self.n_nodes > MAX_NODES {
                    return Err(Remark::new(&place, "the aliases of this file have no end"));
                }
                Ok(Some(node.clone()))
            }
            _ => Ok(None),
        }
    }

    fn name(&mut self, anchor: usize, node: &Node) {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
    }

    fn close(&mut self, open: Open) -> Result<Node, Remark> {
        match open {
            Open::List { place, anchor, reference: false, items } => {
                let node = Node { place, value: Value::List(items) };
                self.name(anchor, &node);
                Ok(node)
            }
            Open::List { place, items, .. } => {
                let path: Option<Vec<String>> =
                    items.iter().map(|item| item.text().map(str::to_owned)).collect();
                match path {
                    Some(path) if !path.is_empty() => {
                        Ok(Node { place, value: Value::Reference(path) })
                    }
                    _ => Err(Remark::new(&place, "`!reference` takes a list of names")),
                }
            }
            Open::Map { place, anchor, entries, .. } => {
                let entries = self.merged(entries)?;
                let node = Node { place, value: Value::Map(entries) };
                self.name(anchor, &node);
                Ok(node)
            }
        }
    }

    /// Resolves `<<`: what the map says itself wins, then the earlier of several.
    fn merged(&mut self, entries: Vec<Entry>) -> Result<Vec<Entry>, Remark> {
        let (merges, mut own): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(|entry| entry.key == "<<");
        let mut last: Vec<Entry> = Vec::with_capacity(own.len());
        for entry in own.drain(..) {
            match last.iter_mut().find(|other| other.key == entry.key) {
                Some(other) => {
                    let text = format!("`{}` twice in one map: the last one counts", entry.key);
                    self.remarks.push(Remark::new(&entry.place, text));
                    *other = entry;
                }
                None => last.push(entry),
            }
        }
        for merge in merges {
            let maps = match merge.node.value {
                Value::List(maps) => maps,
                other @ (Value::Null
                | Value::Scalar { .. }
                | Value::Map(_)
                | Value::Reference(_)) => {
                    vec![Node { place: merge.node.place, value: other }]
                }
            };
            for map in maps {
                let Value::Map(entries) = map.value else {
                    return Err(Remark::new(&map.place, "`<<` takes a map or a list of maps"));
                };
                for entry in entries {
                    if !last.iter().any(|other| other.key == entry.key) {
                        last.push(entry);
                    }
                }
            }
        }
        Ok(last)
    }

    /// Puts a complete node where it belongs.
    fn put(node: Node, open: &mut [Open], documents: &mut Vec<Node>) -> Result<(), Remark> {
        match open.last_mut() {
            None => documents.push(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => {
                if let Some((place, key)) = key.take() {
                    entries.push(Entry { place, key, node });
                } else if let Some(text) = node.text() {
                    *key = Some((node.place.clone(), text.to_owned()));
                } else {
                    return Err(Remark::new(&node.place, "a key must be a single value"));
                }
            }
        }
        Ok(())
    }
}

fn scalar(text: String, plain: bool) -> Value {
    if plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") {
        return Value::Null;
    }
    Value::Scalar { text, plain }
}

/// How many nodes an alias to this one adds.
fn size(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|entry| size(&entry.node)).sum::<usize>(),
        Value::Null | Value::Scalar { .. } | Value::Reference(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        read("f.yml", text).unwrap().root
    }

    #[test]
    fn anchors_and_merge_keys_are_resolved_and_the_own_word_wins() {
        let node = one("a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  l: 3\nc:\n  <<: [{k: 9}, *x]\n");
        let text = |map: &str, key: &str| {
            node.get(map).and_then(|map| map.get(key)).and_then(Node::text).map(str::to_owned)
        };
        assert_eq!(text("b", "k").as_deref(), Some("1"));
        assert_eq!(text("b", "l").as_deref(), Some("3"));
        assert_eq!(text("c", "k").as_deref(), Some("9"));
    }

    #[test]
    fn values_stay_as_written_and_know_their_line() {
        let node = one("a: 1.10\nb:\nc: \"null\"\nd: yes\n");
        assert_eq!(node.get("a").and_then(Node::text), Some("1.10"));
        assert!(node.get("b").unwrap().is_null());
        assert_eq!(node.get("c").and_then(Node::text), Some("null"));
        assert_eq!(node.get("d").unwrap().place.to_string(), "f.yml:4");
    }

    #[test]
    fn mistakes_name_file_and_line() {
        for (text, expected) in [
            ("a: [1\nb: 2\n", "f.yml:"),
            ("a: 1\n---\nb: 2\n", "f.yml:3: a second document"),
            ("a:\n  <<: x\n", "f.yml:2: `<<` takes a map"),
            ("a: !reference [[x]]\n", "f.yml:1: `!reference` takes a list of names"),
        ] {
            let told = read("f.yml", text).unwrap_err().to_string();
            assert!(told.starts_with(expected), "{told}");
        }
    }

    #[test]
    fn aliases_that_multiply_are_stopped() {
        let mut text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
        for level in 1..7 {
            let alias = format!("*a{}, ", level - 1).repeat(10);
            text.extend([&format!("a{level}: &a{level} [{alias}]"), "\n"]);
        }
        assert!(read("f.yml", &text).is_err());
    }
}
