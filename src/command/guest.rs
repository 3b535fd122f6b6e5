//! What the tools' verbs share: in a job they ask the driver, on a laptop they act themselves.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::broker::{self, Desk, Ends, Event, Own, Rights, own_worker};
use crate::deploy::kubectl::Request;
use crate::error::{Error, Result};
use crate::job::Vars;
use crate::outcome::Outcome;
use crate::policy::{self, Task};

/// Who performs this process's tasks.
pub struct Guest {
    place: Place,
}

enum Place {
    /// Inside a job's environment: the driver listens here.
    Job(PathBuf),
    /// On a laptop, with the user's own rights.
    Laptop(Box<Desk<'static>>),
}

impl Guest {
    /// Finds out where this process is.
    ///
    /// # Errors
    /// When a policy file of the user's own is there and wrong.
    pub fn find(policy: Option<&Path>, vars: &dyn Vars) -> Result<Self> {
        let place = match vars.filled("DYNO_SOCKET") {
            Some(socket) => Place::Job(PathBuf::from(socket)),
            None => Place::Laptop(Box::new(laptop(policy, vars)?)),
        };
        Ok(Self { place })
    }

    /// True inside a job's environment.
    pub fn is_in_job(&self) -> bool {
        match self.place {
            Place::Job(_) => true,
            Place::Laptop(_) => false,
        }
    }

    /// Performs a task and hands on what happens meanwhile.
    ///
    /// # Errors
    /// As the broker's.
    pub async fn perform(
        &self,
        task: Task,
        emit: &mut (dyn FnMut(Event) + Send),
        cancel: &CancellationToken,
    ) -> Result<Outcome> {
        match &self.place {
            Place::Job(socket) => broker::ask(socket, task, emit, cancel).await,
            Place::Laptop(desk) => broker::perform(desk, task, emit, cancel).await,
        }
    }

    /// Carries a connection into a pod. The answer is why the pod ended it, where it said so.
    ///
    /// # Errors
    /// As the broker's.
    pub async fn carry(
        &self,
        request: Request,
        ends: Ends<'_>,
        cancel: &CancellationToken,
    ) -> Result<Option<String>> {
        match &self.place {
            Place::Job(socket) => broker::carried(socket, request, ends, cancel).await,
            Place::Laptop(desk) => broker::carry(desk, &request, ends, cancel).await,
        }
    }
}

/// The user's own rights: sources from a policy-shaped file of theirs, their own kubeconfig.
fn laptop(named: Option<&Path>, vars: &dyn Vars) -> Result<Desk<'static>> {
    let home = vars.filled("HOME").map(PathBuf::from);
    let own_file = vars
        .filled("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| home.as_ref().map(|home| home.join(".config")))
        .map(|folder| folder.join("dyno/dyno.yaml"))
        .filter(|file| file.exists());
    let file = named.map(Path::to_owned).or(own_file);
    let policy = file.map(|file| policy::read_own(&file)).transpose().map_err(Error::job)?;
    let kubeconfigs = match vars.filled("KUBECONFIG") {
        Some(list) => list.split(':').filter(|path| !path.is_empty()).map(PathBuf::from).collect(),
        None => home.into_iter().map(|home| home.join(".kube/config")).collect(),
    };
    Ok(Desk::new(Rights::Own(Box::new(Own { policy, kubeconfigs })), own_worker(None)))
}
