//! What jobs left behind whose runner was killed.

use std::fs;
use std::io;
use std::path::Path;

use crate::environment::sandbox::cgroup::Groups;
use crate::environment::sandbox::{process, tree};
use crate::environment::{Error, owner};

/// Each finds a folder that somebody else is removing a little emptier.
const TRIES: usize = 100;

/// The names of jobs under `state` whose owner is gone.
pub fn leftovers(state: &Path) -> Vec<String> {
    let jobs = fs::read_dir(state.join("jobs")).into_iter().flatten().flatten();
    let mut names: Vec<_> = jobs
        .filter(|job| job.path().is_dir() && is_dead(&job.path()))
        .filter_map(|job| job.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn is_dead(folder: &Path) -> bool {
    // What belongs to containers is removed with them.
    if fs::metadata(folder.join("docker")).is_ok_and(|mark| mark.len() > 0) {
        return false;
    }
    // One that does not say whose it is may just be coming into being: whoever makes it holds the
    // lock, under which this is asked again.
    let owner = fs::read_to_string(folder.join("driver"));
    !owner.is_ok_and(|owner| owner::lives(&owner))
}

/// Ends and removes a job under `state` if it is dead still; false when it is not, or gone.
///
/// # Errors
/// When something of it cannot be ended or removed.
pub async fn reap(state: &Path, name: &str) -> Result<bool, Error> {
    let jobs = state.join("jobs");
    let _lock = owner::lock(&jobs).map_err(Error::file("lock", &jobs))?;
    let folder = jobs.join(name);
    if !folder.exists() || !is_dead(&folder) {
        return Ok(false);
    }
    remove(state, name).await?;
    Ok(true)
}

/// Ends and removes one job under `state`; nothing to remove is fine.
///
/// # Errors
/// When something of it cannot be ended or removed.
pub async fn remove(state: &Path, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.starts_with('.') || name.contains('/') {
        return Err(Error::Unfit {
            what: format!("`{name}` is not the name of a job"),
            hint: "name a folder below the state's `jobs`".to_owned(),
        });
    }
    remove_folder(&state.join("jobs").join(name)).await
}

/// Removes a folder that somebody else may be removing, too.
fn remove_tree(folder: &Path) -> io::Result<()> {
    let mut n_tries = 0;
    loop {
        n_tries += 1;
        match tree::remove(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && n_tries < TRIES => {}
            removed => return removed,
        }
    }
}

/// Ends what runs in a job's folder.
pub async fn end_all(folder: &Path) -> Result<(), Error> {
    process::end_all(&folder.join("builds")).await?;
    let groups = fs::read_to_string(folder.join("cgroups")).unwrap_or_default();
    // bubblewrap's outer process is still there, or one that had not got to its walls.
    for group in Groups::parse(&groups).folders() {
        process::end_group(group).await?;
    }
    Ok(())
}

/// Ends what runs in a job's folder, and removes it with its control groups.
pub async fn remove_folder(folder: &Path) -> Result<(), Error> {
    end_all(folder).await?;
    let file = folder.join("cgroups");
    if let Ok(groups) = fs::read_to_string(&file) {
        Groups::parse(&groups).remove().map_err(Error::file("remove the groups of", file))?;
    }
    // Before the folder that says where it is: what could not be removed is found again.
    let owner = fs::read_to_string(folder.join("driver")).unwrap_or_default();
    owner::remove_runners_folder(&owner).map_err(Error::process("remove the runner's folder"))?;
    remove_tree(folder).map_err(Error::file("remove", folder))
}
