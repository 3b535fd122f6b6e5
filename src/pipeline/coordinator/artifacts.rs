//! Artifacts up and down: the archive is kept for dependants, a dotenv report is parsed.

use std::io::Read;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Request, StatusCode};

use crate::pipeline::coordinator::form::{parts, urlencoded};
use crate::pipeline::coordinator::{Answer, Shared, collect, header, json, message, text};
use crate::pipeline::dotenv;

/// `POST jobs/:id/artifacts`.
pub async fn upload(shared: &Shared, id: u64, request: Request<Incoming>) -> Answer {
    let token = header(&request, "JOB-TOKEN").to_owned();
    if shared.store().job_by_token(&token).is_none_or(|job| job.id != id) {
        return message(StatusCode::FORBIDDEN, "403 Forbidden");
    }
    let query = urlencoded(request.uri().query().unwrap_or_default());
    let content_type = header(&request, "Content-Type").to_owned();
    let kind = query.get("artifact_type").cloned().unwrap_or_else(|| "archive".to_owned());
    let format = query.get("artifact_format").cloned().unwrap_or_default();
    if !kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return message(StatusCode::BAD_REQUEST, "400 Bad request - Invalid Type");
    }
    let Some(body) = collect(request.into_body()).await else {
        return message(StatusCode::PAYLOAD_TOO_LARGE, "413 Request Entity Too Large");
    };
    let found = parts(&content_type, &body).into_iter().find(|part| part.name == "file");
    let Some(part) = found else {
        return message(StatusCode::BAD_REQUEST, "400 Bad request - file is missing");
    };
    let content = Bytes::copy_from_slice(part.content);
    let mut store = shared.store();
    if kind == "dotenv" {
        let plain = if format == "gzip" { unzipped(&content) } else { Some(content.to_vec()) };
        match plain.map(|plain| dotenv::parse(&plain)) {
            Some(Ok(variables)) => store.dotenv.insert(id, variables),
            Some(Err(dotenv::Rejected)) | None => {
                return message(StatusCode::BAD_REQUEST, "400 Bad request - Invalid Format");
            }
        };
    }
    let filename = part.filename.unwrap_or_else(|| "artifacts.zip".to_owned());
    match store.keep(id, &kind, &filename, &content) {
        Ok(()) => json(StatusCode::CREATED, &serde_json::json!({ "message": "201 Created" })),
        Err(error) => message(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// Unpacks a small report; more than a dotenv may hold is cut off.
fn unzipped(content: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(content).take(1 << 20).read_to_end(&mut plain).ok()?;
    Some(plain)
}

/// `GET jobs/:id/artifacts` with the token of that job.
pub fn download(shared: &Shared, id: u64, request: &Request<Incoming>) -> Answer {
    let store = shared.store();
    match store.job_by_token(header(request, "JOB-TOKEN")) {
        None => return message(StatusCode::UNAUTHORIZED, "401 Unauthorized"),
        Some(job) if job.id != id => return message(StatusCode::FORBIDDEN, "403 Forbidden"),
        Some(_) => (),
    }
    let archive = store.uploads.get(&(id, "archive".to_owned()));
    match archive.and_then(|archive| std::fs::read(&archive.path).ok()) {
        Some(content) => text(StatusCode::OK, content),
        None => message(StatusCode::NOT_FOUND, "404 Not Found"),
    }
}
