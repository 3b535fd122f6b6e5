//! The request that crosses the socket: one typed operation with its objects.

mod change;
mod look;
mod inside;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use change::{
    Mark, Marks, PatchKind, PatchWith, Rollout, RolloutAction, Scale, SetEnv, SetImage,
};
pub use inside::{Bound, Exec, Forward, Logs, Ports, Token, Tunnel};
pub use look::{CanI, Describe, Diff, Explain, Kinds, Top};

use crate::deploy::cluster::OwnCluster;

/// A kubectl command, read and ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Which cluster.
    pub cluster: ClusterChoice,
    /// `-n`; the cluster's default when `None`.
    pub namespace: Option<String>,
    /// `--request-timeout` in milliseconds, per request to the server; 0 is none.
    pub timeout_ms: u64,
    /// Lines for standard error that parsing gave rise to, told first.
    pub notes: Vec<String>,
    /// `--record`: the command line, for what is changed in place.
    pub record: Option<String>,
    /// What to do.
    pub operation: Operation,
}

impl Operation {
    /// Notes the cause of a change in the objects that the operation brings along.
    pub fn note(&mut self, cause: &str) {
        let items = if let Self::Apply(apply) = self {
            &mut apply.items
        } else if let Self::Create(create) | Self::Replace(create) = self {
            &mut create.items
        } else {
            return;
        };
        for item in items {
            if let Item::Object(manifest) = item {
                note_cause(&mut manifest.object, cause);
            }
        }
    }
}

/// Why an object is as it is, as `rollout history` tells it.
pub const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// Notes the cause of a change in an object.
pub fn note_cause(object: &mut Value, cause: &str) {
    let Some(Value::Object(metadata)) = object.get_mut("metadata") else { return };
    let annotations = metadata.entry("annotations").or_insert(Value::Null);
    if !annotations.is_object() {
        *annotations = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(annotations) = annotations {
        annotations.insert(CHANGE_CAUSE.to_owned(), Value::String(cause.to_owned()));
    }
}

/// Which cluster a request is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ClusterChoice {
    /// The only one the profile grants.
    Default,
    /// One of the profile's, by `--context`.
    Named(String),
    /// The job's own, by its kubeconfig.
    Own(Box<OwnCluster>),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Operation {
    /// `kubectl apply`.
    Apply(Apply),
    /// `kubectl create`, from arguments or files.
    Create(Create),
    /// `kubectl replace`.
    Replace(Create),
    /// `kubectl get`.
    Get(Get),
    /// `kubectl delete`.
    Delete(Delete),
    /// `kubectl rollout …`.
    Rollout(Rollout),
    /// `kubectl set image`.
    SetImage(SetImage),
    /// `kubectl set env`.
    SetEnv(SetEnv),
    /// `kubectl scale`.
    Scale(Scale),
    /// `kubectl label` and `kubectl annotate`.
    Mark(Mark),
    /// `kubectl patch`.
    Patch(PatchWith),
    /// `kubectl wait`.
    Wait(Wait),
    /// `kubectl logs`.
    Logs(Logs),
    /// `kubectl exec`.
    Exec(Exec),
    /// `kubectl port-forward`.
    Forward(Forward),
    /// A connection of `kubectl port-forward`.
    Tunnel(Tunnel),
    /// `kubectl create token`.
    Token(Token),
    /// `kubectl diff`.
    Diff(Diff),
    /// `kubectl auth can-i`.
    CanI(CanI),
    /// `kubectl auth whoami`.
    WhoAmI {
        /// `-o`.
        output: Output,
    },
    /// `kubectl api-resources`.
    Kinds(Kinds),
    /// `kubectl describe`.
    Describe(Describe),
    /// `kubectl get --raw`: a path of the server, with its query.
    Raw(String),
    /// `kubectl auth can-i --list`.
    CanIList {
        /// `--no-headers`.
        no_headers: bool,
    },
    /// `kubectl explain`.
    Explain(Explain),
    /// `kubectl api-versions`.
    Versions,
    /// `kubectl top`.
    Top(Top),
    /// `kubectl version`.
    Version {
        /// `-o json|yaml`.
        output: Output,
    },
    /// `kubectl cluster-info`.
    ClusterInfo,
}

/// One thing read from the input, in the order of the input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Item {
    /// An object, out of lists already.
    Object(Manifest),
    /// What could not be read, as kubectl words it; the others go on.
    Error(String),
}

/// An object and where it came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The file, the URL or `STDIN`.
    pub source: String,
    /// True when it was an item of a list: kubectl words some errors differently.
    pub listed: bool,
    /// The object.
    pub object: Value,
}

/// `--dry-run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DryRun {
    /// For real.
    None,
    /// Print what would be sent.
    Client,
    /// Let the server do all but store.
    Server,
}

/// `--validate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Validate {
    /// Unknown and duplicate fields are errors.
    Strict,
    /// They are warnings.
    Warn,
    /// They are dropped.
    Ignore,
}

/// `-o`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// The command's own lines, or the server's table.
    Default,
    /// The table with all columns.
    Wide,
    /// `TYPE/NAME`.
    Name,
    /// JSON, indented by four.
    Json,
    /// YAML with sorted keys.
    Yaml,
    /// A template of kubectl's dialect.
    JsonPath(String),
    /// The same, printed as a JSON list of what it finds.
    JsonPathAsJson(String),
    /// A template of Go's.
    GoTemplate(String),
    /// `HEADER:.path,…`.
    CustomColumns(String),
}

/// `kubectl apply`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apply {
    /// The input, in order.
    pub items: Vec<Item>,
    /// True when `-n` was given: objects that name another namespace are refused.
    pub enforce_namespace: bool,
    /// `--server-side`.
    pub server_side: bool,
    /// `--force-conflicts`.
    pub force_conflicts: bool,
    /// `--force`.
    pub force: bool,
    /// `--field-manager`.
    pub field_manager: String,
    /// `--dry-run`.
    pub dry_run: DryRun,
    /// `--validate`.
    pub validate: Validate,
    /// `-l`, already used on `items`; here for the record of pruning.
    pub selector: Option<String>,
    /// `--prune`.
    pub prune: Option<Prune>,
    /// `-o`.
    pub output: Output,
}

/// `kubectl apply --prune`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prune {
    /// `--prune-allowlist`, as `group/version/kind`; the default list when empty.
    pub kinds: Vec<String>,
    /// `--applyset`: the object that holds the inventory.
    pub set: Option<Named>,
    /// `--cascade` as a propagation policy.
    pub propagation: String,
    /// `--grace-period` (−1: the object's own).
    pub grace_period: i64,
}

/// `kubectl create` and `kubectl replace`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// The objects, in order.
    pub items: Vec<Item>,
    /// `create job --from`: the one item, a Job, takes its content from this cron job.
    pub from: Option<Named>,
    /// True when `-n` was given.
    pub enforce_namespace: bool,
    /// True for `create namespace|secret|configmap …`: errors are worded for those.
    pub generated: bool,
    /// `--save-config`: write the last-applied annotation.
    pub save_config: bool,
    /// `replace --force`: delete first.
    pub force: bool,
    /// `--field-manager`.
    pub field_manager: String,
    /// `--dry-run`.
    pub dry_run: DryRun,
    /// `--validate`.
    pub validate: Validate,
    /// `-o`.
    pub output: Output,
}

/// Which objects a command is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// By type, by name or by file.
    pub what: What,
    /// `-A`.
    pub all_namespaces: bool,
    /// `-l`.
    pub labels: Option<String>,
    /// `--field-selector`.
    pub fields: Option<String>,
    /// True when `-n` was given (for files).
    pub enforce_namespace: bool,
}

/// The objects themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// All of these types, as written: `deploy`, `pods`, `widgets.example.com`, `all`.
    Types(Vec<String>),
    /// These, in order.
    Names(Vec<Named>),
    /// What files describe.
    Files(Vec<Item>),
}

/// `TYPE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The type as written.
    pub resource: String,
    /// The name.
    pub name: String,
}

/// `kubectl get`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Get {
    /// Which objects.
    pub selection: Selection,
    /// True when the arguments name exactly one object: it is printed bare, not in a list.
    pub single: bool,
    /// `-o`.
    pub output: Output,
    /// `--ignore-not-found`.
    pub ignore_not_found: bool,
    /// `--no-headers`.
    pub no_headers: bool,
    /// `--show-labels`.
    pub show_labels: bool,
    /// `-L`.
    pub label_columns: Vec<String>,
    /// `--show-kind`.
    pub show_kind: bool,
    /// `--sort-by`.
    pub sort_by: Option<String>,
    /// `-w`: go on telling what changes.
    pub watch: Watch,
    /// `--output-watch-events`.
    pub watch_events: bool,
    /// `--subresource`; empty for the objects themselves.
    pub subresource: String,
    /// `--show-managed-fields`.
    pub managed_fields: bool,
    /// `--allow-missing-template-keys` (default true).
    pub allow_missing: bool,
}

/// `-w` of `get`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Watch {
    /// Told once.
    No,
    /// Told, and again what changes.
    Yes,
    /// Only what changes.
    Only,
}

/// `kubectl delete`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    /// Which objects.
    pub selection: Selection,
    /// `--all`.
    pub all: bool,
    /// `--ignore-not-found`, or what stands for it.
    pub ignore_not_found: bool,
    /// `--grace-period` (−1: the object's own).
    pub grace_period: i64,
    /// `--force`.
    pub force: bool,
    /// `--cascade` as a propagation policy: `Background`, `Foreground`, `Orphan`.
    pub propagation: String,
    /// `--wait`.
    pub wait: bool,
    /// `--timeout` in milliseconds; 0 takes a week.
    pub timeout_ms: u64,
    /// `--dry-run`.
    pub dry_run: DryRun,
    /// `-o name`.
    pub output: Output,
}

/// `kubectl wait`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Which objects.
    pub selection: Selection,
    /// `--all`.
    pub all: bool,
    /// `--for`, each as written; all must hold.
    pub conditions: Vec<String>,
    /// `--timeout` in milliseconds; 0 looks once, `None` is a week.
    pub timeout_ms: Option<u64>,
    /// `-o`.
    pub output: Output,
}

/// What performing a request tells, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// For standard output, newlines included.
    Stdout(String),
    /// For standard error, newlines included.
    Stderr(String),
    /// For standard output: bytes that are no text, in base64.
    Bytes(String),
    /// An object as it is and as it would be (`kubectl diff`).
    Pair(Pair),
    /// Where connections are to be led (`kubectl port-forward`).
    Ports(Ports),
}

/// An object as it is and as it would be, as texts to be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// A name for a file: `GROUP.VERSION.KIND.NAMESPACE.NAME`.
    pub name: String,
    /// As it is; empty when it is not there.
    pub live: String,
    /// As it would be.
    pub merged: String,
}
