//! The files, URLs and variables that a kubectl command line may name.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::deploy::kubectl::{Fetched, Files};
use crate::job::Vars;

/// The files and variables of whoever runs the command.
pub(in crate::command) struct Disk<'a> {
    pub(in crate::command) vars: &'a dyn Vars,
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

    fn fetch(&self, url: &str) -> Result<Fetched, String> {
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

    fn kustomize(&self, folder: &str) -> Result<Vec<u8>, String> {
        let own = Command::new("kustomize").args(["build", folder]).output();
        let output = match (own, super::beyond::program(self)) {
            (Ok(output), _) => output,
            (Err(_), Some(kubectl)) => Command::new(&kubectl)
                .args(["kustomize", folder])
                .output()
                .map_err(|error| format!("cannot run {}: {error}", kubectl.display()))?,
            (Err(_), None) => {
                return Err(
                    "dyno builds no kustomization itself: put `kustomize`, or a kubectl, on \
                            PATH"
                        .to_owned(),
                );
            }
        };
        if output.status.success() {
            return Ok(output.stdout);
        }
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let why = why.strip_prefix("Error: ").or(why.strip_prefix("error: ")).unwrap_or(&why);
        Err(why.to_owned())
    }

    fn has_platform(&self) -> bool {
        self.vars.filled("DYNO_SOCKET").is_some()
    }

    fn is_terminal(&self) -> bool {
        std::io::stdin().is_terminal()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.vars.get(name)
    }
}

/// No manifest is larger.
const MAX_MANIFEST: usize = 64 << 20;

async fn fetch(url: &str) -> Result<Fetched, String> {
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
