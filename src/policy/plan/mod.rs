//! The plan file: what to drive, and what to hold it to. One file, one schema, for load and gate.

mod sheet;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::problem::Problems;
use crate::{gate, load};

pub use sheet::{read, read_by, read_checks};

/// A plan as written.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PlanFile {
    /// Plan files whose journeys, limits and checks belong to this one, by their path from here;
    /// they also give what this one leaves out.
    #[serde(deserialize_with = "crate::load::texts")]
    #[schemars(schema_with = "crate::load::schema_of_texts")]
    pub include: Vec<String>,
    /// Where the load goes: `http://$FRONTEND_TARGET`. Variables are those of the job.
    pub target: Option<String>,
    /// How HTTP is spoken: `{ version: 2, streams: 10 }`.
    pub http: Option<load::HttpFile>,
    /// How TLS is spoken: trust anchors, the client's certificate, the server's name.
    pub tls: Option<load::TlsFile>,
    /// How much load, and for how long.
    pub load: Option<load::ModelFile>,
    /// What a virtual user does.
    pub journeys: Vec<load::JourneyFile>,
    /// Steps that one user does once before everything else; what they save is there for all
    /// journeys.
    pub setup: Vec<load::StepFile>,
    /// Steps that one user does once after everything else.
    pub teardown: Vec<load::StepFile>,
    /// What the client must have seen: `p95 < 300ms`, `errors < 1%`.
    #[serde(deserialize_with = "crate::load::texts")]
    #[schemars(schema_with = "crate::load::schema_of_texts")]
    pub limits: Vec<String>,
    /// What an acceptance test accepts by, in words, each with the limits that show it.
    pub criteria: Vec<load::CriterionFile>,
    /// What the infrastructure must have done.
    pub checks: Vec<gate::CheckFile>,
    /// How the checks are judged.
    pub gate: Option<gate::GateFile>,
}

impl PlanFile {
    /// Takes what an included file has: its lists are added, the rest only where this has none.
    fn include(&mut self, other: Self) {
        self.target = self.target.take().or(other.target);
        self.http = self.http.take().or(other.http);
        self.tls = self.tls.take().or(other.tls);
        self.load = self.load.take().or(other.load);
        self.journeys.extend(other.journeys);
        self.setup.extend(other.setup);
        self.teardown.extend(other.teardown);
        self.limits.extend(other.limits);
        self.criteria.extend(other.criteria);
        self.checks.extend(other.checks);
        self.gate = self.gate.take().or(other.gate);
    }
}

/// A plan file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there or cannot be read.
    #[error("cannot read the plan `{path}`")]
    Read {
        /// As it was named.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is not a plan: every mistake in it, with its line and key.
    #[error(transparent)]
    Malformed(#[from] Problems),
}
