//! A template as a tree, and how its parts are told in messages.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::literal::Number;

/// A part of a pipeline's command.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    /// `true`.
    Bool(usize, bool),
    /// `.`.
    Dot(usize),
    /// `nil`.
    Nil(usize),
    /// A number, as it was written.
    Number(usize, String, Number),
    /// A text, as it was written and as it is.
    Text(usize, String, String),
    /// `.a.b`.
    Field(usize, Vec<String>),
    /// `$x.a`.
    Variable(usize, Vec<String>),
    /// A function.
    Function(usize, String),
    /// `(…)`.
    Pipe(Pipe),
    /// `(…).a`.
    Chain(usize, Box<Self>, Vec<String>),
}

/// A function, a field or a value with its arguments.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Command {
    /// Where it begins.
    pub at: usize,
    /// Its parts; never empty.
    pub args: Vec<Arg>,
}

/// `$x := a | b`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pipe {
    /// Where it begins.
    pub at: usize,
    /// True for `=`.
    pub assigns: bool,
    /// The variables.
    pub variables: Vec<String>,
    /// The commands.
    pub commands: Vec<Command>,
}

/// `if`, `with` or `range` with what stands in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// What decides.
    pub pipe: Pipe,
    /// What is done then.
    pub list: Vec<Node>,
    /// What is done else.
    pub other: Option<Vec<Node>>,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Text.
    Text(String),
    /// A pipeline, printed.
    Action(usize, Pipe),
    /// `if`.
    If(Branch),
    /// `with`.
    With(Branch),
    /// `range`.
    Range(Branch),
    /// `template`.
    Template(usize, String, Option<Pipe>),
    /// `break`.
    Break,
    /// `continue`.
    Continue,
}

/// A template and those that are defined in it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Template {
    /// The text.
    pub text: String,
    /// The whole.
    pub root: Vec<Node>,
    /// Defined ones by name.
    pub defined: HashMap<String, Vec<Node>>,
}

impl Arg {
    /// Where it begins.
    pub fn at(&self) -> usize {
        match self {
            Self::Bool(at, _)
            | Self::Dot(at)
            | Self::Nil(at)
            | Self::Number(at, ..)
            | Self::Text(at, ..)
            | Self::Field(at, _)
            | Self::Variable(at, _)
            | Self::Function(at, _)
            | Self::Chain(at, ..) => *at,
            Self::Pipe(pipe) => pipe.at,
        }
    }

    /// As Go writes it in messages.
    pub fn told(&self) -> String {
        let fields = |names: &[String]| -> String {
            names.iter().flat_map(|name| [".", name.as_str()]).collect()
        };
        match self {
            Self::Bool(_, truth) => truth.to_string(),
            Self::Dot(_) => ".".to_owned(),
            Self::Nil(_) => "nil".to_owned(),
            Self::Number(_, written, _) | Self::Text(_, written, _) => written.clone(),
            Self::Field(_, names) => fields(names),
            Self::Variable(_, names) => names.join("."),
            Self::Function(_, name) => name.clone(),
            Self::Pipe(pipe) => pipe.told(),
            Self::Chain(_, inner, names) => match &**inner {
                Self::Pipe(pipe) => format!("({}){}", pipe.told(), fields(names)),
                other => other.told() + &fields(names),
            },
        }
    }
}

impl Command {
    /// As Go writes it in messages.
    pub fn told(&self) -> String {
        let told = |arg: &Arg| match arg {
            Arg::Pipe(pipe) => format!("({})", pipe.told()),
            other => other.told(),
        };
        self.args.iter().map(told).collect::<Vec<_>>().join(" ")
    }
}

impl Pipe {
    /// As Go writes it in messages.
    pub fn told(&self) -> String {
        let mut told = self.variables.join(", ");
        if !self.variables.is_empty() {
            let _ = write!(told, " {} ", if self.assigns { "=" } else { ":=" });
        }
        let commands: Vec<String> = self.commands.iter().map(Command::told).collect();
        told + &commands.join(" | ")
    }
}
