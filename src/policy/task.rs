//! What a job may ask for: plain data made of the tools' plans, which policy decides on.

use serde::{Deserialize, Serialize};

use crate::deploy::{kubectl, release};
use crate::secret::Secret;
use crate::{gate, load};

/// A task, as the guest builds it and the broker performs it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Task {
    /// Drive load at a target.
    Load(Box<load::Plan>),
    /// Judge what the infrastructure did.
    Gate(Box<gate::Plan>),
    /// Sample what has no history, until cancelled: a load runs beside it.
    Watch(Vec<gate::Watch>),
    /// Do what kubectl would do.
    Kubectl(Box<kubectl::Request>),
    /// Bring manifests to a cluster and see them ready.
    Deploy(Box<Deploy>),
    /// Look at the runs that later ones are compared with, or change what is thought of them.
    Baseline(BaselineTask),
    /// Write a verdict into a variable of the job's own project.
    Variable(VariableWrite),
}

/// A deploy, and what it is held to once it is ready.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Deploy {
    /// The deploy.
    pub plan: release::Plan,
    /// Load to drive at what was deployed.
    pub load: Option<load::Plan>,
    /// Checks to judge the infrastructure by meanwhile.
    pub gate: Option<gate::Plan>,
}

/// A look at kept runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaselineTask {
    /// The plan whose runs are meant.
    pub plan: String,
    /// What is to be done.
    pub verb: BaselineVerb,
}

/// What is to be done with kept runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaselineVerb {
    /// Show them.
    List,
    /// Compare later runs with that of this job.
    Accept(u64),
    /// Do not.
    Reject(u64),
    /// Forget all of them.
    Reset,
}

/// A verdict on its way into a project variable.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VariableWrite {
    /// The variable's name.
    pub key: String,
    /// The only two values there are: whatever a job asks for, nothing else is ever written.
    pub value: VariableValue,
    /// Its environment scope; `None`: the only one there is, or `*`.
    pub scope: Option<String>,
    /// The job's own GitLab token; a token in the policy wins over it.
    pub token: Option<Secret>,
}

/// What the variable says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VariableValue {
    /// The gate passed.
    Passed,
    /// It did not.
    Failed,
}

impl VariableValue {
    /// The text that scripts test for.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
        }
    }
}
