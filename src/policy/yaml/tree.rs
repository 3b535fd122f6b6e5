//! A YAML document as a tree of texts that know where they stand.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, Span};

use super::mistake::Mistake;

/// More nodes than any file that a person writes; aliases count as what they stand for.
const MOST_NODES: usize = 100_000;
/// What braces within braces are without quotes.
const NO_KEY: &str = "a key must be a text; a template needs quotes: `\"{{ name }}\"`";

/// Deeper than any file that a person writes.
const MOST_DEPTH: usize = 64;

/// Line and column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// A value in a file.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it starts.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A text, as written.
    Scalar {
        /// The text.
        text: String,
        /// True without quotes: it may also be a number, a truth value or nothing.
        is_plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// Keys with values.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub place: Place,
    /// The value.
    pub value: Node,
}

impl Node {
    /// True for `null`, `~` and nothing.
    pub fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar { text, is_plain } => {
                *is_plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            Kind::List(_) | Kind::Map(_) => false,
        }
    }

    /// Number of nodes in it, itself included.
    pub fn size(&self) -> usize {
        1 + match &self.kind {
            Kind::Scalar { .. } => 0,
            Kind::List(items) => items.iter().map(Self::size).sum(),
            Kind::Map(entries) => entries.iter().map(|entry| entry.value.size()).sum(),
        }
    }

    /// Returns the node at a path such as `profiles[0].load`.
    pub fn at(&self, path: &str) -> Option<&Self> {
        self.find(path).map(|(_, node)| node)
    }

    /// Returns where a path's value stands; for a map's entry without an inline value, its key.
    pub fn place(&self, path: &str) -> Option<Place> {
        self.find(path).map(|(place, _)| place)
    }

    /// Keys may hold dots: the longest key that fits is taken.
    fn find(&self, path: &str) -> Option<(Place, &Self)> {
        if path.is_empty() {
            return Some((self.place, self));
        }
        match &self.kind {
            Kind::Scalar { .. } => None,
            Kind::List(items) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                items.get(index.parse::<usize>().ok()?)?.find(rest)
            }
            Kind::Map(entries) => {
                let path = path.strip_prefix('.').unwrap_or(path);
                entries.iter().find_map(|entry| {
                    let rest = path.strip_prefix(entry.key.as_str())?;
                    if rest.is_empty() {
                        return Some((entry.value.place, &entry.value));
                    }
                    rest.starts_with(['.', '[']).then(|| entry.value.find(rest)).flatten()
                })
            }
        }
    }
}

/// What is mostly meant where a parser is lost between brackets: a path, a template, a `: ` in a text.
fn brackets(error: &str) -> Option<String> {
    let hint =
        "between `{` and `}` or `[` and `]`, put texts that hold brackets, `,` or `: ` in quotes";
    let is_lost = ["flow mapping", "flow sequence", "flow node", "mapping values"];
    is_lost.iter().any(|words| error.contains(words)).then(|| hint.to_owned())
}

/// Reads a text; what is no YAML at all comes back as one mistake without a key.
pub fn parse(text: &str) -> (Node, Vec<Mistake>) {
    let mut builder = Builder::default();
    let mut options = Options::default();
    options.emit_comments = false;
    for next in Parser::new_from_str_with_options(text, options) {
        let result = match next {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => {
                let place = place(error.marker().line(), error.marker().col());
                let hint = brackets(&error.info());
                Err(Mistake::whole(place, format!("is no YAML: {}", error.info())).hint(hint))
            }
        };
        if let Err(mistake) = result {
            builder.mistakes = vec![mistake];
            break;
        }
    }
    let root = builder.root.unwrap_or_else(|| null(place(1, 0)));
    (root, builder.mistakes)
}

fn place(line: usize, column: usize) -> Place {
    Place { line, column: column + 1 }
}

fn null(place: Place) -> Node {
    Node { place, kind: Kind::Scalar { text: String::new(), is_plain: true } }
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    n_nodes: usize,
    mistakes: Vec<Mistake>,
}

struct Open {
    place: Place,
    anchor: usize,
    path: String,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, merged: Vec<Entry>, key: Option<(String, Place)> },
}

impl Builder {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the parser's enum is open")]
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Mistake> {
        let at = place(span.start.line(), span.start.col());
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(Mistake::whole(at, "a second document: a file holds one".to_owned()))
            }
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some(mut node) => {
                    node.place = at;
                    self.n_nodes += node.size();
                    self.put(node, 0)
                }
                None => Err(Mistake::whole(at, "an alias stands inside its own anchor".to_owned())),
            },
            Event::Scalar(text, style, anchor, tag) => {
                if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema_tag("str")) {
                    return Err(Mistake::whole(at, format!("the tag `{tag}` means nothing here")));
                }
                let is_plain = style == ScalarStyle::Plain;
                let kind = Kind::Scalar { text: text.into_owned(), is_plain };
                self.put(Node { place: at, kind }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.start(at, anchor, OpenKind::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, _) => self.start(
                at,
                anchor,
                OpenKind::Map { entries: Vec::new(), merged: Vec::new(), key: None },
            ),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::UnresolvedAlias(name) => {
                Err(Mistake::whole(at, format!("the alias `*{name}` has no anchor")))
            }
            // Starts and ends of the stream and its documents; the parser may learn further ones.
            _ => Ok(()),
        }
    }

    fn path(&self) -> String {
        match self.open.last() {
            None => String::new(),
            Some(open) => match &open.kind {
                OpenKind::List(items) => format!("{}[{}]", open.path, items.len()),
                OpenKind::Map { key, .. } => {
                    let key = key.as_ref().map_or("", |(key, _)| key.as_str());
                    join(&open.path, key)
                }
            },
        }
    }

    fn start(&mut self, place: Place, anchor: usize, kind: OpenKind) -> Result<(), Mistake> {
        let is_key = self
            .open
            .last()
            .is_some_and(|open| matches!(&open.kind, OpenKind::Map { key, .. } if key.is_none()));
        if is_key {
            return Err(Mistake::whole(place, NO_KEY.to_owned()));
        }
        if self.open.len() >= MOST_DEPTH {
            return Err(Mistake::whole(place, "is nested too deep".to_owned()));
        }
        let path = self.path();
        self.open.push(Open { place, anchor, path, kind });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Mistake> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let kind = match open.kind {
            OpenKind::List(items) => Kind::List(items),
            OpenKind::Map { mut entries, merged, .. } => {
                for entry in merged {
                    if !entries.iter().any(|mine| mine.key == entry.key) {
                        entries.push(entry);
                    }
                }
                Kind::Map(entries)
            }
        };
        self.put(Node { place: open.place, kind }, open.anchor)
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), Mistake> {
        self.n_nodes += 1;
        if self.n_nodes > MOST_NODES {
            return Err(Mistake::whole(node.place, "is too large".to_owned()));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let path = self.path();
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.kind {
            OpenKind::List(items) => items.push(node),
            OpenKind::Map { entries, merged, key } => match key.take() {
                None => match node.kind {
                    Kind::Scalar { text, .. } => *key = Some((text, node.place)),
                    Kind::List(_) | Kind::Map(_) => {
                        return Err(Mistake::whole(node.place, NO_KEY.to_owned()));
                    }
                },
                Some((name, place)) if name == "<<" => merge(node, place, merged)?,
                Some((name, place)) => {
                    if entries.iter().any(|entry| entry.key == name) {
                        let message = format!("`{name}` is there twice");
                        self.mistakes.push(Mistake::at(path, place, message));
                    } else {
                        entries.push(Entry { key: name, place, value: node });
                    }
                }
            },
        }
        Ok(())
    }
}

fn merge(node: Node, place: Place, merged: &mut Vec<Entry>) -> Result<(), Mistake> {
    match node.kind {
        Kind::Map(entries) => {
            merged.extend(entries);
            Ok(())
        }
        Kind::List(items) => items.into_iter().try_for_each(|item| merge(item, place, merged)),
        Kind::Scalar { .. } => Err(Mistake::whole(place, "`<<` merges maps only".to_owned())),
    }
}

/// Puts a key behind a path.
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
