//! Manifests as kubectl reads and prints them: YAML 1.1 by go-yaml's rules, JSON by Go's.

mod events;
mod scalar;
mod yaml;
mod plain;
mod stream;
mod syntax;
mod object;
mod json;
mod print;

pub use events::{Events, Text};
pub use json::{compact, compact_marked, indented};
pub use object::{Objects, go_kind, objects};
pub use print::{float, go_syntax as go_syntax_plain, yaml};
pub use stream::documents;
pub use yaml::{go_text, parse};

#[cfg(test)]
mod tests;
