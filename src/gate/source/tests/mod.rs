//! The gate against servers on loopback that answer well, badly, partly, late or not at all.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::exchange::Patience;
use super::{
    Auth, Clock, Dialect, Key, Kind, MetricSource, Path, Shape, Signer, Spec, connect, connect_with,
};
use crate::gate::plan::{Check, JobTokens, Plan, SourceChoice, Style, WindowChoice};
use crate::gate::series::Window;
use crate::gate::{CheckFile, Event, Overrides, Sources, Summary, Written, run};
use crate::job::standin::{Act, Standin};
use crate::secret::Secret;
use crate::unit::Span;
use crate::verdict::Verdict;

use hostile::words::wavefront;

mod real;
mod stores;
mod table;
mod auth;
#[path = "../../../../tests/hostile/mod.rs"]
mod hostile;

const WINDOW: Window = Window { start_ms: 1_700_000_000_000, end_ms: 1_700_000_060_000 };
const TOKEN: &str = "token-that-nobody-may-see";

/// Patient enough for a loaded machine, where the answer is not meant to be late.
const PATIENT: Patience = Patience {
    per_try: Duration::from_secs(20),
    in_all: Duration::from_mins(1),
    tries: 2,
    pause: Duration::from_millis(1),
};

/// For answers that are meant to be late.
const HASTY: Patience = Patience { per_try: Duration::from_millis(100), tries: 1, ..PATIENT };

/// What is asked of a kind of source, in its language.
fn query(kind: Kind) -> &'static str {
    match kind {
        Kind::Influx1 => "SELECT mean(v) FROM cpu WHERE {{ window }} GROUP BY time(10s)",
        Kind::Influx2 => "from(bucket: \"b\") |> range(start: v.timeRangeStart)",
        Kind::Json => "data?{{ window }}",
        Kind::NewRelic => "SELECT average(v) FROM Cpu",
        Kind::Wavefront
        | Kind::Prometheus
        | Kind::Graphite
        | Kind::Datadog
        | Kind::CloudWatch
        | Kind::Dynatrace
        | Kind::OpenMetrics
        | Kind::Pods
        | Kind::Load => "up",
    }
}

fn plan(kind: Kind, limit: &str) -> Plan {
    let written = CheckFile {
        name: "cpu".to_owned(),
        source: "s".to_owned(),
        query: query(kind).to_owned(),
        limit: limit.to_owned(),
        ..CheckFile::default()
    };
    let written = Written { checks: vec![written], gate: None };
    let none = std::collections::BTreeMap::new();
    let plan = Plan::build(written, Overrides::default(), &none).unwrap();
    let check = Check { source: SourceChoice::Kind(kind), ..plan.checks[0].clone() };
    Plan { checks: vec![check], ..plan }
}

fn dialect(kind: Kind) -> Dialect {
    let path = |text: &str| Path::parse(text).unwrap();
    match kind {
        Kind::Wavefront => Dialect::Wavefront,
        Kind::Prometheus => Dialect::Prometheus,
        Kind::Influx1 => Dialect::Influx1 { database: "db".to_owned() },
        Kind::Influx2 => Dialect::Influx2 { org: "org".to_owned() },
        Kind::Graphite => Dialect::Graphite,
        Kind::Datadog => Dialect::Datadog,
        Kind::CloudWatch => Dialect::CloudWatch,
        Kind::NewRelic => Dialect::NewRelic { account: 1 },
        Kind::Dynatrace => Dialect::Dynatrace,
        Kind::Json => Dialect::Json(Box::new(Shape {
            series: path("$.series[*]"),
            labels: Some(path("$.tags")),
            points: path("$.points[*]"),
            time: path("$[0]"),
            value: path("$[1]"),
            error: Some(path("$.error")),
            clock: Clock::Seconds,
        })),
        Kind::OpenMetrics | Kind::Pods | Kind::Load => panic!("{kind} is not asked"),
    }
}

fn spec(kind: Kind, url: &str) -> Spec {
    let secret = Secret::new(TOKEN.to_owned());
    let auth = match kind {
        Kind::CloudWatch => Auth::Signed(Signer {
            region: "eu-central-1".to_owned(),
            service: "monitoring".to_owned(),
            access_key: "AKID".to_owned(),
            secret_key: secret,
            session: None,
        }),
        Kind::Datadog => Auth::Keys(vec![Key { header: "dd-api-key", prefix: "", secret }]),
        Kind::Wavefront
        | Kind::Prometheus
        | Kind::Influx1
        | Kind::Influx2
        | Kind::Graphite
        | Kind::NewRelic
        | Kind::Dynatrace
        | Kind::Json
        | Kind::OpenMetrics
        | Kind::Pods
        | Kind::Load => Auth::None,
    };
    let spec = Spec {
        dialect: dialect(kind),
        url: url.to_owned(),
        auth,
        headers: std::collections::BTreeMap::new(),
        ca_file: None,
    };
    spec.or_token(Some(&Secret::new(TOKEN.to_owned())))
}

fn source(kind: Kind, url: &str, patience: Patience) -> Box<dyn MetricSource> {
    connect_with(&spec(kind, url), patience).unwrap()
}

struct Ran {
    summary: Summary,
    events: Vec<Event>,
    requests: Vec<String>,
}

async fn gate(kind: Kind, limit: &str, patience: Patience, acts: Vec<Act>) -> Ran {
    let standin = Standin::start(acts).await;
    let sources = Sources::from([("s".to_owned(), source(kind, &standin.url, patience))]);
    let mut events = Vec::new();
    let mut emit = |event| events.push(event);
    let plan = plan(kind, limit);
    let summary = run(&plan, WINDOW, &sources, &mut emit, &CancellationToken::new()).await;
    Ran { summary, events, requests: standin.requests() }
}

impl From<hostile::Answer> for Act {
    fn from(answer: hostile::Answer) -> Self {
        match answer {
            hostile::Answer::Whole(bytes) => Self::Send(bytes),
            hostile::Answer::Hang(bytes) => Self::Hang(bytes),
            hostile::Answer::Drip(bytes) => Self::Drip(bytes),
        }
    }
}

fn asked(kind: Kind) -> hostile::Asked {
    let kind = hostile::Kind::named(&kind.to_string()).unwrap();
    hostile::Asked { kind, form: hostile::Form::Series, start_ms: WINDOW.start_ms }
}

/// A good answer: a sample of 1 every 10 s over the whole window.
fn good(kind: Kind) -> String {
    hostile::body::of(asked(kind), &hostile::body::good(asked(kind)))
}

/// Pairs of time and value every 10 s, from 5 s into the window on.
fn pairs(values: &[&str], unit_per_second: i64, offset: i64) -> String {
    hostile::words::pairs(asked(Kind::Prometheus), values, unit_per_second, offset)
}

fn prometheus(values: &str) -> String {
    hostile::words::prometheus(asked(Kind::Prometheus), values)
}

const GOOD: [&str; 6] = ["1", "2", "3", "4", "5", "6"];
const QUOTED: [&str; 6] = ["\"1\"", "\"2\"", "\"3\"", "\"4\"", "\"5\"", "\"6\""];

#[tokio::test]
async fn a_good_answer_is_judged_and_the_token_goes_only_into_its_header() {
    for (kind, body) in [
        (Kind::Wavefront, wavefront(&pairs(&GOOD, 1, 0))),
        (Kind::Prometheus, prometheus(&pairs(&QUOTED, 1, 0))),
    ] {
        for (limit, verdict) in [("mean < 3.6", Verdict::Passed), ("mean < 3.5", Verdict::Failed)] {
            let ran = gate(kind, limit, PATIENT, vec![Act::json("200 OK", &body)]).await;
            assert_eq!(ran.summary.verdict, verdict, "{kind}: {:?}", ran.summary.reasons);
            assert_eq!(ran.summary.checks[0].value, Some(3.5));
            let header = format!("authorization: Bearer {TOKEN}");
            assert!(ran.requests[0].contains(&header), "{}", ran.requests[0]);
            assert!(!format!("{:?} {:?}", ran.events, ran.summary).contains(TOKEN));
            assert!(ran.events.iter().any(
                |event| matches!(event, Event::Answered { status, .. } if status == "200 OK")
            ));
        }
    }
}

#[tokio::test]
async fn wavefront_is_asked_for_exactly_the_window() {
    let act = Act::json("200 OK", &wavefront(&pairs(&GOOD, 1, 0)));
    let ran = gate(Kind::Wavefront, "mean < 9", PATIENT, vec![act]).await;
    let line = ran.requests[0].lines().next().unwrap().to_owned();
    assert_eq!(
        line,
        "GET /api/v2/chart/api?q=up&s=1700000000000&e=1700000060001&g=s&summarization=MEAN\
         &strict=true&i=false&cached=false&sorted=true&includeObsoleteMetrics=false HTTP/1.1"
    );
}

#[tokio::test]
async fn prometheus_is_asked_by_post_with_explicit_times() {
    let act = Act::json("200 OK", &prometheus(&pairs(&QUOTED, 1, 0)));
    let ran = gate(Kind::Prometheus, "mean < 9", PATIENT, vec![act]).await;
    assert!(ran.requests[0].starts_with("POST /api/v1/query HTTP/1.1"), "{}", ran.requests[0]);
    assert!(
        ran.requests[0].ends_with("query=up%5B60000ms%5D&time=1700000060.000"),
        "{}",
        ran.requests[0]
    );
}

#[tokio::test]
async fn an_answer_of_a_wrong_clock_or_out_of_a_cache_is_no_evidence() {
    let date = |seconds: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
        at.strftime("Date: %a, %d %b %Y %H:%M:%S GMT").to_string()
    };
    for (header, verdict, part) in [
        (date(0), Verdict::Passed, "holds"),
        (date(-3600), Verdict::Inconclusive, "behind this machine's clock"),
        (date(3600), Verdict::Inconclusive, "ahead of this machine's clock"),
        ("Date: today".to_owned(), Verdict::Passed, "holds"),
    ] {
        for kind in Kind::ASKED {
            let act = Act::answer("200 OK", &header, &good(kind));
            let ran = gate(kind, "mean < 9", PATIENT, vec![act]).await;
            let reason = &ran.summary.checks[0].reason;
            assert_eq!(ran.summary.verdict, verdict, "{kind} {header}: {reason}");
            assert!(reason.contains(part), "{kind} {header}: {reason}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let mut act = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    act.resize(40 << 20, b' ');
    let ran = gate(Kind::Wavefront, "mean < 1", PATIENT, vec![Act::Send(act)]).await;
    assert_eq!(ran.summary.verdict, Verdict::Error);
    assert!(ran.summary.reasons[0].contains("larger than 32MiB"), "{:?}", ran.summary.reasons);
}

#[tokio::test]
async fn what_may_pass_is_asked_again_and_what_may_not_is_not() {
    let good = Act::json("200 OK", &wavefront(&pairs(&GOOD, 1, 0)));
    for (act, n_requests) in [
        (Act::json("503 Service Unavailable", ""), 2),
        (Act::answer("429 Too Many Requests", "Retry-After: 0", ""), 2),
        (Act::answer("429 Too Many Requests", "X-RateLimit-Reset: 0", ""), 2),
        (Act::Send(Vec::new()), 2),
        (Act::answer("429 Too Many Requests", "Retry-After: 86400", ""), 1),
        (Act::json("400 Bad Request", ""), 1),
        (Act::json("401 Unauthorized", ""), 1),
        (Act::json("404 Not Found", ""), 1),
    ] {
        let shown = format!("{act:?}");
        let ran = gate(Kind::Wavefront, "mean < 9", PATIENT, vec![act, good.clone()]).await;
        assert_eq!(ran.requests.len(), n_requests, "{shown}");
        let verdict = if n_requests == 2 { Verdict::Passed } else { Verdict::Error };
        assert_eq!(ran.summary.verdict, verdict, "{shown}");
    }
}

#[tokio::test]
async fn a_redirect_takes_the_token_nowhere() {
    let elsewhere = Standin::start([Act::json("200 OK", &wavefront(&pairs(&GOOD, 1, 0)))]).await;
    let location = format!("Location: {}/", elsewhere.url);
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let act = Act::answer(status, &location, "");
        let ran = gate(Kind::Wavefront, "mean < 9", PATIENT, vec![act]).await;
        assert_eq!(ran.summary.verdict, Verdict::Error, "{status}");
    }
    assert_eq!(elsewhere.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_token_that_a_source_repeats_is_masked() {
    for body in [
        format!(r#"{{"errorType":"X","errorMessage":"bad header Bearer {TOKEN}"}}"#),
        format!(r#"{{"timeseries":[{{"data":"{TOKEN}"}}]}}"#),
        format!(r#"{{"warnings":"{TOKEN}","timeseries":[]}}"#),
        format!(r#"{{"timeseries":[{{"host":"{TOKEN}"}},{{"host":"b"}}]}}"#),
    ] {
        for status in ["200 OK", "401 Unauthorized"] {
            let ran =
                gate(Kind::Wavefront, "mean < 9", PATIENT, vec![Act::json(status, &body)]).await;
            let all = format!("{:?} {:?}", ran.events, ran.summary);
            assert!(!all.contains(TOKEN), "{all}");
        }
    }
}

#[tokio::test]
async fn a_source_that_is_gone_is_asked_for_one_check_only_and_is_the_platforms_fault() {
    let mut standin = Standin::start([]).await;
    standin.stop().await;
    let sources =
        Sources::from([("s".to_owned(), source(Kind::Prometheus, &standin.url, PATIENT))]);
    let mut plan = plan(Kind::Prometheus, "mean < 1");
    plan.checks.push(Check { name: "second".to_owned(), ..plan.checks[0].clone() });
    let mut n_asked = 0;
    let mut emit = |event| n_asked += u32::from(matches!(event, Event::Asked { .. }));
    let summary = run(&plan, WINDOW, &sources, &mut emit, &CancellationToken::new()).await;
    assert_eq!(n_asked, 1);
    assert_eq!(summary.verdict, Verdict::Error);
    assert!(summary.is_platforms_fault);
    assert!(summary.checks.iter().all(|check| check.verdict == Verdict::Error));
}

#[tokio::test]
async fn a_wrong_query_is_the_jobs_fault() {
    let body = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
    let act = Act::json("400 Bad Request", body);
    let ran = gate(Kind::Prometheus, "mean < 1", PATIENT, vec![act]).await;
    assert!(!ran.summary.is_platforms_fault);
    assert!(ran.summary.reasons[0].contains("bad_data: parse error"), "{:?}", ran.summary.reasons);
}

#[tokio::test]
async fn only_a_source_that_says_so_makes_it_the_querys_fault() {
    let prometheus =
        |kind: &str| format!(r#"{{"status":"error","errorType":"{kind}","error":"e"}}"#);
    let chart = r#"{"errorType":"QuerySyntaxError","errorMessage":"e"}"#.to_owned();
    let html = "<html>The plain HTTP request was sent to HTTPS port</html>".to_owned();
    for (kind, status, body, is_platforms) in [
        (Kind::Prometheus, "400 Bad Request", prometheus("bad_data"), false),
        (Kind::Prometheus, "422 Unprocessable Entity", prometheus("execution"), false),
        (Kind::Prometheus, "200 OK", prometheus("bad_data"), false),
        (Kind::Prometheus, "200 OK", prometheus("timeout"), true),
        (Kind::Prometheus, "422 Unprocessable Entity", prometheus("internal"), true),
        (Kind::Prometheus, "400 Bad Request", html.clone(), true),
        (Kind::Prometheus, "403 Forbidden", prometheus("bad_data"), true),
        (Kind::Wavefront, "400 Bad Request", chart.clone(), false),
        (Kind::Wavefront, "200 OK", chart.clone(), false),
        (Kind::Wavefront, "401 Unauthorized", chart, true),
        (Kind::Wavefront, "400 Bad Request", html, true),
    ] {
        let ran = gate(kind, "mean < 1", PATIENT, vec![Act::json(status, &body)]).await;
        assert_eq!(ran.summary.verdict, Verdict::Error, "{kind} {status} {body}");
        assert_eq!(ran.summary.is_platforms_fault, is_platforms, "{kind} {status} {body}");
    }
}

#[tokio::test]
async fn a_source_that_is_not_granted_is_an_error() {
    let plan = plan(Kind::Wavefront, "mean < 1");
    let sources = Sources::new();
    let summary = run(&plan, WINDOW, &sources, &mut |_| {}, &CancellationToken::new()).await;
    assert_eq!(summary.verdict, Verdict::Error);
    assert!(summary.reasons[0].contains("no source `wavefront`"), "{:?}", summary.reasons);
}

#[tokio::test]
async fn a_cancelled_gate_is_inconclusive_at_once() {
    let standin = Standin::start([Act::Hang(Vec::new())]).await;
    let sources = Sources::from([("s".to_owned(), source(Kind::Wavefront, &standin.url, PATIENT))]);
    let cancel = CancellationToken::new();
    let canceller = cancel.clone();
    let mut emit = move |event| {
        if matches!(event, Event::Asked { .. }) {
            canceller.cancel();
        }
    };
    let plan = plan(Kind::Wavefront, "mean < 1");
    let summary = run(&plan, WINDOW, &sources, &mut emit, &cancel).await;
    assert_eq!(summary.verdict, Verdict::Inconclusive);
    assert!(summary.reasons[0].contains("interrupted"));
}

#[tokio::test]
async fn late_samples_are_waited_for() {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let window = Window { start_ms: now_ms - 60_000, end_ms: now_ms };
    let body = |n_points: i64| {
        let pairs: Vec<String> =
            (0..n_points).map(|n| format!("[{},1]", window.start_ms / 1000 + 5 + n * 4)).collect();
        wavefront(&format!("[{}]", pairs.join(",")))
    };
    let acts = [2, 14, 14].map(|n_points| Act::json("200 OK", &body(n_points)));
    let standin = Standin::start(acts).await;
    let sources = Sources::from([("s".to_owned(), source(Kind::Wavefront, &standin.url, PATIENT))]);
    let mut plan = plan(Kind::Wavefront, "mean < 2");
    plan.checks[0].rule.step = Some(Span::seconds(4));
    let mut whys = Vec::new();
    let mut emit = |event| {
        if let Event::Settling { why, .. } = event {
            whys.push(why);
        }
    };
    let summary = run(&plan, window, &sources, &mut emit, &CancellationToken::new()).await;
    assert_eq!(summary.verdict, Verdict::Passed, "{:?}", summary.reasons);
    assert_eq!(standin.requests().len(), 3);
    assert!(whys[0].contains("before the window's end"), "{whys:?}");
    assert!(whys[1].contains("may still come"), "{whys:?}");
}

#[test]
fn a_token_in_the_policy_wins_over_the_jobs() {
    let own = JobTokens { source: Some(Secret::new("own".to_owned())), gitlab: None };
    for (policy, used) in [(None, "own"), (Some("policy"), "policy")] {
        let token = policy.map(|token: &str| Secret::new(token.to_owned()));
        let spec = Spec {
            auth: token.map_or(Auth::None, Auth::bearer),
            ..spec(Kind::Wavefront, "https://example.com")
        };
        let Auth::Keys(keys) = spec.or_token(own.source.as_ref()).auth else {
            panic!("another kind");
        };
        assert_eq!((keys[0].prefix, keys[0].secret.reveal().as_str()), ("Bearer ", used));
    }
}

#[test]
fn a_source_that_cannot_be_used_is_told_without_its_password() {
    for url in ["nonsense", "ftp://a", "http://user:secretword@a", "http://a?token=secretword"] {
        let Err(error) = connect(&spec(Kind::Wavefront, url)) else { panic!("{url} is taken") };
        assert!(!error.to_string().contains("secretword"), "{error}");
    }
}

#[test]
fn windows_are_chosen_and_a_missing_load_is_told() {
    let last = |span| WindowChoice::Load { otherwise: span };
    assert_eq!(last(None).resolve(None, 5_000), None);
    let chosen = last(Some(Span::seconds(2))).resolve(None, 5_000).unwrap();
    assert_eq!(chosen.window, Window { start_ms: 3_000, end_ms: 5_000 });
    assert!(chosen.note.unwrap().contains("no load ran"));
    let chosen = last(Some(Span::seconds(2))).resolve(Some(WINDOW), 5_000).unwrap();
    assert_eq!((chosen.window, chosen.note), (WINDOW, None));
    let explicit = WindowChoice::Explicit(WINDOW);
    assert_eq!(explicit.resolve(None, 0).unwrap().window, WINDOW);
    assert!(!explicit.wants_load());
    assert_eq!(Style::default(), Style::Gate);
}
