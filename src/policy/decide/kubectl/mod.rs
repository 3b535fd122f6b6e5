//! What a kubectl request may touch, object by object.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::Value;

use crate::deploy::kubectl::{
    ALL_NAMESPACES, ClusterChoice, INTO_PODS, Request, TO_PORTS, TOKENS, Touch,
};
use crate::deploy::security;
use crate::job::Job;
use crate::policy::decide::namespaces::{Granted, is_system};
use crate::policy::decide::{Denied, Who, list};
use crate::policy::template::Values;
use crate::policy::{Access, ClusterRule, PodSecurity, Policy, Profile, Template};

/// What a request gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubectlGrant {
    /// The policy's cluster; `None` for the job's own.
    pub cluster: Option<String>,
    /// The namespace of what names none.
    pub namespace: Option<String>,
    /// The user that every request acts as.
    pub impersonate: Option<String>,
    /// The groups that go with it.
    pub impersonate_groups: Vec<String>,
    /// True when what a patch makes of an object is held to the baseline pod security.
    pub guarded: bool,
}

/// A request, as far as a policy decides on it.
pub(in crate::policy::decide) struct Asked<'a> {
    pub(in crate::policy::decide) cluster: &'a ClusterChoice,
    pub(in crate::policy::decide) namespace: Option<String>,
    pub(in crate::policy::decide) touches: Vec<Touch>,
    pub(in crate::policy::decide) objects: Vec<Cow<'a, Value>>,
}

impl<'a> From<&'a Request> for Asked<'a> {
    fn from(request: &'a Request) -> Self {
        Self {
            cluster: &request.cluster,
            namespace: request.namespace.clone(),
            touches: request.touches(),
            objects: request.objects(),
        }
    }
}

/// Kinds that decide what others may do: refused unless the rule names them.
const GUARDED: [&str; 7] =
    ["Role", "RoleBinding", "ResourceQuota", "LimitRange", INTO_PODS, TO_PORTS, TOKENS];

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

impl Profile {
    /// Decides on a request: which cluster, as whom, and whether all that it touches is granted.
    pub fn allow_kubectl(
        &self,
        policy: &Policy,
        job: &Job,
        who: &Who,
        request: &Request,
    ) -> Result<KubectlGrant, Denied> {
        let values = Values {
            login: who.login.as_deref(),
            project_id: job.project_id,
            project_path: &job.project_path,
            environment_slug: who.environment_slug.as_deref(),
            environment_tier: who.environment_tier.as_deref(),
        };
        self.decide(policy, &values, &request.into())
    }

    pub(in crate::policy::decide) fn decide(
        &self,
        policy: &Policy,
        values: &Values<'_>,
        asked: &Asked<'_>,
    ) -> Result<KubectlGrant, Denied> {
        let name = match asked.cluster {
            ClusterChoice::Own(own) => return self.allow_own(own, asked),
            ClusterChoice::Named(name) => self.named_cluster(name)?,
            ClusterChoice::Default => self.default_cluster()?,
        };
        let Some(rule) = self.clusters.get(name) else { return Err(self.no_cluster(name)) };
        let desk = Desk { profile: self, name, rule, granted: Granted::of(rule, values) };
        let namespace = asked.namespace.clone().or_else(|| desk.granted.first());
        for touch in &asked.touches {
            desk.allow(touch, namespace.as_deref())?;
        }
        for object in &asked.objects {
            desk.allow_object(object)?;
        }
        let entry = policy.clusters.get(name);
        let fill = |template: &Template| {
            template.fill(values).map_err(|unfilled| {
                let asked = format!("cluster `{name}` to this job");
                Denied {
                    rule: format!("clusters.{name}.impersonate"),
                    ..Denied::new(self, "", asked, unfilled.to_string())
                }
            })
        };
        let impersonate = entry.and_then(|entry| entry.impersonate.as_ref());
        let guarded = rule.pod_security == PodSecurity::Baseline;
        let groups = entry.map(|entry| entry.impersonate_groups.as_slice()).unwrap_or_default();
        Ok(KubectlGrant {
            cluster: Some(name.to_owned()),
            namespace,
            impersonate: impersonate.map(fill).transpose()?,
            impersonate_groups: groups.iter().map(fill).collect::<Result<_, _>>()?,
            guarded,
        })
    }

    fn no_cluster(&self, name: &str) -> Denied {
        let names: Vec<&String> = self.clusters.keys().collect();
        let asked = format!("cluster `{name}`");
        Denied::new(self, "clusters", asked, format!("allowed: {}", list(&names)))
    }

    fn named_cluster<'a>(&'a self, name: &str) -> Result<&'a str, Denied> {
        let found = self.clusters.keys().find(|known| *known == name);
        found.map(String::as_str).ok_or_else(|| self.no_cluster(name))
    }

    fn default_cluster(&self) -> Result<&str, Denied> {
        let mut names = self.clusters.keys();
        match (names.next(), names.next()) {
            (Some(name), None) => Ok(name),
            (None, _) => {
                let asked = "any cluster".to_owned();
                Err(Denied::new(self, "clusters", asked, "no cluster at all".to_owned()))
            }
            (Some(_), Some(_)) => {
                let names: Vec<&String> = self.clusters.keys().collect();
                let asked = "kubectl without `--context`".to_owned();
                let allowed = format!("it has several clusters: {}", list(&names));
                Err(Denied::new(self, "clusters", asked, allowed))
            }
        }
    }
}

struct Desk<'a> {
    profile: &'a Profile,
    name: &'a str,
    rule: &'a ClusterRule,
    granted: Granted,
}

impl Desk<'_> {
    fn denied(&self, key: &str, asked: &str, allowed: impl Into<String>) -> Denied {
        let rule = format!("clusters.{}.{key}", self.name);
        let asked = format!("{asked} on cluster `{}`", self.name);
        Denied::new(self.profile, &rule, asked, allowed.into())
    }

    fn allow(&self, touch: &Touch, default: Option<&str>) -> Result<(), Denied> {
        self.allow_verb(touch)?;
        let Some(namespace) = touch.namespace.as_deref() else {
            return self.allow_cluster_scoped(touch);
        };
        if namespace == ALL_NAMESPACES {
            let asked = format!("{} in all namespaces", act(touch));
            return Err(self.denied("namespaces", &asked, self.granted.told()));
        }
        let namespace = if namespace.is_empty() { default } else { Some(namespace) };
        let Some(namespace) = namespace else {
            let asked = format!("{} without a namespace (`-n`)", act(touch));
            return Err(self.denied("namespaces", &asked, self.granted.told()));
        };
        self.allow_namespace(touch, namespace)?;
        let is_write = WRITE.contains(&touch.verb);
        if self.is_guarded(&touch.kind) && is_write {
            let asked = format!("{} in namespace `{namespace}`", act(touch));
            let what = match touch.kind.as_str() {
                INTO_PODS => "runs commands in pods that others made",
                TO_PORTS => "connects to pods that others made",
                TOKENS => "gives a credential of the cluster to the job",
                _ => "decides what others may do",
            };
            let allowed = format!("`{}` {what}, and is not named here", touch.kind);
            return Err(self.denied("kinds", &asked, allowed));
        }
        if is_kind(&touch.kind, "Secret") && self.rule.access == Access::Read {
            let asked = format!("{} in namespace `{namespace}`", act(touch));
            return Err(self.denied("access", &asked, "`read` leaves Secrets out"));
        }
        Ok(())
    }

    fn allow_verb(&self, touch: &Touch) -> Result<(), Denied> {
        if READ.contains(&touch.verb) {
            return Ok(());
        }
        if !WRITE.contains(&touch.verb) {
            return Err(self.denied("access", &act(touch), "not a verb that dyno knows"));
        }
        match self.rule.access {
            Access::Deploy => Ok(()),
            Access::Read => {
                let allowed = "`read` allows get, list and watch";
                Err(self.denied("access", &act(touch), allowed))
            }
        }
    }

    fn allow_namespace(&self, touch: &Touch, namespace: &str) -> Result<(), Denied> {
        if self.granted.holds(namespace) {
            return Ok(());
        }
        let asked = format!("{} in namespace `{namespace}`", act(touch));
        if is_system(namespace) {
            let allowed = "system namespaces are always refused";
            return Err(self.denied("namespaces", &asked, allowed).always());
        }
        let allowed = if namespace == "default" {
            format!("`default` must be named in full; {}", self.granted.told())
        } else {
            self.granted.told()
        };
        Err(self.denied("namespaces", &asked, allowed))
    }

    fn allow_cluster_scoped(&self, touch: &Touch) -> Result<(), Denied> {
        let is_namespace = touch.kind == "Namespace" && touch.group.is_empty();
        match touch.name.as_deref() {
            Some(name) if is_namespace => {
                self.allow_namespace(touch, name)?;
                let is_delete = matches!(touch.verb, "delete" | "deletecollection");
                if is_delete && !self.is_named("Namespace") {
                    let allowed = "a Namespace may be deleted where `Namespace` is named here";
                    return Err(self.denied("kinds", &act(touch), allowed));
                }
                Ok(())
            }
            _ => Err(self.denied(
                "namespaces",
                &act(touch),
                "kinds outside of namespaces are refused, except a Namespace that is granted",
            )),
        }
    }

    fn is_named(&self, kind: &str) -> bool {
        self.rule.kinds.iter().any(|named| named.eq_ignore_ascii_case(kind))
    }

    fn is_guarded(&self, kind: &str) -> bool {
        GUARDED.iter().any(|guarded| is_kind(kind, guarded) && !self.is_named(guarded))
    }

    fn allow_object(&self, object: &Value) -> Result<(), Denied> {
        if self.rule.pod_security == PodSecurity::Privileged {
            return Ok(());
        }
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let kind = text("/kind").unwrap_or("object");
        let name = text("/metadata/name").unwrap_or_default();
        let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
        let mut labels = labels.into_iter().flatten().map(|(label, _)| label);
        let label = labels.find(|label| label.starts_with(security::LEVEL));
        if let Some(label) = label.filter(|_| kind == "Namespace") {
            let asked = format!("label `{label}` of Namespace `{name}`");
            let allowed = "`baseline` leaves pod security to the cluster";
            return Err(self.denied("pod-security", &asked, allowed));
        }
        let broken = security::baseline(object);
        if broken.is_empty() {
            return Ok(());
        }
        let allowed = format!("`baseline` is broken by: {}", broken.join("; "));
        Err(self.denied("pod-security", &format!("{kind} `{name}`"), allowed))
    }
}

/// What a touch does, in words.
pub(in crate::policy::decide) fn act(touch: &Touch) -> String {
    match &touch.name {
        Some(name) => format!("`{}` of {} `{name}`", touch.verb, touch.kind),
        None => format!("`{}` of {}", touch.verb, touch.kind),
    }
}

/// Kinds that discovery would have to tell come as written: `roles`, `rolebinding.v1`.
fn is_kind(kind: &str, wanted: &str) -> bool {
    let kind = kind.split('.').next().unwrap_or(kind).to_lowercase();
    let one = wanted.to_lowercase();
    kind == one || kind.strip_suffix('s') == Some(&one)
}
