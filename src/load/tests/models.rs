//! Closed and open models, phases, limits, cancelling.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::support::{Server, plan, run, text, try_run};
use crate::load::{Event, Phase};
use crate::outcome::Outcome;
use crate::verdict::Verdict;

#[tokio::test]
async fn users_start_at_their_rate_and_limits_look_at_the_steady_phase_only() {
    // The first requests of each user are bad; all users have started after 0.9 s.
    let server = Server::http(|asked| {
        text(if asked.line.starts_with("GET /start") { 500 } else { 200 }, "")
    })
    .await;
    let yaml = "target: http://127.0.0.1:$PORT\n\
        load: { users: 10, spawn-rate: 10, duration: 2s, think: 100ms, threads: 2 }\n\
        journeys: [{ start: [{ get: /start }], steps: [{ get: /a }] }]\n\
        limits: [errors <= 5%, p95 GET /a < 1s, rate > 1/s]";
    let ran = run(&plan(yaml, server.port)).await;
    let summary = &ran.summary;
    let start = summary.endpoints.iter().find(|e| e.name == "GET /start").unwrap();
    assert_eq!((start.requests.count, start.requests.failed), (10, 10));
    assert!(summary.steady.requests.failed <= 1, "{:?}", summary.steady);
    assert_eq!(summary.steady.start - summary.window.start, 900);
    assert!(summary.window.end - summary.window.start >= 2000);
    assert!(summary.limits.iter().all(|l| l.verdict == Verdict::Passed), "{:?}", summary.limits);
    let phases: Vec<Phase> = ran
        .events
        .iter()
        .filter_map(|event| if let Event::Phase(phase) = event { Some(*phase) } else { None })
        .collect();
    assert_eq!(&phases[..2], [Phase::Ramp, Phase::Steady]);
    assert!(matches!(ran.events.first(), Some(Event::Started { threads: 2, .. })));
    assert!(matches!(ran.events.last(), Some(Event::Finished(_))));
    let users = ran.events.iter().filter_map(|event| {
        if let Event::Progress(progress) = event { Some(progress.users) } else { None }
    });
    assert_eq!(users.max(), Some(10));
}

#[tokio::test]
async fn a_broken_limit_fails_and_says_what_was_seen() {
    let server = Server::http(|_| text(404, "")).await;
    let yaml = "target: http://127.0.0.1:$PORT\n\
        load: { users: 1, duration: 300ms, think: 50ms }\n\
        journeys: [{ steps: [{ get: /a, check: { status: 4xx } }, { get: /b }] }]\n\
        limits: [errors < 1%, errors GET /a < 1%]";
    let summary = run(&plan(yaml, server.port)).await.summary;
    assert_eq!(summary.outcome(), Outcome::Failed);
    let verdicts: Vec<Verdict> = summary.limits.iter().map(|limit| limit.verdict).collect();
    assert_eq!(verdicts, [Verdict::Failed, Verdict::Passed]);
}

#[tokio::test]
async fn arrivals_keep_their_rate_and_their_meant_start_through_a_stall() {
    // One connection at a time: while the server sleeps, everything that arrives waits.
    let server = Server::raw(|mut stream: TcpStream| async move {
        let mut buffer = [0; 1024];
        let mut is_first = true;
        while matches!(stream.read(&mut buffer).await, Ok(1..)) {
            if std::mem::take(&mut is_first) {
                tokio::time::sleep(Duration::from_millis(400)).await;
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    })
    .await;
    let yaml = "target: http://127.0.0.1:$PORT\nload: { arrivals: 100/s, duration: 1s, threads: 1 }\n\
        journeys: [{ steps: [{ get: /a }] }]";
    let summary = run(&plan(yaml, server.port)).await.summary;
    assert_eq!((summary.requests.count, summary.rounds), (100, 100));
    assert_eq!(summary.generator.dropped, 0);
    assert!(summary.latency.min < 400.0 && summary.latency.max >= 400.0, "{:?}", summary.latency);
    let pool = yaml.replace("threads: 1", "threads: 1, max-users: 2");
    let summary = run(&plan(&pool, server.port)).await.summary;
    assert!(summary.generator.dropped > 10, "{:?}", summary.generator);
    assert_eq!(summary.requests.count + summary.generator.dropped, 100);
    assert_eq!(summary.verdict, Verdict::Inconclusive);
    assert!(summary.reasons[0].contains("dropped"), "{:?}", summary.reasons);
}

#[tokio::test]
async fn a_cancelled_run_returns_what_it_saw_so_far() {
    let server = Server::http(|_| text(200, "")).await;
    let yaml = "target: http://127.0.0.1:$PORT\nload: { users: 2, duration: 10m, think: 10ms }\n\
        journeys: [{ steps: [{ get: /a }] }]";
    let cancel = CancellationToken::new();
    let plan = plan(yaml, server.port);
    let ran = try_run(&plan, &cancel, |event| {
        if matches!(event, Event::Progress(_)) {
            cancel.cancel();
        }
    })
    .await
    .unwrap();
    assert!(ran.summary.interrupted);
    assert!(ran.summary.requests.count > 0);
    assert_eq!(ran.summary.verdict, Verdict::Inconclusive);
    assert_eq!(ran.summary.outcome(), Outcome::Interrupted);
    assert!(ran.summary.window.end - ran.summary.window.start < 60_000);
}

#[tokio::test]
async fn users_that_only_wait_still_end_with_the_run() {
    let server = Server::http(|_| text(200, "")).await;
    let yaml = "target: http://127.0.0.1:$PORT\nload: { users: 1, duration: 200ms }\n\
        journeys: [{ steps: [{ get: /a, when: x }, { steps: [{ get: /b, when: x }] }, \
        { get: /never, when: x, save: { x: $.x } }] }]";
    let summary = run(&plan(yaml, server.port)).await.summary;
    assert_eq!(summary.requests.count, 0);
    assert_eq!(summary.verdict, Verdict::Inconclusive);
    assert_eq!(summary.reasons, ["no request was made"]);
    assert_eq!(summary.outcome(), Outcome::Inconclusive);
}

#[tokio::test]
async fn an_arrival_cannot_outlast_the_run_by_more_than_a_timeout() {
    let server = Server::http(|_| text(200, "")).await;
    let yaml = "target: http://127.0.0.1:$PORT\n\
        load: { arrivals: 10/s, duration: 300ms, timeout: 300ms, think: 10ms }\n\
        journeys: [{ steps: [{ get: /a, repeat: 4000000000 }] }]";
    let summary = run(&plan(yaml, server.port)).await.summary;
    assert!(summary.requests.count > 3, "{:?}", summary.requests);
}

#[tokio::test]
async fn stages_raise_and_lower_the_users_and_limits_look_where_they_are_aimed() {
    // Slow while more than one user asks at a time.
    let server = Server::http(|_| text(200, "")).await;
    let yaml = "target: http://127.0.0.1:$PORT\n\
        load: { stages: [{ users: 1, hold: 1s, name: warm }, { users: 8, ramp: 500ms, hold: 1s, \
        name: top }, { users: 0, ramp: 500ms }], think: 50ms, threads: 2 }\n\
        journeys: [{ steps: [{ get: /a, tags: [read] }] }]\n\
        limits: [rate < 25/s during warm, 'rate > 80/s', rate tagged read > 80/s over 1s]";
    let ran = run(&plan(yaml, server.port)).await;
    let summary = &ran.summary;
    assert!(summary.limits.iter().all(|l| l.verdict == Verdict::Passed), "{:?}", summary.limits);
    assert_eq!(summary.steady.start - summary.window.start, 1500);
    assert_eq!(summary.steady.end - summary.window.start, 2500);
    let stages: Vec<(&str, f64)> =
        summary.stages.iter().map(|stage| (stage.name.as_str(), stage.to)).collect();
    assert_eq!(stages, [("warm", 1.0), ("", 8.0), ("top", 8.0), ("stage 3", 0.0)]);
    let count: u64 = summary.stages.iter().map(|stage| stage.requests.count).sum();
    assert_eq!(count, summary.requests.count);
    let told: Vec<&str> = ran
        .events
        .iter()
        .filter_map(|event| if let Event::Stage(name) = event { Some(name.as_str()) } else { None })
        .collect();
    assert_eq!(told, ["warm", "", "top", "stage 3"]);
}

#[tokio::test]
async fn a_broken_limit_ends_the_run_when_it_says_so() {
    let server = Server::http(|_| text(500, "")).await;
    let yaml = "target: http://127.0.0.1:$PORT\n\
        load: { users: 2, spawn-rate: 1000, duration: 10m, think: 10ms }\n\
        journeys: [{ steps: [{ get: /a }] }]\nlimits: [errors < 50% or abort after 20]";
    let summary = run(&plan(yaml, server.port)).await.summary;
    assert!(summary.window.end - summary.window.start < 60_000);
    assert!(!summary.interrupted);
    assert_eq!(summary.outcome(), Outcome::Failed);
    let last = summary.reasons.last().unwrap();
    assert!(
        last.starts_with("ended early by errors < 50% or abort after 20: it was 100.00%"),
        "{last}"
    );
}

#[tokio::test]
async fn arrivals_by_chance_are_the_same_for_the_same_seed_and_any_number_of_threads() {
    let server = Server::http(|_| text(200, "")).await;
    let yaml = "target: http://127.0.0.1:$PORT\n\
        load: { arrivals: 100/s, duration: 1s, spacing: poisson, seed: 5, threads: 1 }\n\
        journeys: [{ steps: [{ get: /a }] }]";
    let one = run(&plan(yaml, server.port)).await.summary.requests.count;
    let three = run(&plan(&yaml.replace("threads: 1", "threads: 3"), server.port)).await;
    assert_eq!(three.summary.requests.count, one);
    assert!((60..140).contains(&one) && one != 100, "{one}");
}

#[tokio::test]
async fn the_last_step_of_a_stress_test_counts_when_it_holds() {
    let server = Server::http(|_| text(200, "")).await;
    for threads in [1, 2] {
        let yaml = format!(
            "target: http://127.0.0.1:$PORT\n\
             load: {{ preset: stress, arrivals: 30/s, steps: 2, duration: 4s, threads: {threads} }}\n\
             journeys: [{{ steps: [{{ get: /a }}] }}]"
        );
        let ran = run(&plan(&yaml, server.port)).await;
        assert_eq!(ran.summary.found.capacity, Some(30.0), "{:?}", ran.summary.reasons);
        let told = |event: &Event| {
            let Event::Interval(progress) = event else { return None };
            Some(progress.elapsed)
        };
        let told: Vec<u64> = ran.events.iter().filter_map(told).collect();
        assert!(told.starts_with(&[2000, 4000]), "{told:?}");
        assert!(ran.summary.series.iter().all(|point| point.span > 0), "{:?}", ran.summary.series);
    }
}

#[tokio::test]
async fn a_stress_test_ends_at_the_step_that_breaks_and_names_the_capacity() {
    let asked = std::sync::Mutex::new(std::collections::VecDeque::new());
    // Good up to about 50 requests a second.
    let server = Server::http(move |_| {
        let mut asked = asked.lock().unwrap();
        let now = std::time::Instant::now();
        asked.push_back(now);
        while asked.front().is_some_and(|at| now - *at > Duration::from_millis(500)) {
            asked.pop_front();
        }
        text(if asked.len() > 25 { 503 } else { 200 }, "")
    })
    .await;
    let yaml = "target: http://127.0.0.1:$PORT\n\
        load: { preset: stress, arrivals: 120/s, steps: 4, duration: 8s }\n\
        journeys: [{ steps: [{ get: /a }] }]\nlimits: ['capacity >= 30/s', p95 < 1s]";
    let summary = run(&plan(yaml, server.port)).await.summary;
    assert_eq!(summary.verdict, Verdict::Passed, "{:?}", summary.reasons);
    assert_eq!(summary.found.capacity, Some(30.0));
    let rps = summary.found.capacity_requests.unwrap();
    assert!((29.0..31.0).contains(&rps), "{rps}");
    let why = &summary.reasons[0];
    assert!(
        why.starts_with("the target is good up to 30/s; at 60/s: errors < 5%: it was "),
        "{why}"
    );
    assert!(summary.window.end - summary.window.start < 5500, "{:?}", summary.window);
    let names: Vec<&str> = summary.limits.iter().map(|limit| limit.name.as_str()).collect();
    assert_eq!(names, ["capacity >= 30/s", "p95 < 1s", "errors < 5%"]);
    let failed = run(&plan(&yaml.replace("30/s", "60/s"), server.port)).await.summary;
    assert_eq!(failed.verdict, Verdict::Failed);
}
