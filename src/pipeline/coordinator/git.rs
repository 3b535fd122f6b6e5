//! git over smart HTTP: `git upload-pack` on the snapshot and on submodules beside it, nothing can
//! be pushed.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use crate::pipeline::coordinator::form::urlencoded;
use crate::pipeline::coordinator::{Answer, Shared, collect, header, text};

/// Answers a request below `/<project>.git`.
pub async fn answer(shared: &Shared, path: &str, request: Request<Incoming>) -> Answer {
    let Some((repository, below)) = find(shared, path.trim_start_matches('/')) else {
        return text(StatusCode::NOT_FOUND, "not found\n");
    };
    if !is_known(shared, &request) {
        let mut answer = text(StatusCode::UNAUTHORIZED, "HTTP Basic: Access denied\n");
        let asks = hyper::header::HeaderValue::from_static("Basic realm=\"GitLab\"");
        answer.headers_mut().insert(hyper::header::WWW_AUTHENTICATE, asks);
        return answer;
    }
    let query = urlencoded(request.uri().query().unwrap_or_default());
    let service = query.get("service").map(String::as_str);
    let protocol = header(&request, "Git-Protocol").to_owned();
    match (request.method().clone(), below, service) {
        (Method::GET, "/info/refs", Some("git-upload-pack")) => {
            advertise(shared, &repository, &protocol).await
        }
        (Method::POST, "/git-upload-pack", _) => {
            upload_pack(shared, &repository, &protocol, request).await
        }
        _ => text(StatusCode::FORBIDDEN, "only fetching is possible\n"),
    }
}

/// The repository that a path lies in, and the rest of the path.
fn find<'a>(shared: &Shared, path: &'a str) -> Option<(PathBuf, &'a str)> {
    let store = shared.store();
    let own = (&store.project.path, &shared.repository);
    std::iter::once(own).chain(&store.submodules).find_map(|(project, repository)| {
        let rest = path.strip_prefix(project.as_str())?;
        let rest = rest.strip_prefix(".git").unwrap_or(rest);
        rest.starts_with('/').then(|| (repository.clone(), rest))
    })
}

/// Basic credentials with the token of a job.
fn is_known(shared: &Shared, request: &Request<Incoming>) -> bool {
    let given = header(request, "Authorization").strip_prefix("Basic ").unwrap_or_default();
    let Ok(decoded) = base64::engine::general_purpose::STANDARD.decode(given) else { return false };
    let decoded = String::from_utf8_lossy(&decoded).into_owned();
    let token = decoded.split_once(':').map(|(_, token)| token).unwrap_or_default();
    shared.store().job_by_token(token).is_some_and(|job| job.running)
}

fn command(
    shared: &Shared,
    repository: &Path,
    protocol: &str,
    arguments: &[&str],
) -> tokio::process::Command {
    let repository = repository.to_string_lossy().into_owned();
    let mut command =
        shared.git.command(&[&["upload-pack"], arguments, &[repository.as_str()]].concat());
    command.stderr(Stdio::null());
    if !protocol.is_empty() {
        command.env("GIT_PROTOCOL", protocol);
    }
    command
}

async fn advertise(shared: &Shared, repository: &Path, protocol: &str) -> Answer {
    let output = command(shared, repository, protocol, &["--stateless-rpc", "--advertise-refs"])
        .output()
        .await;
    match output {
        Ok(output) if output.status.success() => {
            let mut body = b"001e# service=git-upload-pack\n0000".to_vec();
            body.extend_from_slice(&output.stdout);
            typed(text(StatusCode::OK, body), "application/x-git-upload-pack-advertisement")
        }
        Ok(_) | Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "git upload-pack failed\n"),
    }
}

async fn upload_pack(
    shared: &Shared,
    repository: &Path,
    protocol: &str,
    request: Request<Incoming>,
) -> Answer {
    let zipped = header(&request, "Content-Encoding") == "gzip";
    let Some(body) = collect(request.into_body()).await else {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "too large\n");
    };
    let body = if zipped { unzipped(&body) } else { body };
    let started =
        command(shared, repository, protocol, &["--stateless-rpc"]).stdin(Stdio::piped()).spawn();
    let failed = || text(StatusCode::INTERNAL_SERVER_ERROR, "git upload-pack failed\n");
    let Ok(mut child) = started else { return failed() };
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return failed();
    };
    // The request is small, and upload-pack reads all of it before it answers.
    if stdin.write_all(&body).await.is_err() {
        return failed();
    }
    drop(stdin);
    // The child lives as long as its answer is read; it is killed when the reader goes away.
    let stream = ReaderStream::with_capacity(stdout, 64 * 1024).map(move |chunk| {
        let _alive = &child;
        chunk.map(Frame::data)
    });
    let answer = Response::new(BodyExt::boxed(StreamBody::new(stream)));
    typed(answer, "application/x-git-upload-pack-result")
}

fn unzipped(body: &Bytes) -> Bytes {
    let mut plain = Vec::new();
    let mut reader = std::io::Read::take(flate2::read::GzDecoder::new(body.as_ref()), 1 << 26);
    match std::io::Read::read_to_end(&mut reader, &mut plain) {
        Ok(_) => plain.into(),
        Err(_) => Bytes::new(),
    }
}

fn typed(mut answer: Answer, kind: &'static str) -> Answer {
    let headers = answer.headers_mut();
    headers.insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    let never = hyper::header::HeaderValue::from_static("no-cache");
    headers.insert(hyper::header::CACHE_CONTROL, never);
    answer
}
