//! Roles and their bindings, described.

use std::collections::BTreeMap;

use serde_json::Value;

use super::sheet::{Sheet, list, text, texts};

/// A rule about one resource (or one address), whatever the verbs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum What<'a> {
    /// A resource of a group, and one name or all.
    Resource(&'a str, &'a str, Option<&'a str>),
    /// A path of the server.
    Address(&'a str),
}

/// Describes a role: its rules, those about one resource in one line.
pub fn role(sheet: &mut Sheet, object: &Value) {
    sheet.field(0, "Name", text(object, "/metadata/name"));
    sheet.marks(object);
    sheet.put(0, "PolicyRule:\n");
    sheet.put(1, "Resources\tNon-Resource URLs\tResource Names\tVerbs\n");
    sheet.put(1, "---------\t-----------------\t--------------\t-----\n");
    for row in rows(list(object, "/rules")) {
        sheet.put(1, row.join("\t") + "\n");
    }
}

/// Rules as rows of resource, addresses, names and verbs, in kubectl's order.
pub fn rows(rules: &[Value]) -> Vec<Vec<String>> {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for (what, verbs) in compact(rules) {
        let listed = verbs.join(" ");
        // kubectl sorts them by how Go writes them.
        let key = |group: &str, resource: &str, name: &str, address: &str| {
            format!(
                "Verbs:[{listed}],APIGroups:[{group}],Resources:[{resource}],\
                 ResourceNames:[{name}],NonResourceURLs:[{address}],"
            )
        };
        let verbs = format!("[{listed}]");
        rows.push(match what {
            What::Resource(group, resource, name) => {
                let name = name.unwrap_or_default();
                let row =
                    vec![combined(group, resource), "[]".to_owned(), format!("[{name}]"), verbs];
                (key(group, resource, name, ""), row)
            }
            What::Address(address) => {
                let row = vec![String::new(), format!("[{address}]"), "[]".to_owned(), verbs];
                (key("", "", "", address), row)
            }
        });
    }
    rows.sort_by(|left, right| left.0.cmp(&right.0));
    rows.into_iter().map(|(_, row)| row).collect()
}

fn compact(rules: &[Value]) -> Vec<(What<'_>, Vec<&str>)> {
    let mut simple: BTreeMap<What<'_>, Vec<&str>> = BTreeMap::new();
    let mut addresses = Vec::new();
    for rule in rules {
        let verbs = texts(rule, "/verbs");
        let names = texts(rule, "/resourceNames");
        for group in texts(rule, "/apiGroups") {
            for resource in texts(rule, "/resources") {
                let all: Vec<Option<&str>> = if names.is_empty() {
                    vec![None]
                } else {
                    names.iter().copied().map(Some).collect()
                };
                for name in all {
                    let known = simple.entry(What::Resource(group, resource, name)).or_default();
                    for verb in &verbs {
                        if !known.contains(verb) {
                            known.push(verb);
                        }
                    }
                }
            }
        }
        for address in texts(rule, "/nonResourceURLs") {
            addresses.extend(verbs.iter().map(|verb| (What::Address(address), vec![*verb])));
        }
    }
    simple.retain(|_, verbs| !verbs.is_empty());
    addresses.into_iter().chain(simple).collect()
}

/// `deployments.apps/scale`.
fn combined(group: &str, resource: &str) -> String {
    let (name, part) = match resource.split_once('/') {
        Some((name, part)) => (name, format!("/{part}")),
        None => (resource, String::new()),
    };
    if group.is_empty() { format!("{name}{part}") } else { format!("{name}.{group}{part}") }
}

/// Describes who a role is bound to.
pub fn binding(sheet: &mut Sheet, object: &Value) {
    sheet.field(0, "Name", text(object, "/metadata/name"));
    sheet.marks(object);
    sheet.put(0, "Role:\n");
    sheet.field(1, "Kind", text(object, "/roleRef/kind"));
    sheet.field(1, "Name", text(object, "/roleRef/name"));
    sheet.put(0, "Subjects:\n");
    sheet.put(1, "Kind\tName\tNamespace\n");
    sheet.put(1, "----\t----\t---------\n");
    for subject in list(object, "/subjects") {
        let part = |key| text(subject, key);
        sheet.put(1, format!("{}\t{}\t{}\n", part("/kind"), part("/name"), part("/namespace")));
    }
}
