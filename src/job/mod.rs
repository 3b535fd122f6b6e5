//! Who asks: the job as gitlab-runner and GitLab describe it, apart from what the job says of itself.

mod vars;
mod stage;
mod response;
pub mod http;
pub mod resolve;
pub mod process;
pub mod gitlab;
#[cfg(test)]
pub mod standin;

pub use response::{Credential, Image, Job, JobId, Service, Variable};
pub use stage::ScriptStage;
pub use vars::{ProcessVars, Vars};
