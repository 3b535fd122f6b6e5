//! Which driver a job's script has now. One that is killed at the wrong moment leaves the first
//! process of a sandbox that is just being made: it waits for an outer one that has gone with the
//! driver, and holds the job's output open, for which the runner waits in turn.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::environment::sandbox::folder;
use crate::environment::sandbox::leftovers::end_all;
use crate::environment::{Error, owner};
use crate::job::process;

const FILE: &str = "stage";

/// Notes that this process runs a script of the job.
pub fn note(job: &Path) -> Result<(), Error> {
    let jobs = job.parent().unwrap_or(job);
    let _lock = owner::lock(jobs).map_err(Error::file("lock", jobs))?;
    let own = process::identity(std::process::id()).unwrap_or_default();
    folder::write(&job.join(FILE), &own, 0o600)
}

/// Notes that the script is over; of a job that was removed meanwhile nothing needs to be noted.
pub fn note_end(job: &Path) -> Result<(), Error> {
    match folder::write(&job.join(FILE), "", 0o600) {
        Err(Error::File { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(()),
        noted => noted,
    }
}

/// Ends what is left of scripts whose driver has died, in jobs that live: their runner goes on then.
///
/// # Errors
/// When something of it cannot be ended.
pub async fn end_orphans(state: &Path) -> Result<(), Error> {
    let jobs = fs::read_dir(state.join("jobs")).into_iter().flatten().flatten();
    for job in jobs.map(|job| job.path()) {
        if !is_orphaned(&job) {
            continue;
        }
        // Asked again, now that no driver can begin the next script.
        let jobs = state.join("jobs");
        let _lock = owner::lock(&jobs).map_err(Error::file("lock", &jobs))?;
        if is_orphaned(&job) {
            end_all(&job).await?;
        }
    }
    Ok(())
}

fn is_orphaned(job: &Path) -> bool {
    let driver = fs::read_to_string(job.join(FILE)).unwrap_or_default();
    !driver.is_empty() && !process::lives(&driver)
}
