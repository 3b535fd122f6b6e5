//! What is wrong with a plan, by the keys of who wrote it: all of it at once.

use std::fmt;

use crate::near::nearest;

/// One mistake, at a key of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key's path: `journeys[0].steps[2].save.ids`.
    pub key: String,
    /// What is wrong, and what would be right.
    pub text: String,
}

/// All mistakes of a plan, in its order; never empty when shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    /// Adds one.
    pub fn add(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.0.push(Mistake { key: key.into(), text: text.into() });
    }
}

/// Says what might have been meant, or all that there is.
pub fn suggest(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => "there is nothing to name".to_owned(),
        None => format!("there are {}", known.join(", ")),
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0.len();
        write!(f, "{n} mistake{}", if n == 1 { "" } else { "s" })?;
        for mistake in &self.0 {
            write!(f, "\n  {}: {}", mistake.key, mistake.text)?;
        }
        Ok(())
    }
}
