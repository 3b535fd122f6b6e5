//! Autoscalers, disruption budgets and priorities, described.

use serde_json::Value;

use super::sheet::{Sheet, is, joined, list, map, moment, number, selector_or_none, text, told};

/// Describes a `HorizontalPodAutoscaler`.
pub fn autoscaler(sheet: &mut Sheet, object: &Value) {
    sheet.names(object);
    sheet.marks(object);
    sheet.field(0, "CreationTimestamp", moment(text(object, "/metadata/creationTimestamp")));
    let kind = text(object, "/spec/scaleTargetRef/kind");
    let name = text(object, "/spec/scaleTargetRef/name");
    sheet.field(0, "Reference", format!("{kind}/{name}"));
    sheet.field(0, "Metrics", "( current / target )");
    for (n, metric) in list(object, "/spec/metrics").iter().enumerate() {
        let current = list(object, "/status/currentMetrics").get(n).unwrap_or(&Value::Null);
        self::metric(sheet, metric, current);
    }
    let least = told(object, "/spec/minReplicas").unwrap_or_else(|| "<unset>".to_owned());
    sheet.field(0, "Min replicas", least);
    sheet.field(0, "Max replicas", number(object, "/spec/maxReplicas"));
    if let Some(behavior) = object.pointer("/spec/behavior") {
        sheet.put(0, "Behavior:\n");
        direction(sheet, "Scale Up", behavior.get("scaleUp"));
        direction(sheet, "Scale Down", behavior.get("scaleDown"));
    }
    let current = number(object, "/status/currentReplicas");
    let desired = number(object, "/status/desiredReplicas");
    sheet.put(0, format!("{kind} pods:\t{current} current / {desired} desired\n"));
    let conditions = list(object, "/status/conditions");
    if !conditions.is_empty() {
        sheet.put(0, "Conditions:\n");
        sheet.put(1, "Type\tStatus\tReason\tMessage\n");
        sheet.put(1, "----\t------\t------\t-------\n");
    }
    for condition in conditions {
        let part = |key| text(condition, key);
        let (kind, status) = (part("/type"), part("/status"));
        sheet.put(1, format!("{kind}\t{status}\t{}\t{}\n", part("/reason"), part("/message")));
    }
}

fn metric(sheet: &mut Sheet, metric: &Value, current: &Value) {
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "<unknown>".to_owned());
    let both = |part: &str, value: &str| {
        let target = told(metric, &format!("/{part}/target/{value}"));
        let current = told(current, &format!("/{part}/current/{value}"));
        format!("{} / {}", or_unknown(current), target.unwrap_or_else(|| "<nil>".to_owned()))
    };
    let has_average =
        |part: &str| metric.pointer(&format!("/{part}/target/averageValue")).is_some();
    match text(metric, "/type") {
        "External" => {
            let name = text(metric, "/external/metric/name");
            let (title, value) = if has_average("external") {
                ("target average value", "averageValue")
            } else {
                ("target value", "value")
            };
            sheet.put(1, format!("{name:?} ({title}):\t{}\n", both("external", value)));
        }
        "Pods" => {
            let name = text(metric, "/pods/metric/name");
            sheet.put(1, format!("{name:?} on pods:\t{}\n", both("pods", "averageValue")));
        }
        "Object" => {
            let name = text(metric, "/object/metric/name");
            let kind = text(metric, "/object/describedObject/kind");
            let object = text(metric, "/object/describedObject/name");
            let (title, value) = if text(metric, "/object/target/type") == "AverageValue" {
                ("target average value", "averageValue")
            } else {
                ("target value", "value")
            };
            let both = both("object", value);
            sheet.put(1, format!("\"{name}\" on {kind}/{object} ({title}):\t{both}\n"));
        }
        kind @ ("Resource" | "ContainerResource") => {
            let (part, of) = if kind == "Resource" {
                ("resource", String::new())
            } else {
                let container = text(metric, "/containerResource/container");
                ("containerResource", format!(" of container \"{container}\""))
            };
            let name = text(metric, &format!("/{part}/name"));
            sheet.put(1, format!("resource {name}{of} on pods"));
            if has_average(part) {
                sheet.put(0, format!(":\t{}\n", both(part, "averageValue")));
                return;
            }
            let used = told(current, &format!("/{part}/current/averageUtilization"));
            let used = used.map(|percent| {
                let value = told(current, &format!("/{part}/current/averageValue"));
                format!("{percent}% ({})", value.unwrap_or_else(|| "0".to_owned()))
            });
            let target = told(metric, &format!("/{part}/target/averageUtilization"));
            let target =
                target.map_or_else(|| "<auto>".to_owned(), |percent| format!("{percent}%"));
            let used = or_unknown(used);
            sheet.put(1, format!("(as a percentage of request):\t{used} / {target}\n"));
        }
        other => sheet.put(1, format!("<unknown metric type {other:?}>\n")),
    }
}

fn direction(sheet: &mut Sheet, title: &str, rules: Option<&Value>) {
    let Some(rules) = rules.filter(|rules| rules.is_object()) else { return };
    sheet.put(1, format!("{title}:\n"));
    if let Some(window) = told(rules, "/stabilizationWindowSeconds") {
        sheet.put(2, format!("Stabilization Window: {window} seconds\n"));
    }
    let policies = list(rules, "/policies");
    if policies.is_empty() {
        return;
    }
    let chosen = told(rules, "/selectPolicy").unwrap_or_else(|| "Max".to_owned());
    sheet.put(2, format!("Select Policy: {chosen}\n"));
    sheet.put(2, "Policies:\n");
    for policy in policies {
        let kind = text(policy, "/type");
        let (value, period) = (number(policy, "/value"), number(policy, "/periodSeconds"));
        sheet.put(3, format!("- Type: {kind}\tValue: {value}\tPeriod: {period} seconds\n"));
    }
}

/// Describes a `PodDisruptionBudget`.
pub fn disruption_budget(sheet: &mut Sheet, object: &Value) {
    sheet.names(object);
    if let Some(least) = told(object, "/spec/minAvailable") {
        sheet.field(0, "Min available", least);
    } else if let Some(most) = told(object, "/spec/maxUnavailable") {
        sheet.field(0, "Max unavailable", most);
    }
    match object.pointer("/spec/selector") {
        Some(selector) => sheet.field(0, "Selector", selector_or_none(Some(selector))),
        None => sheet.field(0, "Selector", "<unset>"),
    }
    sheet.put(0, "Status:\n");
    for (title, key) in [
        ("Allowed disruptions", "/status/disruptionsAllowed"),
        ("Current", "/status/currentHealthy"),
        ("Desired", "/status/desiredHealthy"),
        ("Total", "/status/expectedPods"),
    ] {
        sheet.field(2, title, number(object, key));
    }
}

/// Describes a `PriorityClass`.
pub fn priority_class(sheet: &mut Sheet, object: &Value) {
    sheet.field(0, "Name", text(object, "/metadata/name"));
    sheet.field(0, "Value", number(object, "/value"));
    sheet.field(0, "GlobalDefault", is(object, "/globalDefault"));
    sheet.field(0, "PreemptionPolicy", text(object, "/preemptionPolicy"));
    sheet.field(0, "Description", text(object, "/description"));
    sheet.field(0, "Annotations", joined(map(object, "/metadata/annotations")));
}
