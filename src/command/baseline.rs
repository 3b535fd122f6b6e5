//! `dyno baseline`: the runs that later ones are compared with, and what is thought of them.

use std::io::Write;
use std::path::PathBuf;

use crate::broker::Event;
use crate::command::Streams;
use crate::command::guest::Guest;
use crate::error::{Error, Result};
use crate::job::Vars;
use crate::outcome::Outcome;
use crate::policy::{BaselineTask, BaselineVerb, Task};
use crate::shutdown::Signals;

/// Arguments of `dyno baseline`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    /// On a laptop: file with the policy's grammar that says where runs are kept
    #[arg(long, global = true, value_name = "FILE")]
    policy: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show the kept runs of a plan
    List {
        /// The plan's file, or its name
        plan: PathBuf,
    },
    /// Compare later runs with that of a job, which did not pass or was rejected
    Accept {
        /// The plan's file, or its name
        plan: PathBuf,
        /// The job's number
        job: u64,
    },
    /// Compare later runs with that of a job no more
    Reject {
        /// The plan's file, or its name
        plan: PathBuf,
        /// The job's number
        job: u64,
    },
    /// Forget all runs of a plan
    Reset {
        /// The plan's file, or its name
        plan: PathBuf,
    },
}

/// Runs the verb.
///
/// # Errors
/// When the policy refuses, or the place of the runs cannot be read or written.
pub async fn run(args: Args, vars: &dyn Vars, streams: &mut Streams) -> Result<Outcome> {
    let (plan, verb) = match args.verb {
        Verb::List { plan } => (plan, BaselineVerb::List),
        Verb::Accept { plan, job } => (plan, BaselineVerb::Accept(job)),
        Verb::Reject { plan, job } => (plan, BaselineVerb::Reject(job)),
        Verb::Reset { plan } => (plan, BaselineVerb::Reset),
    };
    let name = plan.file_stem().map(|name| name.to_string_lossy().into_owned());
    let plan = name.ok_or_else(|| Error::job("that is no plan's name").outcome(Outcome::Usage))?;
    let guest = Guest::find(args.policy.as_deref(), vars)?;
    let signals = Signals::listen().map_err(Error::system)?;
    let mut told = Vec::new();
    let outcome = guest
        .perform(
            Task::Baseline(BaselineTask { plan, verb }),
            &mut |event| {
                if let Event::Said(text) = event {
                    told.push(text);
                }
            },
            signals.cancel(),
        )
        .await?;
    for text in told {
        super::put(writeln!(streams.out, "{text}"))?;
    }
    Ok(outcome)
}
