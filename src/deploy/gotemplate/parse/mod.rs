//! From tokens to a tree: texts, actions and what stands between them.

mod pipeline;

use std::collections::HashMap;

use super::lex::{Kind, Token, tokens};
use super::literal::unquoted;
use super::tree::{Branch, Node, Template};

/// Deeper trees are written by nobody.
const MAX_DEPTH: usize = 100;

/// Reads a template; the mistake is in Go's words.
pub fn parse(text: &str) -> Result<Template, String> {
    let mut parser = Parser {
        tokens: tokens(text),
        at: 0,
        line: 1,
        action_line: 0,
        ranges: 0,
        depth: 0,
        variables: vec!["$".to_owned()],
        defined: HashMap::new(),
    };
    let root = parser.whole()?;
    Ok(Template { text: text.to_owned(), root, defined: parser.defined })
}

/// How a list of nodes ended.
enum Ended {
    End,
    Else,
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    line: usize,
    action_line: usize,
    ranges: usize,
    depth: usize,
    variables: Vec<String>,
    defined: HashMap<String, Vec<Node>>,
}

type Read<T> = Result<T, String>;

impl Parser {
    fn next(&mut self) -> Token {
        let token = self.tokens.get(self.at).or(self.tokens.last()).cloned();
        self.at += 1;
        let end = Token { kind: Kind::End, at: 0, text: "EOF".to_owned(), line: self.line };
        let token = token.unwrap_or(end);
        self.line = token.line;
        token
    }

    fn back(&mut self) {
        self.at = self.at.saturating_sub(1);
    }

    fn next_word(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek(&mut self) -> Token {
        let token = self.next();
        self.back();
        token
    }

    fn peek_word(&mut self) -> Token {
        let token = self.next_word();
        self.back();
        token
    }

    fn error<T>(&self, text: impl std::fmt::Display) -> Read<T> {
        Err(format!("template: output:{}: {text}", self.line))
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Read<T> {
        if token.kind != Kind::Error {
            return self.error(format!("unexpected {} in {context}", token.told()));
        }
        let mut extra = String::new();
        if self.action_line != 0 && self.action_line != token.line {
            let started = format!(" started at output:{}", self.action_line);
            let action = if token.text.ends_with(" action") { "" } else { " in action" };
            extra = action.to_owned() + &started;
        }
        self.error(format!("{}{extra}", token.text))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Read<Token> {
        let token = self.next_word();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    fn whole(&mut self) -> Read<Vec<Node>> {
        let mut root = Vec::new();
        while self.peek().kind != Kind::End {
            if self.peek().kind == Kind::Left {
                let before = self.at;
                self.next();
                let token = self.next_word();
                if token.kind == Kind::Keyword && token.text == "define" {
                    self.definition()?;
                    continue;
                }
                self.at = before;
            }
            match self.text_or_action()? {
                Ok(node) => root.push(node),
                Err(Ended::End) => return self.error("unexpected {{end}}"),
                Err(Ended::Else) => return self.error("unexpected {{else}}"),
            }
        }
        Ok(root)
    }

    fn definition(&mut self) -> Read<()> {
        const CONTEXT: &str = "define clause";
        let token = self.next_word();
        let name = self.template_name(&token, CONTEXT)?;
        self.expect(Kind::Right, CONTEXT)?;
        self.define(name, CONTEXT)
    }

    /// Reads the body of a template of its own.
    fn define(&mut self, name: String, context: &str) -> Read<()> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (list, ended) = self.list()?;
        (self.variables, self.ranges) = (variables, ranges);
        if let Ended::Else = ended {
            return self.error(format!("unexpected {{{{else}}}} in {context}"));
        }
        let is_empty = |list: &[Node]| {
            list.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
        };
        match self.defined.get(&name) {
            Some(known) if !is_empty(known) => {
                if !is_empty(&list) {
                    let text = format!("template: multiple definition of template {name:?}");
                    return self.error(text);
                }
            }
            Some(_) | None => {
                self.defined.insert(name, list);
            }
        }
        Ok(())
    }

    fn list(&mut self) -> Read<(Vec<Node>, Ended)> {
        let mut list = Vec::new();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.error("max expression depth exceeded");
        }
        while self.peek_word().kind != Kind::End {
            match self.text_or_action()? {
                Ok(node) => list.push(node),
                Err(ended) => {
                    self.depth -= 1;
                    return Ok((list, ended));
                }
            }
        }
        self.next_word();
        self.error("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Read<Result<Node, Ended>> {
        let token = self.next_word();
        match token.kind {
            Kind::Text => Ok(Ok(Node::Text(token.text))),
            Kind::Left => {
                self.action_line = token.line;
                let read = self.action();
                self.action_line = 0;
                read
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Read<Result<Node, Ended>> {
        let token = self.next_word();
        if token.kind != Kind::Keyword {
            self.back();
            let pipe = self.pipeline("command", Kind::Right)?;
            return Ok(Ok(Node::Action(token.at, pipe)));
        }
        let node = match token.text.as_str() {
            "if" => Node::If(self.branch("if")?),
            "with" => Node::With(self.branch("with")?),
            "range" => Node::Range(self.branch("range")?),
            word @ ("break" | "continue") => {
                let after = self.next_word();
                let told = format!("{{{{{word}}}}}");
                if after.kind != Kind::Right {
                    return self.unexpected(&after, &told);
                }
                if self.ranges == 0 {
                    return self.error(format!("{told} outside {{{{range}}}}"));
                }
                if word == "break" { Node::Break } else { Node::Continue }
            }
            "end" => {
                self.expect(Kind::Right, "end")?;
                return Ok(Err(Ended::End));
            }
            "else" => {
                let after = self.peek_word();
                let chains = after.kind == Kind::Keyword && ["if", "with"].contains(&&*after.text);
                if !chains {
                    self.expect(Kind::Right, "else")?;
                }
                return Ok(Err(Ended::Else));
            }
            "template" => {
                let token = self.next_word();
                let name = self.template_name(&token, "template clause")?;
                let mut pipe = None;
                if self.next_word().kind != Kind::Right {
                    self.back();
                    pipe = Some(self.pipeline("template clause", Kind::Right)?);
                }
                Node::Template(token.at, name, pipe)
            }
            "block" => {
                const CONTEXT: &str = "block clause";
                let token = self.next_word();
                let name = self.template_name(&token, CONTEXT)?;
                let pipe = self.pipeline(CONTEXT, Kind::Right)?;
                self.define(name.clone(), CONTEXT)?;
                Node::Template(token.at, name, Some(pipe))
            }
            _ => {
                self.back();
                let pipe = self.pipeline("command", Kind::Right)?;
                Node::Action(token.at, pipe)
            }
        };
        Ok(Ok(node))
    }

    fn template_name(&mut self, token: &Token, context: &str) -> Read<String> {
        match token.kind {
            Kind::Quoted | Kind::Raw => self.unquoted(token),
            _ => self.unexpected(token, context),
        }
    }

    fn unquoted(&self, token: &Token) -> Read<String> {
        unquoted(&token.text).map_or_else(|| self.error("invalid syntax"), Ok)
    }

    fn branch(&mut self, context: &str) -> Read<Branch> {
        let n_variables = self.variables.len();
        let pipe = self.pipeline(context, Kind::Right)?;
        let in_range = usize::from(context == "range");
        self.ranges += in_range;
        let (list, ended) = self.list()?;
        self.ranges -= in_range;
        let other = match ended {
            Ended::End => None,
            Ended::Else => {
                let word = self.peek();
                let chains = word.kind == Kind::Keyword && word.text == context;
                if chains && context != "range" {
                    self.next();
                    self.depth += 1;
                    if self.depth > MAX_DEPTH {
                        return self.error("max expression depth exceeded");
                    }
                    let inner = self.branch(context)?;
                    self.depth -= 1;
                    let node = if context == "if" { Node::If } else { Node::With };
                    Some(vec![node(inner)])
                } else {
                    let (other, ended) = self.list()?;
                    if let Ended::Else = ended {
                        return self.error("expected end; found {{else}}");
                    }
                    Some(other)
                }
            }
        };
        self.variables.truncate(n_variables);
        Ok(Branch { pipe, list, other })
    }
}
