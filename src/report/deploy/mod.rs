//! A deploy as it is told: lines and foldable evidence in the job log, deploy.json, a JUnit suite, the
//! environment's variables.

mod files;
mod teller;

pub use files::{begin, unfinished, write};
pub use teller::{Teller, say};

use crate::deploy::release::{Finding, Place, Sources};

/// `FILE:LINE:COLUMN` of a finding, where its manifest is at hand.
fn place(sources: &Sources, finding: &Finding) -> Option<String> {
    let (file, Place { line, column }) = sources.locate(finding.object?, &finding.path)?;
    Some(format!("{file}:{line}:{column}"))
}
