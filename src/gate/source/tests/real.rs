//! The gate against a real Prometheus that scrapes itself.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::gate::series::{Query, Window};
use crate::gate::source::{Auth, Kind, Spec, connect, probe};
use crate::gate::{CheckFile, Overrides, Plan, Sources, Summary, Written, run};
use crate::unit::Span;
use crate::verdict::Verdict;

struct Server {
    url: String,
    /// Killed when dropped.
    _child: Child,
    _folder: tempfile::TempDir,
    _reader: JoinSet<()>,
}

/// Starts Prometheus and returns when it says that it is ready; `None` when it is not installed.
async fn start() -> Option<Server> {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\n\
         scrape_configs:\n  - job_name: self\n    static_configs: [ {{ targets: ['127.0.0.1:{port}'] }} ]\n"
    );
    let file = folder.path().join("prometheus.yml");
    std::fs::write(&file, config).unwrap();
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            println!("skipped: prometheus cannot be started ({error}); install `prometheus`");
            return None;
        }
    };
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut log = String::new();
    loop {
        let line = lines.next_line().await.unwrap();
        let line = line.unwrap_or_else(|| panic!("prometheus ended:\n{log}"));
        if line.contains("ready to receive web requests") {
            break;
        }
        log.push_str(&line);
        log.push('\n');
    }
    // Someone has to read on: a server whose log goes nowhere blocks or dies.
    let mut reader = JoinSet::new();
    reader.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let url = format!("http://127.0.0.1:{port}");
    Some(Server { url, _child: child, _folder: folder, _reader: reader })
}

fn check(name: &str, query: &str, limit: &str) -> CheckFile {
    CheckFile {
        name: name.to_owned(),
        source: "prometheus".to_owned(),
        query: query.to_owned(),
        limit: limit.to_owned(),
        step: Some(Span::seconds(1)),
        ..CheckFile::default()
    }
}

async fn judge(spec: &Spec, window: Window) -> Summary {
    let checks = vec![
        check("selector", r#"up{job="self"}"#, "min >= 1"),
        check("expression", r#"sum(up{job="self"})"#, "mean <= 1"),
        check("too high", "sum(up)", "mean < 1"),
        check("unknown", "nothing_of_this_name", "mean < 1"),
        check("not a number", "vector(0) / 0", "mean < 1"),
        check("infinite", "vector(1) / 0", "mean > 1"),
        check("wrong", "sum(", "mean < 1"),
    ];
    let written = Written { checks, gate: None };
    let vars: BTreeMap<String, String> = BTreeMap::new();
    let overrides = Overrides { settle: Some(Span::seconds(5)), ..Overrides::default() };
    let plan = Plan::build(written, overrides, &vars).unwrap();
    let sources = Sources::from([("prometheus".to_owned(), connect(spec).unwrap())]);
    run(&plan, window, &sources, &mut |_| {}, &CancellationToken::new()).await
}

/// Asks until the server has scraped itself once; returns when that was.
async fn first_sample(spec: &Spec) -> i64 {
    let source = connect(spec).unwrap();
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    for _ in 0..300 {
        ticks.tick().await;
        let end_ms = jiff::Timestamp::now().as_millisecond();
        let window = Window { start_ms: end_ms - 60_000, end_ms };
        let query = Query { text: "up".to_owned(), window, step: Duration::from_secs(1) };
        let answer = source.query(&query).await.unwrap();
        if let Some(point) = answer.series.iter().flat_map(|series| &series.points).next() {
            return point.at_ms;
        }
    }
    panic!("prometheus scrapes nothing");
}

#[tokio::test]
async fn a_real_prometheus_is_understood() {
    let Some(server) = start().await else { return };
    let spec = Spec { auth: Auth::None, ..super::spec(Kind::Prometheus, &server.url) };
    assert_eq!(probe(&spec).await.unwrap(), "200 OK");
    // The window begins with the first scrape and ends in the future: settling waits for it.
    let start_ms = first_sample(&spec).await;
    let summary = judge(&spec, Window { start_ms, end_ms: start_ms + 5000 }).await;
    for (name, verdict, part) in [
        ("selector", Verdict::Passed, "min 1 holds"),
        ("expression", Verdict::Passed, "mean 1 holds"),
        ("too high", Verdict::Failed, "mean 1 breaks"),
        ("unknown", Verdict::Inconclusive, "no series"),
        ("not a number", Verdict::Inconclusive, "null or NaN"),
        ("infinite", Verdict::Inconclusive, "not finite (inf)"),
        ("wrong", Verdict::Error, "parse error"),
    ] {
        let check = summary.checks.iter().find(|check| check.name == name).unwrap();
        assert_eq!(check.verdict, verdict, "{name}: {}", check.reason);
        assert!(check.reason.contains(part), "{name}: {}", check.reason);
    }
    assert_eq!(summary.verdict, Verdict::Failed);
    let selector = &summary.checks[0];
    assert!(selector.points >= 4, "raw samples of five seconds: {}", selector.points);
}
