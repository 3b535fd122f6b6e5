//! The temporary folder of a run; what a killed run left is removed by the next one.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tempfile::TempDir;

const PREFIX: &str = "dyno-try-";
/// Locked while the run that owns the folder lives: the kernel lets go of it with the process.
const LOCK: &str = "owner.lock";

/// A folder of this run alone, gone when it is dropped unless it is to be kept.
#[derive(Debug)]
pub struct Folder {
    folder: TempDir,
    /// Kept folders have no lock: nobody removes them.
    _lock: Option<File>,
}

impl Folder {
    /// Makes a folder in `within`, after those are gone whose runs have died.
    ///
    /// # Errors
    /// When `within` cannot be written.
    pub fn new(within: &Path, keep: bool) -> std::io::Result<Self> {
        remove_dead(within);
        let folder =
            tempfile::Builder::new().prefix(PREFIX).disable_cleanup(keep).tempdir_in(within)?;
        let lock = if keep { None } else { Some(locked(folder.path())?) };
        Ok(Self { folder, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Makes the lock; it gets its name after it is locked, so that nobody finds it free before.
fn locked(folder: &Path) -> std::io::Result<File> {
    let unnamed = folder.join("owner.new");
    let lock = File::create_new(&unnamed)?;
    lock.lock()?;
    std::fs::rename(unnamed, folder.join(LOCK))?;
    Ok(lock)
}

/// Removes the folders of this user whose lock nobody holds; what cannot be removed stays.
fn remove_dead(within: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in std::fs::read_dir(within).into_iter().flatten().flatten() {
        let is_named = entry.file_name().to_string_lossy().starts_with(PREFIX);
        // Not followed: in a folder that all can write a link may lead anywhere.
        let is_own = entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == own);
        if !is_named || !is_own {
            continue;
        }
        let path = entry.path();
        let Ok(lock) = File::open(path.join(LOCK)) else { continue };
        if lock.try_lock().is_ok()
            && let Err(error) = std::fs::remove_dir_all(&path)
        {
            tracing::debug!(%error, path = %path.display(), "dead folder not removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_dead_run_is_removed_and_no_other() {
        let within = tempfile::tempdir().unwrap();
        let at = |name: &str| within.path().join(name);
        let make = |name: &str| std::fs::create_dir(at(name)).unwrap();
        make("dyno-try-dead");
        std::fs::write(at("dyno-try-dead/owner.lock"), "").unwrap();
        std::fs::write(at("dyno-try-dead/more"), "").unwrap();
        make("dyno-try-without-lock");
        make("other");
        std::fs::write(at("other/owner.lock"), "").unwrap();
        std::os::unix::fs::symlink(at("other"), at("dyno-try-link")).unwrap();

        let living = Folder::new(within.path(), false).unwrap();
        let kept = Folder::new(within.path(), true).unwrap().path().to_owned();
        let last = Folder::new(within.path(), false).unwrap();
        assert!(!at("dyno-try-dead").exists());
        for path in [living.path(), &kept, last.path(), &at("dyno-try-without-lock")] {
            assert!(path.is_dir(), "{}", path.display());
        }
        assert!(at("other/owner.lock").is_file() && at("dyno-try-link").exists());
        let gone = living.path().to_owned();
        drop(living);
        assert!(!gone.exists());
    }
}
