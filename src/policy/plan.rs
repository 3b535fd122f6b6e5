//! The plan file: what to drive, and what to hold it to. One file, one schema, for load and gate.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::problem::Problems;
use super::yaml;
use crate::{gate, load};

/// A plan as written.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PlanFile {
    /// Where the load goes: `http://$FRONTEND_TARGET`. Variables are those of the job.
    pub target: Option<String>,
    /// How much load, and for how long.
    pub load: Option<load::ModelFile>,
    /// What a virtual user does.
    pub journeys: Vec<load::JourneyFile>,
    /// What the client must have seen: `p95 < 300ms`, `errors < 1%`.
    pub limits: Vec<String>,
    /// What the infrastructure must have done.
    pub checks: Vec<gate::CheckFile>,
    /// How the checks are judged.
    pub gate: Option<gate::GateFile>,
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

/// Reads a plan file; what it says is checked where it is used.
///
/// # Errors
/// When it cannot be read or has another shape; every mistake is told with its line and key.
pub fn read(path: &std::path::Path) -> Result<PlanFile, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::Read { path: path.to_owned(), source })?;
    parse(&text, path)
}

/// Reads the text of a plan file that was found at `path`.
///
/// # Errors
/// When it has another shape; every mistake is told with its line and key.
pub fn parse(text: &str, path: &std::path::Path) -> Result<PlanFile, Error> {
    Ok(yaml::read(path, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_with_its_line_and_what_there_is() {
        let text = "target: http://a\ncheks: []\nload: { users: many, duration: 1m }\n";
        let error = parse(text, "perf.yaml".as_ref()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`perf.yaml` has 2 mistakes\n\
             \x20 perf.yaml:2:1: cheks: unknown key `cheks` (did you mean `checks`?)\n\
             \x20 perf.yaml:3:16: load.users: must be a whole number from 0 to 4294967295, not `many`"
        );
    }

    #[test]
    fn the_example_plans_are_plans() {
        for (name, text) in [
            ("acme.yaml", include_str!("../../config/plans/acme.yaml")),
            ("open.yaml", include_str!("../../config/plans/open.yaml")),
        ] {
            if let Err(error) = parse(text, name.as_ref()) {
                panic!("{error}");
            }
        }
    }
}
