//! Load generation: drives virtual users at a target and measures what they saw.
//!
//! Whoever performs a task coordinates ([`run`]); the plan, which a job wrote, is evaluated in a
//! worker ([`worker`]): a child process without environment, files or names to resolve, that
//! connects to the pinned addresses only. They speak frames over stdin and stdout.

mod error;
mod file;
mod think;
mod template;
mod jsonpath;
mod limit;
mod url;
mod plan;
mod script;
mod build;
mod pace;
mod failure;
mod record;
mod protocol;
mod summary;
mod collect;
mod judge;
mod event;
mod coordinate;
mod worker;
pub mod locust;
#[cfg(test)]
mod tests;

pub use coordinate::{WorkerSpec, run};
pub use error::{Error, Mistake, Mistakes};
pub use event::{Event, Phase, Progress};
pub use file::{CheckFile, JourneyFile, ModelFile, StatusFile, StepFile};
pub use limit::{Limit, LimitResult, Metric, Operator, millis};
pub use plan::{
    Action, Body, Journey, Method, Model, Origin, Overrides, Pins, Plan, Request, Scheme, Status,
    Step, Target, Written,
};
pub use summary::{
    Bytes, Endpoint, ErrorCount, Generator, Latency, Point, Requests, Steady, Summary, Window,
};
pub use think::Think;
pub use worker::worker;
