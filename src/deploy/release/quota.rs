//! Whether a namespace's quotas leave room for what a deploy adds; a pure sum.

use std::collections::BTreeMap;

use serde_json::Value;

use super::plan::{list, text};
use super::resolve::{Thing, pod};

/// What objects take from a quota, by the quota's own names: `pods`, `requests.cpu`, `count/jobs.batch`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Demand(BTreeMap<String, f64>);

impl Demand {
    /// What a thing takes more than its live version does.
    pub fn of(thing: &Thing, live: Option<&Value>) -> Self {
        let mut demand = Self::default();
        if live.is_none() {
            let plural = &thing.mapping.plural;
            let count = match thing.mapping.group.as_str() {
                "" => {
                    demand.add(plural, 1.0);
                    format!("count/{plural}")
                }
                group => format!("count/{plural}.{group}"),
            };
            demand.add(&count, 1.0);
        }
        demand.pods(&thing.object, 1.0);
        if let Some(live) = live {
            demand.pods(live, -1.0);
        }
        demand
    }

    fn add(&mut self, key: &str, amount: f64) {
        *self.0.entry(key.to_owned()).or_default() += amount;
    }

    fn pods(&mut self, object: &Value, sign: f64) {
        let Some((pod, _)) = pod(object) else { return };
        let count = match text(object, "/kind") {
            "Pod" => 1.0,
            "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController" => {
                object.pointer("/spec/replicas").and_then(Value::as_f64).unwrap_or(1.0)
            }
            "Job" => object.pointer("/spec/parallelism").and_then(Value::as_f64).unwrap_or(1.0),
            // How many pods these make is the cluster's business.
            _ => return,
        } * sign;
        // A single pod is counted with the objects.
        if text(object, "/kind") != "Pod" {
            self.add("pods", count);
        }
        for (what, resource) in
            [("requests", "cpu"), ("requests", "memory"), ("limits", "cpu"), ("limits", "memory")]
        {
            let amount = pod_amount(pod, what, resource) * count;
            self.add(&format!("{what}.{resource}"), amount);
            if what == "requests" {
                self.add(resource, amount);
            }
        }
    }

    /// Adds another's.
    pub fn plus(&mut self, other: &Self) {
        for (key, amount) in &other.0 {
            self.add(key, *amount);
        }
    }
}

/// What a pod asks for: the sum of its containers, or the largest of its init containers.
fn pod_amount(pod: &Value, what: &str, resource: &str) -> f64 {
    let of = |container: &Value| {
        let amount = |what: &str| {
            let value = container.pointer(&format!("/resources/{what}/{resource}"))?;
            quantity(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        // A limit without a request is the request, too.
        amount(what).or_else(|| amount("limits")).unwrap_or(0.0)
    };
    let all: f64 = list(pod, "/spec/containers").iter().map(of).sum();
    list(pod, "/spec/initContainers").iter().map(of).fold(all, f64::max)
}

/// A Kubernetes quantity: `500m`, `1Gi`, `2`, `1e3`.
pub fn quantity(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && !".+-".contains(c)).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "Ki" => 1024.0,
        "Mi" => f64::from(1_u32 << 20),
        "Gi" => f64::from(1_u32 << 30),
        "Ti" => 1024.0 * f64::from(1_u32 << 30),
        _ => return text.parse().ok().filter(|number: &f64| number.is_finite()),
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

/// What a quota does not have room for: one sentence each.
pub fn judge(quotas: &[Value], demand: &Demand) -> Vec<String> {
    let mut sentences = Vec::new();
    for quota in quotas {
        // Quotas of a scope count some pods only; the server knows which.
        let is_scoped = !list(quota, "/spec/scopes").is_empty()
            || quota.pointer("/spec/scopeSelector").is_some();
        let Some(hard) = quota.pointer("/status/hard").and_then(Value::as_object) else { continue };
        if is_scoped {
            continue;
        }
        for (key, hard) in hard {
            let Some(&wanted) = demand.0.get(key) else { continue };
            let hard_text = hard.as_str().unwrap_or_default();
            let used_text = quota
                .pointer("/status/used")
                .and_then(|used| used.get(key)?.as_str())
                .unwrap_or("0");
            let (Some(hard), Some(used)) = (quantity(hard_text), quantity(used_text)) else {
                continue;
            };
            if wanted > 0.0 && used + wanted > hard + 1e-9 {
                let name = text(quota, "/metadata/name");
                sentences.push(format!(
                    "quota `{name}` allows {hard_text} of {key}, {used_text} are used, and this deploy adds {}",
                    amount(key, wanted)
                ));
            }
        }
    }
    sentences
}

/// An amount in the unit that people write for it.
fn amount(key: &str, amount: f64) -> String {
    if key.ends_with("memory") {
        return format!("{:.0}Mi", amount / f64::from(1_u32 << 20));
    }
    if key.ends_with("cpu") { format!("{:.0}m", amount * 1e3) } else { format!("{amount:.0}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::deploy::release::desk::known;
    use crate::deploy::release::waves::Wave;

    fn thing(object: Value, plural: &str, group: &str) -> Thing {
        let kind = text(&object, "/kind").to_owned();
        Thing {
            index: 0,
            mapping: known(group, "v1", &kind, plural),
            namespace: "shop".to_owned(),
            name: "a".to_owned(),
            wave: Wave::Workloads,
            is_undefined: false,
            object,
        }
    }

    #[test]
    fn quantities_are_read() {
        for (text, expected) in [
            ("500m", 0.5),
            ("1Gi", 1_073_741_824.0),
            ("2", 2.0),
            ("1.5k", 1500.0),
            ("1e3", 1000.0),
            ("64Mi", 67_108_864.0),
        ] {
            assert_eq!(quantity(text), Some(expected), "{text}");
        }
        assert_eq!(quantity("x"), None);
    }

    #[test]
    fn what_is_added_beyond_a_quota_is_told() {
        let deployment = |replicas: u32| {
            json!({"kind": "Deployment", "spec": {"replicas": replicas, "template": {"spec": {
                "containers": [{"resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "128Mi"}}}]}}}})
        };
        let new = thing(deployment(4), "deployments", "apps");
        let quota = |hard: Value, used: Value| {
            vec![json!({"metadata": {"name": "q"}, "status": {"hard": hard, "used": used}})]
        };
        let demand = Demand::of(&new, None);
        assert_eq!(
            judge(&quota(json!({"pods": "5"}), json!({"pods": "2"})), &demand),
            ["quota `q` allows 5 of pods, 2 are used, and this deploy adds 4"]
        );
        assert_eq!(
            judge(
                &quota(json!({"requests.cpu": "1", "requests.memory": "1Gi"}), json!({})),
                &demand
            ),
            ["quota `q` allows 1 of requests.cpu, 0 are used, and this deploy adds 2000m"]
        );
        // What is there already is not added again.
        let update = Demand::of(&new, Some(&deployment(3)));
        assert!(
            judge(
                &quota(
                    json!({"pods": "5", "count/deployments.apps": "1"}),
                    json!({"pods": "4", "count/deployments.apps": "1"})
                ),
                &update
            )
            .is_empty()
        );
        let count =
            quota(json!({"count/deployments.apps": "1"}), json!({"count/deployments.apps": "1"}));
        assert_eq!(judge(&count, &demand).len(), 1);
    }
}
