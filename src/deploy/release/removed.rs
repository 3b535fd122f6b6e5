//! API versions that Kubernetes no longer serves, and what stands in their place.

/// A kind's version that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// In which version of Kubernetes.
    pub since: &'static str,
    /// What to write instead; empty where nothing takes its place.
    pub instead: &'static str,
    /// What else is to be changed.
    pub note: &'static str,
}

/// `apiVersion`, kind, removed in, replacement, what else changes.
#[rustfmt::skip]
const REMOVED: &[(&str, &str, &str, &str, &str)] = &[
    ("extensions/v1beta1", "Deployment", "1.16", "apps/v1", "`spec.selector` is required"),
    ("extensions/v1beta1", "DaemonSet", "1.16", "apps/v1", "`spec.selector` is required"),
    ("extensions/v1beta1", "ReplicaSet", "1.16", "apps/v1", "`spec.selector` is required"),
    ("extensions/v1beta1", "NetworkPolicy", "1.16", "networking.k8s.io/v1", ""),
    ("extensions/v1beta1", "PodSecurityPolicy", "1.16", "", "use Pod Security Admission"),
    ("extensions/v1beta1", "Ingress", "1.22", "networking.k8s.io/v1", "`pathType` is required, and a backend is `service: {name, port: {number}}`"),
    ("apps/v1beta1", "Deployment", "1.16", "apps/v1", "`spec.selector` is required"),
    ("apps/v1beta1", "StatefulSet", "1.16", "apps/v1", "`spec.selector` is required"),
    ("apps/v1beta2", "Deployment", "1.16", "apps/v1", ""),
    ("apps/v1beta2", "StatefulSet", "1.16", "apps/v1", ""),
    ("apps/v1beta2", "DaemonSet", "1.16", "apps/v1", ""),
    ("apps/v1beta2", "ReplicaSet", "1.16", "apps/v1", ""),
    ("networking.k8s.io/v1beta1", "Ingress", "1.22", "networking.k8s.io/v1", "`pathType` is required, and a backend is `service: {name, port: {number}}`"),
    ("networking.k8s.io/v1beta1", "IngressClass", "1.22", "networking.k8s.io/v1", ""),
    ("rbac.authorization.k8s.io/v1beta1", "Role", "1.22", "rbac.authorization.k8s.io/v1", ""),
    ("rbac.authorization.k8s.io/v1beta1", "RoleBinding", "1.22", "rbac.authorization.k8s.io/v1", ""),
    ("rbac.authorization.k8s.io/v1beta1", "ClusterRole", "1.22", "rbac.authorization.k8s.io/v1", ""),
    ("rbac.authorization.k8s.io/v1beta1", "ClusterRoleBinding", "1.22", "rbac.authorization.k8s.io/v1", ""),
    ("admissionregistration.k8s.io/v1beta1", "ValidatingWebhookConfiguration", "1.22", "admissionregistration.k8s.io/v1", "`sideEffects` and `admissionReviewVersions` are required"),
    ("admissionregistration.k8s.io/v1beta1", "MutatingWebhookConfiguration", "1.22", "admissionregistration.k8s.io/v1", "`sideEffects` and `admissionReviewVersions` are required"),
    ("apiextensions.k8s.io/v1beta1", "CustomResourceDefinition", "1.22", "apiextensions.k8s.io/v1", "each version needs its own `schema`"),
    ("apiregistration.k8s.io/v1beta1", "APIService", "1.22", "apiregistration.k8s.io/v1", ""),
    ("certificates.k8s.io/v1beta1", "CertificateSigningRequest", "1.22", "certificates.k8s.io/v1", "`signerName` and `usages` are required"),
    ("coordination.k8s.io/v1beta1", "Lease", "1.22", "coordination.k8s.io/v1", ""),
    ("scheduling.k8s.io/v1beta1", "PriorityClass", "1.22", "scheduling.k8s.io/v1", ""),
    ("storage.k8s.io/v1beta1", "StorageClass", "1.22", "storage.k8s.io/v1", ""),
    ("storage.k8s.io/v1beta1", "CSIDriver", "1.22", "storage.k8s.io/v1", ""),
    ("storage.k8s.io/v1beta1", "CSINode", "1.22", "storage.k8s.io/v1", ""),
    ("storage.k8s.io/v1beta1", "VolumeAttachment", "1.22", "storage.k8s.io/v1", ""),
    ("storage.k8s.io/v1beta1", "CSIStorageCapacity", "1.27", "storage.k8s.io/v1", ""),
    ("batch/v1beta1", "CronJob", "1.25", "batch/v1", ""),
    ("batch/v2alpha1", "CronJob", "1.21", "batch/v1", ""),
    ("discovery.k8s.io/v1beta1", "EndpointSlice", "1.25", "discovery.k8s.io/v1", "`topology` is `deprecatedTopology`, use `nodeName` and `zone`"),
    ("events.k8s.io/v1beta1", "Event", "1.25", "events.k8s.io/v1", ""),
    ("autoscaling/v2beta1", "HorizontalPodAutoscaler", "1.25", "autoscaling/v2", "a metric's target is `target: {type, averageUtilization}`"),
    ("autoscaling/v2beta2", "HorizontalPodAutoscaler", "1.26", "autoscaling/v2", ""),
    ("policy/v1beta1", "PodDisruptionBudget", "1.25", "policy/v1", "an empty selector now selects every pod"),
    ("policy/v1beta1", "PodSecurityPolicy", "1.25", "", "use Pod Security Admission"),
    ("node.k8s.io/v1beta1", "RuntimeClass", "1.25", "node.k8s.io/v1", ""),
    ("flowcontrol.apiserver.k8s.io/v1beta1", "FlowSchema", "1.26", "flowcontrol.apiserver.k8s.io/v1", ""),
    ("flowcontrol.apiserver.k8s.io/v1beta1", "PriorityLevelConfiguration", "1.26", "flowcontrol.apiserver.k8s.io/v1", ""),
    ("flowcontrol.apiserver.k8s.io/v1beta2", "FlowSchema", "1.29", "flowcontrol.apiserver.k8s.io/v1", ""),
    ("flowcontrol.apiserver.k8s.io/v1beta2", "PriorityLevelConfiguration", "1.29", "flowcontrol.apiserver.k8s.io/v1", ""),
    ("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema", "1.32", "flowcontrol.apiserver.k8s.io/v1", ""),
    ("flowcontrol.apiserver.k8s.io/v1beta3", "PriorityLevelConfiguration", "1.32", "flowcontrol.apiserver.k8s.io/v1", ""),
];

/// Finds what became of a kind's version; `None` when it is not known to be gone.
pub fn removed(api_version: &str, kind: &str) -> Option<Removed> {
    let found = REMOVED.iter().find(|(version, of, ..)| *version == api_version && *of == kind)?;
    let &(_, _, since, instead, note) = found;
    Some(Removed { since, instead, note })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_has_its_replacement() {
        let found = removed("extensions/v1beta1", "Ingress").unwrap();
        assert_eq!((found.since, found.instead), ("1.22", "networking.k8s.io/v1"));
        assert!(removed("apps/v1", "Deployment").is_none());
        for (version, _, since, instead, note) in REMOVED {
            assert!(version.contains('/') && since.starts_with("1."), "{version}");
            assert!(!instead.is_empty() || !note.is_empty(), "{version}");
        }
    }
}
