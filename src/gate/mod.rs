//! The gate: asks metric sources about a window and gives a verdict that want of data never improves.
//!
//! Order of evaluation: settle, quality, reduce, limit, worst of all. See `judge` for the heart.

mod file;
mod limit;
mod unit;
mod expand;
mod expr;
mod plan;
mod build;
mod series;
mod settle;
mod reduce;
mod combine;
mod quality;
mod regression;
mod judge;
mod summary;
mod run;
pub mod source;

pub use build::{Overrides, Written};
pub use expand::expand;
pub use file::{CheckFile, GateFile};
pub use limit::{Limit, Operator};
pub use plan::{
    Check, JobTokens, Plan, Quality, Rule, SourceChoice, Style, Variable, Watch, Weight,
    WindowChoice,
};
pub use reduce::Reduce;
pub use run::{Sources, run};
pub use series::{Point, Series, Window};
#[cfg(test)]
pub use summary::Chart;
pub use summary::{CheckResult, Event, Measured, Summary};
