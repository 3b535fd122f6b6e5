//! bubblewrap on this host: namespaces of its own, limits, and a user that owns nothing else.
//!
//! `driver → dyno enter ⇒ bwrap (outside) → bwrap (first inside) → [dyno inside →] shell`, where `⇒`
//! is an exec. With the driver's death the outer bwrap dies, with it the inner one, with it all others.

mod spec;
mod folder;
mod etc;
mod argv;
mod seccomp;
mod run;
mod enter;
mod inside;
mod process;
mod cgroup;
mod tree;
mod leftovers;
mod lost;
mod stage;
mod caches;
mod programs;
mod check;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::environment::{Environment, Error, Script, ScriptEnd};
pub use caches::remove_old as remove_old_caches;
pub use check::check;
pub use enter::enter;
pub use inside::inside;
pub use leftovers::{leftovers, reap, remove};
pub use lost::remove_groups as remove_lost_groups;
pub use spec::{File, Limits, Network, Spec};
pub use stage::end_orphans;

/// A sandbox, live.
#[derive(Debug)]
pub struct Sandbox {
    spec: Spec,
}

impl Sandbox {
    /// A sandbox that `spec` means; touches nothing yet.
    pub fn new(spec: Spec) -> Self {
        Self { spec }
    }
}

#[async_trait]
impl Environment for Sandbox {
    async fn prepare(&mut self, cancel: &CancellationToken) -> Result<(), Error> {
        check::bubblewrap()?;
        self.destroy().await?;
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        folder::make(&self.spec)
    }

    async fn run(
        &mut self,
        script: &Script<'_>,
        cancel: &CancellationToken,
    ) -> Result<ScriptEnd, Error> {
        run::run(&self.spec, script, cancel).await
    }

    async fn destroy(&mut self) -> Result<(), Error> {
        leftovers::remove_folder(&self.spec.folder).await
    }
}
