//! HTTP/2 against a server that speaks it well, and against some that do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Asked, Server, echo, plan, run, text};
use crate::load::Summary;
use crate::verdict::Verdict;

/// A server that knows HTTP/2 beforehand, and how many connections it got.
async fn server(
    answer: impl Fn(&Asked) -> http::Response<http_body_util::Full<bytes::Bytes>>
    + Send
    + Sync
    + 'static,
    streams: u32,
) -> (Server, Arc<AtomicUsize>) {
    let n_connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&n_connections);
    let (asked, answer) = (Arc::default(), Arc::new(answer));
    let log = Arc::clone(&asked);
    let mut server = Server::raw(move |stream: TcpStream| {
        counter.fetch_add(1, Ordering::SeqCst);
        let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
        async move {
            let service =
                service_fn(move |request| echo(request, Arc::clone(&log), Arc::clone(&answer)));
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder.max_concurrent_streams(streams).max_header_list_size(64 * 1024);
            drop(builder.serve_connection(TokioIo::new(stream), service).await);
        }
    })
    .await;
    server.asked = asked;
    (server, n_connections)
}

const PLAN: &str = "target: http://127.0.0.1:$PORT\n\
    http: { version: 2, streams: 4 }\n\
    load: { users: 8, spawn-rate: 1000, duration: 400ms, think: 5ms, timeout: 2s, threads: 1 }\n\
    journeys: [{ steps: [{ post: \"/x/{{ vu() }}\", json: { a: \"{{ vu() }}\" },\n\
      headers: { x-a: \"{{ uuid() }}\" }, save: { a: $.a } }, { get: \"/y?{{ a }}\" }, { get: /z }] }]";

#[tokio::test]
async fn users_share_connections_and_get_their_own_answers() {
    let answer = |asked: &Asked| {
        assert_eq!(asked.headers.get("x-a").is_some(), asked.line.starts_with("POST"));
        text(200, &format!("{}{}", asked.body, " ".repeat(100)))
    };
    let (server, n_connections) = server(answer, 100).await;
    let plan = plan(PLAN, server.port);
    let summary = run(&plan).await.summary;
    assert_eq!((summary.requests.failed, summary.errors.as_slice()), (0, &[][..]));
    assert_eq!(n_connections.load(Ordering::SeqCst), 2);
    assert_eq!((summary.connections.count, summary.endpoints.len()), (2, 3));
    let lines = server.lines();
    let sorted =
        lines.iter().filter(|line| line.contains("/y?")).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(sorted.len(), 8, "{sorted:?}");
    assert!(summary.endpoints[0].bytes.received > 100 && summary.first_byte.max > 0.0);
    // Whoever allows fewer streams than users share a connection has them wait.
    let (server, _) = self::server(|asked| text(200, &asked.body), 1).await;
    let summary = run(&self::plan(PLAN, server.port)).await.summary;
    assert_eq!((summary.requests.failed, summary.errors.as_slice()), (0, &[][..]));
}

#[tokio::test]
async fn long_bodies_go_both_ways() {
    let (server, _) = server(|asked| text(200, &asked.body.repeat(3)), 100).await;
    let body = "x".repeat(3_000_000);
    let yaml = format!(
        "target: http://127.0.0.1:$PORT\nhttp: {{ version: 2 }}\n\
         load: {{ users: 2, duration: 1s, spawn-rate: 100, timeout: 20s }}\n\
         journeys: [{{ steps: [{{ post: /, body: {body}, check: {{ status: 200 }} }}] }}]"
    );
    let summary = run(&plan(&yaml, server.port)).await.summary;
    assert_eq!((summary.requests.failed, summary.errors.as_slice()), (0, &[][..]));
    let bytes = summary.endpoints[0].bytes;
    assert_eq!(bytes.received, 9_000_000 * summary.requests.count);
    assert_eq!(bytes.sent, 3_000_000 * summary.requests.count);
}

#[tokio::test]
async fn a_walk_shows_the_exchange() {
    let (server, _) = server(|_| text(200, "{\"a\":7}"), 100).await;
    let mut plan = plan(PLAN, server.port);
    plan.model = plan.model.once();
    plan.is_once = true;
    plan.limits.clear();
    let ran = run(&plan).await;
    assert_eq!(ran.summary.requests.failed, 0, "{:?}", ran.summary.errors);
    let told = format!("{:?}", ran.events);
    assert!(told.contains("/x/1 HTTP/2") && told.contains("{\\\"a\\\":7}"), "{told}");
}

#[tokio::test]
async fn a_server_without_http2_is_told() {
    let server = Server::http(|_| text(200, "")).await;
    let summary = run(&plan(PLAN, server.port)).await.summary;
    let says = "the server closed the connection instead of speaking HTTP/2";
    assert_eq!(summary.errors[0].text, says);
    assert!(summary.unreachable);
    let refuse = |mut stream: TcpStream| async move {
        drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await);
        let mut buffer = [0; 4096];
        while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
    };
    let server = Server::raw(refuse).await;
    let summary = run(&plan(PLAN, server.port)).await.summary;
    assert_eq!(summary.errors[0].text, "the server speaks HTTP/1 only: `http: { version: 1 }`");
}

/// What a hostile server says once it was asked, after its settings.
async fn against(answer: Vec<u8>, repeats: bool) -> Summary {
    let server = Server::raw(move |mut stream: TcpStream| {
        let answer = answer.clone();
        async move {
            let mut buffer = [0; 4096];
            drop(stream.write_all(b"\0\0\0\x04\0\0\0\0\0").await);
            // The request: a HEADERS frame after the client's own settings.
            let mut n_read = 0;
            while n_read < 90 {
                match stream.read(&mut buffer).await {
                    Ok(n @ 1..) => n_read += n,
                    _ => return,
                }
            }
            loop {
                if stream.write_all(&answer).await.is_err() || !repeats {
                    break;
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    let yaml = "target: http://127.0.0.1:$PORT\nhttp: { version: 2, streams: 2 }\n\
        load: { users: 2, spawn-rate: 1000, duration: 300ms, think: 50ms, timeout: 400ms }\n\
        journeys: [{ steps: [{ get: /x, save: { a: $.a } }] }]";
    run(&plan(yaml, server.port)).await.summary
}

#[track_caller]
fn check(summary: &Summary, error: &str) {
    assert!(summary.requests.count > 0);
    assert_eq!(summary.requests.failed, summary.requests.count);
    assert!(summary.errors.iter().any(|e| e.text.contains(error)), "{:?}", summary.errors);
    assert_eq!(summary.verdict, Verdict::Failed);
}

fn framed(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let [_, _, high, low] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[0, high, low, kind, flags, 0, 0, 0, stream], payload].concat()
}

#[tokio::test]
async fn endless_heads_end_at_a_bound() {
    let begin = framed(1, 0, 1, b"\x88");
    let more = framed(9, 0, 1, &[0x40, 0x01, b'x', 0x01, b'y'].repeat(3000));
    check(&against([begin, more.repeat(9)].concat(), false).await, "message head is too large");
}

#[tokio::test]
async fn floods_of_frames_end_the_connection() {
    for frame in [framed(6, 0, 0, &[0; 8]), framed(4, 0, 0, &[]), framed(8, 0, 0, &[0, 0, 0, 1])] {
        check(&against(frame, true).await, "a flood of frames that carry nothing");
    }
}

#[tokio::test]
async fn an_endless_body_a_reset_and_a_farewell_are_failures() {
    let head = framed(1, 4, 1, b"\x88");
    let endless = [head.clone(), framed(0, 0, 1, &[b'x'; 10_000])].concat();
    check(&against(endless, true).await, "");
    check(&against(framed(3, 0, 1, &[0, 0, 0, 11]), false).await, "ENHANCE_YOUR_CALM");
    let farewell = framed(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11]);
    check(&against(farewell, false).await, "connection ended by the server: ENHANCE_YOUR_CALM");
    let large = [0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1].to_vec();
    check(&against(large, false).await, "a frame larger than allowed");
    check(&against(Vec::new(), false).await, "no answer within 400ms");
}
