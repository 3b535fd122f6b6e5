//! Whether a job may have its gate's sources asked.

use super::Denied;
use crate::gate::{Plan, SourceChoice, source};
use crate::policy::{Policy, Profile, SourceEntry};

impl Profile {
    /// The sources that the profile grants, in its order.
    pub fn granted_sources<'a>(
        &'a self,
        policy: &'a Policy,
    ) -> impl Iterator<Item = (&'a str, &'a SourceEntry)> {
        self.sources.iter().filter_map(|name| Some((name.as_str(), policy.sources.get(name)?)))
    }

    /// Allows a gate whose every check is answered by a granted source.
    ///
    /// # Errors
    /// With the first check whose source is not granted.
    pub fn allow_gate(&self, policy: &Policy, plan: &Plan) -> Result<(), Denied> {
        let granted: Vec<(&str, source::Kind)> =
            self.granted_sources(policy).map(|(name, entry)| (name, entry.kind())).collect();
        // What the load itself measured is the job's own.
        let refused = |choice: &SourceChoice| {
            !choice.is_load() && choice.resolve(granted.iter().copied()).is_none()
        };
        let mut asked =
            plan.checks.iter().flat_map(|check| check.sources().map(move |source| (check, source)));
        let Some((check, source)) = asked.find(|(_, source)| refused(source)) else {
            return Ok(());
        };
        let names: Vec<&str> = granted.iter().map(|(name, _)| *name).collect();
        let allowed =
            if names.is_empty() { "it grants no source".to_owned() } else { names.join(", ") };
        let asked = format!("check `{}` to ask source `{source}`", check.name);
        Err(Denied::new(self, "sources", asked, allowed))
    }
}
