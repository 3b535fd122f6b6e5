//! Services, ingresses and network policies, described.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::sheet::{Sheet, filled, joined, list, map, number, selector_or_none, text, texts, told};

/// How many endpoints are named.
const MAX_ENDPOINTS: usize = 3;

/// By name of a service: its slices and itself, or why they are not known.
pub type Backends = BTreeMap<String, Result<(Vec<Value>, Value), String>>;

/// Describes a service.
pub fn service(sheet: &mut Sheet, object: &Value, slices: &[Value]) {
    let or_none = |text: String| if text.is_empty() { "<none>".to_owned() } else { text };
    sheet.names(object);
    sheet.marks(object);
    sheet.field(0, "Selector", joined(map(object, "/spec/selector")));
    sheet.field(0, "Type", text(object, "/spec/type"));
    if let Some(policy) = told(object, "/spec/ipFamilyPolicy") {
        sheet.field(0, "IP Family Policy", policy);
    }
    sheet.field(0, "IP Families", or_none(texts(object, "/spec/ipFamilies").join(",")));
    sheet.field(0, "IP", text(object, "/spec/clusterIP"));
    sheet.field(0, "IPs", or_none(texts(object, "/spec/clusterIPs").join(",")));
    let external = texts(object, "/spec/externalIPs");
    if !external.is_empty() {
        sheet.field(0, "External IPs", external.join(","));
    }
    for (title, key) in [
        ("Desired LoadBalancer IP", "/spec/loadBalancerIP"),
        ("External Name", "/spec/externalName"),
    ] {
        if let Some(value) = filled(object, key) {
            sheet.field(0, title, value);
        }
    }
    let balanced = list(object, "/status/loadBalancer/ingress");
    if !balanced.is_empty() {
        let told = balanced.iter().map(|one| match filled(one, "/ip") {
            Some(ip) => match filled(one, "/ipMode") {
                Some(mode) => format!("{ip} ({mode})"),
                None => ip.to_owned(),
            },
            None => text(one, "/hostname").to_owned(),
        });
        sheet.field(0, "LoadBalancer Ingress", told.collect::<Vec<_>>().join(", "));
    }
    for port in list(object, "/spec/ports") {
        service_port(sheet, port, slices);
    }
    sheet.field(0, "Session Affinity", text(object, "/spec/sessionAffinity"));
    for (title, key) in [
        ("External Traffic Policy", "/spec/externalTrafficPolicy"),
        ("Internal Traffic Policy", "/spec/internalTrafficPolicy"),
        ("HealthCheck NodePort", "/spec/healthCheckNodePort"),
    ] {
        if let Some(value) = told(object, key).filter(|value| !value.is_empty()) {
            sheet.field(0, title, value);
        }
    }
    let ranges = texts(object, "/spec/loadBalancerSourceRanges");
    if !ranges.is_empty() {
        sheet.field(0, "LoadBalancer Source Ranges", ranges.join(","));
    }
    if let Some(value) = filled(object, "/spec/trafficDistribution") {
        sheet.field(0, "Traffic Distribution", value);
    }
}

fn service_port(sheet: &mut Sheet, port: &Value, slices: &[Value]) {
    let name = filled(port, "/name").unwrap_or("<unset>");
    let protocol = text(port, "/protocol");
    sheet.field(0, "Port", format!("{name}\t{}/{protocol}", number(port, "/port")));
    let target = told(port, "/targetPort").unwrap_or_else(|| "0".to_owned());
    sheet.field(0, "TargetPort", format!("{target}/{protocol}"));
    if let Some(value) = told(port, "/appProtocol") {
        sheet.field(0, "AppProtocol", value);
    }
    if number(port, "/nodePort") != 0 {
        sheet.field(0, "NodePort", format!("{name}\t{}/{protocol}", number(port, "/nodePort")));
    }
    sheet.field(0, "Endpoints", endpoints(slices, text(port, "/name")));
}

/// The first few addresses that are ready behind a port.
fn endpoints(slices: &[Value], port_name: &str) -> String {
    if slices.is_empty() {
        return "<none>".to_owned();
    }
    let (mut named, mut count, mut more) = (Vec::new(), 0, false);
    for slice in slices {
        let ports = list(slice, "/ports");
        let shown: Vec<Option<&Value>> = if ports.is_empty() {
            vec![None]
        } else {
            ports.iter().filter(|port| text(port, "/name") == port_name).map(Some).collect()
        };
        for port in shown {
            for endpoint in list(slice, "/endpoints") {
                more |= named.len() == MAX_ENDPOINTS;
                if endpoint.pointer("/conditions/ready") == Some(&Value::Bool(false)) {
                    continue;
                }
                let address = texts(endpoint, "/addresses").first().copied().unwrap_or_default();
                if !more {
                    named.push(match port {
                        None => address.to_owned(),
                        Some(port) if address.contains(':') => {
                            format!("[{address}]:{}", number(port, "/port"))
                        }
                        Some(port) => format!("{address}:{}", number(port, "/port")),
                    });
                }
                count += 1;
            }
        }
    }
    let told = named.join(",");
    if more { format!("{told} + {} more...", count - MAX_ENDPOINTS) } else { told }
}

/// The services that an ingress names.
pub fn services(ingress: &Value) -> Vec<&str> {
    let mut names = Vec::new();
    names.extend(filled(ingress, "/spec/defaultBackend/service/name"));
    for rule in list(ingress, "/spec/rules") {
        let paths = list(rule, "/http/paths").iter();
        names.extend(paths.filter_map(|path| filled(path, "/backend/service/name")));
    }
    names
}

/// Describes an ingress and what stands behind it.
pub fn ingress(sheet: &mut Sheet, object: &Value, backends: &Backends) {
    sheet.field(0, "Name", text(object, "/metadata/name"));
    sheet.labels("Labels", map(object, "/metadata/labels"));
    sheet.field(0, "Namespace", text(object, "/metadata/namespace"));
    let addresses: BTreeSet<&str> = list(object, "/status/loadBalancer/ingress")
        .iter()
        .filter_map(|one| filled(one, "/ip").or_else(|| filled(one, "/hostname")))
        .collect();
    sheet.field(0, "Address", addresses.into_iter().collect::<Vec<_>>().join(","));
    let class = told(object, "/spec/ingressClassName").unwrap_or_else(|| "<none>".to_owned());
    sheet.field(0, "Ingress Class", class);
    let default = object.pointer("/spec/defaultBackend");
    let default = default.map_or_else(|| "<default>".to_owned(), |one| backend(one, backends));
    sheet.field(0, "Default backend", &default);
    let tls = list(object, "/spec/tls");
    if !tls.is_empty() {
        sheet.put(0, "TLS:\n");
    }
    for one in tls {
        let hosts = texts(one, "/hosts").join(",");
        sheet.put(
            1,
            match filled(one, "/secretName") {
                Some(secret) => format!("{secret} terminates {hosts}\n"),
                None => format!("SNI routes {hosts}\n"),
            },
        );
    }
    sheet.put(0, "Rules:\n  Host\tPath\tBackends\n");
    sheet.put(1, "----\t----\t--------\n");
    let rules: Vec<&Value> = list(object, "/spec/rules")
        .iter()
        .filter(|rule| rule.get("http").is_some_and(Value::is_object))
        .collect();
    for rule in &rules {
        sheet.put(1, format!("{}\t\n", filled(rule, "/host").unwrap_or("*")));
        for path in list(rule, "/http/paths") {
            let behind = backend(path.get("backend").unwrap_or(&Value::Null), backends);
            sheet.put(2, format!("\t{} \t{behind}\n", text(path, "/path")));
        }
    }
    if rules.is_empty() {
        sheet.put(1, format!("*\t*\t{default}\n"));
    }
    sheet.annotations("Annotations", map(object, "/metadata/annotations"));
}

fn backend(backend: &Value, backends: &Backends) -> String {
    if let Some(service) = backend.get("service") {
        let name = text(service, "/name");
        let wanted = number(service, "/port/number");
        let wanted_name = text(service, "/port/name");
        let port = if wanted == 0 { wanted_name.to_owned() } else { wanted.to_string() };
        let (slices, object) = match backends.get(name) {
            Some(Ok(both)) => both,
            Some(Err(why)) => return format!("{name}:{port} (<error: {why}>)"),
            None => return format!("{name}:{port} ()"),
        };
        let fits = |one: &&Value| {
            (wanted != 0 && number(one, "/port") == wanted)
                || (!wanted_name.is_empty() && text(one, "/name") == wanted_name)
        };
        let found = list(object, "/spec/ports").iter().rfind(fits);
        let port_name = found.map_or("", |one| text(one, "/name"));
        return format!("{name}:{port} ({})", endpoints(slices, port_name));
    }
    if let Some(resource) = backend.get("resource") {
        let group = told(resource, "/apiGroup").unwrap_or_else(|| "<none>".to_owned());
        let (kind, name) = (text(resource, "/kind"), text(resource, "/name"));
        return format!("APIGroup: {group}, Kind: {kind}, Name: {name}");
    }
    String::new()
}

/// Describes a network policy.
pub fn policy(sheet: &mut Sheet, object: &Value) {
    sheet.names(object);
    let created = text(object, "/metadata/creationTimestamp");
    let created = created.parse::<jiff::Timestamp>().map_or_else(
        |_| "0001-01-01 00:00:00 +0000 UTC".to_owned(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string(),
    );
    sheet.field(0, "Created on", created);
    sheet.marks(object);
    sheet.put(0, "Spec:\n");
    sheet.put(1, "PodSelector: ");
    let pods = object.pointer("/spec/podSelector");
    let selector = selector_or_none(pods);
    let note = if selector == "<none>" {
        " (Allowing the specific traffic to all pods in this namespace)"
    } else {
        ""
    };
    sheet.put(2, format!("{selector}{note}\n"));
    let kinds = texts(object, "/spec/policyTypes");
    for (kind, key, way) in [
        ("Ingress", "/spec/ingress", ("ingress", "from", "From", "source")),
        ("Egress", "/spec/egress", ("egress", "to", "To", "destination")),
    ] {
        if kinds.contains(&kind) {
            sheet.put(1, format!("Allowing {} traffic:\n", way.0));
            traffic(sheet, list(object, key), way);
        } else {
            sheet.put(1, format!("Not affecting {} traffic\n", way.0));
        }
    }
    let kinds = if kinds.is_empty() { "<none>".to_owned() } else { kinds.join(", ") };
    sheet.put(1, format!("Policy Types: {kinds}\n"));
}

fn traffic(sheet: &mut Sheet, rules: &[Value], (name, key, title, end): (&str, &str, &str, &str)) {
    if rules.is_empty() {
        sheet.put(2, format!("<none> (Selected pods are isolated for {name} connectivity)\n"));
    }
    for (n, rule) in rules.iter().enumerate() {
        let ports = list(rule, "/ports");
        if ports.is_empty() {
            sheet.put(2, "To Port: <any> (traffic allowed to all ports)\n");
        }
        for port in ports {
            let protocol = filled(port, "/protocol").unwrap_or("TCP");
            let number = told(port, "/port").unwrap_or_else(|| "<nil>".to_owned());
            sheet.put(
                2,
                match told(port, "/endPort") {
                    Some(last) => format!("To Port Range: {number}-{last}/{protocol}\n"),
                    None => format!("To Port: {number}/{protocol}\n"),
                },
            );
        }
        let peers = list(rule, &format!("/{key}"));
        if peers.is_empty() {
            sheet.put(2, format!("{title}: <any> (traffic not restricted by {end})\n"));
        }
        for peer in peers {
            sheet.put(2, format!("{title}:\n"));
            for (title, key) in
                [("NamespaceSelector", "namespaceSelector"), ("PodSelector", "podSelector")]
            {
                if let Some(of) = peer.get(key) {
                    sheet.put(3, format!("{title}: {}\n", selector_or_none(Some(of))));
                }
            }
            if let Some(block) = peer.get("ipBlock") {
                sheet.put(3, "IPBlock:\n");
                sheet.put(4, format!("CIDR: {}\n", text(block, "/cidr")));
                sheet.put(4, format!("Except: {}\n", texts(block, "/except").join(", ")));
            }
        }
        if n + 1 < rules.len() {
            sheet.put(2, "----------\n");
        }
    }
}

/// Describes endpoints of the older kind.
pub fn endpoints_of(sheet: &mut Sheet, object: &Value) {
    sheet.names(object);
    sheet.marks(object);
    sheet.put(0, "Subsets:\n");
    for subset in list(object, "/subsets") {
        for (title, key) in
            [("Addresses", "/addresses"), ("NotReadyAddresses", "/notReadyAddresses")]
        {
            let all: Vec<&str> = list(subset, key).iter().map(|one| text(one, "/ip")).collect();
            sheet.field(1, title, if all.is_empty() { "<none>".to_owned() } else { all.join(",") });
        }
        let ports = list(subset, "/ports");
        if !ports.is_empty() {
            sheet.put(1, "Ports:\n");
            sheet.put(2, "Name\tPort\tProtocol\n");
            sheet.put(2, "----\t----\t--------\n");
        }
        for port in ports {
            let name = filled(port, "/name").unwrap_or("<unset>");
            let (number, protocol) = (number(port, "/port"), text(port, "/protocol"));
            sheet.put(2, format!("{name}\t{number}\t{protocol}\n"));
        }
        sheet.put(0, "\n");
    }
}

/// Describes an endpoint slice.
pub fn slice(sheet: &mut Sheet, object: &Value) {
    let or_unset = |value: Option<String>| value.unwrap_or_else(|| "<unset>".to_owned());
    sheet.names(object);
    sheet.marks(object);
    sheet.field(0, "AddressType", text(object, "/addressType"));
    let ports = list(object, "/ports");
    if ports.is_empty() {
        sheet.put(0, "Ports: <unset>\n");
    } else {
        sheet.put(0, "Ports:\n");
        sheet.put(1, "Name\tPort\tProtocol\n");
        sheet.put(1, "----\t----\t--------\n");
    }
    for port in ports {
        let name = filled(port, "/name").unwrap_or("<unset>");
        let (number, protocol) = (or_unset(told(port, "/port")), text(port, "/protocol"));
        sheet.put(1, format!("{name}\t{number}\t{protocol}\n"));
    }
    let all = list(object, "/endpoints");
    sheet.put(0, if all.is_empty() { "Endpoints: <none>\n" } else { "Endpoints:\n" });
    for endpoint in all {
        let addresses = texts(endpoint, "/addresses").join(", ");
        let addresses = if addresses.is_empty() { "<none>" } else { &addresses };
        sheet.put(1, format!("- Addresses:\t{addresses}\n"));
        sheet.put(2, "Conditions:\n");
        sheet.field(3, "Ready", or_unset(told(endpoint, "/conditions/ready")));
        sheet.field(2, "Hostname", or_unset(told(endpoint, "/hostname")));
        if let Some(target) = endpoint.get("targetRef") {
            let target = format!("{}/{}", text(target, "/kind"), text(target, "/name"));
            sheet.field(2, "TargetRef", target);
        }
        sheet.field(2, "NodeName", or_unset(told(endpoint, "/nodeName")));
        sheet.field(2, "Zone", or_unset(told(endpoint, "/zone")));
    }
}
