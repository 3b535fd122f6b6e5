//! Where a verdict is told and kept: notes of merge requests, statuses of commits, and the generic
//! package registry, with GitLab's own rules on who may and what is valid.

use serde_json::{Value, json};

use super::{GitLab, unauthorized};
use crate::standins::server::{Request, Response};

/// A note of a merge request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its number.
    pub id: u64,
    /// The merge request's number within the project.
    pub request: u64,
    /// Its text.
    pub body: String,
}

/// A commit's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The commit.
    pub sha: String,
    /// `success`, `failed`, …
    pub state: String,
    /// What it is called.
    pub name: String,
    /// One line.
    pub description: String,
}

impl GitLab {
    /// Notes so far.
    pub fn notes(&self) -> Vec<Note> {
        self.state().notes.clone()
    }

    /// Statuses as they are now.
    pub fn statuses(&self) -> Vec<Status> {
        self.state().statuses.clone()
    }

    /// Returns the newest file of a generic package.
    pub fn package(&self, path: &str) -> Option<Vec<u8>> {
        self.state()
            .packages
            .iter()
            .rev()
            .find(|(key, _)| key == path)
            .map(|(_, body)| body.clone())
    }

    /// Notes need a user's token: with a job's they can only be read.
    pub(super) fn note(&self, request: &Request, rest: &[&str]) -> Response {
        let may_read = self.is_maintainer(request) || self.seat_of(request).is_some();
        let may_write = self.is_maintainer(request);
        if !may_read || (request.method != "GET" && !may_write) {
            return unauthorized();
        }
        let (Some(iid), id) = (rest.first().and_then(|iid| iid.parse().ok()), rest.get(2)) else {
            return Response::json(404, &json!({ "message": "404 Not found" }));
        };
        let body = request.json()["body"].as_str().unwrap_or_default().to_owned();
        let mut state = self.state();
        match (request.method.as_str(), id) {
            ("GET", None) => {
                let page: usize =
                    request.parameter("page").and_then(|page| page.parse().ok()).unwrap_or(1);
                let all = state.notes.iter().filter(|note| note.request == iid);
                let all: Vec<Value> = all
                    .map(|note| json!({ "id": note.id, "body": note.body, "system": false }))
                    .collect();
                let some: Vec<Value> = all.into_iter().skip((page - 1) * 100).take(100).collect();
                Response::json(200, &Value::Array(some))
            }
            ("POST" | "PUT", _) if body.trim().is_empty() => {
                Response::json(400, &json!({ "message": { "note": ["can't be blank"] } }))
            }
            ("POST", None) => {
                let id = 1000 + u64::try_from(state.notes.len()).unwrap();
                state.notes.push(Note { id, request: iid, body: body.clone() });
                Response::json(201, &json!({ "id": id, "body": body, "system": false }))
            }
            ("PUT", Some(id)) => {
                let found = state.notes.iter_mut().find(|note| note.id.to_string() == **id);
                match found {
                    Some(note) => {
                        note.body.clone_from(&body);
                        Response::json(200, &json!({ "id": note.id, "body": body }))
                    }
                    None => Response::json(404, &json!({ "message": "404 Note Not Found" })),
                }
            }
            _ => Response::json(405, &json!({ "error": "405 Not Allowed" })),
        }
    }

    /// A status cannot be set to what it is, and not with a job's token.
    pub(super) fn status(&self, request: &Request, sha: &str) -> Response {
        if !self.is_maintainer(request) {
            return unauthorized();
        }
        let sent = request.json();
        let text = |key: &str| sent[key].as_str().unwrap_or_default().to_owned();
        let status = Status {
            sha: sha.to_owned(),
            state: text("state"),
            name: text("name"),
            description: text("description"),
        };
        let states = ["pending", "running", "success", "failed", "canceled", "skipped"];
        if !states.contains(&status.state.as_str()) {
            return Response::json(400, &json!({ "error": "state does not have a valid value" }));
        }
        if status.description.chars().count() > 255 {
            let why = json!({ "message": { "description": ["is too long (maximum is 255 characters)"] } });
            return Response::json(400, &why);
        }
        let mut state = self.state();
        let known = state
            .statuses
            .iter_mut()
            .find(|known| known.sha == status.sha && known.name == status.name);
        match known {
            Some(known) if known.state == status.state => {
                let why =
                    format!("Cannot transition status via :{} from :{}", known.state, known.state);
                Response::json(400, &json!({ "message": why }))
            }
            Some(known) => {
                *known = status;
                Response::json(201, &json!({ "status": known.state }))
            }
            None => {
                let answer = json!({ "status": status.state });
                state.statuses.push(status);
                Response::json(201, &answer)
            }
        }
    }

    /// Files of one name are kept side by side; the newest one is given out. A job's token will do.
    pub(super) fn generic_package(&self, request: &Request, rest: &[&str]) -> Response {
        if !self.is_maintainer(request) && self.seat_of(request).is_none() {
            return unauthorized();
        }
        let [_, version, _] = rest else {
            return Response::json(404, &json!({ "error": "404 Not Found" }));
        };
        let is_version = version.starts_with(|c: char| c.is_ascii_alphanumeric())
            && version.chars().all(|c| c.is_ascii_alphanumeric() || ".-_+~".contains(c));
        if !is_version {
            return Response::json(400, &json!({ "error": "package_version is invalid" }));
        }
        let path = rest.join("/");
        match request.method.as_str() {
            "PUT" => {
                self.state().packages.push((path, request.body.to_vec()));
                Response::json(201, &json!({ "message": "201 Created" }))
            }
            "GET" => match self.package(&path) {
                Some(body) => Response::new(200, "application/octet-stream", body),
                None => Response::json(404, &json!({ "message": "404 Not Found" })),
            },
            _ => Response::json(405, &json!({ "error": "405 Not Allowed" })),
        }
    }
}
