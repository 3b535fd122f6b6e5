//! The policy file as written: can be wrong, says what each key is for, makes the schema.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::sink::SinkFile;
use super::source::file::{SigFile, SourceFile};
use crate::unit::{Rate, Size, Span};

/// What a dyno runner may do for whom. Read by the driver; root's.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PolicyFile {
    /// The only GitLab that the driver ever asks.
    pub gitlab: Option<GitlabFile>,
    /// The driver's own folder: job folders, caches, a record per pipeline.
    #[serde(default = "state")]
    pub state: PathBuf,
    /// Metric sources by name.
    #[serde(default)]
    pub sources: BTreeMap<String, SourceFile>,
    /// Sinks by name: where a load's figures may be pushed while it runs.
    #[serde(default)]
    pub sinks: BTreeMap<String, SinkFile>,
    /// Clusters by name.
    #[serde(default)]
    pub clusters: BTreeMap<String, ClusterFile>,
    /// A file with the token that project variables are written with; without it they are not.
    pub variables_token_file: Option<PathBuf>,
    /// What else of a verdict is told through GitLab's API, with the token of
    /// `variables-token-file`.
    #[serde(default)]
    pub verdicts: VerdictsFile,
    /// Where runs are kept that later ones are compared with; a folder below `state` by default.
    pub baselines: Option<BaselinesFile>,
    /// The uids that sandboxes run under when the driver is root.
    #[serde(default)]
    pub sandbox_users: UsersFile,
    /// How long `dyno gc` leaves a cache that no job uses.
    #[serde(default = "keep_caches")]
    pub keep_caches: Span,
    /// Who may do what. Exactly one must match a job.
    pub profiles: Vec<ProfileFile>,
}

fn keep_caches() -> Span {
    Span::seconds(30 * 24 * 3600)
}

fn state() -> PathBuf {
    PathBuf::from("/var/lib/dyno")
}

/// The only GitLab that the driver ever asks.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GitlabFile {
    /// Base URL, as in `https://gitlab.example.com`.
    pub url: String,
    /// A CA certificate (PEM) that is trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// What of a verdict is told through GitLab's API.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct VerdictsFile {
    /// One note in the merge request, kept up to date.
    pub merge_request: bool,
    /// A status of the commit.
    pub commit_status: bool,
}

/// Where runs are kept that later ones are compared with.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BaselinesFile {
    /// A folder on this host.
    Directory(PathBuf),
    /// The project's generic package registry, with the job's token.
    Packages(PackagesFile),
    /// A bucket of an S3-compatible store.
    S3(BucketFile),
}

/// The project's generic package registry.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackagesFile {}

/// A bucket of an S3-compatible store.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BucketFile {
    /// Base URL, before the bucket's name.
    pub url: String,
    /// Its name.
    pub bucket: String,
    /// What stands before every key: `dyno/`.
    #[serde(default)]
    pub prefix: String,
    /// Who signs.
    pub sigv4: SigFile,
    /// A CA certificate (PEM) that is trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// A cluster, with the platform's credential for it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClusterFile {
    /// The kubeconfig with the credential; one that runs a program for it is refused.
    pub kubeconfig: PathBuf,
    /// Its context; the file's current one when absent.
    pub context: Option<String>,
    /// The user that every request acts as. May hold places, as in
    /// `gitlab:project:{{ project.id }}`.
    pub impersonate: Option<String>,
    /// The groups that go with it. May hold places.
    #[serde(default)]
    pub impersonate_groups: Vec<String>,
}

/// A range of uids that belong to nobody else on the host.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UsersFile {
    /// The first uid; 65536 or more.
    #[serde(default = "first_user")]
    pub first: u32,
    /// How many.
    #[serde(default = "n_users")]
    pub count: u32,
}

fn first_user() -> u32 {
    2_100_000
}

fn n_users() -> u32 {
    65_536
}

impl Default for UsersFile {
    fn default() -> Self {
        Self { first: first_user(), count: n_users() }
    }
}

/// What one `[[runners]]` entry may do for some projects.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProfileFile {
    /// Its name, for `--profile` and for messages.
    pub name: String,
    /// Who it is for.
    #[serde(rename = "match")]
    pub matches: MatchFile,
    /// Where scripts run.
    #[serde(default)]
    pub environment: EnvironmentFile,
    /// Image recipes that answer here.
    #[serde(default)]
    pub recipes: Vec<String>,
    /// What load may be driven at, and how much; without it none.
    pub load: Option<LoadFile>,
    /// Metric sources that a gate may ask.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Clusters by name, with what is allowed there.
    #[serde(default)]
    pub clusters: BTreeMap<String, ClusterRuleFile>,
    /// API servers that a job may reach with a kubeconfig of its own: `https://` URLs, `*` within
    /// a path segment, `**` across them.
    #[serde(default)]
    pub kubeconfig_servers: Vec<String>,
    /// How long a gate may wait for a load.
    #[serde(default)]
    pub gate: GateFile,
}

/// Who a profile is for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MatchFile {
    /// The tags of the `[[runners]]` entry (`--tags`), all of them, in any order. Without tags the
    /// profile is taken by `--profile` alone.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Project paths: `*` stays within a segment, `**` does not.
    pub projects: Vec<String>,
    /// Which refs.
    #[serde(default)]
    pub refs: RefsFile,
}

/// Which refs a profile is for.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RefsFile {
    /// All of them.
    Any,
    /// Those that GitLab protects.
    #[default]
    Protected,
}

/// Where scripts run. With both, jobs without an image, or with one that a recipe answers, run in the
/// sandbox, all others in containers.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EnvironmentFile {
    /// A bubblewrap sandbox on the runner's host.
    pub sandbox: Option<SandboxFile>,
    /// Containers of a Docker daemon on the runner's host.
    pub docker: Option<DockerFile>,
}

impl Default for EnvironmentFile {
    fn default() -> Self {
        Self { sandbox: Some(SandboxFile::default()), docker: None }
    }
}

/// A bubblewrap sandbox on the runner's host.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SandboxFile {
    /// What network scripts see.
    pub network: NetworkFile,
    /// Memory of everything in it.
    pub memory: Size,
    /// Number of processes and threads.
    pub processes: u32,
    /// Number of open files a process.
    pub open_files: u32,
    /// Further host folders that scripts may read.
    pub folders: Vec<PathBuf>,
    /// Time between TERM and KILL at the end of a stage.
    pub grace: Span,
}

impl Default for SandboxFile {
    fn default() -> Self {
        Self {
            network: NetworkFile::None,
            memory: Size(2 << 30),
            processes: 512,
            open_files: 4096,
            folders: Vec::new(),
            grace: Span::seconds(10),
        }
    }
}

/// Containers of a Docker daemon on the runner's host.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DockerFile {
    /// The daemon's socket.
    pub socket: PathBuf,
    /// Images that jobs may name: `*` stays within a path segment, `**` does not.
    pub images: Vec<String>,
    /// Images that services may have.
    pub services: Vec<String>,
    /// The image of a job that names none.
    pub default_image: Option<String>,
    /// Ways to get an image, tried in order. A job's `pull_policy` is held to these.
    pub pull: Vec<PullFile>,
    /// Logins for registries, in the grammar of Docker's `config.json`; helper programs in it are
    /// not run.
    pub auth_file: Option<PathBuf>,
    /// What scripts and services reach beside each other.
    pub network: DockerNetworkFile,
    /// Memory of each container.
    pub memory: Size,
    /// Cores of each container; all of the host's when left out.
    pub cpus: Option<f64>,
    /// Number of processes and threads of each container.
    pub processes: u32,
    /// What a job may hold on the disk: `/builds`, and what its containers write beside their
    /// volumes. Looked at while scripts run; a script that made it more is ended.
    pub disk: Option<Size>,
    /// Paths in the job's container that are memory, and how much.
    pub tmpfs: BTreeMap<String, Size>,
    /// The same in those of services.
    pub services_tmpfs: BTreeMap<String, Size>,
    /// Time between TERM and KILL at the end of a stage.
    pub grace: Span,
    /// How long services may take to listen.
    pub wait_for_services: Span,
}

impl Default for DockerFile {
    fn default() -> Self {
        Self {
            socket: PathBuf::from("/var/run/docker.sock"),
            images: Vec::new(),
            services: Vec::new(),
            default_image: None,
            pull: vec![PullFile::Always],
            auth_file: None,
            network: DockerNetworkFile::None,
            memory: Size(2 << 30),
            cpus: None,
            processes: 512,
            disk: None,
            tmpfs: BTreeMap::new(),
            services_tmpfs: BTreeMap::new(),
            grace: Span::seconds(10),
            wait_for_services: Span::seconds(30),
        }
    }
}

/// How an image is got.
#[derive(Debug, Clone, Copy, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PullFile {
    /// From its registry, each time: who may not pull it does not get it.
    Always,
    /// From its registry unless it is here already, whoever pulled it.
    IfNotPresent,
    /// It must be here already.
    Never,
}

/// What containers reach beside each other.
#[derive(Debug, Clone, Copy, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DockerNetworkFile {
    /// Nothing; git, cache and artifact stages reach GitLab through the driver.
    None,
    /// What Docker's bridge lets through: as a rule, all that the host reaches.
    Bridge,
}

/// What network scripts see.
#[derive(Debug, Clone, Copy, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkFile {
    /// None; git, cache and artifact stages reach GitLab through the driver.
    None,
    /// The host's own.
    Host,
}

/// What load may be driven at, and how much.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoadFile {
    /// Host names (`*` is one label, `**` any), addresses and networks, each with an optional
    /// `:port`. Loopback, link-local and metadata addresses need a network that says just that.
    pub targets: Vec<String>,
    /// Most virtual users.
    #[serde(default = "users")]
    pub users: u32,
    /// Most arrivals a second.
    #[serde(default = "rate")]
    pub rate: Rate,
    /// Longest run.
    #[serde(default = "duration")]
    pub duration: Span,
    /// Time beyond the run for setup, the last answers and teardown, all together.
    #[serde(default = "extra")]
    pub extra: Span,
    /// Sinks that its figures may be pushed to.
    #[serde(default)]
    pub sinks: Vec<String>,
}

fn extra() -> Span {
    Span::seconds(120)
}

fn users() -> u32 {
    1000
}

fn rate() -> Rate {
    Rate(5000.0)
}

fn duration() -> Span {
    Span::seconds(1800)
}

/// What a profile allows in a cluster.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClusterRuleFile {
    /// Namespaces: names, `*` patterns, places such as `{{ user.login }}`. System namespaces are
    /// refused whatever stands here; `default` must be named.
    pub namespaces: Vec<String>,
    /// Reading or changing.
    #[serde(default)]
    pub access: AccessFile,
    /// Kinds that are refused by default and allowed here: `Namespace` (to delete one), `Role`,
    /// `RoleBinding`, `ResourceQuota`, `LimitRange`, `pods/exec` (`kubectl exec` and `cp`),
    /// `pods/portforward` (`kubectl port-forward`), `serviceaccounts/token` (`kubectl create token`).
    #[serde(default)]
    pub kinds: Vec<String>,
    /// What pods may be.
    #[serde(default)]
    pub pod_security: PodSecurityFile,
}

/// Reading or changing.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AccessFile {
    /// get, list, watch, logs, rollout status; no Secrets.
    #[default]
    Read,
    /// And create, patch, delete.
    Deploy,
}

/// What pods may be.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PodSecurityFile {
    /// The baseline level of the pod security standards.
    #[default]
    Baseline,
    /// Everything the cluster takes.
    Privileged,
}

/// How long a gate may wait for a load.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct GateFile {
    /// For a load of the same pipeline to start.
    pub wait_for_load_start: Span,
    /// For its end.
    pub wait_for_load_end: Span,
}

impl Default for GateFile {
    fn default() -> Self {
        Self { wait_for_load_start: Span::seconds(60), wait_for_load_end: Span::seconds(1800) }
    }
}
