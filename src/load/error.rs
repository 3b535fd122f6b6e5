//! What can go wrong with a plan or a run.

use std::fmt;
use std::path::PathBuf;

use crate::near::nearest;

/// A load test that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plan says what cannot be meant; every mistake is told at once.
    #[error("the plan cannot be followed: {0}")]
    Plan(Mistakes),
    /// The Locust command line cannot be followed.
    #[error("{0}")]
    Locust(String),
    /// The worker process did not start.
    #[error("cannot start the load worker `{program}`")]
    Start {
        /// The program that was to run.
        program: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The stream to or from the worker broke.
    #[error("cannot speak with the load worker")]
    Stream(#[source] std::io::Error),
    /// A frame that this protocol does not have.
    #[error("the load worker's stream is malformed")]
    Frame(#[source] serde_json::Error),
    /// A frame that is longer than any honest one.
    #[error("a frame of {0} bytes is too long")]
    FrameLength(usize),
    /// The worker refused its plan or broke down, in its own words.
    #[error("the load worker failed: {0}")]
    Worker(String),
    /// A histogram could not be merged or read.
    #[error("cannot read a histogram of the load worker: {0}")]
    Histogram(String),
    /// The trust anchors for TLS cannot be used.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

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
