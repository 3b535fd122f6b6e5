//! Requests that lead into a pod.

use serde::{Deserialize, Serialize};

use super::{Named, Output};

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
    /// `--pod-running-timeout` in milliseconds.
    pub pod_timeout_ms: u64,
}

/// `kubectl port-forward`: which pod, and which of its ports, is meant. What is answered is an
/// [`super::Event::Ports`]; each connection is then a [`Tunnel`] of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// `TYPE/NAME`; a bare name is a pod.
    pub target: Named,
    /// `[LOCAL:]REMOTE`, as written.
    pub ports: Vec<String>,
    /// `--address`, as written.
    pub addresses: Vec<String>,
    /// `--pod-running-timeout` in milliseconds.
    pub pod_timeout_ms: u64,
}

/// One connection to a port of a pod: its bytes go beside the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tunnel {
    /// The pod.
    pub pod: String,
    /// Its port.
    pub port: u16,
}

/// `kubectl create token`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The service account.
    pub account: String,
    /// `--audience`.
    pub audiences: Vec<String>,
    /// `--duration` in seconds; 0 leaves it to the server.
    pub seconds: u64,
    /// `--bound-object-kind`, `-name` and `-uid`.
    pub bound: Option<Bound>,
    /// `-o`.
    pub output: Output,
}

/// The object that a token lives and dies with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// `Node`, `Pod` or `Secret`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid; the server's choice when empty.
    pub uid: String,
}

/// The pod that is forwarded to, and the ports that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// The pod.
    pub pod: String,
    /// Local and remote ports, in order; local 0 is any that is free.
    pub pairs: Vec<(u16, u16)>,
}

/// `kubectl logs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// `TYPE/NAME`; a bare name is a pod.
    pub target: Option<Named>,
    /// `-l`.
    pub labels: Option<String>,
    /// `-c`.
    pub container: Option<String>,
    /// `--all-containers`.
    pub all_containers: bool,
    /// `--all-pods`: of a workload all, not only the best.
    pub all_pods: bool,
    /// `-f`.
    pub follow: bool,
    /// `-p`.
    pub previous: bool,
    /// `--tail`, −1 for all.
    pub tail: i64,
    /// `--since` in seconds.
    pub since_seconds: Option<u64>,
    /// `--since-time`.
    pub since_time: Option<String>,
    /// `--limit-bytes`, 0 for all.
    pub limit_bytes: u64,
    /// `--timestamps`.
    pub timestamps: bool,
    /// `--prefix`.
    pub prefix: bool,
    /// `--ignore-errors`.
    pub ignore_errors: bool,
    /// `--max-log-requests`: so many are followed at once.
    pub max_requests: i64,
    /// `--pod-running-timeout` in milliseconds.
    pub pod_timeout_ms: u64,
}
