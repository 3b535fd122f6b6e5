//! Pipelines: what their commands, fields and functions come to.

use serde_json::Value;

use super::spot::Spot;
use super::{Done, Missing, State};
use crate::deploy::gotemplate::functions;
use crate::deploy::gotemplate::literal::Number;
use crate::deploy::gotemplate::tree::{Arg, Command, Pipe};
use crate::deploy::gotemplate::value::{Val, View};

impl<'a> State<'a> {
    /// A pipeline's value; its variables are known from then on.
    pub fn pipe(&mut self, dot: &Val<'a>, pipe: &'a Pipe) -> Done<Val<'a>> {
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
