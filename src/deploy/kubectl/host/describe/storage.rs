//! Volumes of the cluster, their classes, and what nodes can mount, described.

use serde_json::Value;

use super::content::storage_class;
use super::sheet::{Sheet, bracketed, filled, joined, list, map, moment, since, text, texts, told};
use super::sources;
use super::volumes::access_modes;

/// Describes a `PersistentVolume`.
pub fn volume(sheet: &mut Sheet, object: &Value) {
    sheet.field(0, "Name", text(object, "/metadata/name"));
    sheet.marks(object);
    sheet.field(0, "Finalizers", bracketed(object, "/metadata/finalizers"));
    sheet.field(0, "StorageClass", storage_class(object));
    match filled(object, "/metadata/deletionTimestamp") {
        Some(time) => sheet.field(0, "Status", format!("Terminating (lasts {})", since(time))),
        None => sheet.field(0, "Status", text(object, "/status/phase")),
    }
    let claim = object.pointer("/spec/claimRef").filter(|claim| claim.is_object());
    let claim = claim.map(|of| format!("{}/{}", text(of, "/namespace"), text(of, "/name")));
    sheet.field(0, "Claim", claim.unwrap_or_default());
    sheet.field(0, "Reclaim Policy", text(object, "/spec/persistentVolumeReclaimPolicy"));
    sheet.field(0, "Access Modes", access_modes(object, "/spec/accessModes"));
    if let Some(mode) = told(object, "/spec/volumeMode") {
        sheet.field(0, "VolumeMode", mode);
    }
    let capacity = told(object, "/spec/capacity/storage").unwrap_or_else(|| "0".to_owned());
    sheet.field(0, "Capacity", capacity);
    affinity(sheet, object);
    sheet.field(0, "Message", text(object, "/status/message"));
    sheet.put(0, "Source:\n");
    if !sources::of_persistent(sheet, object.get("spec").unwrap_or(&Value::Null)) {
        sheet.put(1, "<unknown>\n");
    }
}

/// Which nodes can have the volume.
fn affinity(sheet: &mut Sheet, object: &Value) {
    sheet.put(0, "Node Affinity:\t");
    if object.pointer("/spec/nodeAffinity/required").is_none() {
        sheet.put(0, "<none>\n");
        return;
    }
    sheet.put(0, "\n");
    let terms = list(object, "/spec/nodeAffinity/required/nodeSelectorTerms");
    sheet.put(1, "Required Terms:\t");
    sheet.put(0, if terms.is_empty() { "<none>\n" } else { "\n" });
    for (n, term) in terms.iter().enumerate() {
        let lines = list(term, "/matchExpressions").iter().map(|of| {
            (text(of, "/key"), text(of, "/operator").to_lowercase(), texts(of, "/values"))
        });
        self::term(sheet, 2, n, lines.collect());
    }
}

/// A term of key, operator and values.
fn term(sheet: &mut Sheet, level: usize, n: usize, lines: Vec<(&str, String, Vec<&str>)>) {
    sheet.put(level, format!("Term {n}:\t"));
    if lines.is_empty() {
        sheet.put(0, "<none>\n");
    }
    for (n, (key, operator, values)) in lines.into_iter().enumerate() {
        if n > 0 {
            sheet.put(level, "\t");
        }
        let values =
            if values.is_empty() { String::new() } else { format!(" [{}]", values.join(", ")) };
        sheet.put(0, format!("{key} {operator}{values}\n"));
    }
}

/// Describes a `StorageClass`.
pub fn class(sheet: &mut Sheet, object: &Value) {
    let annotations = map(object, "/metadata/annotations");
    let says = |key: &str| annotations.and_then(|all| all.get(key)?.as_str()) == Some("true");
    let is_default = says("storageclass.kubernetes.io/is-default-class")
        || says("storageclass.beta.kubernetes.io/is-default-class");
    sheet.field(0, "Name", text(object, "/metadata/name"));
    sheet.field(0, "IsDefaultClass", if is_default { "Yes" } else { "No" });
    sheet.field(0, "Annotations", joined(annotations));
    sheet.field(0, "Provisioner", text(object, "/provisioner"));
    sheet.field(0, "Parameters", joined(map(object, "/parameters")));
    let expands = match object.get("allowVolumeExpansion") {
        Some(Value::Bool(true)) => "True",
        Some(Value::Bool(false)) => "False",
        _ => "<unset>",
    };
    sheet.field(0, "AllowVolumeExpansion", expands);
    let options = texts(object, "/mountOptions");
    if options.is_empty() {
        sheet.field(0, "MountOptions", "<none>");
    } else {
        sheet.put(0, "MountOptions:\n");
        for option in options {
            sheet.put(1, format!("{option}\n"));
        }
    }
    for (title, key) in
        [("ReclaimPolicy", "/reclaimPolicy"), ("VolumeBindingMode", "/volumeBindingMode")]
    {
        if let Some(value) = told(object, key) {
            sheet.field(0, title, value);
        }
    }
    let Some(topologies) = object.get("allowedTopologies").and_then(Value::as_array) else {
        return;
    };
    sheet.put(0, "AllowedTopologies:\t");
    sheet.put(0, if topologies.is_empty() { "<none>\n" } else { "\n" });
    for (n, topology) in topologies.iter().enumerate() {
        let lines = list(topology, "/matchLabelExpressions")
            .iter()
            .map(|of| (text(of, "/key"), "in".to_owned(), texts(of, "/values")));
        term(sheet, 1, n, lines.collect());
    }
}

/// Describes a `VolumeAttributesClass`.
pub fn attributes_class(sheet: &mut Sheet, object: &Value) {
    sheet.field(0, "Name", text(object, "/metadata/name"));
    sheet.field(0, "Annotations", joined(map(object, "/metadata/annotations")));
    sheet.field(0, "DriverName", text(object, "/driverName"));
    sheet.field(0, "Parameters", joined(map(object, "/parameters")));
}

/// Describes a `CSINode`.
pub fn csi_node(sheet: &mut Sheet, object: &Value) {
    sheet.field(0, "Name", text(object, "/metadata/name"));
    sheet.marks(object);
    sheet.field(0, "CreationTimestamp", moment(text(object, "/metadata/creationTimestamp")));
    sheet.put(0, "Spec:\n");
    let Some(drivers) = object.pointer("/spec/drivers").and_then(Value::as_array) else { return };
    sheet.put(1, "Drivers:\n");
    for driver in drivers {
        sheet.put(2, format!("{}:\n", text(driver, "/name")));
        sheet.field(3, "Node ID", text(driver, "/nodeID"));
        if let Some(count) = told(driver, "/allocatable/count") {
            sheet.put(3, "Allocatables:\n");
            sheet.field(4, "Count", count);
        }
        if driver.get("topologyKeys").is_some_and(Value::is_array) {
            sheet.field(3, "Topology Keys", bracketed(driver, "/topologyKeys"));
        }
    }
}
