//! `dyno gc`: removes what dead runners left, and never touches a living job's things.

use std::io::Write;
use std::path::PathBuf;

use crate::command::Streams;
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::{broker, executor, policy};

/// Arguments of `dyno gc`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Policy file of the platform team: it names the state folder
    #[arg(long, value_name = "FILE", default_value = policy::DEFAULT_PATH)]
    policy: PathBuf,
}

/// Runs the verb.
///
/// # Errors
/// When the policy cannot be read or a leftover cannot be removed.
pub async fn run(args: Args, streams: &mut Streams) -> Result<Outcome> {
    let policy = policy::read(&args.policy)?;
    let gone = executor::collect(&policy).await?;
    broker::forget_old_records(&policy.state);
    for name in &gone {
        writeln!(streams.out, "removed {name}").map_err(Error::system)?;
    }
    if gone.is_empty() {
        writeln!(streams.out, "nothing to remove").map_err(Error::system)?;
    }
    Ok(Outcome::Passed)
}
