//! `dyno try`: a pipeline file on a laptop.

use std::io::Write;
use std::path::{Path, PathBuf};

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::command::Streams;
use crate::error::{Error, Result};
use crate::job::Vars;
use crate::outcome::Outcome;
use crate::pipeline::{
    self, Console, Interrupt, Interrupter, Level, Options, ProjectVariable, Summary, Timing,
    Variable,
};
use crate::unit::Span;

/// Run a .gitlab-ci.yml on this machine, through the driver's own verbs and with no GitLab
///
/// The jobs check out a snapshot of the folder, uncommitted changes included. A stand-in for GitLab
/// on loopback keeps artifacts and variables until the end.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pipeline file, then names of jobs; without a file .gitlab-ci.yml, without jobs all of them
    #[arg(value_name = "FILE|JOB")]
    words: Vec<String>,
    /// Policy to hold the jobs to; their tags choose the profile [default: one for a laptop]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Profile of that policy, instead of the one that the tags choose
    #[arg(long, value_name = "NAME", requires = "policy")]
    profile: Option<String>,
    /// Project variable; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    variable: Vec<String>,
    /// Project variable whose value is hidden in logs
    #[arg(long, visible_alias = "masked", value_name = "KEY=VALUE")]
    masked_variable: Vec<String>,
    /// Project variable of type file, with the content of PATH
    #[arg(long, value_name = "KEY=PATH")]
    file_variable: Vec<String>,
    /// File with project variables, one KEY=VALUE a line
    #[arg(long, value_name = "FILE")]
    variables_file: Vec<PathBuf>,
    /// Path of the project in GitLab [default: of the remote `origin`]
    #[arg(long, value_name = "GROUP/PROJECT")]
    project: Option<String>,
    /// Folder of the project [default: the git repository around FILE]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Branch to play [default: the one that is checked out]
    #[arg(long = "ref", value_name = "BRANCH")]
    branch: Option<String>,
    /// Default branch of the project; it counts as protected
    #[arg(long, value_name = "BRANCH")]
    default_branch: Option<String>,
    /// What started the pipeline: push, web, schedule …
    #[arg(long, value_name = "SOURCE", default_value = "push")]
    source: String,
    /// Number of jobs that may run at the same time
    #[arg(long, value_name = "N", default_value_t = 8)]
    jobs: usize,
    /// Show the jobs and run none
    #[arg(long)]
    list: bool,
    /// Keep the temporary folder, and say where it is
    #[arg(long)]
    keep: bool,
    /// Write the result as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the jobs' logs as GitLab keeps them, a file a job
    #[arg(long, value_name = "FOLDER")]
    traces: Option<PathBuf>,
    /// Executable to call as the driver (for tests)
    #[arg(long, value_name = "PROGRAM", hide = true)]
    driver: Option<PathBuf>,
    /// Pause before a failed attempt is tried again (for tests)
    #[arg(long, value_name = "SPAN", hide = true)]
    retry_pause: Option<Span>,
}

/// Runs the pipeline; fails with 1 when it did not pass.
pub async fn run(args: Args, vars: &dyn Vars, streams: Streams) -> Result<Outcome> {
    let (list, keep, json) = (args.list, args.keep, args.json.clone());
    let options = args.options(vars)?;
    let within = vars.filled("TMPDIR").unwrap_or_else(|| "/tmp".to_owned());
    let temp = pipeline::Folder::new(Path::new(&within), keep)
        .map_err(|error| Error::job(error).hint("set TMPDIR to a folder that you can write"))?;
    // What the driver and the scripts write is readable as it would be on a runner.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let Streams { out, mut err, is_terminal } = streams;
    let console = Console::new(out, is_terminal);
    let ready = pipeline::read(&options, temp.path(), vars).await.map_err(told)?;
    for warning in ready.warnings() {
        // Nobody is left to read when stderr is gone.
        let _gone = writeln!(err, "warning: {warning}");
    }
    if list {
        for line in ready.list() {
            console.say(&line);
        }
        return Ok(Outcome::Passed);
    }
    if let Some(note) = ready.note() {
        console.say(&note);
    }
    let (interrupt, _listener) = listen(console.clone()).map_err(Error::system)?;
    let summary = ready.run(&options, temp.path(), vars, (console.clone(), interrupt)).await;
    let summary = summary.map_err(told)?;
    tell(&summary, &console);
    if keep {
        console.say(&format!("kept: {}", temp.path().display()));
    }
    if let Some(file) = json {
        let text = format!("{:#}\n", summary.json());
        std::fs::write(&file, text).map_err(|error| {
            Error::job(error).hint(format!("choose another file than `{}`", file.display()))
        })?;
    }
    Ok(match (summary.is_canceled, summary.passed()) {
        (true, _) => Outcome::Interrupted,
        (false, true) => Outcome::Passed,
        (false, false) => Outcome::Code(1),
    })
}

fn tell(summary: &Summary, console: &Console) {
    console.say("");
    for line in summary.table() {
        console.say(&line);
    }
    console.say(summary.verdict());
}

/// The user's mistakes are the job's fault, a machine that cannot is the system's.
fn told(error: pipeline::Error) -> Error {
    match error {
        pipeline::Error::File(_) | pipeline::Error::Asked(_) | pipeline::Error::Policy(_) => {
            Error::job(error)
        }
        pipeline::Error::Snapshot { .. } => {
            Error::system(error).hint("install git, and check that the folder can be read")
        }
        pipeline::Error::Coordinator(_) | pipeline::Error::Folder { .. } => Error::system(error),
    }
}

impl Args {
    fn options(self, vars: &dyn Vars) -> Result<Options> {
        let (file, jobs) = split(&self.words);
        let mut variables = Vec::new();
        for file in &self.variables_file {
            variables.extend(from_file(file)?);
        }
        for text in &self.variable {
            let (key, value) = pair(text, "--variable")?;
            variables.push(Variable::private(key, value));
        }
        for text in &self.masked_variable {
            let (key, value) = pair(text, "--masked-variable")?;
            variables.push(Variable::masked(key, value));
        }
        for text in &self.file_variable {
            let (key, path) = pair(text, "--file-variable")?;
            let content = read(Path::new(path))?;
            variables.push(Variable { file: true, ..Variable::private(key, content) });
        }
        let mut timing = Timing::default();
        if let Some(pause) = self.retry_pause {
            (timing.prepare_pause, timing.stage_pause) = (pause.0, pause.0);
        }
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        Ok(Options {
            file,
            folder: self.folder,
            jobs,
            policy: self.policy,
            profile: self.profile,
            variables: once_each(variables),
            project: self.project,
            branch: self.branch,
            default_branch: self.default_branch,
            source: self.source,
            n_parallel: self.jobs,
            driver: match self.driver {
                Some(driver) => absolute(driver),
                None => std::env::current_exe().map_err(Error::system)?,
            },
            timing,
            traces: self.traces.map(absolute),
            kubeconfig: kubeconfig(vars),
            docker: docker(vars),
        })
    }
}

/// The first word is the file where it looks like one.
fn split(words: &[String]) -> (PathBuf, Vec<String>) {
    let is_file = |word: &String| {
        let has = |ending: &str| Path::new(word).extension().is_some_and(|found| found == ending);
        has("yml") || has("yaml") || Path::new(word).is_file()
    };
    match words.split_first() {
        Some((first, rest)) if is_file(first) => (PathBuf::from(first), rest.to_vec()),
        Some(_) | None => (PathBuf::from(".gitlab-ci.yml"), words.to_vec()),
    }
}

fn pair<'a>(text: &'a str, flag: &str) -> Result<(&'a str, &'a str)> {
    let is_name = |key: &str| {
        !key.is_empty()
            && !key.starts_with(|c: char| c.is_ascii_digit())
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    match text.split_once('=') {
        Some((key, value)) if is_name(key) => Ok((key, value)),
        // The text may be a secret: it is not repeated.
        Some((key, _)) => Err(Error::job(format!("{flag}: `{key}` is no name of a variable"))),
        None => Err(Error::job(format!("{flag} takes KEY=VALUE"))),
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        Error::job(error).hint(format!("check that `{}` is there and is text", path.display()))
    })
}

/// `KEY=VALUE` lines; blank ones and comments are left out, quotes around a value are taken off.
fn from_file(path: &Path) -> Result<Vec<Variable>> {
    let mut variables = Vec::new();
    for (at, line) in read(path)?.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (key, value) = pair(line, &format!("{}:{}", path.display(), at + 1))?;
        let quoted = ['"', '\''].iter().find_map(|quote| {
            value.strip_prefix(*quote).and_then(|value| value.strip_suffix(*quote))
        });
        variables.push(Variable::private(key, quoted.unwrap_or(value)));
    }
    Ok(variables)
}

/// The last word on a name counts, as it would in GitLab's one list.
fn once_each(variables: Vec<Variable>) -> Vec<ProjectVariable> {
    let mut out: Vec<ProjectVariable> = Vec::new();
    for variable in variables {
        out.retain(|other| other.variable.key != variable.key);
        out.push(ProjectVariable { variable, scope: "*".to_owned(), protected: false });
    }
    out
}

/// The user's kubeconfig, if there is one.
fn kubeconfig(vars: &dyn Vars) -> Option<PathBuf> {
    let own = vars.filled("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
    let named = vars.filled("KUBECONFIG").map(PathBuf::from);
    named.or(own).filter(|path| path.is_file())
}

/// The socket of the user's Docker daemon, if there is one that lets the user in.
fn docker(vars: &dyn Vars) -> Option<PathBuf> {
    let named = vars.filled("DOCKER_HOST");
    let socket = match &named {
        Some(host) => PathBuf::from(host.strip_prefix("unix://")?),
        None => PathBuf::from("/var/run/docker.sock"),
    };
    std::os::unix::net::UnixStream::connect(&socket).ok().map(|_| socket)
}

/// Ctrl-C cancels the jobs, the second one by force, the third one ends at once. SIGTERM and
/// SIGHUP are a runner's shutdown: by force from the start.
fn listen(console: Console) -> std::io::Result<(Interrupt, JoinSet<()>)> {
    let mut int = signal(SignalKind::interrupt())?;
    let mut term = signal(SignalKind::terminate())?;
    let mut hup = signal(SignalKind::hangup())?;
    let (interrupter, interrupt) = Interrupter::new();
    let mut listener = JoinSet::new();
    let seen = interrupt.clone();
    listener.spawn(async move {
        loop {
            let level = tokio::select! {
                _ = int.recv() => match seen.level() {
                    Level::Running => Level::Cancelled,
                    Level::Cancelled => Level::Forced,
                    Level::Forced => end_now(),
                },
                _ = term.recv() => Level::Forced,
                _ = hup.recv() => Level::Forced,
            };
            if level == Level::Cancelled {
                console.say(
                    "canceling: after_script and clean-up still run; once more to end by force",
                );
            }
            interrupter.raise(level);
        }
    });
    Ok((interrupt, listener))
}

#[expect(clippy::exit, reason = "the third signal means: now, without unwinding")]
fn end_now() -> ! {
    std::process::exit(130)
}
