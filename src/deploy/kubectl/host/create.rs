//! `kubectl create` and `kubectl replace`.

use std::time::Duration;

use serde_json::{Value, json};

use super::Outcome;
use super::abreast::{self, Order};
use super::apply::{operation, options};
use super::info::{Info, discover, infos};
use super::session::Session;
use super::trouble::Trouble;
use crate::deploy::cluster::{Failure, Method, Target};
use crate::deploy::kubectl::print::{LAST_APPLIED, annotate, print_object};
use crate::deploy::kubectl::request::{Create, DryRun, Named};
use crate::deploy::manifest;

/// Runs `kubectl create`.
pub async fn run(session: &mut Session<'_>, create: &Create) -> Outcome {
    discover(session, &create.items, create.validate).await?;
    let (mut infos, mut troubles) = infos(session, &create.items, create.enforce_namespace);
    if let (Some(from), Some(info)) = (&create.from, infos.first_mut()) {
        from_cron_job(session, create, (from, info)).await?;
    }
    let mut printed = 0_u32;
    abreast::each(
        session,
        (infos, Order::ByNeed),
        |part, info| part.run(async move |session| one(session, create, &info).await),
        |session, result| {
            let told = result.and_then(|object| {
                separate(session, create, &mut printed);
                tell(session, create, &object, "created")
            });
            troubles.extend(told.err());
        },
    )
    .await?;
    Trouble::all(troubles)
}

/// Gives a Job what a cron job would give it at its time.
async fn from_cron_job(
    session: &mut Session<'_>,
    create: &Create,
    (from, info): (&Named, &mut Info),
) -> Outcome {
    let mapping = session.by_word(&from.resource)?;
    let namespace = super::select::home(session, &mapping);
    let target =
        Target { mapping: &mapping, namespace: &namespace, name: &from.name, subresource: "" };
    let cron_job = session.get(&target).await?;
    if mapping.group != "batch" || mapping.kind != "CronJob" {
        let kind = &mapping.kind;
        return Err(Trouble::text(format!(
            "unknown object type {kind}: only CronJob is supported"
        )));
    }
    if info.mapping.group != "batch" || info.mapping.kind != "Job" {
        return Err(Trouble::text("only a Job is made of a CronJob"));
    }
    let part = |pointer: &str| cron_job.pointer(pointer).cloned();
    let mut annotations = json!({ "cronjob.kubernetes.io/instantiate": "manual" });
    if let (Value::Object(annotations), Some(Value::Object(more))) =
        (&mut annotations, part("/spec/jobTemplate/metadata/annotations"))
    {
        annotations.extend(more);
    }
    let owner = json!({
        "apiVersion": "batch/v1",
        "controller": true,
        "kind": "CronJob",
        "name": part("/metadata/name"),
        "uid": part("/metadata/uid"),
    });
    let mut metadata = json!({
        "annotations": annotations,
        "name": info.name,
        "ownerReferences": [owner],
    });
    if let Value::Object(metadata) = &mut metadata {
        if let Some(labels) = part("/spec/jobTemplate/metadata/labels") {
            metadata.insert("labels".to_owned(), labels);
        }
        // A dry run shows a namespace only where one was asked for.
        if create.dry_run != DryRun::Client || create.enforce_namespace {
            metadata.insert("namespace".to_owned(), Value::String(info.namespace.clone()));
        }
    }
    if let Value::Object(job) = &mut info.object {
        job.insert("metadata".to_owned(), metadata);
        job.insert("spec".to_owned(), part("/spec/jobTemplate/spec").unwrap_or_default());
    }
    Ok(())
}

/// YAML documents of one output are told apart.
fn separate(session: &mut Session<'_>, create: &Create, printed: &mut u32) {
    if *printed > 0 && create.output == crate::deploy::kubectl::Output::Yaml {
        session.out("---\n");
    }
    *printed += 1;
}

fn tell(session: &mut Session<'_>, create: &Create, object: &Value, done: &str) -> Outcome {
    let mut object = object.clone();
    super::get::hide_managed_fields(&mut object);
    let done = operation(done, create.dry_run);
    let text =
        print_object(&object, &create.output, &done, create.generated).map_err(Trouble::text)?;
    session.out(text);
    Ok(())
}

async fn one(session: &mut Session<'_>, create: &Create, info: &Info) -> Result<Value, Trouble> {
    let mut object = info.object.clone();
    let annotated =
        object.pointer("/metadata/annotations").is_some_and(|map| map.get(LAST_APPLIED).is_some());
    if create.save_config || annotated {
        annotate(&mut object, create.generated);
    }
    if create.dry_run == DryRun::Client {
        return Ok(object);
    }
    let query = options(&create.field_manager, create.dry_run, create.validate);
    // What is made has no version yet, whatever its manifest was taken from.
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("resourceVersion");
    }
    let body = manifest::compact(&object);
    session
        .send(Method::Post, &info.home(), query, Some(body))
        .await
        .map(|answer| answer.body)
        .map_err(|failure| worded(failure.into(), create, info))
}

/// Generators word a failure in their own way.
fn worded(trouble: Trouble, create: &Create, info: &Info) -> Trouble {
    if !create.generated {
        return trouble.when("creating", &info.source);
    }
    match info.mapping.kind.as_str() {
        "ConfigMap" => Trouble::text(format!("failed to create configmap: {}", trouble.message())),
        "Secret" => Trouble::text(format!("failed to create secret {}", trouble.message())),
        "ServiceAccount" => {
            Trouble::text(format!("failed to create serviceaccount: {}", trouble.message()))
        }
        "Deployment" => {
            Trouble::text(format!("failed to create deployment: {}", trouble.message()))
        }
        "ClusterRoleBinding" => {
            Trouble::text(format!("failed to create clusterrolebinding: {}", trouble.message()))
        }
        "Ingress" => Trouble::text(format!("failed to create ingress: {}", trouble.message())),
        "PodDisruptionBudget" => {
            Trouble::text(format!("failed to create poddisruptionbudgets: {}", trouble.message()))
        }
        "PriorityClass" => {
            Trouble::text(format!("failed to create priorityclass: {}", trouble.message()))
        }
        "Job" => Trouble::text(format!("failed to create job: {}", trouble.message())),
        "CronJob" => Trouble::text(format!("failed to create cronjob: {}", trouble.message())),
        "ResourceQuota" => Trouble::text(format!("failed to create quota: {}", trouble.message())),
        "RoleBinding" => {
            Trouble::text(format!("failed to create rolebinding: {}", trouble.message()))
        }
        "Service" => {
            let kind = info.object.pointer("/spec/type").and_then(Value::as_str);
            let kind = kind.unwrap_or_default();
            Trouble::text(format!("failed to create {kind} service: {}", trouble.message()))
        }
        _ => trouble,
    }
}

/// Runs `kubectl replace`.
pub async fn replace(session: &mut Session<'_>, create: &Create) -> Outcome {
    discover(session, &create.items, create.validate).await?;
    let (infos, mut troubles) = infos(session, &create.items, create.enforce_namespace);
    if create.force {
        return force_replace(session, create, infos, troubles).await;
    }
    for info in infos {
        let mut object = info.object.clone();
        if create.save_config {
            annotate(&mut object, false);
        }
        if create.dry_run == DryRun::Client {
            tell(session, create, &object, "replaced")?;
            continue;
        }
        match put(session, create, &info, object).await {
            Ok(object) => tell(session, create, &object, "replaced")?,
            Err(stop @ Trouble::Network(Failure::Cancelled)) => return Err(stop),
            Err(trouble) => troubles.push(trouble.when("replacing", &info.source)),
        }
    }
    Trouble::all(troubles)
}

/// An object that names no version replaces whatever version is there.
async fn put(
    session: &mut Session<'_>,
    create: &Create,
    info: &Info,
    mut object: Value,
) -> Result<Value, Trouble> {
    if info.object.pointer("/metadata/resourceVersion").is_none() {
        // Whoever may not look may still replace.
        let current = match session.get(&info.target()).await {
            Ok(current) => current,
            Err(Failure::Cancelled) => return Err(Failure::Cancelled.into()),
            Err(_) => Value::Null,
        };
        let version = current.pointer("/metadata/resourceVersion").cloned();
        if let (Some(version), Some(Value::Object(metadata))) =
            (version, object.get_mut("metadata"))
        {
            metadata.insert("resourceVersion".to_owned(), version);
        }
    }
    let query = options(&create.field_manager, create.dry_run, create.validate);
    let body = manifest::compact(&object);
    Ok(session.send(Method::Put, &info.target(), query, Some(body)).await?.body)
}

async fn force_replace(
    session: &mut Session<'_>,
    create: &Create,
    infos: Vec<Info>,
    mut troubles: Vec<Trouble>,
) -> Outcome {
    if create.dry_run != DryRun::None {
        return Err(Trouble::text("--dry-run cannot be used with --force"));
    }
    let body =
        json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
    for info in &infos {
        let body = Some(manifest::compact(&body));
        match session.send(Method::Delete, &info.target(), Vec::new(), body).await {
            Ok(_) => {
                let told = format!(
                    "{} \"{}\" deleted{}\n",
                    info.mapping.type_name(),
                    info.name,
                    super::delete::from_namespace(&info.namespace)
                );
                session.out(told);
                gone(session, info).await?;
            }
            Err(failure) if failure.is_not_found() => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    for info in infos {
        match one(session, create, &info).await {
            Ok(object) => tell(session, create, &object, "replaced")?,
            Err(trouble) => troubles.push(trouble),
        }
    }
    Trouble::all(troubles)
}

async fn gone(session: &mut Session<'_>, info: &Info) -> Outcome {
    loop {
        match session.get(&info.target()).await {
            Err(failure) if failure.is_not_found() => return Ok(()),
            Err(failure) => return Err(failure.into()),
            Ok(_) => session.pause(Duration::from_millis(500)).await?,
        }
    }
}
