//! Volumes, where they are mounted, and claims to them, described.

use serde_json::Value;

use super::content::storage_class;
use super::sheet::{Sheet, bracketed, filled, is, list, map, moment, number, since, text, told};
use super::sources;

/// Describes volumes.
pub fn volumes(sheet: &mut Sheet, volumes: &[Value], before: &str) {
    if volumes.is_empty() {
        sheet.put(0, format!("{before}Volumes:\t<none>\n"));
        return;
    }
    sheet.put(0, format!("{before}Volumes:\n"));
    let blank = if before.is_empty() { "" } else { " " };
    for volume in volumes {
        sheet.put(1, format!("{blank}{}:\n", text(volume, "/name")));
        if sources::of_pod(sheet, volume) {
            continue;
        }
        if let Some(inner) = volume.get("emptyDir") {
            let limit = filled(inner, "/sizeLimit").filter(|limit| *limit != "0");
            sheet.field(2, "Type", "EmptyDir (a temporary directory that shares a pod's lifetime)");
            sheet.field(2, "Medium", text(inner, "/medium"));
            sheet.field(2, "SizeLimit", limit.unwrap_or("<unset>"));
        } else if let Some(inner) = volume.get("projected") {
            projected(sheet, inner);
        } else if let Some(inner) = volume.get("downwardAPI") {
            let title = "DownwardAPI (a volume populated by information about the pod)";
            sheet.field(2, "Type", title);
            sheet.put(2, "Items:\n");
            for item in list(inner, "/items") {
                let path = text(item, "/path");
                for key in ["/fieldRef/fieldPath", "/resourceFieldRef/resource"] {
                    if let Some(from) = filled(item, key) {
                        sheet.put(3, format!("{from} -> {path}\n"));
                    }
                }
            }
        } else if let Some(inner) = volume.get("ephemeral") {
            let title = "EphemeralVolume (an inline specification for a volume that gets created and \
                         deleted with the pod)";
            sheet.field(2, "Type", title);
            if let Some(template) = inner.get("volumeClaimTemplate") {
                sheet.base += 2;
                claim_itself(sheet, template, false);
                sheet.base -= 2;
            }
        } else {
            sheet.put(1, "<unknown>\n");
        }
    }
}

fn projected(sheet: &mut Sheet, inner: &Value) {
    let title = "Projected (a volume that contains injected data from multiple sources)";
    sheet.field(2, "Type", title);
    for source in list(inner, "/sources") {
        if let Some(secret) = source.get("secret") {
            sheet.field(2, "SecretName", text(secret, "/name"));
            sheet.field(2, "Optional", is(secret, "/optional"));
        } else if source.get("downwardAPI").is_some() {
            sheet.field(2, "DownwardAPI", "true");
        } else if let Some(config) = source.get("configMap") {
            sheet.field(2, "ConfigMapName", text(config, "/name"));
            sheet.field(2, "Optional", is(config, "/optional"));
        } else if let Some(token) = source.get("serviceAccountToken") {
            sheet.field(2, "TokenExpirationSeconds", number(token, "/expirationSeconds"));
        }
    }
}

/// Describes where a container has its volumes.
pub fn mounts(sheet: &mut Sheet, container: &Value) {
    let mounts = list(container, "/volumeMounts");
    let none = if mounts.is_empty() { "\t<none>" } else { "" };
    sheet.put(2, format!("Mounts:{none}\n"));
    let mut sorted: Vec<&Value> = mounts.iter().collect();
    sorted.sort_by(|left, right| text(left, "/mountPath").cmp(text(right, "/mountPath")));
    for mount in sorted {
        let mut flags = if is(mount, "/readOnly") { "ro" } else { "rw" }.to_owned();
        if let Some(path) = filled(mount, "/subPath") {
            flags.extend([",path=", &format!("{path:?}")]);
        }
        let (path, name) = (text(mount, "/mountPath"), text(mount, "/name"));
        sheet.put(3, format!("{path} from {name} ({flags})\n"));
    }
    let devices = list(container, "/volumeDevices");
    if devices.is_empty() {
        return;
    }
    sheet.put(2, format!("Devices:{none}\n"));
    let mut sorted: Vec<&Value> = devices.iter().collect();
    sorted.sort_by(|left, right| text(left, "/devicePath").cmp(text(right, "/devicePath")));
    for device in sorted {
        let (path, name) = (text(device, "/devicePath"), text(device, "/name"));
        sheet.put(3, format!("{path} from {name}\n"));
    }
}

/// Describes a claim and the pods that use it.
pub fn claim(sheet: &mut Sheet, claim: &Value, pods: &[Value]) {
    claim_itself(sheet, claim, true);
    let name = text(claim, "/metadata/name");
    let owners: Vec<&str> = list(claim, "/metadata/ownerReferences")
        .iter()
        .filter(|owner| text(owner, "/kind") == "Pod")
        .map(|owner| text(owner, "/uid"))
        .collect();
    let uses = |pod: &&Value| {
        let mut volumes = list(pod, "/spec/volumes").iter();
        volumes.any(|volume| text(volume, "/persistentVolumeClaim/claimName") == name)
            || owners.contains(&text(pod, "/metadata/uid"))
    };
    let mut names: Vec<String> =
        pods.iter().filter(uses).map(|pod| text(pod, "/metadata/name").to_owned()).collect();
    names.sort();
    sheet.lines("", "Used By", &names);
    let conditions = list(claim, "/status/conditions");
    if conditions.is_empty() {
        return;
    }
    sheet.put(0, "Conditions:\n");
    sheet.put(1, "Type\tStatus\tLastProbeTime\tLastTransitionTime\tReason\tMessage\n");
    sheet.put(1, "----\t------\t-----------------\t------------------\t------\t-------\n");
    for condition in conditions {
        let part = |key| text(condition, key);
        let (kind, status) = (part("/type"), part("/status"));
        let (probed, changed) =
            (moment(part("/lastProbeTime")), moment(part("/lastTransitionTime")));
        let (reason, message) = (part("/reason"), part("/message"));
        let line = format!("{kind} \t{status} \t{probed} \t{changed} \t{reason} \t{message}\n");
        sheet.put(1, line);
    }
}

fn claim_itself(sheet: &mut Sheet, claim: &Value, is_whole: bool) {
    if is_whole {
        sheet.names(claim);
    }
    sheet.field(0, "StorageClass", storage_class(claim));
    if is_whole {
        match filled(claim, "/metadata/deletionTimestamp") {
            Some(time) => {
                sheet.field(0, "Status", format!("Terminating (lasts {})", since(time)));
            }
            None => sheet.field(0, "Status", text(claim, "/status/phase")),
        }
    }
    let volume = text(claim, "/spec/volumeName");
    sheet.field(0, "Volume", volume);
    sheet.marks(claim);
    if is_whole {
        sheet.field(0, "Finalizers", bracketed(claim, "/metadata/finalizers"));
    }
    let (mut capacity, mut modes) = (String::new(), String::new());
    if !volume.is_empty() {
        capacity = told(claim, "/status/capacity/storage").unwrap_or_else(|| "0".to_owned());
        modes = access_modes(claim, "/status/accessModes");
    }
    sheet.field(0, "Capacity", capacity);
    sheet.field(0, "Access Modes", modes);
    if let Some(mode) = filled(claim, "/spec/volumeMode") {
        sheet.field(0, "VolumeMode", mode);
    }
    if let Some(source) = claim.pointer("/spec/dataSource") {
        sheet.put(0, "DataSource:\n");
        if let Some(group) = told(source, "/apiGroup") {
            sheet.field(1, "APIGroup", group);
        }
        sheet.field(1, "Kind", text(source, "/kind"));
        sheet.field(1, "Name", text(source, "/name"));
    }
}

/// Access modes in short, in kubectl's order.
pub fn access_modes(object: &Value, pointer: &str) -> String {
    let held = super::sheet::texts(object, pointer);
    let short = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let short = short.iter().filter(|(mode, _)| held.contains(mode)).map(|(_, short)| *short);
    short.collect::<Vec<_>>().join(",")
}

/// Describes the claims that a stateful set makes for each of its pods.
pub fn templates(sheet: &mut Sheet, templates: &[Value]) {
    if templates.is_empty() {
        sheet.field(0, "Volume Claims", "<none>");
        return;
    }
    sheet.put(0, "Volume Claims:\n");
    for claim in templates {
        sheet.field(1, "Name", text(claim, "/metadata/name"));
        sheet.field(1, "StorageClass", storage_class(claim));
        sheet.labels_after("  ", "Labels", map(claim, "/metadata/labels"));
        sheet.labels_after("  ", "Annotations", map(claim, "/metadata/annotations"));
        let capacity = told(claim, "/spec/resources/requests/storage");
        sheet.field(1, "Capacity", capacity.unwrap_or_else(|| "<default>".to_owned()));
        sheet.field(1, "Access Modes", bracketed(claim, "/spec/accessModes"));
    }
}
