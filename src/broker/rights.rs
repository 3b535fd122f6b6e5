//! With whose rights a task is performed.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::job::Job;
use crate::load::WorkerSpec;
use crate::policy::{Policy, Profile, Who};

/// All that performing a task needs beside the task.
pub struct Desk<'a> {
    /// Whose rights.
    pub rights: Rights<'a>,
    /// How load workers are started.
    pub worker: WorkerSpec,
    platform_failed: AtomicBool,
}

/// Whose rights.
pub enum Rights<'a> {
    /// A job's, as its profile grants them.
    Granted(Box<Granted<'a>>),
    /// The user's own, on a laptop.
    Own(Box<Own>),
}

/// What a job may do.
pub struct Granted<'a> {
    /// The policy: sources, clusters, GitLab.
    pub policy: &'a Policy,
    /// The profile that applies.
    pub profile: &'a Profile,
    /// The job.
    pub job: &'a Job,
    /// GitLab's word on the job.
    pub who: Who,
}

/// What a person on a laptop brings: sources of a policy file of theirs, their own kubeconfig.
#[derive(Default)]
pub struct Own {
    /// The file with their sources and clusters, when there is one.
    pub policy: Option<Policy>,
    /// Their kubeconfig files, in order.
    pub kubeconfigs: Vec<PathBuf>,
}

/// How this program starts itself as a load worker.
pub fn own_worker(user: Option<u32>) -> WorkerSpec {
    // The running program itself, also when its file was replaced meanwhile.
    WorkerSpec { program: "/proc/self/exe".into(), args: vec!["worker".to_owned()], user }
}

impl<'a> Desk<'a> {
    /// A desk with these rights.
    pub fn new(rights: Rights<'a>, worker: WorkerSpec) -> Self {
        Self { rights, worker, platform_failed: AtomicBool::new(false) }
    }

    /// Records that a part of the platform failed: a source, a cluster, GitLab.
    pub fn note_platform_failure(&self) {
        self.platform_failed.store(true, Ordering::Relaxed);
    }

    /// True once a part of the platform failed.
    pub fn has_platform_failed(&self) -> bool {
        self.platform_failed.load(Ordering::Relaxed)
    }

    /// The policy whose sources and clusters are meant.
    pub fn policy(&self) -> Option<&Policy> {
        match &self.rights {
            Rights::Granted(granted) => Some(granted.policy),
            Rights::Own(own) => own.policy.as_ref(),
        }
    }
}
