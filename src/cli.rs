//! The command line: argv and argv[0] in, exit code out.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::command::{self, Streams};
use crate::environment::{docker, sandbox};
use crate::error::Error;
use crate::executor::Contract;
use crate::job::ProcessVars;
use crate::outcome::Outcome;

/// Load tests, metric gates and deploys inside GitLab pipelines.
///
/// In a job and on a laptop: load, gate, deploy, kubectl, locust, try.
/// For the platform team: doctor, explain, schema, gc; gitlab-runner calls config, prepare, run
/// and cleanup.
#[derive(Debug, Parser)]
#[command(name = "dyno", version, about, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Drive load at a target and judge what the client saw
    Load(Box<command::load::Args>),
    /// Make a plan from an HTTP archive, a list of URLs, curl lines or an OpenAPI description
    Import(command::import::Args),
    /// Bring manifests to a cluster and see them ready; say why they are not
    Deploy(Box<command::deploy::Args>),
    /// Judge what the infrastructure did during a load
    Gate(command::gate::Args),
    /// Look at the runs that later ones are compared with, accept or reject them
    Baseline(command::baseline::Args),
    /// Answer as the pod inspector did: settings from the environment, verdict into a variable
    Inspect,
    /// Look at a runner's host and all that its policy names; say how to mend what is found
    Doctor(command::doctor::Args),
    /// Say which profile a job would get, why, and what that allows
    Explain(command::explain::Args),
    /// Print the JSON Schema of a policy, a plan or a recipe
    Schema(command::schema::Args),
    Try(Box<command::try_::Args>),
    /// What kubectl does, as pipelines use it (also under that name)
    #[command(disable_help_flag = true)]
    Kubectl(Words),
    /// Run a load test with Locust's command line
    #[command(disable_help_flag = true)]
    Locust(Words),
    /// Remove what dead runners left on this host, and caches that no job uses
    Gc(command::gc::Args),
    /// Tell gitlab-runner how jobs run here (called by gitlab-runner)
    Config(command::driver::Args),
    /// Prepare a job's environment (called by gitlab-runner)
    Prepare(command::driver::Args),
    /// Run a script of a job (called by gitlab-runner)
    Run(command::run::Args),
    /// Remove a job's environment (called by gitlab-runner)
    Cleanup(command::driver::Args),
}

/// The words after a name that has a command line of its own.
#[derive(Debug, clap::Args)]
struct Words {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let is_driver = argv.get(1).is_some_and(is_driver_verb);
    let outcome = std::panic::catch_unwind(move || dispatch(argv));
    match outcome {
        Ok(code) => code,
        // The panic's text is on stderr already. For gitlab-runner it is the platform's failure.
        Err(_) if is_driver => Contract::read(&ProcessVars).system_failure.into(),
        Err(_) => 101.into(),
    }
}

fn is_driver_verb(word: &OsString) -> bool {
    ["config", "prepare", "run", "cleanup"].iter().any(|verb| word == verb)
}

fn dispatch(mut argv: Vec<OsString>) -> ExitCode {
    listen_to_logs();
    let name = argv.first().and_then(|name| Path::new(name).file_name()?.to_str());
    match name {
        Some("kubectl") => argv = renamed(argv, "kubectl"),
        Some("locust") => argv = renamed(argv, "locust"),
        Some("gitlab-runner") => return command::helper::run(&argv).into(),
        Some(_) | None => (),
    }
    // Verbs between dyno and itself: no help, no runtime around them.
    match argv.get(1).and_then(|verb| verb.to_str()) {
        Some("enter") => return told(&sandbox::enter(&argv[2..]).into()).into(),
        Some("inside") => {
            return sandbox::inside(&argv[2..]).unwrap_or_else(|error| told(&error.into()).into());
        }
        Some("hold") => return docker::hold(),
        Some("worker") => return command::worker().into(),
        Some(_) | None => (),
    }
    let is_driver = argv.get(1).is_some_and(is_driver_verb);
    match Cli::try_parse_from(&argv) {
        Ok(cli) => in_runtime(cli.verb).into(),
        Err(error) => {
            // Nobody is left to tell when stderr is gone.
            drop(error.print());
            // Help and version are no failures.
            let code = match error.use_stderr() {
                false => 0,
                true if is_driver => Contract::read(&ProcessVars).system_failure,
                true => Outcome::Usage.code(),
            };
            code.into()
        }
    }
}

/// `kubectl get pods` is `dyno kubectl get pods`.
fn renamed(argv: Vec<OsString>, verb: &str) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["dyno".into(), verb.into(), "--".into()];
    words.extend(argv.into_iter().skip(1));
    words
}

/// For the people who run dyno: silent unless `DYNO_LOG` asks.
fn listen_to_logs() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("DYNO_LOG")
        .unwrap_or_else(|_| EnvFilter::new("warn,kube_client=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .init();
}

fn in_runtime(verb: Verb) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(perform(verb));
            // A thread that still looks a name up must not hold the process.
            runtime.shutdown_background();
            code
        }
        Err(error) => told(&Error::system(error)),
    }
}

async fn perform(verb: Verb) -> u8 {
    let streams = &mut Streams::process();
    let vars = &ProcessVars;
    let ended = match verb {
        Verb::Config(args) => return command::config::run(args, vars, streams).await,
        Verb::Prepare(args) => return command::prepare::run(args, vars, streams).await,
        Verb::Run(args) => return command::run::run(args, vars, streams).await,
        Verb::Cleanup(args) => return command::cleanup::run(args, vars, streams).await,
        Verb::Import(args) => command::import::run(&args, streams),
        Verb::Load(args) => Box::pin(command::load::run(*args, vars, streams)).await,
        Verb::Deploy(args) => {
            command::deploy::run(*args, vars, &mut std::io::stdin(), streams).await
        }
        Verb::Gate(args) => command::gate::run(args, vars, streams).await,
        Verb::Baseline(args) => command::baseline::run(args, vars, streams).await,
        Verb::Inspect => command::inspect::run(vars, streams).await,
        Verb::Doctor(args) => command::doctor::run(args, vars, streams).await,
        Verb::Explain(args) => command::explain::run(&args, streams),
        Verb::Schema(args) => command::schema::run(&args, streams),
        Verb::Try(args) => command::try_::run(*args, vars, Streams::process()).await,
        Verb::Kubectl(Words { words }) => {
            let words: Vec<String> =
                words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
            command::kubectl::run(&words, vars, &mut std::io::stdin(), streams).await
        }
        Verb::Locust(words) => command::locust::run(&words.words, vars, streams).await,
        Verb::Gc(args) => command::gc::run(args, streams).await,
    };
    match ended {
        Ok(outcome) => outcome.code(),
        Err(error) => told(&error),
    }
}

/// Tells an error on stderr and returns its exit code.
fn told(error: &Error) -> u8 {
    // Nobody is left to tell when stderr is gone.
    if error.as_outcome() != command::NO_READER {
        drop(writeln!(std::io::stderr(), "{error}"));
    }
    error.as_outcome().code()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
