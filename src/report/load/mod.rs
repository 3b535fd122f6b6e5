//! The load as it is told: the job log while it goes on, and the report files at its end.

mod chart;
mod live;
mod walk;
mod teller;
mod table;
mod files;
pub mod locust;

pub use files::{begin, course, doubt, steady, write};
pub use teller::Teller;
