//! In which order objects are applied: what others stand on goes first.

use super::plan::group;

/// A wave. Objects of one wave are applied side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wave {
    /// Namespaces.
    Namespaces,
    /// Definitions of kinds; they are established before what follows.
    Definitions,
    /// Who may do what, and how much.
    Rights,
    /// What pods are made from: configuration, secrets, volumes, services.
    Config,
    /// What makes pods.
    Workloads,
    /// What stands on running workloads: scalers, routes, hooks of the API server.
    Edges,
    /// Objects of kinds that are not built in.
    Custom,
}

impl Wave {
    /// All of them, in order.
    pub const ALL: [Self; 7] = [
        Self::Namespaces,
        Self::Definitions,
        Self::Rights,
        Self::Config,
        Self::Workloads,
        Self::Edges,
        Self::Custom,
    ];

    /// The wave of a kind.
    pub fn of(api_version: &str, kind: &str) -> Self {
        match (group(api_version), kind) {
            ("", "Namespace") => Self::Namespaces,
            ("apiextensions.k8s.io", "CustomResourceDefinition") => Self::Definitions,
            ("", "ServiceAccount" | "ResourceQuota" | "LimitRange")
            | ("rbac.authorization.k8s.io" | "scheduling.k8s.io" | "node.k8s.io", _) => {
                Self::Rights
            }
            // A service before its pods: they get its address in their environment.
            (
                "",
                "ConfigMap"
                | "Secret"
                | "PersistentVolume"
                | "PersistentVolumeClaim"
                | "Service"
                | "Endpoints",
            )
            | ("storage.k8s.io", _)
            | ("networking.k8s.io", "NetworkPolicy" | "IngressClass")
            | ("policy", "PodDisruptionBudget") => Self::Config,
            ("", "Pod" | "ReplicationController" | "PodTemplate") | ("apps" | "batch", _) => {
                Self::Workloads
            }
            (
                "autoscaling"
                | "networking.k8s.io"
                | "discovery.k8s.io"
                | "apiregistration.k8s.io"
                | "admissionregistration.k8s.io",
                _,
            ) => Self::Edges,
            ("", _) => Self::Config,
            _ => Self::Custom,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_stand_on_goes_first() {
        let order = [
            ("v1", "Namespace"),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            ("rbac.authorization.k8s.io/v1", "RoleBinding"),
            ("v1", "ConfigMap"),
            ("apps/v1", "Deployment"),
            ("autoscaling/v2", "HorizontalPodAutoscaler"),
            ("example.com/v1", "Widget"),
        ];
        let waves: Vec<Wave> =
            order.iter().map(|(version, kind)| Wave::of(version, kind)).collect();
        assert_eq!(waves, Wave::ALL);
        for (version, kind, wave) in [
            ("v1", "ServiceAccount", Wave::Rights),
            ("v1", "Secret", Wave::Config),
            ("v1", "Service", Wave::Config),
            ("batch/v1", "CronJob", Wave::Workloads),
            ("v1", "Pod", Wave::Workloads),
            ("networking.k8s.io/v1", "Ingress", Wave::Edges),
            ("networking.k8s.io/v1", "NetworkPolicy", Wave::Config),
            ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", Wave::Edges),
            ("gateway.networking.k8s.io/v1", "HTTPRoute", Wave::Custom),
        ] {
            assert_eq!(Wave::of(version, kind), wave, "{kind}");
        }
    }
}
