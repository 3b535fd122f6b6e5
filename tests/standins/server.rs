//! A small HTTP server on loopback: a thread of its own, one `Site` that answers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// What answers requests.
#[async_trait::async_trait]
pub trait Site: Send + Sync + 'static {
    /// Answers one request; runs on the server's own thread.
    async fn answer(&self, request: Request) -> Response;
}

/// A request, read whole.
#[derive(Debug)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Decoded, without the query.
    pub path: String,
    /// As sent, without the query.
    pub raw_path: String,
    /// Decoded, in order.
    pub query: Vec<(String, String)>,
    /// As sent.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Request {
    /// Returns a header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns a query parameter's value.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as JSON, `Null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Returns the path's parts: `/a/b/` gives `a`, `b`.
    pub fn parts(&self) -> Vec<&str> {
        self.path.split('/').filter(|part| !part.is_empty()).collect()
    }
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Name and value.
    pub headers: Vec<(&'static str, String)>,
    /// The whole body.
    pub body: Bytes,
}

impl Response {
    /// An answer with a body of a given type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], body: body.into() }
    }

    /// An answer of JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// An answer of text.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.into())
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A running server; ends when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server on 127.0.0.1; port 0 takes a free one.
    pub fn start(port: u16, site: Arc<dyn Site>) -> std::io::Result<Self> {
        Self::begin(port, site, None)
    }

    /// The same over TLS.
    pub fn start_tls(site: Arc<dyn Site>, tls: Arc<rustls::ServerConfig>) -> std::io::Result<Self> {
        Self::begin(0, site, Some(TlsAcceptor::from(tls)))
    }

    fn begin(port: u16, site: Arc<dyn Site>, tls: Option<TlsAcceptor>) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener of this process");
                tokio::select! {
                    () = accept(listener, site, tls) => (),
                    () = stopped.cancelled() => (),
                }
            });
        });
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Blocks until the server ends, which it does with the process.
    pub fn serve(mut self) {
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

async fn accept(listener: TcpListener, site: Arc<dyn Site>, tls: Option<TlsAcceptor>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, Arc::clone(&site), tls.clone()));
                }
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => (),
        }
    }
}

async fn serve(stream: TcpStream, site: Arc<dyn Site>, tls: Option<TlsAcceptor>) {
    // Small answers must not wait for the other side's delayed acknowledgement.
    drop(stream.set_nodelay(true));
    match tls {
        None => serve_on(stream, site).await,
        // Who does not show what is asked for is not answered.
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve_on(stream, site).await;
            }
        }
    }
}

async fn serve_on(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    site: Arc<dyn Site>,
) {
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(answer(&*site, request).await) }
    });
    // A client that goes away in the middle is the client's business.
    drop(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

async fn answer(
    site: &dyn Site,
    request: hyper::Request<Incoming>,
) -> hyper::Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let raw_path = head.uri.path().to_owned();
    let request = Request {
        method: head.method.to_string(),
        path: percent_decoded(&raw_path),
        raw_path,
        query: parameters(head.uri.query().unwrap_or_default()),
        headers: head.headers,
        body,
    };
    let response = site.answer(request).await;
    let mut built = hyper::Response::builder().status(response.status);
    for (name, value) in response.headers {
        built = built.header(name, value);
    }
    built.body(Full::new(response.body)).unwrap_or_default()
}

/// Reads `a=b&c=d`, a query or a form.
pub fn parameters(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let spaced = |text: &str| percent_decoded(&text.replace('+', " "));
            (spaced(key), spaced(value))
        })
        .collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = (first == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
