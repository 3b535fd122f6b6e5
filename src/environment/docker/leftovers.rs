//! Ends and removes what belongs to a job, and finds what belongs to dead ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as Answer;
use bollard::models::NetworkDisconnectRequest;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder,
};
use futures_util::future::join_all;
use tokio::time::sleep;

use super::container::{JOB, MARK, OWNER, STATE};
use super::engine::{self, failed, is_missing};
use super::spec::Spec;
use crate::environment::{Error, owner};

/// Removes all that carries the job's name; nothing to remove is fine.
pub async fn clear(engine: &Docker, spec: &Spec) -> Result<(), Error> {
    clear_engine(engine, &spec.name).await?;
    remove_folder(&spec.folder)
}

/// A daemon that was killed may still be ending what it had started: then again, so many times.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(300);

async fn clear_engine(engine: &Docker, name: &str) -> Result<(), Error> {
    let mut n_tries = 0;
    loop {
        n_tries += 1;
        match clear_once(engine, name).await {
            Ok(true) => return Ok(()),
            Err(error) if n_tries == TRIES => return Err(error),
            Ok(false) if n_tries == TRIES => {
                return Err(Error::Lost { status: format!("what is left of {name} stays") });
            }
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, name, "cannot remove yet"),
        }
        sleep(PAUSE).await;
    }
}

/// Removes what there is of a job; false where something of it is just going by itself.
async fn clear_once(engine: &Docker, name: &str) -> Result<bool, Error> {
    let filter = HashMap::from([("label".to_owned(), vec![format!("{JOB}={name}")])]);
    let containers = ListContainersOptionsBuilder::default().all(true).filters(&filter).build();
    let networks = ListNetworksOptionsBuilder::default().filters(&filter).build();
    let volumes = ListVolumesOptionsBuilder::default().filters(&filter).build();
    let (containers, networks, volumes) = tokio::join!(
        engine.list_containers(Some(containers)),
        engine.list_networks(Some(networks)),
        engine.list_volumes(Some(volumes)),
    );
    let removals = containers.map_err(failed("list the job's containers"))?.into_iter().map(
        |container| async move {
            let id = container.id.unwrap_or_default();
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            is_gone(engine.remove_container(&id, Some(options)).await)
                .map_err(failed("remove a container of the job"))
        },
    );
    let mut are_gone = true;
    for removed in join_all(removals).await {
        are_gone &= removed?;
    }
    for network in networks.map_err(failed("list the job's networks"))? {
        let id = network.id.unwrap_or_default();
        empty(engine, &id).await;
        are_gone &= is_gone(engine.remove_network(&id).await)
            .map_err(failed("remove the job's network"))?;
    }
    let volumes = volumes.map_err(failed("list the job's volumes"))?.volumes;
    for volume in volumes.unwrap_or_default() {
        let options = RemoveVolumeOptionsBuilder::default().force(true).build();
        are_gone &= is_gone(engine.remove_volume(&volume.name, Some(options)).await)
            .map_err(failed("remove the job's volume"))?;
    }
    Ok(are_gone)
}

/// Takes everybody out of a network: a daemon that was killed keeps ends of containers that are gone.
async fn empty(engine: &Docker, network: &str) {
    let found = engine.inspect_network(network, None).await.ok();
    let ends = found.and_then(|network| network.containers).unwrap_or_default();
    for container in ends.into_keys() {
        let request = NetworkDisconnectRequest { container, force: Some(true) };
        if let Err(error) = engine.disconnect_network(network, request).await {
            tracing::debug!(%error, "cannot disconnect");
        }
    }
}

/// What is gone already is as good as removed; false for what is just going.
fn is_gone(answer: Result<(), Answer>) -> Result<bool, Answer> {
    match answer {
        Err(answer) if is_missing(&answer) => Ok(true),
        Err(Answer::DockerResponseServerError { status_code: 409, message })
            if message.contains("already in progress") =>
        {
            Ok(false)
        }
        other => other.map(|()| true),
    }
}

fn remove_folder(folder: &Path) -> Result<(), Error> {
    // Before the folder that says where it is: what could not be removed is found again.
    let owner = fs::read_to_string(folder.join("driver")).unwrap_or_default();
    owner::remove_runners_folder(&owner).map_err(Error::process("remove the runner's folder"))?;
    while let Err(error) = fs::remove_dir_all(folder) {
        // Somebody else may be removing it, too.
        if !folder.exists() {
            break;
        }
        if error.kind() != std::io::ErrorKind::NotFound {
            return Err(Error::file("remove", folder)(error));
        }
    }
    Ok(())
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
    // Killed while it was written: there is nothing at any daemon yet.
    if socket.is_empty() {
        return None;
    }
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
        // One that does not say whose it is is looked at again, under the lock.
        let owner = fs::read_to_string(folder.join("driver"));
        let name = job.file_name().into_string().ok()?;
        let lives = owner.is_ok_and(|owner| owner::lives(&owner));
        (!lives && !socket.is_empty()).then(|| Leftover { name, socket: socket.into() })
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
