//! Tables and properties of the three-way merges.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[expect(clippy::needless_pass_by_value, reason = "the tests hand in literals")]
fn deployment(spec: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": spec})
}

fn patch(original: Value, modified: Value, current: Value) -> Value {
    three_way_strategic(
        "Deployment",
        &deployment(original),
        &deployment(modified),
        &deployment(current),
    )
    .unwrap()
    .get("spec")
    .cloned()
    .unwrap_or(json!({}))
}

#[expect(clippy::needless_pass_by_value, reason = "the tests hand in literals")]
fn pod(spec: Value) -> Value {
    json!({"template": {"spec": spec}})
}

#[test]
fn a_changed_image_touches_its_container_only() {
    let before =
        pod(json!({"containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]}));
    let after =
        pod(json!({"containers": [{"name": "a", "image": "a:2"}, {"name": "b", "image": "b:1"}]}));
    let live = pod(json!({"containers": [
        {"name": "a", "image": "a:1", "imagePullPolicy": "Always"}, {"name": "b", "image": "b:1"}]}));
    assert_eq!(
        patch(before, after, live),
        pod(json!({
            "$setElementOrder/containers": [{"name": "a"}, {"name": "b"}],
            "containers": [{"image": "a:2", "name": "a"}],
        }))
    );
}

#[test]
fn what_left_the_manifest_is_deleted_and_what_others_added_stays() {
    let before = pod(json!({"containers": [{"name": "a", "env": [
        {"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}]}));
    let after = pod(json!({"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}]}]}));
    let live = pod(json!({"containers": [{"name": "a", "env": [
        {"name": "X", "value": "1"}, {"name": "Y", "value": "2"}, {"name": "INJECTED", "value": "3"}]}]}));
    let patch = patch(before, after, live.clone());
    assert_eq!(
        patch,
        pod(json!({
            "$setElementOrder/containers": [{"name": "a"}],
            "containers": [{
                "$setElementOrder/env": [{"name": "X"}],
                "env": [{"$patch": "delete", "name": "Y"}],
                "name": "a",
            }],
        }))
    );
    let merged = apply_strategic("Deployment", &deployment(live), &deployment(patch)).unwrap();
    assert_eq!(
        merged.pointer("/spec/template/spec/containers/0/env"),
        Some(&json!([{"name": "X", "value": "1"}, {"name": "INJECTED", "value": "3"}]))
    );
}

#[test]
fn a_volume_that_changes_its_source_keeps_only_the_new_one() {
    let before = pod(json!({"volumes": [{"name": "v", "emptyDir": {}}]}));
    let after = pod(json!({"volumes": [{"name": "v", "configMap": {"name": "c"}}]}));
    let patch = patch(before.clone(), after, before);
    assert_eq!(
        patch,
        pod(json!({
            "$setElementOrder/volumes": [{"name": "v"}],
            "volumes": [{"$retainKeys": ["configMap", "name"], "configMap": {"name": "c"},
                "emptyDir": null, "name": "v"}],
        }))
    );
}

#[test]
fn a_strategy_that_becomes_recreate_drops_its_rolling_update() {
    let before = json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}});
    let after = json!({"strategy": {"type": "Recreate"}});
    assert_eq!(
        patch(before.clone(), after, before),
        json!({"strategy": {"$retainKeys": ["type"], "rollingUpdate": null, "type": "Recreate"}})
    );
}

#[test]
fn a_json_merge_replaces_lists_and_deletes_what_left() {
    let object = |spec: Value| json!({"kind": "Widget", "metadata": {"name": "x"}, "spec": spec});
    let patch = three_way_json(
        &object(json!({"a": 1, "b": [1], "gone": 1})),
        &object(json!({"a": 2, "b": [1, 2]})),
        &object(json!({"a": 1, "b": [1], "gone": 1, "theirs": 1})),
    );
    assert_eq!(patch, Ok(json!({"spec": {"a": 2, "b": [1, 2], "gone": null}})));
}

fn container() -> impl Strategy<Value = Value> {
    let env = prop::collection::btree_map("[A-D]", "[0-2]", 0..4).prop_map(|map| {
        map.into_iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect::<Vec<_>>()
    });
    ("[x-z]:[1-3]", prop::option::of(env), prop::option::of(prop::collection::vec("[a-c]", 0..3)))
        .prop_map(|(image, env, args)| {
            let mut container = json!({"image": image});
            if let (Some(env), Value::Object(map)) = (env, &mut container) {
                map.insert("env".to_owned(), Value::Array(env));
            }
            if let (Some(args), Value::Object(map)) = (args, &mut container) {
                map.insert("args".to_owned(), json!(args));
            }
            container
        })
}

fn spec() -> impl Strategy<Value = Value> {
    (
        prop::collection::btree_map("[a-d]", container(), 1..4),
        prop::option::of(0..5_i64),
        prop::collection::btree_map(
            "[a-c]",
            prop_oneof![Just("emptyDir"), Just("configMap")],
            0..3,
        ),
    )
        .prop_map(|(containers, replicas, volumes)| {
            let containers: Vec<Value> = containers
                .into_iter()
                .map(|(name, mut container)| {
                    if let Value::Object(map) = &mut container {
                        map.insert("name".to_owned(), json!(name));
                    }
                    container
                })
                .collect();
            let volumes: Vec<Value> = volumes
                .into_iter()
                .map(|(name, source)| json!({"name": name, source: {}}))
                .collect();
            let mut spec = json!({"containers": containers});
            if let (false, Value::Object(map)) = (volumes.is_empty(), &mut spec) {
                map.insert("volumes".to_owned(), Value::Array(volumes));
            }
            let mut spec = pod(spec);
            if let (Some(replicas), Value::Object(map)) = (replicas, &mut spec) {
                map.insert("replicas".to_owned(), json!(replicas));
            }
            spec
        })
}

proptest! {
    #[test]
    fn a_merge_of_the_unchanged_is_nothing(spec in spec()) {
        let object = deployment(spec);
        prop_assert_eq!(three_way_strategic("Deployment", &object, &object, &object), Ok(json!({})));
        prop_assert_eq!(three_way_json(&object, &object, &object), Ok(json!({})));
    }

    #[test]
    fn a_patch_makes_of_the_old_what_the_manifest_says(before in spec(), after in spec()) {
        let (before, after) = (deployment(before), deployment(after));
        let patch = three_way_strategic("Deployment", &before, &after, &before).unwrap();
        let merged = apply_strategic("Deployment", &before, &patch).unwrap();
        prop_assert_eq!(merged, after);
    }

    #[test]
    fn applying_twice_changes_nothing_more(before in spec(), after in spec(), live in spec()) {
        let (before, after, live) = (deployment(before), deployment(after), deployment(live));
        let patch = three_way_strategic("Deployment", &before, &after, &live).unwrap();
        let merged = apply_strategic("Deployment", &live, &patch).unwrap();
        // kubectl names the order of a list again and again where others added to it.
        let again = three_way_strategic("Deployment", &after, &after, &merged).unwrap();
        let twice = apply_strategic("Deployment", &merged, &again).unwrap();
        prop_assert_eq!(twice, merged);
    }
}
