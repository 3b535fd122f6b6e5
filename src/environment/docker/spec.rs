//! A job's containers as meant.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::auth::Auths;
use crate::unit::{Size, Span};

/// One job's containers.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The job's name, `JobId::resource_name()`; the containers' names start with it.
    pub name: String,
    /// `<state>/jobs/<name>`: the job's own folder on the host, made and removed here.
    pub folder: PathBuf,
    /// The Docker daemon's socket.
    pub socket: PathBuf,
    /// Name of the volume that is `/cache` inside; kept between jobs.
    pub cache: String,
    /// The job's image.
    pub image: Image,
    /// The services, in their order.
    pub services: Vec<Service>,
    /// What the job and its services reach beside each other.
    pub network: Network,
    /// What each container may use.
    pub limits: Limits,
    /// Paths in the job's container that are memory, and how much.
    pub tmpfs: BTreeMap<String, Size>,
    /// The same in those of services.
    pub services_tmpfs: BTreeMap<String, Size>,
    /// What else is written on all that belongs to the job, for whoever looks at the daemon.
    pub labels: BTreeMap<String, String>,
    /// How long services may take to listen, all together.
    pub patience: Span,
    /// Who may pull from where.
    pub auths: Auths,
    /// GitLab's host as the helper writes it, when it is reached through the driver.
    pub gitlab: Option<String>,
    /// The process whose life is the job's: the runner, the driver's parent.
    pub owner: u32,
    /// The folder that the runner keeps for the job, and removes with it.
    pub runner_folder: Option<PathBuf>,
    /// The dyno program on the host.
    pub program: PathBuf,
    /// Further names of dyno inside: `kubectl`, `locust`.
    pub names: Vec<String>,
    /// gitlab-runner's program on the host; `None`: dyno answers under that name.
    pub runner: Option<PathBuf>,
    /// The text of `/run/dyno/prelude.sh`, which every shell of the job reads first.
    pub prelude: String,
}

/// An image and how it is to be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Its name as the job writes it.
    pub name: String,
    /// In place of its own entrypoint; `[""]` means none.
    pub entrypoint: Option<Vec<String>>,
    /// In place of its own command; services only.
    pub command: Option<Vec<String>>,
    /// In place of its own user.
    pub user: Option<String>,
    /// `linux/arm64`, …
    pub platform: Option<String>,
    /// How it is got, tried in order.
    pub pull: Vec<Pull>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its image.
    pub image: Image,
    /// The names that the job wrote for it.
    pub aliases: Vec<String>,
    /// Its environment: `NAME=VALUE`.
    pub environment: Vec<String>,
}

/// How an image is got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// From its registry, each time.
    Always,
    /// From its registry unless it is here.
    IfNotPresent,
    /// It must be here.
    Never,
}

/// What a job reaches beside its services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Nothing.
    None,
    /// What a bridge of its own lets through: as a rule, all that the host reaches.
    Bridge,
}

/// What one container may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Memory.
    pub memory: Size,
    /// Cores; `None`: all of the host's.
    pub cpus: Option<f64>,
    /// Processes and threads.
    pub processes: u32,
    /// What all of the job's containers and `/builds` may hold together; looked at now and then.
    pub disk: Option<Size>,
    /// From SIGTERM to SIGKILL.
    pub grace: Span,
}

impl Spec {
    /// The driver's state folder.
    pub fn state(&self) -> &Path {
        self.folder.parent().and_then(Path::parent).unwrap_or(&self.folder)
    }

    /// True where containers have somebody to reach.
    pub fn has_network(&self) -> bool {
        self.network == Network::Bridge || !self.services.is_empty()
    }

    /// The name of the container for the job's own scripts.
    pub fn job_container(&self) -> String {
        format!("{}-job", self.name)
    }

    /// The name of the container for git, cache and artifacts.
    pub fn helper_container(&self) -> String {
        format!("{}-helper", self.name)
    }

    /// The name of the volume that is `/builds` inside.
    pub fn builds_volume(&self) -> String {
        format!("{}-builds", self.name)
    }

    /// The name of the network that job and services share.
    pub fn network_name(&self) -> String {
        format!("{}-network", self.name)
    }
}
