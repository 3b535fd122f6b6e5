//! GitLab's custom executor protocol: config, prepare, run, cleanup, each a process of its own.
//!
//! Reference: <https://docs.gitlab.com/runner/executors/custom/>.

mod contract;
mod parent;
mod call;
mod config;
mod prepare;
mod prelude;
mod place;
mod run;
mod cleanup;

pub use call::{Call, Entry};
pub use cleanup::{cleanup, cleanup_without_policy, collect};
pub use config::config;
pub use contract::{Contract, End};
pub use prepare::prepare;
pub use run::Stage;
