//! Plans from text, servers on loopback, and a run of one against the other.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::load::file::StepFile;
use crate::load::{
    CriterionFile, Error, Event, HttpFile, JourneyFile, ModelFile, Overrides, Plan, Summary,
    TlsFile, Written, coordinate, worker,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    target: Option<String>,
    load: Option<ModelFile>,
    http: Option<HttpFile>,
    tls: Option<TlsFile>,
    #[serde(default)]
    journeys: Vec<JourneyFile>,
    #[serde(default)]
    limits: Vec<String>,
    #[serde(default)]
    criteria: Vec<CriterionFile>,
    #[serde(default)]
    setup: Vec<StepFile>,
    #[serde(default)]
    teardown: Vec<StepFile>,
}

/// Reads the load parts of a plan file.
pub fn written(yaml: &str) -> Written {
    let file: File = serde_saphyr::from_str(yaml).unwrap();
    Written {
        name: "test".to_owned(),
        target: file.target,
        http: file.http,
        tls: file.tls,
        load: file.load,
        journeys: file.journeys,
        limits: file.limits,
        criteria: file.criteria,
        setup: file.setup,
        teardown: file.teardown,
        blobs: BTreeMap::from([("b.bin".to_owned(), vec![0xff, 0, b'x'])]),
        files: BTreeMap::from([
            ("a.csv".to_owned(), "name,n\neric,1\nphoebe,2\n".to_owned()),
            ("cart.proto".to_owned(), super::grpc_server::CART.to_owned()),
            ("shared/money.proto".to_owned(), super::grpc_server::MONEY.to_owned()),
        ]),
    }
}

/// Builds a plan that may connect to all of its origins on loopback.
pub fn plan(yaml: &str, port: u16) -> Plan {
    let vars = BTreeMap::from([
        ("PORT".to_owned(), port.to_string()),
        ("API_TOKEN".to_owned(), "s3cret t".to_owned()),
    ]);
    let mut plan = Plan::build(&written(yaml), &Overrides::default(), &vars).unwrap();
    pin(&mut plan);
    plan
}

pub fn pin(plan: &mut Plan) {
    for origin in plan.origins() {
        plan.pins.insert(origin.to_string(), vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    }
}

pub struct Ran {
    pub summary: Summary,
    pub events: Vec<Event>,
}

/// Runs a plan, worker and coordinator over a stream in this process.
pub async fn run(plan: &Plan) -> Ran {
    Box::pin(try_run(plan, &CancellationToken::new(), |_| {})).await.unwrap()
}

pub async fn try_run(
    plan: &Plan,
    cancel: &CancellationToken,
    mut watch: impl FnMut(&Event) + Send,
) -> Result<Ran, Error> {
    let (orders, orders_there) = tokio::io::duplex(64 * 1024);
    let (reports_there, reports) = tokio::io::duplex(64 * 1024);
    let mut events = Vec::new();
    let mut emit = |event: Event| {
        watch(&event);
        events.push(event);
    };
    let conducted = coordinate::conduct(plan, orders, reports, &mut emit, cancel);
    let (summary, _) = tokio::join!(conducted, worker::serve(orders_there, reports_there));
    Ok(Ran { summary: summary?, events })
}

/// What a server was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub line: String,
    pub headers: http::HeaderMap,
    pub body: String,
}

/// A server on loopback; ends when it is dropped.
pub struct Server {
    pub port: u16,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Answers each request by `answer`.
    pub async fn http(
        answer: impl Fn(&Asked) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let log = Arc::clone(&asked);
        let answer = Arc::new(answer);
        let serve = move |stream: TcpStream| {
            let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
            async move {
                let service =
                    service_fn(move |request| echo(request, Arc::clone(&log), Arc::clone(&answer)));
                // Clients that hang up are part of the tests.
                let served = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                drop(served);
            }
        };
        let mut server = Self::raw(serve).await;
        server.asked = asked;
        server
    }

    /// Hands each connection to `serve`.
    pub async fn raw<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream));
            }
        });
        Self { port, asked: Arc::default(), _tasks: tasks }
    }

    pub fn lines(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|asked| asked.line.clone()).collect()
    }
}

/// Notes what was asked and answers it.
pub async fn echo(
    request: Request<hyper::body::Incoming>,
    log: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<impl Fn(&Asked) -> Response<Full<Bytes>>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let asked = Asked {
        line: format!("{} {}", head.method, head.uri),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let response = answer(&asked);
    log.lock().unwrap().push(asked);
    Ok(response)
}

pub fn text(status: u16, body: &str) -> Response<Full<Bytes>> {
    let body = Full::new(Bytes::from(body.to_owned()));
    Response::builder().status(status).body(body).unwrap()
}
