//! Where the content of a volume comes from, by kind of source.

use serde_json::Value;

use super::sheet::{
    MAX_ANNOTATION, Sheet, bracketed, cut, is, map, number, plain, text, texts, told,
};

/// What kubectl tells of a kind of source: its key, its title, and titles with what is told there.
type Source = (&'static str, &'static str, &'static [(&'static str, Told)]);

/// How a field of a source is told.
#[derive(Clone, Copy)]
enum Told {
    Text(&'static str),
    Number(&'static str),
    Truth(&'static str),
    OrNone(&'static str),
    OrUnset(&'static str),
    Texts(&'static str),
    Bracketed(&'static str),
    Pairs(&'static str),
    /// To a secret: by its name, or by its namespace and name.
    Reference(&'static str),
}

use Told::{Bracketed, Number, OrNone, OrUnset, Pairs, Reference, Text, Texts, Truth};

const SOURCES: &[Source] = &[
    (
        "hostPath",
        "HostPath (bare host directory volume)",
        &[("Path", Text("/path")), ("HostPathType", OrNone("/type"))],
    ),
    (
        "secret",
        "Secret (a volume populated by a Secret)",
        &[("SecretName", Text("/secretName")), ("Optional", Truth("/optional"))],
    ),
    (
        "configMap",
        "ConfigMap (a volume populated by a ConfigMap)",
        &[("Name", Text("/name")), ("Optional", Truth("/optional"))],
    ),
    (
        "nfs",
        "NFS (an NFS mount that lasts the lifetime of a pod)",
        &[("Server", Text("/server")), ("Path", Text("/path")), ("ReadOnly", Truth("/readOnly"))],
    ),
    (
        "persistentVolumeClaim",
        "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        &[("ClaimName", Text("/claimName")), ("ReadOnly", Truth("/readOnly"))],
    ),
    (
        "image",
        "Image (a container image or OCI artifact)",
        &[("Reference", Text("/reference")), ("PullPolicy", Text("/pullPolicy"))],
    ),
    (
        "gcePersistentDisk",
        "GCEPersistentDisk (a Persistent Disk resource in Google Compute Engine)",
        &[
            ("PDName", Text("/pdName")),
            ("FSType", Text("/fsType")),
            ("Partition", Number("/partition")),
            ("ReadOnly", Truth("/readOnly")),
        ],
    ),
    (
        "awsElasticBlockStore",
        "AWSElasticBlockStore (a Persistent Disk resource in AWS)",
        &[
            ("VolumeID", Text("/volumeID")),
            ("FSType", Text("/fsType")),
            ("Partition", Number("/partition")),
            ("ReadOnly", Truth("/readOnly")),
        ],
    ),
    (
        "gitRepo",
        "GitRepo (a volume that is pulled from git when the pod is created)",
        &[("Repository", Text("/repository")), ("Revision", Text("/revision"))],
    ),
    (
        "glusterfs",
        "Glusterfs (a Glusterfs mount on the host that shares a pod's lifetime)",
        &[
            ("EndpointsName", Text("/endpoints")),
            ("Path", Text("/path")),
            ("ReadOnly", Truth("/readOnly")),
        ],
    ),
    (
        "quobyte",
        "Quobyte (a Quobyte mount on the host that shares a pod's lifetime)",
        &[
            ("Registry", Text("/registry")),
            ("Volume", Text("/volume")),
            ("ReadOnly", Truth("/readOnly")),
        ],
    ),
    (
        "vsphereVolume",
        "vSphereVolume (a Persistent Disk resource in vSphere)",
        &[
            ("VolumePath", Text("/volumePath")),
            ("FSType", Text("/fsType")),
            ("StoragePolicyName", Text("/storagePolicyName")),
        ],
    ),
    (
        "photonPersistentDisk",
        "PhotonPersistentDisk (a Persistent Disk resource in photon platform)",
        &[("PdID", Text("/pdID")), ("FSType", Text("/fsType"))],
    ),
    (
        "portworxVolume",
        "PortworxVolume (a Portworx Volume resource)",
        &[("VolumeID", Text("/volumeID"))],
    ),
    (
        "flocker",
        "Flocker (a Flocker volume mounted by the Flocker agent)",
        &[("DatasetName", Text("/datasetName")), ("DatasetUUID", Text("/datasetUUID"))],
    ),
    (
        "storageos",
        "StorageOS (a StorageOS Persistent Disk resource)",
        &[
            ("VolumeName", Text("/volumeName")),
            ("VolumeNamespace", Text("/volumeNamespace")),
            ("FSType", Text("/fsType")),
            ("ReadOnly", Truth("/readOnly")),
        ],
    ),
    (
        "fc",
        "FC (a Fibre Channel disk)",
        &[
            ("TargetWWNs", Texts("/targetWWNs")),
            ("LUN", OrNone("/lun")),
            ("FSType", Text("/fsType")),
            ("ReadOnly", Truth("/readOnly")),
        ],
    ),
    (
        "azureFile",
        "AzureFile (an Azure File Service mount on the host and bind mount to the pod)",
        &[
            ("SecretName", Text("/secretName")),
            ("ShareName", Text("/shareName")),
            ("ReadOnly", Truth("/readOnly")),
        ],
    ),
    (
        "csi",
        "CSI (a Container Storage Interface (CSI) volume source)",
        &[
            ("Driver", Text("/driver")),
            ("FSType", Text("/fsType")),
            ("ReadOnly", Truth("/readOnly")),
        ],
    ),
    (
        "iscsi",
        "ISCSI (an ISCSI Disk resource that is attached to a kubelet's host machine and then exposed to the pod)",
        &[
            ("TargetPortal", Text("/targetPortal")),
            ("IQN", Text("/iqn")),
            ("Lun", Number("/lun")),
            ("ISCSIInterface", Text("/iscsiInterface")),
            ("FSType", Text("/fsType")),
            ("ReadOnly", Truth("/readOnly")),
            ("Portals", Bracketed("/portals")),
            ("DiscoveryCHAPAuth", Truth("/chapAuthDiscovery")),
            ("SessionCHAPAuth", Truth("/chapAuthSession")),
            ("SecretRef", Reference("/secretRef")),
            ("InitiatorName", OrNone("/initiatorName")),
        ],
    ),
    (
        "rbd",
        "RBD (a Rados Block Device mount on the host that shares a pod's lifetime)",
        &[
            ("CephMonitors", Bracketed("/monitors")),
            ("RBDImage", Text("/image")),
            ("FSType", Text("/fsType")),
            ("RBDPool", Text("/pool")),
            ("RadosUser", Text("/user")),
            ("Keyring", Text("/keyring")),
            ("SecretRef", Reference("/secretRef")),
            ("ReadOnly", Truth("/readOnly")),
        ],
    ),
    (
        "cinder",
        "Cinder (a Persistent Disk resource in OpenStack)",
        &[
            ("VolumeID", Text("/volumeID")),
            ("FSType", Text("/fsType")),
            ("ReadOnly", Truth("/readOnly")),
            ("SecretRef", Reference("/secretRef")),
        ],
    ),
    (
        "cephfs",
        "CephFS (a CephFS mount on the host that shares a pod's lifetime)",
        &[
            ("Monitors", Bracketed("/monitors")),
            ("Path", Text("/path")),
            ("User", Text("/user")),
            ("SecretFile", Text("/secretFile")),
            ("SecretRef", Reference("/secretRef")),
            ("ReadOnly", Truth("/readOnly")),
        ],
    ),
    (
        "azureDisk",
        "AzureDisk (an Azure Data Disk mount on the host and bind mount to the pod)",
        &[
            ("DiskName", Text("/diskName")),
            ("DiskURI", Text("/diskURI")),
            ("Kind", Text("/kind")),
            ("FSType", Text("/fsType")),
            ("CachingMode", Text("/cachingMode")),
            ("ReadOnly", Truth("/readOnly")),
        ],
    ),
    (
        "flexVolume",
        "FlexVolume (a generic volume resource that is provisioned/attached using an exec based plugin)",
        &[
            ("Driver", Text("/driver")),
            ("FSType", Text("/fsType")),
            ("SecretRef", Reference("/secretRef")),
            ("ReadOnly", Truth("/readOnly")),
            ("Options", Pairs("/options")),
        ],
    ),
    (
        "scaleIO",
        "ScaleIO (a persistent volume backed by a block device in ScaleIO)",
        &[
            ("Gateway", Text("/gateway")),
            ("System", Text("/system")),
            ("Protection Domain", Text("/protectionDomain")),
            ("Storage Pool", Text("/storagePool")),
            ("Storage Mode", Text("/storageMode")),
            ("VolumeName", Text("/volumeName")),
            ("FSType", Text("/fsType")),
            ("ReadOnly", Truth("/readOnly")),
        ],
    ),
];

/// What is told in another way where it is of a persistent volume.
const PERSISTENT: &[Source] = &[
    (
        "local",
        "LocalVolume (a persistent volume backed by local storage on a node)",
        &[("Path", Text("/path"))],
    ),
    (
        "glusterfs",
        "Glusterfs (a Glusterfs mount on the host that shares a pod's lifetime)",
        &[
            ("EndpointsName", Text("/endpoints")),
            ("EndpointsNamespace", OrUnset("/endpointsNamespace")),
            ("Path", Text("/path")),
            ("ReadOnly", Truth("/readOnly")),
        ],
    ),
    (
        "scaleIO",
        "ScaleIO (a persistent volume backed by a block device in ScaleIO)",
        &[
            ("Gateway", Text("/gateway")),
            ("System", Text("/system")),
            ("Protection Domain", Text("/protectionDomain")),
            ("Storage Pool", Text("/storagePool")),
            ("Storage Mode", Text("/storageMode")),
            ("VolumeName", Text("/volumeName")),
            ("SecretName", Text("/secretRef/name")),
            ("SecretNamespace", Text("/secretRef/namespace")),
            ("FSType", Text("/fsType")),
            ("ReadOnly", Truth("/readOnly")),
        ],
    ),
    (
        "azureFile",
        "AzureFile (an Azure File Service mount on the host and bind mount to the pod)",
        &[
            ("SecretName", Text("/secretName")),
            ("SecretNamespace", Text("/secretNamespace")),
            ("ShareName", Text("/shareName")),
            ("ReadOnly", Truth("/readOnly")),
        ],
    ),
    (
        "csi",
        "CSI (a Container Storage Interface (CSI) volume source)",
        &[
            ("Driver", Text("/driver")),
            ("FSType", Text("/fsType")),
            ("VolumeHandle", Text("/volumeHandle")),
            ("ReadOnly", Truth("/readOnly")),
        ],
    ),
];

/// Describes the source of a pod's volume; false where it is of none of the plain kinds.
pub fn of_pod(sheet: &mut Sheet, volume: &Value) -> bool {
    tell(sheet, volume, SOURCES.iter(), "LocalObjectReference")
}

/// Describes the source of a persistent volume; false where it is of none that is known.
pub fn of_persistent(sheet: &mut Sheet, spec: &Value) -> bool {
    tell(sheet, spec, PERSISTENT.iter().chain(SOURCES), "SecretReference")
}

fn tell<'a>(
    sheet: &mut Sheet,
    volume: &Value,
    mut sources: impl Iterator<Item = &'a Source>,
    reference: &str,
) -> bool {
    let Some((key, title, fields)) = sources.find(|(key, ..)| volume.get(key).is_some()) else {
        return false;
    };
    let inner = volume.get(key).unwrap_or(&Value::Null);
    sheet.field(2, "Type", title);
    for (title, how) in *fields {
        let value = match how {
            Text(key) => text(inner, key).to_owned(),
            Number(key) => number(inner, key).to_string(),
            Truth(key) => is(inner, key).to_string(),
            OrNone(key) => told(inner, key).unwrap_or_else(|| "<none>".to_owned()),
            OrUnset(key) => told(inner, key).unwrap_or_else(|| "<unset>".to_owned()),
            Texts(key) => texts(inner, key).join(", "),
            Bracketed(key) => bracketed(inner, key),
            Pairs(key) => format!("map[{}]", pairs(inner, key, ":").join(" ")),
            Reference(key) => referred(inner.pointer(key), reference),
        };
        // Two of kubectl's titles are not like the others.
        match (*title, *key) {
            ("ISCSIInterface", _) => sheet.put(2, format!("{title}\t{value}\n")),
            ("Kind", "azureDisk") => sheet.put(2, format!("{title}: \t{value}\n")),
            _ => sheet.field(2, title, value),
        }
    }
    if *key == "csi" {
        attributes(sheet, inner);
    }
    true
}

/// A reference as Go prints one.
fn referred(to: Option<&Value>, kind: &str) -> String {
    let Some(to) = to.filter(|to| to.is_object()) else { return "nil".to_owned() };
    let namespace = if kind == "SecretReference" {
        format!("Namespace:{},", text(to, "/namespace"))
    } else {
        String::new()
    };
    format!("&{kind}{{Name:{},{namespace}}}", text(to, "/name"))
}

fn pairs(object: &Value, key: &str, between: &str) -> Vec<String> {
    let mut all: Vec<(&String, &Value)> = map(object, key).into_iter().flatten().collect();
    all.sort_by_key(|(key, _)| *key);
    all.into_iter().map(|(key, value)| format!("{key}{between}{}", plain(value))).collect()
}

/// The attributes of a CSI volume, a line each, long ones cut.
fn attributes(sheet: &mut Sheet, inner: &Value) {
    sheet.put(2, "VolumeAttributes:\t");
    let all = pairs(inner, "/volumeAttributes", "=");
    if all.is_empty() {
        sheet.put(0, "<none>\n");
    }
    for (n, line) in all.into_iter().enumerate() {
        if n > 0 {
            sheet.put(2, "");
            sheet.put(2, "\t");
        }
        sheet.put(2, cut(&line, MAX_ANNOTATION) + "\n");
    }
}
