//! The fail-open table: hostile and degenerate answers over every kind of source. None may pass, and
//! each has to say why.

use std::fmt::Write;

use super::{HASTY, PATIENT, TOKEN, WINDOW, gate, words};
use crate::gate::source::Kind;
use crate::gate::source::exchange::Patience;
use crate::job::standin::Act;
use crate::verdict::Verdict;

/// A sample as an answer holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell {
    Number(f64),
    Null,
    /// A text that is no number.
    Word,
    Bool,
}

/// Samples of one series: milliseconds since 1970, and what stands there.
pub type Cells = Vec<(i64, Cell)>;

/// A sample of 1 every 10 s over the whole window.
pub fn good() -> Vec<Cells> {
    vec![every_ten(0, &[Cell::Number(1.0); 6])]
}

fn every_ten(offset_ms: i64, cells: &[Cell]) -> Cells {
    (0..).zip(cells).map(|(n, cell)| (WINDOW.start_ms + offset_ms + n * 10_000, *cell)).collect()
}

fn number(cell: Cell) -> String {
    match cell {
        Cell::Number(value) => format!("{value}"),
        Cell::Null => "null".to_owned(),
        Cell::Word => "\"abc\"".to_owned(),
        Cell::Bool => "true".to_owned(),
    }
}

fn list(all: impl IntoIterator<Item = String>) -> String {
    all.into_iter().collect::<Vec<_>>().join(",")
}

/// Writes series in the words of a kind of source.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn body(kind: Kind, all: &[Cells]) -> String {
    let named = || (0..).zip(all);
    let of = |cells: &Cells, write: &dyn Fn(i64, Cell) -> String| {
        list(cells.iter().map(|(at, cell)| write(*at, *cell)))
    };
    match kind {
        Kind::Wavefront => {
            let series = list(named().map(|(n, cells): (u32, _)| {
                let data = of(cells, &|at, cell| format!("[{},{}]", at / 1000, number(cell)));
                format!(r#"{{"label":"m","host":"{n}","data":[{data}]}}"#)
            }));
            format!(r#"{{"query":"q","timeseries":[{series}]}}"#)
        }
        Kind::Prometheus => {
            let series = list(named().map(|(n, cells): (u32, _)| {
                let values = of(cells, &|at, cell| {
                    let text = match cell {
                        Cell::Null => "\"NaN\"".to_owned(),
                        Cell::Number(value) => format!("\"{value}\""),
                        Cell::Word | Cell::Bool => number(cell),
                    };
                    format!("[{},{text}]", at / 1000)
                });
                format!(r#"{{"metric":{{"n":"{n}"}},"values":[{values}]}}"#)
            }));
            super::matrix(&series)
        }
        Kind::Influx1 => {
            let series = list(named().map(|(n, cells): (u32, _)| {
                let rows = of(cells, &|at, cell| format!("[{at},{}]", number(cell)));
                format!(
                    r#"{{"name":"cpu","tags":{{"n":"{n}"}},"columns":["time","mean"],"values":[{rows}]}}"#
                )
            }));
            format!(r#"{{"results":[{{"statement_id":0,"series":[{series}]}}]}}"#)
        }
        Kind::Influx2 => influx2(all),
        Kind::Graphite => {
            let series = list(named().map(|(n, cells): (u32, _)| {
                let points = of(cells, &|at, cell| format!("[{},{}]", number(cell), at / 1000));
                format!(r#"{{"target":"{n}","datapoints":[{points}]}}"#)
            }));
            format!("[{series}]")
        }
        Kind::Datadog => {
            let series = list(named().map(|(n, cells): (u32, _)| {
                let points = of(cells, &|at, cell| format!("[{at},{}]", number(cell)));
                format!(r#"{{"metric":"m","scope":"n:{n}","interval":10,"pointlist":[{points}]}}"#)
            }));
            format!(r#"{{"status":"ok","series":[{series}]}}"#)
        }
        Kind::CloudWatch => {
            let series = list(named().map(|(n, cells): (u32, _)| {
                let times = of(cells, &|at, _| (at / 1000).to_string());
                let values = of(cells, &|_, cell| number(cell));
                format!(
                    r#"{{"Id":"q{n}","Label":"m","StatusCode":"Complete","Timestamps":[{times}],"Values":[{values}]}}"#
                )
            }));
            format!(r#"{{"MetricDataResults":[{series}]}}"#)
        }
        Kind::NewRelic => {
            let buckets = list(named().flat_map(|(n, cells): (u32, &Cells)| {
                cells.iter().map(move |(at, cell)| {
                    let begin = at / 1000;
                    let end = begin + 10;
                    format!(
                        r#"{{"beginTimeSeconds":{begin},"endTimeSeconds":{end},"facet":"{n}","average.v":{}}}"#,
                        number(*cell)
                    )
                })
            }));
            format!(r#"{{"data":{{"actor":{{"account":{{"nrql":{{"results":[{buckets}]}}}}}}}}}}"#)
        }
        Kind::Dynatrace => {
            let data = list(named().map(|(n, cells): (u32, _)| {
                let times = of(cells, &|at, _| (at + 10_000).to_string());
                let values = of(cells, &|_, cell| number(cell));
                format!(
                    r#"{{"dimensions":["{n}"],"dimensionMap":{{"n":"{n}"}},"timestamps":[{times}],"values":[{values}]}}"#
                )
            }));
            format!(r#"{{"totalCount":1,"result":[{{"metricId":"m","data":[{data}]}}]}}"#)
        }
        Kind::Json => {
            let series = list(named().map(|(n, cells): (u32, _)| {
                let points = of(cells, &|at, cell| format!("[{},{}]", at / 1000, number(cell)));
                format!(r#"{{"tags":{{"n":"{n}"}},"points":[{points}]}}"#)
            }));
            format!(r#"{{"series":[{series}]}}"#)
        }
        Kind::OpenMetrics | Kind::Pods | Kind::Load => panic!("{kind} is not asked"),
    }
}

fn influx2(all: &[Cells]) -> String {
    let mut text = "#datatype,string,long,dateTime:RFC3339,double,string\r\n\
                    #group,false,false,false,false,true\r\n#default,_result,,,,\r\n\
                    ,result,table,_time,n,_value\r\n"
        .to_owned();
    for (n, cells) in all.iter().enumerate() {
        for (at, cell) in cells {
            let time = jiff::Timestamp::from_millisecond(*at).unwrap();
            let value = match cell {
                Cell::Null => String::new(),
                Cell::Number(value) => format!("{value}"),
                Cell::Word => "abc".to_owned(),
                Cell::Bool => "true".to_owned(),
            };
            write!(text, ",,{n},{time},{n},{value}\r\n").unwrap();
        }
    }
    text
}

struct Case {
    name: String,
    kind: Kind,
    act: Act,
    patience: Patience,
    verdict: Verdict,
    why: &'static str,
}

/// What samples can be like in any source's answer, and what is said of it.
#[expect(clippy::too_many_lines, reason = "a table")]
fn degenerate(kind: Kind) -> Vec<(&'static str, String, Verdict, &'static str)> {
    use Cell::{Bool, Null, Number, Word};
    use Verdict::{Error, Inconclusive};
    let one = Number(1.0);
    let of = |cells: Cells| body(kind, &[cells]);
    let late = |offset_ms| of(every_ten(offset_ms, &[one; 6]));
    let scaled = |by: fn(i64) -> i64| {
        of(every_ten(0, &[one; 6]).into_iter().map(|(at, cell)| (by(at), cell)).collect())
    };
    let hour = 3_600_000;
    let day = 24 * hour;
    // How long its bucket is cannot be told from one.
    let is_blind = matches!(kind, Kind::CloudWatch | Kind::Dynatrace);
    let lone = if is_blind { "" } else { "too few" };
    let mut all = vec![
        ("no series at all", body(kind, &[]), Inconclusive, "no series"),
        ("every value null", of(every_ten(0, &[Null; 6])), Inconclusive, "null or NaN"),
        (
            "the first two values only",
            of(every_ten(0, &[one, one, Null, Null, Null, Null])),
            Inconclusive,
            "too old",
        ),
        ("one sample at the end", of(every_ten(50_000, &[one])), Inconclusive, lone),
        ("two samples at the end", of(every_ten(40_000, &[one, one])), Inconclusive, "too few"),
        (
            "a hole of half the window",
            of(every_ten(0, &[one, Null, Null, Null, one, one])),
            Inconclusive,
            "too patchy",
        ),
        ("a month old", late(-30 * day), Inconclusive, "too old"),
        ("an hour old: a time zone", late(-hour), Inconclusive, "too old"),
        (
            "ten hours ahead: a time zone",
            late(10 * hour),
            Inconclusive,
            "no samples within the window",
        ),
        (
            "five minutes ahead: a clock",
            late(300_000),
            Inconclusive,
            "no samples within the window",
        ),
        ("five minutes behind: a clock", late(-300_000), Inconclusive, "too old"),
        (
            "one good series, one without values",
            body(kind, &[every_ten(0, &[one; 6]), every_ten(0, &[Null; 6])]),
            Inconclusive,
            "null or NaN",
        ),
        (
            "one good series, one that ended",
            body(kind, &[every_ten(0, &[one; 6]), every_ten(0, &[one; 2])]),
            Inconclusive,
            "too old",
        ),
        ("a text for a value", of(every_ten(0, &[Word; 6])), Error, ""),
        ("a boolean for a value", of(every_ten(0, &[Bool; 6])), Error, ""),
        ("one text among numbers", of(every_ten(0, &[one, one, one, Word, one, one])), Error, ""),
        (
            "an answer of HTML",
            "<html><body>Please log in</body></html>".to_owned(),
            Error,
            "not what its API promises",
        ),
        (
            "an empty object",
            "{}".to_owned(),
            if kind == Kind::Json { Inconclusive } else { Error },
            "",
        ),
        ("null", "null".to_owned(), if kind == Kind::Json { Inconclusive } else { Error }, ""),
        ("a text", "\"ok\"".to_owned(), if kind == Kind::Json { Inconclusive } else { Error }, ""),
    ];
    if kind != Kind::Influx2 {
        let body = body(kind, &good());
        let cut = body[..body.len() * 2 / 3].to_owned();
        all.extend([
            ("cut off in the middle", cut, Error, "not what its API promises"),
            ("an empty answer", String::new(), Error, "not what its API promises"),
            (
                "a number beyond all floats",
                body.replacen(",1]", ",1e999]", 1)
                    .replacen("[1,", "[1e999,", 1)
                    .replacen(":1}", ":1e999}", 1),
                Error,
                "not what its API promises",
            ),
            ("times in a greater unit", scaled(|at| at * 1000), Inconclusive, "another unit"),
            ("times in a smaller unit", scaled(|at| at / 1000), Inconclusive, "too old"),
        ]);
        if kind == Kind::Prometheus {
            all.retain(|(name, ..)| *name != "a number beyond all floats");
        }
    }
    all
}

/// Answers of other codes, and connections that are no answer; the content is a good one.
fn transports(kind: Kind) -> Vec<(&'static str, Act, Patience, &'static str)> {
    let body = body(kind, &good());
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n";
    let status = |status: &'static str, why| (status, Act::json(status, &body), PATIENT, why);
    vec![
        status("400 Bad Request", "400 Bad Request"),
        status("401 Unauthorized", "the token is missing, wrong or expired"),
        status("403 Forbidden", "the token may not ask this"),
        status("404 Not Found", "is the URL in the policy right?"),
        status("422 Unprocessable Entity", "422 Unprocessable Entity"),
        status("429 Too Many Requests", "429 Too Many Requests"),
        status("500 Internal Server Error", "500 Internal Server Error"),
        status("502 Bad Gateway", "502 Bad Gateway"),
        status("503 Service Unavailable", "503 Service Unavailable"),
        (
            "a redirect to a login",
            Act::answer("302 Found", "Location: http://127.0.0.1:9/", &body),
            PATIENT,
            "redirects are not followed",
        ),
        ("no answer", Act::Send(Vec::new()), PATIENT, "cannot reach"),
        ("half a status line", Act::Send(b"HTTP/1.1 200".to_vec()), PATIENT, "cannot reach"),
        (
            "a body cut off",
            Act::Send(format!("{head}{body}").into_bytes()),
            PATIENT,
            "cannot reach",
        ),
        (
            "another protocol",
            Act::Send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()),
            PATIENT,
            "cannot reach",
        ),
        ("silence", Act::Hang(Vec::new()), HASTY, "cannot reach"),
        (
            "silence in the middle",
            Act::Hang(format!("{head}{body}").into_bytes()),
            HASTY,
            "cannot reach",
        ),
        ("a slow drip", Act::Drip(format!("{head}{body}").into_bytes()), HASTY, "cannot reach"),
    ]
}

fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for kind in Kind::ASKED {
        for (name, body, verdict, why) in degenerate(kind) {
            let act = Act::json("200 OK", &body);
            let name = format!("{kind}: {name}");
            all.push(Case { name, kind, act, patience: PATIENT, verdict, why });
        }
        for (name, act, patience, why) in transports(kind) {
            let name = format!("{kind}: {name}");
            all.push(Case { name, kind, act, patience, verdict: Verdict::Error, why });
        }
    }
    for (n, (kind, (body, verdict, why))) in words::all().into_iter().enumerate() {
        let act = Act::json("200 OK", &body);
        let name = format!("{kind}: own answer {n}: {why}");
        all.push(Case { name, kind, act, patience: PATIENT, verdict, why });
    }
    all
}

#[tokio::test]
async fn a_good_answer_of_every_kind_is_judged() {
    for kind in Kind::ASKED {
        for (limit, verdict) in [("mean <= 1", Verdict::Passed), ("mean < 1", Verdict::Failed)] {
            let body = body(kind, &good());
            let ran = gate(kind, limit, PATIENT, vec![Act::json("200 OK", &body)]).await;
            assert_eq!(ran.summary.verdict, verdict, "{kind}: {:?}", ran.summary.reasons);
            assert_eq!(ran.summary.checks[0].value, Some(1.0), "{kind}");
            assert!(!format!("{:?} {:?}", ran.events, ran.summary).contains(TOKEN), "{kind}");
        }
    }
}

#[tokio::test]
async fn no_degenerate_answer_passes_and_each_one_says_why() {
    let cases = cases();
    assert!(cases.len() >= 400, "{}", cases.len());
    let mut names = std::collections::BTreeSet::new();
    let mut wrong = Vec::new();
    for case in cases {
        assert!(names.insert(case.name.clone()), "{} stands twice", case.name);
        // Limits that every value would hold, in both directions.
        for limit in ["mean < 1e300", "mean > -1e300"] {
            let ran = gate(case.kind, limit, case.patience, vec![case.act.clone()]).await;
            let check = &ran.summary.checks[0];
            let is_as_expected = ran.summary.verdict == case.verdict
                && check.value.is_none()
                && check.reason.contains(case.why)
                && !check.reason.is_empty()
                && ran.summary.reasons[0].contains(case.why)
                && !format!("{:?} {:?}", ran.events, ran.summary).contains(TOKEN);
            if !is_as_expected {
                wrong.push(format!(
                    "{}: {} ({:?}), expected {} with `{}`",
                    case.name, check.reason, ran.summary.verdict, case.verdict, case.why
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
