//! The lanes to one server: opened when all others are busy, kept for the next request, and what every
//! request carries.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Request, Response, Uri};
use kube::client::Body;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
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

/// No answer of a server that is near takes longer than this, if only the quickest is looked at.
const NEAR: Duration = Duration::from_millis(5);
/// Nobody waits for his turn to open a connection for longer: some answers take their time.
const TURN: Duration = Duration::from_millis(10);

/// The connections to one server.
pub(super) struct Lanes {
    opener: Opener,
    dresser: Dresser,
    idle: Mutex<Vec<(Lane, Instant)>>,
    dress: Mutex<Option<(Arc<Dress>, Instant)>>,
    /// Taken by who opens a lane, until the first answer on it: that leaves a ticket for the next one
    /// (see `tickets.rs`). All at once, each would have to prove everything anew.
    turn: Semaphore,
    /// How long anybody waits for his turn.
    patience: Duration,
    /// Told whenever a lane is free again.
    freed: Notify,
    /// The quickest answer until now, in microseconds.
    quickest: AtomicU64,
    /// How quick that is where the server is near.
    near: Duration,
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
            turn: Semaphore::new(1),
            patience: TURN,
            freed: Notify::new(),
            quickest: AtomicU64::new(u64::MAX),
            near: NEAR,
        }
    }

    /// True when the way to the server and back is short, as far as it is known.
    pub(super) fn is_near(&self) -> bool {
        let quickest = self.quickest.load(Ordering::Relaxed);
        quickest == u64::MAX || Duration::from_micros(quickest) <= self.near
    }

    /// Sends a request on a lane that is free, and reads the answer.
    pub(super) async fn ask(&self, asked: &Asked<'_>) -> Result<Reply, BoxError> {
        let dress = self.dress().await?;
        let request = request(asked, &dress)?;
        let (mut lane, turn) = self.lane(&dress.base).await?;
        let since = Instant::now();
        let reply = lane.exchange(&request).await?;
        let now = Instant::now();
        let took = u64::try_from((now - since).as_micros()).unwrap_or(u64::MAX);
        self.quickest.fetch_min(took, Ordering::Relaxed);
        locked(&self.idle).push((lane, now));
        drop(turn);
        self.freed.notify_one();
        Ok(reply)
    }

    /// A lane that nobody uses, else a new one, and the turn of who opened it.
    async fn lane(&self, base: &Uri) -> Result<(Lane, Option<SemaphorePermit<'_>>), BoxError> {
        let late = tokio::time::sleep(self.patience);
        tokio::pin!(late);
        let turn = loop {
            if let Some(lane) = self.free().await {
                return Ok((lane, None));
            }
            // Where answers are long on their way, nobody waits for one.
            if !self.is_near() {
                break None;
            }
            tokio::select! {
                biased;
                () = self.freed.notified() => {}
                turn = self.turn.acquire() => break turn.ok(),
                () = &mut late => break None,
            }
        };
        let wire = self.opener.clone().oneshot(base.clone()).await?;
        Ok((Lane::new(wire), turn))
    }

    /// A lane that nobody uses.
    async fn free(&self) -> Option<Lane> {
        loop {
            let (mut lane, since) = locked(&self.idle).pop()?;
            if since.elapsed() < IDLE && lane.is_open().await {
                return Some(lane);
            }
        }
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
    use std::sync::atomic::AtomicUsize;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::JoinSet;

    use super::*;

    /// What happened at a server: lanes opened, and how many were new at the same time at most.
    #[derive(Default)]
    struct Seen {
        n_opened: AtomicUsize,
        n_new: AtomicUsize,
        most_new: AtomicUsize,
        servers: Mutex<JoinSet<()>>,
    }

    impl Seen {
        fn opened(&self) {
            self.n_opened.fetch_add(1, Ordering::Relaxed);
            let n_new = self.n_new.fetch_add(1, Ordering::Relaxed) + 1;
            self.most_new.fetch_max(n_new, Ordering::Relaxed);
        }
    }

    /// Answers what comes, after a time; a lane is new until its first answer.
    async fn serve(mut wire: DuplexStream, seen: Arc<Seen>, takes: Duration) {
        let mut is_new = true;
        let mut request = [0; 4096];
        while wire.read(&mut request).await.is_ok_and(|n_read| n_read > 0) {
            tokio::time::sleep(takes).await;
            if std::mem::take(&mut is_new) {
                seen.n_new.fetch_sub(1, Ordering::Relaxed);
            }
            if wire.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.is_err() {
                return;
            }
        }
    }

    /// Eight who ask so often each, of a server whose answers take so long, and who wait so long at most.
    async fn crowd(n_asks: usize, takes: Duration, patience: Duration) -> Arc<Seen> {
        let seen = Arc::new(Seen::default());
        let opened = seen.clone();
        let opener = tower::service_fn(move |_: Uri| {
            let (ours, theirs) = duplex(1 << 12);
            opened.opened();
            locked(&opened.servers).spawn(serve(theirs, opened.clone(), takes));
            async { Ok::<Box<dyn Wire>, BoxError>(Box::new(ours)) }
        });
        let dresser = BoxCloneSyncService::new(tower::service_fn(mirror));
        let lanes = Lanes::new(BoxCloneSyncService::new(opener), dresser);
        // However busy this machine is.
        let lanes = Lanes { patience, near: Duration::from_mins(1), ..lanes };
        let asks = (0..8).map(async |_| {
            for _ in 0..n_asks {
                assert_eq!(lanes.ask(&asked("/api", None)).await.unwrap().status, 200);
            }
        });
        futures_util::future::join_all(asks).await;
        seen
    }

    #[tokio::test]
    async fn a_lane_leaves_its_ticket_before_the_next_is_opened() {
        let seen = crowd(3, Duration::ZERO, Duration::from_mins(1)).await;
        assert_eq!(seen.most_new.load(Ordering::Relaxed), 1);
        assert!((2..=8).contains(&seen.n_opened.load(Ordering::Relaxed)));
    }

    #[tokio::test]
    async fn nobody_waits_long_for_an_answer_that_is_not_his() {
        let seen = crowd(1, Duration::from_secs(1), TURN).await;
        assert_eq!(seen.n_opened.load(Ordering::Relaxed), 8);
    }

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
