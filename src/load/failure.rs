//! Why a request failed.

use crate::unit::Span;

/// Why a request failed; its text is what people read in the error table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// No connection was made.
    #[error("{0}")]
    Connect(String),
    /// This machine had no socket or port left: the generator's fault.
    #[error("{0}")]
    Generator(String),
    /// The answer did not come in time.
    #[error("no answer within {0}")]
    Timeout(Span),
    /// The status is not a good one.
    #[error("status {0}")]
    Status(u16),
    /// A check of the step failed; its name.
    #[error("check failed: {0}")]
    Check(String),
    /// The connection ended before the answer did.
    #[error("connection closed before the answer was complete")]
    Closed,
    /// The connection was reset.
    #[error("connection reset")]
    Reset,
    /// The server ended it in its own words.
    #[error("{0}")]
    Ended(String),
    /// What came is not HTTP.
    #[error("malformed answer: {0}")]
    Malformed(String),
    /// A variable to save is not in the answer.
    #[error("the answer has nothing at `{0}`")]
    Save(String),
    /// The answer is not JSON, and something was to be saved from it.
    #[error("the answer is not JSON")]
    NotJson,
    /// The answer is too large to save something from.
    #[error("the answer is larger than the 8 MiB that are looked at, or all together than 128 MiB")]
    TooLarge,
    /// A redirect to where the plan may not go.
    #[error("redirect to `{0}`, which is not a target of the plan")]
    Redirect(String),
    /// A redirect that never ends.
    #[error("more than 5 redirects")]
    Redirects,
    /// A rendered path or header that cannot be sent.
    #[error("`{0}` cannot be sent in a request")]
    Unsendable(String),
}

/// What a failure says about the run as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The target could not be reached.
    Connect,
    /// The generator had no means left.
    Generator,
    /// The target answered, wrongly or not in time.
    Answer,
}

impl Failure {
    /// What it says about the run as a whole.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Connect(_) => Kind::Connect,
            Self::Generator(_) => Kind::Generator,
            Self::Timeout(_)
            | Self::Status(_)
            | Self::Check(_)
            | Self::Closed
            | Self::Reset
            | Self::Ended(_)
            | Self::Malformed(_)
            | Self::Save(_)
            | Self::NotJson
            | Self::TooLarge
            | Self::Redirect(_)
            | Self::Redirects
            | Self::Unsendable(_) => Kind::Answer,
        }
    }
}
