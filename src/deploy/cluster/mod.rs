//! A cluster: how to reach it, as who, and what an answer of its API means.

mod spec;
mod resolve;
mod trouble;
mod tickets;
mod lane;
mod lanes;
mod connect;
mod call;
mod exec;
mod forward;
pub mod failure;
mod discovery;
mod builtin;
mod fence;

pub use builtin::{builtin_by_kind, builtin_by_word, is_builtin_group};
pub use call::{Accept, Answer, Call, Method, Patch};
pub use connect::{Cluster, Content, connect};
pub use discovery::{Discovered, Discovery, Mapping};
pub use exec::Command;
pub use failure::{Cause, Failure, Status};
pub use fence::{Fence, Target};
pub use forward::Wire;
pub use spec::{Access, ClusterSpec, Impersonate, OwnCluster, Whose};

/// Why a cluster could not be connected to. The text goes into a job's log: of a kubeconfig's content
/// nothing is in it, and so no library's error, which may quote it, is a source here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig cannot be read.
    #[error("cannot read {file}")]
    Read {
        /// What the kubeconfig is called.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The kubeconfig is a text that means nothing.
    #[error("{file} is no {what}{}", place(*.at))]
    Malformed {
        /// What the kubeconfig is called.
        file: String,
        /// `valid YAML`, `kubeconfig`.
        what: &'static str,
        /// Line and column, from 1.
        at: Option<(u64, u64)>,
    },
    /// There is no such context.
    #[error("{file} has no context `{context}`{known}")]
    NoContext {
        /// What the kubeconfig is called.
        file: String,
        /// What was asked for.
        context: String,
        /// What there is, to whom it may be told.
        known: String,
    },
    /// The kubeconfig does not say which context is the current one.
    #[error("{file} has no current context, and none was asked for")]
    NoCurrent {
        /// What the kubeconfig is called.
        file: String,
    },
    /// The kubeconfig names a program to run for its credentials.
    #[error(
        "{file} gets its credential from a program{plugin}, which dyno does not run; give it a \
         token or a client certificate"
    )]
    Plugin {
        /// What the kubeconfig is called.
        file: String,
        /// ` (user NAME: exec PROGRAM)`, to whom it may be told.
        plugin: String,
    },
    /// The server's address, a certificate or a key is not usable.
    #[error("{file} is not usable: {why}")]
    Unusable {
        /// What the kubeconfig is called.
        file: String,
        /// Why, in dyno's words.
        why: String,
    },
}

fn place(at: Option<(u64, u64)>) -> String {
    at.map(|(line, column)| format!(" (line {line}, column {column})")).unwrap_or_default()
}
