//! What a walk through a plan shows: every request with its answer, bounded and without secrets.

use serde::{Deserialize, Serialize};

use crate::load::mask::Mask;

/// Something of the walk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Traced {
    /// A journey begins.
    Journey(String),
    /// A request and its answer.
    Exchange(Exchange),
    /// A step was left out since a value was missing; which.
    LeftOut(String),
}

/// A request and its answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// The endpoint it is counted under.
    pub endpoint: String,
    /// What was sent, head and body.
    pub request: String,
    /// The answer's status; 0 when there was none.
    pub status: u16,
    /// What stands in its place where there is no number: `OK`, `NOERROR`.
    #[serde(default)]
    pub said: String,
    /// The answer's headers.
    pub headers: Vec<(String, String)>,
    /// The answer's body.
    pub body: String,
    /// How long it took, in milliseconds.
    pub elapsed: f64,
    /// Why it failed, when it did.
    pub failure: Option<String>,
    /// Variables that were saved, with their values as JSON.
    pub saved: Vec<(String, String)>,
}

/// Bodies are cut here.
const BODY: usize = 2000;

/// Values of variables are cut here.
const VALUE: usize = 200;

/// These headers are secrets, wherever their values come from.
const SECRET: [&str; 2] = ["authorization", "proxy-authorization"];

/// Returns a text that is not too long to be shown.
pub fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}… ({} bytes more)", &text[..end], text.len() - end)
}

impl Exchange {
    /// Cuts what is long.
    pub fn shorten(mut self) -> Self {
        self.body = cut(&self.body, BODY);
        let (head, body) = self.request.split_once("\r\n\r\n").unwrap_or((&self.request, ""));
        self.request = format!("{head}\r\n\r\n{}", cut(body, BODY));
        for (_, value) in &mut self.saved {
            *value = cut(value, VALUE);
        }
        self
    }
}

impl Traced {
    /// Takes secrets out.
    pub fn clean(&mut self, mask: &Mask) {
        let hide = |text: &mut String| *text = mask.hide(text).into_owned();
        match self {
            Self::Journey(_) | Self::LeftOut(_) => {}
            Self::Exchange(exchange) => {
                let (head, body) =
                    exchange.request.split_once("\r\n\r\n").unwrap_or((&exchange.request, ""));
                let line = |line: &str| match line.split_once(": ") {
                    Some((name, _)) if SECRET.contains(&name) => format!("{name}: [MASKED]"),
                    Some(_) | None => line.to_owned(),
                };
                let head: Vec<String> = head.split("\r\n").map(line).collect();
                exchange.request = format!("{}\r\n\r\n{body}", head.join("\r\n"));
                for text in [&mut exchange.endpoint, &mut exchange.request, &mut exchange.body] {
                    hide(text);
                }
                exchange.failure.iter_mut().for_each(hide);
                for (_, value) in exchange.headers.iter_mut().chain(&mut exchange.saved) {
                    hide(value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("aé€", 2), "a… (5 bytes more)");
        assert_eq!(cut("aé€", 3), "aé… (3 bytes more)");
        let long = Exchange {
            request: format!("POST /\r\n\r\n{}", "x".repeat(3000)),
            body: "y".repeat(3000),
            ..Exchange::default()
        };
        let long = long.shorten();
        assert!(long.request.ends_with("… (1000 bytes more)") && long.body.len() < 2100);
    }
}
