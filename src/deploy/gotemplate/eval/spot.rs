//! What is being done to a template, for messages.

use crate::deploy::gotemplate::tree::{Arg, Command, Pipe};

/// A part of a template that is being looked at.
#[derive(Clone, Copy)]
pub enum Spot<'a> {
    /// None yet.
    Nowhere,
    /// A part of a command.
    Arg(&'a Arg),
    /// A pipeline.
    Pipe(&'a Pipe),
    /// A command.
    Command(&'a Command),
    /// A call of the named template: where it begins, and what is handed in.
    Template(usize, &'a str, Option<&'a Pipe>),
}

impl Spot<'_> {
    /// Returns where it is in the text of the template that runs, as Go says it.
    pub fn place(self, text: &str, running: &str) -> String {
        let (at, told) = match self {
            Spot::Nowhere => return "template: output".to_owned(),
            Spot::Arg(arg) => (arg.at(), arg.told()),
            Spot::Pipe(pipe) => (pipe.at, pipe.told()),
            Spot::Command(command) => (command.at, command.told()),
            Spot::Template(at, name, pipe) => {
                let pipe = pipe.map(|pipe| format!(" {}", pipe.told())).unwrap_or_default();
                (at, format!("{{{{template {name:?}{pipe}}}}}"))
            }
        };
        let before = text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rfind('\n').map_or(at, |newline| at - newline - 1);
        format!("template: output:{line}:{column}: executing {running:?} at <{told}>")
    }
}
