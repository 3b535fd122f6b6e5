//! Patterns of two wildcards: `*` stays within a segment, `**` does not.
//!
//! Fewer wildcards than a shell has, so that two patterns can be compared: a policy in which two
//! profiles could both match is told before a job finds out.

use std::collections::HashSet;
use std::fmt;

/// A pattern that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing would match.
    #[error("an empty pattern matches nothing")]
    Empty,
    /// Another shell's wildcard.
    #[error("`{0}` is no wildcard here: only `*` and `**` are")]
    Wildcard(char),
    /// Three stars.
    #[error("`***` is neither `*` nor `**`")]
    Stars,
    /// A space or a control character.
    #[error("a pattern has no white space")]
    Space,
}

/// A pattern as meant.
#[derive(Clone, PartialEq, Eq)]
pub struct Glob {
    text: String,
    separator: Option<char>,
    tokens: Vec<Token>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Char(char),
    /// Any text without the separator.
    Any,
    /// Any text.
    Deep,
}

impl Glob {
    /// A pattern of `/`-separated segments: project paths, URLs.
    pub fn path(text: &str) -> Result<Self, Error> {
        Self::parse(text, Some('/'))
    }

    /// A pattern of `.`-separated labels: host names, without regard to case.
    pub fn host(text: &str) -> Result<Self, Error> {
        Self::parse(&text.to_lowercase(), Some('.'))
    }

    /// A pattern in which `*` is any text: image names, namespaces.
    pub fn plain(text: &str) -> Result<Self, Error> {
        Self::parse(text, None)
    }

    fn parse(text: &str, separator: Option<char>) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::Empty);
        }
        if text.contains("***") {
            return Err(Error::Stars);
        }
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' if chars.next_if_eq(&'*').is_some() => Token::Deep,
                '*' => Token::Any,
                '?' | '[' | ']' | '{' | '}' => return Err(Error::Wildcard(c)),
                c if c.is_whitespace() || c.is_control() => return Err(Error::Space),
                c => Token::Char(c),
            });
        }
        Ok(Self { text: text.to_owned(), separator, tokens })
    }

    /// Returns the pattern as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True when it has no wildcard.
    pub fn is_literal(&self) -> bool {
        self.tokens.iter().all(|token| matches!(token, Token::Char(_)))
    }

    /// True when the text matches.
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<Token> = text.chars().map(Token::Char).collect();
        self.meets(&text)
    }

    /// True when some text matches both patterns.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.meets(&other.tokens)
    }

    fn meets(&self, other: &[Token]) -> bool {
        let mut seen = HashSet::new();
        let mut open = vec![(0, 0)];
        while let Some((mine, theirs)) = open.pop() {
            if !seen.insert((mine, theirs)) {
                continue;
            }
            match (self.tokens.get(mine), other.get(theirs)) {
                (None, None) => return true,
                (Some(Token::Char(a)), Some(Token::Char(b))) if a == b => {
                    open.push((mine + 1, theirs + 1));
                }
                (mine_token, their_token) => {
                    if let Some(wild @ (Token::Any | Token::Deep)) = mine_token {
                        open.push((mine + 1, theirs));
                        if self.eats(*wild, their_token) {
                            open.push((mine, theirs + 1));
                        }
                    }
                    if let Some(wild @ (Token::Any | Token::Deep)) = their_token {
                        open.push((mine, theirs + 1));
                        if self.eats(*wild, mine_token) {
                            open.push((mine + 1, theirs));
                        }
                    }
                }
            }
        }
        false
    }

    fn eats(&self, wild: Token, next: Option<&Token>) -> bool {
        match next {
            Some(Token::Char(c)) => wild == Token::Deep || Some(*c) != self.separator,
            Some(Token::Any | Token::Deep) | None => false,
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glob({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_star_stays_within_a_segment_and_two_do_not() {
        for (pattern, text, expected) in [
            ("group/*", "group/shop", true),
            ("group/*", "group/sub/shop", false),
            ("group/**", "group/sub/shop", true),
            ("group/**", "group2/shop", false),
            ("**", "a/b/c", true),
            ("*", "a/b", false),
            ("group/*-shop", "group/acme-shop", true),
            ("group/*/shop", "group/a/shop", true),
            ("group/*/shop", "group/a/b/shop", false),
            ("group/shop", "group/shop", true),
            ("group/shop", "group/shop2", false),
            ("group/shop", "Group/shop", false),
        ] {
            assert_eq!(Glob::path(pattern).unwrap().matches(text), expected, "{pattern} {text}");
        }
        assert!(Glob::host("*.Example.com").unwrap().matches("shop.example.com"));
        assert!(!Glob::host("*.example.com").unwrap().matches("a.b.example.com"));
        assert!(Glob::host("**.example.com").unwrap().matches("a.b.example.com"));
        assert!(!Glob::host("*.example.com").unwrap().matches("example.com"));
        assert!(Glob::plain("*/locust:*").unwrap().matches("registry:5000/a/b/locust:1"));
    }

    #[test]
    fn overlapping_patterns_are_found() {
        for (a, b, expected) in [
            ("group/*", "group/shop", true),
            ("group/*", "group/sub/shop", false),
            ("group/**", "group/sub/*", true),
            ("a/*", "b/*", false),
            ("*/shop", "group/*", true),
            ("*-shop/x", "acme-*/x", true),
            ("*-shop", "acme-*/x", false),
            ("**", "a/*", true),
        ] {
            let (a, b) = (Glob::path(a).unwrap(), Glob::path(b).unwrap());
            assert_eq!(a.overlaps(&b), expected, "{a} {b}");
            assert_eq!(b.overlaps(&a), expected, "{b} {a}");
        }
    }

    #[test]
    fn other_wildcards_are_refused_by_name() {
        assert_eq!(Glob::path("group/[ab]"), Err(Error::Wildcard('[')));
        assert_eq!(Glob::path("group/sho?"), Err(Error::Wildcard('?')));
        assert_eq!(Glob::path("a***"), Err(Error::Stars));
        assert_eq!(Glob::path(""), Err(Error::Empty));
        assert_eq!(Glob::path("a b"), Err(Error::Space));
    }

    proptest! {
        #[test]
        fn patterns_that_match_one_text_overlap(
            a in "[ab/*]{1,6}", b in "[ab/*]{1,6}", text in "[ab/]{0,8}"
        ) {
            let (Ok(a), Ok(b)) = (Glob::path(&a), Glob::path(&b)) else { return Ok(()) };
            if a.matches(&text) && b.matches(&text) {
                prop_assert!(a.overlaps(&b), "{a} {b} {text}");
            }
        }
    }
}
