//! The volumes that are `/cache`: they stay between jobs, until nobody has used them for long.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bollard::Docker;
use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder};

use super::engine::{self, failed, is_missing};
use super::spec::Spec;
use crate::environment::Error;

/// Labels of a cache: its name, and the state folder of the driver whose it is.
const CACHE: &str = "dyno.cache";
const STATE: &str = "dyno.cache.state";

/// Makes the job's cache, and notes that it is used.
pub async fn make(engine: &Docker, spec: &Spec) -> Result<(), Error> {
    let labels = [(CACHE, spec.cache.clone()), (STATE, spec.state().display().to_string())];
    let request = VolumeCreateRequest {
        name: Some(spec.cache.clone()),
        labels: Some(labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ..VolumeCreateRequest::default()
    };
    engine.create_volume(request).await.map_err(failed("make the job's cache"))?;
    note_use(spec.state(), &spec.cache)
}

fn uses(state: &Path) -> PathBuf {
    state.join("cache-uses")
}

/// The daemon does not know when a volume was used last: an empty file says it.
fn note_use(state: &Path, cache: &str) -> Result<(), Error> {
    let folder = uses(state);
    let file = folder.join(cache);
    fs::create_dir_all(&folder)
        .and_then(|()| fs::File::create(&file)?.set_modified(SystemTime::now()))
        .map_err(Error::file("write", file))
}

/// Removes caches that no job has used for so long; their names.
///
/// # Errors
/// When the daemon cannot be asked. A cache that is in use stays.
pub async fn remove_old(state: &Path, socket: &Path, keep: Duration) -> Result<Vec<String>, Error> {
    let engine = engine::connect(socket).await?;
    let own = format!("{STATE}={}", state.display());
    let filters = HashMap::from([("label".to_owned(), vec![own])]);
    let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let found = engine.list_volumes(Some(options)).await.map_err(failed("list caches"))?;
    let mut removed = Vec::new();
    for name in found.volumes.unwrap_or_default().into_iter().map(|volume| volume.name) {
        // A label could say anything.
        if name.contains('/') || name.starts_with('.') || !is_old(state, &name, keep)? {
            continue;
        }
        let options = RemoveVolumeOptionsBuilder::default().build();
        match engine.remove_volume(&name, Some(options)).await {
            Err(answer) if !is_missing(&answer) => tracing::debug!(%answer, %name, "a cache stays"),
            Ok(()) | Err(_) => {
                drop(fs::remove_file(uses(state).join(&name)));
                removed.push(name);
            }
        }
    }
    Ok(removed)
}

fn is_old(state: &Path, name: &str, keep: Duration) -> Result<bool, Error> {
    let used = fs::metadata(uses(state).join(name)).and_then(|file| file.modified());
    let Ok(used) = used else {
        // From here on it is known.
        note_use(state, name)?;
        return Ok(false);
    };
    Ok(used.elapsed().is_ok_and(|age| age > keep))
}
