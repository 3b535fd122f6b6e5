//! Pods and their templates, described.

use serde_json::Value;

use super::controlled_by;
use super::sheet::{
    Sheet, filled, is, list, map, moment, number, selector_or_none, since, text, told,
};
use super::volumes::{self, volumes};
use crate::deploy::kubectl::host::quantity::quantity;

/// Describes a pod.
pub fn pod(sheet: &mut Sheet, pod: &Value) {
    sheet.names(pod);
    for (title, key) in [
        ("Priority", "/spec/priority"),
        ("Priority Class Name", "/spec/priorityClassName"),
        ("Runtime Class Name", "/spec/runtimeClassName"),
        ("Service Account", "/spec/serviceAccountName"),
    ] {
        if let Some(value) = told(pod, key).filter(|value| !value.is_empty()) {
            sheet.field(0, title, value);
        }
    }
    match filled(pod, "/spec/nodeName") {
        Some(node) => sheet.field(0, "Node", format!("{node}/{}", text(pod, "/status/hostIP"))),
        None => sheet.field(0, "Node", "<none>"),
    }
    if let Some(start) = filled(pod, "/status/startTime") {
        sheet.field(0, "Start Time", moment(start));
    }
    sheet.marks(pod);
    state(sheet, pod);
    controlled_by(sheet, pod);
    if let Some(node) = filled(pod, "/status/nominatedNodeName") {
        sheet.field(0, "NominatedNodeName", node);
    }
    if let Some(resources) = pod.pointer("/spec/resources") {
        sheet.put(0, "Resources:\n");
        amounts(sheet, resources, 1);
    }
    let statuses = |key: &str| list(pod, key);
    let own = Some(pod);
    let init = list(pod, "/spec/initContainers");
    if !init.is_empty() {
        let statuses = statuses("/status/initContainerStatuses");
        containers(sheet, ("Init Containers", ""), init, statuses, own);
    }
    let main = list(pod, "/spec/containers");
    containers(sheet, ("Containers", ""), main, statuses("/status/containerStatuses"), own);
    let ephemeral = list(pod, "/spec/ephemeralContainers");
    if !ephemeral.is_empty() {
        let statuses = statuses("/status/ephemeralContainerStatuses");
        containers(sheet, ("Ephemeral Containers", ""), ephemeral, statuses, own);
    }
    pod_conditions(sheet, pod);
    volumes(sheet, list(pod, "/spec/volumes"), "");
    sheet.field(0, "QoS Class", text(pod, "/status/qosClass"));
    sheet.labels("Node-Selectors", map(pod, "/spec/nodeSelector"));
    tolerations(sheet, "Tolerations", list(pod, "/spec/tolerations"));
    spread(sheet, list(pod, "/spec/topologySpreadConstraints"), "");
}

fn state(sheet: &mut Sheet, pod: &Value) {
    let phase = text(pod, "/status/phase");
    match filled(pod, "/metadata/deletionTimestamp") {
        Some(time) if !["Failed", "Succeeded"].contains(&phase) => {
            sheet.field(0, "Status", format!("Terminating (lasts {})", since(time)));
            let grace = number(pod, "/metadata/deletionGracePeriodSeconds");
            sheet.field(0, "Termination Grace Period", format!("{grace}s"));
        }
        _ => sheet.field(0, "Status", phase),
    }
    for (title, key) in [
        ("Reason", "/status/reason"),
        ("Message", "/status/message"),
        ("SeccompProfile", "/spec/securityContext/seccompProfile/type"),
        ("LocalhostProfile", "/spec/securityContext/seccompProfile/localhostProfile"),
    ] {
        if let Some(value) = filled(pod, key) {
            sheet.field(0, title, value);
        }
    }
    sheet.field(0, "IP", text(pod, "/status/podIP"));
    let addresses = list(pod, "/status/podIPs");
    sheet.put(0, if addresses.is_empty() { "IPs:\t<none>\n" } else { "IPs:\n" });
    for address in addresses {
        sheet.field(1, "IP", text(address, "/ip"));
    }
}

fn pod_conditions(sheet: &mut Sheet, pod: &Value) {
    let conditions = list(pod, "/status/conditions");
    let gates = list(pod, "/spec/readinessGates");
    if !gates.is_empty() {
        sheet.put(0, "Readiness Gates:\n  Type\tStatus\n");
    }
    for gate in gates {
        let kind = text(gate, "/conditionType");
        let found = conditions.iter().find(|condition| text(condition, "/type") == kind);
        let status = found.map_or("<none>", |condition| text(condition, "/status"));
        sheet.put(1, format!("{kind} \t{status} \n"));
    }
    if !conditions.is_empty() {
        sheet.put(0, "Conditions:\n  Type\tStatus\n");
    }
    for condition in conditions {
        let (kind, status) = (text(condition, "/type"), text(condition, "/status"));
        sheet.put(1, format!("{kind} \t{status} \n"));
    }
}

/// Describes the pods that a workload makes.
pub fn template(sheet: &mut Sheet, template: &Value) {
    sheet.put(0, "Pod Template:\n");
    sheet.labels("  Labels", map(template, "/metadata/labels"));
    if let Some(annotations) = map(template, "/metadata/annotations").filter(|all| !all.is_empty())
    {
        sheet.annotations("  Annotations", Some(annotations));
    }
    if let Some(account) = filled(template, "/spec/serviceAccountName") {
        sheet.field(1, "Service Account", account);
    }
    let init = list(template, "/spec/initContainers");
    if !init.is_empty() {
        containers(sheet, ("Init Containers", "  "), init, &[], None);
    }
    let main = list(template, "/spec/containers");
    containers(sheet, ("Containers", "  "), main, &[], None);
    volumes(sheet, list(template, "/spec/volumes"), "  ");
    spread(sheet, list(template, "/spec/topologySpreadConstraints"), "  ");
    if let Some(class) = filled(template, "/spec/priorityClassName") {
        sheet.field(1, "Priority Class Name", class);
    }
    sheet.labels("  Node-Selectors", map(template, "/spec/nodeSelector"));
    tolerations(sheet, "  Tolerations", list(template, "/spec/tolerations"));
}

fn containers(
    sheet: &mut Sheet,
    (title, before): (&str, &str),
    containers: &[Value],
    statuses: &[Value],
    pod: Option<&Value>,
) {
    let none = if containers.is_empty() { " <none>" } else { "" };
    sheet.put(0, format!("{before}{title}:{none}\n"));
    for container in containers {
        let name = text(container, "/name");
        let status = statuses.iter().find(|status| text(status, "/name") == name);
        let blank = if before.is_empty() { "" } else { " " };
        sheet.put(1, format!("{blank}{name}:\n"));
        basics(sheet, container, status);
        words(sheet, "Command", list(container, "/command"));
        words(sheet, "Args", list(container, "/args"));
        if let Some(status) = status {
            container_state(sheet, "State", status.get("state").unwrap_or(&Value::Null));
            if let Some(last) =
                status.get("lastState").filter(|last| last.get("terminated").is_some())
            {
                container_state(sheet, "Last State", last);
            }
            sheet.field(2, "Ready", if is(status, "/ready") { "True" } else { "False" });
            sheet.field(2, "Restart Count", number(status, "/restartCount"));
        }
        amounts(sheet, container.get("resources").unwrap_or(&Value::Null), 2);
        for (title, key) in [
            ("Liveness", "livenessProbe"),
            ("Readiness", "readinessProbe"),
            ("Startup", "startupProbe"),
        ] {
            if let Some(probe) = container.get(key) {
                sheet.field(2, title, self::probe(probe));
            }
        }
        environment_from(sheet, list(container, "/envFrom"));
        environment(sheet, container, pod);
        volumes::mounts(sheet, container);
    }
}

fn basics(sheet: &mut Sheet, container: &Value, status: Option<&Value>) {
    if let Some(status) = status {
        sheet.field(2, "Container ID", text(status, "/containerID"));
    }
    sheet.field(2, "Image", text(container, "/image"));
    if let Some(status) = status {
        sheet.field(2, "Image ID", text(status, "/imageID"));
    }
    for (title, key) in [("Port", "/containerPort"), ("Host Port", "/hostPort")] {
        let ports: Vec<String> = list(container, "/ports")
            .iter()
            .map(|port| {
                let told = format!("{}/{}", number(port, key), text(port, "/protocol"));
                filled(port, "/name").map_or(told.clone(), |name| format!("{told} ({name})"))
            })
            .collect();
        match ports.as_slice() {
            [] => sheet.field(2, title, "<none>"),
            [one] => sheet.field(2, title, one),
            many => sheet.field(2, &format!("{title}s"), many.join(", ")),
        }
    }
    if let Some(profile) = filled(container, "/securityContext/seccompProfile/type") {
        sheet.field(2, "SeccompProfile", profile);
    }
    if let Some(file) = filled(container, "/securityContext/seccompProfile/localhostProfile") {
        sheet.field(3, "LocalhostProfile", file);
    }
}

fn words(sheet: &mut Sheet, title: &str, words: &[Value]) {
    if !words.is_empty() {
        sheet.put(2, format!("{title}:\n"));
    }
    for line in words.iter().filter_map(Value::as_str).flat_map(|word| word.split('\n')) {
        sheet.put(3, format!("{line}\n"));
    }
}

fn container_state(sheet: &mut Sheet, title: &str, state: &Value) {
    if let Some(running) = state.get("running") {
        sheet.field(2, title, "Running");
        sheet.field(3, "Started", moment(text(running, "/startedAt")));
    } else if let Some(ended) = state.get("terminated").filter(|_| state.get("waiting").is_none()) {
        sheet.field(2, title, "Terminated");
        for (title, key) in [("Reason", "/reason"), ("Message", "/message")] {
            if let Some(value) = filled(ended, key) {
                sheet.field(3, title, value);
            }
        }
        sheet.field(3, "Exit Code", number(ended, "/exitCode"));
        if number(ended, "/signal") > 0 {
            sheet.field(3, "Signal", number(ended, "/signal"));
        }
        sheet.field(3, "Started", moment(text(ended, "/startedAt")));
        sheet.field(3, "Finished", moment(text(ended, "/finishedAt")));
    } else {
        sheet.field(2, title, "Waiting");
        if let Some(reason) = filled(state, "/waiting/reason") {
            sheet.field(3, "Reason", reason);
        }
    }
}

fn amounts(sheet: &mut Sheet, resources: &Value, level: usize) {
    for (title, key) in [("Limits", "/limits"), ("Requests", "/requests")] {
        let mut all: Vec<(&String, &Value)> = map(resources, key).into_iter().flatten().collect();
        all.sort_by_key(|(name, _)| *name);
        if !all.is_empty() {
            sheet.put(level, format!("{title}:\n"));
        }
        for (name, amount) in all {
            sheet.field(level + 1, name, super::sheet::plain(amount));
        }
    }
}

fn probe(probe: &Value) -> String {
    let part = |key| number(probe, key);
    let attributes = format!(
        "delay={}s timeout={}s period={}s #success={} #failure={}",
        part("/initialDelaySeconds"),
        part("/timeoutSeconds"),
        part("/periodSeconds"),
        part("/successThreshold"),
        part("/failureThreshold")
    );
    if probe.get("exec").is_some() {
        let command = super::sheet::bracketed(probe, "/exec/command");
        return format!("exec {command} {attributes}");
    }
    if let Some(get) = probe.get("httpGet") {
        let scheme = text(get, "/scheme").to_lowercase();
        let (host, path) = (text(get, "/host"), text(get, "/path"));
        let port = told(get, "/port").unwrap_or_default();
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
        let path = escaped(path);
        return format!("http-get {scheme}://{host}:{port}{slash}{path} {attributes}");
    }
    if let Some(socket) = probe.get("tcpSocket") {
        let port = told(socket, "/port").unwrap_or_default();
        return format!("tcp-socket {}:{port} {attributes}", text(socket, "/host"));
    }
    if let Some(grpc) = probe.get("grpc") {
        let (port, service) = (number(grpc, "/port"), text(grpc, "/service"));
        return format!("grpc <pod>:{port} {service} {attributes}");
    }
    format!("unknown {attributes}")
}

/// A path as Go writes it in a URL.
fn escaped(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'_'
            | b'.'
            | b'~'
            | b'$'
            | b'&'
            | b'+'
            | b','
            | b'/'
            | b':'
            | b';'
            | b'='
            | b'@' => out.push(char::from(byte)),
            _ => out.extend(["%", &format!("{byte:02X}")]),
        }
    }
    out
}

fn environment_from(sheet: &mut Sheet, sources: &[Value]) {
    if !sources.is_empty() {
        sheet.put(2, "Environment Variables from:\n");
    }
    for source in sources {
        let (kind, part) = match (source.get("configMapRef"), source.get("secretRef")) {
            (Some(part), _) => ("ConfigMap", part),
            (None, Some(part)) => ("Secret", part),
            (None, None) => ("", &Value::Null),
        };
        let name = text(part, "/name");
        let prefix = filled(source, "/prefix");
        let prefix = prefix.map(|text| format!(" with prefix '{text}'")).unwrap_or_default();
        let optional = is(part, "/optional");
        sheet.put(3, format!("{name}\t{kind}{prefix}\tOptional: {optional}\n"));
    }
}

fn environment(sheet: &mut Sheet, container: &Value, pod: Option<&Value>) {
    let variables = list(container, "/env");
    let none = if variables.is_empty() { "\t<none>" } else { "" };
    sheet.put(2, format!("Environment:{none}\n"));
    for variable in variables {
        let name = text(variable, "/name");
        let Some(from) = variable.get("valueFrom") else {
            for (n, line) in text(variable, "/value").split('\n').enumerate() {
                let title = if n == 0 { format!("{name}:") } else { String::new() };
                sheet.put(3, format!("{title}\t{line}\n"));
            }
            continue;
        };
        let key = |of: &Value| {
            let (key, name) = (text(of, "/key").to_owned(), text(of, "/name").to_owned());
            (key, name, is(of, "/optional"))
        };
        if let Some(field) = from.get("fieldRef") {
            let (version, path) = (text(field, "/apiVersion"), text(field, "/fieldPath"));
            let value = pod.map(|pod| of_field(pod, path)).unwrap_or_default();
            sheet.field(3, name, format!("{value} ({version}:{path})"));
        } else if let Some(field) = from.get("resourceFieldRef") {
            let resource = text(field, "/resource");
            let value = of_resource(container, field);
            sheet.field(3, name, format!("{value} ({resource})"));
        } else if let Some(of) = from.get("secretKeyRef") {
            let (key, secret, optional) = key(of);
            let told = format!("<set to the key '{key}' in secret '{secret}'>");
            sheet.field(3, name, format!("{told}\tOptional: {optional}"));
        } else if let Some(of) = from.get("configMapKeyRef") {
            let (key, config, optional) = key(of);
            let told = format!("<set to the key '{key}' of config map '{config}'>");
            sheet.field(3, name, format!("{told}\tOptional: {optional}"));
        }
    }
}

/// What a variable gets from a field of its pod, of those that kubectl looks up.
fn of_field<'a>(pod: &'a Value, path: &str) -> &'a str {
    match path {
        "metadata.name" => text(pod, "/metadata/name"),
        "metadata.namespace" => text(pod, "/metadata/namespace"),
        _ => "",
    }
}

/// What a variable gets from the bounds of its container.
fn of_resource(container: &Value, field: &Value) -> String {
    let resource = text(field, "/resource");
    let (kind, name) = resource.split_once('.').unwrap_or((resource, ""));
    let amount = container.get("resources").and_then(|all| all.get(kind)?.get(name)?.as_str());
    let amount = amount.map_or(0, |amount| quantity(amount).0);
    let divisor = filled(field, "/divisor").map_or(0, |divisor| quantity(divisor).0);
    let divisor = if divisor > 0 { divisor } else { 1_000_000_000 };
    let value = (amount / divisor + i128::from(amount % divisor > 0)).to_string();
    if value == "0" && ["limits.cpu", "limits.memory"].contains(&resource) {
        return "node allocatable".to_owned();
    }
    value
}

fn tolerations(sheet: &mut Sheet, title: &str, tolerations: &[Value]) {
    let mut sorted: Vec<&Value> = tolerations.iter().collect();
    sorted.sort_by(|left, right| text(left, "/key").cmp(text(right, "/key")));
    let told = |toleration: &&Value| {
        let part = |key| text(toleration, key);
        let mut line = part("/key").to_owned();
        for (before, value) in [("=", part("/value")), (":", part("/effect"))] {
            if !value.is_empty() {
                line.extend([before, value]);
            }
        }
        if part("/operator") == "Exists" && part("/value").is_empty() {
            line.push_str(if line.is_empty() { "op=Exists" } else { " op=Exists" });
        }
        if let Some(seconds) = told(toleration, "/tolerationSeconds") {
            line.extend([" for ", &seconds, "s"]);
        }
        line
    };
    let lines: Vec<String> = sorted.iter().map(told).collect();
    sheet.lines("", title, &lines);
}

fn spread(sheet: &mut Sheet, constraints: &[Value], before: &str) {
    if constraints.is_empty() {
        return;
    }
    let mut sorted: Vec<&Value> = constraints.iter().collect();
    sorted.sort_by(|left, right| text(left, "/topologyKey").cmp(text(right, "/topologyKey")));
    let told = |constraint: &&Value| {
        let selector = constraint.get("labelSelector");
        let selector = selector.map(|of| format!(" for selector {}", selector_or_none(Some(of))));
        format!(
            "{}:{} when max skew {} is exceeded{}",
            text(constraint, "/topologyKey"),
            text(constraint, "/whenUnsatisfiable"),
            number(constraint, "/maxSkew"),
            selector.unwrap_or_default()
        )
    };
    let lines: Vec<String> = sorted.iter().map(told).collect();
    sheet.lines(before, "Topology Spread Constraints", &lines);
}
