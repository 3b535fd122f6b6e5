//! What only one kind of source says: its own shapes of errors, warnings and wrong types.

use super::{GOOD, QUOTED, matrix, pairs, prometheus, wavefront};
use crate::gate::source::Kind;
use crate::verdict::Verdict;

/// A body, what it leads to, and a part of the reason.
pub type Content = (String, Verdict, &'static str);

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

fn of_influx1() -> Vec<Content> {
    use Verdict::{Error, Inconclusive};
    let rows = |rows: &str| {
        format!(
            r#"{{"results":[{{"series":[{{"name":"cpu","columns":["time","mean"],"values":[{rows}]}}]}}]}}"#
        )
    };
    vec![
        (r#"{"results":[{"statement_id":0}]}"#.to_owned(), Inconclusive, "no series"),
        (r#"{"results":[]}"#.to_owned(), Inconclusive, "no series"),
        (
            r#"{"results":[{"statement_id":0,"error":"database not found: db"}]}"#.to_owned(),
            Error,
            "database not found",
        ),
        (r#"{"error":"error parsing query: found EOF"}"#.to_owned(), Error, "found EOF"),
        (r#"{"error":"timeout"}"#.to_owned(), Error, "timeout"),
        (rows("[1700000000000,\"1\"]"), Error, "is no number"),
        (rows("[1700000000000]"), Error, "not as long as `columns`"),
        (rows("[\"2023-11-14T22:13:20Z\",1]"), Error, "time is no number"),
        (
            r#"{"results":[{"series":[{"name":"cpu","columns":["mean"],"values":[[1]]}]}]}"#
                .to_owned(),
            Error,
            "no column `time`",
        ),
        (
            rows("[1700000005000,1],[1700000015000,1],[1700000025000,1],[1700000035000,1],[1700000045000,1],[1700000055000,1]")
                .replace(r#""name""#, r#""partial":true,"name""#),
            Inconclusive,
            "`partial` is true",
        ),
    ]
}

fn of_influx2() -> Vec<Content> {
    use Verdict::{Error, Inconclusive};
    let good = super::table::body(Kind::Influx2, &super::table::good());
    vec![
        ("\r\n".to_owned(), Inconclusive, "no series"),
        (
            "#datatype,string,string\r\n,error,reference\r\n,bucket not found,897\r\n".to_owned(),
            Error,
            "bucket not found",
        ),
        (
            format!("{good}\r\n,error,reference\r\n,memory allocation limit reached,\r\n"),
            Error,
            "memory allocation limit",
        ),
        (
            r#"{"code":"invalid","message":"compilation failed: undefined identifier x"}"#
                .to_owned(),
            Error,
            "undefined identifier",
        ),
        (",result,table,_value\r\n,,0,1\r\n".to_owned(), Error, "no column `_time`"),
        (",result,table,_time,_value\r\n,,0,yesterday,1\r\n".to_owned(), Error, "is no time"),
        (good.replace(",1\r\n", "\r\n"), Error, "cut off"),
    ]
}

fn of_others() -> Vec<(Kind, Content)> {
    use Verdict::{Error, Inconclusive};
    let of = |kind: Kind| super::table::body(kind, &super::table::good());
    let all = vec![
        (Kind::Graphite, "[]".to_owned(), Inconclusive, "no series"),
        (Kind::Graphite, r#"[{"target":"a"}]"#.to_owned(), Error, "datapoints"),
        (Kind::Graphite, r#"[{"target":"a","datapoints":[[1,null]]}]"#.to_owned(), Error, "no time"),
        (Kind::Graphite, r#"[{"target":"a","datapoints":[[NaN,1700000000]]}]"#.to_owned(), Error, "API promises"),
        (Kind::Graphite, r#"[{"target":"a","datapoints":[[Infinity,1700000000]]}]"#.to_owned(), Error, "API promises"),
        (Kind::Datadog, r#"{"status":"error","error":"Rule 'avg:x' is invalid"}"#.to_owned(), Error, "is invalid"),
        (Kind::Datadog, r#"{"errors":["Forbidden"]}"#.to_owned(), Error, "Forbidden"),
        (Kind::Datadog, r#"{"status":"ok"}"#.to_owned(), Error, "no `series`"),
        (Kind::Datadog, r#"{"status":"ok","series":[]}"#.to_owned(), Inconclusive, "no series"),
        (Kind::Datadog, of(Kind::Datadog).replacen('{', r#"{"message":"some data is delayed","#, 1), Inconclusive, "some data is delayed"),
        (Kind::CloudWatch, r#"{"__type":"com.amazonaws.cloudwatch#ValidationError","message":"bad expression"}"#.to_owned(), Error, "bad expression"),
        (Kind::CloudWatch, r#"{"__type":"Throttling","message":"Rate exceeded"}"#.to_owned(), Error, "Rate exceeded"),
        (Kind::CloudWatch, of(Kind::CloudWatch).replace("Complete", "PartialData"), Inconclusive, "PartialData"),
        (Kind::CloudWatch, of(Kind::CloudWatch).replace("Complete", "InternalError"), Inconclusive, "InternalError"),
        (Kind::CloudWatch, of(Kind::CloudWatch).replace("Complete", "Forbidden"), Inconclusive, "Forbidden"),
        (Kind::CloudWatch, of(Kind::CloudWatch).replace(r#""StatusCode":"Complete","#, ""), Error, "StatusCode"),
        (Kind::CloudWatch, of(Kind::CloudWatch).replacen('{', r#"{"Messages":[{"Code":"ArithmeticError","Value":"divided by 0"}],"#, 1), Inconclusive, "divided by 0"),
        (Kind::CloudWatch, r#"{"MetricDataResults":[{"Id":"q","StatusCode":"Complete","Timestamps":[1],"Values":[]}]}"#.to_owned(), Error, "as many"),
        (Kind::NewRelic, r#"{"errors":[{"message":"NRQL Syntax Error: unexpected 'x'"}]}"#.to_owned(), Error, "NRQL Syntax"),
        (Kind::NewRelic, r#"{"data":{"actor":{"account":{"nrql":null}}}}"#.to_owned(), Error, "no `data.actor"),
        (Kind::NewRelic, r#"{"data":{"actor":{"account":{"nrql":{"results":null}}}}}"#.to_owned(), Error, "no list"),
        (Kind::NewRelic, r#"{"data":{"actor":{"account":{"nrql":{"results":[{"average.v":1}]}}}}}"#.to_owned(), Error, "beginTimeSeconds"),
        (Kind::NewRelic, of(Kind::NewRelic).replacen('{', r#"{"errors":[{"message":"timed out after 60 s"}],"#, 1), Error, "timed out"),
        (Kind::Dynatrace, r#"{"error":{"code":400,"message":"unknown metric","constraintViolations":[{"message":"metricSelector"}]}}"#.to_owned(), Error, "unknown metric: metricSelector"),
        (Kind::Dynatrace, r#"{"result":[{"metricId":"m","data":[]}]}"#.to_owned(), Inconclusive, "no series"),
        (Kind::Dynatrace, of(Kind::Dynatrace).replacen("\"data\"", r#""warnings":["the limit of series was reached"],"data""#, 1), Inconclusive, "limit of series"),
        (Kind::Dynatrace, r#"{"result":[{"metricId":"m","data":[{"timestamps":[1],"values":[]}]}]}"#.to_owned(), Error, "as many"),
        (Kind::Json, of(Kind::Json).replacen('{', r#"{"error":"backend is down","#, 1), Error, "backend is down"),
        (Kind::Json, r#"{"series":[{"points":[[1700000000]]}]}"#.to_owned(), Error, "no value"),
        (Kind::Json, r#"{"series":[{"points":[["x",1]]}]}"#.to_owned(), Error, "no time"),
        (Kind::Json, r#"{"other":[]}"#.to_owned(), Inconclusive, "no series"),
    ];
    all.into_iter().map(|(kind, body, verdict, why)| (kind, (body, verdict, why))).collect()
}

/// Answers of code 200 whose content only that kind of source gives.
pub fn all() -> Vec<(Kind, Content)> {
    let of = |kind, all: Vec<Content>| all.into_iter().map(move |content| (kind, content));
    of(Kind::Wavefront, of_wavefront())
        .chain(of(Kind::Prometheus, of_prometheus()))
        .chain(of(Kind::Influx1, of_influx1()))
        .chain(of(Kind::Influx2, of_influx2()))
        .chain(of_others())
        .collect()
}
