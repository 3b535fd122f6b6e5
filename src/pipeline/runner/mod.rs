//! One job through the driver's four verbs, in gitlab-runner's order and with its semantics.

mod mask;
mod console;
mod trace;
mod interrupt;
mod call;
mod attempt;
mod stages;

pub use attempt::{Around, Attempt, Finished, Outcome};
pub use call::{Driver, Timing};
pub use console::Console;
pub use interrupt::{Interrupt, Interrupter, Level};
pub use mask::Masker;
pub use trace::Trace;

#[cfg(test)]
mod tests;
