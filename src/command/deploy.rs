//! `dyno deploy`: manifests brought to a cluster, seen ready, verified, kept or rolled back.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::broker::Event;
use crate::command::guest::Guest;
use crate::command::kubectl::Disk;
use crate::command::{self, Streams};
use crate::deploy::cluster::builtin_by_kind;
use crate::deploy::kubectl::{self, ClusterChoice, Parsed};
use crate::deploy::release::{
    self, Conflicts, Finding, Mode, OnFailure, Plan, Sources, Summary, Track,
};
use crate::error::{Error, Result};
use crate::job::Vars;
use crate::outcome::Outcome;
use crate::policy::{self, Deploy, Task};
use crate::report::joblog::Place;
use crate::report::{self, Folder};
use crate::shutdown::Signals;
use crate::unit::Span;
use crate::{gate, load};

/// Arguments of `dyno deploy`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 ready, 99 not ready or pre-flight says that it would not be, 98 the verification\n\
                        is inconclusive, 97 the cluster cannot be reached or another deploy holds the namespace,\n\
                        96 refused by policy, 2 wrong manifests or usage, 130 interrupted."
)]
pub struct Args {
    /// File, folder, URL or `-` with manifests; may be given several times
    #[arg(short, long, value_name = "PATH", required = true)]
    filename: Vec<String>,
    /// Take folders with all that is below them
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Namespace of objects that name none; objects that name another one are refused
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Cluster: a name of the policy's, or a context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Show what would change, and change nothing
    #[arg(long)]
    plan: bool,
    /// Put everything back when it does not become ready, or is not verified
    #[arg(long)]
    rollback: bool,
    /// Delete what an earlier deploy with this inventory applied and this one does not
    #[arg(long, value_name = "INVENTORY")]
    prune: Option<String>,
    /// Take over fields, whoever owns them
    #[arg(long)]
    force_conflicts: bool,
    /// How long the objects may take to be ready
    #[arg(long, value_name = "SPAN", default_value = "5m")]
    timeout: Span,
    /// How long new pods without a readiness probe must run to count as ready
    #[arg(long, value_name = "SPAN", default_value = "10s")]
    settle: Span,
    /// How long to wait for another deploy of the namespace
    #[arg(long, value_name = "SPAN", default_value = "5m")]
    wait: Span,
    /// Plan of a load and of checks that the deploy must pass to be kept
    #[arg(long, value_name = "PLAN")]
    verify: Option<PathBuf>,
    /// Bring up what is labelled `track: canary` first, verify it, then the rest
    #[arg(long, requires = "verify")]
    canary: bool,
    /// Folder for report files
    #[arg(long, value_name = "DIR", default_value = Folder::DEFAULT)]
    report: PathBuf,
    /// On a laptop: file with `sources:`, in the policy's grammar
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// When the manifests cannot be read, the policy refuses, or a report cannot be written.
pub async fn run(
    args: Args,
    vars: &dyn Vars,
    stdin: &mut (dyn Read + Send),
    streams: &mut Streams,
) -> Result<Outcome> {
    let folder = Folder::create(&args.report).map_err(Error::job)?;
    // Whatever happens from here on, no earlier pass is left behind.
    report::deploy::begin(&folder).map_err(Error::job)?;
    let sources = Sources::read(&args.filename, args.recursive, &Disk { vars }, stdin);
    let mut findings = Vec::new();
    let ended = perform(&args, (&folder, &sources), &mut findings, (vars, streams)).await;
    if let Err(error) = &ended
        && error.as_outcome() != command::NO_READER
    {
        let told = error.to_string();
        let reasons = [told.trim_start_matches("error: ").to_owned()];
        report::deploy::unfinished(&folder, &reasons, (&findings, &sources)).map_err(Error::job)?;
    }
    ended
}

/// Reads, asks for the deploy, tells it and writes its reports. Findings are handed out for a deploy
/// that comes to no summary.
async fn perform(
    args: &Args,
    (folder, sources): (&Folder, &Sources),
    findings: &mut Vec<Finding>,
    (vars, streams): (&dyn Vars, &mut Streams),
) -> Result<Outcome> {
    readable(sources, streams)?;
    let deploy = deploy(args, sources, vars)?;
    let guest = Guest::find(args.policy.as_deref(), vars)?;
    let signals = Signals::listen().map_err(Error::system)?;
    let mut teller = Teller::new(args, sources, &deploy.plan, (vars, streams.is_terminal));
    let performed = guest
        .perform(
            Task::Deploy(Box::new(deploy)),
            &mut |event| teller.tell(event, streams),
            signals.cancel(),
        )
        .await;
    let summaries = teller.end();
    findings.extend(summaries.findings);
    if let Some(summary) = &summaries.load {
        report::load::write(folder, summary).map_err(Error::job)?;
    }
    if let Some(summary) = &summaries.gate {
        report::gate::write(folder, summary).map_err(Error::job)?;
    }
    if let Some(summary) = &summaries.deploy
        && let Some(warning) =
            report::deploy::write(folder, summary, sources).map_err(Error::job)?
    {
        command::put(writeln!(streams.out, "WARNING: {warning}"))?;
    }
    let outcome = performed?;
    if summaries.deploy.is_none() && outcome == Outcome::Passed {
        return Err(Error::system("the deploy ended without a summary"));
    }
    Ok(outcome)
}

/// Tells everything that cannot be read, and what is read other than people think.
fn readable(sources: &Sources, streams: &mut Streams) -> Result<()> {
    for (file, release::Place { line, column }, key) in sources.duplicates() {
        let what =
            format!("{file}:{line}:{column}: warning: `{key}` stands twice: the last one counts");
        command::put(writeln!(streams.out, "{what}"))?;
    }
    let problems: Vec<String> = sources.problems.iter().map(ToString::to_string).collect();
    if !problems.is_empty() {
        let n = problems.len();
        let what = if n == 1 { "a manifest".to_owned() } else { format!("{n} manifests") };
        return Err(Error::job(format!("{what} cannot be read:\n{}", problems.join("\n")))
            .hint("mend what is marked; nothing was changed"));
    }
    if sources.objects().is_empty() {
        return Err(Error::job("there is no object in what -f names")
            .hint("name a file or a folder with manifests (-R for folders below it)"));
    }
    Ok(())
}

fn deploy(args: &Args, sources: &Sources, vars: &dyn Vars) -> Result<Deploy> {
    let millis = |span: Span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX);
    if let Some(inventory) = args.prune.as_deref().filter(|name| !release::is_name(name)) {
        return Err(Error::job(format!("`{inventory}` is no name for an inventory"))
            .hint("lower-case letters, digits, `-` and `.`: a ConfigMap of that name holds it"));
    }
    let plan = Plan {
        cluster: cluster(args, vars)?,
        namespace: args.namespace.clone(),
        objects: sources.objects(),
        mode: if args.plan { Mode::Show } else { Mode::Apply },
        on_failure: if args.rollback || args.canary {
            OnFailure::Rollback
        } else {
            OnFailure::Keep
        },
        inventory: args.prune.clone(),
        conflicts: if args.force_conflicts { Conflicts::Force } else { Conflicts::Explain },
        track: if args.canary { Track::CanaryFirst } else { Track::One },
        timeout_ms: millis(args.timeout),
        settle_ms: millis(args.settle),
        wait_ms: millis(args.wait),
        who: who(vars),
    };
    let (load, gate) = match &args.verify {
        Some(path) => verification(path, vars)?,
        None => (None, None),
    };
    Ok(Deploy { plan, load, gate })
}

/// Who deploys from a laptop; in a job the driver says it.
fn who(vars: &dyn Vars) -> String {
    let user = vars.filled("USER").unwrap_or_else(|| "somebody".to_owned());
    format!("{user}, process {}", std::process::id())
}

/// The cluster, by the same rules as kubectl's.
fn cluster(args: &Args, vars: &dyn Vars) -> Result<ClusterChoice> {
    let mut line = vec!["version".to_owned()];
    line.extend(args.context.iter().map(|name| format!("--context={name}")));
    let parsed = kubectl::parse(&line, &Disk { vars }, &mut std::io::empty());
    match parsed {
        // Where nothing says which cluster, kubectl takes this machine for it; nobody means that.
        Ok(Parsed::Remote(request)) => match request.cluster {
            ClusterChoice::Own(own)
                if own.context == "own" && own.server == "http://localhost:8080" =>
            {
                let files =
                    vars.filled("KUBECONFIG").unwrap_or_else(|| "~/.kube/config".to_owned());
                Err(Error::job(format!("nothing says which cluster: no current context in {files}"))
                    .hint("set KUBECONFIG to a kubeconfig, or choose one: kubectl config use-context NAME"))
            }
            choice @ (ClusterChoice::Own(_) | ClusterChoice::Default | ClusterChoice::Named(_)) => {
                Ok(choice)
            }
        },
        Ok(Parsed::Local { .. } | Parsed::Copy(_) | Parsed::Forward(_)) => {
            Ok(ClusterChoice::Default)
        }
        Err(usage) => {
            let error = Error::job(usage.0.trim_start_matches("error: ").to_owned());
            Err(error
                .hint("mend the kubeconfig, or name another context: kubectl config get-contexts"))
        }
    }
}

/// The load and the checks of a plan file; a plan may have one of them only.
fn verification(path: &Path, vars: &dyn Vars) -> Result<(Option<load::Plan>, Option<gate::Plan>)> {
    let sheet = policy::plan::read(path, vars).map_err(Error::job)?;
    let name = path.file_stem().map_or_else(|| "verify".into(), |name| name.to_string_lossy());
    let load = if sheet.file.target.is_some() || sheet.file.load.is_some() {
        let written = sheet.written(name.into_owned());
        let built = load::Plan::build(&written, &load::Overrides::default(), vars);
        Some(built.map_err(|error| sheet.locate(error))?)
    } else {
        None
    };
    let gate = if sheet.file.checks.is_empty() {
        None
    } else {
        let built = gate::Plan::build(sheet.gate(), gate::Overrides::default(), vars);
        Some(built.map_err(|mistakes| sheet.locate_all(&mistakes))?)
    };
    if load.is_none() && gate.is_none() {
        return Err(Error::job(format!("{} has neither a load nor checks", path.display()))
            .hint("give it a `target` with `load`, or `checks`"));
    }
    Ok((load, gate))
}

/// What the tools came to.
#[derive(Default)]
struct Summaries {
    findings: Vec<Finding>,
    deploy: Option<Summary>,
    load: Option<Box<load::Summary>>,
    gate: Option<gate::Summary>,
}

/// Tells a deploy and the load and gate that verify it.
struct Teller<'a> {
    deploy: report::deploy::Teller<'a>,
    load: report::load::Teller,
    summaries: Summaries,
}

impl<'a> Teller<'a> {
    fn new(
        args: &Args,
        sources: &'a Sources,
        plan: &Plan,
        (vars, is_terminal): (&dyn Vars, bool),
    ) -> Self {
        let place = Place::of(vars, is_terminal);
        let home = args.namespace.as_deref().unwrap_or_default();
        let names = plan.objects.iter().map(|object| name(object, home)).collect();
        Self {
            deploy: report::deploy::Teller::new(place, sources, plan.mode, names),
            load: report::load::Teller::new(place),
            summaries: Summaries::default(),
        }
    }

    fn tell(&mut self, event: Event, streams: &mut Streams) {
        match event {
            Event::Deploy(event) => {
                if let release::Event::Finished(summary) = &event {
                    self.summaries.deploy = Some((**summary).clone());
                }
                if let release::Event::Found(finding) = &event {
                    self.summaries.findings.push(finding.clone());
                }
                self.deploy.tell(&event, &mut streams.out);
            }
            Event::Load(event) => {
                if let load::Event::Finished(summary) = &event {
                    self.summaries.load = Some(Box::new((**summary).clone()));
                }
                self.load.tell(&event, &mut streams.out);
            }
            Event::Gate(event) => {
                let line = if let gate::Event::Finished(summary) = &event {
                    self.summaries.gate = Some((**summary).clone());
                    Some(report::gate::block(summary).trim_end().to_owned())
                } else {
                    report::gate::line(&event)
                };
                if let Some(line) = line {
                    // Trouble with the log is no trouble of the deploy.
                    drop(writeln!(streams.out, "{line}"));
                }
            }
            Event::Said(text) => report::deploy::say(&text, &mut streams.out),
            Event::Kubectl(_) | Event::Variable(_) => {}
        }
    }

    fn end(self) -> Summaries {
        self.summaries
    }
}

/// `Deployment shop/web`.
fn name(object: &Value, home: &str) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let group = text("/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
    let namespace = match (builtin_by_kind(group, text("/kind")), text("/metadata/namespace")) {
        (Some(builtin), _) if !builtin.namespaced => "",
        (_, "") => home,
        (_, named) => named,
    };
    let name = text("/metadata/name");
    if namespace.is_empty() {
        format!("{} {name}", text("/kind"))
    } else {
        format!("{} {namespace}/{name}", text("/kind"))
    }
}
