//! What GitLab could not be asked or would not do, with the way out.

use reqwest::Method;

use crate::job::http;

/// What GitLab could not be asked or would not do. Nothing here holds a token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL in the policy.
    #[error("GitLab's URL `{url}` cannot be used: {why}")]
    Url {
        /// As written.
        url: String,
        /// Why not.
        why: String,
    },
    /// The HTTP client cannot be made.
    #[error("cannot prepare the connection to GitLab")]
    Client(#[source] http::Error),
    /// No connection, or it broke, or the answer took too long.
    #[error("cannot reach GitLab: {method} {url}")]
    Unreachable {
        /// What was asked.
        method: Method,
        /// Where.
        url: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// An answer that is an error.
    #[error("GitLab answered {status} to {method} {url}: {message}{}", advice(*.code, message))]
    Status {
        /// What was asked.
        method: Method,
        /// Where.
        url: String,
        /// `403 Forbidden`.
        status: String,
        /// The number of it.
        code: u16,
        /// What it says of the reason.
        message: String,
    },
    /// An answer of another shape.
    #[error("GitLab's answer to GET {url} is not what its API promises: {why}")]
    Malformed {
        /// Where.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The value was written, but another one is there.
    #[error("the variable `{key}` was written, but reads `{found}` now: something else writes it")]
    Changed {
        /// Its name.
        key: String,
        /// What it holds.
        found: String,
    },
}

impl Error {
    /// Returns the status line of the answer, if there was one.
    pub fn status(&self) -> Option<&str> {
        match self {
            Self::Status { status, .. } => Some(status),
            Self::Url { .. }
            | Self::Client(_)
            | Self::Unreachable { .. }
            | Self::Malformed { .. }
            | Self::Changed { .. } => None,
        }
    }
}

fn advice(code: u16, message: &str) -> &'static str {
    match code {
        400 if message.contains("value") || message.contains("mask") => {
            " (a masked variable needs at least 8 characters, `passed` and `failed` have 6: unmask it)"
        }
        401 => " (the token is missing, wrong or expired)",
        403 => {
            " (the token needs the scope `api` and the role Maintainer; a job token cannot do it)"
        }
        404 => " (the project is not there, or the token may not see it)",
        409 => " (the variable exists for several environments; name its scope with --scope)",
        301 | 302 | 303 | 307 | 308 => " (redirects are not followed: put the final URL)",
        _ => "",
    }
}
