//! A cluster: how to reach it, as who, and what an answer of its API means.

mod spec;
mod resolve;
mod connect;
mod call;
pub mod failure;
mod discovery;
mod builtin;
mod fence;

pub use builtin::{builtin_by_kind, builtin_by_word, is_builtin_group};
pub use call::{Accept, Answer, Call, Method, Patch};
pub use connect::{Cluster, connect};
pub use discovery::{Discovery, Mapping};
pub use failure::{Failure, Status};
pub use fence::{Fence, Target};
pub use spec::{Access, ClusterSpec, Impersonate, OwnCluster};

/// Why a cluster could not be connected to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig cannot be read.
    #[error("cannot read kubeconfig `{file}`")]
    Read {
        /// The kubeconfig.
        file: String,
        /// Why.
        #[source]
        source: Box<kube::config::KubeconfigError>,
    },
    /// There is no such context.
    #[error("kubeconfig `{file}` has no context `{context}`; it has: {known}")]
    NoContext {
        /// The kubeconfig.
        file: String,
        /// What was asked for.
        context: String,
        /// What there is.
        known: String,
    },
    /// The kubeconfig does not say which context is the current one.
    #[error("kubeconfig `{file}` has no current context, and none was asked for")]
    NoCurrent {
        /// The kubeconfig.
        file: String,
    },
    /// The kubeconfig names a program to run for its credentials.
    #[error(
        "user `{user}` of kubeconfig `{file}` gets its credential from a program ({plugin}), which \
         dyno does not run; give it a token or a client certificate"
    )]
    Plugin {
        /// The user entry.
        user: String,
        /// The kubeconfig.
        file: String,
        /// `exec PROGRAM` or `auth-provider NAME`.
        plugin: String,
    },
    /// The server's address, a certificate or a key is not usable.
    #[error("kubeconfig `{file}` is not usable")]
    Unusable {
        /// The kubeconfig.
        file: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
