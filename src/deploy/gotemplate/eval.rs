//! A template applied to an object.

use std::fmt::Write as _;

use serde_json::Value;

use super::functions;
use super::literal::Number;
use super::parse::{Arg, Branch, Command, Node, Pipe, Template};
use super::value::{Val, View};

/// What a template may do in all: a step each, and a byte of what it makes.
const BUDGET: usize = 64 << 20;
/// What a round of a loop costs.
const ROUND: usize = 64;
/// How deep templates may call each other. Go's limit is told, which no stack here would hold.
const MAX_DEPTH: usize = 60;

/// How missing keys are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// As no value.
    Allowed,
    /// As a mistake.
    Refused,
}

/// Applies a template: what it printed, and how it failed, if it did.
pub fn run(template: &Template, data: &Value, missing: Missing) -> (String, Option<String>) {
    let mut state = State {
        template,
        missing,
        out: String::new(),
        variables: vec![("$".to_owned(), Val::Part(data, false))],
        floor: 0,
        spot: Spot::Nowhere,
        left: BUDGET,
        depth: 0,
        name: "output".to_owned(),
    };
    let failed = match state.list(&Val::Part(data, false), &template.root) {
        Err(Stop::Failed(text)) => Some(text),
        Ok(()) | Err(Stop::Break | Stop::Continue) => None,
    };
    (state.out, failed)
}

/// Why a list of nodes is not gone through to its end.
pub enum Stop {
    Break,
    Continue,
    Failed(String),
}

type Done<T> = Result<T, Stop>;

/// What is being done, for messages.
#[derive(Clone, Copy)]
enum Spot<'a> {
    Nowhere,
    Arg(&'a Arg),
    Pipe(&'a Pipe),
    Command(&'a Command),
    Template(usize, &'a str, Option<&'a Pipe>),
}

struct State<'a> {
    template: &'a Template,
    missing: Missing,
    out: String,
    variables: Vec<(String, Val<'a>)>,
    /// Where the running template's own variables begin.
    floor: usize,
    spot: Spot<'a>,
    left: usize,
    depth: usize,
    name: String,
}

impl<'a> State<'a> {
    fn spend(&mut self, amount: usize) -> Done<()> {
        match self.left.checked_sub(amount) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => self.fail("the template does too much"),
        }
    }

    /// An error with its place.
    fn fail<T>(&self, text: impl std::fmt::Display) -> Done<T> {
        let (at, told) = match self.spot {
            Spot::Nowhere => return Err(Stop::Failed(format!("template: output: {text}"))),
            Spot::Arg(arg) => (arg.at(), arg.told()),
            Spot::Pipe(pipe) => (pipe.at, pipe.told()),
            Spot::Command(command) => (command.at, command.told()),
            Spot::Template(at, name, pipe) => {
                let pipe = pipe.map(|pipe| format!(" {}", pipe.told())).unwrap_or_default();
                (at, format!("{{{{template {name:?}{pipe}}}}}"))
            }
        };
        let before = self.template.text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rfind('\n').map_or(at, |newline| at - newline - 1);
        let name = &self.name;
        let place = format!("template: output:{line}:{column}: executing {name:?} at <{told}>");
        Err(Stop::Failed(format!("{place}: {text}")))
    }

    fn list(&mut self, dot: &Val<'a>, nodes: &'a [Node]) -> Done<()> {
        nodes.iter().try_for_each(|node| self.node(dot, node))
    }

    fn node(&mut self, dot: &Val<'a>, node: &'a Node) -> Done<()> {
        self.spend(1)?;
        match node {
            Node::Text(text) => {
                self.spend(text.len())?;
                self.out.push_str(text);
            }
            Node::Action(_, pipe) => {
                let value = self.pipe(dot, pipe)?;
                if pipe.variables.is_empty() {
                    let text = match value {
                        Val::Nothing => "<no value>".to_owned(),
                        value => value.told(),
                    };
                    self.spend(text.len())?;
                    self.out.push_str(&text);
                }
            }
            Node::If(branch) => self.branch(dot, branch, false)?,
            Node::With(branch) => self.branch(dot, branch, true)?,
            Node::Range(branch) => self.range(dot, branch)?,
            Node::Template(at, name, pipe) => self.template(dot, (*at, name, pipe.as_ref()))?,
            Node::Break => return Err(Stop::Break),
            Node::Continue => return Err(Stop::Continue),
        }
        Ok(())
    }

    fn branch(&mut self, dot: &Val<'a>, branch: &'a Branch, with: bool) -> Done<()> {
        let n_variables = self.variables.len();
        let value = self.pipe(dot, &branch.pipe)?;
        let done = if value.truth() {
            self.list(if with { &value } else { dot }, &branch.list)
        } else {
            branch.other.as_ref().map_or(Ok(()), |other| self.list(dot, other))
        };
        self.variables.truncate(n_variables);
        done
    }

    fn range(&mut self, dot: &Val<'a>, branch: &'a Branch) -> Done<()> {
        let n_variables = self.variables.len();
        let value = self.pipe(dot, &branch.pipe)?;
        let mark = self.variables.len();
        let mut is_empty = true;
        let many = branch.pipe.variables.len() > 1;
        let ended = match (&value, value.view()) {
            (Val::Int(_) | Val::Byte(_) | Val::Part(..), View::Int(count)) => {
                if many {
                    return self
                        .fail(format!("can't use {count} to iterate over more than one variable"));
                }
                (0..count).try_for_each(|n| {
                    is_empty = false;
                    self.round(branch, mark, (Val::Nothing, Val::Int(n)))
                })
            }
            (Val::Part(Value::Array(items), _), _) => {
                let mut rounds = items.iter().enumerate();
                rounds.try_for_each(|(n, item)| {
                    is_empty = false;
                    let index = Val::Int(i64::try_from(n).unwrap_or(i64::MAX));
                    self.round(branch, mark, (index, Val::child(item)))
                })
            }
            (Val::Items(items), _) => {
                let items: &'a [Value] = items;
                let mut rounds = items.iter().enumerate();
                rounds.try_for_each(|(n, item)| {
                    is_empty = false;
                    let index = Val::Int(i64::try_from(n).unwrap_or(i64::MAX));
                    self.round(branch, mark, (index, Val::child(item)))
                })
            }
            (Val::Part(Value::Object(map), _), _) => {
                let mut entries: Vec<(&'a String, &'a Value)> = map.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                let mut rounds = entries.into_iter();
                rounds.try_for_each(|(key, item)| {
                    is_empty = false;
                    self.round(branch, mark, (Val::text(key), Val::child(item)))
                })
            }
            (_, View::Nothing | View::Null) => Ok(()),
            _ => {
                let told = value.told();
                return self.fail(format!("range can't iterate over {told}"));
            }
        };
        match ended {
            Ok(()) | Err(Stop::Break) => {}
            Err(stop) => return Err(stop),
        }
        if is_empty && let Some(other) = &branch.other {
            self.list(dot, other)?;
        }
        self.variables.truncate(n_variables);
        Ok(())
    }

    fn round(
        &mut self,
        branch: &'a Branch,
        mark: usize,
        (index, item): (Val<'a>, Val<'a>),
    ) -> Done<()> {
        self.spend(ROUND)?;
        let names = &branch.pipe.variables;
        match names.as_slice() {
            [] => {}
            [one] if branch.pipe.assigns => self.assign(one, item.clone())?,
            [first, second, ..] if branch.pipe.assigns => {
                self.assign(first, index)?;
                self.assign(second, item.clone())?;
            }
            [_] => self.set_top(1, item.clone()),
            [_, _, ..] => {
                self.set_top(1, item.clone());
                self.set_top(2, index);
            }
        }
        let done = self.list(&item, &branch.list);
        self.variables.truncate(mark);
        match done {
            Err(Stop::Continue) => Ok(()),
            other => other,
        }
    }

    fn set_top(&mut self, from_end: usize, value: Val<'a>) {
        let at = self.variables.len().checked_sub(from_end);
        if let Some((_, known)) = at.and_then(|at| self.variables.get_mut(at)) {
            *known = value;
        }
    }

    fn assign(&mut self, name: &str, value: Val<'a>) -> Done<()> {
        let floor = self.floor;
        let mut own = self.variables.iter_mut().skip(floor).rev();
        match own.find(|(known, _)| known == name) {
            Some((_, known)) => {
                *known = value;
                Ok(())
            }
            None => self.fail(format!("undefined variable: {name}")),
        }
    }

    fn variable(&self, name: &str) -> Done<Val<'a>> {
        let own = self.variables.iter().skip(self.floor).rev();
        match own.into_iter().find(|(known, _)| known == name) {
            Some((_, value)) => Ok(value.clone()),
            None => self.fail(format!("undefined variable: {name}")),
        }
    }

    fn template(
        &mut self,
        dot: &Val<'a>,
        (at, name, pipe): (usize, &'a str, Option<&'a Pipe>),
    ) -> Done<()> {
        self.spot = Spot::Template(at, name, pipe);
        let nodes = match self.template.defined.get(name) {
            Some(nodes) => nodes,
            None if name == "output" => &self.template.root,
            None => return self.fail(format!("template {name:?} not defined")),
        };
        if self.depth >= MAX_DEPTH {
            return self.fail("exceeded maximum template depth (100000)");
        }
        let inner = match pipe {
            Some(pipe) => self.pipe(dot, pipe)?,
            None => Val::Nothing,
        };
        let floor = std::mem::replace(&mut self.floor, self.variables.len());
        let caller = std::mem::replace(&mut self.name, name.to_owned());
        self.variables.push(("$".to_owned(), inner.clone()));
        self.depth += 1;
        self.list(&inner, nodes)?;
        self.depth -= 1;
        self.name = caller;
        self.variables.truncate(self.floor);
        self.floor = floor;
        Ok(())
    }

    fn pipe(&mut self, dot: &Val<'a>, pipe: &'a Pipe) -> Done<Val<'a>> {
        self.spot = Spot::Pipe(pipe);
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(dot, command, value)?.unboxed());
        }
        let value = value.unwrap_or(Val::Nothing);
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, value.clone())?;
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn command(
        &mut self,
        dot: &Val<'a>,
        command: &'a Command,
        last: Option<Val<'a>>,
    ) -> Done<Val<'a>> {
        self.spend(1)?;
        let Some((first, rest)) = command.args.split_first() else { return Ok(Val::Nothing) };
        let has_args = !rest.is_empty() || last.is_some();
        if let Arg::Function(_, name) = first {
            self.spot = Spot::Arg(first);
            return self.call(dot, name, (rest, last), Spot::Command(command));
        }
        if !matches!(first, Arg::Pipe(_)) {
            self.spot = Spot::Arg(first);
        }
        match first {
            Arg::Field(..) | Arg::Chain(..) => self.arg_with(dot, first, has_args),
            Arg::Variable(_, names) if names.len() > 1 => self.arg_with(dot, first, has_args),
            _ if has_args => {
                let told = first.told();
                self.fail(format!("can't give argument to non-function {told}"))
            }
            Arg::Nil(_) => self.fail("nil is not a command"),
            _ => self.arg(dot, first),
        }
    }

    /// An argument's value.
    fn arg(&mut self, dot: &Val<'a>, arg: &'a Arg) -> Done<Val<'a>> {
        self.arg_with(dot, arg, false)
    }

    fn arg_with(&mut self, dot: &Val<'a>, arg: &'a Arg, has_args: bool) -> Done<Val<'a>> {
        self.spot = Spot::Arg(arg);
        match arg {
            Arg::Bool(_, truth) => Ok(Val::Bool(*truth)),
            Arg::Dot(_) => Ok(dot.clone()),
            Arg::Nil(_) => Ok(Val::Nothing),
            Arg::Number(_, _, Number::Int(number)) => Ok(Val::Int(*number)),
            Arg::Number(_, _, Number::Float(number)) => Ok(Val::Float(*number)),
            Arg::Number(_, written, Number::Large) => self.fail(format!("{written} overflows int")),
            Arg::Text(_, _, text) => Ok(Val::text(text)),
            Arg::Field(_, names) => self.fields(dot.clone(), names, has_args),
            Arg::Variable(_, names) => {
                let Some((name, fields)) = names.split_first() else { return Ok(Val::Nothing) };
                let value = self.variable(name)?;
                self.fields(value, fields, has_args)
            }
            Arg::Function(_, name) => self.call(dot, name, (&[], None), Spot::Arg(arg)),
            Arg::Pipe(pipe) => self.pipe(dot, pipe),
            Arg::Chain(_, inner, fields) => {
                if matches!(**inner, Arg::Nil(_)) {
                    let told = arg.told();
                    return self.fail(format!("indirection through explicit nil in {told}"));
                }
                let value = self.arg(dot, inner)?;
                self.fields(value, fields, has_args)
            }
        }
    }

    fn fields(&mut self, mut value: Val<'a>, names: &'a [String], has_args: bool) -> Done<Val<'a>> {
        for (n, name) in names.iter().enumerate() {
            value = self.field(&value, name, has_args && n + 1 == names.len())?;
        }
        Ok(value)
    }

    fn field(&mut self, value: &Val<'a>, name: &str, has_args: bool) -> Done<Val<'a>> {
        let kind = value.kind();
        match value {
            Val::Nothing => match self.missing {
                Missing::Allowed => Ok(Val::Nothing),
                Missing::Refused => self.fail(format!("nil data; no entry for key {name:?}")),
            },
            Val::Part(Value::Null, _) => self.fail(format!("nil pointer evaluating {kind}.{name}")),
            Val::Part(Value::Object(_), _) if has_args => {
                self.fail(format!("{name} is not a method but has arguments"))
            }
            Val::Part(Value::Object(map), _) => match (map.get(name), self.missing) {
                (Some(inner), _) => Ok(Val::child(inner)),
                (None, Missing::Allowed) => Ok(Val::Nothing),
                (None, Missing::Refused) => self.fail(format!("map has no entry for key {name:?}")),
            },
            _ => self.fail(format!("can't evaluate field {name} in type {kind}")),
        }
    }

    /// Calls a function with its arguments and what came through the pipe.
    fn call(
        &mut self,
        dot: &Val<'a>,
        name: &str,
        (args, last): (&'a [Arg], Option<Val<'a>>),
        whole: Spot<'a>,
    ) -> Done<Val<'a>> {
        let given = args.len() + usize::from(last.is_some());
        let (least, most) = functions::arity(name);
        match most {
            None if given < least => {
                let args = args.len();
                let text =
                    format!("wrong number of args for {name}: want at least {least} got {args}");
                return self.fail(text);
            }
            Some(most) if given != most => {
                return self
                    .fail(format!("wrong number of args for {name}: want {most} got {given}"));
            }
            _ => {}
        }
        if name == "and" || name == "or" {
            let mut value = Val::Nothing;
            for arg in args {
                value = self.arg(dot, arg)?;
                if value.truth() == (name == "or") {
                    return Ok(value);
                }
            }
            return Ok(last.unwrap_or(value));
        }
        let mut values = Vec::with_capacity(given);
        for (n, arg) in args.iter().enumerate() {
            let wants_text = n == 0 && ["printf", "base64decode"].contains(&name);
            let value = self.arg(dot, arg)?;
            self.spot = Spot::Arg(arg);
            values.push(if wants_text { self.as_text(value, Some(arg))? } else { value });
        }
        if let Some(last) = last {
            let wants_text = values.is_empty() && ["printf", "base64decode"].contains(&name);
            values.push(if wants_text { self.as_text(last, None)? } else { last });
        }
        if let ("call", Some(called)) = (name, values.first()) {
            let told = args.first().map_or_else(|| called.told(), Arg::told);
            self.spot = whole;
            return self.fail(match called.view() {
                View::Nothing | View::Null => "error calling call: call of nil".to_owned(),
                _ => {
                    let kind = called.inner_kind();
                    format!("error calling call: non-function {told} of type {kind}")
                }
            });
        }
        match functions::call(name, &values, self.left) {
            Ok(value) => {
                if let Val::Text(text) = &value {
                    self.spend(text.len())?;
                }
                Ok(value)
            }
            Err(text) => {
                self.spot = whole;
                self.fail(format!("error calling {name}: {text}"))
            }
        }
    }

    /// What a function that takes a text is given.
    fn as_text(&self, value: Val<'a>, arg: Option<&Arg>) -> Done<Val<'a>> {
        let constant = matches!(arg, Some(Arg::Bool(..) | Arg::Number(..)));
        match (value.view(), arg) {
            (View::Text(_), _) => Ok(value),
            (_, Some(Arg::Nil(_))) => self.fail("cannot assign nil to string"),
            (_, Some(arg)) if constant => {
                self.fail(format!("expected string; found {}", arg.told()))
            }
            (View::Nothing, _) => self.fail("invalid value; expected string"),
            _ => {
                let kind = if value.is_null() { value.kind() } else { value.inner_kind() };
                self.fail(format!("wrong type for value; expected string; got {kind}"))
            }
        }
    }
}

impl Arg {
    fn at(&self) -> usize {
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
    fn told(&self) -> String {
        let told = |arg: &Arg| match arg {
            Arg::Pipe(pipe) => format!("({})", pipe.told()),
            other => other.told(),
        };
        self.args.iter().map(told).collect::<Vec<_>>().join(" ")
    }
}

impl Pipe {
    fn told(&self) -> String {
        let mut told = self.variables.join(", ");
        if !self.variables.is_empty() {
            let _ = write!(told, " {} ", if self.assigns { "=" } else { ":=" });
        }
        let commands: Vec<String> = self.commands.iter().map(Command::told).collect();
        told + &commands.join(" | ")
    }
}
