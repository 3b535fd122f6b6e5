//! Control groups of jobs whose folder is lost, so that no folder names them any more.

use std::fs;
use std::path::{Path, PathBuf};

use crate::environment::Error;
use crate::environment::sandbox::{folder, process};

/// Where the kernel shows control groups.
const TOP: &str = "/sys/fs/cgroup";

/// Deeper no job's group is looked for.
const DEEPEST: usize = 12;

/// Ends and removes groups of jobs under `state` that have no folder there; the jobs' names.
///
/// # Errors
/// When something in them cannot be ended, or a group cannot be removed.
pub async fn remove_groups(state: &Path) -> Result<Vec<String>, Error> {
    let mut removed = Vec::new();
    for (name, group) in find(Path::new(TOP), state) {
        process::end_group(&group).await?;
        match fs::remove_dir(&group) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::file("remove", group)(error));
            }
            Ok(()) | Err(_) => {}
        }
        if !removed.contains(&name) {
            removed.push(name);
        }
    }
    Ok(removed)
}

/// Groups by what their name says: a job's, and which state folder it belongs to.
fn find(top: &Path, state: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut todo = vec![(top.to_owned(), 0)];
    while let Some((at, depth)) = todo.pop() {
        let entries = fs::read_dir(&at).into_iter().flatten().flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        for entry in below {
            let group = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some((job, _)) = name.rsplit_once('-').filter(|_| name.starts_with("dyno-")) {
                let job_folder = state.join("jobs").join(job);
                if folder::group_name(job, &job_folder) == name && !job_folder.exists() {
                    found.push((job.to_owned(), group));
                    continue;
                }
            }
            if depth < DEEPEST {
                todo.push((group, depth + 1));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_group_of_this_state_whose_job_is_gone_is_lost() {
        let (top, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let jobs = state.path().join("jobs");
        fs::create_dir_all(jobs.join("dyno-2")).unwrap();
        let lost = folder::group_name("dyno-1", &jobs.join("dyno-1"));
        for name in [
            lost.clone(),
            folder::group_name("dyno-2", &jobs.join("dyno-2")),
            folder::group_name("dyno-3", Path::new("/another/state/jobs/dyno-3")),
            "dyno-4".to_owned(),
            "ssh.service".to_owned(),
        ] {
            fs::create_dir_all(top.path().join("memory/runner").join(name)).unwrap();
        }
        let expected = top.path().join("memory/runner").join(lost);
        assert_eq!(find(top.path(), state.path()), [("dyno-1".to_owned(), expected)]);
    }
}
