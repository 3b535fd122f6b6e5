//! What a user knows, and what is rendered and decided with it.

use std::sync::Arc;

use rand::rngs::SmallRng;
use serde_json::Value;

use super::User;
use crate::load::check::{CompiledCheck, Seen};
use crate::load::script::{CompiledJourney, CompiledRequest};
use crate::load::template::{Condition, Missing, Scope};
use crate::load::worker::local::Local;
use crate::load::worker::message::{Message, Unrendered};

impl User {
    /// Returns the name of a variable and its value.
    pub fn named(&self, local: &Local, slot: usize) -> Option<(String, String)> {
        let journey = local.crew.script.journeys.get(self.journey)?;
        let value = self.variables.get(slot)?.as_ref()?;
        Some((journey.names.get(slot)?.clone(), value.to_string()))
    }

    /// Renders a request with what the user knows.
    pub fn render<'a>(
        &mut self,
        local: &'a Local,
        request: &CompiledRequest,
    ) -> Result<Message<'a>, Unrendered> {
        if let Some(Some(message)) = local.crew.prepared.get(request.number) {
            return Ok(message.borrowed());
        }
        let Some(journey) = local.crew.script.journeys.get(self.journey) else {
            return Err(Missing::Nothing("journey".to_owned()).into());
        };
        let scope = scope(local, journey, &self.variables, self.number);
        Message::render(&local.crew, &local.pool, request, scope, &mut self.rng)
    }

    /// Renders the texts of something with what the user knows.
    pub fn with_scope<T>(
        &mut self,
        local: &Local,
        render: impl FnOnce(Scope<'_>, &mut SmallRng) -> Result<T, Missing>,
    ) -> Result<T, Missing> {
        let Some(journey) = local.crew.script.journeys.get(self.journey) else {
            return Err(Missing::Nothing("journey".to_owned()));
        };
        render(scope(local, journey, &self.variables, self.number), &mut self.rng)
    }

    /// Makes a check with what the user knows.
    pub fn holds(&mut self, local: &Local, check: &CompiledCheck, seen: &Seen<'_>) -> bool {
        let Some(journey) = local.crew.script.journeys.get(self.journey) else { return false };
        let scope = scope(local, journey, &self.variables, self.number);
        check.holds(seen, scope, &mut self.rng)
    }

    /// True when a condition holds, or there is none.
    pub fn meets(&mut self, local: &Local, condition: Option<&Condition>) -> bool {
        let Some(condition) = condition else { return true };
        let Some(journey) = local.crew.script.journeys.get(self.journey) else { return false };
        let scope = scope(local, journey, &self.variables, self.number);
        condition.holds(scope, &mut self.rng)
    }
}

/// What templates may look at.
pub fn scope<'a>(
    local: &'a Local,
    journey: &'a CompiledJourney,
    variables: &'a [Option<Arc<Value>>],
    number: u64,
) -> Scope<'a> {
    let user = u32::try_from(number + 1).unwrap_or(u32::MAX);
    Scope {
        data: &journey.data,
        variables,
        user,
        env: &local.crew.script.env,
        counter: Some(&local.counter),
    }
}
