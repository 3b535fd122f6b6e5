//! `dyno schema`: prints the JSON Schema of a file that people write.

use std::io::Write;

use crate::command::Streams;
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::policy::{plan::PlanFile, schema};

/// Arguments of `dyno schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which file
    #[arg(value_enum, default_value_t = Kind::Policy)]
    kind: Kind,
}

/// The files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// The platform team's policy
    Policy,
    /// A plan: load, journeys, limits, checks
    Plan,
    /// An image recipe
    Recipe,
}

/// Runs the verb.
///
/// # Errors
/// When standard output is gone.
pub fn run(args: &Args, streams: &mut Streams) -> Result<Outcome> {
    streams.out.write_all(text(args.kind).as_bytes()).map_err(Error::system)?;
    Ok(Outcome::Passed)
}

fn text(kind: Kind) -> String {
    match kind {
        Kind::Policy => schema::policy(),
        Kind::Plan => schema::text_of::<PlanFile>(),
        Kind::Recipe => schema::recipe(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_in_config_are_the_generated_ones() {
        for (kind, name, written) in [
            (Kind::Policy, "policy", include_str!("../../config/policy.schema.json")),
            (Kind::Plan, "plan", include_str!("../../config/plan.schema.json")),
            (Kind::Recipe, "recipe", include_str!("../../config/recipe.schema.json")),
        ] {
            assert!(text(kind) == written, "run: dyno schema {name} > config/{name}.schema.json");
        }
    }
}
