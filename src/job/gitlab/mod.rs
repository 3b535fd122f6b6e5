//! GitLab's own word on who the job is, and the project variables API.

mod error;
mod variable;
mod package;
mod note;

use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Method, StatusCode, Url};
use serde::{Deserialize, Serialize};

pub use error::Error;
pub use note::NewStatus;
pub use variable::{NewVariable, Project, Written};

use crate::job::http;
use crate::secret::Secret;

const PER_TRY: Duration = Duration::from_secs(15);
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const MESSAGE: usize = 300;
/// The most that is read of an answer: each of them is small.
const LIMIT: usize = 1 << 20;

/// Who a job is, in GitLab's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Login of the user who started it.
    pub login: String,
    /// Number of that user.
    pub user_id: u64,
    /// The job's own `tags:`.
    pub tags: Vec<String>,
    /// Slug of its environment, where one of that name exists.
    pub environment_slug: Option<String>,
    /// Tier of that environment.
    pub environment_tier: Option<String>,
    /// Number of its project.
    pub project_id: u64,
}

/// A GitLab that can be asked.
#[derive(Debug, Clone)]
pub struct Gitlab {
    client: Client,
    api: Url,
}

struct Reply {
    code: StatusCode,
    body: Vec<u8>,
}

/// What is sent with a request.
enum Body<'a> {
    Json(&'a serde_json::Value),
    Bytes(Vec<u8>),
}

enum Token<'a> {
    Job(&'a Secret),
    Private(&'a Secret),
}

#[derive(Deserialize)]
struct JobFile {
    user: Option<UserFile>,
    pipeline: Option<PipelineFile>,
    #[serde(default)]
    tag_list: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct UserFile {
    id: u64,
    username: String,
}

#[derive(Deserialize)]
struct PipelineFile {
    project_id: u64,
}

#[derive(Deserialize)]
struct AgentsFile {
    #[serde(default)]
    environment: Option<EnvironmentFile>,
}

#[derive(Deserialize)]
struct EnvironmentFile {
    slug: Option<String>,
    tier: Option<String>,
}

impl Gitlab {
    /// Prepares the connection; sends nothing. `url` is GitLab's own or that of its API.
    pub fn new(url: &str, ca_file: Option<&Path>) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Url { url: url.to_owned(), why: why.to_owned() };
        let plain = url.trim_end_matches('/').trim_end_matches("/api/v4");
        let api: Url = format!("{plain}/api/v4/").parse().map_err(|_| wrong("it is no URL"))?;
        if !matches!(api.scheme(), "http" | "https") || api.host_str().is_none() {
            return Err(wrong("it must start with http:// or https://"));
        }
        if !api.username().is_empty() || api.password().is_some() {
            return Err(Error::Url {
                url: api.host_str().unwrap_or_default().to_owned(),
                why: "a password does not belong into it".to_owned(),
            });
        }
        Ok(Self { client: http::client(api.as_str(), ca_file).map_err(Error::Client)?, api })
    }

    /// Asks who the job is that this job token belongs to.
    pub async fn identity(&self, token: &Secret) -> Result<Identity, Error> {
        let job: JobFile = self.read(&self.url(&["job"]), token).await?;
        let agents: AgentsFile = self.read(&self.url(&["job", "allowed_agents"]), token).await?;
        let missing = |what: &str| Error::Malformed {
            url: self.url(&["job"]).to_string(),
            why: format!("no `{what}`"),
        };
        let user = job.user.ok_or_else(|| missing("user"))?;
        let (environment_slug, environment_tier) =
            agents.environment.map_or((None, None), |found| (found.slug, found.tier));
        Ok(Identity {
            login: user.username,
            user_id: user.id,
            tags: job.tag_list.unwrap_or_default(),
            environment_slug,
            environment_tier,
            project_id: job.pipeline.ok_or_else(|| missing("pipeline"))?.project_id,
        })
    }

    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.api.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            // Each segment is encoded, so that a project's path stays one of them.
            path.pop_if_empty().extend(segments);
        }
        url
    }

    async fn read<T: serde::de::DeserializeOwned>(
        &self,
        url: &Url,
        token: &Secret,
    ) -> Result<T, Error> {
        let reply = self.send(Method::GET, url, &Token::Job(token), None).await?;
        if !reply.code.is_success() {
            return Err(refusal(Method::GET, url, &reply));
        }
        parse(url, &reply)
    }

    /// Sends a request; network errors, 429 and 5xx are tried again: each request here may be
    /// repeated.
    async fn send(
        &self,
        method: Method,
        url: &Url,
        token: &Token<'_>,
        body: Option<&serde_json::Value>,
    ) -> Result<Reply, Error> {
        self.send_any(method, url, token, body.map(Body::Json).as_ref()).await
    }

    async fn send_body(
        &self,
        method: Method,
        url: &Url,
        token: &Token<'_>,
        body: &Body<'_>,
    ) -> Result<Reply, Error> {
        self.send_any(method, url, token, Some(body)).await
    }

    async fn send_any(
        &self,
        method: Method,
        url: &Url,
        token: &Token<'_>,
        body: Option<&Body<'_>>,
    ) -> Result<Reply, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut request = self.client.request(method.clone(), url.clone()).timeout(PER_TRY);
            request = match token {
                Token::Job(token) => request.header("JOB-TOKEN", token.reveal()),
                Token::Private(token) => request.header("PRIVATE-TOKEN", token.reveal()),
            };
            request = match body {
                Some(Body::Json(value)) => request.json(value),
                Some(Body::Bytes(bytes)) => request.body(bytes.clone()),
                None => request,
            };
            let unreachable = |source: reqwest::Error| Error::Unreachable {
                method: method.clone(),
                url: shown(url),
                source: source.without_url(),
            };
            let mut pause = PAUSE * tries;
            let result = match request.send().await {
                Ok(response) => {
                    pause = retry_after(&response).unwrap_or(pause);
                    receive(response).await.map_err(unreachable)
                }
                Err(error) => Err(unreachable(error)),
            };
            let passes = match &result {
                Ok(reply) => {
                    reply.code == StatusCode::TOO_MANY_REQUESTS || reply.code.is_server_error()
                }
                Err(_) => true,
            };
            if !passes || tries >= TRIES || pause > LONGEST_PAUSE {
                return result;
            }
            tokio::time::sleep(pause).await;
        }
    }
}

async fn receive(mut response: reqwest::Response) -> Result<Reply, reqwest::Error> {
    let code = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        // What is cut off here is no JSON any more, and is told so.
        body.extend_from_slice(&chunk);
        if body.len() > LIMIT {
            break;
        }
    }
    Ok(Reply { code, body })
}

fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let value = response.headers().get(reqwest::header::RETRY_AFTER)?;
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn parse<T: serde::de::DeserializeOwned>(url: &Url, reply: &Reply) -> Result<T, Error> {
    serde_json::from_slice(&reply.body)
        .map_err(|error| Error::Malformed { url: shown(url), why: error.to_string() })
}

fn refusal(method: Method, url: &Url, reply: &Reply) -> Error {
    Error::Status {
        method,
        url: shown(url),
        status: reply.code.to_string(),
        code: reply.code.as_u16(),
        message: message(reply),
    }
}

/// Returns GitLab's own words: `message` may be a text or an object, `error` stands for it at times.
fn message(reply: &Reply) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(&reply.body).ok();
    let said = json.as_ref().and_then(|json| json.get("message").or_else(|| json.get("error")));
    let text = match said {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::from_utf8_lossy(&reply.body).into_owned(),
    };
    let text: String =
        text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MESSAGE).collect();
    if text.is_empty() { "no reason given".to_owned() } else { text }
}

fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

#[cfg(test)]
mod tests;
