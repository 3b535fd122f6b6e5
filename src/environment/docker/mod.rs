//! Docker on this host: the job's image for its own scripts, a helper of dyno's own for git, cache
//! and artifacts, and the services.
//!
//! In both containers the first process is `dyno hold`. The driver hands it each script over a
//! socket, with the script's own input and output: no byte of a job's log passes through the
//! Docker daemon, and no container is started for a stage.

mod spec;
mod reference;
mod auth;
mod engine;
mod image;
mod helper;
mod container;
mod service;
mod order;
mod hold;
mod posix;
mod stage;
mod disk;
mod caches;
mod leftovers;
mod check;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::environment::{Environment, Error, Script, ScriptEnd};

pub use auth::{Auths, Whose};
pub use caches::remove_old as remove_old_caches;
pub use check::check;
pub use hold::hold;
pub use leftovers::{leftovers, of, reap, remove};
pub use spec::{Image, Limits, Network, Pull, Service, Spec};

/// A job's containers, live.
#[derive(Debug)]
pub struct Docker {
    spec: Spec,
}

impl Docker {
    /// The containers that `spec` means; touches nothing yet.
    pub fn new(spec: Spec) -> Self {
        Self { spec }
    }
}

#[async_trait]
impl Environment for Docker {
    async fn prepare(&mut self, cancel: &CancellationToken) -> Result<(), Error> {
        let engine = engine::connect(&self.spec.socket).await?;
        leftovers::clear(&engine, &self.spec).await?;
        let made = tokio::select! {
            made = container::make(&engine, &self.spec) => made,
            () = cancel.cancelled() => Err(Error::Cancelled),
        };
        if made.is_err() {
            // The runner calls cleanup, too; but what failed half-way should not wait for it.
            leftovers::clear(&engine, &self.spec).await?;
        }
        made
    }

    async fn run(
        &mut self,
        script: &Script<'_>,
        cancel: &CancellationToken,
    ) -> Result<ScriptEnd, Error> {
        stage::run(&self.spec, script, cancel).await
    }

    async fn destroy(&mut self) -> Result<(), Error> {
        let engine = engine::connect(&self.spec.socket).await?;
        leftovers::clear(&engine, &self.spec).await
    }
}
