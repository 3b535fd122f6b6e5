//! `dyno load`: drives load at a target and judges what the client saw.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::broker::Event;
use crate::command::Streams;
use crate::command::guest::Guest;
use crate::error::{Error, Result};
use crate::job::Vars;
use crate::load::{self, Overrides, Plan, Preset, Written};
use crate::outcome::Outcome;
use crate::policy::{self, Task};
use crate::report::{self, Folder};
use crate::shutdown::Signals;
use crate::unit::{Rate, Span};

/// Arguments of `dyno load`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 passed, 99 a limit failed, 98 inconclusive, 97 target unreachable,\n\
                        96 refused by policy, 2 wrong plan or usage, 130 interrupted."
)]
pub struct Args {
    /// Plan file (YAML); the flags below override what it says
    #[arg(value_name = "PLAN")]
    plan: Option<PathBuf>,
    /// Where the load goes
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// Path to GET, in place of journeys; may be given several times
    #[arg(long, value_name = "PATH")]
    get: Vec<String>,
    /// Virtual users, each waiting for its answers (closed model)
    #[arg(long, value_name = "N", conflicts_with = "arrivals")]
    users: Option<u32>,
    /// Users started each second
    #[arg(long, value_name = "RATE")]
    spawn_rate: Option<Rate>,
    /// Arrivals a second, whatever the answers (open model)
    #[arg(long, value_name = "RATE")]
    arrivals: Option<Rate>,
    /// How long
    #[arg(long, value_name = "SPAN")]
    duration: Option<Span>,
    /// Walk through each journey once with one user, and print every request and answer
    #[arg(long)]
    once: bool,
    /// Kind of test: smoke, load, stress, spike, soak, regression or acceptance
    #[arg(long, value_name = "NAME")]
    preset: Option<Preset>,
    /// Compare the target with the version that runs here (preset regression)
    #[arg(long, value_name = "URL")]
    baseline: Option<String>,
    /// What the client must have seen, e.g. 'p95 < 300ms'; beside the plan's own limits
    #[arg(long, value_name = "LIMIT")]
    limit: Vec<String>,
    /// Push the client's figures to this sink of the policy while the load runs
    #[arg(long, value_name = "SINK")]
    push: Vec<String>,
    /// Bound on the generator's cores
    #[arg(long, value_name = "N")]
    threads: Option<u32>,
    /// Longest wait for one answer
    #[arg(long, value_name = "SPAN")]
    timeout: Option<Span>,
    /// HTTP version: 1, 2 (without TLS taken as known) or auto (what the server prefers, by TLS)
    #[arg(long, value_name = "VERSION")]
    http: Option<load::Version>,
    /// The same as --http 2
    #[arg(long, conflicts_with = "http")]
    http2: bool,
    /// Users that share an HTTP/2 connection
    #[arg(long, value_name = "N")]
    streams: Option<u32>,
    /// Proxy that connections go through, http://[name:password@]host:port
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// Certificate authority of the target, a PEM file
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The client's certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "key_file")]
    cert_file: Option<PathBuf>,
    /// The key of the client's certificate, a PEM file
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,
    /// Name that the target is asked by (SNI) and must prove, in place of its host's
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Take whoever answers for the target, whatever its certificate says
    #[arg(long, conflicts_with = "ca_file")]
    insecure: bool,
    /// Folder for report files
    #[arg(long, value_name = "DIR", default_value = Folder::DEFAULT)]
    report: PathBuf,
    /// On a laptop: file with `sources:` that are sampled meanwhile and `sinks:` for --push, in the
    /// policy's grammar
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// When the plan is wrong, the policy refuses, or the load could not be driven at all.
pub async fn run(args: Args, vars: &dyn Vars, streams: &mut Streams) -> Result<Outcome> {
    let policy = args.policy.clone();
    if args.once {
        // No load, so no report of one.
        let plan = plan(args, vars)?;
        return drive(plan, &Guest::find(policy.as_deref(), vars)?, None, (vars, streams)).await;
    }
    let folder = Folder::create(&args.report).map_err(Error::job)?;
    // Whatever happens from here on, no earlier pass is left behind.
    report::load::begin(&folder).map_err(Error::job)?;
    let watches = super::watch::watches(args.plan.as_deref(), vars);
    let plan = plan(args, vars)?;
    let guest = Guest::find(policy.as_deref(), vars)?;
    let is_over = CancellationToken::new();
    let driven = async {
        let outcome = drive(plan, &guest, Some(&folder), (vars, streams)).await;
        is_over.cancel();
        outcome
    };
    let (outcome, recordings) =
        tokio::join!(driven, super::watch::record(&guest, watches, &is_over));
    report::gate::write_samples(&folder, &recordings).map_err(Error::job)?;
    outcome
}

fn plan(args: Args, vars: &dyn Vars) -> Result<Plan> {
    let sheet = match &args.plan {
        Some(path) => Some(policy::plan::read(path, vars).map_err(Error::job)?),
        None if args.target.is_some() => None,
        None => {
            return Err(Error::job("there is neither a plan nor a target")
                .hint("name a plan file, or give --target URL --users N --duration SPAN"));
        }
    };
    let name = args.plan.as_deref().and_then(Path::file_stem);
    let name = name.map_or_else(|| "load".to_owned(), |name| name.to_string_lossy().into_owned());
    let written = match &sheet {
        Some(sheet) => sheet.written(name),
        None => Written { name, ..Written::default() },
    };
    let pem = |flag: &str, file: Option<PathBuf>| {
        let read = |file: PathBuf| {
            std::fs::read_to_string(&file)
                .map_err(|error| Error::job(error).hint(format!("check {flag} {}", file.display())))
        };
        file.map(read).transpose()
    };
    let tls = load::TlsFile {
        ca: pem("--ca-file", args.ca_file)?,
        certificate: pem("--cert-file", args.cert_file)?,
        key: pem("--key-file", args.key_file)?,
        server_name: args.server_name,
        insecure: args.insecure.then_some(true),
    };
    let overrides = Overrides {
        target: args.target,
        get: args.get,
        users: args.users,
        spawn_rate: args.spawn_rate,
        arrivals: args.arrivals,
        duration: args.duration,
        preset: args.preset,
        baseline: args.baseline,
        push: args.push,
        threads: args.threads,
        timeout: args.timeout,
        is_once: args.once,
        limits: args.limit,
        http: args.http.or(args.http2.then_some(load::Version::Two)),
        streams: args.streams,
        proxy: args.proxy,
        tls,
    };
    Plan::build(&written, &overrides, vars).map_err(|error| match &sheet {
        Some(sheet) => sheet.locate(error),
        None => Error::job(error),
    })
}

/// Drives a plan, tells it in the log and writes its report.
async fn drive(
    plan: Plan,
    guest: &Guest,
    folder: Option<&Folder>,
    (vars, streams): (&dyn Vars, &mut Streams),
) -> Result<Outcome> {
    let signals = Signals::listen().map_err(Error::system)?;
    let mut teller =
        report::load::Teller::new(report::joblog::Place::of(vars, streams.is_terminal));
    let mut summary = None;
    let performed = guest
        .perform(
            Task::Load(Box::new(plan)),
            &mut |event| match event {
                Event::Load(event) => {
                    if let load::Event::Finished(finished) = &event {
                        summary = Some(finished.clone());
                    }
                    teller.tell(&event, &mut streams.out);
                }
                Event::Said(text) => teller.say(&text, &mut streams.out),
                Event::Gate(_) | Event::Kubectl(_) | Event::Deploy(_) | Event::Variable(_) => (),
            },
            signals.cancel(),
        )
        .await;
    if let Some(summary) = &summary
        && let Some(folder) = folder
        && let Some(warning) = report::load::write(folder, summary).map_err(Error::job)?
    {
        teller.say(&format!("WARNING: {warning}"), &mut streams.out);
    }
    let outcome = performed?;
    if summary.is_none() && outcome == Outcome::Passed {
        return Err(Error::system("the load ended without a summary"));
    }
    Ok(outcome)
}
