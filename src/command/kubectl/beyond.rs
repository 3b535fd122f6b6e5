//! What dyno's kubectl does not do: a real kubectl in the environment does it, with the job's own
//! kubeconfig. For a cluster of the platform it would have no credential.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use crate::command::kubectl::disk::Disk;
use crate::deploy::kubectl::{self, ClusterChoice};
use crate::error::{Error, Result};
use crate::outcome::Outcome;

/// Set for the program that is asked, so that no two programs ask each other for ever.
const ASKED: &str = "DYNO_KUBECTL_ASKED";

/// Runs the real kubectl with the same words.
///
/// # Errors
/// Why there is none to be asked: a sentence.
pub(super) fn ask(
    argv: &[String],
    disk: &Disk<'_>,
) -> std::result::Result<Result<Outcome>, String> {
    let in_job = disk.vars.filled("DYNO_SOCKET").is_some();
    let own = matches!(kubectl::choice(argv, disk), Ok(ClusterChoice::Own(_)));
    if in_job && !own {
        return Err("on a cluster of the platform it cannot be had: the credential stays with the \
                    driver; with a kubeconfig of the job's own, a kubectl in the environment does it"
            .to_owned());
    }
    let Some(program) = program(disk) else {
        return Err("a kubectl in the environment (on PATH) would do it; there is none".to_owned());
    };
    let status = Command::new(&program).args(argv).env(ASKED, "1").status();
    Ok(match status {
        Ok(status) => {
            Ok(Outcome::Code(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
        }
        Err(error) => Err(Error::job(format!("cannot run {}: {error}", program.display()))),
    })
}

/// The first kubectl on PATH that is not this program.
pub(super) fn program(disk: &Disk<'_>) -> Option<PathBuf> {
    if disk.vars.filled(ASKED).is_some() {
        return None;
    }
    let id = |path: &std::path::Path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.dev(), found.ino(), found.len(), found.permissions().mode()))
    };
    let me = id(std::path::Path::new("/proc/self/exe"));
    let folders = disk.vars.filled("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join("kubectl")).find(|path| {
        let found = id(path);
        // A copy of this program has another place and the same length.
        let same = |found: (u64, u64, u64, u32), me: (u64, u64, u64, u32)| {
            (found.0, found.1) == (me.0, me.1) || found.2 == me.2
        };
        match (found, me) {
            (Some(found), Some(me)) => found.3 & 0o111 != 0 && !same(found, me),
            (Some(_) | None, _) => false,
        }
    })
}
