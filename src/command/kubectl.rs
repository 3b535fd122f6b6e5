//! `kubectl`: the command line parsed with the caller's rights, the request performed by the
//! driver in a job, and in this process on a laptop.

use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::broker::Event;
use crate::command::guest::Guest;
use crate::command::{self, Streams};
use crate::deploy::kubectl::{self, Fetched, Files, Parsed};
use crate::error::{Error, Result};
use crate::job::Vars;
use crate::outcome::Outcome;
use crate::policy::Task;
use crate::shutdown::Signals;

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
    let request = match kubectl::parse(argv, &Disk { vars }, stdin) {
        Ok(Parsed::Local { stdout, stderr, code }) => {
            put((&mut streams.out, STDOUT), &stdout)?;
            put((&mut streams.err, STDERR), &stderr)?;
            return Ok(Outcome::Code(code));
        }
        Ok(Parsed::Remote(request)) => request,
        Err(usage) => {
            put((&mut streams.err, STDERR), &format!("{usage}\n"))?;
            return Ok(Outcome::Code(1));
        }
    };
    let guest = Guest::find(None, vars)?;
    let signals = Signals::listen().map_err(Error::system)?;
    let mut broken = None;
    let performed = guest
        .perform(
            Task::Kubectl(request),
            &mut |event| {
                let put = match event {
                    Event::Kubectl(kubectl::Event::Stdout(text)) => {
                        put((&mut streams.out, STDOUT), &text)
                    }
                    Event::Kubectl(kubectl::Event::Stderr(text)) | Event::Said(text) => {
                        put((&mut streams.err, STDERR), &text)
                    }
                    Event::Load(_) | Event::Gate(_) | Event::Variable(_) => Ok(()),
                };
                if let (Err(error), true) = (put, broken.is_none()) {
                    broken = Some(error);
                    signals.cancel().cancel();
                }
            },
            signals.cancel(),
        )
        .await;
    match broken {
        Some(error) => Err(error),
        // Called as kubectl, a refusal ends as kubectl's own do.
        None => performed.map_err(|error| error.outcome(Outcome::Code(1))),
    }
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
                Event::Load(_) | Event::Gate(_) | Event::Variable(_) => {}
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
fn put((to, name): (&mut Box<dyn Write + Send>, &str), text: &str) -> Result<()> {
    let Err(error) = to.write_all(text.as_bytes()).and_then(|()| to.flush()) else {
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

/// The files and variables of whoever runs the command.
struct Disk<'a> {
    vars: &'a dyn Vars,
}

impl Files for Disk<'_> {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn list(&self, path: &Path) -> std::io::Result<Option<Vec<String>>> {
        if !std::fs::metadata(path)?.is_dir() {
            return Ok(None);
        }
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(Some(names))
    }

    fn write(&self, path: &Path, content: &[u8]) -> std::io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        // A reader sees the old file or the new one, never half of one.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(content)?;
        let mode = std::fs::metadata(path).map_or(0o600, |known| known.permissions().mode());
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        file.persist(target)?;
        Ok(())
    }

    fn fetch(&self, url: &str) -> std::result::Result<Fetched, String> {
        // The parser is no async code, and this thread's runtime is busy running it.
        std::thread::scope(|scope| {
            let fetched = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.map_err(|error| error.to_string())?.block_on(fetch(url))
            });
            fetched.join().unwrap_or_else(|_| Err("interrupted".to_owned()))
        })
    }

    fn kubeconfigs(&self) -> Vec<PathBuf> {
        if let Some(list) = self.vars.filled("KUBECONFIG") {
            list.split(':').filter(|path| !path.is_empty()).map(PathBuf::from).collect()
        } else {
            let home = self.vars.filled("HOME").map(PathBuf::from);
            home.into_iter().map(|home| home.join(".kube/config")).collect()
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.vars.get(name)
    }
}

/// No manifest is larger.
const MAX_MANIFEST: usize = 64 << 20;

async fn fetch(url: &str) -> std::result::Result<Fetched, String> {
    let told = |error: reqwest::Error| {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text = error.to_string();
            cause = error.source();
        }
        text
    };
    // The first to install one wins; all of dyno installs the same.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .connect_timeout(std::time::Duration::from_secs(10))
        .build()
        .map_err(told)?;
    let mut response = client.get(url).send().await.map_err(told)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(told)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_MANIFEST {
            return Err("the answer is larger than any manifest".to_owned());
        }
    }
    Ok(Fetched { status: status.as_u16(), reason: status.to_string(), body })
}
