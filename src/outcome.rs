//! How a tool ends: the exit codes that users and GitLab count on.

use serde::{Deserialize, Serialize};

use crate::verdict::Verdict;

/// The exit codes of `dyno load`, `dyno gate` and `dyno deploy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// 0: the verdict passed, or passed with warnings.
    Passed,
    /// 99: the verdict failed. k6's number, so `allow_failure: exit_codes` carries over.
    Failed,
    /// 98: there was not enough good data for a verdict.
    Inconclusive,
    /// 97: a source, cluster or target could not be reached.
    Unreachable,
    /// 96: the policy refused.
    Refused,
    /// 2: wrong usage or bad input.
    Usage,
    /// 130: interrupted.
    Interrupted,
    /// Any other code, where dyno stands in for another tool (`kubectl`, `locust`).
    Code(u8),
}

impl Outcome {
    /// The process exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 99,
            Self::Inconclusive => 98,
            Self::Unreachable => 97,
            Self::Refused => 96,
            Self::Usage => 2,
            Self::Interrupted => 130,
            Self::Code(code) => code,
        }
    }
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Passed | Verdict::Warned => Self::Passed,
            Verdict::Inconclusive => Self::Inconclusive,
            Verdict::Error => Self::Unreachable,
            Verdict::Failed => Self::Failed,
        }
    }
}
