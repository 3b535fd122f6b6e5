//! The judgement every tool ends with; the worst one wins.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A verdict, from best to worst: combine two with `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All that was asked holds, on data good enough to say so.
    Passed,
    /// A warning level was crossed.
    Warned,
    /// The data does not allow a judgement.
    Inconclusive,
    /// A source or a tool could not answer.
    Error,
    /// A limit was crossed.
    Failed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Warned => "warned",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
            Self::Failed => "failed",
        })
    }
}
