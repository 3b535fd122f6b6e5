//! A URL a line, with a method before it or without: `GET https://shop/products`.

use super::Error;
use super::draft::{Draft, Step, method, split};
use crate::load::plan::Method;

/// Reads a list; empty lines and those that begin with `#` are left out.
pub fn read(text: &str) -> Result<Draft, Error> {
    let mut draft = Draft::default();
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what: String| Error(format!("line {}: {what}", n + 1));
        let (verb, url) = match line.split_once(char::is_whitespace) {
            Some((word, rest)) => {
                let verb = method(word).ok_or_else(|| wrong(format!("`{word}` is no method")))?;
                (verb, rest.trim())
            }
            None => (Method::Get, line),
        };
        if url.starts_with('/') {
            draft.steps.push(Step::new(verb, url));
            continue;
        }
        let (origin, path) = split(url).map_err(|Error(text)| wrong(text))?;
        if draft.target.is_empty() {
            draft.target.clone_from(&origin);
        }
        let mut step = Step::new(verb, path);
        if draft.target != origin {
            step.path.insert_str(0, &origin);
            step.name = Some(step.name.unwrap_or_else(|| path.to_owned()));
        }
        draft.steps.push(step);
    }
    Ok(draft)
}
