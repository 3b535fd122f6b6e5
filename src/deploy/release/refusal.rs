//! The server's refusal of an object, as findings: which field, why, and the way out. Pure.

use serde_json::Value;

use super::event::{Finding, Topic};
use super::owners;
use super::resolve::Thing;
use crate::deploy::cluster::{Failure, Status};

/// What a failure to apply an object means.
pub fn findings(thing: &Thing, failure: &Failure) -> Vec<Finding> {
    let error = |topic, path: &str, text: String| Finding::error(topic, thing.index, path, text);
    let Some(status) = failure.status() else {
        return vec![error(Topic::Manifest, "", sentence(failure))];
    };
    if status.reason == "Invalid" && !status.causes.is_empty() {
        return status.causes.iter().map(|cause| invalid(thing, cause)).collect();
    }
    let message = short(&status.message);
    match status.code {
        400 | 422 | 500 => malformed(thing, status),
        403 => vec![forbidden(thing, &message)],
        _ => vec![error(Topic::Admission, "", format!("{}: {message}", thing.told()))],
    }
}

/// One sentence for a failure that is about no field.
pub fn sentence(failure: &Failure) -> String {
    match failure {
        Failure::Status(status) => short(&status.message),
        Failure::Refused { host } => format!("nothing listens at {host}"),
        Failure::Cancelled => "interrupted".to_owned(),
        Failure::Fenced(why) => format!("the platform does not allow it: {why}"),
        Failure::Network(text) | Failure::Malformed(text) => text.clone(),
    }
}

fn invalid(thing: &Thing, cause: &crate::deploy::cluster::Cause) -> Finding {
    let (_, path) = owners::look_up(&thing.object, &cause.field);
    let message = cause.message.as_str();
    let is_immutable = ["immutable", "may not be changed", "updates to", "may not change"]
        .iter()
        .any(|word| message.contains(word));
    let kind = &thing.mapping.kind;
    if !is_immutable {
        let text = format!("`{}` of {kind} `{}`: {}", cause.field, thing.name, short(message));
        return Finding::error(Topic::Manifest, thing.index, &path, text);
    }
    let field = if cause.field.is_empty() || cause.field == "spec" {
        "a field of `spec`".to_owned()
    } else {
        format!("`{}`", cause.field)
    };
    let text = format!("{field} of {kind} `{}` cannot be changed once it is there", thing.name);
    let namespace =
        if thing.namespace.is_empty() { String::new() } else { format!(" -n {}", thing.namespace) };
    let deletion = format!("kubectl delete {} {}{namespace}", kind.to_lowercase(), thing.name);
    let hint = match kind.as_str() {
        "Job" => format!("give the Job a new name for each run, or delete it first: {deletion}"),
        "Deployment" | "StatefulSet" | "DaemonSet" => format!(
            "leave the field as it is, give the {kind} a new name, or delete it first (its pods stop): {deletion}"
        ),
        _ => format!("leave the field as it is, or delete the {kind} first: {deletion}"),
    };
    Finding::error(Topic::Immutable, thing.index, &path, text).hint(hint)
}

/// Fields that are none, or of another type: all that the server names.
fn malformed(thing: &Thing, status: &Status) -> Vec<Finding> {
    let message = &status.message;
    // `strict decoding error: unknown field "spec.replicsa", unknown field "spec.x"`
    let unknown =
        message.split("unknown field \"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut found: Vec<Finding> = unknown.map(|field| undeclared(thing, field)).collect();
    // `… Kind=Deployment): .spec.replicas: expected numeric (int or float), got string`, or
    // `errors:` and a line for each
    let typed = message.split("Kind=").nth(1).and_then(|rest| rest.split_once("): "));
    let lines = typed.iter().flat_map(|(_, rest)| rest.lines());
    found.extend(lines.filter_map(|line| line.trim().split_once(": ")).map(|(field, what)| {
        if what.starts_with("field not declared in schema") {
            undeclared(thing, field)
        } else {
            mistyped(thing, field, what)
        }
    }));
    if found.is_empty() {
        let topic = if status.code == 500 { Topic::Admission } else { Topic::Manifest };
        let text = format!("{} `{}`: {}", thing.mapping.kind, thing.name, short(message));
        found.push(Finding::error(topic, thing.index, "", text));
    }
    found
}

fn undeclared(thing: &Thing, field: &str) -> Finding {
    let (_, path) = owners::look_up(&thing.object, field);
    let (kind, field) = (&thing.mapping.kind, field.trim_start_matches('.'));
    let text = format!("{kind} `{}` has a field that there is not: `{field}`", thing.name);
    let hint =
        format!("check its spelling and its place: kubectl explain {}", thing.mapping.plural);
    Finding::error(Topic::Manifest, thing.index, &path, text).hint(hint)
}

/// `what` is the server's `expected string, got &value.valueUnstructured{Value:8080}`.
fn mistyped(thing: &Thing, field: &str, what: &str) -> Finding {
    let (value, path) = owners::look_up(&thing.object, field);
    let (expected, got) = what.split_once(", got ").unwrap_or((what, ""));
    let value = value.filter(|value| !value.is_object() && !value.is_array());
    let got = match &value {
        Some(value) => format!(", got `{value}`"),
        None if got.starts_with('&') || got.is_empty() => String::new(),
        None => format!(", got {got}"),
    };
    let (kind, field) = (&thing.mapping.kind, field.trim_start_matches('.'));
    let text = format!("`{field}` of {kind} `{}`: {}{got}", thing.name, short(expected));
    let finding = Finding::error(Topic::Manifest, thing.index, &path, text);
    match value {
        Some(Value::Bool(_)) if expected == "expected string" => finding.hint(
            "put it in quotes: without them YAML reads y, yes, on and true as one, n, no, off and false \
             as the other",
        ),
        Some(Value::Number(number)) if expected == "expected string" => {
            finding.hint(format!("put it in quotes: \"{number}\""))
        }
        _ => finding,
    }
}

fn forbidden(thing: &Thing, message: &str) -> Finding {
    let error = |topic, text: String| Finding::error(topic, thing.index, "/kind", text);
    let told = thing.told();
    if message.contains("exceeded quota") || message.contains("failed quota") {
        let what = message.split_once("forbidden: ").map_or(message, |(_, rest)| rest);
        return error(Topic::Quota, format!("{told}: {what}"))
            .hint("ask for less in the manifest, or have the quota raised");
    }
    if let Some((_, what)) = message.split_once("violates PodSecurity ") {
        return error(Topic::Admission, format!("{told} violates pod security {what}"))
            .hint("set what is named in the pod's securityContext");
    }
    if message.contains(" cannot ") && message.contains("resource") {
        return error(Topic::Rights, message.to_owned());
    }
    error(Topic::Admission, format!("{told}: {message}"))
}

/// A message without the values that Go prints of whole objects.
fn short(message: &str) -> String {
    let message = message.replace('\n', " ");
    if message.chars().count() <= 400 {
        return message;
    }
    let start: String = message.chars().take(180).collect();
    let n = message.chars().count();
    let end: String = message.chars().skip(n - 180).collect();
    format!("{start} … {end}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::deploy::release::desk::known;
    use crate::deploy::release::waves::Wave;

    fn thing() -> Thing {
        Thing {
            index: 3,
            mapping: known("apps", "v1", "Deployment", "deployments"),
            object: json!({"kind": "Deployment", "spec": {"replicas": "x", "selector": {}, "replicsa": 1,
                "template": {"spec": {"containers": [{"name": "a", "imag": "i"}]}}}}),
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            wave: Wave::Workloads,
            is_undefined: false,
        }
    }

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "written in place")]
    fn check(code: u16, body: Value, topic: Topic, path: &str, told: &str) {
        let failure = Failure::Status(Box::new(Status::of(code, &body)));
        let found = findings(&thing(), &failure);
        assert_eq!((found[0].topic, found[0].path.as_str()), (topic, path), "{found:?}");
        assert!(found[0].text.contains(told), "{found:?}");
    }

    #[test]
    fn a_refusal_is_told_by_its_field() {
        let causes = |field: &str, message: &str| json!({"reason": "Invalid", "details": {"causes": [{"field": field, "message": message}]}});
        check(
            422,
            causes("spec.selector", "Invalid value: v1.LabelSelector{…}: field is immutable"),
            Topic::Immutable,
            "/spec/selector",
            "`spec.selector` of Deployment `web` cannot be changed",
        );
        check(
            422,
            causes("spec.template.spec.containers[0].image", "Required value"),
            Topic::Manifest,
            "/spec/template/spec/containers/0/image",
            "Required value",
        );
        check(
            400,
            json!({"message": "strict decoding error: unknown field \"spec.replicsa\""}),
            Topic::Manifest,
            "/spec/replicsa",
            "a field that there is not: `spec.replicsa`",
        );
        check(
            500,
            json!({"message": "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): .spec.template.spec.containers[name=\"a\"].imag: field not declared in schema"}),
            Topic::Manifest,
            "/spec/template/spec/containers/0/imag",
            "imag",
        );
        check(
            500,
            json!({"message": "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): .spec.replicas: expected numeric (int or float), got string"}),
            Topic::Manifest,
            "/spec/replicas",
            "`spec.replicas` of Deployment `web`: expected numeric (int or float), got `\"x\"`",
        );
        check(
            403,
            json!({"message": "pods \"a\" is forbidden: exceeded quota: q, requested: pods=1"}),
            Topic::Quota,
            "/kind",
            "exceeded quota: q",
        );
        check(
            403,
            json!({"message": "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": x"}),
            Topic::Admission,
            "/kind",
            "violates pod security \"restricted:latest\"",
        );
        check(
            403,
            json!({"message": "deployments.apps \"web\" is forbidden: User \"u\" cannot patch resource \"deployments\""}),
            Topic::Rights,
            "/kind",
            "cannot patch",
        );
    }

    #[test]
    fn every_field_of_a_wrong_type_is_told_with_its_value() {
        let object = json!({"kind": "ConfigMap", "data": {"port": 8080, "true": true}, "extra": 1});
        let thing = Thing { object, ..thing() };
        let message = "failed to create typed patch object (shop/web; /v1, Kind=ConfigMap): errors:\n  \
            .data.port: expected string, got &value.valueUnstructured{Value:8080}\n  \
            .data.true: expected string, got &value.valueUnstructured{Value:true}\n  \
            .extra: field not declared in schema";
        let failure = Failure::Status(Box::new(Status::of(500, &json!({"message": message}))));
        let told: Vec<String> = findings(&thing, &failure)
            .into_iter()
            .map(|found| {
                format!("{} {} ({})", found.path, found.text, found.hint.unwrap_or_default())
            })
            .collect();
        assert_eq!(told.len(), 3, "{told:#?}");
        for (told, expected) in told.iter().zip([
            "/data/port `data.port` of Deployment `web`: expected string, got `8080` (put it in quotes: \"8080\")",
            "/data/true `data.true` of Deployment `web`: expected string, got `true` (put it in quotes: without",
            "/extra Deployment `web` has a field that there is not: `extra` (check its spelling",
        ]) {
            assert!(told.starts_with(expected), "{told}");
        }
    }
}
