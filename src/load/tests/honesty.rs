//! What the figures must not hide. Percentiles are checked on a clock of numbers, so that no noise
//! of a machine decides; the same against a real server stands in `scripts/bench load honesty delay`.

use std::time::{Duration, Instant};

use super::support::{Server, plan, run, text};
use crate::load::collect::Books;
use crate::load::failure::Failure;
use crate::load::plan::Plan;
use crate::load::protocol::Snapshot;
use crate::load::record::{Recorder, Sample};
use crate::load::result::{End, summarise};
use crate::load::stages::Arrivals;
use crate::load::summary::{Generator, Latency, Summary};
use crate::outcome::Outcome;
use crate::unit::float;
use crate::verdict::Verdict;

/// Drives the plan's arrivals at a target that answers one when `answer` says, given its number and
/// the meant moment of its start, and with an error where it says so: recorder, snapshots and books
/// as in a run, without the waiting.
fn simulated(plan: &Plan, answer: impl Fn(u64, Duration) -> (Duration, bool)) -> Summary {
    let origin = Instant::now();
    let mut arrivals = Arrivals::new(&plan.model.stages);
    let mut answers = Vec::new();
    for n in 0.. {
        let Some(meant) = arrivals.at(float(n)) else { break };
        let (ended, is_bad) = answer(n, meant);
        answers.push((ended, meant, is_bad));
    }
    answers.sort();
    let mut recorder = Recorder::new(vec!["GET /a".to_owned()]);
    let mut books = Books::new(1, 0, plan);
    let mut answers = answers.into_iter().peekable();
    let mut number = 0;
    while answers.peek().is_some() {
        let to = Duration::from_secs(u64::from(number) + 1);
        while let Some((ended, meant, is_bad)) = answers.next_if(|(ended, ..)| *ended <= to) {
            recorder.add(Sample {
                endpoint: 0,
                meant: origin + meant,
                // It was written when it was meant to be; the target let it wait.
                written: Some(origin + meant),
                first_byte: Some(origin + ended),
                connect: None,
                tls: None,
                ended: origin + ended,
                sent: 0,
                received: 0,
                result: if is_bad { Err(Failure::Status(500)) } else { Ok(()) },
            });
        }
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap();
        let mut snapshot = Snapshot {
            number,
            from: micros(to) - 1_000_000,
            to: micros(to),
            closed: micros(to),
            ..Snapshot::default()
        };
        snapshot.fill(&mut recorder);
        books.add(&snapshot).unwrap();
        number += 1;
    }
    books.finish();
    summarise(plan, &books, Generator::default(), &End::Reached)
}

#[track_caller]
fn within(told: f64, truth: f64, share: f64) {
    assert!((told - truth).abs() <= truth * share, "{told} is not {truth} within {share}");
}

#[test]
fn a_target_frozen_for_two_seconds_of_ten_is_seen_in_every_percentile() {
    let yaml = "target: http://a\nload: { arrivals: 1000/s, duration: 10s }\n\
                journeys: [{ steps: [{ get: /a }] }]\nlimits: [p95 < 1s]";
    let service = Duration::from_micros(200);
    let (frozen, thawed) = (Duration::from_secs(4), Duration::from_secs(6));
    let summary = simulated(&plan(yaml, 1), |_, meant| {
        let begins = if frozen <= meant && meant < thawed { thawed } else { meant };
        (begins + service, false)
    });
    assert_eq!(summary.requests.count, 10_000);
    let Latency { p50, p90, p95, p99, .. } = summary.latency;
    within(p90, 1000.0, 0.05);
    within(p95, 1500.0, 0.05);
    within(p99, 1900.0, 0.05);
    assert!(p50 < 1.0, "{p50}");
    assert_eq!(summary.limits[0].verdict, Verdict::Failed);
}

#[test]
fn a_known_delay_is_told_within_a_percent() {
    let yaml = "target: http://a\nload: { arrivals: 500/s, duration: 4s }\n\
                journeys: [{ steps: [{ get: /a }] }]";
    // Delays from 50 ms to 150 ms, each as often as the others.
    let delay = |n: u64| Duration::from_micros(50_000 + (n * 7919 % 2000) * 50);
    let summary = simulated(&plan(yaml, 1), |n, meant| (meant + delay(n), false));
    assert_eq!(summary.requests.count, 2000);
    for latency in [summary.latency, summary.service_time, summary.first_byte] {
        within(latency.mean, 99.975, 0.01);
        within(latency.p50, 100.0, 0.01);
        within(latency.p90, 140.0, 0.01);
        within(latency.p95, 145.0, 0.01);
        within(latency.p99, 149.0, 0.01);
        within(latency.min, 50.0, 0.01);
        within(latency.max, 149.95, 0.01);
    }
}

#[test]
fn a_load_test_is_judged_on_its_hold_only() {
    let yaml = "target: http://a\nload: { preset: load, arrivals: 50/s, duration: 20s }\n\
                journeys: [{ steps: [{ get: /a }] }]\nlimits: [errors < 1%]";
    let verdict = |from: u64, until: u64| {
        let bad = Duration::from_secs(from)..Duration::from_secs(until);
        let answer = |_, meant| (meant + Duration::from_millis(5), bad.contains(&meant));
        simulated(&plan(yaml, 1), answer).verdict
    };
    // Two seconds warm up, two go to the level.
    assert_eq!(verdict(0, 3), Verdict::Passed);
    assert_eq!(verdict(6, 7), Verdict::Failed);
}

#[test]
fn a_spike_is_judged_on_its_peak_and_on_the_recovery() {
    let yaml = "target: http://a\nload: { preset: spike, arrivals: 200/s, base: 20/s, \
                duration: 50s }\njourneys: [{ steps: [{ get: /a }] }]\nlimits: [p95 < 1s]";
    // The base holds for 15 s, the peak from 16 s to 26 s, the base again from 27 s on.
    let spike = |slow: u64, seconds: std::ops::Range<u64>| {
        let seconds = Duration::from_secs(seconds.start)..Duration::from_secs(seconds.end);
        let answer = |_, meant| {
            let millis = if seconds.contains(&meant) { slow } else { 10 };
            (meant + Duration::from_millis(millis), false)
        };
        simulated(&plan(yaml, 1), answer)
    };
    let good = spike(500, 16..32);
    assert_eq!(good.verdict, Verdict::Passed, "{:?}", good.reasons);
    within(good.found.recovery.unwrap(), 5000.0, 0.25);
    let at_peak = spike(1500, 18..26);
    assert_eq!(at_peak.limits[0].verdict, Verdict::Failed, "{:?}", at_peak.limits);
    let never = spike(500, 16..60);
    assert_eq!((never.verdict, never.found.recovery), (Verdict::Failed, None));
    assert!(never.reasons.iter().any(|why| why.contains("did not recover")), "{:?}", never.reasons);
}

#[test]
fn a_soak_is_judged_on_what_grows() {
    let yaml = "target: http://a\nload: { preset: soak, arrivals: 20/s, duration: 10m }\n\
                journeys: [{ steps: [{ get: /a }] }]\nlimits: [p95 < 1s]";
    let verdict = |slower: u64, bad: u64| {
        simulated(&plan(yaml, 1), |n, meant| {
            let millis = 20 + n * 13 % 7 + slower * meant.as_secs() / 600;
            // Of a hundred, from none at the start to so many at the end.
            let is_bad = n % 100 < bad * meant.as_secs() / 600;
            (meant + Duration::from_millis(millis), is_bad)
        })
    };
    assert_eq!(verdict(0, 0).verdict, Verdict::Passed);
    let slower = verdict(20, 0);
    assert_eq!(slower.verdict, Verdict::Failed);
    assert!(slower.found.drift.unwrap() > 0.4, "{:?}", slower.found);
    let names: Vec<&str> = slower.limits.iter().map(|limit| limit.name.as_str()).collect();
    assert_eq!(names, ["p95 < 1s", "drift < 20%", "p95 < 1s during end"]);
    assert!(slower.limits[2].samples > 1000, "{:?}", slower.limits[2]);
    let bad = verdict(0, 10);
    assert_eq!(bad.verdict, Verdict::Failed);
    assert!(bad.reasons.iter().any(|why| why.starts_with("errors grew by")), "{:?}", bad.reasons);
}

#[tokio::test]
async fn no_kind_of_test_passes_on_a_target_that_is_not_there_or_only_fails() {
    let bad = Server::http(|_| text(500, "")).await;
    for load in [
        "users: 2, duration: 300ms, think: 20ms",
        "arrivals: 50/s, duration: 300ms",
        "preset: smoke, users: 1, duration: 300ms, think: 20ms",
        "preset: load, users: 2, duration: 500ms, think: 20ms",
        "preset: acceptance, users: 2, duration: 500ms, think: 20ms",
        "preset: soak, users: 2, duration: 500ms, think: 20ms",
        "preset: spike, arrivals: 50/s, duration: 1s",
        "preset: stress, arrivals: 20/s, duration: 4s, steps: 2",
    ] {
        let yaml = format!(
            "target: http://127.0.0.1:$PORT\nload: {{ {load} }}\n\
             journeys: [{{ steps: [{{ get: /a }}] }}]\nlimits: [rate > 0.001/s]"
        );
        let failed = run(&plan(&yaml, bad.port)).await.summary;
        assert_eq!(failed.outcome(), Outcome::Failed, "{load}: {:?}", failed.reasons);
        assert!(failed.requests.count > 0 && failed.requests.failed == failed.requests.count);
        // Nothing listens on port 1 of this machine.
        let refused = run(&plan(&yaml, 1)).await.summary;
        assert_ne!(refused.outcome(), Outcome::Passed, "{load}: {:?}", refused.reasons);
        let nothing = yaml.replace("get: /a", "get: /a, when: never");
        let nothing = nothing.replace("steps: [{ get", "steps: [{ set: { never: '' }, get");
        let nothing = run(&plan(&nothing, bad.port)).await.summary;
        assert_eq!(nothing.requests.count, 0, "{load}");
        assert_ne!(nothing.outcome(), Outcome::Passed, "{load}: {:?}", nothing.reasons);
    }
}

#[tokio::test]
async fn a_generator_that_cannot_do_what_it_is_asked_is_inconclusive() {
    let server = Server::http(|_| text(200, "")).await;
    for load in ["arrivals: 500000/s, max-users: 2", "arrivals: 900000/s, max-users: 100000"] {
        let yaml = format!(
            "target: http://127.0.0.1:$PORT\nload: {{ {load}, duration: 300ms, threads: 1 }}\n\
             journeys: [{{ steps: [{{ get: /a }}] }}]\nlimits: [errors < 100%]"
        );
        let summary = run(&plan(&yaml, server.port)).await.summary;
        assert_eq!(summary.outcome(), Outcome::Inconclusive, "{:?}", summary.reasons);
        let says = |text: &str| summary.reasons.iter().any(|reason| reason.contains(text));
        assert!(says("were dropped") || says("the generator, not the target"), "{summary:?}");
    }
}

#[tokio::test]
async fn setup_and_teardown_end_with_the_time_that_the_policy_gives() {
    let server = Server::http(|_| text(200, "")).await;
    let yaml = "target: http://127.0.0.1:$PORT\nload: { users: 1, duration: 200ms, think: 50ms }\n\
        setup: [{ get: /s, save: { s: regex never }, repeat: 1000000, think: 10ms }]\n\
        journeys: [{ steps: [{ get: /a }] }]";
    let mut late = plan(yaml, server.port);
    late.extra = Some(crate::unit::Span(Duration::from_millis(300)));
    let summary = run(&late).await.summary;
    assert_eq!(summary.outcome(), Outcome::Inconclusive, "{:?}", summary.reasons);
    assert!(summary.reasons[0].starts_with("the setup failed"), "{:?}", summary.reasons);
    let yaml = yaml.replace("setup: [{ get: /s, save: { s: regex never }", "teardown: [{ get: /t");
    let mut late = plan(&yaml, server.port);
    late.extra = Some(crate::unit::Span(Duration::from_millis(300)));
    // The load itself was good; its end does not wait for a teardown without an end.
    assert_eq!(run(&late).await.summary.outcome(), Outcome::Passed);
}
