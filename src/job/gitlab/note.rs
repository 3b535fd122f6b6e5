//! What a verdict is told by in a merge request: one note, updated in place, and a commit's status.

use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Error, Gitlab, Token, parse, refusal};
use crate::secret::Secret;

/// Notes are looked through so many pages deep.
const PAGES: u32 = 10;
const PER_PAGE: usize = 100;

#[derive(Deserialize)]
struct NoteFile {
    id: u64,
    #[serde(default)]
    body: String,
    #[serde(default)]
    system: bool,
}

/// A commit's status as it is to be.
#[derive(Debug, Clone, Copy)]
pub struct NewStatus<'a> {
    /// The commit.
    pub sha: &'a str,
    /// `success` or `failed`.
    pub state: &'a str,
    /// What it is called there.
    pub name: &'a str,
    /// One line, at most 255 characters.
    pub description: &'a str,
    /// Where there is more.
    pub target: Option<&'a str>,
}

impl Gitlab {
    /// Writes a merge request's note that holds the marker: the one that is there, or a new one.
    ///
    /// # Errors
    /// When GitLab does not answer, or refuses.
    pub async fn write_note(
        &self,
        token: &Secret,
        (project, request): (u64, u64),
        (marker, text): (&str, &str),
    ) -> Result<(), Error> {
        let notes =
            ["projects", &project.to_string(), "merge_requests", &request.to_string(), "notes"];
        let known = self.find_note(token, &self.url(&notes), marker).await?;
        let body = json!({ "body": format!("{marker}\n{text}") });
        let (method, url) = match known {
            Some(id) => {
                let id = id.to_string();
                let one: Vec<&str> = notes.iter().copied().chain([id.as_str()]).collect();
                (Method::PUT, self.url(&one))
            }
            None => (Method::POST, self.url(&notes)),
        };
        self.write(token, method, &url, &body).await
    }

    async fn find_note(
        &self,
        token: &Secret,
        notes: &Url,
        marker: &str,
    ) -> Result<Option<u64>, Error> {
        for page in 1..=PAGES {
            let mut url = notes.clone();
            url.query_pairs_mut()
                .append_pair("per_page", &PER_PAGE.to_string())
                .append_pair("page", &page.to_string());
            let reply = self.send(Method::GET, &url, &Token::Private(token), None).await?;
            if !reply.code.is_success() {
                return Err(refusal(Method::GET, &url, &reply));
            }
            let found: Vec<NoteFile> = parse(&url, &reply)?;
            let is_ours = |note: &&NoteFile| !note.system && note.body.starts_with(marker);
            if let Some(note) = found.iter().find(is_ours) {
                return Ok(Some(note.id));
            }
            if found.len() < PER_PAGE {
                break;
            }
        }
        Ok(None)
    }

    /// Sets a commit's status.
    ///
    /// # Errors
    /// When GitLab does not answer, or refuses.
    pub async fn write_status(
        &self,
        token: &Secret,
        project: u64,
        status: NewStatus<'_>,
    ) -> Result<(), Error> {
        let url = self.url(&["projects", &project.to_string(), "statuses", status.sha]);
        let description: String = status.description.chars().take(255).collect();
        let mut body =
            json!({ "state": status.state, "name": status.name, "description": description });
        if let (Some(target), Some(map)) = (status.target, body.as_object_mut()) {
            map.insert("target_url".to_owned(), Value::from(target));
        }
        let reply =
            self.send_body(Method::POST, &url, &Token::Private(token), &Body::Json(&body)).await?;
        // A status that is already so is refused by this word, and is as it should be.
        let is_so = super::message(&reply).contains("Cannot transition status");
        if reply.code.is_success() || is_so {
            Ok(())
        } else {
            Err(refusal(Method::POST, &url, &reply))
        }
    }

    async fn write(
        &self,
        token: &Secret,
        method: Method,
        url: &Url,
        body: &Value,
    ) -> Result<(), Error> {
        let body = Body::Json(body);
        let reply = self.send_body(method.clone(), url, &Token::Private(token), &body).await?;
        if reply.code.is_success() { Ok(()) } else { Err(refusal(method, url, &reply)) }
    }
}
