//! What only one kind of source says: its own shapes of errors, warnings and wrong types.

use super::{Asked, Flaw, Form, Kind, Told, body};

/// A body, what is wrong with it, what the gate makes of it, and a part of the reason.
pub type Content = (String, Flaw, Told, &'static str);

const ONES: [&str; 6] = ["1"; 6];
const QUOTED: [&str; 6] = ["\"1\""; 6];

/// Pairs of time and value every 10 s, from 5 s into the window on; the last one alone for whoever
/// asked for no more.
pub fn pairs(asked: Asked, values: &[&str], unit_per_second: i64, offset: i64) -> String {
    let pair = |(n, value): (i64, &&str)| {
        let at = (asked.start_ms / 1000 + 5 + n * 10 + offset) * unit_per_second;
        format!("[{at},{value}]")
    };
    let mut all: Vec<String> = (0..).zip(values).map(pair).collect();
    if asked.form == Form::Latest {
        all.drain(..all.len().saturating_sub(1));
    }
    format!("[{}]", all.join(","))
}

pub fn wavefront(data: &str) -> String {
    format!(r#"{{"query":"q","timeseries":[{{"label":"m","host":"a","data":{data}}}]}}"#)
}

/// A list of results as Prometheus gives it.
pub fn result(kind: &str, list: &str) -> String {
    of_type(kind, &format!("[{list}]"))
}

fn of_type(kind: &str, result: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#)
}

/// The type that was asked for, and the other one.
fn types(asked: Asked) -> (&'static str, &'static str) {
    if asked.form == Form::Series { ("matrix", "vector") } else { ("vector", "matrix") }
}

/// A series of Prometheus in what [`pairs`] wrote.
pub fn prometheus(asked: Asked, values: &str) -> String {
    let samples = samples(asked, values);
    result(types(asked).0, &format!(r#"{{"metric":{{"pod":"a"}},{samples}}}"#))
}

fn samples(asked: Asked, values: &str) -> String {
    match asked.form {
        Form::Series => format!(r#""values":{values}"#),
        Form::Latest | Form::Insights if values == "[]" => r#""value":[]"#.to_owned(),
        Form::Latest | Form::Insights => format!(r#""value":{}"#, &values[1..values.len() - 1]),
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn of_wavefront(asked: Asked) -> Vec<Content> {
    use Flaw::{Empty, Malformed, Partial, Stale, Thin};
    use Told::{Error, Inconclusive};
    let start = asked.start_ms / 1000;
    let seconds = |values: &[&str]| wavefront(&pairs(asked, values, 1, 0));
    let at = |offset| wavefront(&pairs(asked, &ONES, 1, offset));
    let two = |a: &str, b: &str| {
        format!(r#"{{"query":"q","timeseries":[{{"host":"a","data":{a}}},{b}]}}"#)
    };
    let good = pairs(asked, &ONES, 1, 0);
    vec![
        (
            r#"{"query":"q","warnings":"No metrics matching"}"#.to_owned(),
            Empty,
            Inconclusive,
            "(No metrics matching)",
        ),
        (r#"{"query":"q"}"#.to_owned(), Empty, Inconclusive, "no series"),
        (r#"{"query":"q","timeseries":null}"#.to_owned(), Empty, Inconclusive, "no series"),
        (r#"{"query":"q","timeseries":[]}"#.to_owned(), Empty, Inconclusive, "no series"),
        (wavefront("[]"), Empty, Inconclusive, "the series is empty"),
        (wavefront("null"), Empty, Inconclusive, "the series is empty"),
        (
            r#"{"timeseries":[{"label":"m"}]}"#.to_owned(),
            Empty,
            Inconclusive,
            "the series is empty",
        ),
        (seconds(&["null"; 6]), Empty, Inconclusive, "all 6 are null or NaN"),
        (seconds(&["1", "1", "null", "null", "null", "null"]), Thin, Inconclusive, "too old"),
        (seconds(&["null", "null", "null", "null", "1", "1"]), Thin, Inconclusive, "too few"),
        (seconds(&["1"]), Thin, Inconclusive, "too old"),
        (wavefront(&format!("[[{},0]]", start + 55)), Thin, Inconclusive, "too few: 1 sample"),
        (
            wavefront(&format!("[[{},0],[{},0]]", start + 50, start + 55)),
            Thin,
            Inconclusive,
            "too few: 2 samples",
        ),
        (seconds(&["1", "null", "null", "null", "1", "1"]), Thin, Inconclusive, "too patchy"),
        (at(-2_592_000), Stale, Inconclusive, "too old: the newest sample is 29 days before"),
        (at(-3600), Stale, Inconclusive, "too old: the newest sample is 59m5s before the window"),
        (at(7200), Stale, Inconclusive, "no samples within the window"),
        (
            wavefront(&pairs(asked, &ONES, 1000, 0)),
            Stale,
            Inconclusive,
            "times are in another unit",
        ),
        (two(&good, r#"{"host":"b"}"#), Empty, Inconclusive, r#"in the series {host="b"}"#),
        (two(&good, &format!(r#"{{"host":"a","data":{good}}}"#)), Malformed, Inconclusive, "twice"),
        (
            format!(r#"{{"warnings":"partial data","timeseries":[{{"data":{good}}}]}}"#),
            Partial,
            Inconclusive,
            "incomplete: partial data",
        ),
        (
            r#"{"errorType":"QueryExecutionFailed","errorMessage":"timed out"}"#.to_owned(),
            Malformed,
            Error,
            "QueryExecutionFailed: timed out",
        ),
        (
            format!(r#"{{"errorType":"X","timeseries":[{{"data":{good}}}]}}"#),
            Malformed,
            Error,
            "could not answer the query: X",
        ),
        (
            r#"{"status":{"result":"ERROR","message":"no such customer","code":401}}"#.to_owned(),
            Malformed,
            Error,
            "no such customer",
        ),
        (String::new(), Malformed, Error, "EOF"),
        ("<html>please log in</html>".to_owned(), Malformed, Error, "not what its API promises"),
        (at(0)[..60].to_owned(), Malformed, Error, "EOF"),
        ("[]".to_owned(), Malformed, Error, "not what its API promises"),
        ("null".to_owned(), Malformed, Error, "not what its API promises"),
        ("{}".to_owned(), Malformed, Error, "neither `timeseries` nor `query`"),
        (seconds(&["\"0.5\""; 6]), Malformed, Error, "invalid type: string"),
        (seconds(&["NaN"; 6]), Malformed, Error, "not what its API promises"),
        (seconds(&["1e999"; 6]), Malformed, Error, "out of range"),
        (seconds(&["true"; 6]), Malformed, Error, "invalid type: boolean"),
        (wavefront(&format!("[[{}]]", start + 5)), Malformed, Error, "not a pair"),
        (wavefront("[[null,0]]"), Malformed, Error, "no time"),
        (wavefront("[[1e300,0]]"), Malformed, Error, "no time"),
        (wavefront("{}"), Malformed, Error, "invalid type"),
        (r#"{"timeseries":{"data":[]}}"#.to_owned(), Malformed, Error, "invalid type"),
    ]
}

fn of_prometheus(asked: Asked) -> Vec<Content> {
    use Flaw::{Empty, Malformed, Partial, Stale, Thin};
    use Told::{Error, Inconclusive};
    let quoted = |values: &[&str]| prometheus(asked, &pairs(asked, values, 1, 0));
    let good = pairs(asked, &QUOTED, 1, 0);
    let with = |more: &str| {
        let good = format!(r#"{{"metric":{{}},{}}}"#, samples(asked, &good));
        result(types(asked).0, &good).replacen('{', &format!("{{{more},"), 1)
    };
    let matrix = |list: &str| result(types(asked).0, list);
    let (right, other) = types(asked);
    let histogram = if asked.form == Form::Series {
        r#"{"metric":{},"values":[],"histograms":[[1,{}]]}"#
    } else {
        r#"{"metric":{},"histogram":[1,{}]}"#
    };
    vec![
        (matrix(""), Empty, Inconclusive, "no series"),
        (quoted(&[]), Empty, Inconclusive, "the series is empty"),
        (quoted(&["\"NaN\""; 6]), Empty, Inconclusive, "all 6 are null or NaN"),
        (quoted(&["\"+Inf\""; 6]), Empty, Inconclusive, "not finite (inf)"),
        (quoted(&["\"-Inf\""; 6]), Empty, Inconclusive, "not finite (-inf)"),
        (quoted(&["\"1\"", "\"1\"", "\"NaN\"", "\"NaN\""]), Thin, Inconclusive, "too old"),
        (prometheus(asked, &pairs(asked, &QUOTED, 1, -600)), Stale, Inconclusive, "too old"),
        (prometheus(asked, &pairs(asked, &QUOTED, 1000, 0)), Stale, Inconclusive, "another unit"),
        (with(r#""warnings":["store 2 timed out"]"#), Partial, Inconclusive, "store 2 timed out"),
        (with(r#""isPartial":true"#), Partial, Inconclusive, "isPartial"),
        (
            r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#.to_owned(),
            Malformed,
            Error,
            "timeout: query timed out",
        ),
        (with(r#""errorType":"execution""#), Malformed, Error, "execution"),
        (
            matrix(&format!(r#"{{"metric":{{"__name__":"another"}},{}}}"#, samples(asked, &good))),
            Malformed,
            Error,
            "which the query does not ask for",
        ),
        (r#"{"status":"error"}"#.to_owned(), Malformed, Error, "an error without a reason"),
        (with(r#""error":"half of it failed""#), Malformed, Error, "half of it failed"),
        (r#"{"status":"success"}"#.to_owned(), Malformed, Error, "no `data`"),
        (r#"{"status":"success","data":null}"#.to_owned(), Malformed, Error, "no `data`"),
        (r#"{"status":"success","data":{}}"#.to_owned(), Malformed, Error, "no `resultType`"),
        (of_type(right, "null"), Malformed, Error, "no `result`"),
        (of_type(other, "[]"), Malformed, Error, "a `vector` where a matrix"),
        (of_type("scalar", r#"[1,"0"]"#), Malformed, Error, "not what its API promises"),
        (of_type("string", r#"[1,"ok"]"#), Malformed, Error, "not what its API promises"),
        (matrix(r#"{"metric":{}}"#), Malformed, Error, "without `values`"),
        (matrix(histogram), Malformed, Error, "histogram_quantile"),
        (quoted(&["\"abc\""; 6]), Malformed, Error, "no number"),
        (quoted(&ONES), Malformed, Error, "invalid type"),
        (quoted(&["null"; 6]), Empty, Error, "invalid type: null"),
        ("{}".to_owned(), Malformed, Error, "`status` is not `success`"),
        ("<html></html>".to_owned(), Malformed, Error, "not what its API promises"),
        (String::new(), Malformed, Error, "EOF"),
    ]
}

fn of_influx1(asked: Asked) -> Vec<Content> {
    use Flaw::{Empty, Malformed, Partial};
    use Told::{Error, Inconclusive};
    let start_ms = asked.start_ms;
    let rows = |rows: &str| {
        format!(
            r#"{{"results":[{{"series":[{{"name":"cpu","columns":["time","mean"],"values":[{rows}]}}]}}]}}"#
        )
    };
    vec![
        (r#"{"results":[{"statement_id":0}]}"#.to_owned(), Empty, Inconclusive, "no series"),
        (r#"{"results":[]}"#.to_owned(), Empty, Inconclusive, "no series"),
        (
            r#"{"results":[{"statement_id":0,"error":"database not found: db"}]}"#.to_owned(),
            Malformed,
            Error,
            "database not found",
        ),
        (r#"{"error":"error parsing query: found EOF"}"#.to_owned(), Malformed, Error, "found EOF"),
        (r#"{"error":"timeout"}"#.to_owned(), Malformed, Error, "timeout"),
        (rows(&format!(r#"[{start_ms},"1"]"#)), Malformed, Error, "is no number"),
        (rows(&format!("[{start_ms}]")), Malformed, Error, "not as long as `columns`"),
        (rows("[\"2023-11-14T22:13:20Z\",1]"), Malformed, Error, "time is no number"),
        (
            r#"{"results":[{"series":[{"name":"cpu","columns":["mean"],"values":[[1]]}]}]}"#
                .to_owned(),
            Malformed,
            Error,
            "no column `time`",
        ),
        (
            body::of(asked, &body::good(asked)).replace(r#""name""#, r#""partial":true,"name""#),
            Partial,
            Inconclusive,
            "`partial` is true",
        ),
    ]
}

fn of_influx2(asked: Asked) -> Vec<Content> {
    use Flaw::{Empty, Malformed};
    use Told::{Error, Inconclusive};
    let good = body::of(asked, &body::good(asked));
    vec![
        ("\r\n".to_owned(), Empty, Inconclusive, "no series"),
        (
            "#datatype,string,string\r\n,error,reference\r\n,bucket not found,897\r\n".to_owned(),
            Malformed,
            Error,
            "bucket not found",
        ),
        (
            format!("{good}\r\n,error,reference\r\n,memory allocation limit reached,\r\n"),
            Malformed,
            Error,
            "memory allocation limit",
        ),
        (
            r#"{"code":"invalid","message":"compilation failed: undefined identifier x"}"#
                .to_owned(),
            Malformed,
            Error,
            "undefined identifier",
        ),
        (",result,table,_value\r\n,,0,1\r\n".to_owned(), Malformed, Error, "no column `_time`"),
        (
            ",result,table,_time,_value\r\n,,0,yesterday,1\r\n".to_owned(),
            Malformed,
            Error,
            "is no time",
        ),
        (good.replace(",1\r\n", "\r\n"), Malformed, Error, "cut off"),
    ]
}

/// Slots of yesterday, and behind them one of a day before: whoever takes the least distance for the
/// length of a slot moves them all into today.
fn yesterday(asked: Asked) -> String {
    let day = 86_400_000;
    let mut times: Vec<i64> = (0..6).map(|n| asked.start_ms - day + 10_000 * n).collect();
    times.extend(times.last().map(|last| last - day));
    let times: Vec<String> = times.iter().map(ToString::to_string).collect();
    let (times, values) = (times.join(","), ["1"; 7].join(","));
    format!(
        r#"{{"result":[{{"metricId":"m","data":[{{"timestamps":[{times}],"values":[{values}]}}]}}]}}"#
    )
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn of_others(asked: Asked) -> Vec<Content> {
    use Flaw::{Empty, Malformed, Partial, Stale};
    use Told::{Error, Inconclusive};
    let good = body::of(asked, &body::good(asked));
    let first = |more: &str| good.replacen('{', &format!("{{{more},"), 1);
    let start = asked.start_ms / 1000;
    let text = str::to_owned;
    match asked.kind {
        Kind::Graphite => vec![
            (text("[]"), Empty, Inconclusive, "no series"),
            (text(r#"[{"target":"a"}]"#), Malformed, Error, "datapoints"),
            (text(r#"[{"target":"a","datapoints":[[1,null]]}]"#), Malformed, Error, "no time"),
            (
                format!(r#"[{{"target":"a","datapoints":[[NaN,{start}]]}}]"#),
                Empty,
                Error,
                "API promises",
            ),
            (
                format!(r#"[{{"target":"a","datapoints":[[Infinity,{start}]]}}]"#),
                Empty,
                Error,
                "API promises",
            ),
        ],
        Kind::Datadog => vec![
            (
                text(r#"{"status":"error","error":"Rule 'avg:x' is invalid"}"#),
                Malformed,
                Error,
                "is invalid",
            ),
            (text(r#"{"errors":["Forbidden"]}"#), Malformed, Error, "Forbidden"),
            (text(r#"{"status":"ok"}"#), Malformed, Error, "no `series`"),
            (text(r#"{"status":"ok","series":[]}"#), Empty, Inconclusive, "no series"),
            (
                first(r#""message":"some data is delayed""#),
                Partial,
                Inconclusive,
                "some data is delayed",
            ),
        ],
        Kind::CloudWatch => vec![
            (
                text(
                    r#"{"__type":"com.amazonaws.cloudwatch#ValidationError","message":"bad expression"}"#,
                ),
                Malformed,
                Error,
                "bad expression",
            ),
            (
                text(r#"{"__type":"Throttling","message":"Rate exceeded"}"#),
                Malformed,
                Error,
                "Rate exceeded",
            ),
            (good.replace("Complete", "PartialData"), Partial, Inconclusive, "PartialData"),
            (good.replace("Complete", "InternalError"), Partial, Inconclusive, "InternalError"),
            (good.replace("Complete", "Forbidden"), Partial, Inconclusive, "Forbidden"),
            (good.replace(r#""StatusCode":"Complete","#, ""), Malformed, Error, "StatusCode"),
            (
                first(r#""Messages":[{"Code":"ArithmeticError","Value":"divided by 0"}]"#),
                Partial,
                Inconclusive,
                "divided by 0",
            ),
            (
                text(
                    r#"{"MetricDataResults":[{"Id":"q","StatusCode":"Complete","Timestamps":[1],"Values":[]}]}"#,
                ),
                Malformed,
                Error,
                "as many",
            ),
        ],
        Kind::NewRelic => vec![
            (
                text(r#"{"errors":[{"message":"NRQL Syntax Error: unexpected 'x'"}]}"#),
                Malformed,
                Error,
                "NRQL Syntax",
            ),
            (
                text(r#"{"data":{"actor":{"account":{"nrql":null}}}}"#),
                Malformed,
                Error,
                "no `data.actor",
            ),
            (
                text(r#"{"data":{"actor":{"account":{"nrql":{"results":null}}}}}"#),
                Malformed,
                Error,
                "no list",
            ),
            (
                text(r#"{"data":{"actor":{"account":{"nrql":{"results":[{"average.v":1}]}}}}}"#),
                Malformed,
                Error,
                "beginTimeSeconds",
            ),
            (
                good.replace("endTimeSeconds", "endTimeSecond")
                    .replace("beginTimeSeconds", "endTimeSeconds")
                    .replace("endTimeSecond\"", "beginTimeSeconds\""),
                Malformed,
                Error,
                "ends before it begins",
            ),
            (
                first(r#""errors":[{"message":"timed out after 60 s"}]"#),
                Malformed,
                Error,
                "timed out",
            ),
        ],
        Kind::Dynatrace => vec![
            (
                text(
                    r#"{"error":{"code":400,"message":"unknown metric","constraintViolations":[{"message":"metricSelector"}]}}"#,
                ),
                Malformed,
                Error,
                "unknown metric: metricSelector",
            ),
            (text(r#"{"result":[{"metricId":"m","data":[]}]}"#), Empty, Inconclusive, "no series"),
            (yesterday(asked), Stale, Error, "not in order"),
            (
                good.replacen(
                    "\"data\"",
                    r#""warnings":["the limit of series was reached"],"data""#,
                    1,
                ),
                Partial,
                Inconclusive,
                "limit of series",
            ),
            (
                text(r#"{"result":[{"metricId":"m","data":[{"timestamps":[1],"values":[]}]}]}"#),
                Malformed,
                Error,
                "as many",
            ),
        ],
        Kind::Json => vec![
            (first(r#""error":"backend is down""#), Malformed, Error, "backend is down"),
            (format!(r#"{{"series":[{{"points":[[{start}]]}}]}}"#), Malformed, Error, "no value"),
            (text(r#"{"series":[{"points":[["x",1]]}]}"#), Malformed, Error, "no time"),
            (text(r#"{"other":[]}"#), Empty, Inconclusive, "no series"),
        ],
        Kind::Wavefront | Kind::Prometheus | Kind::Influx1 | Kind::Influx2 => Vec::new(),
    }
}

/// Answers of code 200 whose content only that kind of source gives.
pub fn all(asked: Asked) -> Vec<Content> {
    // Other APIs of theirs, which have other words.
    let is_other =
        asked.form == Form::Insights || (asked.kind == Kind::Datadog && asked.form == Form::Latest);
    match asked.kind {
        _ if is_other => Vec::new(),
        Kind::Wavefront => of_wavefront(asked),
        Kind::Prometheus => of_prometheus(asked),
        Kind::Influx1 => of_influx1(asked),
        Kind::Influx2 => of_influx2(asked),
        Kind::Graphite
        | Kind::Datadog
        | Kind::CloudWatch
        | Kind::NewRelic
        | Kind::Dynatrace
        | Kind::Json => of_others(asked),
    }
}
