//! Who owns which field of a live object: taking over from kubectl, and explaining a conflict.

use serde_json::{Value, json};

use super::plan::{list, text};
use crate::deploy::cluster::Status;

/// The name under which dyno applies.
pub const MANAGER: &str = "dyno";
/// The name under which it puts things back.
pub const UNDO_MANAGER: &str = "dyno-rollback";
const LAST_APPLIED: &str = "f:kubectl.kubernetes.io/last-applied-configuration";

/// The managed fields of an object after all that `kubectl apply` owned went over to us; `None` when
/// there is nothing to take over. What else kubectl set (an image, an annotation) stays its own until
/// a manifest says otherwise.
pub fn upgraded(live: &Value) -> Option<Value> {
    let before = list(live, "/metadata/managedFields");
    let is_client_side = |entry: &Value| {
        let is_plain = text(entry, "/subresource").is_empty();
        let manager = text(entry, "/manager");
        let owns_annotation = entry
            .pointer("/fieldsV1/f:metadata/f:annotations")
            .is_some_and(|fields| fields.get(LAST_APPLIED).is_some());
        let by_update = text(entry, "/operation") == "Update"
            && (manager == "kubectl-client-side-apply"
                || owns_annotation
                || manager == UNDO_MANAGER);
        let by_apply = text(entry, "/operation") == "Apply"
            && matches!(manager, "kubectl" | "kubectl-last-applied");
        is_plain && (by_update || by_apply)
    };
    if !before.iter().any(is_client_side) {
        return None;
    }
    let is_ours =
        |entry: &Value| text(entry, "/manager") == MANAGER && text(entry, "/operation") == "Apply";
    let mut after: Vec<Value> =
        before.iter().filter(|entry| !is_client_side(entry)).cloned().collect();
    let taken: Vec<&Value> = before.iter().filter(|entry| is_client_side(entry)).collect();
    let version = taken.first().map(|entry| entry["apiVersion"].clone())?;
    if !after.iter().any(is_ours) {
        let mut ours = (*taken.first()?).clone();
        ours["manager"] = json!(MANAGER);
        ours["operation"] = json!("Apply");
        ours["apiVersion"] = version;
        after.push(ours);
    }
    let ours = after.iter_mut().find(|entry| is_ours(entry))?;
    for entry in taken {
        // Fields of another version have other names; they are left without an owner.
        if entry["apiVersion"] == ours["apiVersion"]
            && let Some(more) = entry.get("fieldsV1")
        {
            union(&mut ours["fieldsV1"], more);
        }
    }
    Some(Value::Array(after))
}

fn union(into: &mut Value, more: &Value) {
    let (Value::Object(into), Value::Object(more)) = (into, more) else { return };
    for (key, value) in more {
        union(into.entry(key).or_insert_with(|| json!({})), value);
    }
}

/// One field that somebody else owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The field as the server names it: `.spec.replicas`.
    pub field: String,
    /// Its owner: `kubectl-set`.
    pub owner: String,
    /// Through which part of the API, such as `scale`.
    pub through: Option<String>,
}

impl Conflict {
    /// True for a person's kubectl: what it set is what an old deploy job sets.
    pub fn is_kubectls(&self) -> bool {
        self.owner == "kubectl"
            || self.owner.starts_with("kubectl-")
            || self.owner.starts_with(MANAGER)
            || self.owner == "before-first-apply"
    }

    /// The way out.
    pub fn hint(&self) -> String {
        if self.through.as_deref() == Some("scale") || self.field == ".spec.replicas" {
            return "leave `replicas` out of the manifest where something scales it, or give \
                    --force-conflicts"
                .to_owned();
        }
        "leave the field out of the manifest, or take it over with --force-conflicts".to_owned()
    }
}

/// The conflicts that the server tells of.
pub fn conflicts(status: &Status) -> Vec<Conflict> {
    let mut conflicts: Vec<Conflict> = Vec::new();
    for cause in &status.causes {
        let mut quoted = cause.message.split('"');
        let owner = quoted.nth(1).unwrap_or("another").to_owned();
        let through = cause.message.split("subresource \"").nth(1);
        let through = through.and_then(|rest| rest.split('"').next()).map(str::to_owned);
        let conflict = Conflict { field: cause.field.clone(), owner, through };
        if !conflicts.contains(&conflict) {
            conflicts.push(conflict);
        }
    }
    conflicts
}

/// A server's field path (`.spec.template.spec.containers[name="web"].image`) in an object: its
/// value, and the JSON pointer to it.
pub fn look_up(object: &Value, field: &str) -> (Option<Value>, String) {
    let mut value = Some(object);
    let mut pointer = String::new();
    let mut rest = field;
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let Some((inside, after)) = inside.split_once(']') else { break };
            let found = value.and_then(Value::as_array).and_then(|items| {
                let number = inside.parse::<usize>().ok().filter(|n| *n < items.len());
                number.or_else(|| items.iter().position(|item| item_is(item, inside)))
            });
            value = found.and_then(|n| value?.get(n));
            pointer.extend(["/", &found.unwrap_or(0).to_string()]);
            rest = after;
        } else {
            let key = rest.strip_prefix('.').unwrap_or(rest);
            // A key may hold dots itself: the longest that is there is meant.
            let end = key.find('[').unwrap_or(key.len());
            let part = &key[..end];
            let map = value.and_then(Value::as_object);
            let whole = map.and_then(|map| {
                let fits =
                    |name: &&String| part == name.as_str() || part.starts_with(&format!("{name}."));
                map.keys().filter(fits).max_by_key(|name| name.len())
            });
            let name = whole.map_or_else(|| part.split('.').next().unwrap_or(part), String::as_str);
            value = map.and_then(|map| map.get(name));
            pointer.extend(["/", &name.replace('~', "~0").replace('/', "~1")]);
            rest = &key[name.len().max(1).min(key.len())..];
        }
    }
    (value.cloned(), pointer)
}

/// `name="web",protocol="TCP"` of a list's item.
fn item_is(item: &Value, keys: &str) -> bool {
    if let Some(plain) = keys.strip_prefix('=') {
        return is_json(item, plain);
    }
    keys.split(',').all(|pair| {
        let Some((key, expected)) = pair.split_once('=') else { return false };
        item.get(key).is_some_and(|value| is_json(value, expected))
    })
}

/// True for a value that is written so.
fn is_json(value: &Value, written: &str) -> bool {
    serde_json::from_str::<Value>(written).is_ok_and(|written| written == *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "written in place")]
    fn entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields})
    }

    #[test]
    fn what_kubectl_apply_owned_is_taken_over_and_the_rest_is_left() {
        let set = entry("kubectl-set", "Update", json!({"f:spec": {"f:image": {}}}));
        let controller = entry("kube-controller-manager", "Update", json!({"f:status": {}}));
        let live = json!({"metadata": {"managedFields": [
            entry("kubectl-client-side-apply", "Update", json!({"f:data": {"f:a": {}}})),
            entry("kubectl", "Apply", json!({"f:data": {"f:b": {}}})), set, controller]}});
        let after = upgraded(&live).unwrap();
        assert_eq!(
            after,
            json!([
                set,
                controller,
                entry("dyno", "Apply", json!({"f:data": {"f:a": {}, "f:b": {}}}))
            ])
        );
        assert_eq!(upgraded(&json!({"metadata": {"managedFields": [set]}})), None);
        assert_eq!(upgraded(&json!({})), None);
    }

    #[test]
    fn a_field_is_found_by_the_servers_name_for_it() {
        let object = json!({"metadata": {"annotations": {"a.b/c": "x"}}, "spec": {
            "ports": [{"port": 80, "protocol": "TCP"}],
            "template": {"spec": {"containers": [{"name": "a"}, {"name": "web", "image": "i"}]}}}});
        for (field, value, pointer) in [
            (
                ".spec.template.spec.containers[name=\"web\"].image",
                Some(json!("i")),
                "/spec/template/spec/containers/1/image",
            ),
            (".spec.ports[port=80,protocol=\"TCP\"].port", Some(json!(80)), "/spec/ports/0/port"),
            (".metadata.annotations.a.b/c", Some(json!("x")), "/metadata/annotations/a.b~1c"),
            (
                "spec.template.spec.containers[1].image",
                Some(json!("i")),
                "/spec/template/spec/containers/1/image",
            ),
            (".spec.replicas", None, "/spec/replicas"),
        ] {
            assert_eq!(look_up(&object, field), (value, pointer.to_owned()), "{field}");
        }
    }

    #[test]
    fn a_conflict_names_its_owner() {
        let status = Status::of(
            409,
            &json!({"details": {"causes": [
            {"field": ".spec.replicas", "message": "conflict with \"kube-controller-manager\" with subresource \"scale\" using apps/v1"},
            {"field": ".data.k", "message": "conflict with \"kubectl-edit\" using v1"}]}}),
        );
        let found = conflicts(&status);
        assert_eq!(found[0].owner, "kube-controller-manager");
        assert_eq!(found[0].through.as_deref(), Some("scale"));
        assert!(!found[0].is_kubectls() && found[1].is_kubectls());
    }
}
