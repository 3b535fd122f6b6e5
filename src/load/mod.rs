//! Load generation: drives virtual users at a target and measures what they saw.
//!
//! Whoever performs a task coordinates ([`run`]); the plan, which a job wrote, is evaluated in a
//! worker ([`worker`]): a child process without environment, files or names to resolve, that
//! connects to the pinned addresses only. They speak frames over stdin and stdout.

mod error;
mod texts;
mod file;
mod body;
mod call;
mod connection_file;
mod connection;
mod proxy;
mod think;
mod template;
mod jsonpath;
mod seek;
mod check;
mod feed;
mod css;
mod take;
mod limit;
mod url;
mod stages;
pub mod model;
mod origin;
pub mod plan;
mod regression;
mod shape;
mod preset;
mod gauge;
mod slices;
mod findings;
mod script;
mod aims;
mod hosts;
mod steps;
mod build;
mod pace;
mod failure;
mod histogram;
mod record;
mod protocol;
pub mod summary;
mod mask;
mod trace;
mod compare;
mod collect;
mod judge;
mod result;
mod event;
mod coordinate;
pub mod push;
mod worker;
pub mod locust;
pub mod import;
#[cfg(test)]
mod tests;

pub use body::{PartFile, UploadFile};
pub use connection_file::{HttpFile, TlsFile, Version, is_inline};
pub use coordinate::{WorkerSpec, run};
pub use error::Error;
pub use event::{Event, Phase, Progress};
pub use file::{CriterionFile, JourneyFile, ModelFile, StepFile};
pub use limit::{LimitResult, millis};
pub use model::{ONCE, Preset};
pub use plan::{Overrides, Pins, Plan, Written};
pub use summary::{
    CheckCount, Endpoint, Latency, Links, Middle, Point, Requests, StageSummary, Summary,
};
pub use texts::{schema_of_texts, texts};
pub use trace::{Exchange, Traced};
pub use url::expand;
pub use worker::worker;
