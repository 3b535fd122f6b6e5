//! `kubectl cp`: an archive through `tar` in the container, packed and unpacked here.

use std::io::Write as _;
use std::path::{Component, Path, PathBuf};

use base64::Engine;
use tokio_util::sync::CancellationToken;

use crate::broker::Event;
use crate::command::Streams;
use crate::command::guest::Guest;
use crate::command::kubectl::{STDERR, STDOUT, decoded, put};
use crate::deploy::kubectl::{self, Copy, Operation, Place, Request};
use crate::error::{Error, Result};
use crate::job::Vars;
use crate::outcome::Outcome;
use crate::policy::Task;
use crate::shutdown::Signals;

/// Copies. What was copied before a failure stays.
///
/// # Errors
/// When a file here cannot be read or written, or the driver cannot be asked.
pub(super) async fn run(files: Copy, vars: &dyn Vars, streams: &mut Streams) -> Result<Outcome> {
    let guest = Guest::find(None, vars)?;
    let signals = Signals::listen().map_err(Error::system)?;
    let pod = Pod { guest: &guest, request: &files.request, cancel: signals.cancel() };
    let code = |error: Error| error.outcome(Outcome::Code(1));
    match (&files.from, &files.to) {
        (Place::Here(here), Place::Pod { path, .. }) => {
            into(&pod, here, path, streams).await.map_err(code)
        }
        (Place::Pod { path, .. }, Place::Here(here)) => {
            out_of(&pod, path, here, streams).await.map_err(code)
        }
        (Place::Here(_), Place::Here(_)) | (Place::Pod { .. }, Place::Pod { .. }) => {
            Err(Error::job("one of source and destination must be in a pod"))
        }
    }
}

/// A container in which commands can be run.
struct Pod<'a> {
    guest: &'a Guest,
    request: &'a Request,
    cancel: &'a CancellationToken,
}

/// What a command gave.
struct Ran {
    outcome: Outcome,
    stdout: Vec<u8>,
    stderr: String,
}

impl Pod<'_> {
    async fn run(&self, command: &[&str], stdin: Option<&[u8]>) -> Result<Ran> {
        let mut request = self.request.clone();
        if let Operation::Exec(exec) = &mut request.operation {
            exec.command = command.iter().map(|word| (*word).to_owned()).collect();
            exec.stdin = stdin.map(|bytes| base64::engine::general_purpose::STANDARD.encode(bytes));
        }
        let mut ran = Ran { outcome: Outcome::Code(0), stdout: Vec::new(), stderr: String::new() };
        let mut broken = None;
        let task = Task::Kubectl(Box::new(request));
        ran.outcome = self
            .guest
            .perform(
                task,
                &mut |event| match event {
                    Event::Kubectl(kubectl::Event::Stdout(text)) => {
                        ran.stdout.extend_from_slice(text.as_bytes());
                    }
                    Event::Kubectl(kubectl::Event::Bytes(text)) => match decoded(&text) {
                        Ok(bytes) => ran.stdout.extend(bytes),
                        Err(error) => broken = Some(error),
                    },
                    Event::Kubectl(kubectl::Event::Stderr(text)) | Event::Said(text) => {
                        ran.stderr.push_str(&text);
                    }
                    Event::Kubectl(kubectl::Event::Pair(_) | kubectl::Event::Ports(_))
                    | Event::Load(_)
                    | Event::Gate(_)
                    | Event::Deploy(_)
                    | Event::Variable(_) => {}
                },
                self.cancel,
            )
            .await?;
        broken.map_or(Ok(ran), Err)
    }
}

async fn into(pod: &Pod<'_>, here: &Path, path: &str, streams: &mut Streams) -> Result<Outcome> {
    if here.symlink_metadata().is_err() {
        let told = format!("error: {} doesn't exist in local filesystem\n", here.display());
        put((&mut streams.err, STDERR), &told)?;
        return Ok(Outcome::Code(1));
    }
    let absolute = std::path::absolute(here).map_err(Error::job)?;
    let own = absolute.file_name().map(PathBuf::from).unwrap_or_default();
    let mut target = PathBuf::from(path);
    // Into a folder that is there; else under the name that is given.
    if path.ends_with('/') || pod.run(&["test", "-d", path], None).await?.outcome.code() == 0 {
        target = target.join(&own);
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    let name = target.file_name().map_or(own, PathBuf::from);
    let archive = packed(&absolute, &name).map_err(Error::job)?;
    let mut command = vec!["tar", "-xmf", "-"];
    if let Some(folder) = folder.and_then(Path::to_str) {
        command.extend(["-C", folder]);
    }
    let ran = pod.run(&command, Some(&archive)).await?;
    put((&mut streams.err, STDERR), &ran.stderr)?;
    Ok(ran.outcome)
}

fn packed(path: &Path, name: &Path) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.follow_symlinks(false);
    if path.is_dir() {
        builder.append_dir_all(name, path)?;
    } else {
        builder.append_path_with_name(path, name)?;
    }
    builder.into_inner()
}

async fn out_of(pod: &Pod<'_>, path: &str, here: &Path, streams: &mut Streams) -> Result<Outcome> {
    let ran = pod.run(&["tar", "cf", "-", path], None).await?;
    // kubectl tells what tar has to say on standard output here.
    put((&mut streams.out, STDOUT), &ran.stderr)?;
    if ran.outcome.code() != 0 {
        return Ok(ran.outcome);
    }
    unpack(&ran.stdout, &plain(Path::new(path)), here, streams)?;
    Ok(Outcome::Code(0))
}

/// A path as an archive names it: from no root, through no folder above.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

/// Writes files and folders below the target; nothing that an archive says leads out of it, and its
/// links are left out.
fn unpack(archive: &[u8], inside: &Path, target: &Path, streams: &mut Streams) -> Result<()> {
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().map_err(Error::job)? {
        let mut entry = entry.map_err(Error::job)?;
        let name = plain(&entry.path().map_err(Error::job)?);
        let Ok(below) = name.strip_prefix(inside) else { continue };
        let place =
            if below.as_os_str().is_empty() { target.to_owned() } else { target.join(below) };
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            std::fs::create_dir_all(&place).map_err(Error::job)?;
        } else if kind.is_file() {
            if let Some(folder) = place.parent() {
                std::fs::create_dir_all(folder).map_err(Error::job)?;
            }
            let mut file = std::fs::File::create(&place).map_err(|error| {
                let is_folder = error.kind() == std::io::ErrorKind::IsADirectory;
                let why = if is_folder { "is a directory".to_owned() } else { error.to_string() };
                Error::job(format!("open {}: {why}", place.display()))
            })?;
            std::io::copy(&mut entry, &mut file).map_err(Error::job)?;
            file.flush().map_err(Error::job)?;
        } else if kind.is_symlink() {
            let told = format!("warning: skipping symlink: \"{}\"\n", place.display());
            put((&mut streams.err, STDERR), &told)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_an_archive_leads_nowhere_else() {
        assert_eq!(plain(Path::new("/a/../../b")), Path::new("a/b"));
        assert_eq!(plain(Path::new("../x")), Path::new("x"));
    }
}
