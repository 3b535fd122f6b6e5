//! The folders that are `/cache`: they stay between jobs, until nobody has used them for long.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::environment::sandbox::tree;
use crate::environment::{Error, owner};

/// Notes that a cache is used.
pub fn note_use(cache: &Path) -> Result<(), Error> {
    let noted = fs::File::open(cache).and_then(|folder| folder.set_modified(SystemTime::now()));
    match noted {
        // A file system that keeps no times, or another user's folder: it is removed early at worst.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::debug!(%error, "cannot note the use of a cache");
            Ok(())
        }
        noted => noted.map_err(Error::file("open", cache)),
    }
}

/// Removes caches under `state` that no job has used for so long; their names.
///
/// # Errors
/// When one cannot be removed.
pub fn remove_old(state: &Path, keep: Duration) -> Result<Vec<String>, Error> {
    let mut removed = Vec::new();
    let folders = |path: &Path| {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir() && !path.is_symlink())
    };
    let jobs = state.join("jobs");
    for project in folders(&state.join("cache")) {
        for cache in folders(&project) {
            // No job is being made meanwhile; one that runs has used it a short while ago.
            let _lock = owner::lock(&jobs).map_err(Error::file("lock", &jobs))?;
            let used = fs::metadata(&cache).and_then(|folder| folder.modified());
            if !used.is_ok_and(|used| used.elapsed().is_ok_and(|age| age > keep)) {
                continue;
            }
            tree::remove(&cache).map_err(Error::file("remove", &cache))?;
            let name = cache.strip_prefix(state).unwrap_or(&cache);
            removed.push(name.display().to_string());
        }
        // The last of a project takes its folder along.
        drop(fs::remove_dir(&project));
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cache_that_nobody_uses_any_more_is_removed() {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir(state.path().join("jobs")).unwrap();
        let make = |name: &str, age: u64| {
            let cache = state.path().join("cache").join(name);
            fs::create_dir_all(&cache).unwrap();
            fs::write(cache.join("kept"), "x").unwrap();
            let then = SystemTime::now() - Duration::from_secs(age);
            fs::File::open(&cache).unwrap().set_modified(then).unwrap();
            cache
        };
        let (old, young, used) =
            (make("1/open", 100), make("2/open", 10), make("2/protected", 100));
        note_use(&used).unwrap();
        let removed = remove_old(state.path(), Duration::from_secs(50)).unwrap();
        assert_eq!(removed, ["cache/1/open"]);
        assert!(!old.parent().unwrap().exists() && young.exists() && used.exists());
    }
}
