//! Requests that run something inside a container.

use serde::{Deserialize, Serialize};

use super::Named;

/// `kubectl exec`, and both ways of `kubectl cp`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// `TYPE/NAME`; a bare name is a pod.
    pub target: Named,
    /// `-c`.
    pub container: Option<String>,
    /// The command.
    pub command: Vec<String>,
    /// Standard input in base64, whole; `None` without `-i`.
    pub stdin: Option<String>,
    /// `-q`.
    pub quiet: bool,
}
