//! Artifacts: taken from jobs as they come, the dotenv report read as strictly as GitLab does.

use std::io::Read as _;

use serde_json::json;

use super::{GitLab, unauthorized};
use crate::standins::server::{Request, Response};

/// An artifact that a job uploaded.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Number of the job.
    pub job: u64,
    /// `archive`, `dotenv`, `junit`, …
    pub kind: String,
    /// `zip`, `gzip`, `raw`.
    pub format: String,
    /// File name as sent.
    pub name: String,
    /// Content as sent.
    pub bytes: Vec<u8>,
}

impl Upload {
    /// Returns the text of a gzip or raw upload.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let read = match self.format.as_str() {
            "gzip" => {
                flate2::read::MultiGzDecoder::new(self.bytes.as_slice()).read_to_string(&mut text)
            }
            _ => self.bytes.as_slice().read_to_string(&mut text),
        };
        read.map_or_else(|error| error.to_string(), |_| text)
    }
}

impl GitLab {
    pub(super) fn upload(&self, request: &Request, id: &str) -> Response {
        let Some(seat) = self.seat_of(request).filter(|seat| seat.id.to_string() == id) else {
            return unauthorized();
        };
        let Some((name, bytes)) = file_part(request) else {
            return Response::json(400, &json!({ "error": "file is invalid" }));
        };
        let parameter = |name: &str| request.parameter(name).unwrap_or_default().to_owned();
        let kind = parameter("artifact_type");
        let upload =
            Upload { job: seat.id, kind, format: parameter("artifact_format"), name, bytes };
        if upload.kind == "dotenv" && !is_dotenv(&upload.text()) {
            return Response::json(400, &json!({ "message": "Invalid Format" }));
        }
        self.state().uploads.push(upload);
        Response::json(201, &json!({}))
    }

    pub(super) fn download(&self, request: &Request, id: &str) -> Response {
        if request.header("job-token").is_none() {
            return unauthorized();
        }
        let state = self.state();
        let archive = state
            .uploads
            .iter()
            .find(|upload| upload.job.to_string() == id && upload.kind == "archive");
        archive.map_or_else(
            || Response::json(404, &json!({ "message": "404 Not Found" })),
            |archive| Response::new(200, "application/zip", archive.bytes.clone()),
        )
    }
}

/// Every line `KEY=VALUE`: a blank line or a comment rejects the whole report.
fn is_dotenv(text: &str) -> bool {
    let is_key =
        |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    text.len() < 5120
        && text.lines().all(|line| line.split_once('=').is_some_and(|(key, _)| is_key(key.trim())))
}

/// Finds the part `file` of a multipart body: its file name and content.
fn file_part(request: &Request) -> Option<(String, Vec<u8>)> {
    let boundary = request.header("content-type")?.split("boundary=").nth(1)?.trim_matches('"');
    let body = &request.body;
    let head_end = find(body, b"\r\n\r\n")?;
    let head = std::str::from_utf8(body.get(..head_end)?).ok()?;
    let name = head.split("filename=\"").nth(1)?.split('"').next()?.to_owned();
    let content = body.get(head_end + 4..)?;
    let end = find(content, format!("\r\n--{boundary}").as_bytes())?;
    head.contains("name=\"file\"").then(|| (name, content.get(..end).unwrap_or_default().to_vec()))
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
