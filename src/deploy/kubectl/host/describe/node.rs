//! A node with what runs on it, described.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::demand::{Amounts, As, BOUNDS, Bounds, HUGE, add, amounts, of_pod};
use super::sheet::{Sheet, filled, is, list, map, moment, plain, since, text, texts};
use crate::deploy::kubectl::host::quantity::{Amount, Quantity};

/// How many pools of devices are told.
const MAX_POOLS: usize = 10;

/// What is on a node and beside it.
pub struct Company {
    /// The pods that have not ended, where they may be seen.
    pub pods: Option<Vec<Value>>,
    /// The devices that only this node has.
    pub slices: Vec<Value>,
    /// The lease that the node renews, or why it is not known.
    pub lease: Result<Value, String>,
}

/// Describes a node.
pub fn node(sheet: &mut Sheet, node: &Value, company: &Company) {
    sheet.field(0, "Name", text(node, "/metadata/name"));
    sheet.field(0, "Roles", roles(node));
    sheet.marks(node);
    sheet.field(0, "CreationTimestamp", moment(text(node, "/metadata/creationTimestamp")));
    sheet.lines("", "Taints", &taints(node));
    sheet.field(0, "Unschedulable", is(node, "/spec/unschedulable"));
    lease(sheet, &company.lease);
    conditions(sheet, node);
    sheet.put(0, "Addresses:\n");
    for address in list(node, "/status/addresses") {
        sheet.field(1, text(address, "/type"), text(address, "/address"));
    }
    for (title, key) in [("Capacity", "/status/capacity"), ("Allocatable", "/status/allocatable")] {
        let Some(all) = map(node, key).filter(|all| !all.is_empty()) else { continue };
        sheet.put(0, format!("{title}:\n"));
        for (resource, amount) in sorted(all) {
            sheet.field(1, resource, plain(amount));
        }
    }
    pools(sheet, &company.slices);
    system(sheet, node);
    match &company.pods {
        Some(pods) => resources(sheet, node, pods),
        None => sheet.field(0, "Pods", "not authorized"),
    }
}

fn sorted(all: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut all: Vec<_> = all.iter().collect();
    all.sort_by_key(|(key, _)| *key);
    all
}

fn roles(node: &Value) -> String {
    let labels = map(node, "/metadata/labels").into_iter().flatten();
    let roles: BTreeSet<&str> = labels
        .filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => Some(role),
            None if key == "kubernetes.io/role" => value.as_str(),
            None => None,
        })
        .filter(|role| !role.is_empty())
        .collect();
    let roles: Vec<&str> = roles.into_iter().collect();
    if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") }
}

fn taints(node: &Value) -> Vec<String> {
    let part = |taint, key| text(taint, key);
    let mut taints: Vec<&Value> = list(node, "/spec/taints").iter().collect();
    taints.sort_by_key(|taint| format!("{},{}", part(taint, "/effect"), part(taint, "/key")));
    let told = taints.into_iter().map(|taint| {
        let value = filled(taint, "/value").map(|value| format!("={value}")).unwrap_or_default();
        let effect = filled(taint, "/effect").map(|effect| format!(":{effect}"));
        format!("{}{value}{}", part(taint, "/key"), effect.unwrap_or_default())
    });
    told.collect()
}

fn lease(sheet: &mut Sheet, lease: &Result<Value, String>) {
    let lease = match lease {
        Ok(lease) => lease,
        Err(why) => {
            sheet.field(0, "Lease", format!("Failed to get lease: {why}"));
            return;
        }
    };
    sheet.put(0, "Lease:\n");
    let time = |key| filled(lease, key).map_or_else(|| "<unset>".to_owned(), moment);
    let holder = lease.pointer("/spec/holderIdentity").and_then(Value::as_str);
    sheet.field(1, "HolderIdentity", holder.unwrap_or("<unset>"));
    sheet.field(1, "AcquireTime", time("/spec/acquireTime"));
    sheet.field(1, "RenewTime", time("/spec/renewTime"));
}

fn conditions(sheet: &mut Sheet, node: &Value) {
    let conditions = list(node, "/status/conditions");
    if conditions.is_empty() {
        return;
    }
    sheet.put(0, "Conditions:\n");
    sheet.put(1, "Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage\n");
    sheet.put(1, "----\t------\t-----------------\t------------------\t------\t-------\n");
    for condition in conditions {
        let part = |key| text(condition, key);
        let (kind, status) = (part("/type"), part("/status"));
        let heard = moment(part("/lastHeartbeatTime"));
        let changed = moment(part("/lastTransitionTime"));
        let (reason, message) = (part("/reason"), part("/message"));
        let line = format!("{kind} \t{status} \t{heard} \t{changed} \t{reason} \t{message}\n");
        sheet.put(1, line);
    }
}

/// The devices that only this node has, by driver and pool.
fn pools(sheet: &mut Sheet, slices: &[Value]) {
    let mut pools: BTreeMap<String, (&str, &str, usize, usize)> = BTreeMap::new();
    for slice in slices {
        let (driver, pool) = (text(slice, "/spec/driver"), text(slice, "/spec/pool/name"));
        let known = pools.entry(format!("{driver}/{pool}")).or_insert((driver, pool, 0, 0));
        known.2 += 1;
        known.3 += list(slice, "/spec/devices").len();
    }
    if pools.is_empty() {
        return;
    }
    sheet.put(0, "Node-Local ResourceSlices:\n");
    sheet.put(1, "Driver\tPool\tSlices\tDevices\n");
    sheet.put(1, "------\t----\t------\t-------\n");
    for (driver, pool, n_slices, n_devices) in pools.values().take(MAX_POOLS) {
        sheet.put(1, format!("{driver}\t{pool}\t{n_slices}\t{n_devices}\n"));
    }
    if pools.len() > MAX_POOLS {
        sheet.put(1, format!("...and {} more pools\n", pools.len() - MAX_POOLS));
    }
}

fn system(sheet: &mut Sheet, node: &Value) {
    sheet.put(0, "System Info:\n");
    for (title, key) in [
        ("Machine ID", "machineID"),
        ("System UUID", "systemUUID"),
        ("Boot ID", "bootID"),
        ("Kernel Version", "kernelVersion"),
        ("OS Image", "osImage"),
        ("Operating System", "operatingSystem"),
        ("Architecture", "architecture"),
        ("Container Runtime Version", "containerRuntimeVersion"),
        ("Kubelet Version", "kubeletVersion"),
    ] {
        sheet.field(1, title, text(node, &format!("/status/nodeInfo/{key}")));
    }
    let networks = texts(node, "/spec/podCIDRs").join(",");
    for (title, value) in [
        ("PodCIDR", text(node, "/spec/podCIDR")),
        ("PodCIDRs", &networks),
        ("ProviderID", text(node, "/spec/providerID")),
    ] {
        if !value.is_empty() {
            sheet.field(0, title, value);
        }
    }
}

/// What the pods ask for and what bounds them, each and all together, beside what the node has.
fn resources(sheet: &mut Sheet, node: &Value, pods: &[Value]) {
    let has = map(node, "/status/allocatable").filter(|all| !all.is_empty());
    let has = amounts(has.or_else(|| map(node, "/status/capacity")));
    sheet.put(0, format!("Non-terminated Pods:\t({} in total)\n", pods.len()));
    let requests = "CPU Requests\tCPU Limits\tMemory Requests\tMemory Limits";
    sheet.put(1, format!("Namespace\tName\t\t{requests}\tAge\n"));
    let requests = "------------\t----------\t---------------\t-------------";
    sheet.put(1, format!("---------\t----\t\t{requests}\t---\n"));
    let (mut asked, mut bound) = (Amounts::new(), Amounts::new());
    for pod in pods {
        let [now_asked, now_bound] = BOUNDS.map(|bounds| of_pod(pod, bounds, As::Now));
        // Go's number for what is divided by nothing.
        let cell = |all, resource| cell(all, &has, resource, i64::MIN);
        let cells = [
            cell(&now_asked, "cpu"),
            cell(&now_bound, "cpu"),
            cell(&now_asked, "memory"),
            cell(&now_bound, "memory"),
        ];
        let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        let age = since(text(pod, "/metadata/creationTimestamp"));
        sheet.put(1, format!("{namespace}\t{name}\t\t{}\t{age}\n", cells.join("\t")));
        add(&mut asked, &of_pod(pod, Bounds::Requests, As::Written));
        add(&mut bound, &of_pod(pod, Bounds::Limits, As::Written));
    }
    sheet.put(0, "Allocated resources:\n");
    sheet.put(1, "(Total limits may be over 100 percent, i.e., overcommitted.)\n");
    sheet.put(1, "Resource\tRequests\tLimits\n");
    sheet.put(1, "--------\t--------\t------\n");
    let (huge, further): (Vec<&str>, Vec<&str>) = has
        .keys()
        .map(String::as_str)
        .filter(|resource| !STANDARD.contains(resource) && *resource != "pods")
        .partition(|resource| resource.starts_with(HUGE));
    for resource in STANDARD.into_iter().chain(huge) {
        let cell = |all| cell(all, &has, resource, 0);
        sheet.put(1, format!("{resource}\t{}\t{}\n", cell(&asked), cell(&bound)));
    }
    for resource in further {
        let (asked, bound) = (of(&asked, resource).text(), of(&bound, resource).text());
        sheet.put(1, format!("{resource}\t{asked}\t{bound}\n"));
    }
}

fn of(all: &Amounts, resource: &str) -> Quantity {
    all.get(resource).copied().unwrap_or_default()
}

/// An amount, and what part of what there is it is; another number where there is nothing.
fn cell(all: &Amounts, has: &Amounts, resource: &str, of_nothing: i64) -> String {
    let part = of(all, resource);
    match of(has, resource).amount() {
        Amount(0) => format!("{} ({of_nothing}%)", part.text()),
        whole => format!("{} ({}%)", part.text(), share(resource, part.amount(), whole)),
    }
}

const STANDARD: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// A part of a whole in percent, cut.
fn share(resource: &str, part: Amount, whole: Amount) -> String {
    let float = |amount: Amount| {
        let amount = if resource == "cpu" { amount.milli() } else { amount.whole() };
        crate::unit::float(u64::try_from(amount).unwrap_or(u64::MAX))
    };
    format!("{:.0}", (float(part) / float(whole) * 100.0).trunc())
}
