//! The course of a deploy, kept until its end, and the summary that is made of it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::address::address;
use super::desk::Desk;
use super::event::{
    Action, Ended, Event, Finding, ObjectSummary, Severity, State, Summary, Topic, Undone,
};
use super::plan::{Mode, text};
use super::refusal::sentence;
use super::resolve::Thing;
use crate::deploy::cluster::Failure;
use crate::verdict::Verdict;

/// All that a deploy has come to so far.
#[derive(Debug, Default)]
pub struct Course {
    /// When it began, Unix milliseconds.
    pub start_ms: i64,
    /// The objects.
    pub things: Vec<Thing>,
    /// What pre-flight found.
    pub findings: Vec<Finding>,
    /// What became of each object on the server.
    pub applied: BTreeMap<usize, (Value, Action)>,
    /// The objects as they were when all was ready; none before.
    pub ready: Vec<Value>,
    /// Why the server refused one.
    pub refused: BTreeMap<usize, String>,
    /// How each came out.
    pub states: BTreeMap<usize, (State, f64)>,
    /// How each went back.
    pub undone: BTreeMap<usize, Undone>,
    /// What was pruned.
    pub pruned: Vec<(Thing, Option<String>)>,
}

/// How a deploy ends, before the summary is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// For the exit code.
    pub ended: Ended,
    /// Why.
    pub reasons: Vec<String>,
    /// The way out.
    pub hint: Option<String>,
}

impl End {
    /// An end with one reason.
    pub fn new(ended: Ended, reason: impl Into<String>) -> Self {
        Self { ended, reasons: vec![reason.into()], hint: None }
    }

    /// Adds the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The end of a deploy by a failure that is about no object.
    pub fn by(failure: &Failure) -> Self {
        let why = sentence(failure);
        match failure {
            Failure::Cancelled => Self::new(Ended::Interrupted, "interrupted"),
            Failure::Refused { host } => Self::new(
                Ended::Unreachable,
                format!("the cluster cannot be reached: nothing listens at {host}"),
            )
            .hint("check the server's address, and that it runs"),
            Failure::Network(text) if text.contains("x509") || text.contains("certificate") => {
                Self::new(
                    Ended::Unreachable,
                    format!("the server's certificate is not trusted: {text}"),
                )
                .hint(certified(text))
            }
            Failure::Network(_) | Failure::Malformed(_) => {
                Self::new(Ended::Unreachable, format!("the cluster cannot be reached: {why}"))
                    .hint("check the server's address and the network between")
            }
            Failure::Status(status) if status.reason == "Unauthorized" => Self::new(
                Ended::Unreachable,
                format!("the cluster does not take the credential: {why}"),
            )
            .hint("the token or the certificate may have expired: get a new one"),
            Failure::Status(status) if status.message.contains("\"system:anonymous\"") => {
                Self::new(
                    Ended::Unreachable,
                    format!("the cluster takes nobody without a credential: {why}"),
                )
                .hint("give the kubeconfig's user a token or a client certificate")
            }
            Failure::Status(_) if failure.is_unreachable() => {
                Self::new(Ended::Unreachable, format!("the cluster does not answer well: {why}"))
            }
            Failure::Status(_) => Self::new(Ended::Failed, why),
            Failure::Fenced(_) => Self::new(Ended::Refused, why),
        }
    }

    /// The end of a deploy that pre-flight stops.
    pub fn by_findings(findings: &[Finding]) -> Self {
        let errors: Vec<&Finding> =
            findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
        let is_input =
            |finding: &&Finding| matches!(finding.topic, Topic::Manifest | Topic::ApiVersion);
        let ended = if errors.iter().all(is_input) { Ended::Input } else { Ended::Failed };
        let n = errors.len();
        let plural = if n == 1 { "" } else { "s" };
        let mut end =
            Self::new(ended, format!("pre-flight found {n} error{plural}; nothing was changed"));
        end.reasons.extend(errors.iter().map(|finding| finding.text.clone()));
        end
    }
}

/// The way to a certificate that is trusted.
fn certified(why: &str) -> &'static str {
    if why.contains("valid for") || why.contains("IP SANs") {
        "reach the server by a name that its certificate has, or give that name as `tls-server-name` in \
         the kubeconfig"
    } else if why.contains("expired") {
        "have the server's certificate renewed, and check this machine's clock"
    } else {
        "give the cluster's certificate authority in the kubeconfig"
    }
}

impl Course {
    /// Makes the summary and tells it.
    pub fn finish(self, desk: &Desk<'_>, end: End) -> Summary {
        let objects: Vec<ObjectSummary> = self
            .things
            .iter()
            .map(|thing| self.object(thing))
            .chain(self.pruned.iter().map(|(thing, why)| pruned(thing, why.as_deref())))
            .collect();
        let applied = self.applied.values().map(|(object, _)| object);
        let seen: Vec<&Value> =
            if self.ready.is_empty() { applied.collect() } else { self.ready.iter().collect() };
        let verdict = match end.ended {
            Ended::Passed => {
                let warns = self.findings.iter().any(|f| f.severity == Severity::Warning);
                if warns { Verdict::Warned } else { Verdict::Passed }
            }
            Ended::Inconclusive => Verdict::Inconclusive,
            Ended::Failed | Ended::Input | Ended::Refused => Verdict::Failed,
            Ended::Unreachable | Ended::Taken | Ended::Interrupted => Verdict::Error,
        };
        let summary = Summary {
            verdict,
            ended: end.ended,
            reasons: end.reasons,
            hint: end.hint,
            start_ms: self.start_ms,
            end_ms: jiff::Timestamp::now().as_millisecond(),
            server: desk.cluster.server().to_owned(),
            namespace: desk.namespace.clone(),
            url: address(&seen),
            objects,
            findings: self.findings,
            only_shown: desk.plan.mode == Mode::Show,
        };
        desk.tell(Event::Finished(Box::new(summary.clone())));
        summary
    }

    fn object(&self, thing: &Thing) -> ObjectSummary {
        let action = match (self.applied.get(&thing.index), self.refused.get(&thing.index)) {
            (_, Some(_)) => Action::Refused,
            (Some((_, action)), None) => *action,
            (None, None) => Action::Skipped,
        };
        let state = self.states.get(&thing.index);
        let (ready, reason) = match state.map(|(state, _)| state) {
            Some(State::Ready(note)) => (true, note.clone()),
            Some(State::Waiting(why) | State::Failed(why)) => (false, Some(why.clone())),
            None => (false, self.refused.get(&thing.index).cloned()),
        };
        ObjectSummary {
            object: Some(thing.index),
            kind: thing.mapping.kind.clone(),
            namespace: thing.namespace.clone(),
            name: thing.name.clone(),
            action,
            ready,
            reason,
            undone: self.undone.get(&thing.index).cloned(),
            seconds: state.map_or(0.0, |(_, seconds)| (seconds * 1000.0).round() / 1000.0),
        }
    }

    /// Objects that are on the server by this deploy, as sentences: nothing is half-told.
    pub fn applied_so_far(&self) -> Option<String> {
        let done: Vec<String> = self
            .things
            .iter()
            .filter(|thing| {
                let action = self.applied.get(&thing.index).map(|(_, action)| *action);
                matches!(action, Some(Action::Created | Action::Configured))
            })
            .map(Thing::told)
            .collect();
        match done.len() {
            0 => None,
            n if n > 8 => {
                Some(format!("{n} objects were applied before, such as {}", done[..8].join(", ")))
            }
            _ => Some(format!("applied before: {}", done.join(", "))),
        }
    }
}

fn pruned(thing: &Thing, trouble: Option<&str>) -> ObjectSummary {
    ObjectSummary {
        object: None,
        kind: text(&thing.object, "/kind").to_owned(),
        namespace: thing.namespace.clone(),
        name: thing.name.clone(),
        action: Action::Pruned,
        ready: trouble.is_none(),
        reason: trouble.map(str::to_owned),
        undone: None,
        seconds: 0.0,
    }
}
