//! One request to the API server and its answer.

use std::borrow::Cow;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::connect::{Cluster, Content};
use super::failure::{Failure, Status};
use super::lane::Reply;
use super::lanes::Asked;

/// No refusal of an API server is longer; one of a job's own server might be.
const MAX_REFUSAL: usize = 16 << 20;
const MAX_RETRIES: u32 = 10;

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Create.
    Post,
    /// Replace.
    Put,
    /// Change.
    Patch(Patch),
    /// Delete.
    Delete,
}

/// What kind of patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patch {
    /// Server-side apply.
    Apply,
    /// JSON merge patch.
    Merge,
    /// Strategic merge patch.
    Strategic,
    /// JSON patch.
    Json,
}

/// What form the answer is wanted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// JSON.
    Json,
    /// JSON, of which no more is read than what the object is called.
    Identity,
    /// JSON, of which nothing is read.
    Nothing,
    /// The server's table, else JSON.
    Table,
    /// Aggregated discovery, else the old one.
    Discovery,
    /// Text.
    Text,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Call {
    /// How.
    pub method: Method,
    /// The path from the server's root.
    pub path: String,
    /// Query parameters.
    pub query: Vec<(&'static str, String)>,
    /// The body, JSON (or YAML for server-side apply, of which JSON is a part).
    pub body: Option<Vec<u8>>,
    /// The form of the answer.
    pub accept: Accept,
    /// `configmaps x`: for errors that the server does not word itself.
    pub what: String,
    /// For the whole request; none when zero.
    pub timeout: Duration,
}

/// A good answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The body; a text is a JSON string.
    pub body: Value,
    /// The server's warnings.
    pub warnings: Vec<String>,
    /// True for 201.
    pub created: bool,
}

impl Call {
    /// A GET of a path.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::Get,
            path: path.into(),
            query: Vec::new(),
            body: None,
            accept: Accept::Json,
            what: String::new(),
            timeout: Duration::ZERO,
        }
    }

    fn verb(&self) -> &'static str {
        match self.method {
            Method::Get => "get",
            Method::Post => "post",
            Method::Put => "put",
            Method::Patch(_) => "patch",
            Method::Delete => "delete",
        }
    }

    /// HTTP's method.
    fn method(&self) -> &'static str {
        match self.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch(_) => "PATCH",
            Method::Delete => "DELETE",
        }
    }

    /// What the body is.
    fn content(&self) -> &'static str {
        match self.method {
            Method::Patch(Patch::Apply) => "application/apply-patch+yaml",
            Method::Patch(Patch::Merge) => "application/merge-patch+json",
            Method::Patch(Patch::Strategic) => "application/strategic-merge-patch+json",
            Method::Patch(Patch::Json) => "application/json-patch+json",
            Method::Get | Method::Post | Method::Put | Method::Delete => "application/json",
        }
    }

    /// What the answer may be.
    fn accepted(&self) -> &'static str {
        match self.accept {
            Accept::Json | Accept::Identity | Accept::Nothing => "application/json",
            Accept::Table => concat!(
                "application/json;as=Table;v=v1;g=meta.k8s.io,",
                "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
            ),
            Accept::Discovery => concat!(
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,",
                "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,",
                "application/json"
            ),
            Accept::Text => "text/plain, application/json",
        }
    }

    /// The path with the query.
    fn uri(&self) -> String {
        let mut uri = self.path.clone();
        for (n, (key, value)) in self.query.iter().enumerate() {
            uri.push(if n == 0 { '?' } else { '&' });
            uri.push_str(key);
            uri.push('=');
            uri.push_str(&escaped(value));
        }
        uri
    }

    fn request(&self) -> Result<Request<Body>, http::Error> {
        let mut builder = Request::builder()
            .method(self.method())
            .uri(self.uri())
            .header(http::header::ACCEPT, self.accepted())
            .header(http::header::USER_AGENT, concat!("dyno/", env!("CARGO_PKG_VERSION")));
        if self.body.is_some() {
            builder = builder.header(http::header::CONTENT_TYPE, self.content());
        }
        builder.body(self.body.clone().map_or_else(Body::empty, Body::from))
    }
}

/// A part of a path or query with all that is not plain escaped.
pub fn escaped(text: &str) -> Cow<'_, str> {
    let is_plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    if text.as_bytes().iter().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::new();
    for byte in text.bytes() {
        if is_plain(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.extend(["%", &format!("{byte:02X}")]);
        }
    }
    Cow::Owned(escaped)
}

impl Cluster {
    /// Sends a request and reads the answer; waits and tries again when the server asks for it.
    pub async fn call(&self, call: &Call, cancel: &CancellationToken) -> Result<Answer, Failure> {
        let mut tries = 0;
        loop {
            let (failure, wait) = match self.attempt(call, cancel).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let (Some(wait), true) = (wait, tries < MAX_RETRIES) else { return Err(failure) };
            tries += 1;
            tokio::select! {
                () = cancel.cancelled() => return Err(Failure::Cancelled),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Sends a request once. Of a failure the server may say after which time to try again.
    pub async fn attempt(
        &self,
        call: &Call,
        cancel: &CancellationToken,
    ) -> Result<Answer, (Failure, Option<Duration>)> {
        let work = async {
            let asked = Asked {
                method: call.method(),
                path: &call.uri(),
                accept: call.accepted(),
                content: call.content(),
                body: call.body.as_deref(),
            };
            let reply = self.lanes.ask(&asked).await.map_err(|error| (self.broken(error), None))?;
            let wait = retry_after(&reply);
            read(call, reply).map_err(|failure| (failure, wait))
        };
        tokio::select! {
            () = cancel.cancelled() => Err((Failure::Cancelled, None)),
            outcome = within(call.timeout, work) => outcome,
        }
    }

    /// Sends a request whose answer is read piece by piece (`watch`, `logs --follow`).
    pub async fn stream(
        &self,
        call: &Call,
        cancel: &CancellationToken,
    ) -> Result<Response<Content>, Failure> {
        let response = tokio::select! {
            () = cancel.cancelled() => return Err(Failure::Cancelled),
            response = self.send(call) => response?,
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = Limited::new(response.into_body(), MAX_REFUSAL).collect().await;
        let body = body.map_err(|error| Failure::Network(error.to_string()))?.to_bytes().to_vec();
        match read(call, Reply { status, body, ..Reply::default() }) {
            Err(failure) => Err(failure),
            Ok(_) => Err(Failure::Malformed("unexpected answer".to_owned())),
        }
    }

    async fn send(&self, call: &Call) -> Result<Response<Content>, Failure> {
        let request = call.request().map_err(|error| Failure::Malformed(error.to_string()))?;
        let mut service = self.service.clone();
        let sent = match std::future::poll_fn(|context| service.poll_ready(context)).await {
            Ok(()) => service.call(request).await,
            Err(error) => Err(error),
        };
        sent.map_err(|error| self.network(error.as_ref()))
    }

    /// Why there is no answer.
    fn broken(&self, error: tower::BoxError) -> Failure {
        match error.downcast::<http::Error>() {
            Ok(error) => Failure::Malformed(error.to_string()),
            Err(error) => self.network(error.as_ref()),
        }
    }

    /// What Go's client would say.
    pub(super) fn network(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        let mut text = error.to_string();
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<std::io::Error>() {
                if error.kind() == std::io::ErrorKind::ConnectionRefused {
                    return Failure::Refused { host: self.host.clone() };
                }
                if error.kind() == std::io::ErrorKind::TimedOut {
                    return Failure::Network(format!("dial tcp {}: i/o timeout", self.host));
                }
            }
            text = error.to_string();
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                return Failure::Network(tls(error));
            }
            if error.downcast_ref::<super::resolve::NoAddress>().is_some() {
                return Failure::Network(format!("dial tcp: {text}"));
            }
            // An io::Error hides what it wraps from `source`.
            cause = match error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref()) {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        Failure::Network(text)
    }
}

fn read(call: &Call, reply: Reply) -> Result<Answer, Failure> {
    let Reply { status, warnings, body, .. } = reply;
    if !status.is_success() {
        let status = Status::read(status.as_u16(), &body, call.verb(), &call.what);
        return Err(Failure::Status(Box::new(status)));
    }
    let body = match call.accept {
        Accept::Text => Ok(Value::String(String::from_utf8_lossy(&body).into_owned())),
        Accept::Identity => identity(&body),
        Accept::Nothing => Ok(Value::Null),
        Accept::Json | Accept::Table | Accept::Discovery => serde_json::from_slice(&body),
    };
    let body =
        body.map_err(|error| Failure::Malformed(format!("cannot read the answer: {error}")))?;
    Ok(Answer { body, warnings: texts(&warnings), created: status == StatusCode::CREATED })
}

/// What an object is called, out of the whole of it: most of an answer is what was sent.
fn identity(body: &[u8]) -> serde_json::Result<Value> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Object {
        api_version: Option<String>,
        kind: Option<String>,
        metadata: Option<Metadata>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        deletion_timestamp: Option<String>,
    }
    let map = |fields: Vec<(&str, Option<Value>)>| {
        let fields = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Value::Object(fields.collect())
    };
    let Object { api_version, kind, metadata } = serde_json::from_slice(body)?;
    let metadata = metadata.map(|metadata| {
        map(vec![
            ("name", metadata.name.map(Value::String)),
            ("namespace", metadata.namespace.map(Value::String)),
            ("uid", metadata.uid.map(Value::String)),
            ("deletionTimestamp", metadata.deletion_timestamp.map(Value::String)),
        ])
    });
    Ok(map(vec![
        ("apiVersion", api_version.map(Value::String)),
        ("kind", kind.map(Value::String)),
        ("metadata", metadata),
    ]))
}

fn tls(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    let certificate =
        if let rustls::Error::InvalidCertificate(why) = error { Some(why) } else { None };
    let why = if matches!(certificate, Some(Certificate::UnknownIssuer)) {
        "certificate signed by unknown authority".to_owned()
    } else if let Some(Certificate::Expired | Certificate::ExpiredContext { .. }) = certificate {
        "certificate has expired or is not yet valid".to_owned()
    } else if let Some(Certificate::NotValidForNameContext { expected, presented }) = certificate {
        misnamed(&expected.to_str(), presented)
    } else {
        error.to_string()
    };
    format!("tls: failed to verify certificate: x509: {why}")
}

/// A certificate of another host's, as Go tells it: by the names of the kind that was asked for.
fn misnamed(expected: &str, presented: &[String]) -> String {
    let is_address = expected.parse::<std::net::IpAddr>().is_ok();
    // `DnsName("localhost")`, `IpAddress(10.96.0.1)`
    let kind = if is_address { "IpAddress(" } else { "DnsName(\"" };
    let names: Vec<&str> = presented
        .iter()
        .filter_map(|name| name.strip_prefix(kind))
        .map(|name| name.trim_end_matches([')', '"']))
        .collect();
    match (names.is_empty(), is_address) {
        (false, _) => format!("certificate is valid for {}, not {expected}", names.join(", ")),
        (true, true) => format!(
            "cannot validate certificate for {expected} because it doesn't contain any IP SANs"
        ),
        (true, false) => {
            format!("certificate is not valid for any names, but wanted to match {expected}")
        }
    }
}

type Tried = Result<Answer, (Failure, Option<Duration>)>;

async fn within(timeout: Duration, work: impl Future<Output = Tried>) -> Tried {
    if timeout.is_zero() {
        return work.await;
    }
    tokio::time::timeout(timeout, work)
        .await
        .unwrap_or_else(|_| Err((Failure::Network("context deadline exceeded".to_owned()), None)))
}

/// client-go waits only where the server says for how long.
fn retry_after(reply: &Reply) -> Option<Duration> {
    let status = reply.status;
    if status != StatusCode::TOO_MANY_REQUESTS && !status.is_server_error() {
        return None;
    }
    let seconds = reply.retry_after.as_deref()?;
    Some(Duration::from_secs(seconds.parse::<u64>().ok()?.min(60)))
}

/// The texts of `Warning: 299 - "…"` headers.
fn texts(headers: &[String]) -> Vec<String> {
    let mut texts = Vec::new();
    for header in headers {
        let mut rest = header.as_str();
        while let Some((_, after)) = rest.split_once("299 ") {
            let Some((_, quoted)) = after.split_once('"') else { break };
            let mut text = String::new();
            let mut chars = quoted.char_indices();
            let mut end = quoted.len();
            while let Some((at, c)) = chars.next() {
                match c {
                    '\\' => text.extend(chars.next().map(|(_, c)| c)),
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    _ => text.push(c),
                }
            }
            texts.push(text);
            rest = quoted.get(end..).unwrap_or_default();
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_read_from_their_headers() {
        let headers = ["299 - \"a \\\"b\\\" c\"", "299 - \"d\", 299 k8s \"e\""].map(str::to_owned);
        assert_eq!(texts(&headers), ["a \"b\" c", "d", "e"]);
    }

    #[test]
    fn of_an_answer_that_is_not_shown_only_the_name_is_read() {
        let object = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "b"},
            "metadata": {"name": "s", "uid": "u", "managedFields": [{"manager": "m"}]}});
        let expected = serde_json::json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "s", "uid": "u"}});
        assert_eq!(identity(object.to_string().as_bytes()).unwrap(), expected);
        assert!(identity(b"no").is_err());
    }

    #[test]
    fn names_cannot_leave_their_place_in_a_path() {
        assert_eq!(escaped("../x?y"), "..%2Fx%3Fy");
    }
}
