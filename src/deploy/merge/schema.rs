//! How each list and map of the built-in kinds merges: what kubectl downloads as OpenAPI, baked in.

/// A place in an object: the type of the value there, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A whole object.
    Root {
        /// The kind.
        kind: Kind,
    },
    /// `metadata`.
    Metadata,
    /// The `spec` of a workload or a service; what is under it by kind.
    Spec {
        /// The kind.
        kind: Kind,
    },
    /// `status` of anything.
    Status,
    /// A pod's spec.
    Pod,
    /// A pod template: metadata and a pod's spec.
    Template,
    /// A cron job's job template.
    JobTemplate,
    /// A container.
    Container,
    /// Somewhere with nothing of interest below.
    Plain,
}

/// The kinds whose objects have merging fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `Pod`.
    Pod,
    /// Everything with a pod template under `spec.template`.
    Workload,
    /// `Deployment`: its strategy retains keys.
    Deployment,
    /// `CronJob`.
    CronJob,
    /// `PodTemplate`.
    PodTemplate,
    /// `Service`.
    Service,
    /// `ServiceAccount`.
    ServiceAccount,
    /// `Node`.
    Node,
    /// `PodDisruptionBudget`: its selector is replaced.
    PodDisruptionBudget,
    /// Anything else.
    Other,
}

/// How the value of a field merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strategy {
    /// The place of the value, or of a list's items.
    pub place: Place,
    /// True: a list merges item by item.
    pub merge: bool,
    /// The key that tells items apart; empty for a list of scalars.
    pub key: &'static str,
    /// True: a map is replaced as a whole, and so part of every patch.
    pub replace: bool,
    /// True: keys that the manifest does not name are cleared.
    pub retain_keys: bool,
}

impl Place {
    /// The place of an object of a kind.
    pub fn root(kind: &str) -> Self {
        let kind = match kind {
            "Pod" => Kind::Pod,
            "Deployment" => Kind::Deployment,
            "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicationController" => {
                Kind::Workload
            }
            "CronJob" => Kind::CronJob,
            "PodTemplate" => Kind::PodTemplate,
            "Service" => Kind::Service,
            "ServiceAccount" => Kind::ServiceAccount,
            "Node" => Kind::Node,
            "PodDisruptionBudget" => Kind::PodDisruptionBudget,
            _ => Kind::Other,
        };
        Self::Root { kind }
    }

    /// How a field at this place merges.
    pub fn field(self, name: &str) -> Strategy {
        match (self, name) {
            (Self::Root { kind }, _) => at_root(kind, name),
            (Self::Spec { kind }, _) => in_spec(kind, name),
            (Self::Pod, _) => in_pod(name),
            (Self::Metadata, "ownerReferences") => list(Self::Plain, "uid"),
            (Self::Metadata, "finalizers") => list(Self::Plain, ""),
            (Self::JobTemplate | Self::Template, "metadata") => to(Self::Metadata),
            (Self::JobTemplate, "spec") => to(Self::Spec { kind: Kind::Workload }),
            (Self::Template, "spec") => to(Self::Pod),
            (Self::Container, "env") => list(Self::Plain, "name"),
            (Self::Container, "ports") => list(Self::Plain, "containerPort"),
            (Self::Container, "volumeMounts") => list(Self::Plain, "mountPath"),
            (Self::Container, "volumeDevices") => list(Self::Plain, "devicePath"),
            (Self::Status, "conditions" | "addresses") => list(Self::Plain, "type"),
            (Self::Status, "podIPs") => list(Self::Plain, "ip"),
            (
                Self::Metadata
                | Self::JobTemplate
                | Self::Template
                | Self::Container
                | Self::Status
                | Self::Plain,
                _,
            ) => to(Self::Plain),
        }
    }
}

fn at_root(kind: Kind, name: &str) -> Strategy {
    match (kind, name) {
        (_, "metadata") => to(Place::Metadata),
        (_, "status") => to(Place::Status),
        (Kind::Pod, "spec") => to(Place::Pod),
        (_, "spec") => to(Place::Spec { kind }),
        (Kind::PodTemplate, "template") => to(Place::Template),
        (Kind::ServiceAccount, "secrets") => list(Place::Plain, "name"),
        _ => to(Place::Plain),
    }
}

fn in_spec(kind: Kind, name: &str) -> Strategy {
    match (kind, name) {
        (Kind::Workload | Kind::Deployment, "template") => to(Place::Template),
        (Kind::Deployment, "strategy") => Strategy { retain_keys: true, ..to(Place::Plain) },
        (Kind::CronJob, "jobTemplate") => to(Place::JobTemplate),
        (Kind::Service, "ports") => list(Place::Plain, "port"),
        (Kind::PodDisruptionBudget, "selector") => Strategy { replace: true, ..to(Place::Plain) },
        (Kind::Node, "podCIDRs") => list(Place::Plain, ""),
        _ => to(Place::Plain),
    }
}

fn in_pod(name: &str) -> Strategy {
    match name {
        "containers" | "initContainers" | "ephemeralContainers" => list(Place::Container, "name"),
        "imagePullSecrets" | "schedulingGates" => list(Place::Plain, "name"),
        "volumes" | "resourceClaims" => {
            Strategy { retain_keys: true, ..list(Place::Plain, "name") }
        }
        "hostAliases" => list(Place::Plain, "ip"),
        "topologySpreadConstraints" => list(Place::Plain, "topologyKey"),
        _ => to(Place::Plain),
    }
}

/// A value that replaces.
fn to(place: Place) -> Strategy {
    Strategy { place, merge: false, key: "", replace: false, retain_keys: false }
}

/// A list that merges by a key.
fn list(place: Place, key: &'static str) -> Strategy {
    Strategy { place, merge: true, key, replace: false, retain_keys: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(kind: &str, path: &str) -> Strategy {
        let mut strategy = Place::root(kind).field("");
        let mut place = Place::root(kind);
        for name in path.split('.') {
            strategy = place.field(name);
            place = strategy.place;
        }
        strategy
    }

    #[test]
    fn merging_lists_are_known_by_their_place() {
        for (kind, path, key, retain_keys) in [
            ("Deployment", "spec.template.spec.containers", "name", false),
            ("Deployment", "spec.template.spec.containers.env", "name", false),
            ("StatefulSet", "spec.template.spec.volumes", "name", true),
            (
                "CronJob",
                "spec.jobTemplate.spec.template.spec.initContainers.ports",
                "containerPort",
                false,
            ),
            ("Pod", "spec.containers.volumeMounts", "mountPath", false),
            ("Service", "spec.ports", "port", false),
            ("ConfigMap", "metadata.ownerReferences", "uid", false),
        ] {
            let strategy = at(kind, path);
            assert!(strategy.merge, "{kind} {path}");
            assert_eq!((strategy.key, strategy.retain_keys), (key, retain_keys), "{kind} {path}");
        }
        assert!(at("Deployment", "spec.strategy").retain_keys);
        for (kind, path) in [
            ("Deployment", "spec.template.spec.containers.args"),
            ("Deployment", "spec.template.spec.tolerations"),
            ("Ingress", "spec.rules"),
            ("Role", "rules"),
        ] {
            assert!(!at(kind, path).merge, "{kind} {path}");
        }
    }
}
