//! GitLab's API as far as a driver and a job talk to it: who the job is, project variables,
//! artifacts, and git over HTTP.

mod artifacts;
mod git;
mod tells;
mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::server::{Request, Response, Server, Site};
pub use artifacts::Upload;
pub use tells::{Note, Status};
pub use variables::{Race, Variable};

/// What GitLab knows of a running job.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Number of the job.
    pub id: u64,
    /// `CI_JOB_TOKEN`.
    pub token: String,
    /// Name in the pipeline file.
    pub name: String,
    /// Stage in the pipeline file.
    pub stage: String,
    /// Branch.
    pub git_ref: String,
    /// Number of the project.
    pub project_id: u64,
    /// `group/project`.
    pub project_path: String,
    /// Who started it.
    pub login: String,
    /// The job's tags.
    pub tags: Vec<String>,
    /// Slug and tier.
    pub environment: Option<(String, String)>,
}

impl Default for Seat {
    fn default() -> Self {
        Self {
            id: 50001,
            token: "JOB-TOKEN-50001".to_owned(),
            name: "test".to_owned(),
            stage: "test".to_owned(),
            git_ref: "main".to_owned(),
            project_id: 4217,
            project_path: "group/project".to_owned(),
            login: "dev".to_owned(),
            tags: vec!["Dedicated".to_owned()],
            environment: None,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    seats: Vec<Seat>,
    /// Who may read and write variables.
    maintainer_token: String,
    variables: BTreeMap<u64, Vec<Variable>>,
    race: Option<Race>,
    uploads: Vec<Upload>,
    notes: Vec<Note>,
    statuses: Vec<Status>,
    /// `package/version/file`, oldest first.
    packages: Vec<(String, Vec<u8>)>,
    /// Bare repositories by project path.
    repositories: BTreeMap<String, PathBuf>,
    asked: Vec<String>,
    is_down: bool,
}

/// The stand-in.
#[derive(Debug, Clone, Default)]
pub struct GitLab {
    state: Arc<Mutex<State>>,
}

impl GitLab {
    /// Starts it; port 0 takes a free one. `maintainer_token` may write variables.
    pub fn start(port: u16, maintainer_token: &str) -> std::io::Result<(Self, Server)> {
        let gitlab = Self::default();
        maintainer_token.clone_into(&mut gitlab.state().maintainer_token);
        let server = Server::start(port, Arc::new(gitlab.clone()))?;
        Ok((gitlab, server))
    }

    /// Lets a job run.
    pub fn seat(&self, seat: Seat) {
        self.state().seats.push(seat);
    }

    /// Serves a repository for a project.
    pub fn repository(&self, project_path: &str, folder: PathBuf) {
        self.state().repositories.insert(project_path.to_owned(), folder);
    }

    /// Sets a project variable, as a maintainer would in the settings.
    pub fn set_variable(&self, project_id: u64, variable: Variable) {
        self.state().variables.entry(project_id).or_default().push(variable);
    }

    /// Returns a project variable's value.
    pub fn variable(&self, project_id: u64, key: &str) -> Option<String> {
        let state = self.state();
        let variables = state.variables.get(&project_id)?;
        variables.iter().find(|variable| variable.key == key).map(|found| found.value.clone())
    }

    /// Returns all project variables.
    pub fn variables_of(&self, project_id: u64) -> Vec<Variable> {
        self.state().variables.get(&project_id).cloned().unwrap_or_default()
    }

    /// Artifacts so far.
    pub fn uploads(&self) -> Vec<Upload> {
        self.state().uploads.clone()
    }

    /// Requests so far: `GET /api/v4/job`.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// From now on every request is answered with 502.
    pub fn go_down(&self) {
        self.state().is_down = true;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seat_of(&self, request: &Request) -> Option<Seat> {
        let token = request.header("job-token")?;
        self.state().seats.iter().find(|seat| seat.token == token).cloned()
    }

    fn api(&self, request: &Request, parts: &[&str]) -> Response {
        match (request.method.as_str(), parts) {
            ("GET", ["job"]) => self.with_seat(request, job),
            ("GET", ["job", "allowed_agents"]) => self.with_seat(request, allowed_agents),
            ("POST", ["jobs", id, "artifacts"]) => self.upload(request, id),
            ("GET", ["jobs", id, "artifacts"]) => self.download(request, id),
            (_, ["projects", project, "variables", key @ ..]) => {
                self.variables(request, project, key.first().copied())
            }
            (_, ["projects", _, "merge_requests", rest @ ..]) => self.note(request, rest),
            ("POST", ["projects", _, "statuses", sha]) => self.status(request, sha),
            (_, ["projects", _, "packages", "generic", rest @ ..]) => {
                self.generic_package(request, rest)
            }
            _ => Response::json(404, &json!({ "error": "404 Not Found" })),
        }
    }

    fn with_seat(&self, request: &Request, answer: fn(&Seat) -> Value) -> Response {
        match self.seat_of(request) {
            Some(seat) => Response::json(200, &answer(&seat)),
            None => unauthorized(),
        }
    }
}

#[async_trait::async_trait]
impl Site for GitLab {
    async fn answer(&self, request: Request) -> Response {
        self.state().asked.push(format!("{} {}", request.method, request.path));
        if self.state().is_down {
            return Response::text(502, "GitLab is not responding");
        }
        // Encoded slashes belong to a project's path: split first, decode then.
        match request.raw_path.strip_prefix("/api/v4/") {
            Some(rest) => {
                let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
                self.api(&request, &parts)
            }
            None => self.git(&request),
        }
    }
}

fn job(seat: &Seat) -> Value {
    json!({
        "id": seat.id, "name": seat.name, "stage": seat.stage, "status": "running",
        "ref": seat.git_ref, "tag": false, "allow_failure": false,
        "user": { "id": 5, "username": seat.login, "name": "Dev Eloper" },
        "pipeline": { "id": 9001, "project_id": seat.project_id, "ref": seat.git_ref },
        "project": { "ci_job_token_scope_enabled": false },
        "runner": { "id": 77, "description": "stub-runner" },
        "tag_list": seat.tags,
    })
}

fn allowed_agents(seat: &Seat) -> Value {
    let mut answer = json!({
        "allowed_agents": [],
        "job": { "id": seat.id },
        "pipeline": { "id": 9001 },
        "project": { "id": seat.project_id, "groups": [{ "id": 31 }] },
        "user": { "id": 5, "username": seat.login, "roles_in_project": ["guest", "developer"] },
    });
    if let Some((slug, tier)) = &seat.environment {
        answer["environment"] = json!({ "slug": slug, "tier": tier });
    }
    answer
}

fn unauthorized() -> Response {
    Response::json(401, &json!({ "message": "401 Unauthorized" }))
}
