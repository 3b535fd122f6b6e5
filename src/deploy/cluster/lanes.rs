//! The lanes to one server: opened when all others are busy, kept for the next request, and what every
//! request carries.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Request, Response, Uri};
use kube::client::Body;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt};

use super::lane::{Lane, Reply, Wire};

/// Opens a connection to a server.
pub(super) type Opener = BoxCloneSyncService<Uri, Box<dyn Wire>, BoxError>;
/// Gives a request what every one carries, and gives that back as if it were answered.
pub(super) type Dresser = BoxCloneSyncService<Request<Body>, Response<()>, BoxError>;

/// An idle connection is not trusted for longer: something between may have forgotten it.
const IDLE: Duration = Duration::from_mins(1);
/// How long what every request carries is taken as known: a token's file may be written anew.
const FRESH: Duration = Duration::from_secs(10);

/// The connections to one server.
pub(super) struct Lanes {
    opener: Opener,
    dresser: Dresser,
    idle: Mutex<Vec<(Lane, Instant)>>,
    dress: Mutex<Option<(Arc<Dress>, Instant)>>,
    /// The quickest answer until now, in microseconds.
    quickest: AtomicU64,
}

/// What every request carries.
struct Dress {
    /// The server's root, with what stands before every path.
    base: Uri,
    prefix: String,
    /// Headers, with their ends of line.
    headers: Vec<u8>,
}

/// What is asked on a lane.
pub(super) struct Asked<'a> {
    pub(super) method: &'static str,
    /// From the server's root, with its query.
    pub(super) path: &'a str,
    pub(super) accept: &'static str,
    pub(super) content: &'static str,
    pub(super) body: Option<&'a [u8]>,
}

impl Lanes {
    pub(super) fn new(opener: Opener, dresser: Dresser) -> Self {
        Self {
            opener,
            dresser,
            idle: Mutex::default(),
            dress: Mutex::default(),
            quickest: AtomicU64::new(u64::MAX),
        }
    }

    /// How long the quickest answer took; nothing is known before the first.
    pub(super) fn quickest(&self) -> Option<Duration> {
        let quickest = self.quickest.load(Ordering::Relaxed);
        (quickest != u64::MAX).then(|| Duration::from_micros(quickest))
    }

    /// Sends a request on a lane that is free, and reads the answer.
    pub(super) async fn ask(&self, asked: &Asked<'_>) -> Result<Reply, BoxError> {
        let dress = self.dress().await?;
        let request = request(asked, &dress)?;
        let mut lane = self.lane(&dress.base).await?;
        let since = Instant::now();
        let reply = lane.exchange(&request).await?;
        let now = Instant::now();
        let took = u64::try_from((now - since).as_micros()).unwrap_or(u64::MAX);
        self.quickest.fetch_min(took, Ordering::Relaxed);
        locked(&self.idle).push((lane, now));
        Ok(reply)
    }

    /// A lane that nobody uses, else a new one.
    async fn lane(&self, base: &Uri) -> Result<Lane, BoxError> {
        loop {
            let Some((mut lane, since)) = locked(&self.idle).pop() else { break };
            if since.elapsed() < IDLE && lane.is_open().await {
                return Ok(lane);
            }
        }
        self.opener.clone().oneshot(base.clone()).await.map(Lane::new)
    }

    async fn dress(&self) -> Result<Arc<Dress>, BoxError> {
        if let Some((dress, since)) = &*locked(&self.dress)
            && since.elapsed() < FRESH
        {
            return Ok(dress.clone());
        }
        let dressed = self.dresser.clone().oneshot(Request::new(Body::empty())).await?;
        let dress = Arc::new(Dress::read(&dressed)?);
        *locked(&self.dress) = Some((dress.clone(), Instant::now()));
        Ok(dress)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers a request with what it carries: the innermost part of a [`Dresser`].
pub(super) async fn mirror(request: Request<Body>) -> Result<Response<()>, BoxError> {
    let (parts, _) = request.into_parts();
    let mut response = Response::new(());
    *response.headers_mut() = parts.headers;
    response.extensions_mut().insert(parts.uri);
    Ok(response)
}

impl Dress {
    fn read(dressed: &Response<()>) -> Result<Self, BoxError> {
        let base = dressed.extensions().get::<Uri>().cloned().unwrap_or_default();
        let default = if base.scheme_str() == Some("http") { 80 } else { 443 };
        let mut headers = b"host: ".to_vec();
        headers.extend_from_slice(base.host().unwrap_or_default().as_bytes());
        if let Some(port) = base.port_u16().filter(|port| *port != default) {
            write!(headers, ":{port}")?;
        }
        write!(headers, "\r\nuser-agent: dyno/{}\r\n", env!("CARGO_PKG_VERSION"))?;
        for (name, value) in dressed.headers() {
            headers.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        let prefix = base.path().trim_end_matches('/').to_owned();
        Ok(Self { base, prefix, headers })
    }
}

/// A request as it is sent.
fn request(asked: &Asked<'_>, dress: &Dress) -> Result<Vec<u8>, http::Error> {
    let Asked { method, path, accept, content, body } = asked;
    // A path of the command line's could hold anything.
    let path = Uri::try_from(*path)?;
    let path = path.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Vec::with_capacity(1024 + body.map_or(0, <[u8]>::len));
    for part in [method, " ", &dress.prefix, path, " HTTP/1.1\r\naccept: ", accept, "\r\n"] {
        request.extend_from_slice(part.as_bytes());
    }
    request.extend_from_slice(&dress.headers);
    if let Some(body) = body {
        let length = body.len().to_string();
        for part in ["content-type: ", content, "\r\ncontent-length: ", &length, "\r\n\r\n"] {
            request.extend_from_slice(part.as_bytes());
        }
        request.extend_from_slice(body);
    } else {
        request.extend_from_slice(b"\r\n");
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked<'a>(path: &'a str, body: Option<&'a [u8]>) -> Asked<'a> {
        Asked { method: "POST", path, accept: "a/b", content: "c/d", body }
    }

    fn dress(uri: &'static str) -> Dress {
        let mut dressed = Response::new(());
        dressed.headers_mut().insert("authorization", http::HeaderValue::from_static("Bearer t"));
        dressed.extensions_mut().insert(Uri::from_static(uri));
        Dress::read(&dressed).unwrap()
    }

    #[test]
    fn a_request_carries_what_every_one_does_and_nothing_else_from_its_path() {
        let text = |asked: &Asked<'_>, dress: &Dress| {
            request(asked, dress).map(|bytes| String::from_utf8(bytes).unwrap())
        };
        let agent = concat!("dyno/", env!("CARGO_PKG_VERSION"));
        assert_eq!(
            text(&asked("/api?a=b", Some(b"{}")), &dress("https://u:p@h:6443/k8s/")).unwrap(),
            format!(
                "POST /k8s/api?a=b HTTP/1.1\r\naccept: a/b\r\nhost: h:6443\r\nuser-agent: {agent}\r\n\
                 authorization: Bearer t\r\ncontent-type: c/d\r\ncontent-length: 2\r\n\r\n{{}}"
            )
        );
        assert_eq!(
            text(&asked("/api#x", None), &dress("https://h:443/")).unwrap(),
            format!(
                "POST /api HTTP/1.1\r\naccept: a/b\r\nhost: h\r\nuser-agent: {agent}\r\n\
                 authorization: Bearer t\r\n\r\n"
            )
        );
        assert!(text(&asked("/api HTTP/1.1\r\nx: y", None), &dress("https://h/")).is_err());
    }
}
