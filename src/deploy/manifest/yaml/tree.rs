//! The tree of a YAML document.

use std::collections::BTreeMap;

use libyaml_safer::EventData;

use crate::deploy::manifest::events::{Events, Problem, Text};

/// JSON that crosses the socket may be nested 128 deep; this leaves room for what is around it.
const MAX_DEPTH: usize = 100;

/// A node, with its tag if one is written.
#[derive(Debug)]
pub struct Node {
    /// The tag; empty: none.
    pub tag: String,
    /// What it is.
    pub kind: Kind,
}

/// What a node is; others are named by their numbers.
#[derive(Debug)]
pub enum Kind {
    /// A text; implicit: its look says what it is.
    Scalar { text: String, implicit: bool },
    /// A list.
    Sequence(Vec<usize>),
    /// Keys with their values.
    Mapping(Vec<(usize, usize)>),
    /// `*name`.
    Alias { name: String, target: usize },
}

/// The tree of a document, built from events.
pub struct Source {
    text: Vec<u8>,
    /// Its nodes, by number.
    pub nodes: Vec<Node>,
    anchors: BTreeMap<String, usize>,
}

impl Source {
    /// Takes a text, which may be empty.
    pub fn new(text: &[u8]) -> Self {
        let text = if text.is_empty() { b"\n".to_vec() } else { text.to_vec() };
        Self { text, nodes: Vec::new(), anchors: BTreeMap::new() }
    }

    /// Reads the first document: the number of its root, if there is one.
    pub fn document(&mut self) -> Result<Option<usize>, String> {
        let text = std::mem::take(&mut self.text);
        let text = Text::of(&text);
        let mut rest: &[u8] = &[];
        let mut events = Events::new(&text, &mut rest);
        loop {
            let event = next(&mut events)?;
            if matches!(event, EventData::StreamStart { .. } | EventData::DocumentStart { .. }) {
                continue;
            }
            if matches!(event, EventData::StreamEnd | EventData::DocumentEnd { .. }) {
                return Ok(None);
            }
            let root = self.node(&mut events, event, 0)?;
            // go-yaml asks for the end of the document, no further.
            next(&mut events)?;
            return Ok(Some(root));
        }
    }

    fn node(
        &mut self,
        events: &mut Events<'_>,
        event: EventData,
        depth: usize,
    ) -> Result<usize, String> {
        if depth > MAX_DEPTH {
            return Err(format!("exceeded max depth of {MAX_DEPTH}"));
        }
        let index = self.nodes.len();
        let (anchor, tag, kind) = match event {
            EventData::Alias { anchor } => {
                let Some(&target) = self.anchors.get(&anchor) else {
                    return Err(format!("unknown anchor '{anchor}' referenced"));
                };
                (None, None, Kind::Alias { name: anchor, target })
            }
            EventData::Scalar { anchor, tag, value, plain_implicit, .. } => {
                (anchor, tag, Kind::Scalar { text: value, implicit: plain_implicit })
            }
            EventData::SequenceStart { anchor, tag, .. } => {
                (anchor, tag, Kind::Sequence(Vec::new()))
            }
            EventData::MappingStart { anchor, tag, .. } => (anchor, tag, Kind::Mapping(Vec::new())),
            EventData::StreamStart { .. }
            | EventData::StreamEnd
            | EventData::DocumentStart { .. }
            | EventData::DocumentEnd { .. }
            | EventData::SequenceEnd
            | EventData::MappingEnd => {
                return Err("attempted to go past the end of stream; corrupted value?".to_owned());
            }
        };
        let opened = match kind {
            Kind::Sequence(_) => Some(false),
            Kind::Mapping(_) => Some(true),
            Kind::Scalar { .. } | Kind::Alias { .. } => None,
        };
        self.nodes.push(Node { tag: tag.unwrap_or_default(), kind });
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, index);
        }
        if let Some(is_mapping) = opened {
            let children = self.children(events, depth)?;
            if let Some(node) = self.nodes.get_mut(index) {
                node.kind = if is_mapping {
                    let (pairs, _) = children.as_chunks();
                    Kind::Mapping(pairs.iter().map(|&[key, value]| (key, value)).collect())
                } else {
                    Kind::Sequence(children)
                };
            }
        }
        Ok(index)
    }

    /// The nodes up to the end of the list or mapping that was begun last; of a mapping, each key and
    /// its value.
    fn children(&mut self, events: &mut Events<'_>, depth: usize) -> Result<Vec<usize>, String> {
        let mut children = Vec::new();
        loop {
            let event = next(events)?;
            if matches!(event, EventData::SequenceEnd | EventData::MappingEnd) {
                return Ok(children);
            }
            children.push(self.node(events, event, depth + 1)?);
        }
    }
}

/// The next event; an error in go-yaml's words: `line 3: …`, counted as it counts.
fn next(events: &mut Events<'_>) -> Result<EventData, String> {
    events.next().map(|event| event.data).map_err(|problem| {
        let Problem { what, mark, context_mark, is_of_scanner, .. } = problem;
        let line = match mark.line {
            0 => context_mark.line,
            line if is_of_scanner => line + 1,
            line => line,
        };
        if line == 0 { what } else { format!("line {line}: {what}") }
    })
}
