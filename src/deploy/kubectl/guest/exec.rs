//! `kubectl exec` and `kubectl cp`, from the command line to the request.

use std::path::PathBuf;

use base64::Engine;

use super::{Context, mistake, misuse};
use crate::deploy::kubectl::flags::{self, Flag, Kind, flag, short};
use crate::deploy::kubectl::{Copy, Exec, Named, Operation, Parsed, Place, Usage};

/// Reads `kubectl exec …`.
pub fn parse(context: &mut Context<'_>) -> Result<Parsed, Usage> {
    const COMMAND: &str = "kubectl exec";
    const FLAGS: &[Flag] = &[
        short("filename", 'f', Kind::List),
        short("container", 'c', Kind::Text),
        short("stdin", 'i', Kind::Bool),
        short("tty", 't', Kind::Bool),
        short("quiet", 'q', Kind::Bool),
        flag("pod-running-timeout", Kind::Duration),
    ];
    let flags = context.flags(FLAGS, COMMAND)?;
    let n_own = flags.args.len() - flags.n_after_dashes;
    let (own, command) = flags.args.split_at(n_own);
    let dashes = context.argv.iter().any(|arg| arg == "--");
    if !dashes && own.len() > 1 {
        return Err(misuse(
            "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead",
            COMMAND,
        ));
    }
    if flags.has("filename") {
        return Err(mistake("dyno's kubectl exec does not know --filename"));
    }
    let Some(target) = own.first() else {
        return Err(mistake("pod, type/name or --filename must be specified"));
    };
    if command.is_empty() {
        return Err(mistake("you must specify at least one command for the container"));
    }
    let (stdin, tty) = (flags.is("stdin", false), flags.is("tty", false));
    let quiet = flags.is("quiet", false);
    let mut notes = Vec::new();
    let mut input = None;
    if stdin {
        if context.files.is_terminal() {
            return Err(mistake("dyno's kubectl exec does not take its input from a terminal"));
        }
        if tty && !quiet {
            notes.push(
                "Unable to use a TTY - input is not a terminal or the right kind of file\n"
                    .to_owned(),
            );
        }
        let mut bytes = Vec::new();
        context
            .stdin
            .read_to_end(&mut bytes)
            .map_err(|error| mistake(format!("error reading standard input: {error}")))?;
        input = Some(base64::engine::general_purpose::STANDARD.encode(bytes));
    }
    let exec = Exec {
        target: named(target)?,
        container: flags.filled("container"),
        command: command.to_vec(),
        stdin: input,
        quiet,
        pod_timeout_ms: pod_timeout(&flags, COMMAND, 60_000)?,
    };
    context.request(&flags, notes, Operation::Exec(exec))
}

/// `--pod-running-timeout` in milliseconds.
pub fn pod_timeout(flags: &flags::Parsed, command: &str, default: u64) -> Result<u64, Usage> {
    match flags.duration_ms("pod-running-timeout").map(u64::try_from) {
        None => Ok(default),
        Some(Ok(millis @ 1..)) => Ok(millis),
        Some(Ok(0) | Err(_)) => {
            Err(misuse("--pod-running-timeout must be higher than zero", command))
        }
    }
}

/// What a bare name or `TYPE/NAME` names.
pub fn named(arg: &str) -> Result<Named, Usage> {
    let (resource, name) = arg.split_once('/').unwrap_or(("pods", arg));
    if name.contains('/') {
        return Err(mistake("arguments in resource/name form may not have more than one slash"));
    }
    Ok(Named { resource: resource.to_owned(), name: name.to_owned() })
}

/// Reads `kubectl cp SOURCE DESTINATION`.
pub fn parse_copy(context: &Context<'_>) -> Result<Parsed, Usage> {
    const COMMAND: &str = "kubectl cp";
    const FLAGS: &[Flag] = &[
        short("container", 'c', Kind::Text),
        flag("no-preserve", Kind::Bool),
        flag("retries", Kind::Number),
    ];
    let flags = context.flags(FLAGS, COMMAND)?;
    let [from, to] = flags.args.as_slice() else {
        return Err(mistake("source and destination are required"));
    };
    let (from, to) = (place(from)?, place(to)?);
    let (pod, namespace) = match (&from, &to) {
        (Place::Here(_), Place::Here(_)) => {
            return Err(mistake("one of src or dest must be a remote file specification"));
        }
        (Place::Pod { .. }, Place::Pod { .. }) => {
            return Err(mistake("one of src or dest must be a local file specification"));
        }
        (Place::Pod { namespace, pod, .. }, Place::Here(_))
        | (Place::Here(_), Place::Pod { namespace, pod, .. }) => (pod.clone(), namespace.clone()),
    };
    let exec = Exec {
        target: Named { resource: "pods".to_owned(), name: pod },
        container: flags.filled("container"),
        command: Vec::new(),
        stdin: None,
        quiet: false,
        pod_timeout_ms: 0,
    };
    let parsed = context.request(&flags, Vec::new(), Operation::Exec(exec))?;
    let Parsed::Remote(mut request) = parsed else { return Ok(parsed) };
    if let Some(namespace) = namespace {
        request.namespace = Some(namespace);
    }
    Ok(Parsed::Copy(Box::new(Copy { request: *request, from, to })))
}

/// `PATH`, `POD:PATH` or `NAMESPACE/POD:PATH`.
fn place(written: &str) -> Result<Place, Usage> {
    let wrong = || mistake("filespec must match the canonical format: [[namespace/]pod:]file/path");
    let Some((pod, path)) = written.split_once(':') else {
        return Ok(Place::Here(PathBuf::from(written)));
    };
    // A path with a colon in it.
    if pod.is_empty() || pod.starts_with(['.', '/']) {
        return Ok(Place::Here(PathBuf::from(written)));
    }
    let parts: Vec<&str> = pod.split('/').collect();
    match parts.as_slice() {
        [pod] => Ok(Place::Pod { namespace: None, pod: (*pod).to_owned(), path: path.to_owned() }),
        [namespace, pod] => Ok(Place::Pod {
            namespace: Some((*namespace).to_owned()),
            pod: (*pod).to_owned(),
            path: path.to_owned(),
        }),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_here_or_in_a_pod() {
        assert_eq!(place("a/b").unwrap(), Place::Here(PathBuf::from("a/b")));
        assert_eq!(place("./a:b").unwrap(), Place::Here(PathBuf::from("./a:b")));
        let pod = |namespace: Option<&str>| Place::Pod {
            namespace: namespace.map(str::to_owned),
            pod: "p".to_owned(),
            path: "/x".to_owned(),
        };
        assert_eq!(place("p:/x").unwrap(), pod(None));
        assert_eq!(place("n/p:/x").unwrap(), pod(Some("n")));
        assert!(place("a/n/p:/x").is_err());
    }
}
