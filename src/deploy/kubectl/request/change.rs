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
