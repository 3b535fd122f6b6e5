//! Kinds of test that compare or accept, against servers on loopback.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Server, pin, plan, run, text, written};
use crate::load::{Overrides, Plan};
use crate::outcome::Outcome;
use crate::verdict::Verdict;

/// A server that answers each request after a while.
async fn slow(by: Duration) -> Server {
    Server::raw(move |mut stream: TcpStream| async move {
        let mut buffer = [0; 1024];
        while matches!(stream.read(&mut buffer).await, Ok(1..)) {
            tokio::time::sleep(by).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_target_several_times_as_slow_as_its_baseline_is_a_regression() {
    let (old, new) =
        (slow(Duration::from_millis(20)).await, slow(Duration::from_millis(120)).await);
    let yaml = format!(
        "target: http://127.0.0.1:$PORT\n\
         load: {{ preset: regression, arrivals: 20/s, duration: 14s, threads: 1, \
         baseline: {{ target: 'http://127.0.0.1:{}', pairs: 6, compare: [p50, errors] }} }}\n\
         journeys: [{{ steps: [{{ get: /a }}] }}]\nlimits: [max < 5s, rate > 1/s]",
        old.port
    );
    let summary = run(&plan(&yaml, new.port)).await.summary;
    let comparison = summary.comparison.as_ref().unwrap();
    assert_eq!(comparison.requests.count, summary.requests.count, "the same load for both");
    assert_eq!(comparison.requests.failed, 0);
    let p50 = &comparison.compared[0];
    assert_eq!((p50.verdict, p50.pairs.len()), (Verdict::Failed, 6), "{comparison:?}");
    assert!(p50.pairs.iter().all(|[old, new]| *old >= 20.0 && *new >= 120.0), "{p50:?}");
    assert_eq!(comparison.compared[1].verdict, Verdict::Passed, "{comparison:?}");
    let verdicts: Vec<Verdict> = summary.limits.iter().map(|limit| limit.verdict).collect();
    assert_eq!(verdicts, [Verdict::Passed, Verdict::Passed, Verdict::Failed, Verdict::Passed]);
    assert_eq!(summary.outcome(), Outcome::Failed);
    // Only the target's own blocks count for its rate: 20/s, a fifth of each block to get there.
    assert!(summary.steady.requests.rate > 10.0, "{:?}", summary.steady);
    assert!(summary.stages.is_empty());
}

#[tokio::test]
async fn a_baseline_that_is_not_there_is_no_pass() {
    let new = Server::http(|_| text(200, "")).await;
    let yaml = "target: http://127.0.0.1:$PORT\n\
         load: { users: 1, duration: 14s, think: 50ms, threads: 1 }\n\
         journeys: [{ steps: [{ get: /a }] }]";
    let vars = std::collections::BTreeMap::from([("PORT".to_owned(), new.port.to_string())]);
    let baseline = Some("http://127.0.0.1:9".to_owned());
    let overrides = Overrides { baseline, ..Overrides::default() };
    let error = Plan::build(&written(yaml), &overrides, &vars).unwrap_err().to_string();
    assert!(error.contains("10 pairs of blocks and a pair to warm up need 22 s"), "{error}");
    let yaml = yaml.replace("think: 50ms", "think: 50ms, baseline: { pairs: 6 }");
    let mut plan = Plan::build(&written(&yaml), &overrides, &vars).unwrap();
    pin(&mut plan);
    let summary = run(&plan).await.summary;
    assert_eq!(summary.outcome(), Outcome::Inconclusive);
    assert!(summary.requests.count > 0 && summary.requests.failed == 0);
    // A machine that is busy with others may be a reason, too.
    let is_told = |reason: &String| reason.contains("every request to the baseline failed");
    assert!(summary.reasons.iter().any(is_told), "{summary:?}");
}

#[tokio::test]
async fn an_acceptance_test_is_judged_by_all_of_its_criteria() {
    let server =
        Server::http(|asked| text(if asked.line.contains("/bad") { 500 } else { 200 }, "Yoga Mat"))
            .await;
    let yaml = "target: http://127.0.0.1:$PORT\n\
        load: { preset: acceptance, users: 1, duration: 1s, think: 20ms }\n\
        journeys: [{ steps: [{ get: /a, check: { contains: [Yoga Mat] } }, { get: /bad }] }]\n\
        criteria:\n\
        - { name: found, limits: [errors of GET /a <= 0%, max of GET /a < 10s] }\n\
        - { name: bought, limits: [errors of GET /bad <= 0%] }";
    let summary = run(&plan(yaml, server.port)).await.summary;
    let told: Vec<(&str, Verdict)> =
        summary.limits.iter().map(|limit| (limit.criterion.as_str(), limit.verdict)).collect();
    assert_eq!(
        told,
        [
            ("found", Verdict::Passed),
            ("found", Verdict::Passed),
            ("bought", Verdict::Failed),
            ("", Verdict::Passed),
        ],
        "{:?}",
        summary.limits
    );
    assert!(summary.limits[3].name.starts_with("check GET /a: "), "{:?}", summary.limits);
    assert_eq!(summary.outcome(), Outcome::Failed);
}

#[test]
fn criteria_and_comparisons_that_cannot_be_meant_are_told() {
    let vars = std::collections::BTreeMap::<String, String>::new();
    for (load, rest, says) in [
        ("preset: acceptance, users: 1, duration: 1s", "", "criteria: an acceptance test needs"),
        ("users: 1, duration: 1s", "criteria: [{ name: a, limits: [p95 < 1s] }]", "criteria: they"),
        (
            "preset: acceptance, users: 1, duration: 1s",
            "criteria: [{ limits: [p95 < 1s] }, { name: b }]",
            "criteria[1].limits: say what shows it",
        ),
        (
            "preset: acceptance, users: 1, duration: 1s",
            "criteria: [{ name: a, limits: [p95 GET /c < 1s] }]",
            "criteria[0].limits[0]: no step is named",
        ),
        (
            "preset: regression, users: 1, duration: 5m, baseline: { target: 'http://b', compare: [p95 GET /c] }",
            "",
            "load.baseline.compare[0]: no step is named",
        ),
        ("preset: regression, users: 1, duration: 5m", "", "load.baseline.target: it is missing"),
        (
            "preset: regression, users: 1, duration: 5m, baseline: { target: 'http://b', pairs: 6, \
             compare: [p50, p90, p95, p99] }",
            "",
            "load.baseline.pairs: 6 pairs cannot tell a change of 4 things from chance: use 7",
        ),
    ] {
        let yaml = format!(
            "target: http://a\nload: {{ {load} }}\njourneys: [{{ steps: [{{ get: /a }}] }}]\n{rest}"
        );
        let error = Plan::build(&written(&yaml), &Overrides::default(), &vars).unwrap_err();
        assert!(error.to_string().contains(says), "{yaml}: {error}");
    }
}
