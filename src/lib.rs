//! dyno: load tests, metric gates and deploys inside GitLab pipelines.
//!
//! One binary, registered with gitlab-runner as a custom executor. The modules form layers;
//! imports point down only (`tests/tidy.rs` holds the table):
//!
//! ```text
//! cli                                    argv and argv[0], exit code
//! command                                one file per verb; where everything meets
//! executor | broker | pipeline           GitLab's protocol | tasks over the socket | `dyno try`
//! policy | report                        what is allowed | what is told
//! environment | load | gate | deploy     four tools unaware of each other and of GitLab
//! job                                    who asks
//! error near outcome secret shutdown statistics unit verdict
//! ```

mod error;
mod mistake;
mod near;
mod outcome;
mod secret;
mod shutdown;
mod statistics;
mod unit;
mod verdict;
mod job;
mod environment;
mod load;
mod gate;
mod deploy;
mod policy;
mod report;
mod executor;
mod broker;
mod pipeline;
mod command;
pub mod cli;
