//! The gate against servers on loopback that answer well, badly, partly, late or not at all.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::exchange::Patience;
use super::prometheus::{Credentials, Prometheus};
use super::wavefront::Wavefront;
use super::{Kind, MetricSource, Spec, connect};
use crate::gate::plan::{Check, JobTokens, Plan, SourceChoice, Style, WindowChoice};
use crate::gate::series::Window;
use crate::gate::{CheckFile, Event, Overrides, Sources, Summary, Written, run};
use crate::job::standin::{Act, Standin};
use crate::secret::Secret;
use crate::unit::Span;
use crate::verdict::Verdict;

mod real;

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

fn plan(kind: Kind, limit: &str) -> Plan {
    let written = CheckFile {
        name: "cpu".to_owned(),
        source: "s".to_owned(),
        query: "up".to_owned(),
        limit: limit.to_owned(),
        warn: None,
        unit: None,
        across: None,
        step: None,
        quality: None,
        on_inconclusive: None,
    };
    let written = Written { checks: vec![written], gate: None };
    let none = std::collections::BTreeMap::new();
    let plan = Plan::build(written, Overrides::default(), &none).unwrap();
    let check = Check { source: SourceChoice::Kind(kind), ..plan.checks[0].clone() };
    Plan { checks: vec![check], ..plan }
}

fn source(kind: Kind, url: &str, patience: Patience) -> Box<dyn MetricSource> {
    let token = Some(Secret::new(TOKEN.to_owned()));
    match kind {
        Kind::Wavefront => Box::new(Wavefront::with_patience(url, token, None, patience).unwrap()),
        Kind::Prometheus => {
            let credentials = Credentials { token, ..Credentials::default() };
            Box::new(Prometheus::with_patience(url, credentials, None, patience).unwrap())
        }
    }
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

/// Pairs of time and value every 10 s, from 5 s into the window on.
fn pairs(values: &[&str], unit_per_second: i64, offset: i64) -> String {
    let pair = |(n, value): (i64, &&str)| {
        let at = (WINDOW.start_ms / 1000 + 5 + n * 10 + offset) * unit_per_second;
        format!("[{at},{value}]")
    };
    format!("[{}]", (0..).zip(values).map(pair).collect::<Vec<_>>().join(","))
}

fn wavefront(data: &str) -> String {
    format!(r#"{{"query":"q","timeseries":[{{"label":"m","host":"a","data":{data}}}]}}"#)
}

fn prometheus(values: &str) -> String {
    matrix(&format!(r#"{{"metric":{{"pod":"a"}},"values":{values}}}"#))
}

fn matrix(series: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#)
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

struct Case {
    kind: Kind,
    act: Act,
    patience: Patience,
    verdict: Verdict,
    /// A part of the reason.
    why: &'static str,
}

fn case(kind: Kind, act: Act, verdict: Verdict, why: &'static str) -> Case {
    Case { kind, act, patience: PATIENT, verdict, why }
}

/// A body, what it leads to, and a part of the reason.
type Content = (String, Verdict, &'static str);

#[expect(clippy::too_many_lines, reason = "a table")]
fn of_wavefront() -> Vec<Content> {
    use Verdict::{Error, Inconclusive};
    let seconds = |values: &[&str]| wavefront(&pairs(values, 1, 0));
    let at = |offset| wavefront(&pairs(&GOOD, 1, offset));
    let two = |a: &str, b: &str| {
        format!(r#"{{"query":"q","timeseries":[{{"host":"a","data":{a}}},{b}]}}"#)
    };
    let good = pairs(&GOOD, 1, 0);
    vec![
        (
            r#"{"query":"q","warnings":"No metrics matching"}"#.to_owned(),
            Inconclusive,
            "(No metrics matching)",
        ),
        (r#"{"query":"q"}"#.to_owned(), Inconclusive, "no series"),
        (r#"{"query":"q","timeseries":null}"#.to_owned(), Inconclusive, "no series"),
        (r#"{"query":"q","timeseries":[]}"#.to_owned(), Inconclusive, "no series"),
        (wavefront("[]"), Inconclusive, "the series is empty"),
        (wavefront("null"), Inconclusive, "the series is empty"),
        (r#"{"timeseries":[{"label":"m"}]}"#.to_owned(), Inconclusive, "the series is empty"),
        (seconds(&["null"; 6]), Inconclusive, "all 6 are null or NaN"),
        (seconds(&["1", "1", "null", "null", "null", "null"]), Inconclusive, "too old"),
        (seconds(&["null", "null", "null", "null", "1", "1"]), Inconclusive, "too few"),
        (seconds(&["1"]), Inconclusive, "too old"),
        (wavefront("[[1700000055,0]]"), Inconclusive, "too few: 1 sample"),
        (wavefront("[[1700000050,0],[1700000055,0]]"), Inconclusive, "too few: 2 samples"),
        (seconds(&["1", "null", "null", "null", "1", "1"]), Inconclusive, "too patchy"),
        (at(-2_592_000), Inconclusive, "too old: the newest sample is 29 days before"),
        (at(-3600), Inconclusive, "too old: the newest sample is 59m5s before the window"),
        (at(7200), Inconclusive, "no samples within the window"),
        (wavefront(&pairs(&GOOD, 1000, 0)), Inconclusive, "times are in another unit"),
        (two(&good, r#"{"host":"b"}"#), Inconclusive, r#"in the series {host="b"}"#),
        (two(&good, &format!(r#"{{"host":"a","data":{good}}}"#)), Inconclusive, "twice"),
        (
            format!(r#"{{"warnings":"partial data","timeseries":[{{"data":{good}}}]}}"#),
            Inconclusive,
            "incomplete: partial data",
        ),
        (
            r#"{"errorType":"QueryExecutionFailed","errorMessage":"timed out"}"#.to_owned(),
            Error,
            "QueryExecutionFailed: timed out",
        ),
        (
            format!(r#"{{"errorType":"X","timeseries":[{{"data":{good}}}]}}"#),
            Error,
            "could not answer the query: X",
        ),
        (
            r#"{"status":{"result":"ERROR","message":"no such customer","code":401}}"#.to_owned(),
            Error,
            "no such customer",
        ),
        (String::new(), Error, "EOF"),
        ("<html>please log in</html>".to_owned(), Error, "not what its API promises"),
        (at(0)[..60].to_owned(), Error, "EOF"),
        ("[]".to_owned(), Error, "not what its API promises"),
        ("null".to_owned(), Error, "not what its API promises"),
        ("{}".to_owned(), Error, "neither `timeseries` nor `query`"),
        (seconds(&["\"0.5\""; 6]), Error, "invalid type: string"),
        (seconds(&["NaN"; 6]), Error, "not what its API promises"),
        (seconds(&["1e999"; 6]), Error, "out of range"),
        (seconds(&["true"; 6]), Error, "invalid type: boolean"),
        (wavefront("[[1700000005]]"), Error, "not a pair"),
        (wavefront("[[null,0]]"), Error, "no time"),
        (wavefront("[[1e300,0]]"), Error, "no time"),
        (wavefront("{}"), Error, "invalid type"),
        (r#"{"timeseries":{"data":[]}}"#.to_owned(), Error, "invalid type"),
    ]
}

fn of_prometheus() -> Vec<Content> {
    use Verdict::{Error, Inconclusive};
    let quoted = |values: &[&str]| prometheus(&pairs(values, 1, 0));
    let samples = pairs(&QUOTED, 1, 0);
    let with = |more: &str| {
        let good = format!(r#"{{"metric":{{}},"values":{samples}}}"#);
        matrix(&good).replacen('{', &format!("{{{more},"), 1)
    };
    let of_type = |kind: &str, result: &str| {
        format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#)
    };
    vec![
        (matrix(""), Inconclusive, "no series"),
        (quoted(&[]), Inconclusive, "the series is empty"),
        (quoted(&["\"NaN\""; 6]), Inconclusive, "all 6 are null or NaN"),
        (quoted(&["\"+Inf\""; 6]), Inconclusive, "not finite (inf)"),
        (quoted(&["\"-Inf\""; 6]), Inconclusive, "not finite (-inf)"),
        (quoted(&["\"1\"", "\"1\"", "\"NaN\"", "\"NaN\""]), Inconclusive, "too old"),
        (prometheus(&pairs(&QUOTED, 1, -600)), Inconclusive, "too old"),
        (prometheus(&pairs(&QUOTED, 1000, 0)), Inconclusive, "another unit"),
        (with(r#""warnings":["store 2 timed out"]"#), Inconclusive, "store 2 timed out"),
        (with(r#""isPartial":true"#), Inconclusive, "isPartial"),
        (
            r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#.to_owned(),
            Error,
            "timeout: query timed out",
        ),
        (r#"{"status":"error"}"#.to_owned(), Error, "an error without a reason"),
        (with(r#""error":"half of it failed""#), Error, "half of it failed"),
        (r#"{"status":"success"}"#.to_owned(), Error, "no `data`"),
        (r#"{"status":"success","data":null}"#.to_owned(), Error, "no `data`"),
        (r#"{"status":"success","data":{}}"#.to_owned(), Error, "no `resultType`"),
        (of_type("matrix", "null"), Error, "no `result`"),
        (of_type("vector", "[]"), Error, "a `vector` where a matrix"),
        (of_type("scalar", r#"[1,"0"]"#), Error, "not what its API promises"),
        (of_type("string", r#"[1,"ok"]"#), Error, "not what its API promises"),
        (matrix(r#"{"metric":{}}"#), Error, "without `values`"),
        (matrix(r#"{"metric":{},"values":[],"histograms":[[1,{}]]}"#), Error, "histogram_quantile"),
        (quoted(&["\"abc\""; 6]), Error, "no number"),
        (quoted(&GOOD), Error, "invalid type"),
        (quoted(&["null"; 6]), Error, "invalid type: null"),
        ("{}".to_owned(), Error, "`status` is not `success`"),
        ("<html></html>".to_owned(), Error, "not what its API promises"),
        (String::new(), Error, "EOF"),
    ]
}

/// Answers of code 200 whose content is degenerate.
fn contents() -> Vec<Case> {
    let cases = |kind, all: Vec<Content>| {
        all.into_iter()
            .map(move |(body, verdict, why)| case(kind, Act::json("200 OK", &body), verdict, why))
    };
    cases(Kind::Wavefront, of_wavefront()).chain(cases(Kind::Prometheus, of_prometheus())).collect()
}

/// Answers of other codes, and connections that are no answer. The body is a good one.
fn transports() -> Vec<Case> {
    let good = wavefront(&pairs(&GOOD, 1, 0));
    let mut cases = Vec::new();
    for kind in [Kind::Wavefront, Kind::Prometheus] {
        let body = match kind {
            Kind::Wavefront => good.clone(),
            Kind::Prometheus => prometheus(&pairs(&QUOTED, 1, 0)),
        };
        let error = |act, why| case(kind, act, Verdict::Error, why);
        for (status, why) in [
            ("400 Bad Request", "400 Bad Request"),
            ("401 Unauthorized", "the token is missing, wrong or expired"),
            ("403 Forbidden", "the token may not ask this"),
            ("404 Not Found", "is the URL in the policy right?"),
            ("422 Unprocessable Entity", "422 Unprocessable Entity"),
            ("429 Too Many Requests", "429 Too Many Requests"),
            ("500 Internal Server Error", "500 Internal Server Error"),
            ("502 Bad Gateway", "502 Bad Gateway"),
            ("503 Service Unavailable", "503 Service Unavailable"),
        ] {
            cases.push(error(Act::json(status, &body), why));
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n";
        let hasty = |act, why| Case { patience: HASTY, ..error(act, why) };
        cases.extend([
            error(
                Act::answer("302 Found", "Location: http://127.0.0.1:9/login", &body),
                "redirects are not followed",
            ),
            error(Act::answer("204 No Content", "X: y", ""), "EOF"),
            error(Act::Send(Vec::new()), "cannot reach"),
            error(Act::Send(b"HTTP/1.1 200".to_vec()), "cannot reach"),
            error(Act::Send(format!("{head}{body}").into_bytes()), "cannot reach"),
            error(Act::Send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()), "cannot reach"),
            hasty(Act::Hang(Vec::new()), "cannot reach"),
            hasty(Act::Hang(format!("{head}{body}").into_bytes()), "cannot reach"),
            hasty(Act::Drip(format!("{head}{body}").into_bytes()), "cannot reach"),
        ]);
    }
    cases
}

#[tokio::test]
async fn no_degenerate_answer_passes_and_each_one_says_why() {
    let cases: Vec<Case> = contents().into_iter().chain(transports()).collect();
    assert!(cases.len() >= 100, "{}", cases.len());
    for (n, case) in cases.into_iter().enumerate() {
        // Limits that every value would hold, in both directions.
        for limit in ["mean < 1e300", "mean > -1e300"] {
            let shown = format!("case {n}, {}, {}", case.kind, case.why);
            let ran = gate(case.kind, limit, case.patience, vec![case.act.clone()]).await;
            let check = &ran.summary.checks[0];
            assert_eq!(ran.summary.verdict, case.verdict, "{shown}: {}", check.reason);
            assert_eq!(check.value, None, "{shown}");
            assert!(check.reason.contains(case.why), "{shown}: {}", check.reason);
            assert!(ran.summary.reasons[0].contains(case.why), "{shown}");
            assert!(!format!("{:?} {:?}", ran.events, ran.summary).contains(TOKEN), "{shown}");
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
        let spec = Spec::Wavefront {
            url: "https://example.com".to_owned(),
            token: policy.map(|token| Secret::new(token.to_owned())),
            ca_file: None,
        };
        let Spec::Wavefront { token, .. } = spec.or_token(own.source.as_ref()) else {
            panic!("another kind");
        };
        assert_eq!(token.unwrap().reveal(), used);
    }
}

#[test]
fn a_source_that_cannot_be_used_is_told_without_its_password() {
    for url in ["nonsense", "ftp://a", "http://user:secretword@a", "http://a?token=secretword"] {
        let spec = Spec::Wavefront { url: url.to_owned(), token: None, ca_file: None };
        let Err(error) = connect(&spec) else { panic!("{url} is taken") };
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
