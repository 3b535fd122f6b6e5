//! `dyno prepare`: called by gitlab-runner to make a job's environment.

use crate::command::driver::Args;
use crate::command::{Streams, driver};
use crate::error::Error;
use crate::executor;
use crate::job::Vars;
use crate::shutdown::Signals;

/// Runs the verb; returns the exit code.
pub async fn run(args: Args, vars: &dyn Vars, streams: &mut Streams) -> u8 {
    let call = match driver::open(args, vars, streams) {
        Ok(call) => call,
        Err(code) => return code,
    };
    let prepared = match Signals::ending_with(call.contract.system_failure) {
        Ok(signals) => executor::prepare(&call, &mut streams.out, signals.cancel()).await,
        Err(error) => Err(Error::system(error)),
    };
    match prepared {
        Ok(()) => 0,
        Err(error) => driver::fail(&call, &error, streams),
    }
}
