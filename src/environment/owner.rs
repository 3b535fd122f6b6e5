//! Whose life a job's is: the runner's process, written down so that no later one is taken for it.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::environment::Error;
use crate::job::process;

/// An owner as text: the process, and the folder that the runner keeps for the job, when it has one.
/// Both must be there for the job to live: a runner may go on without the job.
pub fn written(pid: u32, folder: Option<&Path>) -> Option<String> {
    let folder = folder.map(|folder| folder.display().to_string()).unwrap_or_default();
    Some(format!("{}\n{folder}", process::identity(pid)?))
}

/// True while the job that [`written`] wrote down may still be wanted.
pub fn lives(written: &str) -> bool {
    let (id, folder) = parts(written);
    process::lives(id) && folder.is_none_or(Path::exists)
}

fn parts(written: &str) -> (&str, Option<&Path>) {
    let (id, folder) = written.split_once('\n').unwrap_or((written, ""));
    (id, Some(folder.trim()).filter(|folder| !folder.is_empty()).map(Path::new))
}

/// Removes what a dead runner left of its own: scripts and the job's description, with all of its
/// secrets. A living runner does that itself.
pub fn remove_runners_folder(written: &str) -> std::io::Result<()> {
    let (id, folder) = parts(written);
    let Some(folder) = folder.filter(|_| !process::lives(id)) else { return Ok(()) };
    let is_the_runners = folder
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(RUNNERS));
    if !is_the_runners {
        return Ok(());
    }
    // A driver that is about to notice the death may still write there: what came meanwhile goes, too.
    let mut removed = fs::remove_dir_all(folder);
    for _ in 0..MOST_WRITES {
        match &removed {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => {
                removed = fs::remove_dir_all(folder);
            }
            Ok(()) | Err(_) => break,
        }
    }
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A dying driver writes fewer files than these.
const MOST_WRITES: u8 = 16;

/// Where it is noted which runner's folder belongs to a job that has no folder here yet.
const NOTES: &str = "runners";

/// Notes the runner of a job that is only just known: it may be killed before anything is made.
///
/// # Errors
/// When the note cannot be written.
pub fn note_runner(state: &Path, job: &str, owner: (u32, Option<&Path>)) -> std::io::Result<()> {
    let Some(text) = written(owner.0, owner.1) else { return Ok(()) };
    let notes = state.join(NOTES);
    fs::DirBuilder::new().recursive(true).mode(0o711).create(&notes)?;
    let mut file = fs::OpenOptions::new();
    let file = file.write(true).create(true).truncate(true).mode(0o600).open(notes.join(job));
    file?.write_all(text.as_bytes())
}

/// Forgets a job's runner, which goes on and removes its folder itself.
pub fn forget_runner(state: &Path, job: &str) {
    if let Err(error) = fs::remove_file(state.join(NOTES).join(job)) {
        tracing::debug!(%error, "no note of a runner to remove");
    }
}

/// Removes what dead runners kept for jobs, whatever was made of those.
pub fn remove_dead_runners(state: &Path) {
    for note in fs::read_dir(state.join(NOTES)).into_iter().flatten().flatten() {
        let text = fs::read_to_string(note.path()).unwrap_or_default();
        if text.is_empty() || lives(&text) {
            continue;
        }
        if let Err(error) = remove_runners_folder(&text).and_then(|()| fs::remove_file(note.path()))
        {
            tracing::warn!(%error, "cannot remove what a dead runner kept");
        }
    }
}

/// How gitlab-runner names the folder that it makes for a job.
pub const RUNNERS: &str = "custom-executor";

/// Keeps others from making or reaping jobs in a folder until the file is dropped.
pub fn lock(jobs: &Path) -> std::io::Result<fs::File> {
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(jobs.with_extension("lock"))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
    Ok(file)
}

/// The error for a job that nobody owns.
pub fn none(owner: u32) -> Error {
    Error::Unfit {
        what: format!("the job's owner, process {owner}, is not alive"),
        hint: "start the job from a runner that stays".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_dead_runners_own_folder_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let folder = place.path().join(name);
            fs::create_dir(&folder).unwrap();
            folder
        };
        let (own, other) = (make("custom-executor123"), make("precious"));
        let living = written(std::process::id(), Some(&own)).unwrap();
        remove_runners_folder(&living).unwrap();
        assert!(own.exists());
        for folder in [&own, &other] {
            remove_runners_folder(&format!("1 1\n{}", folder.display())).unwrap();
        }
        assert!(!own.exists() && other.exists());
    }

    #[test]
    fn a_job_lives_as_long_as_its_runner_and_the_runners_folder() {
        let folder = tempfile::tempdir().unwrap();
        let job = written(std::process::id(), Some(folder.path())).unwrap();
        assert!(lives(&job));
        drop(folder);
        assert!(!lives(&job), "its runner goes on without it");
        assert!(lives(&written(std::process::id(), None).unwrap()));
        assert!(!lives("1 1"));
        assert!(!lives("nonsense"));
    }
}
