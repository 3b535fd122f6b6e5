//! The gate against real stores that the test fills: `InfluxDB` 1, Graphite, `VictoriaMetrics`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::gate::series::Window;
use crate::gate::source::{Auth, Kind, Spec, connect, probe};
use crate::gate::{CheckFile, Overrides, Plan, Sources, Summary, Written, run};
use crate::unit::Span;
use crate::verdict::Verdict;

/// A store's programs, killed when dropped.
struct Store {
    url: String,
    folder: tempfile::TempDir,
    _children: Vec<Child>,
}

fn port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts a program; `None`, with its reason, when it is not installed.
fn spawn(program: &str, args: &[String], package: &str) -> Option<Child> {
    let child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    match child {
        Ok(child) => Some(child),
        Err(error) => {
            println!("skipped: {program} cannot be started ({error}); install `{package}`");
            None
        }
    }
}

/// Waits until something listens there.
async fn listens(port: u16) {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..600 {
        ticks.tick().await;
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return;
        }
    }
    panic!("nothing listens at port {port}");
}

/// Lines of a text, made of samples.
fn lines(samples: &[(i64, f64)], line: impl Fn(i64, f64) -> String) -> String {
    let lines: Vec<String> = samples.iter().map(|(at_ms, value)| line(*at_ms, *value)).collect();
    lines.join("\n") + "\n"
}

async fn post(url: &str, query: &[(&str, &str)], body: String) {
    let client = crate::job::http::client(url, None).unwrap();
    let reply = client.post(url).query(query).body(body).send().await.unwrap();
    let status = reply.status();
    assert!(status.is_success(), "{url}: {status} {}", reply.text().await.unwrap());
}

/// A minute that ended two minutes ago, on whole tens of seconds.
fn window() -> Window {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let end_ms = now_ms / 10_000 * 10_000 - 120_000;
    Window { start_ms: end_ms - 60_000, end_ms }
}

/// The moments of the samples that are written: every 10 s, around the window too, where another
/// value stands.
fn samples(window: Window) -> Vec<(i64, f64)> {
    (-6..12)
        .map(|n: i32| {
            let at_ms = window.start_ms + i64::from(n) * 10_000;
            let is_inside = (0..6).contains(&n);
            (at_ms, if is_inside { f64::from(n) + 1.0 } else { 1000.0 })
        })
        .collect()
}

async fn judge(spec: &Spec, window: Window, checks: &[(&str, &str, &str)]) -> Summary {
    let checks = checks.iter().map(|(name, query, limit)| CheckFile {
        name: (*name).to_owned(),
        source: "store".to_owned(),
        query: (*query).to_owned(),
        limit: (*limit).to_owned(),
        step: Some(Span::seconds(10)),
        ..CheckFile::default()
    });
    let written = Written { checks: checks.collect(), gate: None };
    let vars: BTreeMap<String, String> = BTreeMap::new();
    let overrides = Overrides { settle: Some(Span::seconds(1)), ..Overrides::default() };
    let plan = Plan::build(written, overrides, &vars).unwrap();
    let sources = Sources::from([("store".to_owned(), connect(spec).unwrap())]);
    run(&plan, window, &sources, &mut |_| {}, &CancellationToken::new()).await
}

#[track_caller]
fn expect(summary: &Summary, expected: &[(&str, Verdict, &str)]) {
    for (name, verdict, part) in expected {
        let check = summary.checks.iter().find(|check| check.name == *name).unwrap();
        assert_eq!(check.verdict, *verdict, "{name}: {}", check.reason);
        assert!(check.reason.contains(part), "{name}: {}", check.reason);
    }
}

async fn influx() -> Option<Store> {
    let folder = tempfile::tempdir().unwrap();
    let (http, rpc) = (port(), port());
    let root = folder.path().display();
    let config = format!(
        "reporting-disabled = true\nbind-address = \"127.0.0.1:{rpc}\"\n\
         [meta]\ndir = \"{root}/meta\"\n[data]\ndir = \"{root}/data\"\nwal-dir = \"{root}/wal\"\n\
         [http]\nbind-address = \"127.0.0.1:{http}\"\nlog-enabled = false\n[monitor]\nstore-enabled = false\n"
    );
    let file = folder.path().join("influxdb.conf");
    std::fs::write(&file, config).unwrap();
    let args = ["-config".to_owned(), file.display().to_string()];
    let child = spawn("influxd", &args, "influxdb")?;
    listens(http).await;
    Some(Store { url: format!("http://127.0.0.1:{http}"), folder, _children: vec![child] })
}

#[tokio::test]
async fn a_real_influxdb_is_understood() {
    let Some(store) = influx().await else { return };
    let window = window();
    post(&format!("{}/query", store.url), &[("q", "CREATE DATABASE db")], String::new()).await;
    let lines =
        lines(&samples(window), |at_ms, value| format!("cpu,pod=a v={value},t=\"x\" {at_ms}"));
    post(&format!("{}/write", store.url), &[("db", "db"), ("precision", "ms")], lines).await;
    let spec = Spec { auth: Auth::None, ..super::spec(Kind::Influx1, &store.url) };
    assert_eq!(probe(&spec).await.unwrap(), "200 OK");
    let summary = judge(
        &spec,
        window,
        &[
            ("raw", "SELECT v FROM cpu WHERE {{ window }} GROUP BY pod", "mean <= 3.5"),
            ("raw without the end", "SELECT v FROM cpu WHERE time >= {{ start }} AND time < {{ end }}", "max <= 6"),
            ("buckets", "SELECT mean(v) FROM cpu WHERE time >= {{ start }} AND time < {{ end }} GROUP BY time({{ step }}), pod", "max > 6"),
            ("sparse buckets", "SELECT mean(v) FROM cpu WHERE {{ window }} GROUP BY time(1s)", "max < 2000"),
            ("unknown", "SELECT v FROM nothing WHERE {{ window }}", "max < 1"),
            ("text", "SELECT t FROM cpu WHERE {{ window }}", "max < 1"),
            ("wrong", "SELECT FROM WHERE {{ window }}", "max < 1"),
        ],
    )
    .await;
    expect(
        &summary,
        &[
            ("raw", Verdict::Failed, "breaks `mean <= 3.5`"),
            ("raw without the end", Verdict::Passed, "max 6 holds"),
            ("buckets", Verdict::Failed, "max 6 breaks"),
            ("unknown", Verdict::Inconclusive, "no series"),
            ("text", Verdict::Error, "is no number"),
            ("wrong", Verdict::Error, "error parsing query"),
        ],
    );
    let missing = Spec {
        dialect: crate::gate::source::Dialect::Influx1 { database: "x".to_owned() },
        ..spec
    };
    let summary =
        judge(&missing, window, &[("db", "SELECT v FROM cpu WHERE {{ window }}", "max < 1")]).await;
    expect(&summary, &[("db", Verdict::Error, "database not found")]);
}

async fn victoria() -> Option<Store> {
    let folder = tempfile::tempdir().unwrap();
    let port = port();
    let args = [
        format!("-httpListenAddr=127.0.0.1:{port}"),
        format!("-storageDataPath={}", folder.path().join("data").display()),
        "-retentionPeriod=1".to_owned(),
    ];
    let child = spawn("victoria-metrics", &args, "victoria-metrics")?;
    listens(port).await;
    Some(Store { url: format!("http://127.0.0.1:{port}"), folder, _children: vec![child] })
}

#[tokio::test]
async fn a_real_victoriametrics_is_understood() {
    let Some(store) = victoria().await else { return };
    let window = window();
    let lines = lines(&samples(window), |at_ms, value| format!("cpu{{pod=\"a\"}} {value} {at_ms}"));
    post(&format!("{}/api/v1/import/prometheus", store.url), &[], lines).await;
    let flush = format!("{}/internal/force_flush", store.url);
    post(&flush, &[], String::new()).await;
    let spec = Spec { auth: Auth::None, ..super::spec(Kind::Prometheus, &store.url) };
    assert_eq!(probe(&spec).await.unwrap(), "200 OK");
    let summary = judge(
        &spec,
        Window { end_ms: window.end_ms - 1, ..window },
        &[
            ("selector", "cpu{pod=\"a\"}", "max <= 6"),
            ("expression", "sum(cpu)", "max < 6"),
            ("unknown", "nothing_of_this_name", "max < 1"),
            ("nothing by nothing", "vector(0) / 0", "max < 1"),
            ("wrong", "sum(", "max < 1"),
        ],
    )
    .await;
    expect(
        &summary,
        &[
            ("selector", Verdict::Passed, "max 6 holds"),
            ("expression", Verdict::Failed, "breaks `max < 6`"),
            ("unknown", Verdict::Inconclusive, "no series"),
            ("nothing by nothing", Verdict::Inconclusive, "no s"),
            ("wrong", Verdict::Error, "could not answer the query"),
        ],
    );
    assert!(store.folder.path().join("data").exists());
}

const SCHEMAS: &str = "[all]\npattern = .*\nretentions = 10s:1d\n";
const SERVE: &str = "
import os, sys
os.environ['DJANGO_SETTINGS_MODULE'] = 'dyno_settings'
sys.path.insert(0, sys.argv[1])
import django
django.setup()
from django.core.wsgi import get_wsgi_application
from wsgiref.simple_server import make_server
make_server('127.0.0.1', int(sys.argv[2]), get_wsgi_application()).serve_forever()
";

/// Writes the configuration of carbon and of graphite-web.
fn configure(root: &Path, line: u16) {
    let (pickle, query) = (port(), port());
    let shown = root.display();
    for folder in ["conf", "whisper", "log"] {
        std::fs::create_dir(root.join(folder)).unwrap();
    }
    let carbon = format!(
        "[cache]\nSTORAGE_DIR = {shown}\nLOCAL_DATA_DIR = {shown}/whisper\nLOG_DIR = {shown}/log\n\
         PID_DIR = {shown}\nCONF_DIR = {shown}/conf\nUSER =\nENABLE_TAGS = False\n\
         LINE_RECEIVER_INTERFACE = 127.0.0.1\nLINE_RECEIVER_PORT = {line}\n\
         PICKLE_RECEIVER_INTERFACE = 127.0.0.1\nPICKLE_RECEIVER_PORT = {pickle}\n\
         CACHE_QUERY_INTERFACE = 127.0.0.1\nCACHE_QUERY_PORT = {query}\n\
         MAX_CREATES_PER_MINUTE = inf\nMAX_UPDATES_PER_SECOND = inf\nCARBON_METRIC_INTERVAL = 0\n"
    );
    let settings = format!(
        "from graphite.settings import *\nSECRET_KEY = 'x'\nWHISPER_DIR = '{shown}/whisper'\n\
         STANDARD_DIRS = ['{shown}/whisper']\nLOG_DIR = '{shown}/log'\nINDEX_FILE = '{shown}/index'\n\
         CARBONLINK_HOSTS = []\nALLOWED_HOSTS = ['*']\n\
         DATABASES = {{'default': {{'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}}}\n"
    );
    std::fs::write(root.join("conf/carbon.conf"), carbon).unwrap();
    std::fs::write(root.join("conf/storage-schemas.conf"), SCHEMAS).unwrap();
    std::fs::write(root.join("dyno_settings.py"), settings).unwrap();
    std::fs::write(root.join("serve.py"), SERVE).unwrap();
}

async fn graphite(window: Window) -> Option<Store> {
    if !Path::new("/usr/lib/python3/dist-packages/graphite").exists() {
        println!("skipped: graphite is not there; install `graphite-web`");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let (line, web) = (port(), port());
    configure(root, line);
    let config = format!("--config={}/conf/carbon.conf", root.display());
    let args = [config, "--nodaemon".to_owned(), "start".to_owned()];
    let carbon = spawn("carbon-cache", &args, "graphite-carbon")?;
    listens(line).await;
    let mut samples = samples(window);
    samples.retain(|(at_ms, _)| *at_ms < window.end_ms);
    let lines = lines(&samples, |at_ms, value| format!("dyno.cpu {value} {}", at_ms / 1000));
    let mut stream = TcpStream::connect(("127.0.0.1", line)).await.unwrap();
    stream.write_all(lines.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let file = root.join("whisper/dyno/cpu.wsp");
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..300 {
        ticks.tick().await;
        if file.exists() {
            break;
        }
    }
    // Debian's own Python has Django; another one may come first on PATH.
    let serve = [root.join("serve.py"), root.to_owned()].map(|path| path.display().to_string());
    let args: Vec<String> = serve.into_iter().chain([web.to_string()]).collect();
    let child = spawn("/usr/bin/python3", &args, "graphite-web")?;
    listens(web).await;
    let url = format!("http://127.0.0.1:{web}");
    Some(Store { url, folder, _children: vec![carbon, child] })
}

#[tokio::test]
async fn a_real_graphite_is_understood() {
    let window = window();
    let Some(store) = graphite(window).await else { return };
    let spec = Spec { auth: Auth::None, ..super::spec(Kind::Graphite, &store.url) };
    assert_eq!(probe(&spec).await.unwrap(), "200 OK");
    let summary = judge(
        &spec,
        window,
        &[
            ("series", "dyno.cpu", "max <= 6"),
            ("function", "scale(dyno.cpu, 2)", "max < 12"),
            ("unknown", "dyno.nothing", "max < 1"),
            ("wrong", "sumSeries(dyno.cpu", "max < 1"),
        ],
    )
    .await;
    expect(
        &summary,
        &[
            ("series", Verdict::Passed, "max 6 holds"),
            ("function", Verdict::Failed, "max 12 breaks"),
            ("unknown", Verdict::Inconclusive, "no series"),
            ("wrong", Verdict::Inconclusive, "no series"),
        ],
    );
}
