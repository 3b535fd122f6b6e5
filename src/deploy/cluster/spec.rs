//! What is needed to reach a cluster: by a platform's kubeconfig, or by what a job brought itself.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// A cluster as meant: where it is and who we are to it.
#[derive(Debug, Clone)]
pub struct ClusterSpec {
    /// Where it is, and the credential.
    pub access: Access,
    /// Whom to act as, on every request.
    pub impersonate: Option<Impersonate>,
    /// The namespace of requests that name none; the context's (or `default`) when `None`.
    pub namespace: Option<String>,
    /// True in the broker: nothing is sent that `Request::touches` did not declare, whatever
    /// discovery says a kind is. False on a laptop.
    pub fenced: bool,
    /// True where what a patch makes of an object must keep to the baseline pod security.
    pub guarded: bool,
}

/// Where a cluster is, and the credential for it.
#[derive(Debug, Clone)]
pub enum Access {
    /// A kubeconfig file of the platform's (or of the laptop's user). Never a path that a job named.
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The context; the file's current one when `None`.
        context: Option<String>,
        /// Whose it is.
        whose: Whose,
    },
    /// What a job brought: plain data, no path, no program.
    Own(Box<OwnCluster>),
}

/// Whose a kubeconfig is, and so what may be told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// The platform's, for the cluster of this name: a job is told neither its path nor its names.
    Platforms(String),
    /// That of whoever reads the message.
    Readers,
}

/// Whom to act as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impersonate {
    /// `Impersonate-User`.
    pub user: String,
    /// `Impersonate-Group`, once each.
    pub groups: Vec<String>,
}

/// A cluster and a credential out of the job's own kubeconfig; files are read in already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnCluster {
    /// The context it was found under.
    pub context: String,
    /// `https://HOST:PORT[/PREFIX]`: what a policy allows or does not.
    pub server: String,
    /// The name the server's certificate must carry, when not the host's.
    pub tls_server_name: Option<String>,
    /// The certificate authority, PEM.
    pub ca: Option<String>,
    /// True when the server's certificate is not to be checked.
    pub insecure: bool,
    /// The client's certificate, PEM.
    pub certificate: Option<String>,
    /// The client's key, PEM.
    pub key: Option<Secret>,
    /// A bearer token.
    pub token: Option<Secret>,
    /// Basic authentication.
    pub username: Option<String>,
    /// Basic authentication.
    pub password: Option<Secret>,
    /// Whom the kubeconfig acts as.
    pub impersonate: Option<String>,
    /// The uid it acts with.
    pub impersonate_uid: Option<String>,
    /// The groups it acts as.
    pub impersonate_groups: Vec<String>,
    /// The context's namespace.
    pub namespace: Option<String>,
}
