//! `kubectl`: the guest parses a command line into a [`Request`], the broker performs it.
//!
//! What crosses the socket is the typed request with the objects in it, never an argv and never a
//! path: files, directories, standard input and URLs are read on the guest's side, with its rights.

mod request;
mod touches;
mod list;
mod objects;
mod flags;
mod listen;
mod print;
mod guest;
mod host;

use std::path::{Path, PathBuf};

pub use request::{
    Apply, Bound, CanI, ClusterChoice, Create, Delete, Describe, Diff, DryRun, Event, Exec,
    Explain, Forward, Get, Item, Kinds, Logs, Manifest, Mark, Marks, Named, Operation, Output,
    Pair, PatchKind, PatchWith, Ports, Prune, Request, Rollout, RolloutAction, Scale, Selection,
    SetEnv, SetImage, Token, Top, Tunnel, Validate, Wait, Watch, What,
};
pub use touches::{ALL_NAMESPACES, INTO_PODS, TO_PORTS, TOKENS, Touch};

/// What a parsed command line asks for.
#[derive(Debug)]
pub enum Parsed {
    /// Done without a server: `config …`, `version --client`, `--dry-run=client` of `create`.
    Local {
        /// For standard output.
        stdout: String,
        /// For standard error.
        stderr: String,
        /// The exit code.
        code: u8,
    },
    /// To be performed on a cluster.
    Remote(Box<Request>),
    /// Files to be copied into a pod or out of one.
    Copy(Box<Copy>),
    /// Connections made here, to be led into a pod.
    Forward(Box<Request>),
}

/// `kubectl cp`: commands in a pod, and files here.
#[derive(Debug)]
pub struct Copy {
    /// Runs a command in the pod; which one is still to be said.
    pub request: Request,
    /// From where.
    pub from: Place,
    /// To where.
    pub to: Place,
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Here.
    Here(PathBuf),
    /// In a pod.
    Pod {
        /// The namespace, where one is named.
        namespace: Option<String>,
        /// The pod.
        pod: String,
        /// The path there.
        path: String,
    },
}

/// A command line that is wrong, or an input that cannot be read: what kubectl prints on standard
/// error (without a newline at the end); exit code 1, of `diff` 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

impl Usage {
    /// How the text begins when kubectl would do what was asked, and dyno does not.
    const BEYOND: &str = "error: dyno's kubectl";

    /// True when a real kubectl would do what was asked.
    pub fn is_beyond(&self) -> bool {
        self.0.starts_with(Self::BEYOND)
    }
}

/// The files and addresses that a command line may name, with the rights of whoever runs it.
pub trait Files {
    /// The content of a file.
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>>;
    /// The entries of a folder by name, or `None` when the path is not a folder.
    fn list(&self, path: &Path) -> std::io::Result<Option<Vec<String>>>;
    /// Writes a file as a whole, readable by its owner alone (`kubectl config …`).
    fn write(&self, path: &Path, content: &[u8]) -> std::io::Result<()>;
    /// One `GET` of a URL: status and body.
    fn fetch(&self, url: &str) -> Result<Fetched, String>;
    /// The kubeconfig files in order: `KUBECONFIG` split at colons, else `~/.kube/config`.
    fn kubeconfigs(&self) -> Vec<PathBuf>;
    /// What a kustomization builds, by a program of the environment; else why not.
    fn kustomize(&self, folder: &str) -> Result<Vec<u8>, String>;
    /// True where a driver has clusters of its own, which a command may mean.
    fn has_platform(&self) -> bool;
    /// True when standard input is a terminal.
    fn is_terminal(&self) -> bool;
    /// An environment variable, which a line without `=` of an env file stands for.
    fn variable(&self, name: &str) -> Option<String>;
}

/// The answer of [`Files::fetch`].
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The status code.
    pub status: u16,
    /// The status line without the version: `404 Not Found`.
    pub reason: String,
    /// The body.
    pub body: Vec<u8>,
}

pub use guest::{Source, Unfound, choice, parse, verb};
pub use host::{carry, perform};
pub use listen::{Listen, listens};
pub use print::logged;

/// How a performed request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// kubectl's exit code.
    pub code: u8,
    /// True when the cluster itself could not be reached, or did not take our credential.
    pub cluster_unreachable: bool,
}
