//! The steps of a journey, one after the other, with the pauses between them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;

use super::User;
use super::knowledge::scope;
use crate::load::pace;
use crate::load::script::{CompiledAction, CompiledStep};
use crate::load::template::Missing;
use crate::load::think::Think;
use crate::load::trace::Traced;
use crate::load::worker::local::Local;

/// When a user stops, also in the middle of its round.
#[derive(Debug, Clone, Copy)]
pub struct Until(pub Instant);

impl Until {
    /// True when the moment has come.
    pub fn is_over(self, now: Instant) -> bool {
        now >= self.0
    }

    /// The earlier of the end and a moment.
    pub fn or(self, moment: Instant) -> Instant {
        moment.min(self.0)
    }
}

impl User {
    /// Does steps; one that has to be left out is followed by the next.
    pub async fn steps(
        &mut self,
        local: &Local,
        steps: &[CompiledStep],
        think: Think,
        until: Until,
    ) {
        for step in steps {
            for _ in 0..step.repeat {
                if until.is_over(self.now) {
                    return;
                }
                if !self.meets(local, step.while_.as_ref()) {
                    break;
                }
                // A step that was left out still takes its time.
                drop(self.step(local, step, until).await);
                self.think(local, step.think.unwrap_or(think), until).await;
            }
        }
    }

    async fn step(
        &mut self,
        local: &Local,
        step: &CompiledStep,
        until: Until,
    ) -> Result<(), Missing> {
        if !self.meets(local, step.when.as_ref()) {
            return Ok(());
        }
        let done = self.act(local, step, until).await;
        if let Err(missing) = &done {
            local.recorder.borrow_mut().skipped();
            if let Some(trace) = &local.trace {
                trace.borrow_mut().push(Traced::LeftOut(missing.to_string()));
            }
        }
        done
    }

    async fn act(
        &mut self,
        local: &Local,
        step: &CompiledStep,
        until: Until,
    ) -> Result<(), Missing> {
        for (slot, tree) in &step.set {
            let Some(journey) = local.crew.script.journeys.get(self.journey) else { break };
            let scope = scope(local, journey, &self.variables, self.number);
            let value = tree.value(scope, &mut self.rng);
            if let Some(variable) = self.variables.get_mut(*slot) {
                *variable = value.as_ref().ok().cloned().map(Arc::new);
            }
            value?;
        }
        match &step.action {
            CompiledAction::Request(request) => {
                self.n_requests += 1;
                self.request(local, request).await
            }
            CompiledAction::Call(call) => {
                self.n_requests += 1;
                Box::pin(self.call(local, call)).await
            }
            CompiledAction::Group(steps) => Box::pin(self.group(local, steps, until)).await,
            CompiledAction::Choice(steps) => {
                let sum = steps.last().map_or(1, |(sum, _)| *sum).max(1);
                let drawn = self.rng.random_range(0..sum);
                let Some((_, step)) = steps.iter().find(|(sum, _)| drawn < *sum) else {
                    return Ok(());
                };
                Box::pin(self.group(local, std::slice::from_ref(step), until)).await
            }
        }
    }

    /// Does the steps of a group; the first one that has to be left out ends it.
    async fn group(
        &mut self,
        local: &Local,
        steps: &[CompiledStep],
        until: Until,
    ) -> Result<(), Missing> {
        for step in steps {
            for _ in 0..step.repeat {
                if until.is_over(self.now) {
                    return Ok(());
                }
                if !self.meets(local, step.while_.as_ref()) {
                    break;
                }
                if !self.meets(local, step.when.as_ref()) {
                    continue;
                }
                self.act(local, step, until).await?;
                if let Some(think) = step.think {
                    self.think(local, think, until).await;
                }
            }
        }
        Ok(())
    }

    async fn think(&mut self, local: &Local, think: Think, until: Until) {
        if think.is_none() || local.trace.is_some() {
            self.back_off(until).await;
            return;
        }
        let pause = think.at(self.rng.random());
        let wake = until.or(local.shared(Instant::now() + pause, think));
        match &mut self.socket {
            None => tokio::time::sleep_until(wake.into()).await,
            // A server that asks whether it is still there gets its answer.
            Some(socket) => {
                drop(tokio::time::timeout_at(wake.into(), Box::pin(socket.idle())).await);
            }
        }
        self.now = Instant::now();
        let start = pace::after_think(self.now.saturating_duration_since(wake), pause);
        if start.is_late && !until.is_over(self.now) {
            local.recorder.borrow_mut().late();
        }
        self.meant = self.now.checked_sub(start.owed);
    }

    /// A user that cannot connect does not hammer: ten times a second at first, then once.
    async fn back_off(&mut self, until: Until) {
        if self.n_unconnected > 0 {
            let pause = Duration::from_millis(100) * self.n_unconnected.min(10);
            let wake = Instant::now() + pause;
            tokio::time::sleep_until(until.or(wake).into()).await;
            self.now = Instant::now();
        }
    }
}
