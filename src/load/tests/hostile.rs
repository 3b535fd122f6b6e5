//! Servers that lie, stall and reset: counted as failures, nothing hangs, nothing breaks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Server, plan, run, text};
use crate::load::{Overrides, Plan, Summary, WorkerSpec};
use crate::outcome::Outcome;
use crate::verdict::Verdict;

const PLAN: &str = "target: http://127.0.0.1:$PORT\n\
    load: { users: 2, spawn-rate: 1000, duration: 300ms, think: 50ms, timeout: 400ms }\n\
    journeys: [{ steps: [{ get: /x, save: { a: $.a } }] }]";

async fn against(answer: &[&'static [u8]], repeats_last: bool) -> Summary {
    let answer = answer.to_vec();
    let server = Server::raw(move |mut stream: TcpStream| {
        let answer = answer.clone();
        async move {
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).await.is_err() {
                return;
            }
            for piece in &answer {
                if stream.write_all(piece).await.is_err() {
                    return;
                }
            }
            if repeats_last {
                while stream.write_all(answer[answer.len() - 1]).await.is_ok() {}
                return;
            }
            drop(stream.shutdown().await);
        }
    })
    .await;
    run(&plan(PLAN, server.port)).await.summary
}

#[track_caller]
fn check(summary: &Summary, error: &str) {
    assert!(summary.requests.count > 0);
    assert_eq!(summary.requests.failed, summary.requests.count);
    assert!(summary.errors[0].text.contains(error), "{:?}", summary.errors);
    assert_eq!(summary.verdict, Verdict::Failed);
    let is_told = summary.reasons.iter().any(|why| why.starts_with("every request failed: "));
    assert!(is_told, "{:?}", summary.reasons);
    assert!(!summary.unreachable);
}

#[tokio::test]
async fn endless_headers_end_at_a_bound() {
    let summary = against(&[b"HTTP/1.1 200 OK\r\n", b"x: yyyyyyyyyyyyyyyyyyyyy\r\n"], true).await;
    // By its lines or by its length, whichever a read meets first.
    check(&summary, "malformed answer: message head");
}

#[tokio::test]
async fn an_endless_body_ends_at_the_timeout() {
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let summary = against(&[head, b"5\r\nabcde\r\n"], true).await;
    check(&summary, "no answer within 400ms");
    assert!(summary.endpoints[0].bytes.received > 0);
}

#[tokio::test]
async fn endless_interim_answers_end_at_the_timeout() {
    check(&against(&[b"HTTP/1.1 100 Continue\r\n\r\n"], true).await, "no answer within 400ms");
}

#[tokio::test]
async fn a_lying_length_is_a_cut_answer() {
    let summary = against(&[b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nshort"], false).await;
    check(&summary, "connection closed before the answer was complete");
}

#[tokio::test]
async fn two_lengths_and_no_http_at_all_are_malformed() {
    let two = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx";
    check(&against(&[two], false).await, "malformed answer");
    check(&against(&[b"SSH-2.0-OpenSSH_9.2\r\n"], false).await, "malformed answer");
    check(&against(&[b""], false).await, "connection closed");
}

#[tokio::test]
async fn what_follows_an_answer_is_not_taken_for_the_next_one() {
    let two = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{\"a\":1}HTTP/1.1 500 No\r\n\r\n";
    let summary = against(&[two], false).await;
    assert_eq!(summary.requests.failed, 0, "{:?}", summary.errors);
}

/// A server whose connections answer each request as `serve` does, and how many there were.
async fn counted(serve: fn(usize) -> Vec<(u64, Vec<u8>)>) -> (Server, Arc<AtomicUsize>) {
    let n_connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&n_connections);
    let server = Server::raw(move |mut stream: TcpStream| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move {
            let mut buffer = [0; 4096];
            for n in 0.. {
                if !matches!(stream.read(&mut buffer).await, Ok(1..)) {
                    return;
                }
                for (millis, piece) in serve(n) {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    if stream.write_all(&piece).await.is_err() {
                        return;
                    }
                }
            }
        }
    })
    .await;
    (server, n_connections)
}

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{\"a\":1}";

#[tokio::test]
async fn a_connection_with_a_second_answer_on_it_takes_no_further_request() {
    let twice = |_| vec![(0, [GOOD, b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"].concat())];
    let late = |_| vec![(0, GOOD.to_vec()), (10, b"HTTP/1.1 408 Slow\r\n\r\n".to_vec())];
    let interim = |_| vec![(0, [GOOD, b"HTTP/1.1 100 Continue\r\n\r\n"].concat())];
    for serve in [twice, late, interim] {
        let (server, n_connections) = counted(serve).await;
        let summary = run(&plan(PLAN, server.port)).await.summary;
        assert_eq!(summary.requests.failed, 0, "{:?}", summary.errors);
        let n_connections = n_connections.load(Ordering::SeqCst);
        assert_eq!(u64::try_from(n_connections).unwrap(), summary.requests.count);
    }
    let (server, n_connections) = counted(|_| vec![(0, GOOD.to_vec())]).await;
    let summary = run(&plan(PLAN, server.port)).await.summary;
    assert!(summary.requests.count > 2);
    assert_eq!(n_connections.load(Ordering::SeqCst), 2, "a good one is kept");
}

#[tokio::test]
async fn a_body_that_trickles_ends_at_the_timeout() {
    let trickle = |_| {
        let mut pieces = vec![(0, b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n".to_vec())];
        pieces.extend(vec![(20, b"x".to_vec()); 98]);
        pieces
    };
    let (server, _) = counted(trickle).await;
    let summary = run(&plan(PLAN, server.port)).await.summary;
    check(&summary, "no answer within 400ms");
    assert!((400.0..600.0).contains(&summary.latency.max), "{:?}", summary.latency);
    assert!(summary.endpoints[0].bytes.received > 3);
}

#[tokio::test]
async fn an_answer_before_the_whole_request_is_read_counts() {
    let (server, _) = counted(|_| {
        let refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n".to_vec();
        vec![(0, refusal), (60_000, Vec::new())]
    })
    .await;
    let body = "x".repeat(8 * 1024 * 1024);
    let yaml = PLAN.replace("get: /x, save: { a: $.a }", &format!("post: /x, body: {body}"));
    check(&run(&plan(&yaml, server.port)).await.summary, "status 413");
}

#[tokio::test]
async fn a_packed_body_is_unpacked_where_it_is_read_and_a_bomb_is_not() {
    fn packed(body: &[u8]) -> Vec<u8> {
        let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut to, body).unwrap();
        let body = to.finish().unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), &body].concat()
    }
    let (server, _) = counted(|_| vec![(0, packed(b"{\"a\":1}"))]).await;
    let summary = run(&plan(PLAN, server.port)).await.summary;
    assert_eq!(summary.requests.failed, 0, "{:?}", summary.errors);
    let (server, _) = counted(|_| vec![(0, packed(&vec![b' '; 64 * 1024 * 1024]))]).await;
    let yaml = PLAN.replace("400ms", "20s");
    check(&run(&plan(&yaml, server.port)).await.summary, "larger than the 8 MiB");
}

#[tokio::test]
async fn a_deep_document_is_no_json() {
    let server = Server::http(|_| text(200, &"[".repeat(1_000_000))).await;
    check(&run(&plan(PLAN, server.port)).await.summary, "the answer is not JSON");
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_drained_but_not_kept() {
    let server = Server::http(|_| text(200, &" ".repeat(9 * 1024 * 1024))).await;
    let yaml = PLAN.replace("400ms", "20s");
    let summary = run(&plan(&yaml, server.port)).await.summary;
    check(&summary, "larger than the 8 MiB");
    assert!(summary.endpoints[0].bytes.received > 9_000_000);
}

#[tokio::test]
async fn a_reset_is_counted() {
    let server = Server::raw(|mut stream: TcpStream| async move {
        let mut byte = [0];
        drop(stream.read(&mut byte).await);
        // What was sent and is never read makes the close a reset.
    })
    .await;
    check(&run(&plan(PLAN, server.port)).await.summary, "connection reset");
}

#[tokio::test]
async fn a_silent_server_times_out_and_every_request_is_counted() {
    let server = Server::raw(|mut stream: TcpStream| async move {
        let mut sink = [0; 1024];
        while matches!(stream.read(&mut sink).await, Ok(1..)) {}
    })
    .await;
    let summary = run(&plan(PLAN, server.port)).await.summary;
    check(&summary, "no answer within 400ms");
    assert_eq!(summary.requests.count, 2);
    assert!(summary.latency.p50 >= 400.0, "{:?}", summary.latency);
}

#[tokio::test]
async fn a_refusing_target_is_unreachable_and_never_passes() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let summary = run(&plan(PLAN, port)).await.summary;
    assert!(summary.unreachable);
    assert_eq!(summary.outcome(), Outcome::Unreachable);
    assert_eq!(
        summary.reasons,
        [format!("the target was not reached: connection refused by 127.0.0.1:{port}")]
    );
    assert!(summary.service_time.max.abs() < f64::EPSILON);
}

#[tokio::test]
async fn nothing_is_connected_to_that_is_not_pinned() {
    let server = Server::http(|_| text(200, "")).await;
    let mut plan = plan(PLAN, server.port);
    plan.pins.clear();
    let summary = run(&plan).await.summary;
    assert_eq!(summary.requests.failed, summary.requests.count);
    assert!(server.lines().is_empty());
}

#[tokio::test]
async fn a_worker_that_breaks_down_is_an_error_and_no_verdict() {
    let overrides = Overrides {
        target: Some("http://127.0.0.1:1".to_owned()),
        users: Some(1),
        duration: Some(crate::unit::Span::seconds(1)),
        ..Overrides::default()
    };
    let plan = Plan::build(&crate::load::Written::default(), &overrides, &BTreeMap::new()).unwrap();
    for (program, args, says) in [
        ("/bin/sh", "echo broken >&2", "the load worker failed: it ended early: broken"),
        ("/bin/sh", "printf '\\000\\000\\000\\002{}'", "malformed"),
        ("/nonexistent", "", "cannot start the load worker `/nonexistent`"),
    ] {
        let worker = WorkerSpec {
            program: program.into(),
            args: vec!["-c".to_owned(), args.to_owned()],
            user: None,
        };
        let cancel = tokio_util::sync::CancellationToken::new();
        let error = crate::load::run(&plan, &worker, &mut |_| {}, &cancel).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}
