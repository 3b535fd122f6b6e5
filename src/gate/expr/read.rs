//! From a text to an expression.

use super::{Binary, Expr, Unary};

/// Operators that bind alike, loosest first; longer signs before their beginnings.
const LEVELS: &[&[(&str, Binary)]] = &[
    &[("||", Binary::Or), ("or ", Binary::Or)],
    &[("&&", Binary::And), ("and ", Binary::And)],
    &[
        ("==", Binary::Equal),
        ("!=", Binary::Unequal),
        ("<=", Binary::LessOrEqual),
        (">=", Binary::GreaterOrEqual),
        ("<", Binary::Less),
        (">", Binary::Greater),
    ],
    &[("+", Binary::Plus), ("-", Binary::Minus)],
    &[("*", Binary::Times), ("/", Binary::Over)],
];
const FUNCTIONS: &[(&str, usize)] = &[
    ("len", 1),
    ("all", 2),
    ("any", 2),
    ("none", 2),
    ("isNaN", 1),
    ("isInf", 1),
    ("default", 2),
    ("asFloat", 1),
    ("asInt", 1),
    ("abs", 1),
    ("max", 1),
    ("min", 1),
    ("sum", 1),
    ("mean", 1),
];
/// More are nobody's expression.
const OPERATORS: usize = 200;
/// Deeper is nobody's expression; it also has to fit into what is sent to the driver, where each of
/// them is two deep.
const DEPTH: usize = 40;

impl Expr {
    /// Reads an expression that may use these names.
    pub fn parse(text: &str, names: &[&str]) -> Result<Self, String> {
        let mut reader = Reader { text, rest: text.trim_start(), names, depth: 0, n_operators: 0 };
        let expr = reader.level(0)?;
        if !reader.rest.is_empty() {
            return Err(reader.wrong("an operator"));
        }
        if expr.height() > DEPTH { Err(too_deep()) } else { Ok(expr) }
    }
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    names: &'a [&'a str],
    depth: usize,
    n_operators: usize,
}

fn too_deep() -> String {
    "the expression is too deep".to_owned()
}

impl Reader<'_> {
    fn wrong(&self, expected: &str) -> String {
        let at = match self.rest.chars().take(12).collect::<String>() {
            rest if rest.is_empty() => "its end".to_owned(),
            rest => format!("`{rest}`"),
        };
        format!("`{}` cannot be read: {expected} is expected at {at}", self.text)
    }

    fn skip(&mut self, n: usize) {
        self.rest = self.rest.get(n..).unwrap_or_default().trim_start();
    }

    fn take(&mut self, sign: &str) -> bool {
        let is_there = self.rest.starts_with(sign);
        if is_there {
            self.skip(sign.len());
        }
        is_there
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.take(sign) { Ok(()) } else { Err(self.wrong(&format!("`{sign}`"))) }
    }

    fn level(&mut self, n: usize) -> Result<Expr, String> {
        let Some(operators) = LEVELS.get(n) else { return self.unary() };
        let mut left = self.level(n + 1)?;
        loop {
            let found = operators.iter().find(|(sign, _)| self.rest.starts_with(sign));
            let Some((sign, operator)) = found else { return Ok(left) };
            self.skip(sign.len());
            self.n_operators += 1;
            if self.n_operators > OPERATORS {
                return Err(format!("the expression is too long: {OPERATORS} operators at most"));
            }
            let right = self.level(n + 1)?;
            left = Expr::Binary(*operator, Box::new(left), Box::new(right));
        }
    }

    fn unary(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(too_deep());
        }
        let expr = if self.take("-") {
            Expr::Unary(Unary::Minus, Box::new(self.unary()?))
        } else if self.take("!") || self.take("not ") {
            Expr::Unary(Unary::Not, Box::new(self.unary()?))
        } else {
            self.postfix()?
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn postfix(&mut self) -> Result<Expr, String> {
        let mut expr = self.primary()?;
        while self.take("[") {
            self.n_operators += 1;
            if self.n_operators > OPERATORS {
                return Err(too_deep());
            }
            let at = self.level(0)?;
            self.expect("]")?;
            expr = Expr::At(Box::new(expr), Box::new(at));
        }
        Ok(expr)
    }

    fn primary(&mut self) -> Result<Expr, String> {
        if self.take("(") {
            let inner = self.level(0)?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.take("#") {
            return Ok(Expr::Item);
        }
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.')))
            .unwrap_or(self.rest.len());
        let (word, _) = self.rest.split_at(end);
        if word.is_empty() {
            return Err(self.wrong("a value"));
        }
        if word.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            let number: f64 = word.parse().map_err(|_| self.wrong("a number"))?;
            self.skip(end);
            return Ok(Expr::Number(number));
        }
        if matches!(word, "true" | "false") {
            self.skip(end);
            return Ok(Expr::Truth(word == "true"));
        }
        // A query may have the name of a function: only the brackets make it one.
        let is_call = self.rest.get(end..).is_some_and(|after| after.trim_start().starts_with('('));
        let function = FUNCTIONS.iter().find(|(name, _)| is_call && *name == word);
        if let Some((name, n_arguments)) = function {
            self.skip(end);
            return self.arguments(name, *n_arguments);
        }
        if !self.names.contains(&word) {
            return Err(format!(
                "`{}` cannot be read: `{word}` is none of {}",
                self.text,
                self.names.join(", ")
            ));
        }
        self.skip(end);
        Ok(Expr::Name(word.to_owned()))
    }

    fn arguments(&mut self, name: &str, n_arguments: usize) -> Result<Expr, String> {
        self.expect("(")?;
        let mut arguments = Vec::new();
        while !self.take(")") {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            if self.take("{") {
                arguments.push(self.level(0)?);
                self.expect("}")?;
            } else {
                arguments.push(self.level(0)?);
            }
        }
        if arguments.len() == n_arguments {
            Ok(Expr::Call(name.to_owned(), arguments))
        } else {
            Err(format!("`{name}` takes {n_arguments} of what is in its brackets"))
        }
    }
}
