//! What a deploy tells while it goes on, and what it comes to in the end.

use serde::{Deserialize, Serialize};

use crate::verdict::Verdict;

/// Something happened. Objects are numbers in the plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Event {
    /// A sentence.
    Said(String),
    /// Pre-flight found something.
    Found(Finding),
    /// What will change; told before anything does.
    Changes(Vec<Change>),
    /// An object is on the server.
    Applied {
        /// Which.
        object: usize,
        /// What became of it.
        action: Action,
    },
    /// An object came nearer to being ready.
    Progress {
        /// Which.
        object: usize,
        /// How it stands.
        state: State,
    },
    /// What is known of an object that failed.
    Evidence(Evidence),
    /// An object went back to what it was, or did not.
    Undone {
        /// Which.
        object: usize,
        /// How.
        undone: Undone,
    },
    /// All is over.
    Finished(Box<Summary>),
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The deploy goes on.
    Warning,
    /// Nothing is applied.
    Error,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// The manifest itself: a kind, a field, a value.
    Manifest,
    /// The API version is gone, or going.
    ApiVersion,
    /// Something it refers to is not there.
    Reference,
    /// A right is missing.
    Rights,
    /// A field cannot be changed.
    Immutable,
    /// A quota does not allow it.
    Quota,
    /// The cluster's admission refuses it.
    Admission,
    /// Somebody else owns a field.
    Conflict,
    /// The policy of the platform refuses it.
    Policy,
}

/// Something found before anything is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// About what.
    pub topic: Topic,
    /// In which object.
    pub object: Option<usize>,
    /// At which of its fields, a JSON pointer.
    pub path: String,
    /// One sentence.
    pub text: String,
    /// The way out.
    pub hint: Option<String>,
}

impl Finding {
    /// An error of an object.
    pub fn error(topic: Topic, object: usize, path: &str, text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            topic,
            object: Some(object),
            path: path.to_owned(),
            text: text.into(),
            hint: None,
        }
    }

    /// A warning of an object.
    pub fn warning(topic: Topic, object: usize, path: &str, text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(topic, object, path, text) }
    }

    /// Adds the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It was not there.
    Created,
    /// It was there, and is different now.
    Configured,
    /// It is as it was.
    Unchanged,
    /// The server refused it.
    Refused,
    /// The deploy ended before its turn.
    Skipped,
    /// It is no longer part of the deploy.
    Pruned,
}

impl Action {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::Skipped => "not reached",
            Self::Pruned => "pruned",
        }
    }
}

/// What will change of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it is: `Deployment shop/web`.
    pub name: String,
    /// What becomes of it.
    pub action: Action,
    /// Lines with `+`, `-` or a blank before them; secrets are masked.
    pub diff: Vec<String>,
}

/// How an object stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Not ready yet, with the reason.
    Waiting(String),
    /// Ready; with a remark where there is one.
    Ready(Option<String>),
    /// It will not become ready, with the reason.
    Failed(String),
}

/// What is known of an object that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Which.
    pub object: usize,
    /// Why.
    pub reason: String,
    /// The pod that shows it.
    pub pod: Option<String>,
    /// What happened to it, oldest first: `Failed (x3): message`.
    pub events: Vec<String>,
    /// The last lines of its logs.
    pub logs: Vec<Log>,
}

/// The end of a container's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// The container.
    pub container: String,
    /// True for the run before the present one.
    pub previous: bool,
    /// Its last lines.
    pub lines: Vec<String>,
}

/// How an object went back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undone {
    /// It is what it was.
    Restored,
    /// It had not been there, and is deleted.
    Deleted,
    /// It stays as it is, with the reason.
    Kept(String),
    /// It should have gone back and did not, with the reason.
    Failed(String),
}

/// How a deploy ended, for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// All is ready (or would be applied).
    Passed,
    /// It did not become ready, or pre-flight says that it would not.
    Failed,
    /// The verification could not tell.
    Inconclusive,
    /// The manifests are wrong.
    Input,
    /// The policy, or the one who asked for verification, refused.
    Refused,
    /// The cluster could not be reached, or does not take the credential.
    Unreachable,
    /// Another deploy holds the namespace.
    Taken,
    /// It was told to stop.
    Interrupted,
}

/// An object in the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectSummary {
    /// Its number in the plan; none for what was pruned.
    pub object: Option<usize>,
    /// Its kind.
    pub kind: String,
    /// Its namespace; empty where it has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub action: Action,
    /// True when it is ready.
    pub ready: bool,
    /// Why it is not, or a remark.
    pub reason: Option<String>,
    /// How it went back, where it did.
    pub undone: Option<Undone>,
    /// From the first request until it was ready or failed.
    pub seconds: f64,
}

/// What a deploy came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The verdict.
    pub verdict: Verdict,
    /// For the exit code.
    pub ended: Ended,
    /// Why, each one sentence.
    pub reasons: Vec<String>,
    /// The way out.
    pub hint: Option<String>,
    /// Start and end, Unix milliseconds.
    pub start_ms: i64,
    /// End.
    pub end_ms: i64,
    /// The server's address.
    pub server: String,
    /// The namespace.
    pub namespace: String,
    /// Where the application answers, when the manifests say so.
    pub url: Option<String>,
    /// All objects.
    pub objects: Vec<ObjectSummary>,
    /// All findings.
    pub findings: Vec<Finding>,
    /// True when it only looked.
    pub only_shown: bool,
}
