//! `dyno config`: called by gitlab-runner first; stdout is its answer and nothing else.

use crate::command::driver::Args;
use crate::command::{Streams, driver};
use crate::executor;
use crate::job::Vars;

/// Runs the verb; returns the exit code.
pub async fn run(args: Args, vars: &dyn Vars, streams: &mut Streams) -> u8 {
    let call = match driver::open(args, vars, streams) {
        Ok(call) => call,
        Err(code) => return code,
    };
    match executor::config(&call, &mut streams.out).await {
        Ok(()) => 0,
        Err(error) => driver::fail(&call, &error, streams),
    }
}
