//! The part of GitLab that jobs talk to, on loopback: identity, artifacts, variables, git.

mod form;
mod store;
mod api;
mod variables;
mod artifacts;
mod git;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use store::{JobRecord, Project, ProjectVariable, Store, User, Written};

use crate::pipeline::snapshot::Git;

/// What a request is answered with.
type Answer = Response<BoxBody<Bytes, std::io::Error>>;

/// The largest body that is taken in: GitLab's own default is 100 MB for an archive.
const MAX_BODY: usize = 1 << 30;

/// A coordinator that cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on loopback")]
pub struct Error(#[from] std::io::Error);

/// A running coordinator; it ends when it is dropped.
#[derive(Debug)]
pub struct Coordinator {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinSet<()>,
}

/// What every connection needs.
#[derive(Debug)]
pub struct Shared {
    store: Mutex<Store>,
    /// The bare repository that git is served from.
    repository: PathBuf,
    git: Git,
}

impl Shared {
    /// The store; a panic elsewhere does not stop the others.
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Coordinator {
    /// Starts to listen on a free port of 127.0.0.1.
    pub async fn start(store: Store, repository: PathBuf, git: Git) -> Result<Self, Error> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { store: Mutex::new(store), repository, git });
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, server })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Looks at or changes what it knows.
    pub fn with<T>(&self, look: impl FnOnce(&mut Store) -> T) -> T {
        look(&mut self.shared.store())
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        self.server.abort_all();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A connection that is gone before it was accepted concerns nobody.
                let Ok((stream, _)) = accepted else { continue };
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service);
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "connection ended");
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Answer, std::convert::Infallible> {
    let path = request.uri().path().to_owned();
    let answer = match path.strip_prefix("/api/v4/") {
        Some(rest) => api::answer(&shared, rest, request).await,
        None => git::answer(&shared, &path, request).await,
    };
    tracing::debug!(%path, status = answer.status().as_u16(), "answered");
    Ok(answer)
}

/// A JSON answer.
fn json(status: StatusCode, body: &serde_json::Value) -> Answer {
    let mut answer = text(status, body.to_string());
    answer.headers_mut().insert(
        hyper::header::CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("application/json"),
    );
    answer
}

/// An answer that says `message`, as GitLab says what is wrong.
fn message(status: StatusCode, message: &str) -> Answer {
    json(status, &serde_json::json!({ "message": message }))
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).map_err(|never| match never {}).boxed());
    *answer.status_mut() = status;
    answer
}

/// Takes a whole body in; `None` when it is too large or broken off.
async fn collect(body: Incoming) -> Option<Bytes> {
    let limited = http_body_util::Limited::new(body, MAX_BODY);
    limited.collect().await.ok().map(http_body_util::Collected::to_bytes)
}

/// A header as text; empty when it is missing.
fn header<'a, B>(request: &'a Request<B>, name: &str) -> &'a str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
