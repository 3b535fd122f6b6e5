//! What services and ingresses get their addresses from, described.

use serde_json::Value;

use super::sheet::{Sheet, list, moment, text, texts, told};

fn named(sheet: &mut Sheet, object: &Value) {
    sheet.field(0, "Name", text(object, "/metadata/name"));
    sheet.marks(object);
}

/// Describes an `IngressClass`.
pub fn ingress_class(sheet: &mut Sheet, object: &Value) {
    named(sheet, object);
    sheet.field(0, "Controller", text(object, "/spec/controller"));
    if let Some(parameters) = object.pointer("/spec/parameters").filter(|of| of.is_object()) {
        sheet.put(0, "Parameters:\n");
        if let Some(group) = told(parameters, "/apiGroup") {
            sheet.field(1, "APIGroup", group);
        }
        sheet.field(1, "Kind", text(parameters, "/kind"));
        sheet.field(1, "Name", text(parameters, "/name"));
    }
}

/// Describes a `ServiceCIDR`.
pub fn service_cidr(sheet: &mut Sheet, object: &Value) {
    named(sheet, object);
    sheet.field(0, "CIDRs", texts(object, "/spec/cidrs").join(", "));
    let conditions = list(object, "/status/conditions");
    if conditions.is_empty() {
        return;
    }
    sheet.put(0, "Status:\nConditions:\n");
    sheet.put(1, "Type\tStatus\tLastTransitionTime\tReason\tMessage\n");
    sheet.put(1, "----\t------\t------------------\t------\t-------\n");
    for condition in conditions {
        let part = |key| text(condition, key);
        let changed = moment(part("/lastTransitionTime"));
        let (kind, status) = (part("/type"), part("/status"));
        let (reason, message) = (part("/reason"), part("/message"));
        sheet.put(1, format!("{kind}\t{status}\t{changed}\t{reason}\t{message}\n"));
    }
}

/// Describes an `IPAddress`.
pub fn ip_address(sheet: &mut Sheet, object: &Value) {
    named(sheet, object);
    if let Some(parent) = object.pointer("/spec/parentRef").filter(|of| of.is_object()) {
        sheet.put(0, "Parent Reference:\n");
        for (title, key) in [
            ("Group", "/group"),
            ("Resource", "/resource"),
            ("Namespace", "/namespace"),
            ("Name", "/name"),
        ] {
            sheet.field(1, title, text(parent, key));
        }
    }
}
