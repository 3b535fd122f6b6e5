//! Sinks against servers on loopback, and against a real Prometheus.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::{Kind, Labels, Pusher, QUEUE, Spec};
use crate::load::event::{EndpointProgress, EndpointsProgress, Event};
use crate::load::tests::support::{Server, plan, text, try_run};
use crate::secret::Secret;

fn spec(kind: Kind, url: String) -> Spec {
    Spec {
        name: "store".to_owned(),
        kind,
        url,
        token: Some(Secret::new("t0ken".to_owned())),
        basic: None,
        headers: vec![("x-scope-orgid".to_owned(), "shop".to_owned())],
        ca_file: None,
    }
}

fn state(at: i64) -> EndpointsProgress {
    let one = EndpointProgress {
        name: "GET /a".to_owned(),
        total: 50,
        failed: 2,
        rate: 10.0,
        p50: 5.0,
        p95: 20.0,
        p99: 40.0,
    };
    let all = EndpointProgress { name: String::new(), ..one.clone() };
    EndpointsProgress { at, users: 7, all, endpoints: vec![one] }
}

fn event(at: i64) -> Event {
    Event::Endpoints(Box::new(state(at)))
}

#[tokio::test]
async fn a_sink_gets_each_moment_with_the_platforms_credential() {
    let server = Server::http(|_| text(200, "")).await;
    let url = format!("http://127.0.0.1:{}/v1/metrics", server.port);
    let mut pusher = Pusher::start(vec![spec(Kind::Otlp, url)], Labels::default());
    pusher.offer(&event(1_000));
    pusher.offer(&event(6_000));
    assert_eq!(pusher.finish().await, Vec::<String>::new());
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].line, "POST /v1/metrics");
    assert_eq!(asked[0].headers["authorization"], "Bearer t0ken");
    assert_eq!(asked[0].headers["x-scope-orgid"], "shop");
    assert_eq!(asked[1].headers["content-type"], "application/x-protobuf");
    assert_ne!(asked[0].body, asked[1].body);
}

#[tokio::test]
async fn what_a_sink_does_not_take_is_dropped_and_told_and_holds_nothing_up() {
    // It takes connections and answers nothing.
    let server = Server::raw(|mut stream: TcpStream| async move {
        let mut sink = [0; 1024];
        while matches!(stream.read(&mut sink).await, Ok(1..)) {}
    })
    .await;
    let url = format!("http://127.0.0.1:{}/", server.port);
    let bad = Server::http(|_| text(503, "")).await;
    let other = Spec {
        name: "bad".to_owned(),
        ..spec(Kind::RemoteWrite, format!("http://127.0.0.1:{}/", bad.port))
    };
    let mut pusher = Pusher::start(vec![spec(Kind::Otlp, url), other], Labels::default());
    // Nothing here waits: a queue that is full drops at once.
    for n in 0..100 {
        pusher.offer(&event(n));
    }
    assert!(
        pusher.queues.iter().all(|queue| queue.dropped >= 100 - u32::try_from(QUEUE).unwrap() - 1)
    );
    let told = pusher.finish().await;
    assert_eq!(told[0], "sink `store` still had figures to take, and was left");
    assert!(
        told[1].starts_with("sink `bad` did not take 100 of 100 pushes: it answers 503"),
        "{told:?}"
    );
}

/// A store that the test has for itself, ended with it.
struct Store {
    port: u16,
    _folder: tempfile::TempDir,
    _child: Child,
}

impl Store {
    /// Starts a program with what it needs to listen at a port and to keep its data in a folder; None,
    /// and a word about it, where there is no such program.
    async fn start(program: &str, options: impl Fn(u16, &Path) -> Vec<String>) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let started = Command::new(program)
            .args(options(port, folder.path()))
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let child = match started {
            Ok(child) => child,
            Err(error) => {
                println!(
                    "skipped: {program} cannot be started ({error}); scripts/test installs it"
                );
                return None;
            }
        };
        let store = Self { port, _folder: folder, _child: child };
        // One that listens may still read its data: it is there once it answers a question.
        for _ in 0..600 {
            if store.try_ask("vector(1)").await.is_some_and(|answer| answer["status"] == "success")
            {
                return Some(store);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{program} does not answer");
    }

    async fn prometheus() -> Option<Self> {
        Self::start("prometheus", |port, folder| {
            let config = folder.join("prometheus.yml");
            std::fs::write(&config, "global: {}\n").unwrap();
            vec![
                format!("--config.file={}", config.display()),
                format!("--storage.tsdb.path={}", folder.join("data").display()),
                format!("--web.listen-address=127.0.0.1:{port}"),
                "--web.enable-remote-write-receiver".to_owned(),
            ]
        })
        .await
    }

    async fn victoria() -> Option<Self> {
        Self::start("victoria-metrics", |port, folder| {
            vec![
                format!("-httpListenAddr=127.0.0.1:{port}"),
                format!("-storageDataPath={}", folder.join("data").display()),
                "-opentelemetry.usePrometheusNaming".to_owned(),
                // What was pushed a moment ago is asked for at once.
                "-search.latencyOffset=0s".to_owned(),
            ]
        })
        .await
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    async fn try_ask(&self, query: &str) -> Option<Value> {
        let url = self.url("/api/v1/query");
        let client = super::http::client(&url, None).unwrap();
        let answer = client.get(url).query(&[("query", query)]).send().await;
        answer.ok()?.json().await.ok()
    }

    /// The series of an answer; waits until they are as `whole` wants them, and gives what it has in
    /// the end. A store may show what it got one by one, and a moment later.
    async fn ask(&self, query: &str, whole: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let mut last = Vec::new();
        for _ in 0..300 {
            let answer = self.try_ask(query).await.unwrap_or_default();
            if let Some(found) = answer["data"]["result"].as_array() {
                last.clone_from(found);
            }
            if whole(&last) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        last
    }
}

/// A run that pushes its figures while it lasts: what it counted itself.
async fn pushed(spec: Spec) -> crate::load::summary::Requests {
    let target =
        Server::http(|asked| text(if asked.line.contains("/b") { 500 } else { 200 }, "")).await;
    let yaml = "target: http://127.0.0.1:$PORT\n\
        load: { users: 2, duration: 1s, think: 20ms, push: [store] }\n\
        journeys: [{ steps: [{ get: /a }, { get: /b, name: \"/b \\\"é\\\"\" }] }]";
    let plan = plan(yaml, target.port);
    let mut labels = Labels::default();
    labels.add("job_id", "4711");
    let pusher = Arc::new(Mutex::new(Some(Pusher::start(vec![spec], labels))));
    let offered = Arc::clone(&pusher);
    let uncancelled = tokio_util::sync::CancellationToken::new();
    let run = try_run(&plan, &uncancelled, move |event| {
        if let Some(pusher) = offered.lock().unwrap().as_mut() {
            pusher.offer(event);
        }
    });
    let ran = Box::pin(run).await.unwrap();
    let pusher = pusher.lock().unwrap().take().unwrap();
    assert_eq!(pusher.finish().await, Vec::<String>::new());
    ran.summary.requests
}

/// What a store has of a run is what the run counted.
async fn holds(store: &Store, counted: &crate::load::summary::Requests) {
    let is = |series: &Value, value: &str| series["value"][1] == value;
    let n_requests = counted.count.to_string();
    let of = |found: &[Value], endpoint: &str| {
        found.iter().find(|series| series["metric"]["endpoint"] == endpoint).cloned()
    };
    let query = "sum by (endpoint,job_id,plan) (dyno_load_requests_total)";
    let all = |found: &[Value]| of(found, "all").is_some_and(|all| is(&all, &n_requests));
    let result = store.ask(query, |found| found.len() == 3 && all(found)).await;
    assert!(all(&result), "{n_requests} of {result:?}");
    assert_eq!(of(&result, "GET /b \"é\"").unwrap()["metric"]["job_id"], "4711");
    assert_eq!(of(&result, "GET /a").unwrap()["metric"]["plan"], "test");
    for (query, value) in [
        ("sum(dyno_load_failed_total{endpoint=\"all\"})", counted.failed.to_string()),
        ("count(dyno_load_response_seconds{endpoint=\"all\"})", "3".to_owned()),
        ("count(dyno_load_users)", "1".to_owned()),
    ] {
        let found = store.ask(query, |found| matches!(found, [one] if is(one, &value))).await;
        assert!(matches!(&*found, [one] if is(one, &value)), "{query}: {value} of {found:?}");
    }
}

#[tokio::test]
async fn prometheus_takes_what_a_run_pushes_by_remote_write() {
    let Some(store) = Store::prometheus().await else { return };
    let counted = pushed(spec(Kind::RemoteWrite, store.url("/api/v1/write"))).await;
    holds(&store, &counted).await;
}

#[tokio::test]
async fn victoriametrics_takes_what_a_run_pushes_by_remote_write_and_by_otlp() {
    for (kind, path) in
        [(Kind::RemoteWrite, "/api/v1/write"), (Kind::Otlp, "/opentelemetry/v1/metrics")]
    {
        let Some(store) = Store::victoria().await else { return };
        let counted = pushed(spec(kind, store.url(path))).await;
        holds(&store, &counted).await;
    }
}
