//! Ends and removes what belongs to a job, and finds what belongs to dead ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::errors::Error as Answer;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder,
};

use super::container::{JOB, MARK, OWNER, STATE};
use super::engine::{self, failed, is_missing};
use super::spec::Spec;
use crate::environment::{Error, owner};

/// Removes all that carries the job's name; nothing to remove is fine.
pub async fn clear(engine: &Docker, spec: &Spec) -> Result<(), Error> {
    clear_engine(engine, &spec.name).await?;
    remove_folder(&spec.folder)
}

async fn clear_engine(engine: &Docker, name: &str) -> Result<(), Error> {
    let filter = || HashMap::from([("label".to_owned(), vec![format!("{JOB}={name}")])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filter()).build();
    let containers = engine.list_containers(Some(options)).await;
    for container in containers.map_err(failed("list the job's containers"))? {
        let id = container.id.unwrap_or_default();
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        fine(engine.remove_container(&id, Some(options)).await)
            .map_err(failed("remove a container of the job"))?;
    }
    let options = ListNetworksOptionsBuilder::default().filters(&filter()).build();
    let networks = engine.list_networks(Some(options)).await;
    for network in networks.map_err(failed("list the job's networks"))? {
        fine(engine.remove_network(&network.id.unwrap_or_default()).await)
            .map_err(failed("remove the job's network"))?;
    }
    let options = ListVolumesOptionsBuilder::default().filters(&filter()).build();
    let volumes = engine.list_volumes(Some(options)).await;
    let volumes = volumes.map_err(failed("list the job's volumes"))?.volumes;
    for volume in volumes.unwrap_or_default() {
        let options = RemoveVolumeOptionsBuilder::default().force(true).build();
        fine(engine.remove_volume(&volume.name, Some(options)).await)
            .map_err(failed("remove the job's volume"))?;
    }
    Ok(())
}

/// What is gone already, or just going, is as good as removed.
fn fine(answer: Result<(), Answer>) -> Result<(), Answer> {
    match answer {
        Err(answer) if is_missing(&answer) => Ok(()),
        Err(Answer::DockerResponseServerError { status_code: 409, message })
            if message.contains("already in progress") =>
        {
            Ok(())
        }
        other => other,
    }
}

fn remove_folder(folder: &Path) -> Result<(), Error> {
    let owner = fs::read_to_string(folder.join("driver")).unwrap_or_default();
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::file("remove", folder)(error));
        }
        Ok(()) | Err(_) => {}
    }
    owner::remove_runners_folder(&owner).map_err(Error::process("remove the runner's folder"))
}

/// A job whose owner is gone, and the daemon that has what is left of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leftover {
    /// The job's name.
    pub name: String,
    /// The daemon's socket.
    pub socket: PathBuf,
}

/// The job of that name under `state`, when it has containers.
pub fn of(state: &Path, name: &str) -> Option<Leftover> {
    let socket = fs::read_to_string(state.join("jobs").join(name).join(MARK)).ok()?;
    Some(Leftover { name: name.to_owned(), socket: socket.into() })
}

/// Finds dead jobs under `state`, by their folders and by the labels at the given daemons. A daemon
/// that does not answer has nothing to tell.
pub async fn leftovers(state: &Path, sockets: &BTreeSet<PathBuf>) -> BTreeSet<Leftover> {
    let mut found = by_folder(state);
    for socket in sockets {
        let Ok(engine) = engine::connect(socket).await else { continue };
        for (name, owner) in by_label(&engine, state).await.unwrap_or_default() {
            if !owner::lives(&owner) {
                found.insert(Leftover { name, socket: socket.clone() });
            }
        }
    }
    found
}

fn by_folder(state: &Path) -> BTreeSet<Leftover> {
    let jobs = fs::read_dir(state.join("jobs")).into_iter().flatten().flatten();
    jobs.filter_map(|job| {
        let folder = job.path();
        let socket = fs::read_to_string(folder.join(MARK)).ok()?;
        let owner = fs::read_to_string(folder.join("driver")).ok()?;
        let name = job.file_name().into_string().ok()?;
        (!owner::lives(&owner)).then(|| Leftover { name, socket: socket.into() })
    })
    .collect()
}

async fn by_label(engine: &Docker, state: &Path) -> Result<BTreeMap<String, String>, Answer> {
    let filters =
        HashMap::from([("label".to_owned(), vec![format!("{STATE}={}", state.display())])]);
    let containers = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let networks = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let volumes = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let mut labels: Vec<HashMap<String, String>> = Vec::new();
    labels.extend(
        engine.list_containers(Some(containers)).await?.into_iter().filter_map(|it| it.labels),
    );
    labels
        .extend(engine.list_networks(Some(networks)).await?.into_iter().filter_map(|it| it.labels));
    let all = engine.list_volumes(Some(volumes)).await?.volumes;
    labels.extend(all.unwrap_or_default().into_iter().map(|it| it.labels));
    Ok(labels
        .into_iter()
        .filter_map(|mut labels| Some((labels.remove(JOB)?, labels.remove(OWNER)?)))
        .collect())
}

/// Ends and removes a job if it is dead still; false when it is not.
///
/// # Errors
/// When something of it cannot be ended or removed.
pub async fn reap(state: &Path, leftover: &Leftover) -> Result<bool, Error> {
    let jobs = state.join("jobs");
    let _lock = owner::lock(&jobs).map_err(Error::file("lock", &jobs))?;
    let owner = fs::read_to_string(jobs.join(&leftover.name).join("driver"));
    if owner.is_ok_and(|owner| owner::lives(&owner)) {
        return Ok(false);
    }
    remove(state, leftover).await?;
    Ok(true)
}

/// Ends and removes a job.
///
/// # Errors
/// When something of it cannot be ended or removed.
pub async fn remove(state: &Path, leftover: &Leftover) -> Result<(), Error> {
    let engine = engine::connect(&leftover.socket).await?;
    clear_engine(&engine, &leftover.name).await?;
    // A label could say anything.
    if leftover.name.contains('/') || leftover.name.starts_with('.') {
        return Ok(());
    }
    remove_folder(&state.join("jobs").join(&leftover.name))
}
