//! What can go wrong with a plan or a run.

use std::path::PathBuf;

pub use crate::mistake::{Mistakes, suggest};

/// A load test that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plan says what cannot be meant; every mistake is told at once.
    #[error("the plan cannot be followed: {0}")]
    Plan(Mistakes),
    /// The Locust command line cannot be followed.
    #[error("{0}")]
    Locust(String),
    /// The worker process did not start.
    #[error("cannot start the load worker `{program}`")]
    Start {
        /// The program that was to run.
        program: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The stream to or from the worker broke.
    #[error("cannot speak with the load worker")]
    Stream(#[source] std::io::Error),
    /// A frame that this protocol does not have.
    #[error("the load worker's stream is malformed")]
    Frame(#[source] serde_json::Error),
    /// A frame that is longer than any honest one.
    #[error("a frame of {0} bytes is too long")]
    FrameLength(usize),
    /// The worker refused its plan or broke down, in its own words.
    #[error("the load worker failed: {0}")]
    Worker(String),
    /// A histogram could not be merged or read.
    #[error("cannot read a histogram of the load worker: {0}")]
    Histogram(String),
    /// The trust anchors for TLS cannot be used.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}
