//! `/api/v4`: who asks, and which part answers.

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};

use crate::pipeline::coordinator::form::decode;
use crate::pipeline::coordinator::store::{JobRecord, Store};
use crate::pipeline::coordinator::{Answer, Shared, artifacts, header, json, message, variables};

/// Answers a request; `rest` is its path after `/api/v4/`.
pub async fn answer(shared: &Shared, rest: &str, request: Request<Incoming>) -> Answer {
    let parts: Vec<&str> = rest.split('/').collect();
    let method = request.method().clone();
    match (method, parts.as_slice()) {
        (Method::GET, ["job"]) => identity(shared, &request, job),
        (Method::GET, ["job", "allowed_agents"]) => identity(shared, &request, agents),
        (Method::GET, ["version"]) => {
            json(StatusCode::OK, &serde_json::json!({ "version": "18.5.0-ee", "revision": "dyno" }))
        }
        (Method::POST, ["jobs", id, "artifacts"]) => match id.parse() {
            Ok(id) => artifacts::upload(shared, id, request).await,
            Err(_) => message(StatusCode::NOT_FOUND, "404 Not Found"),
        },
        (Method::GET, ["jobs", id, "artifacts"]) => match id.parse() {
            Ok(id) => artifacts::download(shared, id, &request),
            Err(_) => message(StatusCode::NOT_FOUND, "404 Not Found"),
        },
        (_, ["projects", project, "variables"]) => {
            variables::answer(shared, &decode(project), None, request).await
        }
        (_, ["projects", project, "variables", key]) => {
            variables::answer(shared, &decode(project), Some(decode(key)), request).await
        }
        _ => json(StatusCode::NOT_FOUND, &serde_json::json!({ "error": "404 Not Found" })),
    }
}

fn identity(
    shared: &Shared,
    request: &Request<Incoming>,
    tell: fn(&Store, &JobRecord) -> serde_json::Value,
) -> Answer {
    let store = shared.store();
    match store.job_by_token(header(request, "JOB-TOKEN")) {
        Some(job) if job.running => json(StatusCode::OK, &tell(&store, job)),
        Some(_) | None => message(StatusCode::UNAUTHORIZED, "401 Unauthorized"),
    }
}

fn job(store: &Store, job: &JobRecord) -> serde_json::Value {
    let user = &store.user;
    serde_json::json!({
        "id": job.id,
        "name": job.name,
        "stage": job.stage,
        "status": "running",
        "ref": job.git_ref,
        "tag": false,
        "allow_failure": job.allow_failure,
        "user": { "id": user.id, "username": user.login, "name": user.name, "state": "active" },
        "commit": { "id": job.sha },
        "pipeline": {
            "id": job.pipeline_id,
            "project_id": store.project.id,
            "ref": job.git_ref,
            "sha": job.sha,
            "status": "running",
        },
        "project": { "ci_job_token_scope_enabled": false },
        "tag_list": job.tags,
    })
}

fn agents(store: &Store, job: &JobRecord) -> serde_json::Value {
    let mut told = serde_json::json!({
        "allowed_agents": [],
        "job": { "id": job.id },
        "pipeline": { "id": job.pipeline_id },
        "project": { "id": store.project.id, "groups": [{ "id": 1 }] },
        "user": {
            "id": store.user.id,
            "username": store.user.login,
            "roles_in_project": ["developer", "maintainer"],
        },
    });
    if let (Some((slug, tier)), Some(object)) = (&job.environment, told.as_object_mut()) {
        object.insert("environment".to_owned(), serde_json::json!({ "slug": slug, "tier": tier }));
    }
    told
}
