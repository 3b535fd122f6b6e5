//! What went wrong, told in kubectl's words.

use std::collections::BTreeSet;

use crate::deploy::cluster::{Failure, Status};

/// An error of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The server said no.
    Status(Box<Status>),
    /// The server was not reached, or we stopped.
    Network(Failure),
    /// Any other, without `error: `.
    Text(String),
    /// Several.
    Many(Vec<Self>),
    /// An end with a code of its own, and what is told then.
    Exit(u8, String),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Status(status) => Self::Status(status),
            Failure::Fenced(text) => Self::Text(format!("refused: {text}")),
            Failure::Malformed(text) => Self::Text(text),
            other @ (Failure::Refused { .. } | Failure::Network(_) | Failure::Cancelled) => {
                Self::Network(other)
            }
        }
    }
}

impl Trouble {
    /// A plain error.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// None, the one, or all of several.
    pub fn all(mut troubles: Vec<Self>) -> Result<(), Self> {
        match troubles.len() {
            0 => Ok(()),
            1 => troubles.pop().map_or(Ok(()), Err),
            _ => Err(Self::Many(troubles)),
        }
    }

    /// The same, with what was being done to what: `error when creating "x.yaml": …`.
    pub fn when(self, verb: &str, source: &str) -> Self {
        if source.is_empty() {
            return self;
        }
        match self {
            Self::Status(mut status) => {
                status.message = format!("error when {verb} \"{source}\": {}", status.message);
                Self::Status(status)
            }
            stop @ (Self::Network(Failure::Cancelled) | Self::Exit(..)) => stop,
            other @ (Self::Network(_) | Self::Text(_) | Self::Many(_)) => {
                Self::Text(format!("error when {verb} \"{source}\": {}", other.message()))
            }
        }
    }

    /// The bare text: what Go's `Error()` gives.
    pub fn message(&self) -> String {
        match self {
            Self::Status(status) => status.message.clone(),
            Self::Network(failure) => match failure {
                Failure::Refused { host } => {
                    format!("dial tcp {host}: connect: connection refused")
                }
                Failure::Network(text) | Failure::Fenced(text) | Failure::Malformed(text) => {
                    text.clone()
                }
                Failure::Cancelled => "interrupted".to_owned(),
                Failure::Status(status) => status.message.clone(),
            },
            Self::Text(text) | Self::Exit(_, text) => text.clone(),
            Self::Many(troubles) => {
                let mut seen = BTreeSet::new();
                let texts: Vec<String> = troubles
                    .iter()
                    .map(Self::message)
                    .filter(|text| seen.insert(text.clone()))
                    .collect();
                match texts.as_slice() {
                    [one] => one.clone(),
                    _ => format!("[{}]", texts.join(", ")),
                }
            }
        }
    }

    /// What kubectl prints on standard error, newline included.
    pub fn told(&self) -> String {
        match self {
            Self::Status(status) if status.reason == "Invalid" => invalid(status),
            Self::Many(troubles) => {
                troubles.iter().map(|trouble| trouble.standard() + "\n").collect()
            }
            Self::Text(text) if STANDING.iter().any(|start| text.starts_with(start)) => {
                line(text.clone())
            }
            Self::Text(text) => line(format!("error: {text}")),
            Self::Exit(_, text) => text.clone(),
            Self::Status(_) | Self::Network(_) => line(self.standard()),
        }
    }

    /// The text among several: `Error from server (REASON): …`, else bare.
    fn standard(&self) -> String {
        match self {
            Self::Status(status) if status.reason == "Unauthorized" => {
                format!("error: You must be logged in to the server ({})", status.message)
            }
            Self::Status(status) if status.reason.is_empty() => {
                format!("Error from server: {}", status.message)
            }
            Self::Status(status) => {
                format!("Error from server ({}): {}", status.reason, status.message)
            }
            Self::Network(Failure::Refused { host }) => format!(
                "The connection to the server {host} was refused - did you specify the right host \
                 or port?"
            ),
            Self::Network(Failure::Network(text)) => {
                format!("Unable to connect to the server: {text}")
            }
            Self::Network(_) | Self::Text(_) | Self::Many(_) | Self::Exit(..) => self.message(),
        }
    }
}

/// Texts that stand as they are.
const STANDING: [&str; 3] =
    ["error: ", "The connection to the server ", "Unable to connect to the server: "];

fn line(text: String) -> String {
    if text.ends_with('\n') { text } else { text + "\n" }
}

fn invalid(status: &Status) -> String {
    let mut heading = "The request is invalid".to_owned();
    if !status.detailed {
        if !status.message.is_empty() {
            heading = format!("{heading}: {}", status.message);
        }
        return line(heading);
    }
    if !status.kind.is_empty() || !status.name.is_empty() {
        heading = format!("The {} \"{}\" is invalid", status.kind, status.name);
    } else if !status.message.is_empty() && status.causes.is_empty() {
        heading = format!("{heading}: {}", status.message);
    }
    let mut seen = BTreeSet::new();
    let causes: Vec<String> = status
        .causes
        .iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .filter(|cause| seen.insert(cause.clone()))
        .collect();
    match causes.as_slice() {
        [] => line(heading),
        [one] => line(format!("{heading}: {one}")),
        many => {
            let lines: String = many.iter().flat_map(|cause| ["* ", cause, "\n"]).collect();
            format!("{heading}: \n{lines}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::cluster::failure::Cause;

    fn status(reason: &str, message: &str) -> Trouble {
        let (reason, message) = (reason.to_owned(), message.to_owned());
        Trouble::Status(Box::new(Status { reason, message, ..Status::default() }))
    }

    #[test]
    fn errors_are_told_in_kubectls_words() {
        let refused = Trouble::Network(Failure::Refused { host: "h:1".to_owned() });
        for (trouble, told) in [
            (
                status("NotFound", "pods \"x\" not found"),
                "Error from server (NotFound): pods \"x\" not found\n",
            ),
            (status("", "boom"), "Error from server: boom\n"),
            (
                status("Unauthorized", "Unauthorized"),
                "error: You must be logged in to the server (Unauthorized)\n",
            ),
            (
                refused,
                "The connection to the server h:1 was refused - did you specify the right host or port?\n",
            ),
            (Trouble::text("no objects passed to apply"), "error: no objects passed to apply\n"),
            (
                Trouble::Many(vec![status("NotFound", "a"), Trouble::text("b")]),
                "Error from server (NotFound): a\nb\n",
            ),
            (
                Trouble::Many(vec![
                    Trouble::Many(vec![Trouble::text("a"), Trouble::text("b")]),
                    Trouble::text("c"),
                ]),
                "[a, b]\nc\n",
            ),
            (
                status("NotFound", "namespaces \"n\" not found").when("creating", "f.yaml"),
                "Error from server (NotFound): error when creating \"f.yaml\": namespaces \"n\" not found\n",
            ),
        ] {
            assert_eq!(trouble.told(), told);
        }
    }

    #[test]
    fn invalid_objects_are_told_by_their_causes() {
        let cause = |field: &str| Cause { field: field.to_owned(), message: "bad".to_owned() };
        let of = |causes: Vec<Cause>| {
            Trouble::Status(Box::new(Status {
                reason: "Invalid".to_owned(),
                detailed: true,
                kind: "Pod".to_owned(),
                name: "X".to_owned(),
                causes,
                ..Status::default()
            }))
            .told()
        };
        assert_eq!(of(vec![cause("a"), cause("a")]), "The Pod \"X\" is invalid: a: bad\n");
        assert_eq!(
            of(vec![cause("a"), cause("b")]),
            "The Pod \"X\" is invalid: \n* a: bad\n* b: bad\n"
        );
    }
}
