//! Project variables: 404 for an unknown one, 400 for a second of the same name, 409 where several
//! scopes match, 400 for a masked value that cannot be masked, no value of a hidden one.

use serde_json::{Value, json};

use super::{GitLab, unauthorized};
use crate::standins::server::{Request, Response, parameters};

/// A project variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Name.
    pub key: String,
    /// Value.
    pub value: String,
    /// `*` for every environment.
    pub scope: String,
    /// Masked in logs; needs eight characters that a log can be searched for.
    pub masked: bool,
    /// Never shown again.
    pub hidden: bool,
    /// Only for jobs of protected refs.
    pub protected: bool,
}

/// What another pipeline does at a moment that nobody can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Race {
    /// It makes the variable just after it was not there.
    Creates,
    /// It writes the variable just after it was written.
    Writes,
    /// It deletes the variable just after it was written.
    Deletes,
}

impl Variable {
    /// A variable for every environment, not masked.
    pub fn new(key: &str, value: &str) -> Self {
        let (key, value) = (key.to_owned(), value.to_owned());
        let scope = "*".to_owned();
        Self { key, value, scope, masked: false, hidden: false, protected: false }
    }

    fn json(&self) -> Value {
        json!({
            "variable_type": "env_var", "key": self.key, "hidden": self.hidden,
            "value": (!self.hidden).then_some(&self.value),
            "protected": self.protected, "masked": self.masked, "raw": false,
            "environment_scope": self.scope, "description": null,
        })
    }
}

impl GitLab {
    pub(super) fn variables(
        &self,
        request: &Request,
        project: &str,
        key: Option<&str>,
    ) -> Response {
        if !self.is_maintainer(request) {
            return unauthorized();
        }
        let Some(project) = self.project_id(project) else {
            return Response::json(404, &json!({ "message": "404 Project Not Found" }));
        };
        let mut state = self.state();
        let race = state.race;
        let variables = state.variables.entry(project).or_default();
        let answer = answered(variables, request, key);
        // Of another pipeline, once.
        let happens = match (race, request.method.as_str(), answer.status) {
            (Some(Race::Creates), "PUT", 404) => {
                variables.push(Variable::new(key.unwrap_or_default(), "passed"));
                true
            }
            (Some(Race::Writes), "PUT", 200) => {
                variables.retain(|variable| Some(variable.key.as_str()) != key);
                variables.push(Variable::new(key.unwrap_or_default(), "of another pipeline"));
                true
            }
            (Some(Race::Deletes), "PUT", 200) => {
                variables.retain(|variable| Some(variable.key.as_str()) != key);
                true
            }
            _ => false,
        };
        if happens {
            state.race = None;
        }
        answer
    }

    /// Lets another pipeline be there at the wrong moment, once.
    pub fn race(&self, race: Race) {
        self.state().race = Some(race);
    }

    pub(super) fn is_maintainer(&self, request: &Request) -> bool {
        let bearer =
            request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let token = request.header("private-token").or(bearer);
        token == Some(self.state().maintainer_token.as_str())
    }

    /// A number, or a path with encoded slashes.
    fn project_id(&self, project: &str) -> Option<u64> {
        let path = project.replace("%2f", "/").replace("%2F", "/");
        project.parse().ok().or_else(|| {
            let state = self.state();
            state.seats.iter().find(|seat| seat.project_path == path).map(|seat| seat.project_id)
        })
    }
}

/// Answers about the variables of one project.
fn answered(variables: &mut Vec<Variable>, request: &Request, key: Option<&str>) -> Response {
    match (request.method.as_str(), key) {
        ("GET", None) => Response::json(200, &variables.iter().map(Variable::json).collect()),
        ("POST", None) => create(variables, &sent(request)),
        (method, Some(key)) => {
            let scope = request.parameter("filter[environment_scope]");
            let mut matching = variables.iter_mut().filter(|variable| {
                variable.key == key && scope.is_none_or(|scope| variable.scope == scope)
            });
            match (matching.next(), matching.next()) {
                (Some(variable), None) => one(method, variable, request),
                (Some(_), Some(_)) => Response::json(
                    409,
                    &json!({ "message":
                    "There are multiple variables with provided parameters. \
                     Please use 'filter[environment_scope]'" }),
                ),
                (None, _) => Response::json(404, &json!({ "message": "404 Variable Not Found" })),
            }
        }
        (_, None) => Response::json(405, &json!({ "error": "405 Not Allowed" })),
    }
}

/// Clients send JSON or a form.
fn sent(request: &Request) -> Value {
    let json = request.json();
    if !json.is_null() {
        return json;
    }
    let form = parameters(std::str::from_utf8(&request.body).unwrap_or_default());
    form.into_iter().map(|(key, value)| (key, Value::String(value))).collect()
}

fn is_true(value: &Value) -> bool {
    value == &json!(true) || value == "true"
}

fn create(variables: &mut Vec<Variable>, sent: &Value) -> Response {
    let (Some(key), Some(value)) = (sent["key"].as_str(), sent["value"].as_str()) else {
        return Response::json(400, &json!({ "error": "key is missing, value is missing" }));
    };
    let scope = sent["environment_scope"].as_str().unwrap_or("*");
    if variables.iter().any(|variable| variable.key == key && variable.scope == scope) {
        let taken = format!("({key}) has already been taken");
        return Response::json(400, &json!({ "message": { "key": [taken] } }));
    }
    let variable = Variable {
        scope: scope.to_owned(),
        masked: is_true(&sent["masked"]) || is_true(&sent["masked_and_hidden"]),
        hidden: is_true(&sent["masked_and_hidden"]),
        protected: is_true(&sent["protected"]),
        ..Variable::new(key, value)
    };
    if let Some(refusal) = cannot_be_masked(&variable) {
        return refusal;
    }
    let answer = Response::json(201, &variable.json());
    variables.push(variable);
    answer
}

fn one(method: &str, variable: &mut Variable, request: &Request) -> Response {
    match method {
        "GET" => Response::json(200, &variable.json()),
        "PUT" => update(variable, &sent(request)),
        _ => Response::json(405, &json!({ "error": "405 Not Allowed" })),
    }
}

fn update(variable: &mut Variable, sent: &Value) -> Response {
    let mut changed = variable.clone();
    if let Some(value) = sent["value"].as_str() {
        value.clone_into(&mut changed.value);
    }
    if !sent["masked"].is_null() {
        changed.masked = is_true(&sent["masked"]);
    }
    if let Some(refusal) = cannot_be_masked(&changed) {
        return refusal;
    }
    *variable = changed;
    Response::json(200, &variable.json())
}

/// GitLab's rule for values that are masked: one line of eight or more characters, of an alphabet
/// that logs can be searched for.
fn cannot_be_masked(variable: &Variable) -> Option<Response> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_+=/@:.~-".contains(c);
    let can_be = variable.value.len() >= 8 && variable.value.chars().all(is_plain);
    let refusal = || Response::json(400, &json!({ "message": { "value": ["is invalid"] } }));
    (variable.masked && !can_be).then(refusal)
}
