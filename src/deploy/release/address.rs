//! Where the application answers, by its manifests; pure.

use serde_json::Value;

use super::plan::{list, text};

/// The first address that an Ingress, a route or a load balancer gives.
pub fn address(objects: &[&Value]) -> Option<String> {
    let of = |kind: &'static str| {
        objects.iter().copied().filter(move |object| text(object, "/kind") == kind)
    };
    of("Ingress")
        .find_map(ingress)
        .or_else(|| of("HTTPRoute").find_map(route))
        .or_else(|| of("Service").find_map(service))
}

fn ingress(object: &Value) -> Option<String> {
    let rules = list(object, "/spec/rules");
    let named = rules.iter().find(|rule| !text(rule, "/host").is_empty()).or(rules.first());
    let rule = named.unwrap_or(&Value::Null);
    // One for every host answers where its controller does.
    let host = match text(rule, "/host") {
        "" => given(object)?,
        host => host,
    };
    let is_secure = list(object, "/spec/tls").iter().any(|tls| {
        let hosts = list(tls, "/hosts");
        hosts.is_empty() || hosts.iter().any(|known| known == host)
    });
    let path = text(rule, "/http/paths/0/path").trim_end_matches('/');
    plain_host(host).then(|| {
        format!("{}://{host}{}", if is_secure { "https" } else { "http" }, plain_path(path))
    })
}

fn route(object: &Value) -> Option<String> {
    let host = list(object, "/spec/hostnames").first()?.as_str()?;
    plain_host(host).then(|| format!("https://{host}"))
}

/// What a controller or a cloud gave it.
fn given(object: &Value) -> Option<&str> {
    let given = list(object, "/status/loadBalancer/ingress").first()?;
    match text(given, "/hostname") {
        "" => Some(text(given, "/ip")),
        host => Some(host),
    }
}

fn service(object: &Value) -> Option<String> {
    let host = given(object)?;
    let port = object.pointer("/spec/ports/0/port").and_then(Value::as_i64)?;
    plain_host(host).then(|| match port {
        80 => format!("http://{host}"),
        443 => format!("https://{host}"),
        port => format!("http://{host}:{port}"),
    })
}

/// No pattern, and nothing that a dotenv file or a shell would take for something else.
fn plain_host(host: &str) -> bool {
    !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}

fn plain_path(path: &str) -> &str {
    let is_plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/-_.~".contains(c));
    if is_plain { path } else { "" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_ingress_says_more_than_a_service() {
        let ingress = json!({"kind": "Ingress", "spec": {"tls": [{"hosts": ["shop.example.com"]}],
            "rules": [{"host": "*.x"}, {"host": "shop.example.com", "http": {"paths": [{"path": "/app/"}]}}]}});
        let service = json!({"kind": "Service", "spec": {"ports": [{"port": 8080}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}});
        let plain = json!({"kind": "Ingress", "spec": {"rules": [{"host": "shop.example.com"}]}});
        let of = |objects: &[&Value]| address(objects);
        assert_eq!(of(&[&service]).as_deref(), Some("http://10.0.0.1:8080"));
        assert_eq!(of(&[&service, &plain]).as_deref(), Some("http://shop.example.com"));
        assert_eq!(of(&[&ingress]), None, "a pattern is no address");
        let open = json!({"kind": "Ingress", "spec": {"rules": [{"http": {"paths": [{"path": "/app"}]}}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}});
        assert_eq!(of(&[&service, &open]).as_deref(), Some("http://192.0.2.7/app"));
        let hostile = json!({"kind": "Ingress", "spec": {"rules": [{"host": "$(id)"}]}});
        assert_eq!(of(&[&hostile]), None);
    }
}
