//! Requests that change objects in place.

use serde::{Deserialize, Serialize};

use super::{DryRun, Named, Output, Selection};

/// `kubectl label` and `kubectl annotate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// Which objects.
    pub selection: Selection,
    /// What is changed.
    pub what: Marks,
    /// Keys and their new values, by key.
    pub set: Vec<(String, String)>,
    /// Keys to take away, in order.
    pub remove: Vec<String>,
    /// `--overwrite`.
    pub overwrite: bool,
    /// `--list`: only show them.
    pub list: bool,
    /// `--resource-version`.
    pub resource_version: Option<String>,
    /// True when the command line names one object.
    pub single: bool,
    /// `--dry-run`; client too with `--local`.
    pub dry_run: DryRun,
    /// `--field-manager`.
    pub field_manager: String,
    /// `-o`.
    pub output: Output,
}

/// Which of an object's marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Marks {
    /// `metadata.labels`.
    Labels,
    /// `metadata.annotations`.
    Annotations,
}

/// `kubectl patch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchWith {
    /// Which objects.
    pub selection: Selection,
    /// `--type`.
    pub kind: PatchKind,
    /// The patch: JSON as it was written, or made of the YAML that was.
    pub patch: String,
    /// `--subresource`; empty for the object itself.
    pub subresource: String,
    /// `--dry-run`.
    pub dry_run: DryRun,
    /// `--field-manager`.
    pub field_manager: String,
    /// `-o`.
    pub output: Output,
}

/// `--type` of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PatchKind {
    /// A list of operations (RFC 6902).
    Json,
    /// A merge (RFC 7386).
    Merge,
    /// Kubernetes' own merge.
    Strategic,
}

/// `kubectl set env`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetEnv {
    /// Which workloads.
    pub selection: Selection,
    /// `-c`, with `*` for anything.
    pub containers: String,
    /// Variables and their values, in order.
    pub set: Vec<(String, String)>,
    /// Variables to take away.
    pub remove: Vec<String>,
    /// `--from`: the Secret or `ConfigMap` whose keys become variables.
    pub from: Option<Named>,
    /// `--prefix`.
    pub prefix: String,
    /// `--keys`; all when empty.
    pub keys: Vec<String>,
    /// `--overwrite`.
    pub overwrite: bool,
    /// `--list`: only show them.
    pub list: bool,
    /// `--dry-run`.
    pub dry_run: DryRun,
    /// `--field-manager`.
    pub field_manager: String,
    /// `-o`.
    pub output: Output,
}

/// `kubectl rollout`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// Which workloads.
    pub selection: Selection,
    /// What to do with them.
    pub action: RolloutAction,
    /// `--dry-run` (undo).
    pub dry_run: DryRun,
    /// `-o`.
    pub output: Output,
    /// `--field-manager` where the action has one.
    pub field_manager: String,
}

/// What `kubectl rollout` does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RolloutAction {
    /// Follow it to its end.
    Status {
        /// `--watch`.
        watch: bool,
        /// `--timeout` in milliseconds; 0 is for ever.
        timeout_ms: u64,
        /// `--revision`; 0 is the newest.
        revision: i64,
    },
    /// Back to an earlier revision; 0 is the one before.
    Undo {
        /// `--to-revision`.
        to_revision: i64,
    },
    /// New pods from the same template.
    Restart,
    /// The revisions.
    History {
        /// `--revision`: one in detail.
        revision: i64,
    },
    /// Stop rolling.
    Pause,
    /// Go on rolling.
    Resume,
}

/// `kubectl set image`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetImage {
    /// Which workloads.
    pub selection: Selection,
    /// `--all`.
    pub all: bool,
    /// Container (or `*`) and image, in order.
    pub images: Vec<(String, String)>,
    /// `--dry-run`.
    pub dry_run: DryRun,
    /// `--field-manager`.
    pub field_manager: String,
    /// `-o`.
    pub output: Output,
}

/// `kubectl scale`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Which workloads.
    pub selection: Selection,
    /// `--all`.
    pub all: bool,
    /// `--replicas`.
    pub replicas: i64,
    /// `--current-replicas`, −1 for any.
    pub current_replicas: i64,
    /// `--resource-version`.
    pub resource_version: Option<String>,
    /// `--dry-run`.
    pub dry_run: DryRun,
    /// `-o`.
    pub output: Output,
}
