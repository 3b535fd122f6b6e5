//! Project variables through the API, as GitLab answers: statuses, texts and scopes.

use std::collections::BTreeMap;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};

use crate::pipeline::coordinator::form::parameters;
use crate::pipeline::coordinator::store::{ProjectVariable, Store, Written};
use crate::pipeline::coordinator::{Answer, Shared, collect, header, json, message, text};
use crate::pipeline::response::Variable;

/// Answers a request on the variables of a project, or on one of them.
pub async fn answer(
    shared: &Shared,
    project: &str,
    key: Option<String>,
    request: Request<Incoming>,
) -> Answer {
    let token = match header(&request, "PRIVATE-TOKEN") {
        "" => header(&request, "Authorization").trim_start_matches("Bearer ").to_owned(),
        token => token.to_owned(),
    };
    let method = request.method().clone();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let content_type = header(&request, "Content-Type").to_owned();
    let Some(body) = collect(request.into_body()).await else {
        return message(StatusCode::PAYLOAD_TOO_LARGE, "413 Request Entity Too Large");
    };
    let given = parameters(&query, &content_type, &body);
    let mut store = shared.store();
    if token.is_empty() || !store.api_tokens.contains(&token) {
        return message(StatusCode::UNAUTHORIZED, "401 Unauthorized");
    }
    if project != store.project.path && project.parse() != Ok(store.project.id) {
        return message(StatusCode::NOT_FOUND, "404 Project Not Found");
    }
    match (method, key) {
        (Method::GET, None) => {
            let all: Vec<serde_json::Value> = store.variables.iter().map(shown).collect();
            json(StatusCode::OK, &all.into())
        }
        (Method::POST, None) => create(&mut store, &given),
        (method, Some(key)) => {
            let at = match find(&store, &key, given.get("filter[environment_scope]")) {
                Ok(at) => at,
                Err(answer) => return *answer,
            };
            match method {
                Method::GET => {
                    let found = store.variables.get(at).map(shown).unwrap_or_default();
                    json(StatusCode::OK, &found)
                }
                Method::PUT => update(&mut store, at, &given),
                Method::DELETE => {
                    let removed = store.variables.remove(at);
                    store.note(Written { key: removed.variable.key, value: None, masked: false });
                    text(StatusCode::NO_CONTENT, "")
                }
                _ => message(StatusCode::METHOD_NOT_ALLOWED, "405 Not Allowed"),
            }
        }
        (_, None) => message(StatusCode::METHOD_NOT_ALLOWED, "405 Not Allowed"),
    }
}

/// The one variable of a name; several scopes need a filter.
fn find(store: &Store, key: &str, scope: Option<&String>) -> Result<usize, Box<Answer>> {
    let found: Vec<usize> = store
        .variables
        .iter()
        .enumerate()
        .filter(|(_, candidate)| candidate.variable.key == key)
        .filter(|(_, candidate)| scope.is_none_or(|scope| *scope == candidate.scope))
        .map(|(at, _)| at)
        .collect();
    match found.as_slice() {
        [] => Err(Box::new(message(StatusCode::NOT_FOUND, "404 Variable Not Found"))),
        [at] => Ok(*at),
        _ => Err(Box::new(message(
            StatusCode::CONFLICT,
            "There are multiple variables with provided parameters. Please use \
             'filter[environment_scope]'",
        ))),
    }
}

fn create(store: &mut Store, given: &BTreeMap<String, String>) -> Answer {
    let (Some(key), Some(value)) = (given.get("key"), given.get("value")) else {
        let missing = if given.contains_key("key") { "value" } else { "key" };
        let told = serde_json::json!({ "error": format!("{missing} is missing") });
        return json(StatusCode::BAD_REQUEST, &told);
    };
    let scope = given.get("environment_scope").cloned().unwrap_or_else(|| "*".to_owned());
    let taken = |other: &ProjectVariable| other.variable.key == *key && other.scope == scope;
    if store.variables.iter().any(taken) {
        let told = serde_json::json!({
            "message": { "key": ["(VARIABLE_NAME) has already been taken"] }
        });
        return json(StatusCode::BAD_REQUEST, &told);
    }
    let new = ProjectVariable {
        variable: Variable::private(key.clone(), value.clone()),
        scope,
        protected: false,
    };
    finish(store, None, new, given, StatusCode::CREATED)
}

fn update(store: &mut Store, at: usize, given: &BTreeMap<String, String>) -> Answer {
    let Some(mut new) = store.variables.get(at).cloned() else {
        return message(StatusCode::NOT_FOUND, "404 Variable Not Found");
    };
    if let Some(value) = given.get("value") {
        new.variable.value.clone_from(value);
    }
    if let Some(scope) = given.get("environment_scope") {
        new.scope.clone_from(scope);
    }
    finish(store, Some(at), new, given, StatusCode::OK)
}

/// Takes the flags in, checks what GitLab checks, and stores.
fn finish(
    store: &mut Store,
    at: Option<usize>,
    mut new: ProjectVariable,
    given: &BTreeMap<String, String>,
    status: StatusCode,
) -> Answer {
    let flag = |name: &str, old: bool| given.get(name).map_or(old, |value| value == "true");
    new.protected = flag("protected", new.protected);
    new.variable.masked = flag("masked", new.variable.masked);
    new.variable.raw = flag("raw", new.variable.raw);
    if let Some(kind) = given.get("variable_type") {
        new.variable.file = kind == "file";
    }
    let key = &new.variable.key;
    let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if key.is_empty() || key.len() > 255 || !key.bytes().all(valid) {
        let told = serde_json::json!({
            "message": { "key": ["can contain only letters, digits and '_'."] }
        });
        return json(StatusCode::BAD_REQUEST, &told);
    }
    if new.variable.masked && new.variable.value.chars().count() < 8 {
        let told = serde_json::json!({ "message": { "value": ["is invalid"] } });
        return json(StatusCode::BAD_REQUEST, &told);
    }
    let answer = json(status, &shown(&new));
    store.note(Written {
        key: new.variable.key.clone(),
        value: Some(new.variable.value.clone()),
        masked: new.variable.masked,
    });
    match at.and_then(|at| store.variables.get_mut(at)) {
        Some(old) => *old = new,
        None => store.variables.push(new),
    }
    answer
}

fn shown(variable: &ProjectVariable) -> serde_json::Value {
    serde_json::json!({
        "variable_type": if variable.variable.file { "file" } else { "env_var" },
        "key": variable.variable.key,
        "value": variable.variable.value,
        "hidden": false,
        "protected": variable.protected,
        "masked": variable.variable.masked,
        "raw": variable.variable.raw,
        "environment_scope": variable.scope,
        "description": null,
    })
}
