//! Which kind is told by whom, and what else has to be read for it.

use serde_json::Value;

use super::node::Company;
use super::sheet::{self, Sheet};
use super::{addresses, all, containers, content, generic, network, node, others};
use super::{policies, rights, signing, storage, volumes, workloads};
use crate::deploy::cluster::{Mapping, Target};
use crate::deploy::kubectl::host::info::Info;
use crate::deploy::kubectl::host::session::Session;
use crate::deploy::kubectl::host::trouble::Trouble;
use crate::deploy::kubectl::request::Selection;

/// False for kinds whose events kubectl does not look for.
pub fn has_events(mapping: &Mapping) -> bool {
    const WITHOUT: [(&str, &str); 9] = [
        ("", "Secret"),
        ("", "ResourceQuota"),
        ("", "LimitRange"),
        ("", "Namespace"),
        ("networking.k8s.io", "NetworkPolicy"),
        ("rbac.authorization.k8s.io", "Role"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("rbac.authorization.k8s.io", "RoleBinding"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ];
    !WITHOUT.contains(&(mapping.group.as_str(), mapping.kind.as_str()))
}

/// Tells an object in the way of its kind.
pub async fn tell(
    session: &mut Session<'_>,
    sheet: &mut Sheet,
    info: &Info,
) -> Result<(), Trouble> {
    let of = (info.mapping.group.as_str(), info.mapping.kind.as_str());
    let told = alone(sheet, of, &info.object)? || in_company(session, sheet, info).await?;
    if !told {
        generic::object(sheet, &info.object);
    }
    Ok(())
}

/// Tells what needs nothing but itself; false for other kinds.
fn alone(sheet: &mut Sheet, of: (&str, &str), object: &Value) -> Result<bool, Trouble> {
    match of {
        ("", "Pod") => containers::pod(sheet, object),
        ("batch", "Job") => workloads::job(sheet, object),
        ("batch", "CronJob") => workloads::cron_job(sheet, object),
        ("", "Endpoints") => network::endpoints_of(sheet, object),
        ("discovery.k8s.io", "EndpointSlice") => network::slice(sheet, object),
        ("networking.k8s.io", "NetworkPolicy") => network::policy(sheet, object),
        ("networking.k8s.io", "IngressClass") => addresses::ingress_class(sheet, object),
        ("networking.k8s.io", "ServiceCIDR") => addresses::service_cidr(sheet, object),
        ("networking.k8s.io", "IPAddress") => addresses::ip_address(sheet, object),
        ("autoscaling", "HorizontalPodAutoscaler") => policies::autoscaler(sheet, object),
        ("policy", "PodDisruptionBudget") => policies::disruption_budget(sheet, object),
        ("scheduling.k8s.io", "PriorityClass") => policies::priority_class(sheet, object),
        ("", "PersistentVolume") => storage::volume(sheet, object),
        ("storage.k8s.io", "StorageClass") => storage::class(sheet, object),
        ("storage.k8s.io", "VolumeAttributesClass") => storage::attributes_class(sheet, object),
        ("storage.k8s.io", "CSINode") => storage::csi_node(sheet, object),
        ("certificates.k8s.io", "CertificateSigningRequest") => {
            signing::request(sheet, object).map_err(Trouble::text)?;
        }
        ("", "ConfigMap") => content::config_map(sheet, object),
        ("", "ServiceAccount") => content::service_account(sheet, object),
        ("", kind @ ("Secret" | "ResourceQuota" | "LimitRange")) => {
            content::plain(sheet, kind, object);
        }
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => rights::role(sheet, object),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            rights::binding(sheet, object);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Tells what is told with others; false for other kinds.
async fn in_company(
    session: &mut Session<'_>,
    sheet: &mut Sheet,
    info: &Info,
) -> Result<bool, Trouble> {
    let (kind, object) = (info.mapping.kind.as_str(), &info.object);
    let namespace = info.namespace.as_str();
    match (info.mapping.group.as_str(), kind) {
        ("apps", "Deployment") => {
            let labels = selected(object);
            let sets = others(session, ("apps", "ReplicaSet"), namespace, &labels).await;
            workloads::deployment(sheet, object, sets.unwrap_or_default());
        }
        ("apps", "ReplicaSet" | "StatefulSet" | "DaemonSet") | ("", "ReplicationController") => {
            let counts = counts(session, info).await?;
            workloads::controller(sheet, kind, object, &counts);
        }
        ("", "Service") => {
            let slices = slices(session, namespace, &info.name).await.unwrap_or_default();
            network::service(sheet, object, &slices);
        }
        ("networking.k8s.io", "Ingress") => {
            let backends = backends(session, namespace, object).await;
            network::ingress(sheet, object, &backends);
        }
        ("", "PersistentVolumeClaim") => {
            let pods = others(session, ("", "Pod"), namespace, &all(None, None)).await?;
            volumes::claim(sheet, object, &pods);
        }
        ("", "Namespace") => {
            let quotas =
                others(session, ("", "ResourceQuota"), &info.name, &all(None, None)).await?;
            let limits = others(session, ("", "LimitRange"), &info.name, &all(None, None)).await?;
            content::namespace(sheet, object, quotas, &limits);
        }
        ("", "Node") => {
            let company = company(session, &info.name).await?;
            node::node(sheet, object, &company);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// How many of a workload's pods are in which phase.
async fn counts(session: &mut Session<'_>, info: &Info) -> Result<String, Trouble> {
    let (kind, object) = (info.mapping.kind.as_str(), &info.object);
    let pods = if kind == "ReplicationController" {
        Some(sheet::joined(sheet::map(object, "/spec/selector")))
            .filter(|labels| labels != "<none>")
            .map_or_else(|| all(None, None), |labels| all(Some(labels), None))
    } else {
        selected(object)
    };
    let pods = others(session, ("", "Pod"), &info.namespace, &pods).await;
    match (kind, pods) {
        (_, Ok(pods)) => Ok(workloads::counts(object, &pods)),
        ("ReplicaSet", Err(trouble)) => {
            Ok(format!("error in fetching pods: {}", trouble.message()))
        }
        (_, Err(trouble)) => Err(trouble),
    }
}

/// What is on a node and beside it.
async fn company(session: &mut Session<'_>, name: &str) -> Result<Company, Trouble> {
    let fields = format!("spec.nodeName={name},status.phase!=Failed,status.phase!=Succeeded");
    let pods = others(session, ("", "Pod"), "", &all(None, Some(fields))).await;
    let pods = match pods {
        Ok(pods) => Some(pods),
        Err(Trouble::Status(status)) if status.reason == "Forbidden" => None,
        Err(trouble) => return Err(trouble),
    };
    let fields = all(None, Some(format!("spec.nodeName={name}")));
    let slices = others(session, ("resource.k8s.io", "ResourceSlice"), "", &fields).await;
    let lease = match session.by_word("leases") {
        Ok(mapping) => {
            let namespace = "kube-node-lease";
            let target = Target { mapping: &mapping, namespace, name, subresource: "" };
            session.get(&target).await.map_err(|failure| Trouble::from(failure).message())
        }
        Err(trouble) => Err(trouble.message()),
    };
    Ok(Company { pods, slices: slices.unwrap_or_default(), lease })
}

/// What an object's own selector selects.
fn selected(object: &Value) -> Selection {
    all(Some(sheet::selector(object.pointer("/spec/selector"))), None)
}

async fn slices(
    session: &mut Session<'_>,
    namespace: &str,
    service: &str,
) -> Result<Vec<Value>, Trouble> {
    let labels = format!("kubernetes.io/service-name={service}");
    let of = ("discovery.k8s.io", "EndpointSlice");
    others(session, of, namespace, &all(Some(labels), None)).await
}

/// What stands behind the services that an ingress names.
async fn backends(
    session: &mut Session<'_>,
    namespace: &str,
    ingress: &Value,
) -> network::Backends {
    let mut found = network::Backends::new();
    for name in network::services(ingress) {
        if found.contains_key(name) {
            continue;
        }
        let slices = slices(session, namespace, name).await;
        let service = match session.by_word("services") {
            Ok(mapping) => {
                let target = Target { mapping: &mapping, namespace, name, subresource: "" };
                session.get(&target).await.map_err(Trouble::from)
            }
            Err(trouble) => Err(trouble),
        };
        let both = slices.and_then(|slices| Ok((slices, service?)));
        found.insert(name.to_owned(), both.map_err(|trouble| trouble.message()));
    }
    found
}
