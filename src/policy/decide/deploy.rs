//! What a deploy may touch: every object of it, all refusals at once.

use std::borrow::Cow;

use super::kubectl::{Asked, KubectlGrant};
use super::{Denied, Who};
use crate::deploy::kubectl::{ClusterChoice, Touch};
use crate::deploy::release::Plan;
use crate::job::Job;
use crate::policy::template::Values;
use crate::policy::{Policy, Profile};

/// A refusal, and the number of the object that it is about.
pub type DeniedObject = (Option<usize>, Denied);

impl Profile {
    /// Decides on a deploy: which cluster, as whom, and whether all that it touches is granted.
    pub fn allow_deploy(
        &self,
        policy: &Policy,
        job: &Job,
        who: &Who,
        plan: &Plan,
    ) -> Result<KubectlGrant, Vec<DeniedObject>> {
        let values = values(job, who);
        let ask = |touches: Vec<Touch>, objects| {
            let namespace = plan.namespace.clone();
            self.decide(
                policy,
                &values,
                &Asked { cluster: &plan.cluster, namespace, touches, objects },
            )
        };
        // Which cluster and as whom is no object's matter.
        let grant = ask(Vec::new(), Vec::new()).map_err(|denied| vec![(None, denied)])?;
        let mut refusals: Vec<DeniedObject> = Vec::new();
        for (index, object) in plan.objects.iter().enumerate() {
            if let Err(denied) = ask(plan.touches_of(object), vec![Cow::Borrowed(object)]) {
                refusals.push((Some(index), denied));
            }
        }
        if refusals.is_empty()
            && let Err(denied) = ask(plan.touches_beside(), Vec::new())
        {
            refusals.push((None, denied));
        }
        if refusals.is_empty() { Ok(grant) } else { Err(refusals) }
    }

    /// Decides on a touch that a deploy's plan does not show: what an inventory says is left over.
    pub fn allow_touch(
        &self,
        policy: &Policy,
        (job, who): (&Job, &Who),
        cluster: &ClusterChoice,
        touch: &Touch,
    ) -> Result<(), Denied> {
        let asked =
            Asked { cluster, namespace: None, touches: vec![touch.clone()], objects: Vec::new() };
        self.decide(policy, &values(job, who), &asked).map(drop)
    }
}

fn values<'a>(job: &'a Job, who: &'a Who) -> Values<'a> {
    Values {
        login: who.login.as_deref(),
        project_id: job.project_id,
        project_path: &job.project_path,
        environment_slug: who.environment_slug.as_deref(),
        environment_tier: who.environment_tier.as_deref(),
    }
}
