//! `dyno run`: called by gitlab-runner for each script; the broker serves while it runs.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::command::{Streams, driver};
use crate::environment::ScriptEnd;
use crate::error::{Error, Result};
use crate::executor::{self, Call, End, Stage};
use crate::job::Vars;
use crate::outcome::Outcome;
use crate::policy::Profile;
use crate::shutdown::Signals;
use crate::unit::Size;

/// Arguments of `dyno run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: driver::Args,
    /// The script that gitlab-runner generated
    #[arg(value_name = "SCRIPT")]
    script: PathBuf,
    /// The stage it belongs to; any name is fine
    #[arg(value_name = "STAGE")]
    stage: String,
}

/// How long tasks may take to end after the script has.
const BROKER_GRACE: Duration = Duration::from_secs(5);

/// Exit code of a script that was ended from outside: 128 + SIGTERM.
const TERMINATED: i32 = 143;

/// Exit code of a script that ran out of memory or disk: 128 + SIGKILL.
const KILLED: i32 = 137;

/// Runs the verb; returns the exit code.
pub async fn run(args: Args, vars: &dyn Vars, streams: &mut Streams) -> u8 {
    let call = match driver::open(args.common, vars, streams) {
        Ok(call) => call,
        Err(code) => return code,
    };
    let ended = async {
        let signals = Signals::ending_with(call.contract.system_failure).map_err(Error::system)?;
        let stage = Stage::open(&call, &args.script, &args.stage)?;
        supervise(&call, stage, signals.cancel(), streams).await
    };
    match ended.await {
        Ok(end) => call.contract.end(end),
        Err(error) => driver::fail(&call, &error, streams),
    }
}

/// Runs the script beside the broker, until it ends, is cancelled, or the runner dies.
async fn supervise(
    call: &Call,
    mut stage: Stage<'_>,
    cancel: &CancellationToken,
    streams: &mut Streams,
) -> Result<End> {
    let broker = Broker::for_job(&call.policy, call.profile()?, &call.job, call.who());
    let guests = stage.guests.take();
    let limits = stage.limits();
    let ending = CancellationToken::new();
    let served = async {
        match guests {
            Some(listener) => broker.serve(listener, &ending).await,
            None => ending.cancelled().await,
        }
    };
    let watched = async {
        tokio::select! {
            () = call.parent.died() => cancel.cancel(),
            () = ending.cancelled() => (),
        }
    };
    let script = async {
        let end = stage.run(cancel).await;
        ending.cancel();
        end
    };
    let (end, (), ()) = tokio::join!(
        script,
        async {
            tokio::select! {
                () = served => (),
                () = async { ending.cancelled().await; tokio::time::sleep(BROKER_GRACE).await } => (),
            }
        },
        watched
    );
    let end = end?;
    match end {
        ScriptEnd::OutOfMemory => tell(call.profile()?, "memory", limits.memory, streams)?,
        ScriptEnd::OutOfDisk => tell(call.profile()?, "disk", limits.disk, streams)?,
        ScriptEnd::Exited(_) | ScriptEnd::Cancelled => {}
    }
    if call.parent.is_dead() {
        // Nobody will call cleanup.
        executor::cleanup(call).await?;
    }
    Ok(judge(end, broker.has_platform_failed()))
}

/// Without this, a job log ends with `Killed` and a guess.
fn tell(profile: &Profile, what: &str, limit: Option<Size>, streams: &mut Streams) -> Result<()> {
    let limit = limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
    writeln!(
        streams.err,
        "error: the job ran into its {what} limit{limit}\n\
         hint: let the script use less, or ask the platform team for more {what} in profile {}",
        profile.name
    )
    .map_err(Error::system)
}

/// The script's code is the job's, whatever tool gave it. Only where the broker saw a part of the
/// platform fail and the script ended with exactly the code for that, the platform failed.
fn judge(end: ScriptEnd, has_platform_failed: bool) -> End {
    match end {
        ScriptEnd::Exited(0) => End::Ok,
        ScriptEnd::Exited(code)
            if has_platform_failed && code == i32::from(Outcome::Unreachable.code()) =>
        {
            End::System
        }
        ScriptEnd::Exited(code) => End::Job(code),
        ScriptEnd::OutOfMemory | ScriptEnd::OutOfDisk => End::Job(KILLED),
        ScriptEnd::Cancelled => End::Job(TERMINATED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scripts_code_is_the_jobs_unless_the_broker_saw_the_platform_fail() {
        for (end, has_platform_failed, expected) in [
            (ScriptEnd::Exited(0), true, End::Ok),
            (ScriptEnd::Exited(42), true, End::Job(42)),
            (ScriptEnd::Exited(97), false, End::Job(97)),
            (ScriptEnd::Exited(97), true, End::System),
            (ScriptEnd::OutOfMemory, false, End::Job(137)),
            (ScriptEnd::OutOfDisk, false, End::Job(137)),
            (ScriptEnd::Cancelled, false, End::Job(143)),
        ] {
            assert_eq!(judge(end, has_platform_failed), expected);
        }
    }
}
