//! Why an image does not come, in the words that people need. Pure.

use serde_json::Value;

use super::containers::last_message;

/// Why an image cannot be pulled: the back-off itself does not say it, an earlier event does.
pub fn pull_message(message: &str, container: &str, warnings: &[&Value]) -> String {
    let says_why = message.contains(": ") || is_final(message);
    let earlier = last_message(warnings, "Failed", container, &["Failed to pull image"]);
    let full = if says_why { message } else { earlier.unwrap_or(message) };
    // Runtimes repeat themselves: the innermost cause is what people need.
    let mut clean = full.rsplit_once("rpc error: code = ").map_or(full, |(_, rest)| rest);
    clean = clean.split_once("desc = ").map_or(clean, |(_, rest)| rest);
    for wrapper in [
        "Back-off pulling image",
        "ErrImagePull",
        "failed to pull",
        "failed to resolve",
        "failed to do request",
    ] {
        if let (true, Some((_, inner))) = (clean.starts_with(wrapper), after_quotes(clean)) {
            clean = inner;
        }
    }
    clean.to_owned()
}

/// What a text wraps: what is behind its first `: ` that stands in no quotes.
fn after_quotes(text: &str) -> Option<(&str, &str)> {
    let mut is_quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            ':' if !is_quoted => {
                let inner = text.get(at + 1..)?.strip_prefix(' ')?;
                return Some((text.get(..at)?, inner));
            }
            _ => {}
        }
    }
    None
}

/// True when no amount of waiting brings the image.
pub fn is_final(message: &str) -> bool {
    let message = message.to_lowercase();
    [
        "not found",
        "manifest unknown",
        "unauthorized",
        "denied",
        "not exist",
        "invalid reference",
        "no match for platform",
    ]
    .iter()
    .any(|word| message.contains(word))
}
