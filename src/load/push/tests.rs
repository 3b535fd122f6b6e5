//! Sinks against servers on loopback, and against a real Prometheus.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::series::batch;
use super::{Kind, Labels, Pusher, QUEUE, Spec, otlp};
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

#[test]
fn an_otlp_message_holds_every_series_once() {
    let mut labels = Labels::default();
    labels.add("plan", "shop");
    let body: Value =
        serde_json::from_slice(&otlp::body(&batch(&state(9_000), &labels, 1_000))).unwrap();
    let metrics = &body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
    let names: Vec<&str> =
        metrics.as_array().unwrap().iter().map(|metric| metric["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "dyno.load.requests",
            "dyno.load.failed",
            "dyno.load.requests_per_second",
            "dyno.load.response",
            "dyno.load.users"
        ]
    );
    let sum = &metrics[0]["sum"];
    assert_eq!((&sum["aggregationTemporality"], &sum["isMonotonic"]), (&json!(2), &json!(true)));
    assert_eq!(
        sum["dataPoints"][1],
        json!({
            "attributes": [
                { "key": "endpoint", "value": { "stringValue": "GET /a" } },
                { "key": "plan", "value": { "stringValue": "shop" } },
            ],
            "startTimeUnixNano": "1000000000",
            "timeUnixNano": "9000000000",
            "asDouble": 50.0,
        })
    );
    assert_eq!(metrics[3]["gauge"]["dataPoints"].as_array().unwrap().len(), 6);
    assert_eq!(metrics[3]["unit"], "s");
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
    assert!(asked[1].body.contains("\"timeUnixNano\":\"6000000000\""), "{}", asked[1].body);
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

/// A run whose figures are asked back from the store that they were pushed to.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story from the run to the store")]
async fn prometheus_takes_what_a_run_pushes() {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = folder.path().join("prometheus.yml");
    std::fs::write(&config, "global: {}\n").unwrap();
    let started = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--web.enable-remote-write-receiver")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            println!("skipped: prometheus cannot be started ({error}); install `prometheus`");
            return;
        }
    };
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("ready to receive web requests") {
            break;
        }
    }
    // Someone has to read on: a server whose log goes nowhere blocks or dies.
    let mut reader = tokio::task::JoinSet::new();
    reader.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let target =
        Server::http(|asked| text(if asked.line.contains("/b") { 500 } else { 200 }, "")).await;
    let yaml = "target: http://127.0.0.1:$PORT\n\
        load: { users: 2, duration: 1s, think: 20ms, push: [store] }\n\
        journeys: [{ steps: [{ get: /a }, { get: /b, name: \"/b \\\"é\\\"\" }] }]";
    let plan = plan(yaml, target.port);
    let url = format!("http://127.0.0.1:{port}/api/v1/write");
    let mut labels = Labels::default();
    labels.add("job_id", "4711");
    let pusher =
        Arc::new(Mutex::new(Some(Pusher::start(vec![spec(Kind::RemoteWrite, url)], labels))));
    let offered = Arc::clone(&pusher);
    let ran = try_run(&plan, &tokio_util::sync::CancellationToken::new(), move |event| {
        if let Some(pusher) = offered.lock().unwrap().as_mut() {
            pusher.offer(event);
        }
    })
    .await
    .unwrap();
    let pusher = pusher.lock().unwrap().take().unwrap();
    assert_eq!(pusher.finish().await, Vec::<String>::new());
    let stored = ask(port, "sum%20by%20(endpoint,job_id,plan,job)(dyno_load_requests_total)").await;
    let result = stored["data"]["result"].as_array().unwrap();
    let of = |endpoint: &str| {
        let found = result.iter().find(|series| series["metric"]["endpoint"] == endpoint);
        found.unwrap_or_else(|| panic!("{endpoint}: {stored}"))
    };
    assert_eq!(of("all")["value"][1], ran.summary.requests.count.to_string());
    assert_eq!(of("GET /b \"é\"")["metric"]["job_id"], "4711");
    assert_eq!(of("GET /a")["metric"]["plan"], "test");
    let failed = ask(port, "dyno_load_failed_total%7Bendpoint=%22all%22%7D").await;
    assert_eq!(failed["data"]["result"][0]["value"][1], ran.summary.requests.failed.to_string());
    let quantiles = ask(port, "count(dyno_load_response_seconds%7Bendpoint=%22all%22%7D)").await;
    assert_eq!(quantiles["data"]["result"][0]["value"][1], "3");
}

async fn ask(port: u16, query: &str) -> Value {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!(
        "GET /api/v1/query?query={query} HTTP/1.0\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(30), read).await.unwrap().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"))
}
