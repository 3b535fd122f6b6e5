//! From a template's text to its nodes.

use std::sync::LazyLock;

use regex::Regex;

/// A parsed template: texts and actions in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    pub(super) nodes: Vec<Node>,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// What stands between braces.
    List(Vec<Node>),
    /// Text, or a quoted text inside of an action.
    Text(String),
    /// `.name`.
    Field(String),
    /// `[1:2:3]`.
    Slice([Param; 3]),
    /// `[?(@.a==1)]`; without an operator: exists.
    Filter {
        /// What is compared.
        left: Vec<Node>,
        /// With what.
        right: Vec<Node>,
        /// How; `exists` when not at all.
        operator: String,
    },
    /// A number.
    Int(i64),
    /// A number with a point.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// `.*`.
    Wildcard,
    /// `..`.
    Recursive,
    /// `[0,2]`, `['a','b']`.
    Union(Vec<Vec<Node>>),
    /// `range`, `end`.
    Identifier(String),
}

/// One of the three numbers of a slice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Param {
    /// The number.
    pub value: i64,
    /// True when it was written, or follows from what was written.
    pub known: bool,
    /// True when it follows from the first.
    pub derived: bool,
}

/// `name.sub`, `.name.sub`, `{name.sub}` as the full form `{.name.sub}`.
pub fn relaxed(path: &str) -> Result<String, String> {
    static SHAPE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^\{\.?([^{}]+)\}$|^\.?([^{}]+)$").ok());
    if path.is_empty() {
        return Ok(String::new());
    }
    let parts = SHAPE.as_ref().and_then(|shape| shape.captures(path)).ok_or_else(|| {
        "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or \
         '{.name1.name2}'"
            .to_owned()
    })?;
    let spec = parts.get(1).or_else(|| parts.get(2)).map_or("", |part| part.as_str());
    Ok(format!("{{.{spec}}}"))
}

impl Template {
    /// Parses a template.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { text: text.chars().collect(), at: 0, start: 0, depth: 0 };
        Ok(Self { nodes: parser.template()? })
    }
}

const MAX_DEPTH: usize = 50;

struct Parser {
    text: Vec<char>,
    at: usize,
    start: usize,
    depth: usize,
}

fn ends_name(c: Option<char>) -> bool {
    c.is_none_or(|c| " \t\r\n.,[]$@{}".contains(c))
}

impl Parser {
    fn next(&mut self) -> Option<char> {
        let c = self.text.get(self.at).copied();
        self.at += usize::from(c.is_some());
        c
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn starts_with(&self, prefix: &str) -> bool {
        prefix.chars().enumerate().all(|(n, c)| self.text.get(self.at + n) == Some(&c))
    }

    fn consume(&mut self) -> String {
        let text = self.text.get(self.start..self.at).unwrap_or_default().iter().collect();
        self.start = self.at;
        text
    }

    fn template(&mut self) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        loop {
            if self.peek() == Some('{') {
                if self.at > self.start {
                    nodes.push(Node::Text(self.consume()));
                }
                self.at += 1;
                self.consume();
                nodes.push(Node::List(self.action()?));
            } else if self.next().is_none() {
                break;
            }
        }
        if self.at > self.start {
            nodes.push(Node::Text(self.consume()));
        }
        Ok(nodes)
    }

    /// A part of an action as an action of its own.
    fn inner(&self, text: &str) -> Result<Vec<Node>, String> {
        if self.depth >= MAX_DEPTH {
            return Err("template is nested too deep".to_owned());
        }
        let text = format!("{{{text}}}");
        let mut parser =
            Self { text: text.chars().collect(), at: 0, start: 0, depth: self.depth + 1 };
        match parser.template()?.into_iter().next() {
            Some(Node::List(nodes)) => Ok(nodes),
            _ => Ok(Vec::new()),
        }
    }

    fn action(&mut self) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        loop {
            if self.starts_with("}") {
                self.at += 1;
                self.consume();
                return Ok(nodes);
            }
            if self.starts_with("[?(") {
                self.at += 3;
                nodes.push(self.filter()?);
                continue;
            }
            if self.starts_with("..") {
                self.recursive(&mut nodes)?;
                continue;
            }
            match self.next() {
                None | Some('\r' | '\n') => return Err("unclosed action".to_owned()),
                Some(' ' | '@' | '$') => {
                    self.consume();
                }
                Some('[') => self.array(&mut nodes)?,
                Some(quote @ ('"' | '\'')) => nodes.push(self.quoted(quote)?),
                Some('.') => nodes.push(self.field()),
                Some(c) if c == '+' || c == '-' || c.is_ascii_digit() => {
                    self.at -= 1;
                    nodes.push(self.number()?);
                }
                Some(c) if c == '_' || c.is_alphanumeric() => {
                    self.at -= 1;
                    nodes.push(self.identifier());
                }
                Some(c) => {
                    return Err(format!(
                        "unrecognized character in action: U+{:04X} '{c}'",
                        u32::from(c)
                    ));
                }
            }
        }
    }

    fn recursive(&mut self, nodes: &mut Vec<Node>) -> Result<(), String> {
        if nodes.last() == Some(&Node::Recursive) {
            return Err("invalid multiple recursive descent".to_owned());
        }
        self.at += 2;
        self.consume();
        nodes.push(Node::Recursive);
        if self.peek().is_some_and(|c| c == '_' || c.is_alphanumeric()) {
            nodes.push(self.field());
        }
        Ok(())
    }

    fn identifier(&mut self) -> Node {
        while !ends_name(self.peek()) {
            self.at += 1;
        }
        match self.consume().as_str() {
            "true" => Node::Bool(true),
            "false" => Node::Bool(false),
            name => Node::Identifier(name.to_owned()),
        }
    }

    fn number(&mut self) -> Result<Node, String> {
        if matches!(self.peek(), Some('+' | '-')) {
            self.at += 1;
        }
        while self.peek().is_some_and(|c| c == '.' || c.is_ascii_digit()) {
            self.at += 1;
        }
        let text = self.consume();
        if let Ok(number) = text.parse() {
            return Ok(Node::Int(number));
        }
        text.parse().map(Node::Float).map_err(|_| format!("cannot parse number {text}"))
    }

    fn field(&mut self) -> Node {
        self.consume();
        while !ends_name(self.peek()) {
            if self.next() == Some('\\') {
                self.next();
            }
        }
        match self.consume().as_str() {
            "*" => Node::Wildcard,
            name => Node::Field(name.replace('\\', "")),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Node, String> {
        loop {
            match self.next() {
                None | Some('\n') => return Err("unterminated quoted string".to_owned()),
                Some(c) if c == quote => {
                    if self.at < 2 || self.text.get(self.at - 2) != Some(&'\\') {
                        break;
                    }
                }
                Some(_) => {}
            }
        }
        let text = self.consume();
        unquoted(&text, quote)
            .map(Node::Text)
            .ok_or_else(|| format!("unquote string {text} error invalid syntax"))
    }

    fn filter(&mut self) -> Result<Node, String> {
        static PARTS: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r"^([^!<>=]+)([!<>=]+)(.+?)$").ok());
        self.consume();
        let (mut begin, mut end, mut pair) = (false, false, ' ');
        loop {
            match self.next() {
                None | Some('\n') => return Err("unterminated filter".to_owned()),
                Some(c @ ('"' | '\'')) => {
                    if !begin {
                        begin = true;
                        pair = c;
                    } else if c == pair && self.text.get(self.at.saturating_sub(2)) != Some(&'\\') {
                        end = true;
                    }
                }
                Some(')') if begin == end => break,
                Some(_) => {}
            }
        }
        if self.next() != Some(']') {
            return Err("unclosed array expect ]".to_owned());
        }
        let text = self.consume();
        let text = text.strip_suffix(")]").unwrap_or(&text);
        match PARTS.as_ref().and_then(|parts| parts.captures(text)) {
            Some(parts) => Ok(Node::Filter {
                left: self.inner(parts.get(1).map_or("", |part| part.as_str()))?,
                right: self.inner(parts.get(3).map_or("", |part| part.as_str()))?,
                operator: parts.get(2).map_or("", |part| part.as_str()).to_owned(),
            }),
            None => Ok(Node::Filter {
                left: self.inner(text)?,
                right: Vec::new(),
                operator: "exists".to_owned(),
            }),
        }
    }

    fn array(&mut self, nodes: &mut Vec<Node>) -> Result<(), String> {
        loop {
            match self.next() {
                None | Some('\n') => return Err("unterminated array".to_owned()),
                Some(']') => break,
                Some(_) => {}
            }
        }
        let text = self.consume();
        let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(&text);
        let text = if text == "*" { ":" } else { text };
        if text.contains(',') {
            let parts =
                text.split(',').map(|part| self.inner(&format!("[{}]", part.trim_matches(' '))));
            nodes.push(Node::Union(parts.collect::<Result<_, _>>()?));
            return Ok(());
        }
        if let Some(key) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''))
            && !key.contains('\'')
        {
            nodes.extend(self.inner(&format!(".{key}"))?);
            return Ok(());
        }
        nodes.push(Node::Slice(slice(text)?));
        Ok(())
    }
}

fn slice(text: &str) -> Result<[Param; 3], String> {
    static SHAPE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^(-?[0-9]*)(:-?[0-9]*)?(:-?[0-9]*)?$").ok());
    let parts = SHAPE
        .as_ref()
        .and_then(|shape| shape.captures(text))
        .ok_or_else(|| format!("invalid array index {text}"))?;
    let mut params = [Param::default(); 3];
    let mut first = 0;
    for (n, param) in params.iter_mut().enumerate() {
        let written = parts.get(n + 1).map_or("", |part| part.as_str());
        if written.is_empty() {
            if n == 1 {
                *param = Param { value: first + 1, known: true, derived: true };
            }
            continue;
        }
        let written = if n > 0 { written.get(1..).unwrap_or_default() } else { written };
        if n > 0 && written.is_empty() {
            continue;
        }
        let value =
            written.parse().map_err(|_| format!("array index {written} is not a number"))?;
        *param = Param { value, known: true, derived: false };
        if n == 0 {
            first = value;
        }
    }
    Ok(params)
}

/// Go's unquoting, for single quotes too.
pub fn unquoted(text: &str, quote: char) -> Option<String> {
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut unquoted = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            unquoted.push(c);
            continue;
        }
        unquoted.push(match chars.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '\\' => '\\',
            c @ ('\'' | '"') if c == quote => c,
            'x' => hex(&mut chars, 2)?,
            'u' => hex(&mut chars, 4)?,
            'U' => hex(&mut chars, 8)?,
            _ => return None,
        });
    }
    Some(unquoted)
}

fn hex(chars: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let text: String = chars.take(digits).collect();
    (text.len() == digits).then_some(())?;
    char::from_u32(u32::from_str_radix(&text, 16).ok()?)
}
