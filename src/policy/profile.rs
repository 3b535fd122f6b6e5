//! A profile as meant: who it is for, and what it allows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::glob::Glob;
use super::target::Target;
use super::template::Template;
use crate::unit::{Rate, Size, Span};

/// What one `[[runners]]` entry may do for some projects.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Where it stands in the policy: `profiles[0]`.
    pub key: String,
    /// The policy's file; refusals name it. Empty for dyno's own policy on a laptop.
    pub file: PathBuf,
    /// Who it is for.
    pub matches: Match,
    /// Where scripts run.
    pub environment: EnvironmentRule,
    /// Image recipes that answer here.
    pub recipes: Vec<String>,
    /// What load may be driven at.
    pub load: LoadRule,
    /// Metric sources that a gate may ask.
    pub sources: Vec<String>,
    /// Clusters by name, with what is allowed there.
    pub clusters: BTreeMap<String, ClusterRule>,
    /// Servers that a job may reach with a kubeconfig of its own.
    pub kubeconfig_servers: Vec<Glob>,
    /// How long a gate may wait.
    pub gate: GateRule,
    /// True where a decision needs GitLab's own word on the job (login, environment).
    pub needs_identity: bool,
}

impl Profile {
    /// True where a decision needs GitLab's own word on the job: its login, its environment.
    pub fn refers_to_identity(&self) -> bool {
        self.needs_identity
    }
}

/// Who a profile is for.
#[derive(Debug, Clone)]
pub struct Match {
    /// The runner entry's tags, as a set; empty: by `--profile` alone.
    pub tags: BTreeSet<String>,
    /// Project paths.
    pub projects: Vec<Glob>,
    /// Which refs.
    pub refs: Refs,
}

/// Which refs a profile is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refs {
    /// All of them.
    Any,
    /// Those that GitLab protects.
    Protected,
}

/// Where scripts run; at least one of the two.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvironmentRule {
    /// A bubblewrap sandbox on the runner's host.
    pub sandbox: Option<SandboxRule>,
    /// Containers of a Docker daemon on the runner's host.
    pub docker: Option<DockerRule>,
}

impl EnvironmentRule {
    /// True where git, cache and artifact stages reach GitLab through the driver alone.
    pub fn is_cut_off(&self) -> bool {
        let sandbox = self.sandbox.as_ref().is_some_and(|rule| rule.network == NetworkRule::None);
        sandbox || self.docker.is_some()
    }
}

/// What a job's containers may be.
#[derive(Debug, Clone, PartialEq)]
pub struct DockerRule {
    /// The daemon's socket.
    pub socket: PathBuf,
    /// Images that jobs may name.
    pub images: Vec<Glob>,
    /// Images that services may have.
    pub services: Vec<Glob>,
    /// The image of a job that names none.
    pub default_image: Option<String>,
    /// Ways to get an image, in order.
    pub pull: Vec<PullRule>,
    /// Logins for registries.
    pub auth_file: Option<PathBuf>,
    /// True where containers reach what the host reaches.
    pub has_network: bool,
    /// Memory of each container.
    pub memory: Size,
    /// Cores of each container.
    pub cpus: Option<f64>,
    /// Number of processes and threads of each container.
    pub processes: u32,
    /// What a job may hold on the disk.
    pub disk: Option<Size>,
    /// Paths in the job's container that are memory.
    pub tmpfs: BTreeMap<String, Size>,
    /// Paths in those of services that are.
    pub services_tmpfs: BTreeMap<String, Size>,
    /// Time between TERM and KILL.
    pub grace: Span,
    /// How long services may take to listen.
    pub wait_for_services: Span,
}

/// How an image is got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullRule {
    /// From its registry, each time.
    Always,
    /// From its registry unless it is here.
    IfNotPresent,
    /// It must be here.
    Never,
}

impl PullRule {
    /// As GitLab writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::IfNotPresent => "if-not-present",
            Self::Never => "never",
        }
    }
}

/// A sandbox's walls.
#[derive(Debug, Clone, PartialEq)]
pub struct SandboxRule {
    /// What network a script sees.
    pub network: NetworkRule,
    /// Memory of everything in it.
    pub memory: Option<Size>,
    /// Number of processes and threads.
    pub processes: Option<u32>,
    /// Number of open files a process.
    pub open_files: Option<u32>,
    /// Further host folders, read-only.
    pub folders: Vec<PathBuf>,
    /// Time between TERM and KILL.
    pub grace: Span,
}

/// What network a script sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkRule {
    /// None; git, cache and artifact stages reach GitLab through the driver.
    None,
    /// The host's.
    Host,
}

/// What load may be driven at, and how much.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadRule {
    /// Names and networks; empty: no load at all.
    pub targets: Vec<Target>,
    /// Most virtual users.
    pub users: u32,
    /// Most requests a second that a plan may ask for.
    pub rate: Rate,
    /// Longest run.
    pub duration: Span,
    /// Time beyond it for setup, the last answers and teardown.
    pub extra: Span,
    /// Sinks that a load's figures may be pushed to.
    pub sinks: Vec<String>,
}

/// What a profile allows in a cluster.
#[derive(Debug, Clone)]
pub struct ClusterRule {
    /// Namespaces: names, `*` patterns, templates.
    pub namespaces: Vec<Template>,
    /// Reading or changing.
    pub access: Access,
    /// Kinds that are refused by default and allowed here.
    pub kinds: Vec<String>,
    /// What pods may be.
    pub pod_security: PodSecurity,
}

/// Reading or changing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// get, list, watch, logs, rollout status; no Secrets.
    Read,
    /// And create, patch, delete in the namespaces, Secrets among them.
    Deploy,
}

/// What pods may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodSecurity {
    /// The baseline pod-security level.
    Baseline,
    /// Everything.
    Privileged,
}

/// How long a gate may wait for a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateRule {
    /// For its start.
    pub wait_for_load_start: Span,
    /// For its end.
    pub wait_for_load_end: Span,
}
