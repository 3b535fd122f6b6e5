//! The guest's side: from a command line, and what it names, to a request.

mod help;
mod sources;
mod input;
mod selector;
mod kubeconfig;
mod options;
mod apply;
mod create;
mod secret;
mod workloads;
mod generators;
mod generators_more;
mod get;
mod delete;
mod rollout;
mod workload;
mod set_env;
mod mark;
mod patch;
mod exec;
mod forward;
mod token;
mod diff;
mod auth;
mod explain;
mod describe;
mod wait;
mod logs;
mod config;
mod config_edit;
mod version;
#[cfg(test)]
pub mod tests_support;

use std::io::{self, ErrorKind, Read};

pub use sources::{Source, Unfound};

use super::flags::{self, Flag};
use super::{ClusterChoice, Files, Marks, Operation, Parsed, Request, Usage};

/// What a command has at hand.
pub struct Context<'a> {
    /// The command line after the command's name.
    pub argv: &'a [String],
    /// The command's name.
    command: &'a str,
    /// The files.
    pub files: &'a dyn Files,
    /// Standard input.
    pub stdin: &'a mut dyn Read,
    /// Nothing is to be done: it is asked what could be.
    asks_help: bool,
}

impl Context<'_> {
    /// Takes the command line apart.
    pub fn flags(&self, flags: &[Flag], command: &str) -> Result<flags::Parsed, Usage> {
        if self.asks_help {
            return Err(Usage(help::flags(flags)));
        }
        flags::parse(self.argv, flags, command)
    }

    /// The command line as `--record` notes it.
    fn recorded(&self) -> String {
        let known = recorders(self.command);
        let parsed = flags::parse(self.argv, known, "kubectl");
        parsed.map(|parsed| parsed.recorded(self.command)).unwrap_or_default()
    }

    /// Makes the request of an operation.
    pub fn request(
        &self,
        flags: &flags::Parsed,
        mut notes: Vec<String>,
        mut operation: Operation,
    ) -> Result<Parsed, Usage> {
        let record = flags.is("record", false).then(|| self.recorded());
        if flags.has("record") {
            notes.insert(0, RECORD.to_owned());
        }
        if let Some(cause) = &record {
            operation.note(cause);
        }
        let choice = kubeconfig::choose(flags, self.files);
        let choice = choice.map_err(|usage| kubeconfig::worded(usage, &operation))?;
        Ok(Parsed::Remote(Box::new(Request {
            namespace: flags.filled("namespace"),
            cluster: choice,
            timeout_ms: options::request_timeout(flags)?,
            notes,
            record,
            operation,
        })))
    }
}

/// A mistake in how a command is used, with kubectl's pointer to its help.
pub fn misuse(text: &str, command: &str) -> Usage {
    Usage(format!("error: {text}\nSee '{command} -h' for help and examples"))
}

/// A plain mistake.
pub fn mistake(text: impl std::fmt::Display) -> Usage {
    Usage(format!("error: {text}"))
}

/// An I/O error in Go's words.
pub fn go_error(error: &io::Error) -> String {
    const WORDS: [(ErrorKind, &str); 4] = [
        (ErrorKind::NotFound, "no such file or directory"),
        (ErrorKind::PermissionDenied, "permission denied"),
        (ErrorKind::IsADirectory, "is a directory"),
        (ErrorKind::NotADirectory, "not a directory"),
    ];
    let known = WORDS.iter().find(|(kind, _)| *kind == error.kind());
    known.map_or_else(|| error.to_string(), |(_, words)| (*words).to_owned())
}

const RECORD: &str = "Flag --record has been deprecated, --record will be removed in the future\n";

/// The flags of the commands that record.
fn recorders(command: &str) -> &'static [Flag] {
    match command {
        "apply" => apply::FLAGS,
        "create" => &create::FILES,
        "label" | "annotate" => mark::FLAGS,
        "patch" => patch::FLAGS,
        _ => workload::FLAGS,
    }
}

/// kubectl's words for a command that names nothing.
pub fn nothing_named() -> Usage {
    mistake(
        "You must provide one or more resources by argument or filename.\n\
         Example resource specifications include:\n   '-f rsrc.yaml'\n   \
         '--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'",
    )
}

const HELP: &str = "\
dyno answers kubectl here: apply, create, replace, patch, delete, diff, get, label, annotate,
rollout, set image|env, scale, wait, logs, exec, cp, port-forward, top, auth can-i|whoami, explain,
describe, api-resources, api-versions, version, cluster-info, config. `kubectl COMMAND -h` says what one
takes, in short; at length: https://kubernetes.io/docs/reference/kubectl/
For the rest a kubectl in the environment is asked, where a kubeconfig of your own is used.
";

/// What dyno answers.
const COMMANDS: &[&str] = &[
    "annotate",
    "api-resources",
    "api-versions",
    "apply",
    "auth",
    "cluster-info",
    "config",
    "cp",
    "create",
    "delete",
    "describe",
    "diff",
    "exec",
    "explain",
    "get",
    "kustomize",
    "label",
    "logs",
    "patch",
    "port-forward",
    "replace",
    "rollout",
    "scale",
    "set",
    "top",
    "version",
    "wait",
];

/// What kubectl knows and dyno does not.
const BEYOND: &[&str] = &[
    "alpha",
    "attach",
    "autoscale",
    "certificate",
    "completion",
    "cordon",
    "debug",
    "drain",
    "edit",
    "events",
    "expose",
    "kuberc",
    "options",
    "plugin",
    "proxy",
    "run",
    "taint",
    "uncordon",
];

/// Which cluster a command line is for, when only its flags for all commands are read.
pub fn choice(argv: &[String], files: &dyn Files) -> Result<ClusterChoice, Usage> {
    const NAMES: [&str; 3] = ["--context", "--kubeconfig", "--server"];
    let mut own = Vec::new();
    let mut rest = argv.iter().take_while(|arg| *arg != "--");
    while let Some(arg) = rest.next() {
        if NAMES.contains(&arg.as_str()) || arg == "-s" {
            own.push(arg.clone());
            own.extend(rest.next().cloned());
        } else if NAMES.iter().any(|name| arg.starts_with(&format!("{name}="))) {
            own.push(arg.clone());
        }
    }
    kubeconfig::choose(&flags::parse(&own, &[], "kubectl")?, files)
}

/// What a command line says to do.
pub fn verb(argv: &[String]) -> Option<String> {
    command_word(argv).ok().flatten().map(|(_, verb)| verb)
}

/// Reads a command line (without `kubectl` itself) and all that it names.
pub fn parse(argv: &[String], files: &dyn Files, stdin: &mut dyn Read) -> Result<Parsed, Usage> {
    let Some((at, command)) = command_word(argv)? else {
        return Ok(told(HELP.to_owned()));
    };
    let mut rest = argv.to_vec();
    rest.remove(at);
    let asks = |arg: &String| arg == "--help" || arg == "-h";
    let asks_help = rest.iter().take_while(|arg| *arg != "--").any(asks);
    let context = Context { argv: &rest, command: &command, files, stdin, asks_help };
    if command == "help" {
        return Ok(told(page(&flags::words(&rest), "")));
    }
    if !asks_help {
        return run(&command, context);
    }
    let words: Vec<&str> = std::iter::once(command.as_str()).chain(flags::words(&rest)).collect();
    let own = if help::is_group(&words) { None } else { run(&command, context).err() };
    Ok(told(page(&words, &own.map(|flags| flags.0).unwrap_or_default())))
}

/// All about a command, or about all.
fn page(words: &[&str], flags: &str) -> String {
    help::page(words, flags).unwrap_or_else(|| HELP.to_owned())
}

fn run(command: &str, mut context: Context<'_>) -> Result<Parsed, Usage> {
    match command {
        "apply" => apply::parse(context),
        "create" => create::parse(context),
        "replace" => create::parse_replace(context),
        "get" => get::parse(context),
        "delete" => delete::parse(context),
        "rollout" => rollout::parse(context),
        "set" => workload::parse_set(context),
        "label" => mark::parse(context, Marks::Labels),
        "annotate" => mark::parse(context, Marks::Annotations),
        "patch" => patch::parse(context),
        "exec" => exec::parse(&mut context),
        "cp" => exec::parse_copy(&context),
        "port-forward" => forward::parse(&context),
        "diff" => diff::parse(context),
        "auth" => auth::parse(&context),
        "top" => auth::parse_top(&context),
        "api-resources" => auth::parse_kinds(&context),
        "explain" => explain::parse(&context),
        "describe" => describe::parse(context),
        "api-versions" => auth::parse_versions(&context),
        "scale" => workload::parse_scale(context),
        "wait" => wait::parse(context),
        "logs" => logs::parse(&context),
        "config" => config::parse(&context),
        "kustomize" => kustomize(&context),
        "version" => version::parse(&context),
        "cluster-info" => version::parse_cluster_info(&context),
        other => Err(unknown(other)),
    }
}

/// Prints what a kustomization builds.
fn kustomize(context: &Context<'_>) -> Result<Parsed, Usage> {
    let flags = context.flags(&[], "kubectl kustomize")?;
    let folder = match flags.args.as_slice() {
        [] => ".",
        [folder] => folder,
        [..] => return Err(mistake("specify one path to kustomization.yaml")),
    };
    let built = context.files.kustomize(folder).map_err(mistake)?;
    Ok(told(String::from_utf8_lossy(&built).into_owned()))
}

fn told(stdout: String) -> Parsed {
    Parsed::Local { stdout, stderr: String::new(), code: 0 }
}

fn unknown(command: &str) -> Usage {
    if BEYOND.contains(&command) {
        return mistake(format!("dyno's kubectl does not know \"{command}\""));
    }
    let near: Vec<&str> = COMMANDS
        .iter()
        .chain(BEYOND)
        .copied()
        .filter(|known| steps(command, known) <= 2 || known.starts_with(command))
        .collect();
    let mut meant = String::new();
    if !near.is_empty() {
        let lines: String = near.iter().flat_map(|name| ["\t", name, "\n"]).collect();
        meant = format!("\nDid you mean this?\n{lines}\n");
    }
    Usage(format!(
        "error: unknown command \"{command}\" for \"kubectl\"\n{meant}\
         dyno answers kubectl here; `kubectl help` says what it knows"
    ))
}

/// How many letters make one word of the other (Levenshtein).
fn steps(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (n, a) in left.chars().enumerate() {
        let mut next = vec![n + 1];
        for (b, pair) in right.iter().zip(row.windows(2)) {
            let [diagonal, above] = pair else { continue };
            let changed = diagonal + usize::from(!a.eq_ignore_ascii_case(b));
            let beside = next.last().copied().unwrap_or_default();
            next.push(changed.min(above + 1).min(beside + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// Where the command's name stands: flags of all commands may stand before it.
fn command_word(argv: &[String]) -> Result<Option<(usize, String)>, Usage> {
    let mut at = 0;
    while let Some(arg) = argv.get(at) {
        if !arg.starts_with('-') || arg == "-" {
            return Ok(Some((at, arg.clone())));
        }
        // One flag, with its value when that stands apart.
        let alone = flags::parse(std::slice::from_ref(arg), &[], "kubectl");
        at += match alone {
            Ok(_) => 1,
            Err(error) if argv.get(at + 1).is_none() => return Err(error),
            Err(error) if error.0.contains("flag needs an argument") => 2,
            // A flag of the command itself, before the command: pflag does not know it yet.
            Err(error) => return Err(error),
        };
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_command_is_found_behind_global_flags() {
        assert_eq!(command_word(&words("-n x apply -f y")).unwrap(), Some((2, "apply".to_owned())));
        assert_eq!(
            command_word(&words("--context=c get pods")).unwrap(),
            Some((1, "get".to_owned()))
        );
        assert_eq!(
            command_word(&words("--foo")).unwrap_err().0,
            "error: unknown flag: --foo\nSee 'kubectl --help' for usage."
        );
    }
}
