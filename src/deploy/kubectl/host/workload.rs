//! `kubectl set image` and `kubectl scale`.

use serde_json::{Value, json};

use super::Outcome;
use super::apply::operation;
use super::info::Info;
use super::select::{Read, find};
use super::session::Session;
use super::trouble::Trouble;
use crate::deploy::cluster::{Patch, Target};
use crate::deploy::kubectl::print::print_object;
use crate::deploy::kubectl::request::{CHANGE_CAUSE, DryRun, Scale, SetImage, note_cause};
use crate::deploy::{manifest, merge};

/// Where the pod's spec is in an object of a kind.
pub fn pod_spec(kind: &str) -> Option<&'static str> {
    match kind {
        "Pod" => Some("/spec"),
        "Deployment"
        | "StatefulSet"
        | "DaemonSet"
        | "ReplicaSet"
        | "ReplicationController"
        | "Job" => Some("/spec/template/spec"),
        "CronJob" => Some("/spec/jobTemplate/spec/template/spec"),
        _ => None,
    }
}

/// Runs `kubectl set image`.
pub async fn set_image(session: &mut Session<'_>, set: &SetImage) -> Outcome {
    let (infos, mut troubles) = find(session, &set.selection, Read::Latest).await?;
    if !troubles.is_empty() {
        return Trouble::all(troubles);
    }
    if set.images.is_empty() {
        return Err(Trouble::text("at least one image update is required"));
    }
    if set.images.len() > 1 && set.images.iter().any(|(name, _)| name == "*") {
        return Err(Trouble::text(
            "all containers are already specified by *, but saw more than one \
             container_name=container_image pairs",
        ));
    }
    for info in infos {
        match one_image(session, set, &info, &mut troubles).await {
            Ok(()) => {}
            Err(stop @ Trouble::Network(_)) => return Err(stop),
            Err(trouble) => troubles.push(trouble),
        }
    }
    Trouble::all(troubles)
}

async fn one_image(
    session: &mut Session<'_>,
    set: &SetImage,
    info: &Info,
    troubles: &mut Vec<Trouble>,
) -> Outcome {
    let kind = info.mapping.kind.as_str();
    let Some(place) = pod_spec(kind) else {
        return Err(Trouble::text(format!(
            "error: {}/{} the object is not a pod or does not have a pod template: *{}.{kind}",
            info.mapping.plural, info.name, info.mapping.version
        )));
    };
    let mut changed = info.object.clone();
    for (name, image) in &set.images {
        if !put_image(&mut changed, place, name, image) {
            troubles
                .push(Trouble::text(format!("error: unable to find container named \"{name}\"")));
        }
    }
    if let Some(cause) = session.record() {
        note_cause(&mut changed, &cause);
    }
    if changed == info.object {
        return Ok(());
    }
    let told = |session: &mut Session<'_>, object: &Value| -> Outcome {
        let mut object = object.clone();
        super::get::hide_managed_fields(&mut object);
        let done = operation("image updated", set.dry_run);
        let text = print_object(&object, &set.output, &done, true).map_err(Trouble::text)?;
        session.out(text);
        Ok(())
    };
    if set.dry_run == DryRun::Client {
        return told(session, &changed);
    }
    let patch = merge::three_way_strategic(kind, &info.object, &changed, &info.object)
        .map_err(Trouble::text)?;
    let mut query = vec![("fieldManager", set.field_manager.clone())];
    if set.dry_run == DryRun::Server {
        query.push(("dryRun", "All".to_owned()));
    }
    let object = session
        .patch(Patch::Strategic, &info.target(), query, manifest::compact(&patch))
        .await
        .map_err(|failure| match Trouble::from(failure) {
            stop @ Trouble::Network(_) => stop,
            trouble @ (Trouble::Status(_)
            | Trouble::Text(_)
            | Trouble::Many(_)
            | Trouble::Exit(..)) => Trouble::text(format!(
                "failed to patch image update to pod template: {}",
                trouble.message()
            )),
        })?;
    told(session, &object)
}

/// Puts an image into the containers of a name (`*`: all); false when there are none.
fn put_image(object: &mut Value, place: &str, name: &str, image: &str) -> bool {
    let mut found = false;
    for list in ["containers", "initContainers"] {
        let containers = object.pointer_mut(&format!("{place}/{list}"));
        for container in containers.and_then(Value::as_array_mut).into_iter().flatten() {
            if (name == "*" || container.get("name").is_some_and(|known| known == name))
                && let Value::Object(container) = container
            {
                container.insert("image".to_owned(), json!(image));
                found = true;
            }
        }
    }
    found
}

/// Runs `kubectl scale`.
pub async fn scale(session: &mut Session<'_>, scale: &Scale) -> Outcome {
    let (infos, mut troubles) = find(session, &scale.selection, Read::Latest).await?;
    if infos.is_empty() && troubles.is_empty() {
        return Err(Trouble::text("no objects passed to scale"));
    }
    for info in infos {
        match one_scale(session, scale, &info).await {
            Ok(()) => {}
            Err(stop @ Trouble::Network(_)) => return Err(stop),
            Err(trouble) => troubles.push(trouble),
        }
    }
    Trouble::all(troubles)
}

async fn one_scale(session: &mut Session<'_>, scale: &Scale, info: &Info) -> Outcome {
    let target = Target { subresource: "scale", ..info.target() };
    if scale.current_replicas >= 0 || scale.resource_version.is_some() {
        let current = session.get(&target).await?;
        let version = current.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        let now = current.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
        if scale.current_replicas >= 0 && now != scale.current_replicas {
            return Err(Trouble::text(format!(
                "Expected replicas to be {}, was {now}",
                scale.current_replicas
            )));
        }
        if let (Some(asked), Some(version)) = (scale.resource_version.as_deref(), version)
            && asked != version
        {
            let told = format!("Expected resource version to be {asked}, was {version}");
            return Err(Trouble::text(told));
        }
    }
    if scale.dry_run != DryRun::Client {
        let patch = json!({"spec": {"replicas": scale.replicas}});
        // kubectl names no manager here, and the server takes the program's name.
        let mut query = vec![("fieldManager", "kubectl".to_owned())];
        if scale.dry_run == DryRun::Server {
            query.push(("dryRun", "All".to_owned()));
        }
        session.patch(Patch::Merge, &target, query.clone(), manifest::compact(&patch)).await?;
        if let Some(cause) = session.record() {
            let patch = json!({"metadata": {"annotations": {(CHANGE_CAUSE): &*cause}}});
            let noted = manifest::compact(&patch);
            // Like kubectl: the change is made, and that it is not noted is no failure.
            let _noted = session.patch(Patch::Merge, &info.target(), query, noted).await;
        }
    }
    let done = operation("scaled", scale.dry_run);
    let text = print_object(&info.object, &scale.output, &done, true).map_err(Trouble::text)?;
    session.out(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_goes_to_the_containers_of_its_name() {
        let mut object = json!({"spec": {"template": {"spec": {
            "containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}],
            "initContainers": [{"name": "c", "image": "1"}],
        }}}});
        let place = "/spec/template/spec";
        assert!(put_image(&mut object, place, "a", "2"));
        assert!(!put_image(&mut object, place, "x", "2"));
        assert_eq!(object.pointer("/spec/template/spec/containers/0/image"), Some(&json!("2")));
        assert_eq!(object.pointer("/spec/template/spec/containers/1/image"), Some(&json!("1")));
        assert!(put_image(&mut object, place, "*", "3"));
        assert_eq!(object.pointer("/spec/template/spec/initContainers/0/image"), Some(&json!("3")));
    }
}
