//! What is told: job log lines, report files.

mod folder;
pub mod dotenv;
pub mod junit;
pub mod joblog;
mod chart;
pub mod load;
pub mod gate;
pub mod deploy;
pub mod writeback;

pub use folder::{Error, Folder};
