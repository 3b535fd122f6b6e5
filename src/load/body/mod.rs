//! Bodies that are read from files or made.

mod file;
mod build;
mod payload;

pub use file::{Fill, PartFile, UploadFile};
pub use payload::{Outgoing, Payload};
