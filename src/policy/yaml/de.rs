//! serde over the tree: unknown keys are told and passed over, other mistakes know their place.

use std::cell::RefCell;
use std::collections::HashSet;

use serde::de::{Deserializer, Visitor};

use super::access::{List, Map, Variant};
use super::mistake::Mistake;
use super::tree::{Entry, Kind, Node, join};
use crate::near::nearest;

/// One reading of a tree.
pub struct Run<'a> {
    left_out: &'a HashSet<String>,
    mistakes: RefCell<Vec<Mistake>>,
    meant: RefCell<HashSet<String>>,
}

impl<'a> Run<'a> {
    /// A reading that passes over what was left out.
    pub fn new(left_out: &'a HashSet<String>) -> Self {
        Self { left_out, mistakes: RefCell::default(), meant: RefCell::default() }
    }

    /// Returns what was wrong and passed over.
    pub fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes.into_inner()
    }

    fn unknown(&self, at: &At<'_>, entry: &Entry, known: &'static [&'static str]) {
        let key = join(&at.path, &entry.key);
        let message = format!("unknown key `{}`", entry.key);
        let hint = hint_for(&entry.key, known);
        if let Some(meant) = nearest(&entry.key, known.iter().copied()) {
            self.meant.borrow_mut().insert(join(&at.path, meant));
        }
        self.mistakes.borrow_mut().push(Mistake::at(key, entry.place, message).hint(Some(hint)));
    }
}

fn hint_for(key: &str, known: &'static [&'static str]) -> String {
    let by_file = format!("{key}-file");
    if known.contains(&by_file.as_str()) {
        return format!(
            "secrets are never written here: put it into a file and name that by `{by_file}`"
        );
    }
    match nearest(key, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("known here: {}", list(known)),
    }
}

fn list(known: &[&str]) -> String {
    let known: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
    if known.is_empty() { "nothing".to_owned() } else { known.join(", ") }
}

/// A node with its path.
#[derive(Clone)]
pub struct At<'a> {
    pub(super) node: &'a Node,
    path: String,
    run: &'a Run<'a>,
}

impl<'a> At<'a> {
    /// The whole tree.
    pub fn root(node: &'a Node, run: &'a Run<'a>) -> Self {
        Self { node, path: String::new(), run }
    }

    pub(super) fn wrong(&self, expected: &str) -> Mistake {
        let found = match &self.node.kind {
            Kind::Scalar { .. } if self.node.is_null() => "nothing".to_owned(),
            Kind::Scalar { text, .. } => format!("`{text}`"),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map of keys".to_owned(),
        };
        self.place(Mistake::new(format!("must be {expected}, not {found}")))
    }

    /// Gives a mistake that knows no place this one.
    pub(super) fn place(&self, mut mistake: Mistake) -> Mistake {
        if mistake.place.is_some() {
            return mistake;
        }
        mistake.place = Some(self.node.place);
        mistake.key.clone_from(&self.path);
        if let Some(field) = mistake.missing {
            let field = join(&self.path, field);
            mistake.is_consequence =
                self.run.left_out.contains(&field) || self.run.meant.borrow().contains(&field);
        }
        mistake
    }

    fn scalar(&self, expected: &str) -> Result<&'a str, Mistake> {
        match &self.node.kind {
            Kind::Scalar { text, .. } if !self.node.is_null() => Ok(text),
            Kind::Scalar { .. } | Kind::List(_) | Kind::Map(_) => Err(self.wrong(expected)),
        }
    }

    fn entries(&self) -> Result<&'a [Entry], Mistake> {
        match &self.node.kind {
            Kind::Map(entries) => Ok(entries),
            Kind::Scalar { .. } if self.node.is_null() => Ok(&[]),
            Kind::Scalar { .. } | Kind::List(_) => Err(self.wrong("a map of keys")),
        }
    }

    fn is_left_out(&self) -> bool {
        self.run.left_out.contains(&self.path)
    }

    fn child(&self, key: &str, node: &'a Node) -> Self {
        Self { node, path: join(&self.path, key), run: self.run }
    }

    pub(super) fn map<'de, V: Visitor<'de>>(
        &self,
        known: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let mut open = Vec::new();
        for entry in self.entries()? {
            let child = self.child(&entry.key, &entry.value);
            if child.is_left_out() {
                continue;
            }
            match known {
                Some(known) if !known.contains(&entry.key.as_str()) => {
                    self.run.unknown(self, entry, known);
                }
                Some(_) | None => open.push((entry.key.as_str(), child)),
            }
        }
        open.reverse();
        visitor.visit_map(Map { open, value: None }).map_err(|mistake| self.place(mistake))
    }
}

/// Number types differ in their range only.
macro_rules! whole_numbers {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
            let expected =
                format!("a whole number from {} to {}", <$type>::MIN, <$type>::MAX);
            let number = self.scalar(&expected)?.parse::<$type>();
            let number = number.map_err(|_| self.wrong(&expected))?;
            visitor.$visit(number).map_err(|mistake| self.place(mistake))
        }
    )*};
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let here = self.clone();
        match &self.node.kind {
            Kind::List(_) => self.deserialize_seq(visitor),
            Kind::Map(_) => self.deserialize_map(visitor),
            Kind::Scalar { .. } if self.node.is_null() => visitor.visit_unit(),
            Kind::Scalar { text, is_plain: true } => match text.as_str() {
                "true" | "True" | "TRUE" => visitor.visit_bool(true),
                "false" | "False" | "FALSE" => visitor.visit_bool(false),
                text => match (text.parse::<u64>(), text.parse::<i64>(), text.parse::<f64>()) {
                    (Ok(number), _, _) if !text.starts_with('+') => visitor.visit_u64(number),
                    (_, Ok(number), _) if !text.starts_with('+') => visitor.visit_i64(number),
                    (_, _, Ok(number)) if text.contains(|c: char| c.is_ascii_digit()) => {
                        visitor.visit_f64(number)
                    }
                    _ => visitor.visit_str(text),
                },
            },
            Kind::Scalar { text, is_plain: false } => visitor.visit_str(text),
        }
        .map_err(|mistake: Mistake| here.place(mistake))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let expected = "`true` or `false`";
        match self.scalar(expected)?.to_lowercase().as_str() {
            "true" | "yes" | "on" => visitor.visit_bool(true),
            "false" | "no" | "off" => visitor.visit_bool(false),
            _ => Err(self.wrong(expected)),
        }
    }

    whole_numbers!(
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64, deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64
    );

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let number = self.scalar("a number")?.parse::<f64>().ok().filter(|n| n.is_finite());
        let number = number.ok_or_else(|| self.wrong("a number"))?;
        visitor.visit_f64(number).map_err(|mistake| self.place(mistake))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let text = self.scalar("a text")?;
        visitor.visit_str(text).map_err(|mistake| self.place(mistake))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        if self.node.is_null() { visitor.visit_unit() } else { Err(self.wrong("nothing")) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let here = self.clone();
        visitor.visit_newtype_struct(self).map_err(|mistake| here.place(mistake))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let Kind::List(items) = &self.node.kind else { return Err(self.wrong("a list")) };
        let open: Vec<At<'_>> = items
            .iter()
            .enumerate()
            .map(|(n, node)| At { node, path: format!("{}[{n}]", self.path), run: self.run })
            .filter(|at| !at.is_left_out())
            .collect();
        visitor.visit_seq(List(open.into_iter())).map_err(|mistake| self.place(mistake))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.map(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        self.map(Some(fields), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let (name, place, value) = match &self.node.kind {
            Kind::Scalar { text, .. } if !self.node.is_null() => (text, self.node.place, None),
            Kind::Map(entries) => match entries.as_slice() {
                [entry] => (&entry.key, entry.place, Some(self.child(&entry.key, &entry.value))),
                _ => return Err(self.wrong(&format!("a map of exactly one of {}", list(variants)))),
            },
            Kind::Scalar { .. } | Kind::List(_) => {
                return Err(self.wrong(&format!("one of {}", list(variants))));
            }
        };
        if !variants.contains(&name.as_str()) {
            let message = match value {
                Some(_) => format!("unknown key `{name}`"),
                None => format!("must be one of {}, not `{name}`", list(variants)),
            };
            let hint = match nearest(name, variants.iter().copied()) {
                Some(meant) => Some(format!("did you mean `{meant}`?")),
                None => value.map(|_| format!("known here: {}", list(variants))),
            };
            return Err(Mistake::at(self.path, place, message).hint(hint));
        }
        if let Some(value) = value.as_ref().filter(|value| value.is_left_out()) {
            let told = Mistake { is_consequence: true, ..Mistake::new(value.path.clone()) };
            return Err(self.place(told));
        }
        let here = self.clone();
        visitor
            .visit_enum(Variant { name, value, here: self })
            .map_err(|mistake| here.place(mistake))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_unit()
    }
}
