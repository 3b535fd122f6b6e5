//! `dyno cleanup`: called by gitlab-runner at the end, and after every failed prepare.
//!
//! Nothing that it prints is masked by the runner, so it says little and masks that itself.

use crate::command::driver::Args;
use crate::command::{Streams, driver};
use crate::executor;
use crate::job::Vars;

/// Runs the verb; returns the exit code.
pub async fn run(args: Args, vars: &dyn Vars, streams: &mut Streams) -> u8 {
    let call = match driver::open(args, vars, streams) {
        Ok(call) => call,
        Err(code) => {
            // What is wrong has been told; the job must not stay for it.
            if let Err(error) = executor::cleanup_without_policy(vars).await {
                driver::tell(streams, &error.to_string());
            }
            return code;
        }
    };
    match executor::cleanup(&call).await {
        Ok(()) => 0,
        Err(error) => driver::fail(&call, &error, streams),
    }
}
