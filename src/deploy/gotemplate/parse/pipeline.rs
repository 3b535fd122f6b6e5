//! Pipelines: what stands in an action, from its tokens to its commands and their parts.

use super::{MAX_DEPTH, Parser, Read};
use crate::deploy::gotemplate::lex::Kind;
use crate::deploy::gotemplate::literal::number;
use crate::deploy::gotemplate::tree::{Arg, Command, Pipe};

/// The functions that a template may call.
const FUNCTIONS: [&str; 20] = [
    "and",
    "call",
    "html",
    "index",
    "slice",
    "js",
    "len",
    "not",
    "or",
    "print",
    "printf",
    "println",
    "urlquery",
    "eq",
    "ge",
    "gt",
    "le",
    "lt",
    "ne",
    "base64decode",
];

impl Parser {
    /// Reads a pipeline up to its end.
    pub fn pipeline(&mut self, context: &str, end: Kind) -> Read<Pipe> {
        let mut pipe = Pipe { at: self.peek_word().at, ..Pipe::default() };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.next_word();
            match token.kind {
                kind if kind == end => {
                    if pipe.commands.is_empty() {
                        return self.error(format!("missing value for {context}"));
                    }
                    let mut later = pipe.commands.iter().enumerate().skip(1);
                    let stuck = later.find(|(_, command)| {
                        matches!(
                            command.args.first(),
                            Some(
                                Arg::Bool(..)
                                    | Arg::Dot(_)
                                    | Arg::Nil(_)
                                    | Arg::Number(..)
                                    | Arg::Text(..)
                            )
                        )
                    });
                    if let Some((n, _)) = stuck {
                        let text = format!("non executable command in pipeline stage {}", n + 1);
                        return self.error(text);
                    }
                    return Ok(pipe);
                }
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::Raw
                | Kind::Quoted
                | Kind::Variable
                | Kind::LeftParen => {
                    self.back();
                    pipe.commands.push(self.command()?);
                }
                _ => return self.unexpected(&token, context),
            }
        }
    }

    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Read<()> {
        loop {
            let before = self.at;
            let variable = self.next_word();
            if variable.kind != Kind::Variable {
                self.at = before;
                return Ok(());
            }
            let next = self.next_word();
            match (next.kind, next.text.as_str()) {
                (Kind::Assign | Kind::Declare, _) => {
                    pipe.assigns = next.kind == Kind::Assign;
                    pipe.variables.push(variable.text.clone());
                    self.variables.push(variable.text);
                    return Ok(());
                }
                (Kind::Char, ",") => {
                    pipe.variables.push(variable.text.clone());
                    self.variables.push(variable.text);
                    if context != "range" || pipe.variables.len() >= 2 {
                        return self.error(format!("too many declarations in {context}"));
                    }
                    let after = self.peek_word().kind;
                    if !matches!(after, Kind::Variable | Kind::Right | Kind::RightParen) {
                        return self.error("range can only initialize variables");
                    }
                }
                _ => {
                    self.at = before;
                    return Ok(());
                }
            }
        }
    }

    fn command(&mut self) -> Read<Command> {
        let mut command = Command { at: self.peek_word().at, args: Vec::new() };
        loop {
            self.peek_word();
            if let Some(arg) = self.operand()? {
                command.args.push(arg);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::Right | Kind::RightParen => self.back(),
                Kind::Pipe => {}
                _ => return self.unexpected(&token, "operand"),
            }
            break;
        }
        if command.args.is_empty() {
            return self.error("empty command");
        }
        Ok(command)
    }

    fn operand(&mut self) -> Read<Option<Arg>> {
        let Some(term) = self.term()? else { return Ok(None) };
        if self.peek().kind != Kind::Field {
            return Ok(Some(term));
        }
        let at = self.peek().at;
        let mut more = Vec::new();
        while self.peek().kind == Kind::Field {
            let token = self.next();
            more.push(token.text.get(1..).unwrap_or_default().to_owned());
        }
        Ok(Some(match term {
            Arg::Field(_, mut names) => {
                names.extend(more);
                Arg::Field(at, names)
            }
            Arg::Variable(_, mut names) => {
                names.extend(more);
                Arg::Variable(at, names)
            }
            plain @ (Arg::Bool(..)
            | Arg::Text(..)
            | Arg::Number(..)
            | Arg::Nil(_)
            | Arg::Dot(_)) => {
                return self.error(format!("unexpected . after term {:?}", plain.told()));
            }
            other @ (Arg::Function(..) | Arg::Pipe(_) | Arg::Chain(..)) => {
                Arg::Chain(at, Box::new(other), more)
            }
        }))
    }

    fn term(&mut self) -> Read<Option<Arg>> {
        let token = self.next_word();
        let at = token.at;
        Ok(Some(match token.kind {
            Kind::Identifier => {
                if !FUNCTIONS.contains(&token.text.as_str()) && token.text != "exists" {
                    return self.error(format!("function {:?} not defined", token.text));
                }
                Arg::Function(at, token.text)
            }
            Kind::Dot => Arg::Dot(at),
            Kind::Nil => Arg::Nil(at),
            Kind::Variable => {
                if !self.variables.contains(&token.text) {
                    return self.error(format!("undefined variable {:?}", token.text));
                }
                Arg::Variable(at, vec![token.text])
            }
            Kind::Field => Arg::Field(at, vec![token.text.get(1..).unwrap_or_default().to_owned()]),
            Kind::Bool => Arg::Bool(at, token.text == "true"),
            Kind::CharConstant | Kind::Number | Kind::Complex => match number(&token.text) {
                Some(number) => Arg::Number(at, token.text, number),
                None if token.kind == Kind::CharConstant => {
                    return self.error(format!("malformed character constant: {}", token.text));
                }
                None => return self.error(format!("illegal number syntax: {:?}", token.text)),
            },
            Kind::LeftParen => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return self.error("max expression depth exceeded");
                }
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                self.depth -= 1;
                Arg::Pipe(pipe)
            }
            Kind::Quoted | Kind::Raw => {
                let text = self.unquoted(&token)?;
                Arg::Text(at, token.text, text)
            }
            _ => {
                self.back();
                return Ok(None);
            }
        }))
    }
}
