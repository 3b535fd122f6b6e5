//! What a request to the API server can come to instead of an answer.

use serde_json::Value;

/// A request without a good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The server answered that it will not.
    Status(Box<Status>),
    /// Nothing listens there.
    Refused {
        /// `HOST:PORT`.
        host: String,
    },
    /// The server could not be talked to, in Go's words where there are some.
    Network(String),
    /// We were told to stop.
    Cancelled,
    /// The request is not among the declared touches.
    Fenced(String),
    /// The answer is none.
    Malformed(String),
}

/// The server's `Status` object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The HTTP status.
    pub code: u16,
    /// `NotFound`, `AlreadyExists`, …
    pub reason: String,
    /// The text.
    pub message: String,
    /// True when there are details.
    pub detailed: bool,
    /// The details' kind.
    pub kind: String,
    /// The details' name.
    pub name: String,
    /// The causes.
    pub causes: Vec<Cause>,
}

/// One cause of a [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cause {
    /// The field.
    pub field: String,
    /// The text.
    pub message: String,
}

impl Failure {
    /// The server's status, if it gave one.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Status(status) => Some(status),
            Self::Refused { .. }
            | Self::Network(_)
            | Self::Cancelled
            | Self::Fenced(_)
            | Self::Malformed(_) => None,
        }
    }

    /// True when the server said so by its status code and reason.
    pub fn is(&self, reason: &str) -> bool {
        self.status().is_some_and(|status| status.reason == reason)
    }

    /// True when there is no such object.
    pub fn is_not_found(&self) -> bool {
        self.is("NotFound")
    }

    /// True when the object changed under us.
    pub fn is_conflict(&self) -> bool {
        self.is("Conflict")
    }

    /// True when the cluster is at fault: not reached, or our credential is not taken.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Network(_) => true,
            Self::Status(status) => {
                status.reason == "Unauthorized" || matches!(status.code, 502..=504)
            }
            Self::Cancelled | Self::Fenced(_) | Self::Malformed(_) => false,
        }
    }
}

impl Status {
    /// Reads the body of an answer that is no success; `verb` and `what` are for texts that the
    /// server does not give itself.
    pub fn read(code: u16, body: &[u8], verb: &str, what: &str) -> Self {
        let value: Option<Value> = serde_json::from_slice(body).ok();
        match value {
            Some(value) if value.get("kind").is_some_and(|kind| kind == "Status") => {
                Self::of(code, &value)
            }
            _ => Self::generic(code, String::from_utf8_lossy(body).trim(), verb, what),
        }
    }

    /// Reads a `Status` object.
    pub fn of(code: u16, value: &Value) -> Self {
        let text =
            |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let details = value.get("details").filter(|details| details.is_object());
        let causes = details
            .and_then(|details| details.get("causes"))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|cause| Cause {
                field: text(cause.get("field")),
                message: text(cause.get("message")),
            })
            .collect();
        Self {
            code,
            reason: text(value.get("reason")),
            message: text(value.get("message")),
            detailed: details.is_some(),
            kind: text(details.and_then(|details| details.get("kind"))),
            name: text(details.and_then(|details| details.get("name"))),
            causes,
        }
    }

    /// client-go's words for an answer that is no `Status`.
    fn generic(code: u16, body: &str, verb: &str, what: &str) -> Self {
        let (reason, message) = match code {
            409 if verb == "post" => ("AlreadyExists", "the server reported a conflict"),
            409 => ("Conflict", "the server reported a conflict"),
            404 => ("NotFound", "the server could not find the requested resource"),
            400 => ("BadRequest", "the server rejected our request for an unknown reason"),
            401 => ("Unauthorized", "the server has asked for the client to provide credentials"),
            403 => ("Forbidden", body),
            405 => (
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            ),
            406 => ("NotAcceptable", body),
            415 => ("UnsupportedMediaType", body),
            422 => ("Invalid", "the server rejected our request due to an error in our request"),
            429 => (
                "TooManyRequests",
                "the server has received too many requests and has asked us to try again later",
            ),
            500 => (
                "InternalError",
                "an error on the server has prevented the request from succeeding",
            ),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => (
                "Timeout",
                "the server was unable to return a response in the time allotted, but may still be processing the request",
            ),
            _ => ("", ""),
        };
        let mut message = message.to_owned();
        if message.is_empty() {
            message = format!(
                "the server responded with the status code {code} but did not return more information"
            );
        }
        if !what.is_empty() {
            message = format!("{message} ({verb} {what})");
        }
        Self { code, reason: reason.to_owned(), message, ..Self::default() }
    }
}
