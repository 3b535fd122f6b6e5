//! Expressions: a value of several queries (`errors / all`), and conditions as Argo Rollouts writes
//! them (`result[0] < 0.95`). Whatever has no value is an error, never a pass.

mod read;
mod reckon;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// An expression as read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Expr {
    /// `0.95`
    Number(f64),
    /// `true`
    Truth(bool),
    /// `result`
    Name(String),
    /// `#`, the item at hand inside `all(result, { # < 1 })`.
    Item,
    /// `result[0]`
    At(Box<Expr>, Box<Expr>),
    /// `len(result)`
    Call(String, Vec<Expr>),
    /// `-a`, `!a`
    Unary(Unary, Box<Expr>),
    /// `a + b`
    Binary(Binary, Box<Expr>, Box<Expr>),
}

/// An operator before its operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unary {
    /// `-`
    Minus,
    /// `!`
    Not,
}

/// An operator between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Binary {
    /// `||`
    Or,
    /// `&&`
    And,
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `<=`
    LessOrEqual,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `>`
    Greater,
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Times,
    /// `/`
    Over,
}

/// What an expression comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number; always finite.
    Number(f64),
    /// True or false.
    Truth(bool),
    /// Numbers.
    List(Vec<f64>),
}

impl Expr {
    /// Returns the names that it looks at.
    pub fn names(&self) -> BTreeSet<&str> {
        match self {
            Self::Name(name) => BTreeSet::from([name.as_str()]),
            Self::Number(_)
            | Self::Truth(_)
            | Self::Item
            | Self::At(..)
            | Self::Call(..)
            | Self::Unary(..)
            | Self::Binary(..) => self.inner().into_iter().flat_map(Self::names).collect(),
        }
    }

    /// How many expressions stand inside each other.
    fn height(&self) -> usize {
        let inner = self.inner().into_iter().map(Self::height).max();
        inner.map_or(0, |inner| inner + 1)
    }

    fn inner(&self) -> Vec<&Self> {
        match self {
            Self::Number(_) | Self::Truth(_) | Self::Name(_) | Self::Item => Vec::new(),
            Self::At(a, b) | Self::Binary(_, a, b) => vec![a, b],
            Self::Unary(_, a) => vec![a],
            Self::Call(_, all) => all.iter().collect(),
        }
    }
}
