//! `kubectl`: the command line parsed with the caller's rights, the request performed by the
//! driver in a job, and in this process on a laptop.

mod disk;
mod beyond;
mod compare;
mod copy;
mod forward;

use std::io::{ErrorKind, Read, Write};

use base64::Engine;
use tokio_util::sync::CancellationToken;

use crate::broker::Event;
use crate::command::guest::Guest;
use crate::command::{self, Streams};
use crate::deploy::kubectl::{self, Operation, Parsed};
use crate::error::{Error, Result};
use crate::job::Vars;
use crate::outcome::Outcome;
use crate::policy::Task;
use crate::shutdown::Signals;

pub(super) use disk::Disk;

const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";

/// Runs a command line (without `kubectl` itself).
///
/// # Errors
/// When the driver refuses, or cannot be asked. kubectl's own errors are told here, and are its
/// exit code.
pub async fn run(
    argv: &[String],
    vars: &dyn Vars,
    stdin: &mut (dyn Read + Send),
    streams: &mut Streams,
) -> Result<Outcome> {
    let disk = Disk { vars };
    let parsed = match kubectl::parse(argv, &disk, stdin) {
        Err(usage) if usage.is_beyond() => return elsewhere(argv, &disk, &usage, streams),
        parsed => parsed,
    };
    let request = match parsed {
        Ok(Parsed::Local { stdout, stderr, code }) => {
            put((&mut streams.out, STDOUT), &stdout)?;
            put((&mut streams.err, STDERR), &stderr)?;
            return Ok(Outcome::Code(code));
        }
        Ok(Parsed::Remote(request)) => request,
        Ok(Parsed::Copy(files)) => return copy::run(*files, vars, streams).await,
        Ok(Parsed::Forward(request)) => return forward::run(*request, vars, streams).await,
        Err(usage) => {
            put((&mut streams.err, STDERR), &format!("{usage}\n"))?;
            let is_diff = kubectl::verb(argv).is_some_and(|verb| verb == "diff");
            return Ok(Outcome::Code(if is_diff { 2 } else { 1 }));
        }
    };
    let guest = Guest::find(None, vars)?;
    let signals = Signals::listen().map_err(Error::system)?;
    let mut broken = None;
    let mut pairs = Vec::new();
    let is_diff = matches!(request.operation, Operation::Diff(_));
    let performed = guest
        .perform(
            Task::Kubectl(request),
            &mut |event| {
                let put = match tell(event, streams) {
                    Ok(Some(kubectl::Event::Pair(pair))) => {
                        pairs.push(pair);
                        Ok(())
                    }
                    told => told.map(drop),
                };
                if let (Err(error), true) = (put, broken.is_none()) {
                    broken = Some(error);
                    signals.cancel().cancel();
                }
            },
            signals.cancel(),
        )
        .await;
    match (broken, performed) {
        (Some(error), _) => Err(error),
        (None, Ok(outcome)) if is_diff && outcome.code() == 0 => {
            compare::run(&pairs, vars, streams)
        }
        // Called as kubectl, a refusal ends as kubectl's own do.
        (None, performed) => {
            performed.map_err(|error| error.outcome(Outcome::Code(if is_diff { 2 } else { 1 })))
        }
    }
}

/// Lets a real kubectl do what dyno does not; else tells why none can.
fn elsewhere(
    argv: &[String],
    disk: &Disk<'_>,
    usage: &kubectl::Usage,
    streams: &mut Streams,
) -> Result<Outcome> {
    match beyond::ask(argv, disk) {
        Ok(outcome) => outcome,
        Err(why) => {
            put((&mut streams.err, STDERR), &format!("{usage}\n{why}\n"))?;
            Ok(Outcome::Code(1))
        }
    }
}

/// Tells what is to be read on one of the two streams; what is not is given back.
fn tell(event: Event, streams: &mut Streams) -> Result<Option<kubectl::Event>> {
    match event {
        Event::Kubectl(kubectl::Event::Stdout(text)) => put((&mut streams.out, STDOUT), &text)?,
        Event::Kubectl(kubectl::Event::Bytes(text)) => {
            put_bytes((&mut streams.out, STDOUT), &decoded(&text)?)?;
        }
        Event::Kubectl(kubectl::Event::Stderr(text)) | Event::Said(text) => {
            put((&mut streams.err, STDERR), &text)?;
        }
        Event::Kubectl(other @ (kubectl::Event::Pair(_) | kubectl::Event::Ports(_))) => {
            return Ok(Some(other));
        }
        Event::Load(_) | Event::Gate(_) | Event::Deploy(_) | Event::Variable(_) => {}
    }
    Ok(None)
}

/// The bytes of an event.
fn decoded(text: &str) -> Result<Vec<u8>> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    bytes.map_err(|_| Error::system("what was told is no base64 text"))
}

/// What a kubectl command line prints on standard output.
///
/// # Errors
/// When it fails: with what it printed on standard error.
pub async fn capture(
    argv: &[&str],
    vars: &dyn Vars,
    guest: &Guest,
    cancel: &CancellationToken,
) -> Result<String> {
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    let parsed = kubectl::parse(&argv, &Disk { vars }, &mut std::io::empty());
    let request = match parsed.map_err(|usage| Error::job(told(&usage.0)))? {
        Parsed::Local { stdout, .. } => return Ok(stdout),
        Parsed::Remote(request) => request,
        Parsed::Copy(_) | Parsed::Forward(_) => {
            return Err(Error::job("this command prints nothing to be read"));
        }
    };
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let task = Task::Kubectl(request);
    let outcome = guest
        .perform(
            task,
            &mut |event| match event {
                Event::Kubectl(kubectl::Event::Stdout(text)) => stdout.push_str(&text),
                Event::Kubectl(kubectl::Event::Stderr(text)) | Event::Said(text) => {
                    stderr.push_str(&text);
                }
                Event::Kubectl(
                    kubectl::Event::Bytes(_) | kubectl::Event::Pair(_) | kubectl::Event::Ports(_),
                )
                | Event::Load(_)
                | Event::Gate(_)
                | Event::Deploy(_)
                | Event::Variable(_) => {}
            },
            cancel,
        )
        .await?;
    if outcome.code() == 0 { Ok(stdout) } else { Err(Error::job(told(&stderr))) }
}

/// kubectl's words as the text of an error, which brings its own `error: `.
fn told(text: &str) -> String {
    let text = text.trim();
    text.strip_prefix("error: ").unwrap_or(text).to_owned()
}

/// Writes as kubectl does: a stream that takes nothing is its error, whoever performed the request.
/// A reader that went away is no error of ours.
fn put(to: (&mut Box<dyn Write + Send>, &str), text: &str) -> Result<()> {
    put_bytes(to, text.as_bytes())
}

fn put_bytes((to, name): (&mut Box<dyn Write + Send>, &str), bytes: &[u8]) -> Result<()> {
    let Err(error) = to.write_all(bytes).and_then(|()| to.flush()) else {
        return Ok(());
    };
    if error.kind() == ErrorKind::BrokenPipe {
        return command::put(Err(error));
    }
    let why = if error.kind() == ErrorKind::StorageFull {
        "no space left on device".to_owned()
    } else {
        error.to_string()
    };
    Err(Error::job(format!("write /dev/{name}: {why}")).outcome(Outcome::Code(1)))
}
