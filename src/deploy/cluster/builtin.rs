//! The kinds that every cluster has: known without asking, for decisions before a request and for
//! the choice between strategic and plain merge.

/// A built-in kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Builtin {
    /// `deployments`.
    pub plural: &'static str,
    /// `deploy`; several with commas between.
    pub short: &'static str,
    /// `apps`; empty for the core group.
    pub group: &'static str,
    /// `Deployment`.
    pub kind: &'static str,
    /// True when its objects lie in namespaces.
    pub namespaced: bool,
}

/// Finds a kind by group and kind; `deployment` is as good as `Deployment`.
pub fn builtin_by_kind(group: &str, kind: &str) -> Option<Builtin> {
    all().find(|builtin| builtin.group == group && builtin.kind.eq_ignore_ascii_case(kind))
}

/// Finds a kind by what a person writes: `deploy`, `Deployment`, `deployments.apps`,
/// `deployments.v1.apps`.
pub fn builtin_by_word(word: &str) -> Option<Builtin> {
    let word = word.to_lowercase();
    let (name, group) = word.split_once('.').map_or((word.as_str(), None), |(name, rest)| {
        let version = rest.split('.').next().unwrap_or_default();
        let is_version =
            version.strip_prefix('v').is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()));
        let group =
            if is_version { rest.split_once('.').map_or("", |(_, group)| group) } else { rest };
        (name, Some(group))
    });
    let named = |builtin: &Builtin| {
        builtin.plural == name
            || builtin.kind.to_lowercase() == name
            || builtin.short.split(',').any(|short| !short.is_empty() && short == name)
    };
    let in_group = |builtin: &Builtin| group.is_none_or(|group| builtin.group.starts_with(group));
    all().find(|builtin| named(builtin) && in_group(builtin))
}

/// True for the groups that the API server itself serves: its kinds merge strategically.
pub fn is_builtin_group(group: &str) -> bool {
    all().any(|builtin| builtin.group == group)
}

fn all() -> impl Iterator<Item = Builtin> {
    KINDS.iter().map(|&(plural, short, group, kind, namespaced)| Builtin {
        plural,
        short,
        group,
        kind,
        namespaced,
    })
}

#[rustfmt::skip]
const KINDS: &[(&str, &str, &str, &str, bool)] = &[
    ("bindings", "", "", "Binding", true),
    ("componentstatuses", "cs", "", "ComponentStatus", false),
    ("configmaps", "cm", "", "ConfigMap", true),
    ("endpoints", "ep", "", "Endpoints", true),
    ("events", "ev", "", "Event", true),
    ("limitranges", "limits", "", "LimitRange", true),
    ("namespaces", "ns", "", "Namespace", false),
    ("nodes", "no", "", "Node", false),
    ("persistentvolumeclaims", "pvc", "", "PersistentVolumeClaim", true),
    ("persistentvolumes", "pv", "", "PersistentVolume", false),
    ("pods", "po", "", "Pod", true),
    ("podtemplates", "", "", "PodTemplate", true),
    ("replicationcontrollers", "rc", "", "ReplicationController", true),
    ("resourcequotas", "quota", "", "ResourceQuota", true),
    ("secrets", "", "", "Secret", true),
    ("serviceaccounts", "sa", "", "ServiceAccount", true),
    ("services", "svc", "", "Service", true),
    ("mutatingadmissionpolicies", "", "admissionregistration.k8s.io", "MutatingAdmissionPolicy", false),
    ("mutatingadmissionpolicybindings", "", "admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding", false),
    ("mutatingwebhookconfigurations", "", "admissionregistration.k8s.io", "MutatingWebhookConfiguration", false),
    ("validatingadmissionpolicies", "", "admissionregistration.k8s.io", "ValidatingAdmissionPolicy", false),
    ("validatingadmissionpolicybindings", "", "admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", false),
    ("validatingwebhookconfigurations", "", "admissionregistration.k8s.io", "ValidatingWebhookConfiguration", false),
    ("customresourcedefinitions", "crd,crds", "apiextensions.k8s.io", "CustomResourceDefinition", false),
    ("apiservices", "", "apiregistration.k8s.io", "APIService", false),
    ("controllerrevisions", "", "apps", "ControllerRevision", true),
    ("daemonsets", "ds", "apps", "DaemonSet", true),
    ("deployments", "deploy", "apps", "Deployment", true),
    ("replicasets", "rs", "apps", "ReplicaSet", true),
    ("statefulsets", "sts", "apps", "StatefulSet", true),
    ("selfsubjectreviews", "", "authentication.k8s.io", "SelfSubjectReview", false),
    ("tokenreviews", "", "authentication.k8s.io", "TokenReview", false),
    ("localsubjectaccessreviews", "", "authorization.k8s.io", "LocalSubjectAccessReview", true),
    ("selfsubjectaccessreviews", "", "authorization.k8s.io", "SelfSubjectAccessReview", false),
    ("selfsubjectrulesreviews", "", "authorization.k8s.io", "SelfSubjectRulesReview", false),
    ("subjectaccessreviews", "", "authorization.k8s.io", "SubjectAccessReview", false),
    ("horizontalpodautoscalers", "hpa", "autoscaling", "HorizontalPodAutoscaler", true),
    ("cronjobs", "cj", "batch", "CronJob", true),
    ("jobs", "", "batch", "Job", true),
    ("certificatesigningrequests", "csr", "certificates.k8s.io", "CertificateSigningRequest", false),
    ("leases", "", "coordination.k8s.io", "Lease", true),
    ("endpointslices", "", "discovery.k8s.io", "EndpointSlice", true),
    ("events", "ev", "events.k8s.io", "Event", true),
    ("flowschemas", "", "flowcontrol.apiserver.k8s.io", "FlowSchema", false),
    ("prioritylevelconfigurations", "", "flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", false),
    ("ingressclasses", "", "networking.k8s.io", "IngressClass", false),
    ("ingresses", "ing", "networking.k8s.io", "Ingress", true),
    ("ipaddresses", "ip", "networking.k8s.io", "IPAddress", false),
    ("networkpolicies", "netpol", "networking.k8s.io", "NetworkPolicy", true),
    ("servicecidrs", "", "networking.k8s.io", "ServiceCIDR", false),
    ("runtimeclasses", "", "node.k8s.io", "RuntimeClass", false),
    ("poddisruptionbudgets", "pdb", "policy", "PodDisruptionBudget", true),
    ("clusterrolebindings", "", "rbac.authorization.k8s.io", "ClusterRoleBinding", false),
    ("clusterroles", "", "rbac.authorization.k8s.io", "ClusterRole", false),
    ("rolebindings", "", "rbac.authorization.k8s.io", "RoleBinding", true),
    ("roles", "", "rbac.authorization.k8s.io", "Role", true),
    ("deviceclasses", "", "resource.k8s.io", "DeviceClass", false),
    ("resourceclaims", "", "resource.k8s.io", "ResourceClaim", true),
    ("resourceclaimtemplates", "", "resource.k8s.io", "ResourceClaimTemplate", true),
    ("resourceslices", "", "resource.k8s.io", "ResourceSlice", false),
    ("priorityclasses", "pc", "scheduling.k8s.io", "PriorityClass", false),
    ("csidrivers", "", "storage.k8s.io", "CSIDriver", false),
    ("csinodes", "", "storage.k8s.io", "CSINode", false),
    ("csistoragecapacities", "", "storage.k8s.io", "CSIStorageCapacity", true),
    ("storageclasses", "sc", "storage.k8s.io", "StorageClass", false),
    ("volumeattachments", "", "storage.k8s.io", "VolumeAttachment", false),
    ("volumeattributesclasses", "vac", "storage.k8s.io", "VolumeAttributesClass", false),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_every_word_for_it() {
        for word in
            ["deploy", "Deployment", "deployments", "deployments.apps", "deployments.v1.apps"]
        {
            assert_eq!(
                builtin_by_word(word).map(|builtin| builtin.kind),
                Some("Deployment"),
                "{word}"
            );
        }
        assert_eq!(builtin_by_word("widgets.example.com"), None);
        assert_eq!(builtin_by_word("deployments.extensions"), None);
        assert_eq!(builtin_by_word("events").map(|builtin| builtin.group), Some(""));
    }
}
