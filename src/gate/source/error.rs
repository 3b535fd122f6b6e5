//! Why a source could not be asked or gave no usable answer. Nothing here holds a token.

/// What keeps a source from answering.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The policy's (or the user's) word on the source cannot be used.
    #[error("the source's {what} cannot be used: {why}")]
    Spec {
        /// `url`, `header X-Scope-OrgID`.
        what: String,
        /// Why not.
        why: String,
    },
    /// The HTTP client cannot be made.
    #[error("cannot prepare the connection to `{url}`")]
    Client {
        /// Where to.
        url: String,
        /// Why not.
        source: crate::job::http::Error,
    },
    /// No connection, or it broke, or the answer took too long.
    #[error("cannot reach `{url}` ({tries} tries)")]
    Unreachable {
        /// Where to.
        url: String,
        /// How often it was tried.
        tries: u32,
        /// Why not.
        source: reqwest::Error,
    },
    /// An answer that is an error.
    #[error("`{url}` answered {status}: {message}{}", advice(*.code))]
    Status {
        /// Who.
        url: String,
        /// `401 Unauthorized`.
        status: String,
        /// The number of it.
        code: u16,
        /// What it says of the reason.
        message: String,
    },
    /// The source's word that the query is wrong.
    #[error("`{url}` could not answer the query: {message} ({status})")]
    Query {
        /// Who.
        url: String,
        /// The HTTP status line.
        status: String,
        /// What it says of the reason.
        message: String,
    },
    /// An answer of another shape.
    #[error("the answer of `{url}` is not what its API promises: {why}")]
    Malformed {
        /// Who.
        url: String,
        /// The HTTP status line.
        status: String,
        /// What is wrong.
        why: String,
    },
    /// A query that cannot be put to that source.
    #[error("the query cannot be asked: {why}")]
    Unaskable {
        /// Why not.
        why: String,
    },
    /// A source without history that does not say what is now.
    #[error("{of} cannot be sampled: {why}")]
    Unsampled {
        /// Which kind.
        of: String,
        /// Why not.
        why: String,
    },
    /// An answer in more parts than one can hold.
    #[error("the answer of `{url}` has more than {pages} pages; ask for less")]
    TooMany {
        /// Who.
        url: String,
        /// How many are read.
        pages: u32,
    },
    /// More than one can hold.
    #[error("the answer of `{url}` is larger than {limit}; ask for less")]
    TooLarge {
        /// Who.
        url: String,
        /// How much is read.
        limit: crate::unit::Size,
    },
}

fn advice(code: u16) -> &'static str {
    match code {
        401 => " (the token is missing, wrong or expired)",
        403 => " (the token may not ask this)",
        404 => " (is the URL in the policy right?)",
        301 | 302 | 303 | 307 | 308 => " (redirects are not followed: put the final URL)",
        _ => "",
    }
}

impl Error {
    /// Returns the HTTP status line that came with it, if any.
    pub fn status(&self) -> Option<String> {
        match self {
            Self::Status { status, .. }
            | Self::Query { status, .. }
            | Self::Malformed { status, .. } => Some(status.clone()),
            Self::Spec { .. }
            | Self::Client { .. }
            | Self::Unreachable { .. }
            | Self::Unaskable { .. }
            | Self::Unsampled { .. }
            | Self::TooMany { .. }
            | Self::TooLarge { .. } => None,
        }
    }

    /// True when asking the same source again makes no sense in this gate.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Spec { .. }
            | Self::Client { .. }
            | Self::Unsampled { .. }
            | Self::Unreachable { .. } => true,
            Self::Status { code, .. } => matches!(code, 401 | 429 | 500..),
            Self::Query { .. }
            | Self::Malformed { .. }
            | Self::Unaskable { .. }
            | Self::TooMany { .. }
            | Self::TooLarge { .. } => false,
        }
    }

    /// False where the query is wrong, or asks for too much: the job's own fault.
    pub fn is_platforms_fault(&self) -> bool {
        match self {
            Self::Query { .. }
            | Self::Unaskable { .. }
            | Self::TooMany { .. }
            | Self::TooLarge { .. } => false,
            Self::Spec { .. }
            | Self::Client { .. }
            | Self::Unsampled { .. }
            | Self::Unreachable { .. }
            | Self::Status { .. }
            | Self::Malformed { .. } => true,
        }
    }
}

/// Returns an error with its causes in one line.
pub fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text.push_str(": ");
            text.push_str(&next_text);
        }
        cause = next.source();
    }
    text
}
