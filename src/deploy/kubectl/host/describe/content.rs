//! Objects that hold settings or bounds, described.

use std::collections::BTreeSet;

use base64::Engine;
use serde_json::{Map, Value};

use super::sheet::{Sheet, filled, list, map, moment, plain as shown, text, texts};

/// The bytes of a base64 text.
fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_default();
    base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default()
}

fn sorted(object: Option<&Map<String, Value>>) -> Vec<(&String, &Value)> {
    let mut all: Vec<(&String, &Value)> = object.into_iter().flatten().collect();
    all.sort_by_key(|(key, _)| *key);
    all
}

/// Describes a `ConfigMap` with all its content.
pub fn config_map(sheet: &mut Sheet, object: &Value) {
    sheet.names(object);
    sheet.marks(object);
    sheet.put(0, "\nData\n====\n");
    for (key, value) in sorted(map(object, "/data")) {
        sheet.put(0, format!("{key}:\n----\n"));
        sheet.put(0, format!("{}\n", shown(value)));
        sheet.put(0, "\n");
    }
    sheet.put(0, "\nBinaryData\n====\n");
    for (key, value) in sorted(map(object, "/binaryData")) {
        sheet.put(0, format!("{key}: {} bytes\n", bytes(value).len()));
    }
    sheet.put(0, "\n");
}

/// Describes a service account.
pub fn service_account(sheet: &mut Sheet, object: &Value) {
    const TITLE: &str = "Image pull secrets:";
    sheet.names(object);
    sheet.marks(object);
    let secrets = list(object, "/imagePullSecrets");
    if secrets.is_empty() {
        sheet.put(0, format!("{TITLE}\t<none>\n"));
    }
    for (n, secret) in secrets.iter().enumerate() {
        let title = if n == 0 { TITLE.to_owned() } else { " ".repeat(TITLE.len()) };
        sheet.put(0, format!("{title}\t{}\n", text(secret, "/name")));
    }
}

/// Describes what has nothing to do with other objects.
pub fn plain(sheet: &mut Sheet, kind: &str, object: &Value) {
    sheet.names(object);
    match kind {
        "Secret" => secret(sheet, object),
        "ResourceQuota" => {
            scopes(sheet, 0, " * ", object);
            sheet.put(0, "Resource\tUsed\tHard\n--------\t----\t----\n");
            amounts(sheet, 0, object);
        }
        _ => {
            sheet.put(0, "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\t");
            sheet.put(0, "Max Limit/Request Ratio\n");
            sheet.put(0, "----\t--------\t---\t---\t---------------\t-------------\t");
            sheet.put(0, "-----------------------\n");
            limits(sheet, "", object);
        }
    }
}

/// Of a secret only the sizes are told, except of a token that is there to be used.
fn secret(sheet: &mut Sheet, object: &Value) {
    sheet.marks(object);
    let kind = text(object, "/type");
    sheet.put(0, format!("\nType:\t{kind}\n"));
    sheet.put(0, "\nData\n====\n");
    for (key, value) in sorted(map(object, "/data")) {
        let bytes = bytes(value);
        if key == "token" && kind == "kubernetes.io/service-account-token" {
            sheet.field(0, key, String::from_utf8_lossy(&bytes));
        } else {
            sheet.field(0, key, format!("{} bytes", bytes.len()));
        }
    }
}

fn scopes(sheet: &mut Sheet, level: usize, mark: &str, quota: &Value) {
    let mut scopes = texts(quota, "/spec/scopes");
    scopes.sort_unstable();
    if scopes.is_empty() {
        return;
    }
    sheet.field(level, "Scopes", scopes.join(", "));
    for scope in scopes {
        let help = match scope {
            "Terminating" => {
                "Matches all pods that have an active deadline. These pods have a limited lifespan \
                 on a node before being actively terminated by the system."
            }
            "NotTerminating" => {
                "Matches all pods that do not have an active deadline. These pods usually include \
                 long running pods whose container command is not expected to terminate."
            }
            "BestEffort" => {
                "Matches all pods that do not have resource requirements set. These pods have a \
                 best effort quality of service."
            }
            "NotBestEffort" => {
                "Matches all pods that have at least one resource requirement set. These pods have \
                 a burstable or guaranteed quality of service."
            }
            _ => continue,
        };
        sheet.put(level, format!("{mark}{help}\n"));
    }
}

fn amounts(sheet: &mut Sheet, level: usize, quota: &Value) {
    for (resource, hard) in sorted(map(quota, "/status/hard")) {
        let used = map(quota, "/status/used").and_then(|used| used.get(resource));
        let used = used.map_or_else(|| "0".to_owned(), shown);
        sheet.put(level, format!("{resource}\t{used}\t{}\n", shown(hard)));
    }
}

fn limits(sheet: &mut Sheet, prefix: &str, range: &Value) {
    const BOUNDS: [&str; 5] =
        ["/min", "/max", "/defaultRequest", "/default", "/maxLimitRequestRatio"];
    for item in list(range, "/spec/limits") {
        let resources: BTreeSet<&String> =
            BOUNDS.iter().filter_map(|bound| map(item, bound)).flat_map(Map::keys).collect();
        for resource in resources {
            let amount = |bound: &&str| {
                let amount = map(item, bound).and_then(|all| all.get(resource));
                amount.map_or_else(|| "-".to_owned(), shown)
            };
            let amounts: Vec<String> = BOUNDS.iter().map(amount).collect();
            let kind = text(item, "/type");
            sheet.put(0, format!("{prefix}{kind}\t{resource}\t{}\n", amounts.join("\t")));
        }
    }
}

/// Describes a namespace with what bounds it.
pub fn namespace(sheet: &mut Sheet, object: &Value, mut quotas: Vec<Value>, ranges: &[Value]) {
    sheet.field(0, "Name", text(object, "/metadata/name"));
    sheet.marks(object);
    sheet.field(0, "Status", text(object, "/status/phase"));
    let conditions = list(object, "/status/conditions");
    if !conditions.is_empty() {
        sheet.put(0, "Conditions:\n");
        sheet.put(1, "Type\tStatus\tLastTransitionTime\tReason\tMessage\n");
        sheet.put(1, "----\t------\t------------------\t------\t-------\n");
    }
    for condition in conditions {
        let part = |key| text(condition, key);
        let time = moment(part("/lastTransitionTime"));
        let (reason, message) = (part("/reason"), part("/message"));
        let (kind, status) = (part("/type"), part("/status"));
        sheet.put(1, format!("{kind}\t{status}\t{time}\t{reason}\t{message}\n"));
    }
    sheet.put(0, "\n");
    if quotas.is_empty() {
        sheet.put(0, "No resource quota.\n");
    } else {
        sheet.put(0, "Resource Quotas\n");
    }
    quotas.sort_by(|left, right| text(left, "/metadata/name").cmp(text(right, "/metadata/name")));
    for quota in &quotas {
        sheet.field(1, "Name", text(quota, "/metadata/name"));
        scopes(sheet, 1, "* ", quota);
        sheet.put(1, "Resource\tUsed\tHard\n");
        sheet.put(1, "--------\t---\t---\n");
        amounts(sheet, 1, quota);
    }
    sheet.put(0, "\n");
    if ranges.is_empty() {
        sheet.put(0, "No LimitRange resource.\n");
        return;
    }
    sheet.put(0, "Resource Limits\n Type\tResource\tMin\tMax\tDefault Request\t");
    sheet.put(0, "Default Limit\tMax Limit/Request Ratio\n");
    sheet.put(0, " ----\t--------\t---\t---\t---------------\t-------------\t");
    sheet.put(0, "-----------------------\n");
    for range in ranges {
        limits(sheet, " ", range);
    }
}

/// True where an object names its storage class, or its older annotation does.
pub fn storage_class(claim: &Value) -> String {
    let annotations = claim.pointer("/metadata/annotations");
    let old = annotations.and_then(|all| all.get("volume.beta.kubernetes.io/storage-class"));
    let old = old.and_then(Value::as_str);
    old.or_else(|| filled(claim, "/spec/storageClassName")).unwrap_or_default().to_owned()
}
