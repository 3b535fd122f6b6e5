//! What a pod asks for as a whole, and what bounds it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::sheet::{list, map, plain, text};
use crate::deploy::kubectl::host::quantity::Quantity;

/// How resources in large pages begin.
pub const HUGE: &str = "hugepages-";

/// Amounts by resource.
pub type Amounts = BTreeMap<String, Quantity>;

/// Where requests, or limits, are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Bounds {
    /// What is asked for.
    Requests,
    /// What is not to be exceeded.
    Limits,
}

/// Both.
pub const BOUNDS: [Bounds; 2] = [Bounds::Requests, Bounds::Limits];

/// Whether what a pod has now counts too, or only what is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// As its maker wrote it.
    Written,
    /// As it is, where that is more.
    Now,
}

/// Reads amounts.
pub fn amounts(all: Option<&Map<String, Value>>) -> Amounts {
    let all = all.into_iter().flatten();
    all.map(|(resource, amount)| (resource.clone(), Quantity::read(&plain(amount)))).collect()
}

/// Adds amounts.
pub fn add(total: &mut Amounts, more: &Amounts) {
    for (resource, amount) in more {
        total.entry(resource.clone()).or_default().add(*amount);
    }
}

fn raise(total: &mut Amounts, other: Amounts) {
    for (resource, amount) in other {
        let known = total.entry(resource).or_insert(amount);
        *known = known.max(amount);
    }
}

/// What a pod as a whole asks for, or is bound by: its containers together, or the largest of those
/// that prepare it where that is more; its own word and its overhead.
pub fn of_pod(pod: &Value, bounds: Bounds, how: As) -> Amounts {
    let mut total = Amounts::new();
    for container in list(pod, "/spec/containers") {
        add(&mut total, &of_container(pod, container, bounds, how));
    }
    let (mut beside, mut before) = (Amounts::new(), Amounts::new());
    for container in list(pod, "/spec/initContainers") {
        let mut own = of_container(pod, container, bounds, how);
        if text(container, "/restartPolicy") == "Always" {
            add(&mut total, &own);
            add(&mut beside, &own);
            own.clone_from(&beside);
        } else {
            add(&mut own, &beside);
        }
        raise(&mut before, own);
    }
    raise(&mut total, before);
    let of_all = if bounds == Bounds::Requests { "requests" } else { "limits" };
    for (resource, amount) in amounts(map(pod, &format!("/spec/resources/{of_all}"))) {
        if ["cpu", "memory"].contains(&resource.as_str()) || resource.starts_with(HUGE) {
            total.insert(resource, amount);
        }
    }
    let mut overhead = amounts(map(pod, "/spec/overhead"));
    overhead.retain(|resource, _| bounds == Bounds::Requests || total.contains_key(resource));
    add(&mut total, &overhead);
    total
}

fn of_container(pod: &Value, container: &Value, bounds: Bounds, how: As) -> Amounts {
    let key = if bounds == Bounds::Requests { "requests" } else { "limits" };
    let mut own = amounts(map(container, &format!("/resources/{key}")));
    if how == As::Written {
        return own;
    }
    let name = text(container, "/name");
    let found = ["/status/containerStatuses", "/status/initContainerStatuses"]
        .into_iter()
        .flat_map(|key| list(pod, key))
        .find(|status| text(status, "/name") == name);
    let Some(status) = found else { return own };
    let pending = list(pod, "/status/conditions")
        .iter()
        .find(|condition| text(condition, "/type") == "PodResizePending");
    // A change that cannot be made does not count.
    let infeasible = pending.is_some_and(|pending| text(pending, "/reason") == "Infeasible");
    if let (true, Some(now)) = (infeasible, map(status, &format!("/resources/{key}"))) {
        own = amounts(Some(now));
    }
    raise(&mut own, amounts(map(status, &format!("/resources/{key}"))));
    if bounds == Bounds::Requests {
        raise(&mut own, amounts(map(status, "/allocatedResources")));
    }
    own
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_asks_for_the_most_that_it_ever_has_at_once() {
        let of = |cpu: &str| json!({"requests": {"cpu": cpu}, "limits": {"cpu": cpu}});
        let pod = json!({"spec": {
            "containers": [{"resources": of("100m")}, {"resources": of("200m")}],
            "initContainers": [
                {"resources": of("50m"), "restartPolicy": "Always"},
                {"resources": of("400m")},
            ],
            "overhead": {"cpu": "10m", "memory": "1Mi"},
        }});
        let told = |bounds| {
            let all = of_pod(&pod, bounds, As::Now).into_iter();
            all.map(|(resource, amount)| format!("{resource}={}", amount.text()))
                .collect::<Vec<_>>()
        };
        assert_eq!(told(Bounds::Requests), ["cpu=460m", "memory=1Mi"]);
        assert_eq!(told(Bounds::Limits), ["cpu=460m"]);
    }

    #[test]
    fn a_pod_that_is_being_resized_asks_for_the_larger() {
        let mut pod = json!({
            "spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": "1"}}}]},
            "status": {"containerStatuses": [
                {"name": "a", "resources": {"requests": {"cpu": "500m"}}},
            ]},
        });
        let asked = |pod: &Value, how| of_pod(pod, Bounds::Requests, how)["cpu"].text();
        assert_eq!(asked(&pod, As::Now), "1");
        pod["status"]["conditions"] = json!([{"type": "PodResizePending", "reason": "Infeasible"}]);
        assert_eq!(asked(&pod, As::Now), "500m");
        assert_eq!(asked(&pod, As::Written), "1");
    }
}
