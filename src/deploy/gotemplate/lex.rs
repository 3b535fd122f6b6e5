//! A template taken apart into tokens, as Go's scanner does.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What stands outside of actions.
    Text,
    /// `{{`.
    Left,
    /// `}}`.
    Right,
    /// Blanks in an action.
    Space,
    /// `true`, `false`.
    Bool,
    /// A character that is none of the others.
    Char,
    /// `'a'`.
    CharConstant,
    /// A number.
    Number,
    /// A number with an imaginary part.
    Complex,
    /// `=`.
    Assign,
    /// `:=`.
    Declare,
    /// `|`.
    Pipe,
    /// `(`.
    LeftParen,
    /// `)`.
    RightParen,
    /// `.name`.
    Field,
    /// `$name`.
    Variable,
    /// `"text"`.
    Quoted,
    /// A text in back quotes.
    Raw,
    /// A function's name.
    Identifier,
    /// `.`.
    Dot,
    /// `nil`.
    Nil,
    /// `if`, `range`, `end`, …
    Keyword,
    /// The end.
    End,
    /// What cannot be read, in Go's words.
    Error,
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it begins, in bytes.
    pub at: usize,
    /// Its text.
    pub text: String,
    /// Its line, from 1.
    pub line: usize,
}

impl Token {
    /// The token as a message names it.
    pub fn told(&self) -> String {
        match self.kind {
            Kind::End => "EOF".to_owned(),
            Kind::Error => self.text.clone(),
            Kind::Keyword | Kind::Dot | Kind::Nil => format!("<{}>", self.text),
            _ if self.text.len() > 10 => {
                format!("{:?}...", self.text.chars().take(10).collect::<String>())
            }
            _ => format!("{:?}", self.text),
        }
    }
}

const KEYWORDS: [&str; 10] =
    ["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"];

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphabetic() || c.is_numeric()
}

/// Takes a template apart. The last token is the end, or an error.
pub fn tokens(input: &str) -> Vec<Token> {
    let mut lexer = Lexer { input, pos: 0, start: 0, parens: 0, tokens: Vec::new() };
    if let Err(text) = lexer.run() {
        lexer.tokens.push(Token { kind: Kind::Error, at: lexer.start, text, line: lexer.line() });
    }
    lexer.tokens
}

struct Lexer<'a> {
    input: &'a str,
    pos: usize,
    start: usize,
    parens: usize,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.input.get(self.pos..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn line(&self) -> usize {
        self.input.bytes().take(self.start).filter(|byte| *byte == b'\n').count() + 1
    }

    fn word(&self) -> &'a str {
        self.input.get(self.start..self.pos).unwrap_or_default()
    }

    fn emit(&mut self, kind: Kind) {
        let (at, text, line) = (self.start, self.word().to_owned(), self.line());
        self.tokens.push(Token { kind, at, text, line });
        self.start = self.pos;
    }

    fn run(&mut self) -> Result<(), String> {
        loop {
            let Some(to) = self.rest().find("{{") else {
                self.pos = self.input.len();
                if self.pos > self.start {
                    self.emit(Kind::Text);
                }
                self.emit(Kind::End);
                if let Some(end) = self.tokens.last_mut() {
                    "EOF".clone_into(&mut end.text);
                }
                return Ok(());
            };
            let open = self.pos + to;
            let after = self.input.get(open + 2..).unwrap_or_default();
            let trims =
                after.starts_with('-') && after.get(1..).is_some_and(|t| t.starts_with(is_space));
            let text = self.input.get(self.start..open).unwrap_or_default();
            let kept = if trims { text.trim_end_matches(is_space) } else { text };
            self.pos = self.start + kept.len();
            if !kept.is_empty() {
                self.emit(Kind::Text);
            }
            (self.start, self.pos) = (open, open + 2);
            let marker = if trims { 2 } else { 0 };
            if self.rest().get(marker..).is_some_and(|text| text.starts_with("/*")) {
                self.pos += marker;
                self.comment()?;
            } else {
                self.emit(Kind::Left);
                self.pos += marker;
                self.start = self.pos;
                self.parens = 0;
                self.action()?;
            }
        }
    }

    /// How long a right delimiter is that begins here, and whether blanks behind it go.
    fn right(&self) -> Option<(usize, bool)> {
        let rest = self.rest();
        if rest.starts_with(is_space) && rest.get(1..).is_some_and(|text| text.starts_with("-}}")) {
            return Some((4, true));
        }
        rest.starts_with("}}").then_some((2, false))
    }

    fn trim(&mut self) {
        let rest = self.rest();
        self.pos += rest.len() - rest.trim_start_matches(is_space).len();
        self.start = self.pos;
    }

    fn comment(&mut self) -> Result<(), String> {
        self.start = self.pos;
        self.pos += 2;
        let Some(end) = self.rest().find("*/") else { return Err("unclosed comment".to_owned()) };
        self.pos += end + 2;
        let Some((length, trims)) = self.right() else {
            return Err("comment ends before closing delimiter".to_owned());
        };
        self.pos += length;
        self.start = self.pos;
        if trims {
            self.trim();
        }
        Ok(())
    }

    /// The tokens up to the right delimiter.
    fn action(&mut self) -> Result<(), String> {
        loop {
            if let Some((length, trims)) = self.right() {
                if self.parens > 0 {
                    return Err("unclosed left paren".to_owned());
                }
                self.pos += length;
                self.start = self.pos - 2;
                self.emit(Kind::Right);
                if trims {
                    self.trim();
                }
                return Ok(());
            }
            let Some(c) = self.next() else { return Err("unclosed action".to_owned()) };
            match c {
                c if is_space(c) => self.space(),
                '=' => self.emit(Kind::Assign),
                ':' => {
                    if self.next() != Some('=') {
                        return Err("expected :=".to_owned());
                    }
                    self.emit(Kind::Declare);
                }
                '|' => self.emit(Kind::Pipe),
                '"' => self.quoted('"', Kind::Quoted, "unterminated quoted string")?,
                '\'' => self.quoted('\'', Kind::CharConstant, "unterminated character constant")?,
                '`' => {
                    let Some(end) = self.rest().find('`') else {
                        return Err("unterminated raw quoted string".to_owned());
                    };
                    self.pos += end + 1;
                    self.emit(Kind::Raw);
                }
                '$' => self.name(Kind::Variable)?,
                '.' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                    self.name(Kind::Field)?;
                }
                '.' | '+' | '-' | '0'..='9' => {
                    self.pos = self.start;
                    self.number()?;
                }
                '(' => {
                    self.parens += 1;
                    self.emit(Kind::LeftParen);
                }
                ')' => {
                    let Some(parens) = self.parens.checked_sub(1) else {
                        return Err("unexpected right paren".to_owned());
                    };
                    self.parens = parens;
                    self.emit(Kind::RightParen);
                }
                c if is_word(c) => self.identifier()?,
                c if c.is_ascii_graphic() => self.emit(Kind::Char),
                c => return Err(format!("unrecognized character in action: {}", unicode(c))),
            }
        }
    }

    fn space(&mut self) {
        while self.right().is_none() && self.peek().is_some_and(is_space) {
            self.next();
        }
        // Of ` -}}` the blank belongs to the delimiter: it is seen from one before.
        if self.rest().starts_with("-}}") {
            self.pos -= 1;
        }
        if self.pos > self.start {
            self.emit(Kind::Space);
        }
    }

    fn ends_word(&self) -> bool {
        let ends = |c: char| is_space(c) || matches!(c, '.' | ',' | '|' | ':' | ')' | '(');
        self.peek().is_none_or(ends) || self.rest().starts_with("}}")
    }

    fn bad(&self) -> String {
        format!("bad character {}", self.peek().map(unicode).unwrap_or_default())
    }

    fn name(&mut self, kind: Kind) -> Result<(), String> {
        if self.ends_word() {
            self.emit(if kind == Kind::Field { Kind::Dot } else { kind });
            return Ok(());
        }
        while self.peek().is_some_and(is_word) {
            self.next();
        }
        if !self.ends_word() {
            return Err(self.bad());
        }
        self.emit(kind);
        Ok(())
    }

    fn identifier(&mut self) -> Result<(), String> {
        while self.peek().is_some_and(is_word) {
            self.next();
        }
        if !self.ends_word() {
            return Err(self.bad());
        }
        let kind = match self.word() {
            "true" | "false" => Kind::Bool,
            "nil" => Kind::Nil,
            word if KEYWORDS.contains(&word) => Kind::Keyword,
            _ => Kind::Identifier,
        };
        self.emit(kind);
        Ok(())
    }

    fn quoted(&mut self, quote: char, kind: Kind, unclosed: &str) -> Result<(), String> {
        loop {
            match self.next() {
                Some('\\') => {
                    if matches!(self.next(), None | Some('\n')) {
                        return Err(unclosed.to_owned());
                    }
                }
                None | Some('\n') => return Err(unclosed.to_owned()),
                Some(c) if c == quote => break,
                Some(_) => {}
            }
        }
        self.emit(kind);
        Ok(())
    }

    fn accept(&mut self, any: &str) -> bool {
        let fits = self.peek().is_some_and(|c| any.contains(c));
        if fits {
            self.next();
        }
        fits
    }

    fn run_of(&mut self, any: &str) {
        while self.accept(any) {}
    }

    fn number(&mut self) -> Result<(), String> {
        let bad = |lexer: &Self| format!("bad number syntax: {:?}", lexer.word());
        if !self.scan_number() {
            return Err(bad(self));
        }
        if matches!(self.peek(), Some('+' | '-')) {
            if !self.scan_number() || !self.word().ends_with('i') {
                return Err(bad(self));
            }
            self.emit(Kind::Complex);
        } else {
            self.emit(Kind::Number);
        }
        Ok(())
    }

    fn scan_number(&mut self) -> bool {
        const DECIMAL: &str = "0123456789_";
        const HEX: &str = "0123456789abcdefABCDEF_";
        self.accept("+-");
        let mut digits = DECIMAL;
        if self.accept("0") {
            if self.accept("xX") {
                digits = HEX;
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.run_of(digits);
        if self.accept(".") {
            self.run_of(digits);
        }
        for (of, exponent) in [(DECIMAL, "eE"), (HEX, "pP")] {
            if digits == of && self.accept(exponent) {
                self.accept("+-");
                self.run_of(DECIMAL);
            }
        }
        self.accept("i");
        if self.peek().is_some_and(is_word) {
            self.next();
            return false;
        }
        true
    }
}

/// A character as Go's `%#U` writes it.
fn unicode(c: char) -> String {
    let code = format!("U+{:04X}", u32::from(c));
    if c.is_control() { code } else { format!("{code} '{c}'") }
}
