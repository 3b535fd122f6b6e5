//! Requests that only look.

use serde::{Deserialize, Serialize};

use super::{Item, Output, Selection};

/// `kubectl diff`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diff {
    /// The input, in order.
    pub items: Vec<Item>,
    /// True when `-n` was given.
    pub enforce_namespace: bool,
    /// `--server-side`.
    pub server_side: bool,
    /// `--force-conflicts`.
    pub force_conflicts: bool,
    /// `--field-manager`.
    pub field_manager: String,
    /// `--show-managed-fields`.
    pub managed_fields: bool,
    /// `--show-secrets`.
    pub secrets: bool,
}

/// `kubectl auth can-i`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanI {
    /// The verb.
    pub verb: String,
    /// The type as written, or the path of a URL (`/logs/`).
    pub what: String,
    /// The name, where one was given.
    pub name: String,
    /// `--subresource`.
    pub subresource: String,
    /// `-A`.
    pub all_namespaces: bool,
    /// `-q`.
    pub quiet: bool,
}

/// `kubectl api-resources`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kinds {
    /// `--api-group`.
    pub group: Option<String>,
    /// `--namespaced`.
    pub namespaced: Option<bool>,
    /// `--verbs`: all of them.
    pub verbs: Vec<String>,
    /// `--categories`: all of them.
    pub categories: Vec<String>,
    /// `--sort-by`: `name`, `kind` or nothing.
    pub sort_by: String,
    /// `--no-headers`.
    pub no_headers: bool,
    /// `-o wide|name`.
    pub output: Output,
}

/// `kubectl top`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Top {
    /// True for nodes, false for pods.
    pub nodes: bool,
    /// The name, when one was given.
    pub name: Option<String>,
    /// `-l`.
    pub labels: Option<String>,
    /// `--field-selector`.
    pub fields: Option<String>,
    /// `-A`.
    pub all_namespaces: bool,
    /// `--containers`.
    pub containers: bool,
    /// `--sort-by`: `cpu`, `memory` or nothing.
    pub sort_by: String,
    /// `--no-headers`.
    pub no_headers: bool,
    /// `--sum`.
    pub sum: bool,
}

/// `kubectl explain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// `TYPE[.FIELD…]` as written.
    pub what: String,
    /// `--api-version`.
    pub api_version: Option<String>,
    /// `--recursive`.
    pub recursive: bool,
}

/// `kubectl describe`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Describe {
    /// Which objects.
    pub selection: Selection,
    /// The name, when the command line names one of a type: where there is no such object, those
    /// whose names begin so are meant.
    pub prefix: Option<String>,
    /// `--show-events`, when it was given: else those of a single object are told.
    pub events: Option<bool>,
}
