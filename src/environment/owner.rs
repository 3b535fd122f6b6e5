//! Whose life a job's is: the runner's process, written down so that no later one is taken for it.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::environment::Error;

/// A process as text: its number and its start time, so that a later process of the same number is
/// not taken for it.
pub fn identity(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(format!("{pid} {}", start_time(&stat)?))
}

/// An owner as text: the process, and the folder that the runner keeps for the job, when it has one.
/// Both must be there for the job to live: a runner may go on without the job.
pub fn written(pid: u32, folder: Option<&Path>) -> Option<String> {
    let folder = folder.map(|folder| folder.display().to_string()).unwrap_or_default();
    Some(format!("{}\n{folder}", identity(pid)?))
}

/// True while the job that [`written`] wrote down may still be wanted.
pub fn lives(written: &str) -> bool {
    let (process, folder) = parts(written);
    is_alive(process) && folder.is_none_or(Path::exists)
}

/// True while the process that [`identity`] wrote down lives.
fn is_alive(identity_then: &str) -> bool {
    let pid = identity_then.split_whitespace().next().and_then(|pid| pid.parse().ok());
    pid.and_then(identity).is_some_and(|now| now == identity_then.trim())
}

fn parts(written: &str) -> (&str, Option<&Path>) {
    let (process, folder) = written.split_once('\n').unwrap_or((written, ""));
    (process, Some(folder.trim()).filter(|folder| !folder.is_empty()).map(Path::new))
}

/// Removes what a dead runner left of its own: scripts and the job's description, with all of its
/// secrets. A living runner does that itself.
pub fn remove_runners_folder(written: &str) -> std::io::Result<()> {
    let (process, folder) = parts(written);
    let Some(folder) = folder.filter(|_| !is_alive(process)) else { return Ok(()) };
    let is_the_runners = folder
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(RUNNERS));
    if !is_the_runners {
        return Ok(());
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
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

/// The start time of a `/proc/PID/stat` line, whose second field may hold blanks and brackets.
/// A zombie has ended already.
fn start_time(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
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
    fn a_start_time_is_found_behind_any_program_name() {
        let tail = "S 1 2 3 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1000 5";
        for name in ["bash", "a) b", "((", ") Z 1 2"] {
            assert_eq!(start_time(&format!("77 ({name}) {tail}")), Some(4242), "{name}");
        }
        assert_eq!(start_time(&format!("77 (bash) {}", tail.replacen('S', "Z", 1))), None);
        assert_eq!(start_time(""), None);
    }

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
    fn a_later_process_of_the_same_number_is_not_taken_for_the_earlier() {
        let own = identity(std::process::id()).unwrap();
        assert!(lives(&own));
        let (pid, start) = own.split_once(' ').unwrap();
        let earlier = start.parse::<u64>().unwrap() - 1;
        assert!(!lives(&format!("{pid} {earlier}")));
        assert!(!lives(""));
        let folder = tempfile::tempdir().unwrap();
        let job = written(std::process::id(), Some(folder.path())).unwrap();
        assert!(lives(&job));
        drop(folder);
        assert!(!lives(&job), "its runner goes on without it");
        assert!(!lives("nonsense"));
    }
}
