//! What the four driver verbs share: open the call, run it, map its end to the runner's codes.

use std::io::Write;
use std::path::PathBuf;

use crate::command::Streams;
use crate::error::Error;
use crate::executor::{Call, Contract, End, Entry};
use crate::job::Vars;
use crate::policy;

/// What the `[[runners]]` entry gives every verb.
#[derive(Debug, clap::Args)]
#[group(id = "runner-entry")]
pub struct Args {
    /// Policy file of the platform team
    #[arg(long, value_name = "FILE", default_value = policy::DEFAULT_PATH)]
    policy: PathBuf,
    /// Tags of this runner entry, comma separated: the profile with exactly these applies
    #[arg(long, value_name = "TAGS")]
    tags: Option<String>,
    /// Profile by its name, where tags do not tell entries apart
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Policy that --policy is a copy of, for refusals; empty for the one of `dyno try`
    #[arg(long, value_name = "FILE", hide = true)]
    original: Option<String>,
}

/// Opens the call; a call that cannot be read ends here, with the runner's code for it.
pub(super) fn open(args: Args, vars: &dyn Vars, streams: &mut Streams) -> Result<Call, u8> {
    let Args { policy, tags, profile, original } = args;
    let original = original.map(PathBuf::from);
    let entry = Entry { policy, tags, profile, original };
    Call::open(entry, vars).map_err(|error| {
        tell(streams, &error.to_string());
        Contract::read(vars).end(End::from(&error))
    })
}

/// Tells an error in the job log and returns the runner's code for it.
pub(super) fn fail(call: &Call, error: &Error, streams: &mut Streams) -> u8 {
    tell(streams, &call.mask(&error.to_string()));
    call.contract.end(End::from(error))
}

pub(super) fn tell(streams: &mut Streams, text: &str) {
    // The runner shows stderr of config, prepare and run in the job log. When it is gone, so is
    // whoever would read of that.
    drop(writeln!(streams.err, "{text}").and_then(|()| streams.err.flush()));
}
