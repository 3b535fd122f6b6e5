//! A template applied to an object, node by node.

mod pipeline;
mod spot;

use serde_json::Value;

use super::tree::{Branch, Node, Pipe, Template};
use super::value::{Val, View};
use spot::Spot;

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
        let place = self.spot.place(&self.template.text, &self.name);
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
}
